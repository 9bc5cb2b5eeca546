/**
 * What may be said to strangers: no more bytes than strangers sent, and a small allowance. So nobody who lies about where he is can make us
 * send somebody else more than he sends himself.
 *
 * Read first: RFC 5358 section 3 and RFC 9000 section 8 (why amplification matters), RFC 4987 section 3.
 */
import { STACK_CREDIT_BYTES, STACK_CREDIT_BYTES_MAX } from "../base/limits.ts";
import { Metric, type StackMetrics } from "./stack_metrics.ts";

/** Bytes that may be answered with. A stranger is whoever has not shown that packets to his address reach him. */
export class ReplyCredit {
  /** Shape: [bytes that may leave, answers that did not]. */
  readonly #state = new Float64Array([STACK_CREDIT_BYTES, 0]);
  readonly #metrics: StackMetrics | undefined;

  constructor(metrics?: StackMetrics) {
    this.#metrics = metrics;
  }

  /** Bytes that may leave now. */
  get bytes(): number {
    return this.#state[0]!;
  }

  /** Answers that were not sent for want of credit. */
  get refusedCount(): number {
    return this.#state[1]!;
  }

  /** A stranger sent so much, or proved not to be one. Units: bytes of IP packets. */
  earn(bytes: number): void {
    const sum = this.#state[0]! + bytes;
    this.#state[0] = sum < STACK_CREDIT_BYTES_MAX ? sum : STACK_CREDIT_BYTES_MAX;
  }

  /** True when an answer of so many bytes may leave; then they are paid for. */
  spend(bytes: number): boolean {
    const left = this.#state[0]! - bytes;
    if (left < 0) {
      this.#state[1] = this.#state[1]! + 1;
      if (this.#metrics !== undefined) this.#metrics.add(Metric.CreditLacking);
      return false;
    }
    this.#state[0] = left;
    return true;
  }
}
