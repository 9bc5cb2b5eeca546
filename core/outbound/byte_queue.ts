/** Bytes on their way through a state machine: put in at one end, taken out at the other, in pieces of any size. */

/** A first-in-first-out of bytes. Chunks that are put in are kept as they are: whoever puts one in does not change it any more. */
export class ByteQueue {
  readonly #chunks: Uint8Array[] = [];
  #length = 0;

  /** Units: bytes. */
  get length(): number {
    return this.#length;
  }

  /** Adds bytes at the end. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#length += bytes.length;
  }

  /** Takes the next chunk as it was put in; undefined when there is none. */
  shift(): Uint8Array | undefined {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) this.#length -= chunk.length;
    return chunk;
  }

  /** Takes exactly so many bytes; undefined while there are fewer. */
  take(count: number): Uint8Array | undefined {
    if (count > this.#length) return undefined;
    const first = this.#chunks[0];
    if (count === 0 || first === undefined) return new Uint8Array(0);
    this.#length -= count;
    if (first.length === count) return this.#chunks.shift()!;
    if (first.length > count) {
      this.#chunks[0] = first.subarray(count);
      return first.subarray(0, count);
    }
    return this.#gather(count);
  }

  #gather(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let at = 0; at < count;) {
      const chunk = this.#chunks[0]!;
      const length = Math.min(chunk.length, count - at);
      bytes.set(length === chunk.length ? chunk : chunk.subarray(0, length), at);
      at += length;
      if (length === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(length);
    }
    return bytes;
  }

  /** Looks at the byte at `index`; undefined beyond the end. */
  peek(index: number): number | undefined {
    if (index >= this.#length) return undefined;
    let left = index;
    for (const chunk of this.#chunks) {
      if (left < chunk.length) return chunk[left];
      left -= chunk.length;
    }
    return undefined;
  }

  /** Takes everything, as one piece. */
  takeAll(): Uint8Array {
    return this.take(this.#length)!;
  }
}
