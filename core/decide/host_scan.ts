/**
 * A host taken apart for looking up all of its suffixes.
 *
 * The hash runs over the characters from the right, so that the hash of `b.c` is a step on the way to the hash of `a.b.c`: a host is
 * read once, and each label's end is one more suffix with its hash.
 */

import { DOMAIN_CHARS_MAX } from "../base/limits.ts";

const DOT = 0x2e;

/** The next step of the hash (FNV-1a, from the right). */
export function hashStep(hash: number, code: number): number {
  return Math.imul(hash ^ code, 0x01000193);
}

/** Spreads a hash over all its bits, for the low ones choose the slot. Source: the finalizer of MurmurHash3. */
export function spread(hash: number): number {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** Where the hash of every name begins. */
export const HASH_START = 0x811c9dc5 | 0;

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
    if (
      length > DOMAIN_CHARS_MAX || labelEnd === 0 ||
      (length > 0 && (this.codes[0]! <= 0x20 || this.codes[length - 1]! <= 0x20))
    ) {
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
