/** The part of a byte stream that somebody still needs: appended at its end, dropped at its start, compared in the middle. */
import { invariant } from "../../core/base/invariant.ts";

const BYTES_MIN = 4_096;

/** Bytes `start` … `end` of a stream. Units: bytes from the stream's first one. */
export class StreamWindow {
  /** The first byte that is still here. */
  start = 0;
  /** One more than the last byte that was appended. */
  end = 0;
  #bytes = new Uint8Array(BYTES_MIN);
  /** Where `start` lies in `#bytes`. */
  #at = 0;

  /** Bytes that are here. */
  get length(): number {
    return this.end - this.start;
  }

  /** Adds bytes; they are copied. */
  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#at + this.length);
    this.end += bytes.length;
  }

  /** Adds bytes that nobody knows, as zeros. */
  appendUnknown(count: number): void {
    this.#reserve(count);
    const from = this.#at + this.length;
    this.#bytes.fill(0, from, from + count);
    this.end += count;
  }

  /** Forgets what comes before `offset`. */
  dropUntil(offset: number): void {
    const to = Math.min(offset, this.end);
    if (to <= this.start) return;
    this.#at += to - this.start;
    this.start = to;
  }

  /** A look at what is here from `offset` on; it is valid until the next call of another method. */
  from(offset: number): Uint8Array {
    invariant(offset >= this.start && offset <= this.end, "a window shows only what it holds");
    const at = this.#at + offset - this.start;
    return this.#bytes.subarray(at, this.#at + this.length);
  }

  /** True when `bytes` are those at `offset`; what was forgotten, or never came, is not. */
  holds(offset: number, bytes: Uint8Array, at: number, count: number): boolean {
    if (offset < this.start || offset + count > this.end) return false;
    const from = this.#at + offset - this.start;
    for (let i = 0; i < count; i++) if (this.#bytes[from + i] !== bytes[at + i]) return false;
    return true;
  }

  #reserve(count: number): void {
    const needed = this.length + count;
    if (this.#at + needed <= this.#bytes.length) return;
    const bytes = needed * 2 > this.#bytes.length ? new Uint8Array(Math.max(BYTES_MIN, needed * 2)) : this.#bytes;
    bytes.set(this.#bytes.subarray(this.#at, this.#at + this.length));
    this.#bytes = bytes;
    this.#at = 0;
  }
}
