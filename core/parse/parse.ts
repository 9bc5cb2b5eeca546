/**
 * A slot's bytes become a `PacketMeta` or exactly one `DropReason`.
 *
 * Read first: RFC 791, RFC 8200 section 4, RFC 9293 section 3.1, RFC 768. Strict and total: leniency in a filter is a bypass.
 */
import { type Arena, Frame, type Slot } from "../adapter/arena.ts";
import { IPV6_EXTENSION_COUNT_MAX } from "../base/limits.ts";
import { addBytes, checksum, finishSum, pseudoSum4, pseudoSum6 } from "../wire/checksum.ts";
import * as icmp from "../wire/icmp.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import * as tcp from "../wire/tcp.ts";
import * as udp from "../wire/udp.ts";
import { DropReason } from "./drop_reason.ts";
import {
  ACKNOWLEDGMENT,
  DESTINATION,
  Fragment,
  FRAGMENT_ID,
  type PacketMeta,
  SEQUENCE,
  SOURCE,
} from "./packet_meta.ts";

/** Which checksums are verified: none, because hardware computes them; all but those that the device vouches for; IPv4's own. */
export const Verify = { None: 0, All: 1, Header: 2 } as const;
/** A value of `Verify`. */
export type Verify = (typeof Verify)[keyof typeof Verify];

/** Reads the packet in `slot` into `meta`. Drops: whatever is malformed. */
export function parse(arena: Arena, slot: Slot, verify: Verify, meta: PacketMeta): DropReason {
  const frame = arena.frame[slot]!;
  if (frame !== Frame.Ip) return frame === Frame.NotIp ? DropReason.NotIp : DropReason.LinkTruncated;
  const checks = verify === Verify.All && arena.vouched[slot] === 1 ? Verify.Header : verify;
  return parsePacket(arena.view, arena.at(slot), arena.length[slot]!, arena.wireLength[slot]!, checks, meta);
}

/** Reads the IP packet of `captured` bytes at `at`, which had `wire` bytes before a snap length cut it. */
export function parsePacket(
  view: DataView,
  at: number,
  captured: number,
  wire: number,
  verify: Verify,
  meta: PacketMeta,
): DropReason {
  if (captured < 1) return DropReason.BadVersion;
  meta.ipAt = at;
  const version = view.getUint8(at) >>> 4;
  let reason: DropReason;
  if (version === 4) reason = parseIpv4(view, at, captured, wire, verify, meta);
  else if (version === 6) reason = parseIpv6(view, at, captured, wire, meta);
  else return DropReason.BadVersion;
  if (reason !== DropReason.None || meta.fragment === Fragment.Later) return reason;
  return parseTransport(view, at + captured, verify, meta);
}

function parseIpv4(
  view: DataView,
  at: number,
  captured: number,
  wire: number,
  verify: Verify,
  meta: PacketMeta,
): DropReason {
  if (captured < ipv4.HEADER_BYTES) return DropReason.Ipv4Truncated;
  const headerLength = ipv4.headerLength(view, at);
  if (headerLength < ipv4.HEADER_BYTES) return DropReason.Ipv4BadHeaderLength;
  const total = ipv4.totalLength(view, at);
  if (total < headerLength || total > wire) return DropReason.Ipv4BadLength;
  if (headerLength > captured) return DropReason.Ipv4Truncated;
  if (verify !== Verify.None && checksum(view, at, headerLength) !== 0) return DropReason.Ipv4BadChecksum;
  const words = meta.words;
  words[SOURCE] = 0;
  words[SOURCE + 1] = 0;
  words[SOURCE + 2] = 0xffff;
  words[SOURCE + 3] = ipv4.source(view, at);
  words[DESTINATION] = 0;
  words[DESTINATION + 1] = 0;
  words[DESTINATION + 2] = 0xffff;
  words[DESTINATION + 3] = ipv4.destination(view, at);
  meta.version = 4;
  meta.protocol = ipv4.protocol(view, at);
  meta.dscp = ipv4.tos(view, at) >>> 2;
  meta.ipLength = total;
  meta.transportAt = at + headerLength;
  const offset = ipv4.fragmentOffset(view, at);
  const more = ipv4.moreFragments(view, at);
  meta.fragment = offset !== 0 ? Fragment.Later : more ? Fragment.First : Fragment.Whole;
  if (meta.fragment === Fragment.Whole) return DropReason.None;
  words[FRAGMENT_ID] = ipv4.identification(view, at);
  return judgeFragment(meta, offset, more, total - headerLength, (total < captured ? total : captured) - headerLength);
}

