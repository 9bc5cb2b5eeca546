/**
 * WinDivertHelperCalcChecksums: fills in the checksums of a packet in place.
 *
 * Read first: RFC 1071 (the sum), RFC 768 and RFC 9293 section 3.1 (pseudo header), RFC 8200 section 8.1 (its IPv6 form).
 */
import { HEADER } from "./fields.ts";
import { PacketView } from "./packet_view.ts";

/** Parts to leave alone. Source: WinDivert 2.2 `WINDIVERT_HELPER_NO_*`. */
export const NO_CHECKSUM = { ip: 1, icmp: 2, icmpv6: 4, tcp: 8, udp: 16 } as const;

/** The outcome: `ok` is WinDivert's return value; the others say which bits of the address it would set. */
export interface ChecksumResult {
  readonly ok: boolean;
  readonly ipChecksum: boolean;
  readonly tcpChecksum: boolean;
  readonly udpChecksum: boolean;
}

/** Sums big-endian words; an odd last byte counts as a word's high byte. Units: not yet folded. */
function sumWords(bytes: Uint8Array, from: number, length: number): number {
  let sum = 0;
  const end = Math.min(from + length, bytes.length);
  let at = from;
  for (; at + 1 < end; at += 2) sum += (bytes[at]! << 8) | bytes[at + 1]!;
  return at < end ? sum + (bytes[at]! << 8) : sum;
}

function putChecksum(bytes: Uint8Array, at: number, sum: number): void {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  bytes[at] = (~folded >>> 8) & 0xff;
  bytes[at + 1] = ~folded & 0xff;
}

/** Addresses, protocol and length, as summed before the transport header. */
function pseudoSum(view: PacketView, protocol: number, length: number): number {
  const ip = view.at[HEADER.ip]!;
  if (ip >= 0) return sumWords(view.bytes, ip + 12, 8) + protocol + (length & 0xffff);
  return sumWords(view.bytes, view.at[HEADER.ipv6]! + 8, 32) + protocol + (length & 0xffff) + (length >>> 16);
}

interface Transport {
  readonly header: number;
  readonly skip: number;
  readonly protocol: number;
  readonly checksumAt: number;
  readonly pseudo: boolean;
}

const TRANSPORTS: readonly Transport[] = [
  { header: HEADER.icmp, skip: NO_CHECKSUM.icmp, protocol: 1, checksumAt: 2, pseudo: false },
  { header: HEADER.icmpv6, skip: NO_CHECKSUM.icmpv6, protocol: 58, checksumAt: 2, pseudo: true },
  { header: HEADER.tcp, skip: NO_CHECKSUM.tcp, protocol: 6, checksumAt: 16, pseudo: true },
  { header: HEADER.udp, skip: NO_CHECKSUM.udp, protocol: 17, checksumAt: 6, pseudo: true },
];

function putTransport(view: PacketView, transport: Transport, from: number): void {
  const { bytes } = view;
  const headerLength = transport.header === HEADER.tcp ? (bytes[from + 12]! >>> 4) * 4 : 8;
  const length = headerLength + view.payloadLength;
  const at = from + transport.checksumAt;
  bytes[at] = 0;
  bytes[at + 1] = 0;
  const sum = sumWords(bytes, from, length);
  putChecksum(bytes, at, transport.pseudo ? sum + pseudoSum(view, transport.protocol, length) : sum);
  // RFC 768: an all-zero UDP checksum would mean that there is none.
  if (transport.header === HEADER.udp && bytes[at] === 0 && bytes[at + 1] === 0) bytes.fill(0xff, at, at + 2);
}

/** Writes the IP and transport checksums of `packet` into it; a first fragment or truncated packet gets the IP one only and is not `ok`. */
export function calcChecksums(packet: Uint8Array, flags = 0): ChecksumResult {
  const view = new PacketView();
  const result = { ok: true, ipChecksum: false, tcpChecksum: false, udpChecksum: false };
  if (!view.parse(packet, 0, packet.length)) return { ...result, ok: false };
  const ip = view.at[HEADER.ip]!;
  if (ip >= 0 && (flags & NO_CHECKSUM.ip) === 0) {
    packet.fill(0, ip + 10, ip + 12);
    putChecksum(packet, ip + 10, sumWords(packet, ip, (packet[ip]! & 15) * 4));
    result.ipChecksum = true;
  }
  const transport = TRANSPORTS.find(({ header }) => view.at[header]! >= 0);
  if (transport === undefined || (flags & transport.skip) !== 0) return result;
  if (view.truncated || view.moreFragments) return { ...result, ok: false };
  putTransport(view, transport, view.at[transport.header]!);
  if (transport.header === HEADER.tcp) result.tcpChecksum = true;
  if (transport.header === HEADER.udp) result.udpChecksum = true;
  return result;
}
