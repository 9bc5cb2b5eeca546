/**
 * A packet as the slow interpreter sees it: headers cut out as arrays of their own, fields read bit by bit, the hash in bigints.
 *
 * Read first: RFC 791 section 3.1, RFC 8200 sections 3 and 4, RFC 9293 section 3.1, RFC 768. Shares no code with the fast path on purpose.
 */

/** The headers of a packet, each from its first byte to the packet's end, and what filters ask about the whole. */
export interface DecodedPacket {
  readonly all: Uint8Array;
  readonly ip?: Uint8Array;
  readonly ipv6?: Uint8Array;
  readonly icmp?: Uint8Array;
  readonly icmpv6?: Uint8Array;
  readonly tcp?: Uint8Array;
  readonly udp?: Uint8Array;
  readonly payload: Uint8Array;
  readonly protocol: number;
  readonly fragment: boolean;
}

/** A number of `count` bits, counted from the first byte's highest bit. */
export function bits(bytes: Uint8Array, from: number, count: number): bigint {
  let value = 0n;
  for (let i = from; i < from + count; i++) {
    value = (value << 1n) | BigInt((bytes[i >> 3]! >> (7 - (i & 7))) & 1);
  }
  return value;
}

interface Network {
  readonly protocol: number;
  readonly rest: Uint8Array;
  readonly fragment: boolean;
  readonly offset: number;
}

function decodeIpv4(packet: Uint8Array): Network | undefined {
  const headerLength = Number(bits(packet, 4, 4)) * 4;
  const totalLength = Number(bits(packet, 16, 16));
  if (headerLength < 20 || totalLength < headerLength || packet.length < headerLength) return undefined;
  const offset = Number(bits(packet, 51, 13));
  return {
    protocol: packet[9]!,
    rest: packet.slice(headerLength, totalLength),
    fragment: offset !== 0 || bits(packet, 50, 1) === 1n,
    offset,
  };
}

function decodeIpv6(packet: Uint8Array): Network | undefined {
  if (packet.length < 40) return undefined;
  let protocol = packet[6]!;
  let rest = packet.slice(40, 40 + Number(bits(packet, 32, 16)));
  let fragment = false;
  let offset = 0;
  while (rest.length >= 2 && offset === 0) {
    let size: number;
    if (protocol === 44 && !fragment) size = 8;
    else if (protocol === 51) size = (rest[1]! + 2) * 4;
    else if ([0, 43, 60, 135].includes(protocol)) size = (rest[1]! + 1) * 8;
    else break;
    if (rest.length < size) break;
    if (protocol === 44) {
      fragment = true;
      offset = Number(bits(rest, 16, 13));
    }
    protocol = rest[0]!;
    rest = rest.slice(size);
  }
  return { protocol, rest, fragment, offset };
}

/** Decodes a packet. Errors: undefined for what WinDivert refuses to look at. */
export function decodePacket(packet: Uint8Array): DecodedPacket | undefined {
  if (packet.length < 20) return undefined;
  const version = packet[0]! >> 4;
  const network = version === 4 ? decodeIpv4(packet) : version === 6 ? decodeIpv6(packet) : undefined;
  if (network === undefined) return undefined;
  const { protocol, rest, fragment, offset } = network;
  const own = version === 4 ? { ip: packet } : { ipv6: packet };
  const base = { all: packet, ...own, protocol, fragment };
  const whole = { ...base, payload: rest };
  if (offset !== 0) return whole;
  if (protocol === 6 && rest.length >= 20) {
    const size = Number(bits(rest, 96, 4)) * 4;
    return size < 20 ? whole : { ...base, tcp: rest, payload: rest.slice(size) };
  }
  if (rest.length < 8) return whole;
  if (protocol === 17) return { ...base, udp: rest, payload: rest.slice(8) };
  if (protocol === 1 && version === 4) return { ...base, icmp: rest, payload: rest.slice(8) };
  if (protocol === 58 && version === 6) return { ...base, icmpv6: rest, payload: rest.slice(8) };
  return whole;
}

const MOD = (1n << 64n) - 1n;
const P1 = 0x9e3779b185ebca87n;
const P2 = 0xc2b2ae3d27d4eb4fn;
const P3 = 0x165667b19e3779f9n;
const P4 = 0x85ebca77c2b2ae63n;
const SALT = [
  0x428a2f9871374491n,
  0xb5c0fbcfe9b5dba5n,
  0x3956c25b59f111f1n,
  0x923f82a4ab1c5ed5n,
  0xd807aa9812835b01n,
  0x243185be550c7dc3n,
  0x72be5d7480deb1fen,
  0x9bdc06a7c19bf174n,
];

function little(bytes: Uint8Array, at: number, count: number): bigint {
  let value = 0n;
  for (let i = count - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[at + i]!);
  return value;
}

function rotate(value: bigint, by: bigint): bigint {
  return ((value << by) | (value >> (64n - by))) & MOD;
}

function round(acc: bigint, input: bigint): bigint {
  return (rotate((acc + input * P2) & MOD, 31n) * P1) & MOD;
}

/** The 64-bit hash that stands for a random number. Source: behaviour of WinDivert 2.2; XXH64 with one round. */
export function decodedHash(packet: DecodedPacket, seed: bigint): bigint {
  const { ip, ipv6, tcp } = packet;
  const network = ip ?? ipv6!;
  const inputs = [seed & MOD, little(network, 0, 8), little(network, 8, 8)];
  if (ip !== undefined) inputs.push(little(ip, 16, 4));
  if (ipv6 !== undefined) inputs.push(little(ipv6, 16, 8), little(ipv6, 24, 8), little(ipv6, 32, 8));
  const short = packet.udp ?? packet.icmp ?? packet.icmpv6;
  if (tcp !== undefined) {
    inputs.push(little(tcp, 0, 8), little(tcp, 8, 8));
    if (inputs.length < 8) inputs.push(little(tcp, 16, 4));
    else inputs[1]! ^= little(tcp, 16, 4) << 32n;
  } else if (short !== undefined) inputs.push(little(short, 0, 8));
  while (inputs.length < 8) inputs.push(seed & MOD);
  const salted = inputs.map((input, i) => input ^ SALT[i]!);
  const lanes = [0, 1, 2, 3].map((i) => round(salted[i + 4]!, salted[i]!));
  const turns = [1n, 7n, 12n, 18n];
  let hash = lanes.reduce((sum, lane, i) => (sum + rotate(lane, turns[i]!)) & MOD, 0n);
  for (const lane of lanes) hash = ((hash ^ round(0n, lane)) * P1 + P4) & MOD;
  hash = (hash + 32n) & MOD;
  hash = ((hash ^ (hash >> 33n)) * P2) & MOD;
  hash = ((hash ^ (hash >> 29n)) * P3) & MOD;
  return hash ^ (hash >> 32n);
}
