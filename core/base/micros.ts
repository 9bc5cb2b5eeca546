/** Time as the data plane knows it: a monotonic count of microseconds handed in as an argument, never read from a clock. */

declare const microsBrand: unique symbol;

/** A point on the monotonic time line. Units: µs since an origin that the caller chose. */
export type Micros = number & { readonly [microsBrand]: true };

/** Brands a plain number as a point in time. Units: µs. */
export function micros(value: number): Micros {
  return value as Micros;
}

/** Adds a duration to a point in time. Units: µs. */
export function addMicros(at: Micros, durationUs: number): Micros {
  return (at + durationUs) as Micros;
}

/** The deadline of something that has none. */
export const NEVER: Micros = micros(Number.MAX_SAFE_INTEGER);

/** One second. Units: µs. */
export const SECOND_US = 1_000_000;

/** One millisecond. Units: µs. */
export const MILLISECOND_US = 1_000;
