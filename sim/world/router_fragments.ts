/**
 * What a router does to an IPv4 packet that is too long for the next link and may be cut.
 *
 * Read first: RFC 791 sections 2.3 and 3.2.
 */
import { checksum } from "../../core/wire/checksum.ts";
import * as ipv4 from "../../core/wire/ipv4.ts";

const MORE_FRAGMENTS = 0x2000;
/** Offsets count units of so many bytes. */
const UNIT_BYTES = 8;

/** The pieces of a packet that is longer than `mtu`, itself perhaps a piece; undefined when it may not be cut: IPv6, or DF stands. */
export function cutPacket(packet: Uint8Array, mtu: number): Uint8Array[] | undefined {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  if (ipv4.version(view, 0) !== 4 || ipv4.dontFragment(view, 0)) return undefined;
  const headers = ipv4.headerLength(view, 0);
  const step = Math.floor((mtu - headers) / UNIT_BYTES) * UNIT_BYTES;
  if (step <= 0) return undefined;
  const payload = packet.length - headers;
  const base = ipv4.fragmentOffset(view, 0);
  const isLastWhole = !ipv4.moreFragments(view, 0);
  const pieces: Uint8Array[] = [];
  for (let offset = 0; offset < payload; offset += step) {
    const length = Math.min(step, payload - offset);
    const piece = new Uint8Array(headers + length);
    piece.set(packet.subarray(0, headers));
    piece.set(packet.subarray(headers + offset, headers + offset + length), headers);
    const isLast = isLastWhole && offset + length === payload;
    const out = new DataView(piece.buffer);
    out.setUint16(2, piece.length);
    out.setUint16(6, (isLast ? 0 : MORE_FRAGMENTS) | ((base + offset) / UNIT_BYTES));
    out.setUint16(10, 0);
    out.setUint16(10, checksum(out, 0, headers));
    pieces.push(piece);
  }
  return pieces;
}
