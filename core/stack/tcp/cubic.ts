/**
 * CUBIC: the window follows a cubic curve of time around the size at which the last loss came.
 *
 * Read first: RFC 9438 sections 4.1 to 4.8.
 */
import { type Micros, SECOND_US } from "../../base/micros.ts";
import { type CongestionControl, type CongestionView, slowStart } from "./congestion.ts";

/** Source: RFC 9438 section 4.6. */
const BETA = 0.7;
/** Units: segments / s³. Source: RFC 9438 section 5. */
const C = 0.4;
/** Source: RFC 9438 section 4.3. */
const ALPHA = (3 * (1 - BETA)) / (1 + BETA);

/** Numbers that a connection's curve consists of. */
const VARIABLES = 6;

/** The state of one connection. Windows are counted in segments here, as the RFC has them. */
export class Cubic implements CongestionControl {
  /**
   * Shape: [wMax, k (s), epoch start (µs, −1 none), wEst, cwnd at the epoch's start, wMax before the last reduction], and the same once more as
   * the last reduction found it.
   */
  readonly #state = new Float64Array([0, 0, -1, 0, 0, 0, 0, 0, -1, 0, 0, 0]);

  /** Grows the window. Source: RFC 9438 sections 4.2 to 4.5. */
  increase(view: CongestionView, ackedBytes: number, now: Micros): void {
    let left = ackedBytes;
    if (view.cwnd < view.ssthresh) left = slowStart(view, ackedBytes);
    if (left === 0) return;
    const state = this.#state;
    const mss = view.sendMss;
    const window = view.cwnd / mss;
    if (state[2]! < 0) this.#startEpoch(window, now);
    const acked = left / mss;
    const alpha = state[3]! < state[5]! ? ALPHA : 1;
    state[3] = state[3]! + alpha * (acked / window);
    const seconds = (now - state[2]! + view.srttUs) / SECOND_US - state[1]!;
    let target = C * seconds * seconds * seconds + state[0]!;
    if (target < window) target = window;
    if (target > 1.5 * window) target = 1.5 * window;
    let grown = window + (target - window) / window * acked;
    if (grown < state[3]!) grown = state[3]!;
    view.cwnd = Math.floor(grown * mss);
    this.#keepFraction(view, grown * mss);
  }

  /** 0.7 of what was in flight; shared capacity is released faster. Source: RFC 9438 sections 4.6 and 4.7. */
  reduced(view: CongestionView, flightBytes: number): number {
    const state = this.#state;
    const window = view.cwnd / view.sendMss;
    for (let i = 0; i < VARIABLES; i++) state[VARIABLES + i] = state[i]!;
    this.#fractionBefore = this.#fraction;
    state[5] = window;
    state[0] = window < state[0]! ? window * (1 + BETA) / 2 : window;
    state[2] = -1;
    this.#fraction = 0;
    const flight = flightBytes < view.cwnd ? flightBytes : view.cwnd;
    const reduced = Math.floor(flight * BETA);
    return reduced > 2 * view.sendMss ? reduced : 2 * view.sendMss;
  }

  /** The next epoch begins where slow start ends. Source: RFC 9438 section 4.8. */
  timedOut(_view: CongestionView): void {
    this.#state[2] = -1;
  }

  /** Goes on along the curve that the last reduction left. Source: RFC 9438 section 4.9. */
  restore(): void {
    const state = this.#state;
    for (let i = 0; i < VARIABLES; i++) state[i] = state[VARIABLES + i]!;
    this.#fraction = this.#fractionBefore;
  }

  /** Time without data does not count. Source: RFC 9438 section 5.8. */
  idled(idleUs: number): void {
    if (this.#state[2]! >= 0) this.#state[2] = this.#state[2]! + idleUs;
  }

  #startEpoch(window: number, now: Micros): void {
    const state = this.#state;
    state[2] = now;
    state[3] = window;
    state[4] = window;
    if (state[0]! < window) {
      state[0] = window;
      state[1] = 0;
    } else state[1] = Math.cbrt((state[0]! - window) / C);
  }

  /** Windows are whole bytes; what is cut off is added when it makes a byte. */
  #keepFraction(view: CongestionView, exact: number): void {
    this.#fraction += exact - view.cwnd;
    if (this.#fraction < 1) return;
    this.#fraction -= 1;
    view.cwnd += 1;
  }

  #fraction = 0;
  #fractionBefore = 0;
}
