/** What the adapter knows of packets that wait in the kernel, found again by a tag that is good once. */
import { NO_TAG } from "../../core/adapter/arena.ts";

/** Uses of a place after which its tags come round; times the largest arena they stay below 2³¹. */
const GENERATION_COUNT = 0x8000;

/** A bounded table. A tag of a packet that has its verdict already finds nothing, even when it was copied. */
export class QueueRecords {
  readonly #capacity: number;
  readonly #packetIds: Uint32Array;
  readonly #ways: Uint8Array;
  readonly #generations: Uint16Array;
  readonly #isOpen: Uint8Array;
  readonly #free: Int32Array;
  #freeCount: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#packetIds = new Uint32Array(capacity);
    this.#ways = new Uint8Array(capacity);
    this.#generations = new Uint16Array(capacity);
    this.#isOpen = new Uint8Array(capacity);
    this.#free = Int32Array.from({ length: capacity }, (_, i) => capacity - 1 - i);
    this.#freeCount = capacity;
  }

  /** Enters a packet; `NO_TAG` when there is no room. */
  add(packetId: number, way: number): number {
    if (this.#freeCount === 0) return NO_TAG;
    const record = this.#free[--this.#freeCount]!;
    this.#packetIds[record] = packetId;
    this.#ways[record] = way;
    this.#isOpen[record] = 1;
    this.#generations[record] = (this.#generations[record]! + 1) % GENERATION_COUNT;
    return this.#generations[record]! * this.#capacity + record;
  }

  /** The record of a tag; −1 when there is none any more. */
  find(tag: number): number {
    if (tag < 0 || this.#capacity === 0) return -1;
    const record = tag % this.#capacity;
    const isSame = this.#isOpen[record] === 1 && this.#generations[record] === (tag - record) / this.#capacity;
    return isSame ? record : -1;
  }

  packetId(record: number): number {
    return this.#packetIds[record]!;
  }

  way(record: number): number {
    return this.#ways[record]!;
  }

  remove(record: number): void {
    this.#isOpen[record] = 0;
    this.#free[this.#freeCount++] = record;
  }
}
