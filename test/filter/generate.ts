/** Seeded random filters, packets and addresses for the tests of `core/filter`. */
import { Prng } from "../../core/base/prng.ts";
import type { FilterAddress } from "../../core/filter/address.ts";
import { type Field, fieldFitsLayer, FIELDS } from "../../core/filter/fields.ts";
import { LAYER_NAMES } from "../../core/filter/layer.ts";

/** One element of a list. */
export function pick<T>(prng: Prng, list: readonly T[]): T {
  return list[prng.below(list.length)]!;
}

const NUMBERS = (
  "0 1 2 5 6 17 53 58 64 80 128 255 256 443 1500 4095 4096 8191 8192 65535 65536 65575 65576 1048575 4294967295 4294967296 " +
  "30000 30001 9223372036854775807 9223372036854775808 18446744073709551615 18446744073709551616 " +
  "340282366920938463463374607431768211455 0x0 0x1 0xff 0xFFFF 0x45 0x6000 0xffffffff 0xFFFF0A000001 0x " +
  "10.0.0.1 1.2.3.4 127.0.0.1 255.255.255.255 0.0.0.0 8.8.8.8 ::1 :: fe80::1 2001:db8::1 ::ffff:1.2.3.4 ff02::fb " +
  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 1:0:0:2:0:0:0:3 1:2:3:4:5:6:7:8 0:1.2.3.4 TRUE FALSE TCP UDP ICMP ICMPV6 NETWORK REFLECT"
).split(" ");

const ODD_WORDS = (
  "b 5b 0b 0x1b tcp.foo TRUE true -1 -0 ( ) [ ] ? : :: ! != == = < <= > >= & | && || and or not xor @ % , ~ é packet packet[ PACKET BIND " +
  "CLOSE OPEN ESTABLISHED 1.2.3 1.2.3.256 4294967297.2.3.4 1::2::3 1:2:3:4:5:6:7:8:9 ::1.2.3.4 0:0:0:0:0:ffff:1.2.3.4 12345::1 :1 1: tcp: " +
  "340282366920938463463374607431768211456 0xg 0x100000000000000000000000000000000 aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeee"
).split(" ");

const EVENTS_BY_LAYER = [["PACKET"], ["PACKET"], ["ESTABLISHED", "DELETED"], ["BIND", "CONNECT", "LISTEN"], [
  "OPEN",
  "CLOSE",
]];

function value(prng: Prng, field: Field, layer: number): string {
  if (field.form === "event" && prng.chance(2, 3)) return pick(prng, EVENTS_BY_LAYER[layer]!);
  const sign = prng.chance(1, 12) ? "-" : "";
  if (field.range !== null && prng.chance(1, 3)) {
    const bound = field.range[prng.below(2)]! + BigInt(prng.between(0, 2) - 1);
    return bound < 0n ? `-${-bound}` : `${sign}${bound}`;
  }
  return sign + (prng.chance(1, 4) ? String(prng.below(300)) : pick(prng, NUMBERS));
}

function index(prng: Prng, width: number): string {
  const suffix = prng.chance(1, 3) ? "b" : "";
  const minus = prng.chance(1, 3) ? "-" : "";
  const far = pick(prng, [0, 1, 65535, 65534, 65532, 65531, 16383, 16384, 32767, 65575, 65576]);
  const near = prng.below(suffix === "b" ? 60 : Math.ceil(60 / width)) + (minus === "-" ? width : 0);
  return `[${minus}${prng.chance(1, 15) ? far : near}${suffix}]`;
}

/** One test. Half of the constants are close to what packets hold, so that tests come out both ways. */
function test(prng: Prng, layer: number): string {
  const fields = FIELDS.filter((field) => fieldFitsLayer(field, layer));
  const not = prng.chance(1, 5) ? pick(prng, ["not ", "!", "!!", "not not not "]) : "";
  if (prng.chance(1, 20)) return not + pick(prng, ["true", "false"]);
  const field = pick(prng, fields);
  const name = field.kind === "data" ? field.name + index(prng, field.width) : field.name;
  if (prng.chance(1, 4)) return not + name;
  const space = prng.chance(1, 6) ? "" : " ";
  const relation = pick(prng, ["==", "=", "!=", "<", "<=", ">", ">="]);
  return `${not}${name}${space}${relation}${space}${value(prng, field, layer)}`;
}

/** A filter that the grammar allows (an index may still be out of bounds). */
export function randomFilter(prng: Prng, layer: number, depth = 4): string {
  if (depth === 0 || prng.chance(1, 4)) return test(prng, layer);
  const part = () => randomFilter(prng, layer, depth - 1);
  switch (prng.below(6)) {
    case 0:
      return `(${part()})`;
    case 1:
      return `(${part()}? ${part()}: ${part()})`;
    case 2:
      return `(${part()}) ${pick(prng, ["and", "&&"])} (${part()})`;
    case 3:
      return `${part()} ${pick(prng, ["or", "||"])} ${part()}`;
    default:
      return `${part()} ${pick(prng, ["and", "&&"])} ${part()}`;
  }
}

/** The same text with some words and characters lost, doubled or replaced. */
export function damageFilter(prng: Prng, text: string): string {
  let result = text;
  for (let i = prng.between(1, 3); i > 0; i--) {
    const at = prng.below(result.length + 1);
    const kind = prng.below(4);
    if (kind === 0) result = result.slice(0, at) + result.slice(at + prng.between(1, 3));
    else if (kind === 1) result = `${result.slice(0, at)} ${pick(prng, ODD_WORDS)} ${result.slice(at)}`;
    else if (kind === 2) result = result.slice(0, at) + pick(prng, ODD_WORDS) + result.slice(at);
    else result = result.slice(0, at) + String.fromCharCode(prng.between(32, 126)) + result.slice(at + 1);
  }
  return result;
}

