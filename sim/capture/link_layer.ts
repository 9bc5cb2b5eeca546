/**
 * From a captured frame to its IP header.
 *
 * Read first: IEEE 802.3 and 802.1Q; RFC 1042 (SNAP), RFC 2516 (PPPoE), RFC 1661 and 1662 (PPP), RFC 3032 (MPLS);
 * https://www.tcpdump.org/linktypes.html for NULL, LOOP, RAW, LINUX_SLL, LINUX_SLL2 and PKTAP.
 *
 *      Ethernet                LINUX_SLL                   LINUX_SLL2                 PKTAP, little-endian
 *   0  destination          0  packet type              0  EtherType               0  length of this header
 *   6  source               2  ARPHRD type              4  interface index         4  1: a packet follows
 *  12  EtherType, length    4  address length           8  ARPHRD type             8  link type of the packet
 *  14  payload              6  address (8)             10  packet type            12  interface name (24)
 *                          14  EtherType               12  address (8)            36  flags: 1 in, 2 out
 *                          16  payload                 20  payload                52  pid   56  command (20)
 *                                                                                 84  effective pid   88  its command
 *
 * Padding behind the IP packet stays: the IP header's own length decides.
 * Source of PKTAP's layout: XNU, bsd/net/pktap.h.
 */
import { CAPTURE_FACT_COUNT_MAX, LINK_HEADER_COUNT_MAX } from "../../core/base/limits.ts";
import { LINKTYPE } from "./link_types.ts";
import { captureText } from "./process_blocks.ts";
import type { CaptureDirection, ProcessFact } from "./record.ts";

/** What stands behind a link header; `stripLink` overwrites it. */
export interface LinkFrame {
  ipAt: number;
  /** Captured bytes from `ipAt` on, padding included. */
  ipLength: number;
  /** 0: not IP. */
  family: 0 | 4 | 6;
  /** The capture ends inside the link header. */
  truncated: boolean;
  /** What the link header says; 0 when it says nothing. */
  direction: CaptureDirection;
  process: ProcessFact | undefined;
  /** PKTAP's processes that were seen already, so that each is one object. */
  readonly processes: Map<number, ProcessFact>;
}

/** A frame for `stripLink` to fill. */
export function createLinkFrame(): LinkFrame {
  return {
    ipAt: 0,
    ipLength: 0,
    family: 0,
    truncated: false,
    direction: 0,
    process: undefined,
    processes: new Map(),
  };
}

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_IPV6 = 0x86dd;
const ETHERTYPE_MPLS = 0x8847;
const ETHERTYPE_MPLS_UPSTREAM = 0x8848;
const ETHERTYPE_PPPOE_SESSION = 0x8864;
const ETHERTYPE_QINQ = 0x88a8;
const ETHERTYPE_QINQ_OLD = 0x9100;
/** Below this an EtherType is the length of an IEEE 802.3 frame. */
const ETHERTYPE_MIN = 0x0600;
/** LINUX_SLL's mark for a frame that begins with an LLC header. */
const SLL_LLC = 0x0004;
const PPP_IPV4 = 0x0021;
const PPP_IPV6 = 0x0057;
const PPP_MPLS = 0x0281;
const SLL_PACKET_OUTGOING = 4;
const SLL_PACKET_OTHER_HOST = 3;
const PKTAP_HEADER_BYTES_MIN = 108;
const PKTAP_COMMAND_BYTES = 20;

function found(out: LinkFrame, family: 0 | 4 | 6, at: number, end: number): void {
  if (at > end) {
    out.truncated = true;
    return;
  }
  out.family = family;
  out.ipAt = at;
  out.ipLength = end - at;
}

/** The family from the IP header's own first four bits. */
function findByVersion(view: DataView, at: number, end: number, out: LinkFrame): void {
  if (at >= end) {
    out.truncated = true;
    return;
  }
  const version = view.getUint8(at) >>> 4;
  found(out, version === 4 ? 4 : version === 6 ? 6 : 0, at, end);
}

function stripMpls(view: DataView, at: number, end: number, out: LinkFrame): void {
  for (let label = 0; label < LINK_HEADER_COUNT_MAX; label++) {
    if (end - at < 4) {
      out.truncated = true;
      return;
    }
    const isLast = (view.getUint8(at + 2) & 1) !== 0;
    at += 4;
    if (isLast) {
      findByVersion(view, at, end, out);
      return;
    }
  }
}

