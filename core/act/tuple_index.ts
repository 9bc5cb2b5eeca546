/** Finds table entries by a whole tuple: both addresses and both ports, in one direction. */
import { invariant } from "../base/invariant.ts";
import { DESTINATION, type PacketMeta, SOURCE } from "../parse/packet_meta.ts";

/** Words of a key: source address 4, destination address 4, both ports in one. IPv4 stands as ::ffff:a.b.c.d. */
export const KEY_WORDS = 9;
/** Word of a key that holds both ports, the source's above. */
export const PORTS = 8;
/** Word of a key at which the destination's address begins. */
export const KEY_DESTINATION = 4;

/** A tuple. Shape: KEY_WORDS words. */
export type TupleKey = Uint32Array;

const NONE = -1;

/** Writes a packet's tuple into `key`, as it stands or, `isReversed`, with source and destination exchanged. */
export function keyOfPacket(meta: PacketMeta, isReversed: boolean, key: TupleKey): void {
  const words = meta.words;
  const from = isReversed ? DESTINATION : SOURCE;
  const to = isReversed ? SOURCE : DESTINATION;
  for (let word = 0; word < 4; word++) {
    key[word] = words[from + word]!;
    key[KEY_DESTINATION + word] = words[to + word]!;
  }
  key[PORTS] = isReversed
    ? (meta.destinationPort << 16) | meta.sourcePort
    : (meta.sourcePort << 16) | meta.destinationPort;
}

/** Entries by their tuples; buckets are chains through a column. */
export class TupleIndex {
  readonly #words: Uint32Array;
  readonly #hash: Int32Array;
  readonly #buckets: Int32Array;
  readonly #next: Int32Array;
  readonly #mask: number;
  readonly #secret: number;

  /** `secret` makes the hash unpredictable to whoever sends packets. */
  constructor(secret: number, capacity: number) {
    invariant((capacity & (capacity - 1)) === 0, "a tuple index' capacity is a power of two");
    this.#words = new Uint32Array(capacity * KEY_WORDS);
    this.#hash = new Int32Array(capacity);
    this.#buckets = new Int32Array(capacity).fill(NONE);
    this.#next = new Int32Array(capacity).fill(NONE);
    this.#mask = capacity - 1;
    this.#secret = secret | 0;
  }

  /** The entry of a tuple, or −1. */
  find(key: TupleKey): number {
    const hash = this.#hashOf(key);
    for (let entry = this.#buckets[hash & this.#mask]!; entry !== NONE; entry = this.#next[entry]!) {
      if (this.#hash[entry] === hash && this.#isEqual(entry, key)) return entry;
    }
    return NONE;
  }

  /** One word of an entry's tuple. */
  word(entry: number, index: number): number {
    return this.#words[entry * KEY_WORDS + index]!;
  }

  /** Enters a tuple that is not there yet. */
  add(entry: number, key: TupleKey): void {
    const hash = this.#hashOf(key);
    const at = entry * KEY_WORDS;
    for (let word = 0; word < KEY_WORDS; word++) this.#words[at + word] = key[word]!;
    this.#hash[entry] = hash;
    this.#next[entry] = this.#buckets[hash & this.#mask]!;
    this.#buckets[hash & this.#mask] = entry;
  }

  /** Takes an entry's tuple out. */
  remove(entry: number): void {
    const bucket = this.#hash[entry]! & this.#mask;
    let at = this.#buckets[bucket]!;
    if (at === entry) {
      this.#buckets[bucket] = this.#next[entry]!;
      return;
    }
    while (this.#next[at] !== entry) at = this.#next[at]!;
    this.#next[at] = this.#next[entry]!;
  }

  #isEqual(entry: number, key: TupleKey): boolean {
    const at = entry * KEY_WORDS;
    for (let word = KEY_WORDS - 1; word >= 0; word--) if (this.#words[at + word] !== key[word]) return false;
    return true;
  }

  #hashOf(key: TupleKey): number {
    let sum = this.#secret;
    for (let word = 0; word < KEY_WORDS; word++) {
      sum = Math.imul(sum ^ key[word]!, 0x85ebca6b);
      sum = (sum ^ (sum >>> 15)) | 0;
    }
    sum = Math.imul(sum, 0xc2b2ae35);
    return (sum ^ (sum >>> 16)) | 0;
  }
}
