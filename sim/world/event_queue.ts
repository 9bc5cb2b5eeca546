/** What will happen in a virtual world, earliest first; what happens at the same time keeps the order in which it was planned. */
import { type Micros, NEVER } from "../../core/base/micros.ts";

/** One thing that will happen. */
export interface WorldEvent {
  readonly at: Micros;
  /** The place among all events ever planned. */
  readonly order: number;
  readonly run: (now: Micros) => void;
}

/** A binary heap of events. */
export class EventQueue {
  readonly #heap: WorldEvent[] = [];
  #planned = 0;

  get length(): number {
    return this.#heap.length;
  }

  /** When the next event is; `NEVER` without one. */
  get nextAt(): Micros {
    return this.#heap.length === 0 ? NEVER : this.#heap[0]!.at;
  }

  /** Plans an event. */
  push(at: Micros, run: (now: Micros) => void): void {
    const event = { at, order: this.#planned++, run };
    const heap = this.#heap;
    let child = heap.length;
    heap.push(event);
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[child] = heap[parent]!;
      child = parent;
    }
    heap[child] = event;
  }

  /** Takes the next event. */
  pop(): WorldEvent | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: WorldEvent, b: WorldEvent): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
