/**
 * Runs packet programs: a packet goes in, and it and its copies leave, wait or end.
 *
 * ```
 *  packet ──► step 1 ──► step 2 ──► … ──► leaves now
 *               │          │                └──► waits until it is due ──► leaves
 *               │ drop     └─ copy ──► step 3 ──► …
 *               ▼
 *            DropReason.ProgramDrop
 * ```
 * A packet that came in keeps its slot while it waits, and counts as queued; copies count as generated when they leave.
 */
import type { Adapter, Capabilities } from "../adapter/adapter.ts";
import { type Arena, Direction, NO_SLOT, NO_TAG, type Slot } from "../adapter/arena.ts";
import { copyPacket, HeldPackets } from "../adapter/held_packets.ts";
import {
  PROGRAM_COPIES_MAX,
  PROGRAM_COUNT_MAX,
  PROGRAM_HELD_PACKETS_MAX,
  PROGRAM_REORDER_WAIT_US,
} from "../base/limits.ts";
import { addMicros, type Micros } from "../base/micros.ts";
import type { Prng } from "../base/prng.ts";
import type { PacketProgram } from "../decide/packet_program.ts";
import type { FilterAddress } from "../filter/address.ts";
import { DropReason } from "../parse/drop_reason.ts";
import { PacketMeta } from "../parse/packet_meta.ts";
import { parse, Verify } from "../parse/parse.ts";
import type { Counters } from "./counters.ts";
import { ProgramCounts } from "./program_counts.ts";
import { LossSense } from "./program_loss.ts";
import { ODDS_PPM, OVERFLOW, RunningStep, type StepPath } from "./program_state.ts";

/** No program. */
export const NO_PROGRAM = 0;

/** Where a packet of a program goes: on through the device, into our stack, or out of our stack to the device. */
const Route = { Forward: 0, Stack: 1, Emit: 2 } as const;
type Route = (typeof Route)[keyof typeof Route];

/** Takes packets that have come through a program on their way into our stack; it releases the slot. */
export interface StackEntrance {
  /** `isCopy`: it is outside the law of counters. */
  enterStack(slot: Slot, isCopy: boolean, now: Micros): void;
}

/** What a filter may ask of a packet's address. */
class PacketAddress implements FilterAddress {
  outbound = false;
  loopback = false;
}

/** A program that is running. */
class Running {
  readonly program: PacketProgram;
  readonly steps: readonly RunningStep[];
  readonly sense: LossSense | undefined;
  readonly counts = new ProgramCounts();

  constructor(program: PacketProgram) {
    this.program = program;
    this.steps = program.steps.map((step) => new RunningStep(step));
    this.sense = this.steps.some((step) => step.isAdaptive) ? new LossSense() : undefined;
  }
}

/** How one packet and its copies stand while they go through a program. */
class Walk {
  route: Route = Route.Forward;
  isOutbound = true;
  isLossy = false;
  /** The slot that belongs to the stack and must not be released here, or `NO_SLOT`. */
  borrowed: Slot = NO_SLOT;
  copiesLeft = 0;
}

/** Walks within walks: a packet that enters the stack may make it send at once, whose packet may go through a program as well. */
const WALK_DEPTH_MAX = 4;

/** All programs of one engine. */
export class ProgramRunner {
  readonly #arena: Arena;
  readonly #adapter: Adapter;
  readonly #counters: Counters;
  readonly #entrance: StackEntrance;
  readonly #prng: Prng;
  readonly #held: HeldPackets;
  readonly #running: Running[] = [];
  readonly #ids = new Map<string, number>();
  readonly #walks: Walk[] = [];
  #depth = 0;
  readonly #address = new PacketAddress();
  readonly #meta = new PacketMeta();
  /** Columns of held slots: where they go, whether they are copies, whose they are, which wait they belong to (0: none). */
  readonly #route: Uint8Array;
  readonly #isCopy: Uint8Array;
  readonly #owner: Int16Array;
  readonly #token: Float64Array;
  #tokens = 0;

  constructor(arena: Arena, adapter: Adapter, counters: Counters, entrance: StackEntrance, prng: Prng) {
    this.#arena = arena;
    this.#adapter = adapter;
    this.#counters = counters;
    this.#entrance = entrance;
    this.#prng = prng;
    this.#held = new HeldPackets(arena.slotCount, arena);
    this.#route = new Uint8Array(arena.slotCount);
    this.#isCopy = new Uint8Array(arena.slotCount);
    this.#owner = new Int16Array(arena.slotCount);
    this.#token = new Float64Array(arena.slotCount);
    for (let depth = 0; depth < WALK_DEPTH_MAX; depth++) this.#walks.push(new Walk());
  }

