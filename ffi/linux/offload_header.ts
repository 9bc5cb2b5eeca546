/**
 * What stands before each packet of a TUN device with IFF_VNET_HDR, and what it asks of the packet behind it.
 *
 * Read first: virtio 1.3 section 5.1.6 (packet header), RFC 9293 section 3.1 (the pseudo-header whose sum stands in for the checksum).
 *
 * ```
 * ┌─────────┬──────────┬─────────┬──────────┬────────────┬─────────────┐
 * │flags u8 │gso_type  │hdr_len  │ gso_size │ csum_start │ csum_offset │  10 bytes, little-endian
 * └─────────┴──────────┴─────────┴──────────┴────────────┴─────────────┘
 * ```
 */
import { finishSum, pseudoSum4, pseudoSum6 } from "../../core/wire/checksum.ts";
import * as ipv4 from "../../core/wire/ipv4.ts";
import * as ipv6 from "../../core/wire/ipv6.ts";
import * as tcp from "../../core/wire/tcp.ts";
import * as udp from "../../core/wire/udp.ts";
import { GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, HEADER_DATA_VALID, HEADER_NEEDS_CHECKSUM, Size } from "./layout.ts";

/** Where the checksum stands in the transport header. */
const TCP_CHECKSUM_OFFSET = 16;
const UDP_CHECKSUM_OFFSET = 6;

/** The `gso_type` of a received header without its ECN bit. */
export function gsoType(header: DataView): number {
  return header.getUint8(1) & ~GSO_ECN;
}

/** True when the checksum behind a received header need not be verified: the kernel did, or the packet is from this machine and unfinished. */
export function isVouched(header: DataView): boolean {
  return (header.getUint8(0) & (HEADER_NEEDS_CHECKSUM | HEADER_DATA_VALID)) !== 0;
}

/** The `gso_size` of a received header: payload bytes of each piece. */
export function gsoSize(header: DataView): number {
  return header.getUint16(4, true);
}

/** Writes the header that says "nothing is left to do". */
function writePlain(header: DataView): void {
  header.setUint32(0, 0);
  header.setUint32(4, 0);
  header.setUint16(8, 0);
}

/** Where the transport header stands, when it is TCP or UDP in one piece and without extension headers; else 0. */
function plainTransport(view: DataView, at: number, length: number): number {
  if (length < ipv4.HEADER_BYTES) return 0;
  if (view.getUint8(at) >>> 4 === 4) {
    const isPiece = ipv4.moreFragments(view, at) || ipv4.fragmentOffset(view, at) !== 0;
    return isPiece ? 0 : ipv4.headerLength(view, at);
  }
  return length < ipv6.HEADER_BYTES ? 0 : ipv6.HEADER_BYTES;
}

/**
 * Writes the header for a packet that is about to be sent and puts the pseudo-header's sum where its checksum goes; the kernel does the rest,
 * and leaves it out where the packet stays on this machine. `segmentBytes` is the payload of each piece of a super-segment, 0 for one packet.
 */
export function writeSendHeader(
  header: DataView,
  view: DataView,
  at: number,
  length: number,
  segmentBytes: number,
): void {
  writePlain(header);
  const start = plainTransport(view, at, length);
  if (start === 0) return;
  const isV4 = start !== ipv6.HEADER_BYTES || view.getUint8(at) >>> 4 === 4;
  const protocol = isV4 ? ipv4.protocol(view, at) : ipv6.nextHeader(view, at);
  const isTcp = protocol === tcp.PROTOCOL;
  if (!isTcp && protocol !== udp.PROTOCOL) return;
  const transportLength = length - start;
  if (transportLength < (isTcp ? tcp.HEADER_BYTES : udp.HEADER_BYTES)) return;
  const sum = isV4 ? pseudoSum4(view, at, protocol, transportLength) : pseudoSum6(view, at, protocol, transportLength);
  const checksumOffset = isTcp ? TCP_CHECKSUM_OFFSET : UDP_CHECKSUM_OFFSET;
  view.setUint16(at + start + checksumOffset, ~finishSum(sum) & 0xffff);
  header.setUint8(0, HEADER_NEEDS_CHECKSUM);
  header.setUint16(6, start, true);
  header.setUint16(8, checksumOffset, true);
  if (!isTcp || segmentBytes === 0) return;
  const headers = start + tcp.headerLength(view, at + start);
  if (length - headers <= segmentBytes) return;
  const ecn = (tcp.flags(view, at + start) & tcp.CWR) !== 0 ? GSO_ECN : GSO_NONE;
  header.setUint8(1, (isV4 ? GSO_TCPV4 : GSO_TCPV6) | ecn);
  header.setUint16(2, headers, true);
  header.setUint16(4, segmentBytes, true);
}

/** Size of the header. Units: bytes. */
export const OFFLOAD_HEADER_BYTES = Size.virtio_net_hdr;
