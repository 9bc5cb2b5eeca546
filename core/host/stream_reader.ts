/** Reads exact pieces and lines out of a `Duplex`. */
import { TUNNEL_READ_BYTES } from "../base/limits.ts";
import { ByteQueue } from "../outbound/byte_queue.ts";
import type { Duplex } from "./duplex.ts";

/** What was read and not asked for yet waits here. */
export class StreamReader {
  readonly #stream: Duplex;
  readonly #queue = new ByteQueue();
  readonly #buffer = new Uint8Array(TUNNEL_READ_BYTES);

  constructor(stream: Duplex) {
    this.#stream = stream;
  }

  /** False at the end of the stream. */
  async #fill(): Promise<boolean> {
    const count = await this.#stream.read(this.#buffer);
    if (count !== null) this.#queue.push(this.#buffer.slice(0, count));
    return count !== null;
  }

  /** Exactly so many bytes. Undefined when the stream ends before. */
  async take(count: number): Promise<Uint8Array | undefined> {
    while (this.#queue.length < count) if (!await this.#fill()) return undefined;
    return this.#queue.take(count);
  }

  /** A line without its end. Undefined when the stream ends before, or the line is longer than `bytesMax`. */
  async line(bytesMax: number): Promise<string | undefined> {
    for (let length = 0;; length++) {
      if (length > bytesMax) return undefined;
      while (this.#queue.length <= length) if (!await this.#fill()) return undefined;
      if (this.#queue.peek(length) !== 10) continue;
      const text = new TextDecoder("latin1").decode(this.#queue.take(length + 1));
      return text.replace(/\r?\n$/, "");
    }
  }

  /** What is left until the stream ends. Undefined when that is more than `bytesMax`. */
  async rest(bytesMax: number): Promise<Uint8Array | undefined> {
    while (await this.#fill()) if (this.#queue.length > bytesMax) return undefined;
    return this.#queue.takeAll();
  }
}

/** Writes everything. Errors: rejects when the stream is broken. */
export async function writeAll(stream: Duplex, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await stream.write(at === 0 ? bytes : bytes.subarray(at));
}