  /** The number of a program, the same for each that has the same key. `NO_PROGRAM` for none, and when there are too many. */
  idOf(program: PacketProgram | undefined): number {
    if (program === undefined || program.steps.length === 0) return NO_PROGRAM;
    const known = this.#ids.get(program.key);
    if (known !== undefined) return known;
    if (this.#running.length >= PROGRAM_COUNT_MAX) return NO_PROGRAM;
    const id = this.#running.push(new Running(program));
    this.#ids.set(program.key, id);
    return id;
  }

  /** Packets that wait. */
  get heldCount(): number {
    return this.#held.count;
  }

  /** When the first packet that waits is due; `NEVER` when none waits. */
  get nextDue(): Micros {
    return this.#held.nextDue;
  }

  /** Every program with what it did, in the order in which they came up. */
  results(): readonly { readonly program: PacketProgram; readonly counts: ProgramCounts }[] {
    return this.#running;
  }

  /** Takes a packet that goes on through the device; it ends here. */
  forward(id: number, slot: Slot, isOutbound: boolean, now: Micros): void {
    this.#start(id, slot, Route.Forward, isOutbound, NO_SLOT, now);
  }

  /** Takes a packet on its way into our stack, or into the system's by translation. */
  enter(id: number, slot: Slot, isOutbound: boolean, now: Micros): void {
    this.#start(id, slot, Route.Stack, isOutbound, NO_SLOT, now);
  }

  /** Takes a packet of our stack; the slot stays the stack's. */
  emit(id: number, slot: Slot, now: Micros): void {
    this.#start(id, slot, Route.Emit, false, slot, now);
  }

  /** Lets go what is due. */
  poll(now: Micros): void {
    for (let slot = this.#held.takeDue(now); slot !== NO_SLOT; slot = this.#held.takeDue(now)) {
      this.#token[slot] = 0;
      const counts = this.#running[this.#owner[slot]! - 1]!.counts;
      this.#leave(slot, this.#route[slot] as Route, this.#isCopy[slot] === 1, NO_SLOT, counts, now);
    }
  }

  /** Lets everything go at once: the device will be closed. */
  flush(now: Micros): void {
    while (this.#held.count > 0) {
      const slot = this.#held.takeDue(this.#held.nextDue);
      this.#token[slot] = 0;
      const counts = this.#running[this.#owner[slot]! - 1]!.counts;
      this.#leave(slot, this.#route[slot] as Route, this.#isCopy[slot] === 1, NO_SLOT, counts, now);
    }
  }

  #start(id: number, slot: Slot, route: Route, isOutbound: boolean, borrowed: Slot, now: Micros): void {
    const running = this.#running[id - 1]!;
    running.counts.packets++;
    if (this.#depth >= WALK_DEPTH_MAX) return this.#leave(slot, route, false, borrowed, running.counts, now);
    const walk = this.#walks[this.#depth++]!;
    walk.route = route;
    walk.isOutbound = isOutbound;
    walk.borrowed = borrowed;
    walk.copiesLeft = PROGRAM_COPIES_MAX - 1;
    walk.isLossy = running.sense !== undefined && running.sense.sense(this.#arena, slot, isOutbound, now);
    this.#go(running, id, walk, slot, false, 0, now, now);
    this.#depth--;
  }

  /** Sends a packet through the steps from `first` on; `at` is when it comes there. */
  #go(
    running: Running,
    id: number,
    walk: Walk,
    slot: Slot,
    isCopy: boolean,
    first: number,
    arrival: Micros,
    now: Micros,
  ): void {
    const { steps, counts } = running;
    let at = arrival;
    let place = -1;
    let waitsAt: StepPath | undefined = undefined;
    for (let i = first; i < steps.length; i++) {
      const step = steps[i]!;
      const path = walk.isOutbound ? step.outbound : step.inbound;
      if (step.reorderDistance > 0) this.#passWaiting(path, now);
      if (!this.#applies(step, slot, walk.isOutbound)) continue;
      if (step.drop) return this.#end(slot, isCopy, walk, DropReason.ProgramDrop, counts);
      if (step.corrupt && !this.#corrupt(slot, walk.route, counts)) {
        return this.#end(slot, isCopy, walk, DropReason.ProgramCorrupt, counts);
      }
      if (step.throttleRate > 0) {
        const { throttleRate, throttleBurst, throttleQueue } = step;
        at = path.throttled(at, this.#arena.length[slot]!, throttleRate, throttleBurst, throttleQueue);
        if (at === OVERFLOW) return this.#end(slot, isCopy, walk, DropReason.ProgramOverflow, counts);
      }
      if (step.isDelaying) {
        const jitterUs = step.jitterUs > 0 ? this.#prng.below(step.jitterUs + 1) : 0;
        at = path.inOrder(at, step.delayUs + jitterUs);
      }
      if (step.reorderUs > 0) {
        counts.reordered++;
        at = addMicros(at, this.#prng.between(1, step.reorderUs));
      } else if (step.reorderDistance > 0 && waitsAt === undefined) {
        place = path.freePlace();
        if (place >= 0) {
          counts.reordered++;
          path.waitingLeft[place] = step.reorderDistance;
          waitsAt = path;
          at = addMicros(at, PROGRAM_REORDER_WAIT_US);
        }
      }
      if (step.copies > 1 && this.#mayCopy(step, walk, counts)) {
        return this.#multiply(running, id, walk, slot, isCopy, i, at, now);
      }
    }
    if (at <= now) return this.#leave(slot, walk.route, isCopy, walk.borrowed, counts, now);
    const held = this.#hold(slot, id, isCopy, walk, counts, at);
    if (held !== NO_SLOT && waitsAt !== undefined) {
      this.#token[held] = ++this.#tokens;
      waitsAt.waitingSlot[place] = held;
      waitsAt.waitingToken[place] = this.#tokens;
    }
  }

  #applies(step: RunningStep, slot: Slot, isOutbound: boolean): boolean {
    if (step.filter !== undefined) {
      const arena = this.#arena;
      const address = this.#address;
      address.outbound = isOutbound;
      address.loopback = isLoopback(arena, slot);
      if (!step.filter.matchesAt(arena.bytes, arena.at(slot), arena.length[slot]!, address)) return false;
    }
    return step.oddsPpm >= ODDS_PPM || (step.oddsPpm > 0 && this.#prng.chance(step.oddsPpm, ODDS_PPM));
  }

  #mayCopy(step: RunningStep, walk: Walk, counts: ProgramCounts): boolean {
    if (!step.isAdaptive || walk.isLossy) return true;
    counts.quiet++;
    return false;
  }

  /** Makes a step's copies; the original goes on first. */
  #multiply(
    running: Running,
    id: number,
    walk: Walk,
    slot: Slot,
    isCopy: boolean,
    index: number,
    at: Micros,
    now: Micros,
  ): void {
    const arena = this.#arena;
    const step = running.steps[index]!;
    const path = walk.isOutbound ? step.outbound : step.inbound;
    let first: Slot = NO_SLOT;
    for (let copy = 1; copy < step.copies; copy++) {
      const length = arena.length[slot]!;
      const isUnder = step.ceilingRate === 0 || path.takeCeiling(now, length, step.ceilingRate, step.ceilingBurst);
      const made = isUnder && walk.copiesLeft > 0 ? arena.acquire() : NO_SLOT;
      if (made === NO_SLOT) {
        running.counts.copiesUnmade++;
        continue;
      }
      walk.copiesLeft--;
      copyPacket(arena, slot, arena, made);
      arena.tag[made] = NO_TAG;
      // The device knows nothing of the copy, not even that its checksums were still to be computed.
      if (this.#adapter.capabilities.checksumsVouched) arena.changed[made] = 1;
      arena.flow[made] = arena.flow[slot]!;
      arena.next[made] = first;
      first = made;
    }
    this.#go(running, id, walk, slot, isCopy, index + 1, at, now);
    for (let copy = first; copy !== NO_SLOT;) {
      const next = arena.next[copy]!;
      arena.next[copy] = NO_SLOT;
      this.#go(running, id, walk, copy, true, index + 1, at, now);
      copy = next;
    }
  }

  /** Counts a packet for those that wait to be overtaken; the last one they waited for lets them go. */
  #passWaiting(path: StepPath, now: Micros): void {
    for (let place = 0; place < path.waitingSlot.length; place++) {
      const slot = path.waitingSlot[place]!;
      if (slot === -1) continue;
      const left = path.waitingLeft[place]! - 1;
      path.waitingLeft[place] = left;
      const isGone = this.#token[slot] !== path.waitingToken[place];
      if (left > 0 && !isGone) continue;
      path.waitingSlot[place] = -1;
      // It leaves with the next poll, and so after the packet that is in hand.
      if (!isGone) this.#held.hasten(slot, now);
    }
  }

  /** Damages one byte that a checksum covers. False where nothing would notice: the packet is to be lost instead. */
  #corrupt(slot: Slot, route: Route, counts: ProgramCounts): boolean {
    counts.corrupted++;
    if (route === Route.Stack) return false;
    if (route === Route.Emit && this.#adapter.capabilities.checksumsComputed === true) return false;
    const arena = this.#arena;
    const meta = this.#meta;
    const isRead = parse(arena, slot, Verify.None, meta) === DropReason.None;
    const from = !isRead ? 0 : meta.payloadLength > 0 ? meta.payloadAt - meta.ipAt : meta.transportAt - meta.ipAt;
    const length = arena.length[slot]! - from;
    if (length <= 0) return true;
    const at = arena.at(slot) + from + this.#prng.below(length);
    arena.bytes[at] = arena.bytes[at]! ^ this.#prng.between(1, 255);
    // A checksum that is computed anew would hide the damage.
    arena.changed[slot] = 0;
    return true;
  }

  /** Lets a packet wait; `NO_SLOT` when it was lost instead. */
  #hold(slot: Slot, id: number, isCopy: boolean, walk: Walk, counts: ProgramCounts, due: Micros): Slot {
    const arena = this.#arena;
    const isFull = this.#held.count >= PROGRAM_HELD_PACKETS_MAX;
    let keep: Slot = isFull ? NO_SLOT : slot;
    if (!isFull && slot === walk.borrowed) {
      keep = arena.acquire();
      if (keep !== NO_SLOT) copyPacket(arena, slot, arena, keep);
    }
    if (keep === NO_SLOT) {
      this.#end(slot, isCopy, walk, DropReason.ProgramOverflow, counts);
      return NO_SLOT;
    }
    counts.held++;
    this.#route[keep] = walk.route;
    this.#isCopy[keep] = isCopy ? 1 : 0;
    this.#owner[keep] = id;
    this.#token[keep] = 0;
    this.#held.hold(keep, due);
    return keep;
  }

  #end(slot: Slot, isCopy: boolean, walk: Walk, reason: DropReason, counts: ProgramCounts): void {
    if (isCopy) counts.copiesLost++;
    else {
      if (reason === DropReason.ProgramDrop) counts.dropped++;
      else if (reason === DropReason.ProgramOverflow) counts.overflowed++;
      // What the stack emits was never received: it is outside the law.
      if (walk.route !== Route.Emit) this.#counters.drop(reason);
    }
    if (slot !== walk.borrowed) this.#arena.release(slot);
  }

