/**
 * A thread without any permission, which runs `policy_worker.ts`.
 *
 * From Deno 2.9 on `Worker.terminate()` waits for the thread's event loop, so that a thread in a busy loop burns on until the process ends
 * (2.7 kills it). Therefore the loops of a script stop by themselves (see `core/policy/time_checks.ts`), and killing is for what they cannot
 * see: a regular expression that backtracks for ever. A program that ran a policy should end by `Deno.exit`.
 */
import { policyWorkerUrl } from "./policy_sources.ts";

/** What is told about the thread. */
export interface ThreadListener {
  /** A message of the thread; `undefined` for one that could not be read. */
  message(data: unknown): void;
  /** The thread ended by itself. */
  ended(message: string): void;
}

/** A running `policy_worker.ts`. */
export class PolicyThread {
  readonly #worker: Worker;
  #killed = false;

  constructor(listener: ThreadListener) {
    this.#worker = new Worker(policyWorkerUrl(), { type: "module", name: "policy", deno: { permissions: "none" } });
    this.#worker.onmessage = (event) => this.#killed || listener.message(event.data);
    this.#worker.onmessageerror = () => this.#killed || listener.message(undefined);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      if (!this.#killed) listener.ended(String(event.message).slice(0, 200));
    };
  }

  /** Sends a message. */
  post(message: unknown): void {
    this.#worker.postMessage(message);
  }

  /** Ends the thread. */
  kill(): void {
    this.#killed = true;
    this.#worker.terminate();
  }
}
