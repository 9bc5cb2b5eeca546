/** Bytes from one stream to another and back, with backpressure: what is not written yet stops the reading. */
import { BufferPool } from "../base/byte_ring.ts";
import {
  RELAY_BUFFER_BYTES_MAX,
  RELAY_BUFFER_BYTES_MIN,
  RELAY_BUFFERS_KEPT_BYTES_MAX,
  RELAY_HALF_CLOSED_IDLE_US,
  TCP_IDLE_US,
} from "../base/limits.ts";
import type { Micros } from "../base/micros.ts";
import type { Duplex } from "./duplex.ts";

/** How a relay ended: both sides closed in peace, a side broke, or nothing was said for too long. */
export type RelayEnd = "closed" | "broken" | "idle";

/** Buffers of all relays; one that waits for bytes of our own stack holds none. */
const BUFFERS = new BufferPool(RELAY_BUFFERS_KEPT_BYTES_MAX);

/** A read that fills its buffer wants a larger one; after small ones a connection falls silent with a small one. */
function nextBytes(bytes: number, read: number): number {
  if (read === bytes) return Math.min(2 * bytes, RELAY_BUFFER_BYTES_MAX);
  return read * 8 < bytes ? Math.max(bytes / 2, RELAY_BUFFER_BYTES_MIN) : bytes;
}

/** One relay. `near` is the application's side, `far` the server's. */
export class Relay {
  /** Units: bytes that were handed on. */
  upload = 0;
  download = 0;
  readonly #near: Duplex;
  readonly #far: Duplex;
  readonly #clock: () => Micros;
  #lastActive: Micros;
  #closedHalves = 0;
  #end: RelayEnd | undefined = undefined;

  constructor(near: Duplex, far: Duplex, clock: () => Micros) {
    this.#near = near;
    this.#far = far;
    this.#clock = clock;
    this.#lastActive = clock();
  }

  /** Relays until both halves are closed or something breaks; then both streams are closed. Never rejects. */
  async run(): Promise<RelayEnd> {
    await Promise.all([this.#carry(this.#near, this.#far, true), this.#carry(this.#far, this.#near, false)]);
    if (this.#end === undefined) {
      this.#end = "closed";
      this.#near.close();
      this.#far.close();
    }
    return this.#end;
  }

  /** Ends a relay that has been silent for too long; one with a closed half has less time. */
  expire(now: Micros): void {
    const limitUs = this.#closedHalves > 0 ? RELAY_HALF_CLOSED_IDLE_US : TCP_IDLE_US;
    if (now - this.#lastActive >= limitUs) this.#break("idle");
  }

  /** Breaks both sides off at once. */
  abort(): void {
    this.#break("broken");
  }

  /** One side's failure is told to the other as it is: a reset becomes a reset. */
  #break(end: RelayEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#near.abort();
    this.#far.abort();
  }

  async #handOn(buffer: Uint8Array, read: number, to: Duplex, isUpload: boolean): Promise<void> {
    for (let at = 0; at < read;) at += await to.write(buffer.subarray(at, read));
    if (isUpload) this.upload += read;
    else this.download += read;
    this.#lastActive = this.#clock();
  }

  async #carry(from: Duplex, to: Duplex, isUpload: boolean): Promise<void> {
    try {
      let bytes = RELAY_BUFFER_BYTES_MIN;
      for (;;) {
        if (from.whenReadable !== undefined) await from.whenReadable();
        const buffer = BUFFERS.take(bytes);
        const read = await from.read(buffer);
        if (read !== null) await this.#handOn(buffer, read, to, isUpload);
        // Where something failed, somebody may still hold the buffer: then it is not lent again.
        BUFFERS.give(buffer);
        if (read === null) break;
        bytes = nextBytes(bytes, read);
      }
      this.#closedHalves++;
      await to.closeWrite();
    } catch {
      this.#break("broken");
    }
  }
}
