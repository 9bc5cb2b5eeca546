/**
 * The first bytes of one direction of a stream, put together from pieces in any order.
 *
 * Bytes that came first win over a later copy, as in `core/stack`: a retransmission cannot rewrite what was already read.
 *
 *      0          readable                       bytesMax
 *      ├────────────┼───────┬──────┬───────┬───────┤
 *      │ contiguous │ hole  │ range│ hole  │ never │
 *      └────────────┴───────┴──────┴───────┴───────┘
 */
import { STREAM_PREFIX_BYTES_MAX, STREAM_PREFIX_BYTES_MIN, STREAM_PREFIX_RANGES_MAX } from "../base/limits.ts";
import { seqAdd, seqDiff } from "../wire/seq.ts";

/** Memory that many prefixes share; each takes what it grows by and gives it back when it is disposed of. */
export class PrefixBudget {
  /** Units: bytes. */
  readonly bytesMax: number;
  #bytesUsed = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Units: bytes. */
  get bytesUsed(): number {
    return this.#bytesUsed;
  }

  /** Takes `bytes` when there are that many left. */
  take(bytes: number): boolean {
    if (this.#bytesUsed + bytes > this.bytesMax) return false;
    this.#bytesUsed += bytes;
    return true;
  }

  /** Gives `bytes` back. */
  give(bytes: number): void {
    this.#bytesUsed -= bytes;
  }
}

function createView(lengthBytes: number): DataView {
  return new DataView(new ArrayBuffer(lengthBytes));
}

/** Copies `length` bytes between two views. */
export function copyBytes(from: DataView, at: number, to: DataView, toAt: number, length: number): void {
  let i = 0;
  for (; i + 4 <= length; i += 4) to.setUint32(toAt + i, from.getUint32(at + i));
  for (; i < length; i++) to.setUint8(toAt + i, from.getUint8(at + i));
}

/** See the head of this file. Memory: nothing until the first byte comes, then doubling up to `bytesMax`. */
export class StreamPrefix {
  readonly #bytesMax: number;
  readonly #budget: PrefixBudget | undefined;
  #view: DataView = createView(0);
  #readable = 0;
  #started = false;
  #base = 0;
  /** Pairs of start and end behind the readable part, in order, apart from each other. */
  readonly #ranges = new Int32Array(2 * STREAM_PREFIX_RANGES_MAX);
  #rangeCount = 0;
  #overflowed = false;

  constructor(bytesMax: number = STREAM_PREFIX_BYTES_MAX, budget: PrefixBudget | undefined = undefined) {
    this.#bytesMax = bytesMax;
    this.#budget = budget;
  }

  /** The bytes read so far begin at offset 0 of this view; valid until the next piece comes. */
  get view(): DataView {
    return this.#view;
  }

  /** How many bytes stand without a hole from the beginning. Units: bytes. */
  get readable(): number {
    return this.#readable;
  }

  /** True when pieces wait behind a hole. */
  get hasHole(): boolean {
    return this.#rangeCount > 0;
  }

  /** True when bytes were given up, because of the bound, of too many holes or of the shared budget. */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  /** True when the sequence number of offset 0 is known. */
  get started(): boolean {
    return this.#started;
  }

  /** Says which sequence number offset 0 has. */
  start(seq: number): void {
    this.#started = true;
    this.#base = seq;
  }

