/**
 * Reno: one segment more a round trip, half after a loss.
 *
 * Read first: RFC 5681 section 3.1, RFC 3465 (counting bytes).
 */
import type { Micros } from "../../base/micros.ts";
import { type CongestionControl, type CongestionView, slowStart } from "./congestion.ts";

/** The state of one connection: bytes acknowledged towards the next segment of growth. */
export class Reno implements CongestionControl {
  #acked = 0;
  #ackedBefore = 0;

  /** Grows the window. */
  increase(view: CongestionView, ackedBytes: number, _now: Micros): void {
    let left = ackedBytes;
    if (view.cwnd < view.ssthresh) left = slowStart(view, ackedBytes);
    if (left === 0) return;
    this.#acked += left;
    while (this.#acked >= view.cwnd) {
      this.#acked -= view.cwnd;
      view.cwnd += view.sendMss;
    }
  }

  /** Half of what was in flight, two segments at least. Source: RFC 5681 equation 4. */
  reduced(view: CongestionView, flightBytes: number): number {
    this.#ackedBefore = this.#acked;
    this.#acked = 0;
    const half = Math.floor(flightBytes / 2);
    return half > 2 * view.sendMss ? half : 2 * view.sendMss;
  }

  /** Nothing to remember. */
  timedOut(_view: CongestionView): void {
    this.#acked = 0;
  }

  /** Goes on from where the last reduction found it. */
  restore(): void {
    this.#acked = this.#ackedBefore;
  }

  /** Nothing that depends on time. */
  idled(_idleUs: number): void {}
}
