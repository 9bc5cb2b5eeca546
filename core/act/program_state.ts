/** What a step of a packet program remembers from one packet to the next, and how it turns arrival times into leaving times. */
import { PROGRAM_REORDER_WAITING_MAX } from "../base/limits.ts";
import { type Micros, micros, SECOND_US } from "../base/micros.ts";
import type { Filter } from "../filter/mod.ts";
import type { ProgramStep } from "../decide/packet_program.ts";

/** The denominator of odds. */
export const ODDS_PPM = 1_000_000;

/** A packet may not leave in time: the throttle's queue is full. */
export const OVERFLOW: Micros = micros(-1);

/** Times of one direction through one step. */
export class StepPath {
  /** When the last packet that keeps the order leaves. */
  #lastDue = 0;
  /** When the throttle's line has carried all it was given, a burst in advance. */
  #lineFreeAt = -Infinity;
  /** Units: bytes that copies may still have, as of `#ceilingAt`. */
  #ceilingBytes: number;
  #ceilingAt = 0;
  /** Packets that wait to be overtaken: their tokens and how many are still to come, by place. */
  readonly waitingSlot = new Int32Array(PROGRAM_REORDER_WAITING_MAX).fill(-1);
  readonly waitingToken = new Float64Array(PROGRAM_REORDER_WAITING_MAX);
  readonly waitingLeft = new Int32Array(PROGRAM_REORDER_WAITING_MAX);

  constructor(ceilingBurst: number) {
    this.#ceilingBytes = ceilingBurst;
  }

  /** When a packet that comes at `at` and takes `delayUs` leaves, so that the order is kept. */
  inOrder(at: Micros, delayUs: number): Micros {
    const due = at + delayUs;
    if (due > this.#lastDue) this.#lastDue = due;
    return micros(this.#lastDue);
  }

  /** When a throttle lets a packet go that comes at `at`, or `OVERFLOW`. Units: bytes and bytes per second. */
  throttled(at: Micros, length: number, rate: number, burst: number, queue: number): Micros {
    const earliest = at - burst * SECOND_US / rate;
    const begins = this.#lineFreeAt > earliest ? this.#lineFreeAt : earliest;
    const ends = begins + length * SECOND_US / rate;
    const waits = ends - at;
    if (waits > 0 && waits * rate / SECOND_US > queue) return OVERFLOW;
    this.#lineFreeAt = ends;
    return waits > 0 ? micros(Math.ceil(ends)) : at;
  }

  /** Takes a copy's bytes out of the ceiling; false when it has not so many. Units: bytes and bytes per second. */
  takeCeiling(now: Micros, length: number, rate: number, burst: number): boolean {
    const gained = this.#ceilingBytes + (now - this.#ceilingAt) * rate / SECOND_US;
    this.#ceilingBytes = gained < burst ? gained : burst;
    this.#ceilingAt = now;
    if (this.#ceilingBytes < length) return false;
    this.#ceilingBytes -= length;
    return true;
  }

  /** A place for a packet that waits to be overtaken, −1 when there is none. */
  freePlace(): number {
    for (let place = 0; place < this.waitingSlot.length; place++) if (this.waitingSlot[place] === -1) return place;
    return -1;
  }
}

/** Copies may burst as long as the ceiling carries in this time, but for at least two packets. Units: µs, bytes. */
const CEILING_BURST_US = 100_000;
const CEILING_BURST_BYTES_MIN = 3_000;

/** A step with all its fields in place, so that every packet reads the same shape. Units: as in `StepFields`. */
export class RunningStep {
  readonly filter: Filter | undefined;
  readonly oddsPpm: number;
  readonly drop: boolean;
  readonly corrupt: boolean;
  readonly copies: number;
  readonly isAdaptive: boolean;
  readonly ceilingRate: number;
  readonly ceilingBurst: number;
  readonly throttleRate: number;
  readonly throttleBurst: number;
  readonly throttleQueue: number;
  /** True when the step takes a time; then the order is kept by it. */
  readonly isDelaying: boolean;
  readonly delayUs: number;
  readonly jitterUs: number;
  readonly reorderUs: number;
  readonly reorderDistance: number;
  readonly outbound: StepPath;
  readonly inbound: StepPath;

  constructor(step: ProgramStep) {
    this.filter = step.filter;
    this.oddsPpm = step.oddsPpm ?? ODDS_PPM;
    this.drop = step.drop === true;
    this.corrupt = step.corrupt === true;
    this.copies = step.duplicate ?? 1;
    this.isAdaptive = step.adaptive === true;
    this.ceilingRate = step.ceilingBytesPerSecond ?? 0;
    this.ceilingBurst = Math.max(CEILING_BURST_BYTES_MIN, this.ceilingRate * CEILING_BURST_US / SECOND_US);
    this.throttleRate = step.throttle?.bytesPerSecond ?? 0;
    this.throttleBurst = step.throttle?.burstBytes ?? 0;
    this.throttleQueue = step.throttle?.queueBytes ?? 0;
    this.delayUs = step.delayUs ?? 0;
    this.jitterUs = step.jitterUs ?? 0;
    this.isDelaying = this.delayUs > 0 || this.jitterUs > 0;
    this.reorderUs = step.reorderUs ?? 0;
    this.reorderDistance = step.reorderDistance ?? 0;
    this.outbound = new StepPath(this.ceilingBurst);
    this.inbound = new StepPath(this.ceilingBurst);
  }
}