function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

function transport(prng: Prng, protocol: number): Uint8Array {
  const size = protocol === 6 ? 20 + 4 * prng.below(4) : 8;
  const bytes = randomBytes(prng, size + prng.below(40));
  if (protocol === 6) {
    bytes[12] = prng.chance(1, 12) ? prng.below(256) : (size / 4) << 4;
  }
  if (protocol === 6 || protocol === 17) {
    for (const at of [0, 2]) put16(bytes, at, pick(prng, [53, 80, 443, 5353, 57413, prng.below(65536)]));
  } else {
    bytes[0] = pick(prng, [0, 8, 128, 129, 3]);
    bytes[1] = prng.below(3);
  }
  return bytes;
}

/** Bytes as they come. */
export function randomBytes(prng: Prng, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => prng.uint32());
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function extensions(prng: Prng, protocol: number): [first: number, bytes: Uint8Array] {
  const parts: Uint8Array[] = [];
  let next = protocol;
  for (let i = prng.below(4); i > 0; i--) {
    const kind = pick(prng, [0, 43, 44, 51, 60, 135]);
    const units = kind === 44 ? 0 : kind === 51 ? 1 + prng.below(3) : prng.below(3);
    const bytes = randomBytes(prng, kind === 51 ? (units + 2) * 4 : (units + 1) * 8);
    bytes[0] = next;
    bytes[1] = units;
    if (kind === 44) put16(bytes, 2, pick(prng, [0, 1, 0, 1, 8, 0x2000, 0xfff9]));
    parts.unshift(bytes);
    next = kind;
  }
  return [next, concat(parts)];
}

/** An IP packet, mostly well formed; some are fragments, cut short, padded, or have flipped bytes. */
export function randomPacket(prng: Prng): Uint8Array {
  const ipv6 = prng.chance(1, 2);
  const protocol = pick(prng, [6, 6, 17, 17, ipv6 ? 58 : 1, 1, 58, 132]);
  const payload = transport(prng, protocol);
  let packet: Uint8Array;
  if (ipv6) {
    const [first, chain] = extensions(prng, protocol);
    const header = randomBytes(prng, 40);
    header[0] = 0x60 | prng.below(16);
    put16(header, 4, chain.length + payload.length);
    header[6] = first;
    if (prng.chance(1, 3)) header.set([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], pick(prng, [8, 24]));
    packet = concat([header, chain, payload]);
  } else {
    const header = randomBytes(prng, prng.chance(1, 5) ? 28 : 20);
    header[0] = 0x40 | (header.length / 4);
    put16(header, 2, header.length + payload.length);
    put16(header, 6, pick(prng, [0, 0, 0x4000, 0x4000, 0x2000, 0x2001, 0x0007]));
    header[9] = protocol;
    if (prng.chance(1, 3)) header.set([10, 0, 0, 1], pick(prng, [12, 16]));
    packet = concat([header, payload]);
  }
  if (prng.chance(1, 10)) packet = packet.slice(0, prng.below(packet.length + 1));
  if (prng.chance(1, 10)) packet = concat([packet, randomBytes(prng, prng.below(20))]);
  if (prng.chance(1, 8)) packet[prng.below(packet.length)] = prng.uint32();
  return packet;
}

function number64(prng: Prng): number | bigint {
  const big = (BigInt(prng.uint32()) << 32n) | BigInt(prng.uint32());
  return pick<number | bigint>(prng, [prng.below(10), Number(big >> 12n), big]);
}

/** Facts for a layer; for the packet layers `ipv6` agrees with the packet nearly always. */
export function randomAddress(prng: Prng, layer: number, packet: Uint8Array): FilterAddress {
  const words = () => pick(prng, [[1, 0, 0, 0], [0x0a000001, 0xffff, 0, 0], [0, 1, 2, 3].map(() => prng.uint32())]);
  const packetIsIpv6 = (packet[0] ?? 0) >>> 4 === 6;
  const timestamp = number64(prng);
  const signed = typeof timestamp === "bigint"
    ? BigInt.asIntN(64, timestamp)
    : prng.chance(1, 4)
    ? -timestamp
    : timestamp;
  return {
    layer: LAYER_NAMES[layer]!,
    event: pick(prng, [[0], [0], [1, 2], [3, 4, 5, 6, 7], [8, 9]][layer]!),
    outbound: prng.chance(1, 2),
    loopback: prng.chance(1, 4),
    impostor: prng.chance(1, 4),
    sniffed: prng.chance(1, 4),
    ipv6: layer >= 2 || prng.chance(1, 20) ? prng.chance(1, 2) : packetIsIpv6,
    timestamp: signed,
    ...(layer < 2 ? { ifIdx: prng.below(3) === 0 ? prng.uint32() : prng.below(20), subIfIdx: prng.below(3) } : {}),
    ...(layer === 2 || layer === 3
      ? {
        endpointId: number64(prng),
        parentEndpointId: number64(prng),
        processId: pick(prng, [0, 4, 80, 443, 4294967295]),
        protocol: pick(prng, [1, 6, 17, 58, 255]),
        localAddr: words(),
        remoteAddr: words(),
        localPort: pick(prng, [0, 53, 80, 443, 65535]),
        remotePort: pick(prng, [0, 53, 80, 443, 65535]),
      }
      : {}),
    ...(layer === 4
      ? { processId: prng.below(300), reflectLayer: LAYER_NAMES[prng.below(5)]!, priority: prng.between(-30000, 30000) }
      : {}),
  };
}
