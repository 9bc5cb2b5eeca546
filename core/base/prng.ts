/**
 * A seeded 32-bit generator (sfc32) with named forks, for everything that must be the same twice.
 *
 * Source: sfc32 of PractRand (Chris Doty-Humphrey); state seeding by FNV-1a over the name.
 */
export class Prng {
  readonly #state = new Int32Array(4);

  constructor(seed: number) {
    this.#state[0] = seed | 0;
    this.#state[1] = (seed ^ 0x9e3779b9) | 0;
    this.#state[2] = (seed ^ 0x85ebca6b) | 0;
    this.#state[3] = 1;
    for (let i = 0; i < 12; i++) this.uint32();
  }

  /** A new generator whose stream depends on this one's seed position and on `name` only. */
  fork(name: string): Prng {
    let hash = 0x811c9dc5;
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
    return new Prng(hash ^ this.#state[0]! ^ this.#state[2]!);
  }

  /** The next draw. Units: 0 … 2³²−1. */
  uint32(): number {
    const s = this.#state;
    const t = (s[0]! + s[1]! + s[3]!) | 0;
    s[3] = (s[3]! + 1) | 0;
    s[0] = s[1]! ^ (s[1]! >>> 9);
    s[1] = (s[2]! + (s[2]! << 3)) | 0;
    s[2] = (((s[2]! << 21) | (s[2]! >>> 11)) + t) | 0;
    return t >>> 0;
  }

  /** A draw below `bound`, unbiased. Units: 0 … bound−1; `bound` is 1 … 2³². */
  below(bound: number): number {
    const limit = 0x1_0000_0000 - (0x1_0000_0000 % bound);
    let draw = this.uint32();
    while (draw >= limit) draw = this.uint32();
    return draw % bound;
  }

  /** True in `numerator` of `denominator` draws on average. */
  chance(numerator: number, denominator: number): boolean {
    return this.below(denominator) < numerator;
  }

  /** A draw from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }
}
