/**
 * HalfSipHash-2-4: a keyed hash of 32-bit words, so that whoever does not know the key cannot tell its answers.
 *
 * Source: J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF" (2012), in its variant over 32-bit words.
 */

/** A hash over words that are fed one by one. Shape: state v0 … v3, key k0 k1, bytes fed. */
export class HalfSipHash {
  readonly #v = new Int32Array(7);

  constructor(key0: number, key1: number) {
    this.setKey(key0, key1);
  }

  /** Chooses another key. */
  setKey(key0: number, key1: number): void {
    this.#v[4] = key0;
    this.#v[5] = key1;
  }

  /** Begins a new message. */
  start(): void {
    const v = this.#v;
    v[0] = v[4]!;
    v[1] = v[5]!;
    v[2] = 0x6c796765 ^ v[4]!;
    v[3] = 0x74656462 ^ v[5]!;
    v[6] = 0;
  }

  /** Feeds one word. */
  add(word: number): void {
    const v = this.#v;
    v[3] = v[3]! ^ word;
    this.#round();
    this.#round();
    v[0] = v[0]! ^ word;
    v[6] = v[6]! + 4;
  }

  /** Ends the message. Units: 0 … 2³²−1. */
  finish(): number {
    const v = this.#v;
    const length = v[6]!;
    this.add(length << 24);
    v[2] = v[2]! ^ 0xff;
    for (let i = 0; i < 4; i++) this.#round();
    return (v[1]! ^ v[3]!) >>> 0;
  }

  #round(): void {
    const v = this.#v;
    let v0 = v[0]!;
    let v1 = v[1]!;
    let v2 = v[2]!;
    let v3 = v[3]!;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v[0] = v0;
    v[1] = v1;
    v[2] = v2;
    v[3] = v3;
  }
}
