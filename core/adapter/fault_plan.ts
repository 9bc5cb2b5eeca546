/**
 * What becomes of one packet on a bad path, drawn from a seed: lost, doubled, damaged, late.
 *
 * Losses in bursts follow the model of Gilbert and Elliott: a path is good or bad, and each packet may turn it.
 * Source: E. N. Gilbert, "Capacity of a Burst-Noise Channel", 1960; E. O. Elliott, 1963; the terms are those of RFC 6534 section 2.
 */
import { type Micros, micros } from "../base/micros.ts";
import type { Prng } from "../base/prng.ts";

/** The denominator of all odds here: parts in a million, so that no float decides anything. */
export const PPM = 1_000_000;

/** How bad a path is. Units: odds in parts per million, times in µs. */
export interface FaultOptions {
  /** Odds that a packet is lost, each by itself. */
  readonly lossPpm: number;
  /** Odds that a packet finds the path turned bad; 0 switches bursts off. */
  readonly burstEnterPpm: number;
  /** Odds that a packet finds the bad path turned good again. */
  readonly burstLeavePpm: number;
  /** Odds that a packet is lost while the path is bad. */
  readonly burstLossPpm: number;
  readonly duplicatePpm: number;
  /** Odds that one byte of a packet is changed. */
  readonly corruptPpm: number;
  /** Odds that a packet is held back for 1 … `reorderUs`, so that later ones overtake it. */
  readonly reorderPpm: number;
  readonly reorderUs: number;
  /** Every packet takes this long, and up to `jitterUs` longer; both keep the order. */
  readonly delayUs: number;
  readonly jitterUs: number;
}

/** A perfect path. */
export const NO_FAULTS: FaultOptions = {
  lossPpm: 0,
  burstEnterPpm: 0,
  burstLeavePpm: 0,
  burstLossPpm: 0,
  duplicatePpm: 0,
  corruptPpm: 0,
  reorderPpm: 0,
  reorderUs: 0,
  delayUs: 0,
  jitterUs: 0,
};

/** Draws the fate of one packet after another. `draw`, then read the fields. */
export class FaultPlan {
  /** May be exchanged at any time: a path gets worse, a path heals. */
  options: FaultOptions;
  isLost = false;
  isDuplicated = false;
  isCorrupted = false;
  isReordered = false;
  readonly #prng: Prng;
  #isBad = false;
  /** When the last packet that keeps the order comes through. */
  #lastDue: Micros = micros(0);

  constructor(options: FaultOptions, prng: Prng) {
    this.options = options;
    this.#prng = prng;
  }

  /** Draws the next packet's fate. */
  draw(): void {
    const options = this.options;
    this.isLost = this.#hits(options.lossPpm) || this.#burstHits(options);
    this.isDuplicated = !this.isLost && this.#hits(options.duplicatePpm);
    this.isCorrupted = !this.isLost && this.#hits(options.corruptPpm);
    this.isReordered = !this.isLost && options.reorderUs > 0 && this.#hits(options.reorderPpm);
  }

  /** When the packet just drawn comes through, if it sets out at `now`. Call it once for each copy. */
  due(now: Micros): Micros {
    const options = this.options;
    let at = now + options.delayUs;
    if (options.jitterUs > 0) at += this.#prng.below(options.jitterUs + 1);
    if (this.isReordered) return micros(at + this.#prng.between(1, options.reorderUs));
    if (at < this.#lastDue) at = this.#lastDue;
    this.#lastDue = micros(at);
    return micros(at);
  }

  /** Changes one byte of a packet, which every Internet checksum over it notices. */
  corrupt(bytes: Uint8Array, at: number, length: number): void {
    if (length === 0) return;
    const place = at + this.#prng.below(length);
    bytes[place] = bytes[place]! ^ this.#prng.between(1, 255);
  }

  #hits(ppm: number): boolean {
    return ppm > 0 && this.#prng.chance(ppm, PPM);
  }

  #burstHits(options: FaultOptions): boolean {
    if (options.burstEnterPpm === 0) {
      this.#isBad = false;
      return false;
    }
    if (this.#hits(this.#isBad ? options.burstLeavePpm : options.burstEnterPpm)) this.#isBad = !this.#isBad;
    return this.#isBad && this.#hits(options.burstLossPpm);
  }
}