  #leave(slot: Slot, route: Route, isCopy: boolean, borrowed: Slot, counts: ProgramCounts, now: Micros): void {
    if (route === Route.Stack) {
      if (isCopy) counts.copies++;
      return this.#entrance.enterStack(slot, isCopy, now);
    }
    const isSent = this.#adapter.send(this.#arena, slot, now);
    if (isCopy) {
      if (isSent) {
        counts.copies++;
        this.#counters.generate();
      } else counts.copiesLost++;
    } else if (route === Route.Forward) {
      if (isSent) this.#counters.deliver();
      else this.#counters.drop(DropReason.DeviceFull);
    }
    if (slot !== borrowed) this.#arena.release(slot);
  }
}

/** True for a packet from 127.0.0.0/8 or ::1. */
function isLoopback(arena: Arena, slot: Slot): boolean {
  const { bytes } = arena;
  const at = arena.at(slot);
  if (bytes[at]! >>> 4 === 4) return bytes[at + 12] === 127;
  for (let i = 8; i < 23; i++) if (bytes[at + i] !== 0) return false;
  return bytes[at + 23] === 1;
}

/** The device as our stack sees it: packets of flows with a program go through it on their way to the device. */
export class ProgramDevice implements Adapter {
  readonly #adapter: Adapter;
  readonly #runner: ProgramRunner;
  readonly #programOfFlow: Int16Array;

  constructor(adapter: Adapter, runner: ProgramRunner, programOfFlow: Int16Array) {
    this.#adapter = adapter;
    this.#runner = runner;
    this.#programOfFlow = programOfFlow;
  }

  get capabilities(): Capabilities {
    return this.#adapter.capabilities;
  }

  /** A packet that a program keeps or loses was sent as far as the stack is concerned. */
  send(arena: Arena, slot: Slot, now: Micros): boolean {
    const flow = arena.flow[slot]!;
    const program = flow < 0 ? NO_PROGRAM : this.#programOfFlow[flow]!;
    if (program === NO_PROGRAM) return this.#adapter.send(arena, slot, now);
    if (arena.direction[slot] === Direction.Unknown) arena.direction[slot] = Direction.Inbound;
    this.#runner.emit(program, slot, now);
    return true;
  }

  receive(): number {
    return 0;
  }

  ready(): Promise<void> {
    return this.#adapter.ready();
  }

  close(): void {}
}
