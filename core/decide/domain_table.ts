/**
 * Names in a hash table that is asked for all suffixes of a host in one pass.
 *
 * The hash runs over the characters from the right, so that the hash of `b.c` is a step on the way to the hash of `a.b.c`: a host
 * is read once, and each label's end is one probe. Keys lie in one byte array: 150,000 names take a few megabytes, and a probe
 * allocates nothing.
 */
import type { HostSet } from "./geo.ts";
import { DomainTrie } from "./domain_trie.ts";
import { toAsciiName } from "./punycode.ts";

const DOT = 0x2e;
const STAR = 0x2a;
const PLUS = 0x2b;
const SLASH = 0x2f;

/** The next step of the hash (FNV-1a, from the right). */
function hashStep(hash: number, code: number): number {
  return Math.imul(hash ^ code, 0x01000193);
}

/** Spreads a hash over all its bits, for the low ones choose the slot. Source: the finalizer of MurmurHash3. */
function spread(hash: number): number {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

const HASH_START = 0x811c9dc5 | 0;

/** A host taken apart for probing: where its suffixes start, and their hashes. One object is used for all hosts. */
export class HostScan {
  text = "";
  codes = new Uint16Array(256);
  /** Suffixes from the last label to the whole host, which is the last entry. */
  starts = new Int32Array(64);
  hashes = new Int32Array(64);
  count = 0;
  /** False for what is no name to the wildcard tables: empty labels, spaces at the ends. */
  wellFormed = false;

  /** Takes a host in. Taking the same one again costs nothing. */
  load(host: string): void {
    if (host === this.text) return;
    this.text = host;
    const length = host.length;
    if (length > this.codes.length) this.#grow(length);
    let hash = HASH_START;
    let count = 0;
    let wellFormed = length > 0;
    let labelEnd = length;
    for (let i = length - 1; i >= 0; i--) {
      const code = host.charCodeAt(i);
      this.codes[i] = code;
      if (code === DOT) {
        if (i + 1 === labelEnd) wellFormed = false;
        labelEnd = i;
        this.starts[count] = i + 1;
        this.hashes[count++] = hash;
      }
      hash = hashStep(hash, code);
    }
    if (labelEnd === 0 || (length > 0 && (this.codes[0]! <= 0x20 || this.codes[length - 1]! <= 0x20))) {
      wellFormed = false;
    }
    this.starts[count] = 0;
    this.hashes[count++] = hash;
    this.count = length === 0 ? 0 : count;
    this.wellFormed = wellFormed;
  }

  /** A host longer than any name may be: rare enough to allocate for. */
  #grow(length: number): void {
    this.codes = new Uint16Array(length);
    this.starts = new Int32Array(length + 1);
    this.hashes = new Int32Array(length + 1);
  }
}

/** What a slot remembers of a hash, so that most probes need one byte only; never 0, which is an empty slot. */
function tagOf(spreadHash: number): number {
  return (spreadHash >>> 24) | 1;
}

/** Words before a key's bytes: how many bytes there are, and two words for the owner of the table. */
const HEAD = 3;

/**
 * Names with two words of the owner's beside each. A name is known by a number, which is where its record begins. Open addressing, at
 * most two thirds full. A probe that fails reads one byte; one that succeeds two places more, for with many names every place is a miss
 * of the cache.
 */
export class DomainTable {
  #tags = new Uint8Array(16);
  #numbers = new Int32Array(16);
  /** Records one after the other: length, two words, the bytes of the name up to a whole word. */
  #words = new Int32Array(64);
  #bytes = new Uint8Array(this.#words.buffer);
  #size = 0;
  #end = 0;
  readonly #blank: number;

  /** `blank` is what the owner's words are at first. */
  constructor(blank = 0) {
    this.#blank = blank;
  }

  /** How many names there are. */
  get size(): number {
    return this.#size;
  }

