/**
 * The Internet checksum.
 *
 * Read first: RFC 1071 (definition), RFC 1624 (incremental update), RFC 8200 section 8.1 (IPv6 pseudo-header).
 */

/** Bytes summed before the carry is kept apart: 8,192 words of 16 bits stay below 2³⁰, so that the sum remains a small integer. */
const BLOCK_BYTES = 16_384;

/**
 * The sum of the 16-bit words of up to `BLOCK_BYTES` bytes, folded to 16 bits.
 *
 * The words are read in the machine's order and the folded sum is turned round once: one's-complement sums do not care about the order of
 * bytes (RFC 1071 section 2 (B)), and the loop is five times as fast as one that turns every word.
 */
function addBlock(view: DataView, at: number, length: number): number {
  const end = at + length;
  const wordsEnd = at + (length & ~15);
  let low = 0;
  let high = 0;
  let i = at;
  for (; i < wordsEnd; i += 16) {
    const one = view.getInt32(i, true);
    const two = view.getInt32(i + 4, true);
    const three = view.getInt32(i + 8, true);
    const four = view.getInt32(i + 12, true);
    low = (low + (one & 0xffff) + (two & 0xffff) + (three & 0xffff) + (four & 0xffff)) | 0;
    high = (high + (one >>> 16) + (two >>> 16) + (three >>> 16) + (four >>> 16)) | 0;
  }
  for (; i + 1 < end; i += 2) low = (low + view.getUint16(i, true)) | 0;
  if (i < end) low = (low + view.getUint8(i)) | 0;
  let sum = low + high;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ((sum & 0xff) << 8) | (sum >>> 8);
}

/** Below this, a call into WebAssembly costs more than it saves. Units: bytes. Source: measured, 20 ns a call. */
const QUICK_BYTES_MIN = 32;
/** What the quick sums hold without losing a carry. Units: bytes. */
const QUICK_BYTES_MAX = 0x1_ffff;

let quickView: DataView | undefined = undefined;
let quickSum: (at: number, length: number) => number = () => 0;

/**
 * Leaves the sums over one view, where the packets are, to `sum`: the folded sum of big-endian words of up to 131,071 bytes. Undefined ends
 * that. What comes out is the same; only the time differs.
 */
export function sumQuickly(view: DataView | undefined, sum: (at: number, length: number) => number): void {
  quickView = view;
  quickSum = sum;
}

/**
 * Adds `length` bytes from `at` to a running one's-complement sum, as big-endian 16-bit words; an odd last byte is padded with zero.
 * Shape: the result is an unfolded sum for `finishSum`, or for a further `addBytes` when `length` was even.
 */
export function addBytes(sum: number, view: DataView, at: number, length: number): number {
  if (view === quickView && length >= QUICK_BYTES_MIN && length <= QUICK_BYTES_MAX) return sum + quickSum(at, length);
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
