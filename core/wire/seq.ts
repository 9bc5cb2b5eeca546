/**
 * Sequence numbers: 32-bit counters that wrap.
 *
 * Read first: RFC 9293 section 3.4 (comparisons are modulo 2³²).
 */

/** How far `a` lies after `b`. Units: −2³¹ … 2³¹−1. */
export function seqDiff(a: number, b: number): number {
  return (a - b) | 0;
}

/** True when `a` comes before `b`. */
export function seqLess(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** True when `a` is `b` or comes before it. */
export function seqLessOrEqual(a: number, b: number): boolean {
  return ((a - b) | 0) <= 0;
}

/** `a` advanced by `n`. Units: 0 … 2³²−1. */
export function seqAdd(a: number, n: number): number {
  return (a + n) >>> 0;
}
