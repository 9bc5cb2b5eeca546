/**
 * What tells an application at once that its packet will not go through: a TCP reset, an ICMP port unreachable.
 *
 * Read first: RFC 9293 section 3.10.7.1 (reset for a segment that belongs to no connection), RFC 1812 section 4.3.2.3 (quote as much as
 * fits 576 bytes), RFC 4443 section 2.4 (1,280 bytes).
 */
import type { Arena, Slot } from "../adapter/arena.ts";
import { PACKET_BYTES_MAX, REFUSALS_BURST_MAX, REFUSALS_PER_SECOND_MAX } from "../base/limits.ts";
import type { Micros } from "../base/micros.ts";
import { ReplyCredit } from "./reply_credit.ts";
import { ACKNOWLEDGMENT, DESTINATION, type PacketMeta, SEQUENCE, SOURCE } from "../parse/packet_meta.ts";
import { TokenBucket } from "./token_bucket.ts";
import { addBytes, checksum, finishSum, pseudoSum4, pseudoSum6 } from "../wire/checksum.ts";
import * as icmp from "../wire/icmp.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import * as tcp from "../wire/tcp.ts";

const TIME_TO_LIVE = 64;
const QUOTE_BYTES_MAX_V4 = 576 - ipv4.HEADER_BYTES - icmp.HEADER_BYTES;
/** What an IPv4 quote has after the header at least: ports, and TCP's sequence number. Units: bytes. Source: RFC 792. */
const QUOTE_TRANSPORT_BYTES_MIN = 8;
const QUOTE_BYTES_MAX_V6 = 1280 - ipv6.HEADER_BYTES - icmp.HEADER_BYTES;

