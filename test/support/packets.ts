/** Packets for tests, built byte by byte and without weir's own writers, so that they can disagree. */

function sum16(bytes: number[], start = 0): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

/** The two bytes of a 16-bit number. */
export function be16(value: number): number[] {
  return [(value >>> 8) & 255, value & 255];
}

/** The four bytes of a 32-bit number. */
export function be32(value: number): number[] {
  return [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

/** Bytes of an address: dotted IPv4, or eight full IPv6 groups. */
export function address(text: string): number[] {
  if (text.includes(":")) return text.split(":").flatMap((group) => be16(parseInt(group, 16)));
  return text.split(".").map(Number);
}

/** What a test may choose about an IPv4 or IPv6 packet. */
export interface IpChoices {
  source?: string;
  destination?: string;
  protocol?: number;
  id?: number;
  /** Units: bytes. */
  offset?: number;
  more?: boolean;
  options?: number[];
  totalLength?: number;
  tos?: number;
  /** IPv6: extension headers as whole bytes; the first one's kind is `protocol`. */
  extensions?: number[];
}

/** An IPv4 packet around a payload. */
export function ipv4Packet(payload: number[], choices: IpChoices = {}): Uint8Array<ArrayBuffer> {
  const options = choices.options ?? [];
  const headerLength = 20 + options.length;
  const header = [
    0x40 | (headerLength / 4),
    choices.tos ?? 0,
    ...be16(choices.totalLength ?? headerLength + payload.length),
    ...be16(choices.id ?? 1),
    ...be16((choices.more ? 0x2000 : 0) | ((choices.offset ?? 0) / 8)),
    64,
    choices.protocol ?? 17,
    0,
    0,
    ...address(choices.source ?? "192.0.2.1"),
    ...address(choices.destination ?? "198.51.100.2"),
    ...options,
  ];
  const check = 0xffff ^ sum16(header);
  header[10] = check >>> 8;
  header[11] = check & 255;
  return new Uint8Array([...header, ...payload]);
}

/** An IPv6 packet around a payload. */
export function ipv6Packet(payload: number[], choices: IpChoices = {}): Uint8Array<ArrayBuffer> {
  const body = [...(choices.extensions ?? []), ...payload];
  return new Uint8Array([
    0x60,
    0,
    0,
    0,
    ...be16(choices.totalLength ?? body.length),
    choices.protocol ?? 17,
    64,
    ...address(choices.source ?? "2001:db8:0:0:0:0:0:1"),
    ...address(choices.destination ?? "2001:db8:0:0:0:0:0:2"),
    ...body,
  ]);
}

/** What a test may choose about a segment or datagram. */
export interface TransportChoices extends IpChoices {
  sourcePort?: number;
  destinationPort?: number;
  sequence?: number;
  acknowledgment?: number;
  /** Letters of S F R P A U. */
  flags?: string;
  payload?: number[] | string;
  tcpOptions?: number[];
}

const FLAG_BITS: Record<string, number> = { F: 1, S: 2, R: 4, P: 8, A: 16, U: 32 };

function payloadBytes(payload: number[] | string | undefined): number[] {
  return typeof payload === "string" ? [...new TextEncoder().encode(payload)] : payload ?? [];
}

function withChecksum(bytes: number[], at: number, protocol: number, choices: TransportChoices): number[] {
  const isV6 = (choices.source ?? "").includes(":");
  const pseudo = [
    ...address(choices.source ?? "192.0.2.1"),
    ...address(choices.destination ?? (isV6 ? "2001:db8:0:0:0:0:0:2" : "198.51.100.2")),
    ...be32(bytes.length),
    ...be32(protocol),
  ];
  const check = 0xffff ^ sum16(bytes, sum16(pseudo));
  const written = check === 0 && protocol === 17 ? 0xffff : check;
  bytes[at] = written >>> 8;
  bytes[at + 1] = written & 255;
  return bytes;
}

/** A TCP segment with its checksum. */
export function tcpSegment(choices: TransportChoices = {}): number[] {
  const options = choices.tcpOptions ?? [];
  const flags = [...(choices.flags ?? "A")].reduce((bits, letter) => bits | FLAG_BITS[letter]!, 0);
  return withChecksum(
    [
      ...be16(choices.sourcePort ?? 50000),
      ...be16(choices.destinationPort ?? 443),
      ...be32(choices.sequence ?? 1000),
      ...be32(choices.acknowledgment ?? 0),
      ((20 + options.length) / 4) << 4,
      flags,
      ...be16(65535),
      0,
      0,
      0,
      0,
      ...options,
      ...payloadBytes(choices.payload),
    ],
    16,
    6,
    choices,
  );
}

/** A UDP datagram with its checksum. */
export function udpDatagram(choices: TransportChoices = {}): number[] {
  const payload = payloadBytes(choices.payload);
  const bytes = [
    ...be16(choices.sourcePort ?? 50000),
    ...be16(choices.destinationPort ?? 53),
    ...be16(8 + payload.length),
    0,
    0,
    ...payload,
  ];
  return withChecksum(bytes, 6, 17, choices);
}

/** A whole TCP packet; IPv6 when the source address is. */
export function tcpPacket(choices: TransportChoices = {}): Uint8Array<ArrayBuffer> {
  const build = (choices.source ?? "").includes(":") ? ipv6Packet : ipv4Packet;
  return build(tcpSegment(choices), { ...choices, protocol: 6 });
}

/** A whole UDP packet; IPv6 when the source address is. */
export function udpPacket(choices: TransportChoices = {}): Uint8Array<ArrayBuffer> {
  const build = (choices.source ?? "").includes(":") ? ipv6Packet : ipv4Packet;
  return build(udpDatagram(choices), { ...choices, protocol: 17 });
}
