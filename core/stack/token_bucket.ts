/** How often something may happen: so many at once, so many a second. */
import { type Micros, SECOND_US } from "../base/micros.ts";

/** A token bucket. */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  /** Shape: [tokens, time of the last look]. */
  readonly #state: Float64Array;

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#state = new Float64Array([burst, 0]);
  }

  /** True when it may happen now; then one token is gone. */
  take(now: Micros): boolean {
    const state = this.#state;
    const gained = state[0]! + (now - state[1]!) * this.#perSecond / SECOND_US;
    const tokens = gained < this.#burst ? gained : this.#burst;
    state[1] = now;
    state[0] = tokens < 1 ? tokens : tokens - 1;
    return tokens >= 1;
  }
}
