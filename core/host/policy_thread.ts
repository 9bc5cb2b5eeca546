/**
 * A thread without any permission that can be killed even while it runs in a circle.
 *
 * Deno's `Worker` can be without permissions, but since 2.9 its `terminate()` waits for the thread's event loop, which a busy loop never
 * reaches: the thread burns on, and the process cannot end. A worker of `node:worker_threads` is killed at once with all that it started, but has
 * every permission. So: a small node worker of ours starts the Worker that runs the script, and hands it one end of a channel.
 *
 * ```
 * host ──terminate()──► keeper (node:worker_threads, our code only) ──starts──► script (Worker, permissions: "none")
 *   └──────────────────────────── MessageChannel ──────────────────────────────────┘
 * ```
 */
import { Worker as NodeWorker } from "node:worker_threads";
import { policyWorkerUrl } from "./policy_sources.ts";

const KEEPER = `
import { parentPort } from "node:worker_threads";
parentPort.once("message", ({ url, port }) => {
  const script = new Worker(url, { type: "module", name: "policy", deno: { permissions: "none" } });
  script.addEventListener("error", (event) => {
    event.preventDefault();
    parentPort.postMessage(String(event.message).slice(0, 200));
  });
  script.postMessage(port, [port]);
});`;

/** What is told about the thread. */
export interface ThreadListener {
  /** A message of the thread; `undefined` for one that could not be read. */
  message(data: unknown): void;
  /** The thread ended by itself. */
  ended(message: string): void;
}

/** A running `policy_worker.ts`. */
export class PolicyThread {
  readonly #keeper: NodeWorker;
  readonly #port: MessagePort;
  #killed = false;

  constructor(listener: ThreadListener) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    port1.onmessage = (event) => this.#killed || listener.message(event.data);
    port1.onmessageerror = () => this.#killed || listener.message(undefined);
    this.#keeper = new NodeWorker(new URL(`data:text/javascript,${encodeURIComponent(KEEPER)}`));
    const ended = (what: unknown) =>
      this.#killed || listener.ended(what instanceof Error ? what.message : String(what));
    this.#keeper.on("message", ended);
    this.#keeper.on("error", ended);
    this.#keeper.on("exit", ended);
    // deno-lint-ignore no-explicit-any
    this.#keeper.postMessage({ url: policyWorkerUrl(), port: port2 }, [port2 as any]);
  }

  /** Sends a message. */
  post(message: unknown): void {
    this.#port.postMessage(message);
  }

  /** Ends the thread, whatever it does. Resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.#killed) return;
    this.#killed = true;
    this.#port.close();
    await this.#keeper.terminate();
  }
}
