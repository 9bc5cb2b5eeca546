/**
 * The Internet checksum.
 *
 * Read first: RFC 1071 (definition), RFC 1624 (incremental update), RFC 8200 section 8.1 (IPv6 pseudo-header).
 */

/** Bytes summed before the carry is kept apart: 8,192 words of 16 bits stay below 2³⁰, so that the sum remains a small integer. */
const BLOCK_BYTES = 16_384;

/** The sum of the 16-bit words of up to `BLOCK_BYTES` bytes. */
function addBlock(view: DataView, at: number, length: number): number {
  const end = at + length;
  const wordsEnd = at + (length & ~7);
  let sum = 0;
  let i = at;
  for (; i < wordsEnd; i += 8) {
    const one = view.getInt32(i);
    const two = view.getInt32(i + 4);
    sum = (sum + (one >>> 16) + (one & 0xffff) + (two >>> 16) + (two & 0xffff)) | 0;
  }
  for (; i + 1 < end; i += 2) sum = (sum + view.getUint16(i)) | 0;
  if (i < end) sum = (sum + (view.getUint8(i) << 8)) | 0;
  return sum;
}

/**
 * Adds `length` bytes from `at` to a running one's-complement sum, as big-endian 16-bit words; an odd last byte is padded with zero.
 * Shape: the result is an unfolded sum for `finishSum`, or for a further `addBytes` when `length` was even.
 */
export function addBytes(sum: number, view: DataView, at: number, length: number): number {
  let total = sum;
  let from = at;
  for (let left = length; left > 0; left -= BLOCK_BYTES) {
    total += addBlock(view, from, left < BLOCK_BYTES ? left : BLOCK_BYTES);
    from += BLOCK_BYTES;
  }
  return total;
}

const CARRY_FOLD = 0x10000;

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
