/**
 * The packet that an ICMP error quotes: one of ours, so we are its source.
 *
 * Read first: RFC 792 (the header and 64 bits), RFC 1812 section 4.3.2.3, RFC 4443 section 3 (as much as fits), RFC 5927 (what an attacker
 * can do with made-up errors).
 */
import { Fragment, type PacketMeta } from "../parse/packet_meta.ts";
import * as icmp from "../wire/icmp.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import { IcmpKind } from "./tcp/tcp_state.ts";

const MAPPED = 0xffff;
/** Ports and TCP's sequence number. Units: bytes. */
const TRANSPORT_BYTES_MIN = 8;
/** Code of "time exceeded" for a packet that went through too many routers: most likely in circles. Source: RFC 792. */
const IN_TRANSIT = 0;
/** MTUs to try where a router names none. Source: RFC 1191 section 7. */
const PLATEAUS: readonly number[] = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68];

/** One record, reused for every error. */
export class QuotedPacket {
  /** Shape: four words, IPv4 as ::ffff:a.b.c.d; the quoted packet's source, which is us. */
  readonly local: Uint32Array = new Uint32Array(4);
  /** Shape: as `local`; where the quoted packet was to go. */
  readonly remote: Uint32Array = new Uint32Array(4);
  localPort = 0;
  remotePort = 0;
  protocol = 0;
  /** TCP's sequence number, in an array as it needs 32 bits. Shape: [sequence]. */
  readonly sequence: Uint32Array = new Uint32Array(1);
  kind: IcmpKind = IcmpKind.Soft;
  /** What the error says a packet may have, for `IcmpKind.TooBig`. Units: bytes. */
  mtu = 0;

  /** Reads the ICMP error of `meta`. False: it is no error, or quotes too little. */
  read(view: DataView, meta: PacketMeta): boolean {
    if (meta.fragment !== Fragment.Whole || !this.#readKind(view, meta)) return false;
    const at = meta.payloadAt;
    const end = at + meta.payloadLength;
    return meta.version === 4 ? this.#read4(view, at, end) : this.#read6(view, at, end);
  }

  #readKind(view: DataView, meta: PacketMeta): boolean {
    const type = meta.sourcePort;
    const code = meta.destinationPort;
    if (meta.version === 4) {
      if (type === icmp.DESTINATION_UNREACHABLE && code === icmp.FRAGMENTATION_NEEDED) {
        this.kind = IcmpKind.TooBig;
        this.mtu = icmp.restOfHeader(view, meta.transportAt) & 0xffff;
        return true;
      }
      this.kind = type === icmp.DESTINATION_UNREACHABLE && isHard4(code) ? IcmpKind.Hard : IcmpKind.Soft;
      if (type === icmp.TIME_EXCEEDED && code === IN_TRANSIT) this.kind = IcmpKind.Unreached;
      return type === icmp.DESTINATION_UNREACHABLE || type === icmp.TIME_EXCEEDED || type === icmp.PARAMETER_PROBLEM;
    }
    if (type === icmp.PACKET_TOO_BIG_V6) {
      this.kind = IcmpKind.TooBig;
      this.mtu = icmp.restOfHeader(view, meta.transportAt);
      return true;
    }
    const isHard = (type === icmp.DESTINATION_UNREACHABLE_V6 && (code === 1 || code >= 4)) ||
      (type === icmp.PARAMETER_PROBLEM_V6 && code === 1);
    this.kind = isHard ? IcmpKind.Hard : IcmpKind.Soft;
    if (type === icmp.TIME_EXCEEDED_V6 && code === IN_TRANSIT) this.kind = IcmpKind.Unreached;
    return type === icmp.DESTINATION_UNREACHABLE_V6 || type === icmp.TIME_EXCEEDED_V6 ||
      type === icmp.PARAMETER_PROBLEM_V6;
  }

  #read4(view: DataView, at: number, end: number): boolean {
    if (end - at < ipv4.HEADER_BYTES || ipv4.version(view, at) !== 4) return false;
    const headerLength = ipv4.headerLength(view, at);
    if (headerLength < ipv4.HEADER_BYTES || ipv4.fragmentOffset(view, at) !== 0) return false;
    for (let word = 0; word < 3; word++) {
      this.local[word] = word === 2 ? MAPPED : 0;
      this.remote[word] = word === 2 ? MAPPED : 0;
    }
    this.local[3] = ipv4.source(view, at);
    this.remote[3] = ipv4.destination(view, at);
    this.protocol = ipv4.protocol(view, at);
    if (this.kind === IcmpKind.TooBig && this.mtu === 0) this.mtu = plateauBelow(ipv4.totalLength(view, at));
    return this.#readTransport(view, at + headerLength, end);
  }

  #read6(view: DataView, at: number, end: number): boolean {
    if (end - at < ipv6.HEADER_BYTES || ipv6.version(view, at) !== 6) return false;
    for (let word = 0; word < 4; word++) {
      this.local[word] = ipv6.sourceWord(view, at, word);
      this.remote[word] = ipv6.destinationWord(view, at, word);
    }
    this.protocol = ipv6.nextHeader(view, at);
    let next = at + ipv6.HEADER_BYTES;
    // Of extension headers we write no others.
    if (this.protocol === ipv6.FRAGMENT) {
      if (end - next < ipv6.FRAGMENT_BYTES || ipv6.fragmentOffset(view, next) !== 0) return false;
      this.protocol = ipv6.extensionNext(view, next);
      next += ipv6.FRAGMENT_BYTES;
    }
    return this.#readTransport(view, next, end);
  }

  #readTransport(view: DataView, at: number, end: number): boolean {
    if (end - at < TRANSPORT_BYTES_MIN) return false;
    this.localPort = view.getUint16(at);
    this.remotePort = view.getUint16(at + 2);
    this.sequence[0] = view.getUint32(at + 4);
    return true;
  }
}

/**
 * Protocol, port, prohibited: nothing that waiting mends. Precedence (14, 15) is nothing that we could choose otherwise, and says little of the
 * path: FreeBSD passes over it too. Source: RFC 1122 section 4.2.3.9, RFC 1812 section 5.2.7.1.
 */
function isHard4(code: number): boolean {
  return code === 2 || code === 3 || code === 9 || code === 10 || code === 13;
}

function plateauBelow(length: number): number {
  for (let i = 0; i < PLATEAUS.length; i++) if (PLATEAUS[i]! < length) return PLATEAUS[i]!;
  return PLATEAUS[PLATEAUS.length - 1]!;
}
