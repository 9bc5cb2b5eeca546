/**
 * Where the headers of an IP packet are, found exactly as WinDivert's parser finds them.
 *
 * Read first: RFC 791 section 3.1, RFC 8200 section 4 (extension headers), RFC 4302 section 2.2 (AH counts in 4-byte units), RFC 6275 6.1 (135).
 * WinDivert judges little: wrong checksums pass, a truncated packet is looked at as far as it goes, and a header that does
 * not fit is absent. A packet is refused only when it is no IP packet at all or shorter than its IP header.
 */
import { HEADER } from "./fields.ts";

const PROTOCOL_ICMP = 1;
const PROTOCOL_TCP = 6;
const PROTOCOL_UDP = 17;
const PROTOCOL_FRAGMENT = 44;
const PROTOCOL_AH = 51;
const PROTOCOL_ICMPV6 = 58;

const IPV4_BYTES = 20;
const IPV6_BYTES = 40;
const FRAGMENT_BYTES = 8;
const TCP_BYTES = 20;
const SHORT_HEADER_BYTES = 8; // UDP, ICMP and ICMPv6

/** One reusable view. After `parse` returned true its fields hold for that packet; offsets count from the start of the array. */
export class PacketView {
  /** The array the packet lies in, and where; set by `parse`. */
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
  /** Length as handed in, which may exceed what the IP header claims. Units: bytes. */
  length = 0;
  /** Offset of each header by `HEADER` number, −1 when it is absent. */
  readonly at: Int32Array = new Int32Array(6).fill(-1);
  /** The last next-header value of the chain. */
  protocol = 0;
  fragment = false;
  moreFragments = false;
  fragmentOffset = 0;
  /** Offset of what follows the last header. `payloadLength` may be 0. */
  payload = 0;
  payloadLength = 0;
  /** The IP header claims more than there is. */
  truncated = false;
  /** There is more than the IP header claims. */
  extended = false;
  /** The packet's hash has been computed; kept here so that it happens once a packet. */
  hashed = false;

  /** Forgets the packet: no header is present. */
  clear(): void {
    this.at.fill(-1);
    this.length = 0;
    this.protocol = 0;
    this.fragment = false;
    this.moreFragments = false;
    this.fragmentOffset = 0;
    this.payloadLength = 0;
    this.truncated = false;
    this.extended = false;
    this.hashed = false;
  }

  /** Finds the headers of the packet at `bytes[start … start + length)`. False: not a packet that WinDivert looks at. */
  parse(bytes: Uint8Array, start: number, length: number): boolean {
    this.clear();
    this.bytes = bytes;
    this.start = start;
    this.length = length;
    if (length < IPV4_BYTES || start + length > bytes.length) return false;
    const version = bytes[start]! >>> 4;
    if (version === 4) {
      if (!this.#parseIpv4()) return false;
    } else if (version !== 6 || !this.#parseIpv6()) return false;
    if (this.fragmentOffset === 0) this.#parseTransport();
    return true;
  }

  #parseIpv4(): boolean {
    const { bytes, start, length } = this;
    const headerLength = (bytes[start]! & 15) * 4;
    const totalLength = (bytes[start + 2]! << 8) | bytes[start + 3]!;
    if (headerLength < IPV4_BYTES || totalLength < headerLength || length < headerLength) return false;
    this.at[HEADER.ip] = start;
    this.protocol = bytes[start + 9]!;
    this.fragmentOffset = ((bytes[start + 6]! & 0x1f) << 8) | bytes[start + 7]!;
    this.moreFragments = (bytes[start + 6]! & 0x20) !== 0;
    this.fragment = this.moreFragments || this.fragmentOffset !== 0;
    this.#claim(totalLength, headerLength);
    return true;
  }

  #claim(totalLength: number, headerLength: number): void {
    this.truncated = totalLength > this.length;
    this.extended = totalLength < this.length;
    this.payload = this.start + headerLength;
    this.payloadLength = (this.truncated ? this.length : totalLength) - headerLength;
  }

