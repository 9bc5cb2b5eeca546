/** Sets of names with wildcards: 150,000 names take a few megabytes. */
import { DOMAIN_CHARS_MAX } from "../base/limits.ts";
import { DomainTable } from "./domain_table.ts";
import { DomainTrie } from "./domain_trie.ts";
import type { HostSet } from "./geo.ts";
import { HostScan } from "./host_scan.ts";
import { toAsciiName } from "./punycode.ts";

const DOT = 0x2e;
const STAR = 0x2a;
const PLUS = 0x2b;
const SLASH = 0x2f;

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
    let plain = to > from && to - from <= DOMAIN_CHARS_MAX && text.charCodeAt(to - 1) !== DOT;
    let odd = false;
    for (let i = from; i < to && plain; i++) {
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
