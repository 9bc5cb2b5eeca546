/** Memory for rings beside the packets' memory, so that bytes go from one to the other without a view of either. */
import { RING_BYTES_MIN } from "./limits.ts";

/** Copies `length` bytes inside one memory. Units: bytes from its start. */
export type CopyInside = (to: number, from: number, length: number) => void;

/** A stretch of the memory that the packets lie at the start of. It is given out from its start to its end, once. */
export class RingRegion {
  /** The packets: whoever copies from or to this very array may use `copy` with its offsets. */
  readonly packets: Uint8Array;
  readonly copy: CopyInside;
  readonly #memory: ArrayBuffer;
  readonly #end: number;
  #next: number;

  /** The stretch from `at` to the end of the memory, whose start `packets` views. */
  constructor(packets: Uint8Array<ArrayBuffer>, at: number, copy: CopyInside) {
    this.packets = packets;
    this.copy = copy;
    this.#memory = packets.buffer;
    this.#end = packets.buffer.byteLength;
    this.#next = Math.ceil(at / RING_BYTES_MIN) * RING_BYTES_MIN;
  }

  /** A buffer that nobody had before, or undefined when there is no room left. */
  carve(bytes: number): Uint8Array | undefined {
    const at = this.#next;
    if (at + bytes > this.#end) return undefined;
    this.#next = at + bytes;
    return new Uint8Array(this.#memory, at, bytes);
  }

  /** Where a buffer begins in the memory; −1 when it does not come from here. */
  placeOf(buffer: Uint8Array): number {
    return buffer.buffer === this.#memory ? buffer.byteOffset : -1;
  }
}
