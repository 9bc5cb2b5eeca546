/** Bytes that an application sends: each one is known from its place alone, and neighbours always differ, so that none can be missed. */

/** One endless stream of bytes; streams with different salts differ. */
export class StreamPattern {
  readonly #salt: number;

  constructor(salt: number) {
    this.#salt = salt | 0;
  }

  /** The byte at a place. */
  at(offset: number): number {
    return Math.imul((offset + this.#salt) | 0, 0x9e3779b1) >>> 24;
  }

  /** Writes the bytes from `offset` on. */
  fill(into: Uint8Array, offset: number, length: number): void {
    for (let i = 0; i < length; i++) into[i] = this.at(offset + i);
  }

  /** The first place of `bytes` that does not hold what belongs there, or −1. */
  firstDifference(bytes: Uint8Array, offset: number, length: number): number {
    for (let i = 0; i < length; i++) if (bytes[i] !== this.at(offset + i)) return i;
    return -1;
  }
}