/** Notes a fragment's place. Drops: lengths that could not be put together, and first fragments that hide the ports. */
function judgeFragment(meta: PacketMeta, offset: number, more: boolean, wire: number, captured: number): DropReason {
  meta.fragmentOffset = offset;
  meta.moreFragments = more;
  meta.fragmentAt = meta.transportAt;
  meta.fragmentLength = captured;
  if (wire === 0 || (more && (wire & 7) !== 0) || offset + wire > 0xffff) return DropReason.FragmentMalformed;
  if (captured < wire) return meta.version === 4 ? DropReason.Ipv4Truncated : DropReason.Ipv6Truncated;
  return DropReason.None;
}

function parseIpv6(view: DataView, at: number, captured: number, wire: number, meta: PacketMeta): DropReason {
  if (captured < ipv6.HEADER_BYTES) return DropReason.Ipv6Truncated;
  const total = ipv6.HEADER_BYTES + ipv6.payloadLength(view, at);
  if (total > wire) return DropReason.Ipv6BadLength;
  const words = meta.words;
  for (let word = 0; word < 4; word++) {
    words[SOURCE + word] = ipv6.sourceWord(view, at, word);
    words[DESTINATION + word] = ipv6.destinationWord(view, at, word);
  }
  meta.version = 6;
  meta.dscp = ipv6.trafficClass(view, at) >>> 2;
  meta.ipLength = total;
  meta.fragment = Fragment.Whole;
  return walkExtensions(view, at, total < captured ? total : captured, total, meta);
}

function walkExtensions(view: DataView, at: number, captured: number, total: number, meta: PacketMeta): DropReason {
  const end = at + captured;
  let kind = ipv6.nextHeader(view, at);
  let next = at + ipv6.HEADER_BYTES;
  for (let count = 0; ipv6.isExtension(kind); count++) {
    if (count === IPV6_EXTENSION_COUNT_MAX) return DropReason.Ipv6BadExtension;
    if (next + 8 > end) return next + 8 > at + total ? DropReason.Ipv6BadExtension : DropReason.Ipv6Truncated;
    const length = ipv6.extensionLength(view, next, kind);
    if (next + length > at + total) return DropReason.Ipv6BadExtension;
    if (next + length > end) return DropReason.Ipv6Truncated;
    if (kind === ipv6.FRAGMENT) {
      const offset = ipv6.fragmentOffset(view, next);
      const more = ipv6.moreFragments(view, next);
      meta.words[FRAGMENT_ID] = ipv6.fragmentId(view, next);
      kind = ipv6.extensionNext(view, next);
      next += length;
      // An atomic fragment is a whole packet with a fragment header. Source: RFC 6946.
      if (offset === 0 && !more) continue;
      meta.protocol = kind;
      meta.transportAt = next;
      meta.fragment = offset === 0 ? Fragment.First : Fragment.Later;
      const reason = judgeFragment(meta, offset, more, at + total - next, end - next);
      if (reason !== DropReason.None || offset !== 0) return reason;
      continue;
    }
    // A mobility header that ends the chain is the payload: it has a checksum of its own.
    if (kind === ipv6.MOBILITY && ipv6.extensionNext(view, next) === ipv6.NO_NEXT_HEADER) break;
    kind = ipv6.extensionNext(view, next);
    next += length;
  }
  meta.protocol = kind;
  meta.transportAt = next;
  return DropReason.None;
}

function parseTransport(view: DataView, capturedEnd: number, verify: Verify, meta: PacketMeta): DropReason {
  const wireEnd = meta.ipAt + meta.ipLength;
  const end = wireEnd < capturedEnd ? wireEnd : capturedEnd;
  const protocol = meta.protocol;
  let reason: DropReason;
  if (protocol === tcp.PROTOCOL) reason = parseTcp(view, end, wireEnd, meta);
  else if (protocol === udp.PROTOCOL) reason = parseUdp(view, end, wireEnd, meta);
  else if (protocol === (meta.version === 4 ? icmp.PROTOCOL : icmp.PROTOCOL_V6)) reason = parseIcmp(view, end, meta);
  else {
    meta.payloadAt = meta.transportAt;
    meta.payloadLength = end - meta.transportAt;
    meta.sourcePort = 0;
    meta.destinationPort = 0;
    if (protocol !== ipv6.MOBILITY || verify !== Verify.All || end < wireEnd) return DropReason.None;
    return verifyTransport(view, meta);
  }
  if (reason !== DropReason.None) return meta.fragment === Fragment.First ? DropReason.FragmentMalformed : reason;
  if (verify === Verify.All && meta.fragment === Fragment.Whole && end === wireEnd) return verifyTransport(view, meta);
  return DropReason.None;
}

function parseTcp(view: DataView, end: number, wireEnd: number, meta: PacketMeta): DropReason {
  const at = meta.transportAt;
  if (end - at < tcp.HEADER_BYTES) return DropReason.TcpTruncated;
  const headerLength = tcp.headerLength(view, at);
  if (headerLength < tcp.HEADER_BYTES || at + headerLength > wireEnd) return DropReason.TcpBadHeaderLength;
  meta.sourcePort = tcp.sourcePort(view, at);
  meta.destinationPort = tcp.destinationPort(view, at);
  meta.flags = tcp.flags(view, at);
  meta.words[SEQUENCE] = tcp.sequence(view, at);
  meta.words[ACKNOWLEDGMENT] = tcp.acknowledgment(view, at);
  const payloadAt = at + headerLength;
  meta.payloadAt = payloadAt < end ? payloadAt : end;
  meta.payloadLength = end - meta.payloadAt;
  return DropReason.None;
}

