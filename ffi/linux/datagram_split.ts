/**
 * A UDP super-packet of the kernel becomes the datagrams that it stands for.
 *
 * Read first: RFC 768, and virtio 1.3 section 5.1.6 (VIRTIO_NET_HDR_GSO_UDP_L4: equal payloads behind one header, the last may be shorter).
 */
import { type Arena, NO_SLOT, type Slot } from "../../core/adapter/arena.ts";
import { addBytes, checksum, finishSum, pseudoSum4, pseudoSum6 } from "../../core/wire/checksum.ts";
import * as ipv4 from "../../core/wire/ipv4.ts";
import * as ipv6 from "../../core/wire/ipv6.ts";
import * as udp from "../../core/wire/udp.ts";

/** Most datagrams in one packet. Source: Linux UDP_MAX_SEGMENTS, 128. */
export const DATAGRAMS_PER_PACKET_MAX = 128;

/** Writes lengths, identification and checksums for a datagram with `payload` bytes behind headers copied from its super-packet. */
function finishDatagram(view: DataView, at: number, headers: number, payload: number, index: number): void {
  const transportAt = at + headers - udp.HEADER_BYTES;
  const udpLength = udp.HEADER_BYTES + payload;
  view.setUint16(transportAt + 4, udpLength);
  view.setUint16(transportAt + 6, 0);
  const isV4 = view.getUint8(at) >>> 4 === 4;
  if (isV4) {
    view.setUint16(at + 2, headers + payload);
    view.setUint16(at + 4, (ipv4.identification(view, at) + index) & 0xffff);
    view.setUint16(at + 10, 0);
    view.setUint16(at + 10, checksum(view, at, ipv4.headerLength(view, at)));
  } else view.setUint16(at + 4, headers + payload - ipv6.HEADER_BYTES);
  const pseudo = isV4 ? pseudoSum4(view, at, udp.PROTOCOL, udpLength) : pseudoSum6(view, at, udp.PROTOCOL, udpLength);
  const sum = finishSum(addBytes(pseudo, view, transportAt, udpLength));
  view.setUint16(transportAt + 6, sum === 0 ? 0xffff : sum);
}

/**
 * Splits the packet in `slot` into datagrams of `pieceBytes` payload and lets them arrive in order; `slot` becomes the first one.
 * Shape: how many arrived; 0 when the packet makes no sense or there are not slots enough, and then the slot is the caller's still.
 */
export function splitDatagrams(arena: Arena, slot: Slot, pieceBytes: number): number {
  const view = arena.view;
  const at = arena.at(slot);
  const length = arena.length[slot]!;
  if (length < ipv4.HEADER_BYTES || pieceBytes === 0) return 0;
  const isV4 = view.getUint8(at) >>> 4 === 4;
  const protocol = isV4 ? ipv4.protocol(view, at) : length < ipv6.HEADER_BYTES ? 0 : ipv6.nextHeader(view, at);
  const headers = (isV4 ? ipv4.headerLength(view, at) : ipv6.HEADER_BYTES) + udp.HEADER_BYTES;
  if (protocol !== udp.PROTOCOL || length <= headers) return 0;
  const payload = length - headers;
  const count = Math.ceil(payload / pieceBytes);
  if (count > DATAGRAMS_PER_PACKET_MAX || count - 1 > arena.freeCount) return 0;
  const first = payload < pieceBytes ? payload : pieceBytes;
  // Their checksums are made below.
  arena.vouched[slot] = 1;
  arena.length[slot] = headers + first;
  arena.wireLength[slot] = headers + first;
  arena.arrive(slot);
  for (let index = 1; index < count; index++) {
    const from = index * pieceBytes;
    const bytes = payload - from < pieceBytes ? payload - from : pieceBytes;
    const piece = arena.acquire();
    if (piece === NO_SLOT) return index;
    const pieceAt = arena.at(piece);
    arena.bytes.copyWithin(pieceAt, at, at + headers);
    arena.bytes.copyWithin(pieceAt + headers, at + headers + from, at + headers + from + bytes);
    finishDatagram(view, pieceAt, headers, bytes, index);
    arena.length[piece] = headers + bytes;
    arena.wireLength[piece] = headers + bytes;
    arena.direction[piece] = arena.direction[slot]!;
    arena.vouched[piece] = 1;
    arena.arrive(piece);
  }
  finishDatagram(view, at, headers, first, 0);
  return count;
}
