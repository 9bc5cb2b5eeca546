/**
 * The Internet checksum.
 *
 * Read first: RFC 1071 (definition), RFC 1624 (incremental update), RFC 8200 section 8.1 (IPv6 pseudo-header).
 */

/** Longest stretch whose 32-bit words may be summed in a double without loss is far beyond any packet; kept as a reminder. */
const CARRY_FOLD = 0x10000;

/**
 * Adds `length` bytes from `at` to a running one's-complement sum, as big-endian 16-bit words; an odd last byte is padded with zero.
 * Shape: the result is an unfolded sum for `finishSum`, or for a further `addBytes` when `length` was even.
 */
export function addBytes(sum: number, view: DataView, at: number, length: number): number {
  const end = at + length;
  const wordsEnd = at + (length & ~3);
  let total = sum;
  let i = at;
  for (; i < wordsEnd; i += 4) total += view.getUint32(i);
  for (; i + 1 < end; i += 2) total += view.getUint16(i);
  if (i < end) total += view.getUint8(i) << 8;
  return total;
}

/** Folds a running sum into the 16 bits that stand in a header. */
export function finishSum(sum: number): number {
  let total = (sum % CARRY_FOLD) + Math.floor(sum / CARRY_FOLD);
  while (total >= CARRY_FOLD) total = (total % CARRY_FOLD) + Math.floor(total / CARRY_FOLD);
  return ~total & 0xffff;
}

/** The checksum of `length` bytes. A stretch that holds its own right checksum gives 0. */
export function checksum(view: DataView, at: number, length: number): number {
  return finishSum(addBytes(0, view, at, length));
}

/** The sum of an IPv4 pseudo-header for a packet whose IPv4 header starts at `ipAt`. Source: RFC 9293 section 3.1. */
export function pseudoSum4(view: DataView, ipAt: number, protocol: number, transportLength: number): number {
  return addBytes(protocol + transportLength, view, ipAt + 12, 8);
}

/** The sum of an IPv6 pseudo-header for a packet whose IPv6 header starts at `ipAt`. Source: RFC 8200 section 8.1. */
export function pseudoSum6(view: DataView, ipAt: number, protocol: number, transportLength: number): number {
  return addBytes(protocol + transportLength, view, ipAt + 8, 32);
}