function parseUdp(view: DataView, end: number, wireEnd: number, meta: PacketMeta): DropReason {
  const at = meta.transportAt;
  if (end - at < udp.HEADER_BYTES) return DropReason.UdpTruncated;
  const length = udp.length(view, at);
  if (length < udp.HEADER_BYTES) return DropReason.UdpBadLength;
  if (at + length > wireEnd && meta.fragment === Fragment.Whole) return DropReason.UdpBadLength;
  meta.sourcePort = udp.sourcePort(view, at);
  meta.destinationPort = udp.destinationPort(view, at);
  meta.payloadAt = at + udp.HEADER_BYTES;
  const payloadEnd = at + length < end ? at + length : end;
  meta.payloadLength = payloadEnd - meta.payloadAt;
  return DropReason.None;
}

function parseIcmp(view: DataView, end: number, meta: PacketMeta): DropReason {
  const at = meta.transportAt;
  if (end - at < icmp.HEADER_BYTES) return DropReason.IcmpTruncated;
  meta.sourcePort = icmp.type(view, at);
  meta.destinationPort = icmp.code(view, at);
  meta.payloadAt = at + icmp.HEADER_BYTES;
  meta.payloadLength = end - meta.payloadAt;
  return DropReason.None;
}

function verifyTransport(view: DataView, meta: PacketMeta): DropReason {
  const at = meta.transportAt;
  const protocol = meta.protocol;
  const length = protocol === udp.PROTOCOL ? udp.length(view, at) : meta.ipAt + meta.ipLength - at;
  if (protocol === udp.PROTOCOL && udp.checksumField(view, at) === 0) {
    return meta.version === 4 ? DropReason.None : DropReason.UdpBadChecksum;
  }
  let pseudo = 0;
  if (meta.version === 6) pseudo = pseudoSumFinal6(view, meta, protocol, length);
  else if (protocol !== icmp.PROTOCOL) pseudo = pseudoSum4(view, meta.ipAt, protocol, length);
  if (finishSum(addBytes(pseudo, view, at, length)) === 0) return DropReason.None;
  if (protocol === tcp.PROTOCOL) return DropReason.TcpBadChecksum;
  if (protocol === udp.PROTOCOL) return DropReason.UdpBadChecksum;
  return protocol === ipv6.MOBILITY ? DropReason.MobilityBadChecksum : DropReason.IcmpBadChecksum;
}

/** The pseudo-header's destination is the final one, which a routing or home-address header may carry. Source: RFC 8200 section 8.1. */
function pseudoSumFinal6(view: DataView, meta: PacketMeta, protocol: number, length: number): number {
  const at = meta.ipAt;
  let sourceAt = at + 8;
  let destinationAt = at + 24;
  let kind = ipv6.nextHeader(view, at);
  let next = at + ipv6.HEADER_BYTES;
  while (next < meta.transportAt) {
    const extension = ipv6.extensionLength(view, next, kind);
    if (kind === ipv6.ROUTING) {
      const last = finalDestination(view, next, extension);
      if (last >= 0) destinationAt = last;
    } else if (kind === ipv6.DESTINATION_OPTIONS) {
      const home = homeAddress(view, next, extension);
      if (home >= 0) sourceAt = home;
    }
    kind = ipv6.extensionNext(view, next);
    next += extension;
  }
  if (sourceAt === at + 8 && destinationAt === at + 24) return pseudoSum6(view, at, protocol, length);
  return addBytes(addBytes(protocol + length, view, sourceAt, 16), view, destinationAt, 16);
}

/** Where the last address of a type 0 or 2 routing header with segments left stands, or −1. Source: RFC 2460 section 4.4, RFC 6275 section 6.4. */
function finalDestination(view: DataView, at: number, length: number): number {
  const type = view.getUint8(at + 2);
  if ((type !== 0 && type !== 2) || view.getUint8(at + 3) === 0 || length < 24) return -1;
  return at + length - 16;
}

/** Where the home address option's address stands, or −1. Source: RFC 6275 section 6.3. */
function homeAddress(view: DataView, at: number, length: number): number {
  let i = at + 2;
  const end = at + length;
  while (i + 1 < end) {
    const kind = view.getUint8(i);
    if (kind === 0) {
      i++;
      continue;
    }
    const size = view.getUint8(i + 1);
    if (kind === 0xc9 && size === 16 && i + 18 <= end) return i + 2;
    i += 2 + size;
  }
  return -1;
}
