/** Bytes that a program has for a connection that takes them only bit by bit, and the end behind them. */
import type { Micros } from "../../core/base/micros.ts";
import type { ByteQueue } from "../../core/outbound/byte_queue.ts";
import type { Socket } from "../world/application.ts";

/** What waits, in order: what the connection did not take, then the queue. */
export class OutgoingBytes {
  readonly #queue: ByteQueue;
  #rest: Uint8Array | undefined = undefined;

  constructor(queue: ByteQueue) {
    this.#queue = queue;
  }

  /** Units: bytes. */
  get length(): number {
    return this.#queue.length + (this.#rest?.length ?? 0);
  }

  /** Sends what the connection takes. True when anything went. */
  send(socket: Socket, now: Micros): boolean {
    let hasMoved = false;
    for (;;) {
      const chunk = this.#rest ?? this.#queue.shift();
      if (chunk === undefined) return hasMoved;
      const count = Math.max(0, socket.send(chunk, 0, chunk.length, now));
      this.#rest = count < chunk.length ? chunk.subarray(count) : undefined;
      if (count > 0) hasMoved = true;
      if (count < chunk.length) return hasMoved;
    }
  }

  /** Copies the next bytes out for a reader. Units: bytes. */
  read(into: Uint8Array, at: number, length: number): number {
    const chunk = this.#rest ?? this.#queue.shift();
    if (chunk === undefined) return 0;
    const count = Math.min(length, chunk.length);
    into.set(chunk.subarray(0, count), at);
    this.#rest = count < chunk.length ? chunk.subarray(count) : undefined;
    return count;
  }
}
