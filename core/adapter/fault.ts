/** A bad path in front of any device: a wrapper that is an adapter, for tests with real kernels and for simulations. */
import { FAULT_BATCH_PACKETS_MAX, FAULT_QUEUE_PACKETS_MAX } from "../base/limits.ts";
import { type Micros, micros, NEVER } from "../base/micros.ts";
import type { Prng } from "../base/prng.ts";
import type { Adapter, Capabilities } from "./adapter.ts";
import { type Arena, NO_SLOT, type Slot } from "./arena.ts";
import { type FaultOptions, FaultPlan } from "./fault_plan.ts";
import { copyPacket, HeldPackets } from "./held_packets.ts";

/** Where every packet of one direction ends: offered + duplicated = passed + lost + overflowed + refused + held. Units: packets. */
export interface FaultCounts {
  offered: number;
  duplicated: number;
  passed: number;
  lost: number;
  /** The queue was full. */
  overflowed: number;
  /** The device did not take it. */
  refused: number;
  held: number;
  /** Those among `passed` and `held` that were damaged or held back. */
  corrupted: number;
  reordered: number;
}

function createCounts(): FaultCounts {
  return {
    offered: 0,
    duplicated: 0,
    passed: 0,
    lost: 0,
    overflowed: 0,
    refused: 0,
    held: 0,
    corrupted: 0,
    reordered: 0,
  };
}

/** True when no packet vanished and none ended twice. */
export function faultLawHolds(counts: FaultCounts): boolean {
  return counts.held >= 0 && counts.offered + counts.duplicated ===
      counts.passed + counts.lost + counts.overflowed + counts.refused + counts.held;
}

/** Which faults in which direction. */
export interface FaultAdapterOptions {
  /** For packets that are received. */
  readonly inbound: FaultOptions;
  /** For packets that are sent. */
  readonly outbound: FaultOptions;
  /** Packets that wait in one direction; more are lost. */
  readonly queuePacketsMax?: number;
}

/** One direction: its fate, its queue, its counts. */
class FaultPath {
  readonly plan: FaultPlan;
  readonly held: HeldPackets;
  readonly counts: FaultCounts = createCounts();
  readonly #queuePacketsMax: number;

  constructor(options: FaultOptions, prng: Prng, queuePacketsMax: number) {
    this.plan = new FaultPlan(options, prng);
    this.held = new HeldPackets(queuePacketsMax + FAULT_BATCH_PACKETS_MAX);
    this.#queuePacketsMax = queuePacketsMax;
  }

  /** Carries on a packet whose fate is drawn, not lost, and whose copy `slot` is in `held.arena`. */
  enter(slot: Slot, now: Micros): void {
    const arena = this.held.arena;
    if (this.held.count >= this.#queuePacketsMax) {
      this.counts.overflowed++;
      arena.release(slot);
      return;
    }
    if (this.plan.isDuplicated) this.#double(slot, now);
    if (this.plan.isCorrupted) {
      this.counts.corrupted++;
      this.plan.corrupt(arena.bytes, arena.at(slot), arena.length[slot]!);
      arena.vouched[slot] = 0;
    }
    if (this.plan.isReordered) this.counts.reordered++;
    this.held.hold(slot, this.plan.due(now));
    this.counts.held++;
  }

  #double(slot: Slot, now: Micros): void {
    this.counts.duplicated++;
    const copy = this.held.count + 1 < this.#queuePacketsMax ? this.held.arena.acquire() : NO_SLOT;
    if (copy === NO_SLOT) {
      this.counts.overflowed++;
      return;
    }
    copyPacket(this.held.arena, slot, this.held.arena, copy);
    this.held.hold(copy, this.plan.due(now));
    this.counts.held++;
  }
}

/**
 * Loses, doubles, damages, delays and reorders packets in both directions; what it draws depends on the seed alone.
 *
 * Packets that wait leave when somebody calls `receive`, `send` or `flush` at or after `nextDue`.
 */
export class FaultAdapter implements Adapter {
  readonly #inner: Adapter;
  readonly #inbound: FaultPath;
  readonly #outbound: FaultPath;

