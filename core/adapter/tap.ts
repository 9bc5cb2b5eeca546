/** Shows every packet that passes a device to a sink: for captures, checkers and counters. */
import { type Micros, NEVER } from "../base/micros.ts";
import type { Adapter, Capabilities } from "./adapter.ts";
import type { Arena, Slot } from "./arena.ts";

/** Sees a packet where it lies; the slot stays as it is. `isReceived` is false for packets that are sent. */
export type TapSink = (arena: Arena, slot: Slot, isReceived: boolean, now: Micros) => void;

/** Hands on every packet that the device gave, and every one that it took. */
export class PcapTap implements Adapter {
  readonly #inner: Adapter;
  readonly #sink: TapSink;

  constructor(inner: Adapter, sink: TapSink) {
    this.#inner = inner;
    this.#sink = sink;
  }

  get capabilities(): Capabilities {
    return this.#inner.capabilities;
  }

  /** When the device wants to be asked again; `NEVER` when it holds nothing back. */
  get nextDue(): Micros {
    return this.#inner.nextDue ?? NEVER;
  }

  receive(arena: Arena, now: Micros): number {
    const before = arena.arrivedCount;
    const count = this.#inner.receive(arena, now);
    for (let i = before; i < arena.arrivedCount; i++) this.#sink(arena, arena.arrivedAt(i), true, now);
    return count;
  }

  send(arena: Arena, slot: Slot, now: Micros): boolean {
    if (!this.#inner.send(arena, slot, now)) return false;
    this.#sink(arena, slot, false, now);
    return true;
  }

  ready(): Promise<void> {
    return this.#inner.ready();
  }

  close(): void {
    this.#inner.close();
  }
}
