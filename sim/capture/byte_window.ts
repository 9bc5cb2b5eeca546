/** The part of a file that a decoder has at hand: a buffer that slides over the input and grows for one large record. */
import { invariant } from "../../core/base/invariant.ts";
import { CAPTURE_CHUNK_BYTES, CAPTURE_RECORD_BYTES_MAX } from "../../core/base/limits.ts";

/** Room that is worth one read. Units: bytes. */
const ROOM_BYTES_MIN = 65_536;

/** A sliding window over an input stream. Shape: `bytes[at … end)` is unread; `base` is the file offset of `bytes[0]`. */
export class ByteWindow {
  bytes: Uint8Array<ArrayBuffer>;
  view: DataView;
  at = 0;
  end = 0;
  base = 0;

  constructor(capacityBytes = CAPTURE_CHUNK_BYTES) {
    this.bytes = new Uint8Array(capacityBytes);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Free bytes after the unread ones, many of them; moves the unread ones to the front, which ends every view into the window. */
  room(): Uint8Array<ArrayBuffer> {
    invariant(
      this.end - this.at <= CAPTURE_RECORD_BYTES_MAX + ROOM_BYTES_MIN,
      "a decoder waits for more bytes than any record may have",
    );
    this.#reserve(Math.min(ROOM_BYTES_MIN, this.bytes.length >>> 1));
    return this.bytes.subarray(this.end);
  }

  #reserve(lengthBytes: number): void {
    if (this.at > 0) {
      this.bytes.copyWithin(0, this.at, this.end);
      this.base += this.at;
      this.end -= this.at;
      this.at = 0;
    }
    if (this.bytes.length - this.end >= lengthBytes) return;
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.end + lengthBytes));
    larger.set(this.bytes.subarray(0, this.end));
    this.bytes = larger;
    this.view = new DataView(larger.buffer);
  }

  /** Takes over `lengthBytes` that were written into `room()`. */
  filled(lengthBytes: number): void {
    invariant(lengthBytes <= this.bytes.length - this.end, "more bytes filled than there was room");
    this.end += lengthBytes;
  }

  /** Appends a copy of the bytes, however many. */
  push(source: Uint8Array): void {
    if (this.bytes.length - this.end < source.length) this.#reserve(source.length);
    this.bytes.set(source, this.end);
    this.end += source.length;
  }

  /** Where the next unread byte stands in the file. */
  get offset(): number {
    return this.base + this.at;
  }
}
