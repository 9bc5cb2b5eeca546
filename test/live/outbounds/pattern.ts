/** Bytes that both ends of a test know, so that each byte lost, doubled or moved shows in a SHA-256. */
import { createHash } from "node:crypto";
import { randomBytes } from "../programs/bytes.ts";

/** Bytes of the target's head. */
export const HEAD_BYTES = 15;

/** Pieces that differ by their number. */
export class Pattern {
  static readonly BYTES = 65_536;
  readonly #piece: Uint8Array;
  #number = 0;

  constructor(seed: number) {
    this.#piece = randomBytes(Pattern.BYTES, seed);
  }

  /** The next piece; it is the same memory each time. */
  next(): Uint8Array {
    new DataView(this.#piece.buffer, this.#piece.byteOffset).setUint32(0, this.#number++);
    return this.#piece;
  }
}

/** The SHA-256 of so many bytes of a pattern. */
export function patternSum(bytes: number, seed: number): string {
  const hash = createHash("sha256");
  const pattern = new Pattern(seed);
  for (let at = 0; at < bytes; at += Pattern.BYTES) {
    hash.update(pattern.next().subarray(0, Math.min(Pattern.BYTES, bytes - at)));
  }
  return hash.digest("hex");
}

/** What tells the target what to do. */
export function targetHead(mode: 0 | 1 | 2 | 3, afterMs: number, up: number, down: number, seed: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(HEAD_BYTES));
  view.setUint8(0, mode);
  view.setUint16(1, afterMs);
  view.setUint32(3, up);
  view.setUint32(7, down);
  view.setUint32(11, seed);
  return new Uint8Array(view.buffer);
}
