/** What a simulated proxy server looks like: the other half of a protocol, as a state machine of bytes. */
import { ByteQueue } from "../../core/outbound/byte_queue.ts";
import type { Destination } from "../../core/outbound/tunnel.ts";

/** One connection of a client to a simulated server. */
export interface ServerTunnel {
  /** Where the client wants to go; undefined while it has not said so. */
  readonly destination: Destination | undefined;
  /** What the client carries over the stream: undefined while it has not said so. */
  readonly network: "tcp" | "udp" | undefined;
  /** What goes back to the client. */
  readonly toClient: ByteQueue;
  /** What the client said to its destination. */
  readonly toTarget: ByteQueue;
  /** True once the client has said all. */
  readonly isClientDone: boolean;
  /** One sentence when the client makes no sense, or is not let in; the server closes then. */
  readonly refusal: string | undefined;
  receive(bytes: Uint8Array): void;
  receiveEnd(): void;
  /** The destination is reached: what a server says then. Called once the destination is known. */
  accept(): void;
  /** Takes bytes of the destination. */
  write(bytes: Uint8Array): void;
  /** The destination has said all. True when the connection is to be closed for that. */
  end(): boolean;
}

/** Queues and state that all of them share. */
export class ServerState {
  readonly toClient: ByteQueue = new ByteQueue();
  readonly toTarget: ByteQueue = new ByteQueue();
  protected readonly received: ByteQueue = new ByteQueue();
  destination: Destination | undefined = undefined;
  network: "tcp" | "udp" | undefined = undefined;
  isClientDone = false;
  refusal: string | undefined = undefined;

  receiveEnd(): void {
    this.isClientDone = true;
  }

  write(bytes: Uint8Array): void {
    this.toClient.push(bytes);
  }

  end(): boolean {
    return true;
  }

  accept(): void {}

  /** Gives the client up. */
  protected refuse(why: string): void {
    this.refusal ??= why;
  }

  /** Takes bytes in and reads on until `step` has nothing more to read. */
  protected readOn(bytes: Uint8Array, step: () => boolean): void {
    this.received.push(bytes);
    while (this.refusal === undefined && step()) { /* a step further */ }
  }
}
