/**
 * Which numbered packets have come already.
 *
 * Read first: RFC 6479 (a sliding window in words).
 */

const WORD_BITS = 32;
const WORDS = 64;
const WINDOW = WORD_BITS * (WORDS - 1);

/** Believes each number once, and none that lies too far behind the highest. Numbers are below 2⁵³. */
export class ReplayWindow {
  readonly #bits = new Uint32Array(WORDS);
  #highest = -1;

  /** True when the number is new; it is not any more then. */
  accept(number: number): boolean {
    if (!Number.isSafeInteger(number) || number < 0 || number + WINDOW <= this.#highest) return false;
    const word = Math.floor(number / WORD_BITS);
    if (number > this.#highest) {
      const last = Math.floor(this.#highest / WORD_BITS);
      for (let next = Math.max(last + 1, word - WORDS + 1); next <= word; next++) this.#bits[next % WORDS] = 0;
      this.#highest = number;
    }
    const bit = 1 << (number % WORD_BITS);
    const known = this.#bits[word % WORDS]!;
    if ((known & bit) !== 0) return false;
    this.#bits[word % WORDS] = known | bit;
    return true;
  }
}