function stripPpp(view: DataView, at: number, end: number, out: LinkFrame): void {
  // Address and control are there or not, by negotiation; neither value can begin a protocol number.
  if (end - at >= 2 && view.getUint16(at) === 0xff03) at += 2;
  if (end - at < 2) {
    out.truncated = true;
    return;
  }
  let protocol = view.getUint8(at++);
  // An odd first byte is a whole protocol number, compressed. Source: RFC 1661 section 6.5.
  if ((protocol & 1) === 0) protocol = protocol << 8 | view.getUint8(at++);
  if (protocol === PPP_IPV4) found(out, 4, at, end);
  else if (protocol === PPP_IPV6) found(out, 6, at, end);
  else if (protocol === PPP_MPLS) stripMpls(view, at, end, out);
}

/** LLC with SNAP; returns the EtherType behind it, or 0. */
function snapEtherType(view: DataView, at: number, end: number, out: LinkFrame): number {
  if (end - at < 8) {
    out.truncated = true;
    return 0;
  }
  if (view.getUint16(at) !== 0xaaaa || view.getUint8(at + 2) !== 3) return 0;
  return view.getUint8(at + 3) === 0 && view.getUint16(at + 4) === 0 ? view.getUint16(at + 6) : 0;
}

/** Follows tags and tunnels from an EtherType on. Shape: `at` is behind the type. */
function stripEtherType(type: number, view: DataView, at: number, end: number, out: LinkFrame): void {
  for (let tag = 0; tag < LINK_HEADER_COUNT_MAX; tag++) {
    switch (type) {
      case ETHERTYPE_IPV4:
        found(out, 4, at, end);
        return;
      case ETHERTYPE_IPV6:
        found(out, 6, at, end);
        return;
      case ETHERTYPE_VLAN:
      case ETHERTYPE_QINQ:
      case ETHERTYPE_QINQ_OLD:
        if (end - at < 4) {
          out.truncated = true;
          return;
        }
        type = view.getUint16(at + 2);
        at += 4;
        break;
      case ETHERTYPE_PPPOE_SESSION:
        if (end - at < 6) {
          out.truncated = true;
          return;
        }
        // Only session data has code 0.
        if (view.getUint8(at + 1) === 0) stripPpp(view, at + 6, end, out);
        return;
      case ETHERTYPE_MPLS:
      case ETHERTYPE_MPLS_UPSTREAM:
        stripMpls(view, at, end, out);
        return;
      default:
        if (type >= ETHERTYPE_MIN) return;
        type = snapEtherType(view, at, end, out);
        // A length inside SNAP would begin all over again.
        if (type < ETHERTYPE_MIN) return;
        at += 8;
        break;
    }
  }
}

/** In the byte order of the machine that recorded: families are small, so the other order makes them huge. */
function nullFamily(view: DataView, at: number): number {
  const little = view.getUint32(at, true);
  if (little < 0x10000) return little;
  const big = view.getUint32(at);
  // Huge both ways: a tunnel's header with an EtherType at its end, as BSD's drivers pass it on.
  return big < 0x10000 ? big : view.getUint16(at + 2);
}

/** BSD's loopback: an address family, whose numbers differ among the systems. */
function stripLoopback(family: number, view: DataView, at: number, end: number, out: LinkFrame): void {
  if (family === 2) found(out, 4, at, end);
  else if (family === 10 || family === 23 || family === 24 || family === 28 || family === 30) found(out, 6, at, end);
  // Some writers put an EtherType here, as libpcap's filters also allow.
  else if (family > 1500) stripEtherType(family, view, at, end, out);
}

function sllDirection(packetType: number): CaptureDirection {
  if (packetType === SLL_PACKET_OUTGOING) return 2;
  return packetType < SLL_PACKET_OTHER_HOST ? 1 : 0;
}

function pktapProcess(view: DataView, at: number, out: LinkFrame): ProcessFact | undefined {
  let pid = view.getInt32(at + 52, true);
  let commandAt = at + 56;
  if (pid <= 0) {
    pid = view.getInt32(at + 84, true);
    commandAt = at + 88;
  }
  if (pid <= 0) return undefined;
  const known = out.processes.get(pid);
  if (known !== undefined && sameText(view, commandAt, known.name)) return known;
  const name = captureText(view, commandAt, PKTAP_COMMAND_BYTES);
  const fact: ProcessFact = { path: "", name, pid, user: "", uid: undefined };
  if (out.processes.size >= CAPTURE_FACT_COUNT_MAX) out.processes.clear();
  out.processes.set(pid, fact);
  return fact;
}

function sameText(view: DataView, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (i >= PKTAP_COMMAND_BYTES || view.getUint8(at + i) !== text.charCodeAt(i)) return false;
  }
  return text.length >= PKTAP_COMMAND_BYTES || view.getUint8(at + text.length) === 0;
}

