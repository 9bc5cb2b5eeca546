/**
 * QUIC's integers of 1, 2, 4 or 8 bytes.
 *
 * Read first: RFC 9000 section 16.
 *
 *     first two bits: 00 → 6 bits, 01 → 14 bits, 10 → 30 bits, 11 → 62 bits
 */

/** Length of the integer that begins with `first`. Units: bytes. */
export function varintBytes(first: number): number {
  return 1 << (first >>> 6);
}

/** The integer at `at`, whose bytes must be there. Above 2⁵³ it is rounded, which no length that we can use reaches. */
export function readVarint(view: DataView, at: number): number {
  const first = view.getUint8(at);
  switch (first >>> 6) {
    case 0:
      return first;
    case 1:
      return view.getUint16(at) & 0x3fff;
    case 2:
      return view.getUint32(at) & 0x3fff_ffff;
    default:
      return (view.getUint32(at) & 0x3fff_ffff) * 0x1_0000_0000 + view.getUint32(at + 4);
  }
}
