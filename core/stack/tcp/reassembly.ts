/**
 * The stretches of bytes that arrived ahead of a hole. The bytes themselves lie in the receive ring, where they belong.
 *
 * Read first: RFC 9293 section 3.10.7.4 (seventh), RFC 2018 section 4 (which stretches to report first).
 */
import { TCP_REASSEMBLY_RANGE_COUNT_MAX } from "../../base/limits.ts";
import { seqLess, seqLessOrEqual } from "../../wire/seq.ts";

const ROW = 3;
const ROWS_MIN = 4;
const NO_ROWS = new Int32Array(0);

function createRows(count: number): Int32Array {
  return new Int32Array(count * ROW);
}

/** Ranges in order of sequence number. Shape of a row: start, end, number of the arrival that touched it last. */
export class Reassembly {
  #rows: Int32Array = NO_ROWS;
  #arrivals = 0;
  count = 0;

  /** First sequence number of a range. */
  start(index: number): number {
    return this.#rows[index * ROW]!;
  }
  /** The sequence number after a range. */
  end(index: number): number {
    return this.#rows[index * ROW + 1]!;
  }

  /** Memory held. Units: bytes. */
  get memoryBytes(): number {
    return this.#rows.byteLength;
  }

  /** Forgets all ranges. */
  clear(): void {
    this.count = 0;
    this.#rows = NO_ROWS;
  }

  /** True when `start` … `end` lies in one range already. */
  covers(start: number, end: number): boolean {
    for (let i = 0; i < this.count; i++) {
      if (seqLessOrEqual(this.start(i), start) && seqLessOrEqual(end, this.end(i))) return true;
    }
    return false;
  }

  /** Index of the first range that has sequence numbers in common with `start` … `end`, or −1. */
  overlapping(start: number, end: number): number {
    for (let i = 0; i < this.count; i++) {
      if (seqLess(this.start(i), end) && seqLess(start, this.end(i))) return i;
    }
    return -1;
  }

  /** Adds a stretch, joining those that it touches. False: it would have been one range too many. */
  add(start: number, end: number): boolean {
    let first = 0;
    while (first < this.count && seqLess(this.end(first), start)) first++;
    let from = start;
    let to = end;
    let last = first;
    while (last < this.count && seqLessOrEqual(this.start(last), end)) {
      if (seqLess(this.start(last), from)) from = this.start(last);
      if (seqLess(to, this.end(last))) to = this.end(last);
      last++;
    }
    if (last === first && !this.#insert(first)) return false;
    if (last > first + 1) this.#remove(first + 1, last - first - 1);
    const rows = this.#rows;
    rows[first * ROW] = from;
    rows[first * ROW + 1] = to;
    rows[first * ROW + 2] = ++this.#arrivals;
    return true;
  }

  /** Takes the ranges that `next` has reached; returns where the contiguous bytes end now. */
  take(next: number): number {
    let end = next;
    let taken = 0;
    while (taken < this.count && seqLessOrEqual(this.start(taken), end)) {
      if (seqLess(end, this.end(taken))) end = this.end(taken);
      taken++;
    }
    if (taken > 0) this.#remove(0, taken);
    if (this.count === 0 && this.#rows.length > ROWS_MIN * ROW) this.#rows = NO_ROWS;
    return end;
  }

  /** Index of the range that was touched last before the arrival `before`, or −1; ask with `stamp()` of the answer for the next one. */
  mostRecent(before: number): number {
    let best = -1;
    for (let i = 0; i < this.count; i++) {
      const stamp = this.stamp(i);
      if (stamp < before && (best < 0 || stamp > this.stamp(best))) best = i;
    }
    return best;
  }

  /** Number of the arrival that touched a range last. */
  stamp(index: number): number {
    return this.#rows[index * ROW + 2]!;
  }

  /** Counts a range as touched now. */
  touch(index: number): void {
    this.#rows[index * ROW + 2] = ++this.#arrivals;
  }

  #insert(index: number): boolean {
    if (this.count >= TCP_REASSEMBLY_RANGE_COUNT_MAX) return false;
    if ((this.count + 1) * ROW > this.#rows.length) {
      const grown = createRows(this.count === 0 ? ROWS_MIN : this.count * 2);
      grown.set(this.#rows);
      this.#rows = grown;
    }
    this.#rows.copyWithin((index + 1) * ROW, index * ROW, this.count * ROW);
    this.count++;
    return true;
  }

  #remove(index: number, count: number): void {
    this.#rows.copyWithin(index * ROW, (index + count) * ROW, this.count * ROW);
    this.count -= count;
  }
}
