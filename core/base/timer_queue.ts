/** Deadlines of many owners, each with one: the earliest is found at once. */
import { type Micros, NEVER } from "./micros.ts";

const NOWHERE = -1;
const SIZE_MIN = 64;

function grownInts(old: Int32Array, size: number): Int32Array {
  const grown = new Int32Array(size).fill(NOWHERE);
  grown.set(old);
  return grown;
}

function grownTimes(old: Float64Array, size: number): Float64Array {
  const grown = new Float64Array(size).fill(NEVER);
  grown.set(old);
  return grown;
}

/**
 * A binary heap of owners (small integers) by deadline.
 *
 * A deadline that moves later only notes the new time; the heap is mended when the old time comes. TCP's retransmission timer moves later
 * with every acknowledgment, so that the usual move costs one store.
 */
export class TimerQueue {
  /** Shape: the owner at each place of the heap. */
  #heap: Int32Array = new Int32Array(SIZE_MIN).fill(NOWHERE);
  /** Shape: indexed by owner. */
  #place: Int32Array = new Int32Array(SIZE_MIN).fill(NOWHERE);
  /** The time by which an owner is ordered; never later than what it wants. Shape: indexed by owner. */
  #key: Float64Array = new Float64Array(SIZE_MIN).fill(NEVER);
  /** Shape: indexed by owner. */
  #wanted: Float64Array = new Float64Array(SIZE_MIN).fill(NEVER);
  #count = 0;

  /** Owners with a deadline, those not yet mended included. */
  get count(): number {
    return this.#count;
  }

  /** Sets an owner's deadline; `NEVER` takes it out. */
  set(owner: number, at: Micros): void {
    if (owner >= this.#place.length) this.#grow(owner);
    this.#wanted[owner] = at;
    const place = this.#place[owner]!;
    if (place === NOWHERE) {
      if (at === NEVER) return;
      this.#key[owner] = at;
      const end = this.#count++;
      this.#heap[end] = owner;
      this.#place[owner] = end;
      this.#up(end);
      return;
    }
    if (at >= this.#key[owner]!) return;
    this.#key[owner] = at;
    this.#up(place);
  }

  /** Forgets an owner. */
  delete(owner: number): void {
    if (owner >= this.#place.length) return;
    const place = this.#place[owner]!;
    this.#wanted[owner] = NEVER;
    if (place === NOWHERE) return;
    this.#removeAt(place);
  }

  /** When something may be due; never later than the earliest deadline. */
  next(): Micros {
    this.#mend();
    return (this.#count === 0 ? NEVER : this.#key[this.#heap[0]!]!) as Micros;
  }

  /** Takes an owner whose deadline has come, or −1. Its deadline is then `NEVER`. */
  takeDue(now: Micros): number {
    this.#mend();
    if (this.#count === 0) return NOWHERE;
    const owner = this.#heap[0]!;
    if (this.#key[owner]! > now) return NOWHERE;
    this.#wanted[owner] = NEVER;
    this.#removeAt(0);
    return owner;
  }

  /** Brings the root up to date: its deadline may have moved later, or away. */
  #mend(): void {
    while (this.#count > 0) {
      const owner = this.#heap[0]!;
      const wanted = this.#wanted[owner]!;
      if (wanted === this.#key[owner]!) return;
      if (wanted === NEVER) {
        this.#removeAt(0);
        continue;
      }
      this.#key[owner] = wanted;
      this.#down(0);
    }
  }

  #removeAt(place: number): void {
    const owner = this.#heap[place]!;
    this.#place[owner] = NOWHERE;
    this.#key[owner] = NEVER;
    const end = --this.#count;
    const moved = this.#heap[end]!;
    this.#heap[end] = NOWHERE;
    if (place === end) return;
    this.#heap[place] = moved;
    this.#place[moved] = place;
    this.#up(place);
    this.#down(this.#place[moved]!);
  }

  #up(from: number): void {
    const heap = this.#heap;
    const owner = heap[from]!;
    const key = this.#key[owner]!;
    let place = from;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const other = heap[above]!;
      if (this.#key[other]! <= key) break;
      heap[place] = other;
      this.#place[other] = place;
      place = above;
    }
    heap[place] = owner;
    this.#place[owner] = place;
  }

  #down(from: number): void {
    const heap = this.#heap;
    const owner = heap[from]!;
    const key = this.#key[owner]!;
    let place = from;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= this.#count) break;
      if (below + 1 < this.#count && this.#key[heap[below + 1]!]! < this.#key[heap[below]!]!) below++;
      const other = heap[below]!;
      if (this.#key[other]! >= key) break;
      heap[place] = other;
      this.#place[other] = place;
      place = below;
    }
    heap[place] = owner;
    this.#place[owner] = place;
  }

  #grow(owner: number): void {
    let size = this.#place.length;
    while (size <= owner) size *= 2;
    this.#heap = grownInts(this.#heap, size);
    this.#place = grownInts(this.#place, size);
    this.#key = grownTimes(this.#key, size);
    this.#wanted = grownTimes(this.#wanted, size);
  }
}
