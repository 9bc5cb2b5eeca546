/** Names in a hash table that can be asked for each suffix of a host; a probe allocates nothing. */
import { DOMAIN_PROBE_COUNT_MAX } from "../base/limits.ts";
import { HASH_START, hashStep, type HostScan, spread } from "./host_scan.ts";

/** What a slot remembers of a hash, so that most probes need one byte only; never 0, which is an empty slot. */
function tagOf(spreadHash: number): number {
  return (spreadHash >>> 24) | 1;
}

const ASCII = new TextDecoder();

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
  /** Names whose slots were taken by too many others, as someone who knows the hash can bring about; this map's own hash is secret. */
  readonly #crowded = new Map<string, number>();

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
    let steps = 0;
    for (let tag = tags[slot]!; tag !== 0; tag = tags[slot]!) {
      if (tag === wanted) {
        const number = this.#numbers[slot]!;
        if (this.#equalsScan(number, scan, scan.starts[k]!)) return number;
      }
      if (++steps > DOMAIN_PROBE_COUNT_MAX) return this.#crowded.get(scan.text.slice(scan.starts[k]!)) ?? -1;
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
    for (let steps = 0; this.#tags[slot] !== 0; slot = (slot + 1) & mask) {
      const number = this.#numbers[slot]!;
      if (this.#tags[slot] === wanted && this.#equalsEnd(number, length)) return number;
      if (++steps <= DOMAIN_PROBE_COUNT_MAX) continue;
      const known = this.#crowded.get(this.#text(this.#end, length));
      if (known !== undefined) return known;
      break;
    }
    const number = this.#end;
    this.#words[number] = length;
    this.#words[number + 1] = this.#blank;
    this.#words[number + 2] = this.#blank;
    this.#end += HEAD + ((length + 3) >>> 2);
    this.#place(number, hash);
    this.#size++;
    if (this.#size * 3 > this.#tags.length * 2) this.#rehash(this.#tags.length * 2);
    return number;
  }

  /** Puts a new name into the first free slot, or among the crowded ones. */
  #place(number: number, hash: number): void {
    const mask = this.#tags.length - 1;
    let slot = hash & mask;
    for (let steps = 0; this.#tags[slot] !== 0; slot = (slot + 1) & mask) {
      if (++steps <= DOMAIN_PROBE_COUNT_MAX) continue;
      this.#crowded.set(this.#text(number, this.#words[number]!), number);
      return;
    }
    this.#tags[slot] = tagOf(hash);
    this.#numbers[slot] = number;
  }

  #text(number: number, length: number): string {
    const begin = (number + HEAD) * 4;
    return ASCII.decode(this.#bytes.subarray(begin, begin + length));
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
    this.#tags = new Uint8Array(slotCount);
    this.#numbers = new Int32Array(slotCount);
    this.#crowded.clear();
    for (const number of this.numbers()) this.#place(number, this.#hash(number, this.#words[number]!));
  }
}
