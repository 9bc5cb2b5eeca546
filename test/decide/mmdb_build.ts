/** Builds small databases in MaxMind's format, for tests. Source: MaxMind DB file format specification, version 2.0. */
import { type IpPrefix, parsePrefix } from "../../core/base/ip_address.ts";

/** What a record may hold here. */
export type MmdbValue = string | number | readonly MmdbValue[] | { readonly [key: string]: MmdbValue };

function control(type: number, size: number): number[] {
  const long = size >= 29 ? [size - 29] : [];
  const short = size >= 29 ? 29 : size;
  return type <= 7 ? [(type << 5) | short, ...long] : [short, type - 7, ...long];
}

/** The bytes of one value; numbers are uint32. */
export function encodeMmdbValue(value: MmdbValue): number[] {
  if (typeof value === "string") {
    const bytes = [...new TextEncoder().encode(value)];
    return [...control(2, bytes.length), ...bytes];
  }
  if (typeof value === "number") {
    return [...control(6, 4), value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
  }
  if (Array.isArray(value)) return [...control(11, value.length), ...value.flatMap(encodeMmdbValue)];
  const entries = Object.entries(value);
  return [
    ...control(7, entries.length),
    ...entries.flatMap(([key, each]) => [...encodeMmdbValue(key), ...encodeMmdbValue(each)]),
  ];
}

function bitOf({ address }: IpPrefix, i: number): number {
  if (address.version === 4) return (address.w3 >>> (31 - i)) & 1;
  return ([address.w0, address.w1, address.w2, address.w3][i >>> 5]! >>> (31 - (i & 31))) & 1;
}

/** A database of version 4 addresses (or 6) with 24-bit records; longer prefixes have to come after those around them. */
export function buildMmdb(
  type: string,
  records: Readonly<Record<string, MmdbValue>>,
  ipVersion: 4 | 6 = 4,
  more: number[] = [],
): Uint8Array<ArrayBuffer> {
  const nodes: [number, number][] = [[-1, -1]];
  const data: number[] = [];
  for (const [text, value] of Object.entries(records)) {
    const prefix = parsePrefix(text)!;
    const leaf = -2 - data.length;
    data.push(...encodeMmdbValue(value));
    let node = 0;
    for (let i = 0; i < prefix.bits - 1; i++) {
      const bit = bitOf(prefix, i);
      if (nodes[node]![bit]! < 0) {
        const inherited = nodes[node]![bit]!;
        nodes[node]![bit] = nodes.push([inherited, inherited]) - 1;
      }
      node = nodes[node]![bit]!;
    }
    nodes[node]![bitOf(prefix, prefix.bits - 1)] = leaf;
  }
  const record = (value: number) => value === -1 ? nodes.length : value < 0 ? nodes.length + 16 + (-2 - value) : value;
  const tree = nodes.flat().map(record).flatMap((value) => [value >>> 16, (value >>> 8) & 255, value & 255]);
  const metadata = encodeMmdbValue({
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: 0,
    database_type: type,
    description: {},
    ip_version: ipVersion,
    languages: [],
    node_count: nodes.length,
    record_size: 24,
  });
  const marker = [0xab, 0xcd, 0xef, ...new TextEncoder().encode("MaxMind.com")];
  return Uint8Array.from([...tree, ...new Array(16).fill(0), ...data, ...more, ...marker, ...metadata]);
}