  /** Where a sequence number lies. Units: bytes from the beginning, negative before it. */
  offsetOf(seq: number): number {
    return seqDiff(seq, this.#base);
  }

  /** Adds a TCP segment; the first one sets the beginning when `start` was not called. */
  addSegment(seq: number, view: DataView, at: number, length: number): void {
    if (!this.#started) this.start(seq);
    this.addAt(this.offsetOf(seq), view, at, length);
  }

  /**
   * Moves the beginning `count` bytes forward: what was read is no longer kept.
   * The sequence number of the beginning moves along.
   */
  consume(count: number): void {
    if (count <= 0 || count > this.#readable) return;
    const last = this.#rangeCount === 0 ? this.#readable : this.#ranges[2 * this.#rangeCount - 1]!;
    copyBytes(this.#view, count, this.#view, 0, last - count);
    this.#readable -= count;
    this.#base = seqAdd(this.#base, count);
    for (let i = 0; i < 2 * this.#rangeCount; i++) this.#ranges[i] = this.#ranges[i]! - count;
  }

  /** Adds bytes at an offset from the beginning. Overlaps, repetitions and holes are fine. */
  addAt(offset: number, view: DataView, at: number, length: number): void {
    let from = offset;
    let to = offset + length;
    if (from < this.#readable) from = this.#readable;
    if (to > this.#bytesMax) {
      to = this.#bytesMax;
      this.#overflowed = true;
    }
    if (from >= to) return;
    const source = at - offset;
    if (from > this.#readable) {
      this.#addRange(from, to, view, source);
      return;
    }
    if (!this.#grow(to)) return;
    this.#fill(from, to, view, source);
    this.#readable = to;
    this.#joinRanges();
  }

  /** Gives the shared memory back and forgets everything. */
  dispose(): void {
    this.#budget?.give(this.#view.byteLength);
    this.#view = createView(0);
    this.#readable = 0;
    this.#rangeCount = 0;
  }

  /** Copies those bytes of `from … to` that no range holds yet. */
  #fill(from: number, to: number, view: DataView, source: number): void {
    let next = from;
    for (let i = 0; i < this.#rangeCount && next < to; i++) {
      const start = this.#ranges[2 * i]!;
      const end = this.#ranges[2 * i + 1]!;
      if (end <= next) continue;
      if (start >= to) break;
      if (start > next) copyBytes(view, source + next, this.#view, next, start - next);
      next = end;
    }
    if (next < to) copyBytes(view, source + next, this.#view, next, to - next);
  }

  /** Swallows the ranges that the readable part has reached. */
  #joinRanges(): void {
    let gone = 0;
    while (gone < this.#rangeCount && this.#ranges[2 * gone]! <= this.#readable) {
      const end = this.#ranges[2 * gone + 1]!;
      if (end > this.#readable) this.#readable = end;
      gone++;
    }
    if (gone > 0) this.#removeRanges(0, gone);
  }

  #removeRanges(index: number, count: number): void {
    this.#ranges.copyWithin(2 * index, 2 * (index + count), 2 * this.#rangeCount);
    this.#rangeCount -= count;
  }

  #addRange(from: number, to: number, view: DataView, source: number): void {
    let first = 0;
    while (first < this.#rangeCount && this.#ranges[2 * first + 1]! < from) first++;
    let past = first;
    while (past < this.#rangeCount && this.#ranges[2 * past]! <= to) past++;
    if ((first === past && this.#rangeCount === STREAM_PREFIX_RANGES_MAX) || !this.#grow(to)) {
      this.#overflowed = true;
      return;
    }
    this.#fill(from, to, view, source);
    if (first === past) {
      this.#ranges.copyWithin(2 * first + 2, 2 * first, 2 * this.#rangeCount);
      this.#rangeCount++;
      this.#ranges[2 * first] = from;
      this.#ranges[2 * first + 1] = to;
      return;
    }
    if (this.#ranges[2 * first]! > from) this.#ranges[2 * first] = from;
    const end = this.#ranges[2 * past - 1]!;
    this.#ranges[2 * first + 1] = end > to ? end : to;
    this.#removeRanges(first + 1, past - first - 1);
  }

  #grow(bytes: number): boolean {
    const have = this.#view.byteLength;
    if (bytes <= have) return true;
    let size = have === 0 ? STREAM_PREFIX_BYTES_MIN : have;
    while (size < bytes) size *= 2;
    if (size > this.#bytesMax) size = this.#bytesMax;
    if (bytes > size || (this.#budget !== undefined && !this.#budget.take(size - have))) {
      this.#overflowed = true;
      return false;
    }
    const grown = createView(size);
    copyBytes(this.#view, 0, grown, 0, have);
    this.#view = grown;
    return true;
  }
}
