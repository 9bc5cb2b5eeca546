/** Another try where the way to a proxy's server failed: it may be there again, or its group may have another one by then. Source: mihomo tunnel/tunnel.go. */
import { DIAL_AGAIN_MS_MAX, DIAL_AGAIN_MS_MIN, DIAL_TRIES_MAX, DIAL_TRIES_US } from "../base/limits.ts";
import { type Micros, MILLISECOND_US } from "../base/micros.ts";
import type { DialResult } from "./dial.ts";

/** Time as this needs it. */
export interface AgainClock {
  now(): Micros;
  /** Resolves after so many ms, or when `signal` says that nobody waits any more. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

/** Dials until there is a connection, or an error that another try would not change, or the time is over. Never rejects when `dial` does not. */
export async function dialAgain(
  dial: () => Promise<DialResult>,
  clock: AgainClock,
  signal: AbortSignal,
): Promise<DialResult> {
  const until = clock.now() + DIAL_TRIES_US;
  let waitMs = DIAL_AGAIN_MS_MIN;
  for (let tries = 1;; tries++) {
    const result = await dial();
    if (result.stream !== undefined || result.isPassing !== true || tries >= DIAL_TRIES_MAX) return result;
    if (signal.aborted || clock.now() + waitMs * MILLISECOND_US >= until) return result;
    await clock.wait(waitMs, signal);
    if (signal.aborted) return result;
    waitMs = Math.min(2 * waitMs, DIAL_AGAIN_MS_MAX);
  }
}

/** Waits with a timer of the host. */
export function waitOnHost(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