/** Returns where the inner frame begins, or −1 when there is none. */
function pktapPayload(view: DataView, at: number, end: number, out: LinkFrame): number {
  if (end - at < PKTAP_HEADER_BYTES_MIN) {
    out.truncated = true;
    return -1;
  }
  const length = view.getUint32(at, true);
  if (length < PKTAP_HEADER_BYTES_MIN || view.getUint32(at + 4, true) !== 1) return -1;
  if (length > end - at) {
    out.truncated = true;
    return -1;
  }
  const flags = view.getUint32(at + 36, true);
  out.direction = (flags & 1) !== 0 ? 1 : (flags & 2) !== 0 ? 2 : 0;
  out.process = pktapProcess(view, at, out);
  return at + length;
}

/** Finds the IP packet in a frame. Units: bytes. Drops: none; what is not IP has family 0. */
export function stripLink(linkType: number, view: DataView, at: number, length: number, out: LinkFrame): void {
  const end = at + length;
  out.family = 0;
  out.ipAt = end;
  out.ipLength = 0;
  out.truncated = false;
  out.direction = 0;
  out.process = undefined;
  for (let header = 0; header < LINK_HEADER_COUNT_MAX; header++) {
    if (linkType !== LINKTYPE.PKTAP && linkType !== LINKTYPE.USER2) {
      stripOne(linkType, view, at, end, out);
      return;
    }
    const payloadAt = pktapPayload(view, at, end, out);
    if (payloadAt < 0) return;
    linkType = view.getUint32(at + 8, true);
    at = payloadAt;
  }
}

function stripOne(linkType: number, view: DataView, at: number, end: number, out: LinkFrame): void {
  const headerBytes = linkHeaderBytes(linkType);
  if (end - at < headerBytes) {
    out.truncated = true;
    return;
  }
  const payloadAt = at + headerBytes;
  switch (linkType) {
    case LINKTYPE.ETHERNET:
      stripEtherType(view.getUint16(at + 12), view, payloadAt, end, out);
      return;
    case LINKTYPE.RAW:
    case LINKTYPE.DLT_RAW:
    case LINKTYPE.DLT_RAW_OPENBSD:
      findByVersion(view, at, end, out);
      return;
    case LINKTYPE.IPV4:
      found(out, 4, at, end);
      return;
    case LINKTYPE.IPV6:
      found(out, 6, at, end);
      return;
    case LINKTYPE.NULL:
      stripLoopback(nullFamily(view, at), view, payloadAt, end, out);
      return;
    case LINKTYPE.LOOP:
      stripLoopback(view.getUint32(at), view, payloadAt, end, out);
      return;
    case LINKTYPE.LINUX_SLL: {
      out.direction = sllDirection(view.getUint16(at));
      const type = view.getUint16(at + 14);
      if (type >= ETHERTYPE_MIN || type === SLL_LLC) stripEtherType(type, view, payloadAt, end, out);
      return;
    }
    case LINKTYPE.LINUX_SLL2: {
      out.direction = sllDirection(view.getUint8(at + 10));
      const type = view.getUint16(at);
      if (type >= ETHERTYPE_MIN || type === SLL_LLC) stripEtherType(type, view, payloadAt, end, out);
      return;
    }
    case LINKTYPE.PPP:
      stripPpp(view, at, end, out);
      return;
    case LINKTYPE.PPP_HDLC:
      // Cisco's framing, told by its address, may stand here instead. Source: linktypes.html.
      if (end - at >= 4 && (view.getUint8(at) === 0x0f || view.getUint8(at) === 0x8f)) {
        stripEtherType(view.getUint16(at + 2), view, at + 4, end, out);
      } else stripPpp(view, at, end, out);
      return;
    case LINKTYPE.C_HDLC:
      stripEtherType(view.getUint16(at + 2), view, payloadAt, end, out);
      return;
    case LINKTYPE.PPP_ETHER:
      stripEtherType(ETHERTYPE_PPPOE_SESSION, view, at, end, out);
      return;
    default:
      return;
  }
}

function linkHeaderBytes(linkType: number): number {
  switch (linkType) {
    case LINKTYPE.ETHERNET:
      return 14;
    case LINKTYPE.NULL:
    case LINKTYPE.LOOP:
    case LINKTYPE.C_HDLC:
      return 4;
    case LINKTYPE.LINUX_SLL:
      return 16;
    case LINKTYPE.LINUX_SLL2:
      return 20;
    default:
      return 0;
  }
}