  /** Every name's number, in the order of insertion. */
  *numbers(): Generator<number> {
    for (let at = 0; at < this.#end; at += HEAD + ((this.#words[at]! + 3) >>> 2)) yield at;
  }

  /** One of the owner's two words of a name. */
  word(number: number, index: 0 | 1): number {
    return this.#words[number + 1 + index]!;
  }

  /** Sets one of the owner's two words. */
  setWord(number: number, index: 0 | 1, value: number): void {
    this.#words[number + 1 + index] = value;
  }

  /** The number of the name `text[from…to)`, which must be ASCII; it is added when it is new. */
  insert(text: string, from: number, to: number): number {
    const length = to - from;
    const begin = this.#reserve(length);
    for (let i = 0; i < length; i++) this.#bytes[begin + i] = text.charCodeAt(from + i);
    return this.#settle(length);
  }

  /** As `insert`, for a name of another table. */
  insertNameOf(other: DomainTable, number: number): number {
    const length = other.#words[number]!;
    const begin = this.#reserve(length);
    const source = (number + HEAD) * 4;
    for (let i = 0; i < length; i++) this.#bytes[begin + i] = other.#bytes[source + i]!;
    return this.#settle(length);
  }

  /** The number of suffix `k` of a host, or -1. */
  find(scan: HostScan, k: number): number {
    const hash = spread(scan.hashes[k]!);
    const tags = this.#tags;
    const mask = tags.length - 1;
    const wanted = tagOf(hash);
    let slot = hash & mask;
    for (let tag = tags[slot]!; tag !== 0; tag = tags[slot]!) {
      if (tag === wanted) {
        const number = this.#numbers[slot]!;
        if (this.#equalsScan(number, scan, scan.starts[k]!)) return number;
      }
      slot = (slot + 1) & mask;
    }
    return -1;
  }

  /** Gives back the room that growing left over. */
  trim(): void {
    this.#words = this.#words.slice(0, this.#end);
    this.#bytes = new Uint8Array(this.#words.buffer);
  }

  /** Room for one more name; returns where its bytes go. */
  #reserve(length: number): number {
    const needed = this.#end + HEAD + ((length + 3) >>> 2);
    if (needed > this.#words.length) {
      const words = new Int32Array(Math.max(needed, this.#words.length * 2));
      words.set(this.#words);
      this.#words = words;
      this.#bytes = new Uint8Array(words.buffer);
    }
    return (this.#end + HEAD) * 4;
  }

  /** Finds the name of `length` bytes that was written behind the last record, or makes it the next record. */
  #settle(length: number): number {
    const hash = this.#hash(this.#end, length);
    const wanted = tagOf(hash);
    const mask = this.#tags.length - 1;
    let slot = hash & mask;
    for (; this.#tags[slot] !== 0; slot = (slot + 1) & mask) {
      const number = this.#numbers[slot]!;
      if (this.#tags[slot] === wanted && this.#equalsEnd(number, length)) return number;
    }
    const number = this.#end;
    this.#words[number] = length;
    this.#words[number + 1] = this.#blank;
    this.#words[number + 2] = this.#blank;
    this.#end += HEAD + ((length + 3) >>> 2);
    this.#tags[slot] = wanted;
    this.#numbers[slot] = number;
    this.#size++;
    if (this.#size * 3 > this.#tags.length * 2) this.#rehash(this.#tags.length * 2);
    return number;
  }

  #hash(number: number, length: number): number {
    const begin = (number + HEAD) * 4;
    let hash = HASH_START;
    for (let i = begin + length - 1; i >= begin; i--) hash = hashStep(hash, this.#bytes[i]!);
    return spread(hash);
  }

  #equalsEnd(number: number, length: number): boolean {
    if (this.#words[number] !== length) return false;
    const begin = (number + HEAD) * 4;
    const end = (this.#end + HEAD) * 4;
    for (let i = 0; i < length; i++) if (this.#bytes[begin + i] !== this.#bytes[end + i]) return false;
    return true;
  }

  #equalsScan(number: number, scan: HostScan, start: number): boolean {
    const length = scan.text.length - start;
    if (this.#words[number] !== length) return false;
    const begin = (number + HEAD) * 4;
    const bytes = this.#bytes;
    const codes = scan.codes;
    for (let i = 0; i < length; i++) if (bytes[begin + i] !== codes[start + i]) return false;
    return true;
  }

  #rehash(slotCount: number): void {
    const tags = new Uint8Array(slotCount);
    const numbers = new Int32Array(slotCount);
    for (const number of this.numbers()) {
      const hash = this.#hash(number, this.#words[number]!);
      let slot = hash & (slotCount - 1);
      while (tags[slot] !== 0) slot = (slot + 1) & (slotCount - 1);
      tags[slot] = tagOf(hash);
      numbers[slot] = number;
    }
    this.#tags = tags;
    this.#numbers = numbers;
  }
}

/** The name itself is in the set. */
export const APEX = 1;
/** What ends with a dot and the name is in the set. */
export const BELOW = 2;
const SCAN = new HostScan();

/** A set of names with the wildcards of `domain_trie.ts`; that trie holds the few that have `*` in them, and is its oracle. */
export class DomainSet implements HostSet {
  /** The owner's first word holds the flags. */
  readonly #table = new DomainTable();
  readonly #wild = new DomainTrie<true>();
  #count = 0;

  /** How many names were added. */
  get count(): number {
    return this.#count;
  }

  /** Adds the name `text[from…to)`. False when it is no name; one with a `/` is meant as something else. Source: mihomo domain_strategy.go. */
  add(text: string, from = 0, to = text.length): boolean {
    let plain = to > from && text.charCodeAt(to - 1) !== DOT;
    let odd = false;
    for (let i = from; i < to; i++) {
      const code = text.charCodeAt(i);
      if (code === STAR || code > 0x7f || code <= 0x20 || (code >= 0x41 && code <= 0x5a)) odd = true;
      else if (code === SLASH || (code === DOT && i > from && text.charCodeAt(i - 1) === DOT)) plain = false;
    }
    if (!plain) return false;
    if (odd) return this.#addOdd(text.slice(from, to));
    this.#addPlain(text, from, to);
    return true;
  }

  /** True when one of the names covers `host`. */
  has(host: string): boolean {
    SCAN.load(host);
    return this.hasScan(SCAN);
  }

  /** As `has`, for a host that was taken apart already. */
  hasScan(scan: HostScan): boolean {
    if (!scan.wellFormed) return false;
    const last = scan.count - 1;
    for (let k = 0; k <= last; k++) {
      const id = this.#table.find(scan, k);
      if (id >= 0 && (this.#table.word(id, 0) & (k === last ? APEX : BELOW)) !== 0) return true;
    }
    return this.#wild.size > 0 && this.#wild.find(scan.text) !== undefined;
  }

  /** The names without `*`. */
  get table(): DomainTable {
    return this.#table;
  }

  /** `APEX`, `BELOW` or both, of a name in `table`. */
  flagsOf(number: number): number {
    return this.#table.word(number, 0);
  }

  /** The names that are not in `table`; undefined when there are none. */
  get wild(): HostSet | undefined {
    if (this.#wild.size === 0) return undefined;
    return { count: this.#wild.size, has: (host) => this.#wild.find(host) !== undefined };
  }

  /** Gives back the room that growing left over. */
  trim(): void {
    this.#table.trim();
  }

  #addPlain(text: string, from: number, to: number): void {
    let start = from;
    let flags = APEX;
    if (text.charCodeAt(from) === DOT) {
      start = from + 1;
      flags = BELOW;
    } else if (text.charCodeAt(from) === PLUS && to - from === 1) {
      this.#wild.add("+", true);
      this.#count++;
      return;
    } else if (text.charCodeAt(from) === PLUS && text.charCodeAt(from + 1) === DOT) {
      start = from + 2;
      flags = APEX | BELOW;
    }
    const id = this.#table.insert(text, start, to);
    this.#table.setWord(id, 0, this.#table.word(id, 0) | flags);
    this.#count++;
  }

  /** Names with upper case, spaces, `*` or characters outside ASCII. */
  #addOdd(name: string): boolean {
    const ascii = toAsciiName(name);
    if (ascii !== name && !/[\s*]/.test(ascii)) return this.add(ascii);
    if (!this.#wild.add(name, true)) return false;
    this.#count++;
    return true;
  }
}
