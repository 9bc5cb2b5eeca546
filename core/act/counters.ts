/** Where every packet ends: received = delivered + consumed + queued + Σ dropped. */
import { DROP_REASON_COUNT, DROP_REASON_NAMES, type DropReason } from "../parse/drop_reason.ts";

const RECEIVED = 0;
const DELIVERED = 1;
const CONSUMED = 2;
const QUEUED = 3;
const GENERATED = 4;
const DROPPED = 5;

/** One counter for each way a packet can end. Units: packets. */
export class Counters {
  readonly #values = new Float64Array(DROPPED + DROP_REASON_COUNT);

  /** A packet came in; it is queued until it ends. */
  receive(): void {
    this.#values[RECEIVED] = this.#values[RECEIVED]! + 1;
    this.#values[QUEUED] = this.#values[QUEUED]! + 1;
  }
  /** A packet went on to where it was going. */
  deliver(): void {
    this.#end(DELIVERED);
  }
  /** A packet was taken in: its flow is carried on in another way. */
  consume(): void {
    this.#end(CONSUMED);
  }
  /** A packet ended for a reason. */
  drop(reason: DropReason): void {
    this.#end(DROPPED + reason);
  }
  /** A packet was made here: a reset, an ICMP error, a duplicate. It is outside the law. */
  generate(): void {
    this.#values[GENERATED] = this.#values[GENERATED]! + 1;
  }

  #end(index: number): void {
    this.#values[index] = this.#values[index]! + 1;
    this.#values[QUEUED] = this.#values[QUEUED]! - 1;
  }

  get received(): number {
    return this.#values[RECEIVED]!;
  }
  get delivered(): number {
    return this.#values[DELIVERED]!;
  }
  get consumed(): number {
    return this.#values[CONSUMED]!;
  }
  get queued(): number {
    return this.#values[QUEUED]!;
  }
  get generated(): number {
    return this.#values[GENERATED]!;
  }
  /** Packets dropped for one reason. */
  dropped(reason: DropReason): number {
    return this.#values[DROPPED + reason]!;
  }

  /** The reasons that occurred, by name. */
  droppedByName(): Record<string, number> {
    const named: Record<string, number> = {};
    for (let reason = 1; reason < DROP_REASON_COUNT; reason++) {
      const count = this.#values[DROPPED + reason]!;
      if (count > 0) named[DROP_REASON_NAMES[reason]!] = count;
    }
    return named;
  }

  /** True when nothing vanished and nothing ended twice. */
  lawHolds(): boolean {
    let dropped = 0;
    for (let reason = 1; reason < DROP_REASON_COUNT; reason++) dropped += this.#values[DROPPED + reason]!;
    return this.#values[QUEUED]! >= 0 &&
      this.received === this.delivered + this.consumed + this.queued + dropped && this.#values[DROPPED] === 0;
  }
}