/** Builds refusals; holds the records that headers are made from. */
export class Refuser {
  readonly #ipv4: ipv4.Ipv4Fields = {
    tos: 0,
    totalLength: 0,
    identification: 0,
    dontFragment: true,
    moreFragments: false,
    fragmentOffset: 0,
    timeToLive: TIME_TO_LIVE,
    protocol: 0,
    source: 0,
    destination: 0,
  };
  readonly #ipv6: ipv6.Ipv6Fields = {
    trafficClass: 0,
    flowLabel: 0,
    payloadLength: 0,
    nextHeader: 0,
    hopLimit: TIME_TO_LIVE,
    source: new Uint32Array(4),
    destination: new Uint32Array(4),
  };
  readonly #tcp: tcp.TcpFields = {
    sourcePort: 0,
    destinationPort: 0,
    sequence: 0,
    acknowledgment: 0,
    flags: 0,
    window: 0,
    urgentPointer: 0,
  };
  readonly #icmp: icmp.IcmpFields = { type: 0, code: 0, restOfHeader: 0 };
  readonly #credit = new ReplyCredit();
  readonly #bucket = new TokenBucket(REFUSALS_PER_SECOND_MAX, REFUSALS_BURST_MAX);

  /**
   * Writes the answer to the packet of `meta` into slot `into`; false when there is none: a reset is never answered, and all answers together
   * are no longer than what they answer but for a small allowance, nor more than so many a second where the time is given.
   */
  refuse(arena: Arena, meta: PacketMeta, into: Slot, now?: Micros): boolean {
    const credit = this.#credit;
    credit.earn(meta.ipLength);
    if (now !== undefined && !this.#bucket.take(now)) return false;
    if (meta.protocol === tcp.PROTOCOL) {
      return this.reset(arena, meta, into) && credit.spend(arena.length[into]!);
    }
    const room = credit.bytes;
    if (meta.version === 4) this.error(arena, meta, into, icmp.DESTINATION_UNREACHABLE, icmp.PORT_UNREACHABLE, 0, room);
    else this.error(arena, meta, into, icmp.DESTINATION_UNREACHABLE_V6, icmp.PORT_UNREACHABLE_V6, 0, room);
    return credit.spend(arena.length[into]!);
  }

  /** Writes the reset that answers a TCP segment; false when it is a reset itself. */
  reset(arena: Arena, meta: PacketMeta, into: Slot): boolean {
    if ((meta.flags & tcp.RST) !== 0) return false;
    const at = arena.at(into);
    const transportAt = this.#startIp(arena.view, at, meta, tcp.PROTOCOL, tcp.HEADER_BYTES);
    this.#fillReset(meta);
    tcp.emit(arena.view, transportAt, this.#tcp);
    const pseudo = pseudo46(arena.view, at, meta.version, tcp.PROTOCOL, tcp.HEADER_BYTES);
    arena.view.setUint16(transportAt + 16, finishSum(addBytes(pseudo, arena.view, transportAt, tcp.HEADER_BYTES)));
    this.#finish(arena, into, transportAt - at + tcp.HEADER_BYTES);
    return true;
  }

  #fillReset(meta: PacketMeta): void {
    const fields = this.#tcp;
    fields.sourcePort = meta.destinationPort;
    fields.destinationPort = meta.sourcePort;
    if ((meta.flags & tcp.ACK) !== 0) {
      fields.sequence = meta.words[ACKNOWLEDGMENT]!;
      fields.acknowledgment = 0;
      fields.flags = tcp.RST;
      return;
    }
    const controls = ((meta.flags & tcp.SYN) !== 0 ? 1 : 0) + ((meta.flags & tcp.FIN) !== 0 ? 1 : 0);
    fields.sequence = 0;
    fields.acknowledgment = (meta.words[SEQUENCE]! + meta.payloadLength + controls) >>> 0;
    fields.flags = tcp.RST | tcp.ACK;
  }

  /**
   * Writes an ICMP error of the packet's IP version about the packet, whose beginning it quotes. Where it would be longer than `bytesMax`, an
   * IPv4 quote is cut, to the header and 64 bits at least; an IPv6 one has to be as long as fits. Source: RFC 792, RFC 4443 section 2.4 (c).
   */
  error(
    arena: Arena,
    meta: PacketMeta,
    into: Slot,
    type: number,
    code: number,
    restOfHeader: number,
    bytesMax: number = PACKET_BYTES_MAX,
  ): void {
    const four = meta.version === 4;
    const quoteMax = four ? QUOTE_BYTES_MAX_V4 : QUOTE_BYTES_MAX_V6;
    const captured = meta.payloadAt + meta.payloadLength - meta.ipAt;
    let quote = captured < quoteMax ? captured : quoteMax;
    if (four && ipv4.HEADER_BYTES + icmp.HEADER_BYTES + quote > bytesMax) {
      const least = ipv4.headerLength(arena.view, meta.ipAt) + QUOTE_TRANSPORT_BYTES_MIN;
      const room = bytesMax - ipv4.HEADER_BYTES - icmp.HEADER_BYTES;
      if (quote > least) quote = room > least ? room : least;
    }
    const length = icmp.HEADER_BYTES + quote;
    const at = arena.at(into);
    const protocol = four ? icmp.PROTOCOL : icmp.PROTOCOL_V6;
    const icmpAt = this.#startIp(arena.view, at, meta, protocol, length);
    this.#icmp.type = type;
    this.#icmp.code = code;
    this.#icmp.restOfHeader = restOfHeader;
    icmp.emit(arena.view, icmpAt, this.#icmp);
    arena.bytes.copyWithin(icmpAt + icmp.HEADER_BYTES, meta.ipAt, meta.ipAt + quote);
    const sum = four
      ? checksum(arena.view, icmpAt, length)
      : finishSum(addBytes(pseudoSum6(arena.view, at, protocol, length), arena.view, icmpAt, length));
    arena.view.setUint16(icmpAt + 2, sum);
    this.#finish(arena, into, icmpAt - at + length);
  }

  /** Writes an IP header from the refused packet's destination back to its source; returns where its payload goes. */
  #startIp(view: DataView, at: number, meta: PacketMeta, protocol: number, payloadLength: number): number {
    if (meta.version === 4) {
      const fields = this.#ipv4;
      fields.totalLength = ipv4.HEADER_BYTES + payloadLength;
      fields.protocol = protocol;
      fields.source = meta.words[DESTINATION + 3]!;
      fields.destination = meta.words[SOURCE + 3]!;
      return at + ipv4.emit(view, at, fields);
    }
    const fields = this.#ipv6;
    fields.payloadLength = payloadLength;
    fields.nextHeader = protocol;
    const source = fields.source as Uint32Array;
    const destination = fields.destination as Uint32Array;
    for (let word = 0; word < 4; word++) {
      source[word] = meta.words[DESTINATION + word]!;
      destination[word] = meta.words[SOURCE + word]!;
    }
    return at + ipv6.emit(view, at, fields);
  }

  #finish(arena: Arena, into: Slot, length: number): void {
    arena.length[into] = length;
    arena.wireLength[into] = length;
  }
}

function pseudo46(view: DataView, ipAt: number, version: number, protocol: number, length: number): number {
  return version === 4 ? pseudoSum4(view, ipAt, protocol, length) : pseudoSum6(view, ipAt, protocol, length);
}
