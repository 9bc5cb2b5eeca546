/**
 * DNS answers on a TCP connection.
 *
 * Read first: RFC 1035 section 4.2.2, RFC 7766 section 8 (each message follows its length in 16 bits).
 */
import type { Micros } from "../base/micros.ts";
import { DNS_TCP_BYTES_MAX } from "../base/limits.ts";
import type { DnsMemory } from "./dns_memory.ts";
import { StreamPrefix } from "./stream_prefix.ts";

const LENGTH_BYTES = 2;

/** Reads one direction of one connection and shows each whole message to the memory. */
export class DnsTcpReader {
  readonly #memory: DnsMemory;
  readonly #stream = new StreamPrefix(DNS_TCP_BYTES_MAX);
  #lost = false;

  constructor(memory: DnsMemory) {
    this.#memory = memory;
  }

  /** True when bytes are missing for good, so that no more messages can be told apart. */
  get lost(): boolean {
    return this.#lost;
  }

  /** Adds a segment in any order. Shape: how many messages it completed. */
  segment(seq: number, view: DataView, at: number, length: number, now: Micros): number {
    if (this.#lost || length <= 0) return 0;
    const stream = this.#stream;
    // A segment longer than the room goes in by pieces, so that only a real hole can fill the room.
    let count = 0;
    let done = 0;
    while (done < length && !this.#lost) {
      const piece = length - done > LENGTH_BYTES + 0xffff ? LENGTH_BYTES + 0xffff : length - done;
      stream.addSegment((seq + done) >>> 0, view, at + done, piece);
      count += this.#takeMessages(now);
      if (stream.overflowed) this.#drop();
      done += piece;
    }
    return count;
  }

  /** Gives the memory back. */
  dispose(): void {
    this.#stream.dispose();
  }

  #takeMessages(now: Micros): number {
    const stream = this.#stream;
    let from = 0;
    let count = 0;
    while (stream.readable - from >= LENGTH_BYTES) {
      const size = stream.view.getUint16(from);
      if (stream.readable - from - LENGTH_BYTES < size) break;
      this.#memory.observeMessage(stream.view, from + LENGTH_BYTES, size, now);
      from += LENGTH_BYTES + size;
      count++;
    }
    stream.consume(from);
    return count;
  }

  #drop(): void {
    this.#lost = true;
    this.#stream.dispose();
  }
}