  #parseIpv6(): boolean {
    const { bytes, start } = this;
    if (this.length < IPV6_BYTES) return false;
    this.at[HEADER.ipv6] = start;
    this.protocol = bytes[start + 6]!;
    this.#claim(((bytes[start + 4]! << 8) | bytes[start + 5]!) + IPV6_BYTES, IPV6_BYTES);
    // Every extension header is at least 8 bytes long, so this ends.
    while (this.fragmentOffset === 0 && this.payloadLength >= 2) {
      const size = this.#extensionLength();
      if (size === 0 || this.payloadLength < size) break;
      if (this.protocol === PROTOCOL_FRAGMENT) this.#readFragmentHeader();
      this.protocol = bytes[this.payload]!;
      this.payload += size;
      this.payloadLength -= size;
    }
    return true;
  }

  /** Length of the extension header at `payload`, 0 when there is none. Units: bytes. */
  #extensionLength(): number {
    const count = this.bytes[this.payload + 1]!;
    switch (this.protocol) {
      case PROTOCOL_FRAGMENT:
        return this.fragment ? 0 : FRAGMENT_BYTES;
      case PROTOCOL_AH:
        return (count + 2) * 4;
      case 0: // hop-by-hop options
      case 43: // routing
      case 60: // destination options
      case 135: // mobility
        return (count + 1) * 8;
      default:
        return 0;
    }
  }

  #readFragmentHeader(): void {
    const high = this.bytes[this.payload + 2]!;
    const low = this.bytes[this.payload + 3]!;
    this.fragmentOffset = (high << 8) | (low & 0xf8);
    this.moreFragments = (low & 1) !== 0;
    this.fragment = true;
  }

  #parseTransport(): void {
    const { bytes, payload, payloadLength } = this;
    switch (this.protocol) {
      case PROTOCOL_TCP: {
        if (payloadLength < TCP_BYTES) return;
        const size = (bytes[payload + 12]! >>> 4) * 4;
        if (size >= TCP_BYTES) this.#enter(HEADER.tcp, size > payloadLength ? payloadLength : size);
        return;
      }
      case PROTOCOL_UDP:
        if (payloadLength >= SHORT_HEADER_BYTES) this.#enter(HEADER.udp, SHORT_HEADER_BYTES);
        return;
      case PROTOCOL_ICMP:
        if (this.at[HEADER.ip]! >= 0 && payloadLength >= SHORT_HEADER_BYTES) {
          this.#enter(HEADER.icmp, SHORT_HEADER_BYTES);
        }
        return;
      case PROTOCOL_ICMPV6:
        if (this.at[HEADER.ipv6]! >= 0 && payloadLength >= SHORT_HEADER_BYTES) {
          this.#enter(HEADER.icmpv6, SHORT_HEADER_BYTES);
        }
        return;
    }
  }

  #enter(header: number, size: number): void {
    this.at[header] = this.payload;
    this.payload += size;
    this.payloadLength -= size;
  }
}

/** What WinDivertHelperParsePacket hands out. Units: offsets in bytes from the packet's start, null when absent. */
export interface ParsedPacket {
  readonly ok: boolean;
  readonly ip: number | null;
  readonly ipv6: number | null;
  readonly protocol: number;
  readonly icmp: number | null;
  readonly icmpv6: number | null;
  readonly tcp: number | null;
  readonly udp: number | null;
  readonly data: number | null;
  readonly dataLen: number;
  /** What follows the packet in a batch. */
  readonly next: number | null;
  readonly nextLen: number;
}

const REFUSED: ParsedPacket = {
  ok: false,
  ip: null,
  ipv6: null,
  protocol: 0,
  icmp: null,
  icmpv6: null,
  tcp: null,
  udp: null,
  data: null,
  dataLen: 0,
  next: null,
  nextLen: 0,
};

/** The headers of one packet as offsets; a truncated packet is refused here, though filters look at it. */
export function parsePacket(packet: Uint8Array): ParsedPacket {
  const view = new PacketView();
  if (!view.parse(packet, 0, packet.length) || view.truncated) return REFUSED;
  const offset = (header: number) => view.at[header]! < 0 ? null : view.at[header]!;
  const end = view.payload + view.payloadLength;
  return {
    ok: true,
    ip: offset(HEADER.ip),
    ipv6: offset(HEADER.ipv6),
    protocol: view.protocol,
    icmp: offset(HEADER.icmp),
    icmpv6: offset(HEADER.icmpv6),
    tcp: offset(HEADER.tcp),
    udp: offset(HEADER.udp),
    data: view.payloadLength === 0 ? null : view.payload,
    dataLen: view.payloadLength,
    next: view.extended ? end : null,
    nextLen: view.extended ? packet.length - end : 0,
  };
}
