/** The state that all stream tunnels share. */
import { ByteQueue } from "./byte_queue.ts";
import type { TunnelFailure, TunnelState } from "./tunnel.ts";

/** Queues, state and ends of one tunnel; protocols extend it. */
export class StreamState {
  readonly toServer: ByteQueue = new ByteQueue();
  readonly toApplication: ByteQueue = new ByteQueue();
  #state: TunnelState;
  #failure: TunnelFailure | undefined = undefined;
  #isServerDone = false;
  #closesTransport = false;

  constructor(state: TunnelState) {
    this.#state = state;
  }

  /** Where the tunnel stands. */
  get state(): TunnelState {
    return this.#state;
  }

  /** Why it does not stand. */
  get failure(): TunnelFailure | undefined {
    return this.#failure;
  }

  /** True once the server has said all. */
  get isServerDone(): boolean {
    return this.#isServerDone;
  }

  /** True once the transport's sending half may be closed. */
  get closesTransport(): boolean {
    return this.#closesTransport;
  }

  /** The server agreed. */
  protected opened(): void {
    if (this.#state === "opening") this.#state = "open";
  }

  /** The tunnel is broken; the first reason stays. */
  protected fail(kind: TunnelFailure["kind"], message: string): void {
    if (this.#state === "failed") return;
    this.#state = "failed";
    this.#failure = { kind, message };
  }

  /** The server has said all. */
  protected serverDone(): void {
    this.#isServerDone = true;
  }

  /** What is in `toServer` is the last. */
  protected closeTransport(): void {
    this.#closesTransport = true;
  }
}
