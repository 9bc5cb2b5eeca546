/**
 * WinDivertHelperCalcChecksums: fills in the checksums of a packet in place.
 *
 * Read first: RFC 1071 (the sum), RFC 768 and RFC 9293 section 3.1 (pseudo header), RFC 8200 section 8.1 (its IPv6 form).
 */
import { addBytes, finishSum, pseudoSum4, pseudoSum6 } from "../wire/checksum.ts";
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

/** The sum of addresses, protocol and length before the transport header. */
function pseudoSum(found: PacketView, view: DataView, protocol: number, length: number): number {
  const ip = found.at[HEADER.ip]!;
  if (ip >= 0) return pseudoSum4(view, ip, protocol, length);
  return pseudoSum6(view, found.at[HEADER.ipv6]!, protocol, length);
}

function putTransport(found: PacketView, view: DataView, transport: Transport, from: number): void {
  const headerLength = transport.header === HEADER.tcp ? (view.getUint8(from + 12) >>> 4) * 4 : 8;
  const length = headerLength + found.payloadLength;
  const at = from + transport.checksumAt;
  view.setUint16(at, 0);
  // A TCP header that claims more than there is: WinDivert would read on behind the packet.
  const sum = addBytes(0, view, from, Math.min(length, view.byteLength - from));
  view.setUint16(at, finishSum(transport.pseudo ? sum + pseudoSum(found, view, transport.protocol, length) : sum));
  // RFC 768: an all-zero UDP checksum would mean that there is none.
  if (transport.header === HEADER.udp && view.getUint16(at) === 0) view.setUint16(at, 0xffff);
}

/** Writes the IP and transport checksums of `packet` into it; a first fragment or truncated packet gets the IP one only and is not `ok`. */
export function calcChecksums(packet: Uint8Array, flags = 0): ChecksumResult {
  const found = new PacketView();
  const result = { ok: true, ipChecksum: false, tcpChecksum: false, udpChecksum: false };
  if (!found.parse(packet, 0, packet.length)) return { ...result, ok: false };
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const ip = found.at[HEADER.ip]!;
  if (ip >= 0 && (flags & NO_CHECKSUM.ip) === 0) {
    view.setUint16(ip + 10, 0);
    view.setUint16(ip + 10, finishSum(addBytes(0, view, ip, (packet[ip]! & 15) * 4)));
    result.ipChecksum = true;
  }
  const transport = TRANSPORTS.find(({ header }) => found.at[header]! >= 0);
  if (transport === undefined || (flags & transport.skip) !== 0) return result;
  if (found.truncated || found.moreFragments) return { ...result, ok: false };
  putTransport(found, view, transport, found.at[transport.header]!);
  if (transport.header === HEADER.tcp) result.tcpChecksum = true;
  if (transport.header === HEADER.udp) result.udpChecksum = true;
  return result;
}
