/**
 * What a router on the path does to packets: it says that one is too big, it marks one because its queue grows.
 *
 * Read first: RFC 792 and RFC 1191 section 4 (fragmentation needed), RFC 4443 section 3.2 (packet too big), RFC 3168 section 5 (ECN).
 */
import { addBytes, checksum, finishSum, pseudoSum6 } from "../../core/wire/checksum.ts";
import * as icmp from "../../core/wire/icmp.ts";
import * as ipv4 from "../../core/wire/ipv4.ts";
import * as ipv6 from "../../core/wire/ipv6.ts";

const TIME_TO_LIVE = 64;
/** A router's own address: the world has one for all. */
const ROUTER_V4 = 0x0a00_00fe;
const ROUTER_V6: readonly number[] = [0xfd00_0000, 0, 0, 0xfe];
const QUOTE_BYTES_MAX_V4 = 576 - ipv4.HEADER_BYTES - icmp.HEADER_BYTES;
const QUOTE_BYTES_MAX_V6 = 1_280 - ipv6.HEADER_BYTES - icmp.HEADER_BYTES;

/** What the sender of a packet larger than `mtu` hears; undefined for a packet that may be cut, or that is itself an ICMP message. */
export function tooBigAnswer(packet: Uint8Array, mtu: number): Uint8Array | undefined {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  if (ipv4.version(view, 0) === 4) return tooBigV4(packet, view, mtu);
  if (ipv6.nextHeader(view, 0) === icmp.PROTOCOL_V6) return undefined;
  const quote = Math.min(packet.length, QUOTE_BYTES_MAX_V6);
  const answer = new Uint8Array(ipv6.HEADER_BYTES + icmp.HEADER_BYTES + quote);
  const out = new DataView(answer.buffer);
  const words = [0, 1, 2, 3].map((word) => ipv6.sourceWord(view, 0, word));
  const length = icmp.HEADER_BYTES + quote;
  ipv6.emit(out, 0, {
    trafficClass: 0,
    flowLabel: 0,
    payloadLength: length,
    nextHeader: icmp.PROTOCOL_V6,
    hopLimit: TIME_TO_LIVE,
    source: ROUTER_V6,
    destination: words,
  });
  icmp.emit(out, ipv6.HEADER_BYTES, { type: icmp.PACKET_TOO_BIG_V6, code: 0, restOfHeader: mtu });
  answer.set(packet.subarray(0, quote), ipv6.HEADER_BYTES + icmp.HEADER_BYTES);
  const sum = addBytes(pseudoSum6(out, 0, icmp.PROTOCOL_V6, length), out, ipv6.HEADER_BYTES, length);
  out.setUint16(ipv6.HEADER_BYTES + 2, finishSum(sum));
  return answer;
}

function tooBigV4(packet: Uint8Array, view: DataView, mtu: number): Uint8Array | undefined {
  if (!ipv4.dontFragment(view, 0) || ipv4.protocol(view, 0) === icmp.PROTOCOL) return undefined;
  const quote = Math.min(packet.length, QUOTE_BYTES_MAX_V4);
  const length = icmp.HEADER_BYTES + quote;
  const answer = new Uint8Array(ipv4.HEADER_BYTES + length);
  const out = new DataView(answer.buffer);
  ipv4.emit(out, 0, {
    tos: 0,
    totalLength: answer.length,
    identification: 0,
    dontFragment: true,
    moreFragments: false,
    fragmentOffset: 0,
    timeToLive: TIME_TO_LIVE,
    protocol: icmp.PROTOCOL,
    source: ROUTER_V4,
    destination: ipv4.source(view, 0),
  });
  const fields = { type: icmp.DESTINATION_UNREACHABLE, code: icmp.FRAGMENTATION_NEEDED, restOfHeader: mtu };
  icmp.emit(out, ipv4.HEADER_BYTES, fields);
  answer.set(packet.subarray(0, quote), ipv4.HEADER_BYTES + icmp.HEADER_BYTES);
  out.setUint16(ipv4.HEADER_BYTES + 2, checksum(out, ipv4.HEADER_BYTES, length));
  return answer;
}

/** Turns ECT(0) or ECT(1) into CE where it stands; false when the packet's sender does not understand marks. */
export function markCongestion(packet: Uint8Array): boolean {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  if (ipv4.version(view, 0) === 4) {
    const ecn = ipv4.tos(view, 0) & 3;
    if (ecn === 0 || ecn === 3) return false;
    view.setUint8(1, ipv4.tos(view, 0) | 3);
    view.setUint16(10, 0);
    view.setUint16(10, checksum(view, 0, ipv4.headerLength(view, 0)));
    return true;
  }
  const ecn = ipv6.trafficClass(view, 0) & 3;
  if (ecn === 0 || ecn === 3) return false;
  view.setUint8(1, view.getUint8(1) | 0x30);
  return true;
}
