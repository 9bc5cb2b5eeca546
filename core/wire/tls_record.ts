/**
 * TLS records as far as a ClientHello needs them: the handshake message is laid out over one or more records.
 *
 * Read first: RFC 8446 section 5.1 (record layer: a handshake message may be fragmented over several records), section 4.
 *
 *      0       1       2       3       4       5
 *     ┌───────┬───────┬───────┬───────┬───────┬──────────┐
 *     │ type  │ version: 3, n │ length        │ fragment │   type 22: handshake
 *     └───────┴───────┴───────┴───────┴───────┴──────────┘
 *     message, inside the fragments: type 1 (ClientHello), length (24 bits), body
 */
import { STREAM_PREFIX_BYTES_MAX } from "../base/limits.ts";

/** Length of a record header. Units: bytes. */
export const RECORD_HEADER_BYTES = 5;

/** Length of a handshake message header. Units: bytes. */
export const HANDSHAKE_HEADER_BYTES = 4;

const TYPE_HANDSHAKE = 22;
const MESSAGE_CLIENT_HELLO = 1;
const FRAGMENT_BYTES_MAX = 16_384;

/** Where a walk stands. */
export const HelloWalk = {
  /** All is well so far; more bytes are needed. */
  More: 0,
  /** The whole message is there. */
  Whole: 1,
  /** This is not a ClientHello in TLS records. */
  Bad: 2,
} as const;
export type HelloWalk = (typeof HelloWalk)[keyof typeof HelloWalk];

/** Walks the records of a growing stream up to the end of the ClientHello; no record is looked at twice. */
export class TlsHelloWalk {
  #nextRecord = 0;
  /** Message bytes in the records before the one at `#nextRecord`. */
  #before = 0;
  #header = 0;
  #headerCount = 0;
  #total = -1;
  #available = 0;

  /** Length of the message with its header, −1 while it is not known. Units: bytes. */
  get messageBytes(): number {
    return this.#total;
  }

  /** Message bytes that are there, up to the whole message. Units: bytes. */
  get availableBytes(): number {
    return this.#total >= 0 && this.#available > this.#total ? this.#total : this.#available;
  }

  /** True when what is there lies in one record, so that it can be read in place behind the record header. */
  get inOneRecord(): boolean {
    return this.#before === 0;
  }

  /** Goes on over the stream, of which `length` bytes are there now, always counted from the same beginning. */
  step(view: DataView, at: number, length: number): HelloWalk {
    for (;;) {
      const fault = this.#checkHeader(view, at, length);
      if (fault) return HelloWalk.Bad;
      if (length - this.#nextRecord < RECORD_HEADER_BYTES) return HelloWalk.More;
      const size = view.getUint16(at + this.#nextRecord + 3);
      const payload = this.#nextRecord + RECORD_HEADER_BYTES;
      const here = length - payload < size ? length - payload : size;
      this.#available = this.#before + here;
      while (this.#headerCount < HANDSHAKE_HEADER_BYTES && this.#headerCount < this.#available) {
        const byte = view.getUint8(at + payload + this.#headerCount - this.#before);
        if (this.#headerCount === 0 && byte !== MESSAGE_CLIENT_HELLO) return HelloWalk.Bad;
        this.#header = this.#header << 8 | byte;
        this.#headerCount++;
      }
      if (this.#headerCount === HANDSHAKE_HEADER_BYTES) {
        this.#total = HANDSHAKE_HEADER_BYTES + (this.#header & 0xff_ffff);
        if (this.#total > STREAM_PREFIX_BYTES_MAX) return HelloWalk.Bad;
        if (this.#available >= this.#total) return HelloWalk.Whole;
      }
      if (here < size) return HelloWalk.More;
      this.#before += size;
      this.#nextRecord = payload + size;
    }
  }

  /** Copies the first `count` message bytes, without record headers, to the beginning of `out`. */
  gather(view: DataView, at: number, count: number, out: DataView): void {
    let record = at;
    let done = 0;
    while (done < count) {
      const size = view.getUint16(record + 3);
      for (let i = 0; i < size && done < count; i++) {
        out.setUint8(done++, view.getUint8(record + RECORD_HEADER_BYTES + i));
      }
      record += RECORD_HEADER_BYTES + size;
    }
  }

  /** Judges as much of the next record header as is there. */
  #checkHeader(view: DataView, at: number, length: number): boolean {
    const left = length - this.#nextRecord;
    const record = at + this.#nextRecord;
    if (left > 0 && view.getUint8(record) !== TYPE_HANDSHAKE) return true;
    if (left > 1 && view.getUint8(record + 1) !== 3) return true;
    if (left < RECORD_HEADER_BYTES) return false;
    const size = view.getUint16(record + 3);
    return size === 0 || size > FRAGMENT_BYTES_MAX;
  }
}
