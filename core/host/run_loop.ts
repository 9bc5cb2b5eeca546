/** The live loop: packets, timers and sockets take turns on one thread. */
import { setImmediate } from "node:timers";
import type { Adapter } from "../adapter/adapter.ts";
import { RUN_POLLS_PER_TURN_MAX, RUN_SLEEP_MS_MAX } from "../base/limits.ts";
import { type Micros, micros, MILLISECOND_US } from "../base/micros.ts";
import type { StackLoop } from "./tcp_conn.ts";

/** What the loop drives. */
export interface LoopBody {
  /** Does what can be done now. Answers when it wants to be called again; `now` or earlier means at once: there is more. */
  turn(now: Micros): Micros;
}

/** The time since an origin of its own, from the machine's monotonic clock. */
export function monotonicClock(): Micros {
  return micros(Math.round(performance.now() * MILLISECOND_US));
}

/**
 * Calls its body when the device has packets, when a timer is due, and when a socket has given the stack something.
 *
 * While there is more to do it only yields to the event loop; a call on another thread waits for the device when there is not.
 */
export class RunLoop implements StackLoop {
  readonly #adapter: Adapter;
  readonly #clock: () => Micros;
  #body: LoopBody | undefined = undefined;
  #finish: ((error?: Error) => void) | undefined = undefined;
  #isScheduled = false;
  #isWaiting = false;
  #timer: ReturnType<typeof setTimeout> | undefined = undefined;
  #timerAt = Infinity;

  constructor(adapter: Adapter, clock: () => Micros = monotonicClock) {
    this.#adapter = adapter;
    this.#clock = clock;
  }

  now(): Micros {
    return this.#clock();
  }

  touched(): void {
    this.#schedule();
  }

  /** Runs until `signal` says stop. Errors: rejects when the device is gone, or when the body throws: its own mistake. */
  async run(body: LoopBody, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const stop = () => this.#finish?.();
    const ended = new Promise<void>((resolve, reject) => {
      this.#finish = (error) => error === undefined ? resolve() : reject(error);
    });
    this.#body = body;
    signal.addEventListener("abort", stop, { once: true });
    this.#schedule();
    try {
      await ended;
    } finally {
      signal.removeEventListener("abort", stop);
      clearTimeout(this.#timer);
      this.#body = undefined;
      this.#finish = undefined;
    }
  }

  #schedule(): void {
    if (this.#isScheduled || this.#body === undefined) return;
    this.#isScheduled = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#isScheduled = false;
    const body = this.#body;
    if (body === undefined) return;
    try {
      for (let poll = 0; poll < RUN_POLLS_PER_TURN_MAX; poll++) {
        const now = this.#clock();
        const deadline = body.turn(now);
        if (deadline > now) return this.#sleep(now, deadline);
      }
      this.#schedule();
    } catch (error) {
      this.#finish?.(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #sleep(now: Micros, deadline: Micros): void {
    if (!this.#isWaiting) {
      this.#isWaiting = true;
      this.#adapter.ready().then(() => {
        this.#isWaiting = false;
        // A turn that is scheduled comes at once; else there is no reason to wait for one.
        if (!this.#isScheduled) this.#turn();
      }, (error) => this.#finish?.(error));
    }
    const at = Math.min(deadline, now + RUN_SLEEP_MS_MAX * MILLISECOND_US);
    // A timer that comes too early costs a turn, setting one costs as much: it is moved only when it would come too late.
    if (this.#timer !== undefined && this.#timerAt <= at && this.#timerAt > now) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#schedule();
    }, Math.ceil((at - now) / MILLISECOND_US));
  }
}
