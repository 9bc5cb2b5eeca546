/**
 * How much may be in flight: the part that differs between algorithms.
 *
 * Read first: RFC 5681 section 3.1, RFC 9438.
 */
import type { Micros } from "../../base/micros.ts";

/** What an algorithm sees of a connection, and moves. Units: bytes and µs. */
export interface CongestionView {
  cwnd: number;
  ssthresh: number;
  readonly sendMss: number;
  readonly srttUs: number;
  readonly minRttUs: number;
}

/** One algorithm, with its state of one connection. */
export interface CongestionControl {
  /** An ACK brought `ackedBytes` outside of recovery while the window was the limit. */
  increase(view: CongestionView, ackedBytes: number, now: Micros): void;
  /** A loss or an ECN mark: the new slow start threshold for what was in flight. */
  reduced(view: CongestionView, flightBytes: number): number;
  /** A retransmission timeout came; `reduced` was asked before. */
  timedOut(view: CongestionView): void;
  /** The last reduction, and the timeout if there was one, proved needless: its own variables are as before it. */
  restore(): void;
  /** Nothing was sent for `idleUs`. */
  idled(idleUs: number): void;
}

/** The window that slow start begins with. Source: RFC 6928 section 2, with the number of segments free. */
export function initialWindow(sendMss: number, segments: number): number {
  if (segments !== 10) return segments * sendMss;
  const floor = 14_600 > 2 * sendMss ? 14_600 : 2 * sendMss;
  return 10 * sendMss < floor ? 10 * sendMss : floor;
}

/** Slow start: grows by what was acknowledged, up to the threshold. Returns the bytes that were not used. Source: RFC 3465 without its bound. */
export function slowStart(view: CongestionView, ackedBytes: number): number {
  const room = view.ssthresh - view.cwnd;
  const used = ackedBytes < room ? ackedBytes : room;
  view.cwnd += used;
  return ackedBytes - used;
}