  constructor(inner: Adapter, options: FaultAdapterOptions, prng: Prng) {
    const queuePacketsMax = options.queuePacketsMax ?? FAULT_QUEUE_PACKETS_MAX;
    this.#inner = inner;
    this.#inbound = new FaultPath(options.inbound, prng.fork("fault-inbound"), queuePacketsMax);
    this.#outbound = new FaultPath(options.outbound, prng.fork("fault-outbound"), queuePacketsMax);
  }

  get capabilities(): Capabilities {
    return this.#inner.capabilities;
  }

  /** What became of the packets received. */
  get inbound(): Readonly<FaultCounts> {
    return this.#inbound.counts;
  }

  /** What became of the packets sent. */
  get outbound(): Readonly<FaultCounts> {
    return this.#outbound.counts;
  }

  /** When the next held packet wants to go on, here or in the device; `NEVER` when none is held. */
  get nextDue(): Micros {
    const own = Math.min(this.#inbound.held.nextDue, this.#outbound.held.nextDue);
    return micros(Math.min(own, this.#inner.nextDue ?? NEVER));
  }

  /** Changes how bad the path is from now on; packets that are under way keep their fate. */
  change(inbound: FaultOptions, outbound: FaultOptions): void {
    this.#inbound.plan.options = inbound;
    this.#outbound.plan.options = outbound;
  }

  receive(arena: Arena, now: Micros): number {
    this.flush(now);
    this.#takeIn(now);
    const path = this.#inbound;
    let count = 0;
    while (arena.freeCount > 0) {
      const from = path.held.takeDue(now);
      if (from === NO_SLOT) break;
      const slot = arena.acquire();
      copyPacket(path.held.arena, from, arena, slot);
      path.held.arena.release(from);
      arena.arrive(slot);
      path.counts.held--;
      path.counts.passed++;
      count++;
    }
    return count;
  }

  #takeIn(now: Micros): void {
    const path = this.#inbound;
    const arena = path.held.arena;
    this.#inner.receive(arena, now);
    for (let slot = arena.take(); slot !== NO_SLOT; slot = arena.take()) {
      path.counts.offered++;
      path.plan.draw();
      if (path.plan.isLost) {
        path.counts.lost++;
        arena.release(slot);
      } else path.enter(slot, now);
    }
  }

  /** A packet that is lost on the way was sent: the answer is true. Only a device that is full at once is told of. */
  send(arena: Arena, slot: Slot, now: Micros): boolean {
    this.flush(now);
    const path = this.#outbound;
    const plan = path.plan;
    path.counts.offered++;
    plan.draw();
    if (plan.isLost) {
      path.counts.lost++;
      return true;
    }
    const isPlain = !plan.isDuplicated && !plan.isCorrupted && !plan.isReordered;
    const isAtOnce = plan.options.delayUs === 0 && plan.options.jitterUs === 0 && path.held.count === 0;
    if (isPlain && isAtOnce) return this.#pass(arena, slot, now);
    const copy = path.held.arena.acquire();
    if (copy === NO_SLOT) {
      path.counts.overflowed++;
      return true;
    }
    copyPacket(arena, slot, path.held.arena, copy);
    path.enter(copy, now);
    this.flush(now);
    return true;
  }

  /** Sends what is due. */
  flush(now: Micros): void {
    const path = this.#outbound;
    const arena = path.held.arena;
    for (let slot = path.held.takeDue(now); slot !== NO_SLOT; slot = path.held.takeDue(now)) {
      path.counts.held--;
      this.#pass(arena, slot, now);
      arena.release(slot);
    }
  }

  #pass(arena: Arena, slot: Slot, now: Micros): boolean {
    const taken = this.#inner.send(arena, slot, now);
    if (taken) this.#outbound.counts.passed++;
    else this.#outbound.counts.refused++;
    return taken;
  }

  ready(): Promise<void> {
    return this.#inner.ready();
  }

  close(): void {
    this.#inner.close();
  }
}
