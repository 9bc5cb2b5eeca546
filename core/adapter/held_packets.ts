/** Packets on their way through a path: an arena of their own, taken out in the order of their due times. */
import { type Micros, micros, NEVER } from "../base/micros.ts";
import { Arena, NO_SLOT, type Slot } from "./arena.ts";

/** Copies a packet with all that its device said of it. */
export function copyPacket(from: Arena, slot: Slot, to: Arena, into: Slot): void {
  const at = from.at(slot);
  const target = to.at(into);
  if (from === to) to.bytes.copyWithin(target, at, at + from.length[slot]!);
  else to.bytes.set(from.bytes.subarray(at, at + from.length[slot]!), target);
  to.length[into] = from.length[slot]!;
  to.wireLength[into] = from.wireLength[slot]!;
  to.direction[into] = from.direction[slot]!;
  to.frame[into] = from.frame[slot]!;
  to.tag[into] = from.tag[slot]!;
  to.changed[into] = from.changed[slot]!;
  to.segmentBytes[into] = from.segmentBytes[slot]!;
  to.vouched[into] = from.vouched[slot]!;
}

/** A heap of slots, earliest first; slots that are due together leave as they came. */
export class HeldPackets {
  readonly arena: Arena;
  readonly #due: Float64Array;
  readonly #order: Float64Array;
  readonly #heap: Int32Array;
  #count = 0;
  #arrivals = 0;

  /** `arena` is where the slots come from; without it, one of their own. */
  constructor(slotCount: number, arena: Arena = new Arena(slotCount)) {
    this.arena = arena;
    this.#due = new Float64Array(slotCount);
    this.#order = new Float64Array(slotCount);
    this.#heap = new Int32Array(slotCount);
  }

  /** Packets that wait. */
  get count(): number {
    return this.#count;
  }

  /** When the first packet is due; `NEVER` when none waits. */
  get nextDue(): Micros {
    return this.#count === 0 ? NEVER : micros(this.#due[this.#heap[0]!]!);
  }

  /** Lets an acquired slot of `arena` wait until `due`. */
  hold(slot: Slot, due: Micros): void {
    this.#due[slot] = due;
    this.#order[slot] = this.#arrivals++;
    this.#up(slot, this.#count++);
  }

  /** Makes a packet that waits due earlier. The search is linear: for what happens now and then. */
  hasten(slot: Slot, due: Micros): void {
    if (due >= this.#due[slot]!) return;
    for (let place = 0; place < this.#count; place++) {
      if (this.#heap[place] !== slot) continue;
      this.#due[slot] = due;
      this.#order[slot] = this.#arrivals++;
      this.#up(slot, place);
      return;
    }
  }

  #up(slot: Slot, place: number): void {
    let child = place;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.#isBefore(slot, this.#heap[parent]!)) break;
      this.#heap[child] = this.#heap[parent]!;
      child = parent;
    }
    this.#heap[child] = slot;
  }

  /** Takes the first packet that is due at `now`, or `NO_SLOT`; the slot goes back with `arena.release`. */
  takeDue(now: Micros): Slot {
    // The end of time is later than every due time, and than none.
    if (this.#count === 0 || this.nextDue > now) return NO_SLOT;
    const first = this.#heap[0]!;
    const last = this.#heap[--this.#count]!;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.#count) break;
      if (child + 1 < this.#count && this.#isBefore(this.#heap[child + 1]!, this.#heap[child]!)) child++;
      if (!this.#isBefore(this.#heap[child]!, last)) break;
      this.#heap[at] = this.#heap[child]!;
      at = child;
    }
    if (this.#count > 0) this.#heap[at] = last;
    return first;
  }

  #isBefore(a: Slot, b: Slot): boolean {
    const difference = this.#due[a]! - this.#due[b]!;
    return difference < 0 || (difference === 0 && this.#order[a]! < this.#order[b]!);
  }
}
