/**
 * Timestamps of pcapng: 64 bits in the unit of their interface.
 *
 * Read first: draft-ietf-opsawg-pcapng section 4.2, options if_tsresol and if_tsoffset.
 */

const WORD = 0x1_0000_0000;

/** How to read an interface's timestamps. */
export interface TimeScale {
  /** if_tsresol as in the file: bit 7 clear: 10⁻ⁿ seconds, set: 2⁻ⁿ seconds. */
  readonly resolution: number;
  /** if_tsoffset. Units: µs. */
  readonly offsetUs: number;
}

/** The scale of an interface that has neither option: microseconds since the epoch. */
export const TIME_SCALE_DEFAULT: TimeScale = { resolution: 6, offsetUs: 0 };

/** A converted time; the converter overwrites it. */
export interface MutableTime {
  timestampUs: number;
  timestampNsRest: number;
}

function clamp(us: number): number {
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, us));
}

function convertExactly(scale: TimeScale, high: number, low: number, out: MutableTime): void {
  const units = (BigInt(high) << 32n) | BigInt(low);
  const exponent = BigInt(scale.resolution & 0x7f);
  const perSecond = (scale.resolution & 0x80) !== 0 ? 1n << exponent : 10n ** exponent;
  const ns = units * 1_000_000_000n / perSecond;
  out.timestampUs = clamp(Number(ns / 1000n) + scale.offsetUs);
  out.timestampNsRest = Number(ns % 1000n);
}

/** Converts a timestamp, rounding down to a nanosecond; a time outside of ±285 years is cut to that. Units: two 32-bit words in; µs and ns out. */
export function convertTime(scale: TimeScale, high: number, low: number, out: MutableTime): void {
  if (scale.resolution === 6) {
    out.timestampUs = clamp(high * WORD + low + scale.offsetUs);
    out.timestampNsRest = 0;
  } else if (scale.resolution === 9) {
    const quotient = Math.floor(high / 1000);
    const rest = (high - quotient * 1000) * WORD + low;
    const restUs = Math.floor(rest / 1000);
    out.timestampUs = clamp(quotient * WORD + restUs + scale.offsetUs);
    out.timestampNsRest = rest - restUs * 1000;
  } else {
    convertExactly(scale, high, low, out);
  }
}
