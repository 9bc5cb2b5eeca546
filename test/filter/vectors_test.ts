import { assertEquals } from "@std/assert";
import {
  calcChecksums,
  compileFilter,
  type FilterAddress,
  type FilterLayer,
  filterObject,
  FilterSyntaxError,
  formatFilter,
  hashPacket,
  parsePacket,
} from "../../core/filter/mod.ts";
import vectors from "./vectors/windivert-2.2.json" with { type: "json" };

interface FilterVector {
  filter: string;
  layer: FilterLayer;
  formatted?: string;
  match?: string;
  error?: string;
  position?: number;
}

const packets = vectors.packets.map(({ hex }) => bytesOf(hex));
const addresses: FilterAddress[] = vectors.packets.map(({ addr }) => addr);
const filters = vectors.filters as FilterVector[];

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function verdicts(source: string, layer: FilterLayer): string {
  const filter = compileFilter(source, layer);
  return packets.map((packet, i) => filter.matches(packet, addresses[i]!) ? "1" : "0").join("");
}

/** What the library says about one filter, in the vectors' shape. */
function answer(vector: FilterVector): FilterVector {
  const { filter, layer } = vector;
  try {
    return { filter, layer, formatted: formatFilter(filter, layer), match: verdicts(filter, layer) };
  } catch (error) {
    if (!(error instanceof FilterSyntaxError)) throw error;
    return { filter, layer, error: error.message, position: error.position };
  }
}

Deno.test("compileFilter() answers as WinDivert 2.2 did when given its 2,000 filters", () => {
  assertEquals(filters.length, 2000);
  assertEquals(packets.length, 120);
  for (const vector of filters) assertEquals(answer(vector), vector);
});

Deno.test("filterObject() and formatFilter() mean the same as the filter when compiled again", () => {
  for (const { filter, layer, match } of filters) {
    if (match === undefined) continue;
    assertEquals(verdicts(filterObject(filter, layer), layer), match, filter);
    assertEquals(verdicts(formatFilter(filter, layer), layer), match, filter);
  }
});

Deno.test("matchesAt() finds the packet inside a larger array", () => {
  const room = new Uint8Array(1000).fill(0xa5);
  const filter = compileFilter(
    "packet[0] >= 0x40 and not packet[-1] = 0xa5 and (tcp or udp.Payload[0] > 0 or length > 40)",
  );
  packets.forEach((packet, i) => {
    room.set(packet, 333);
    assertEquals(filter.matchesAt(room, 333, packet.length, addresses[i]!), filter.matches(packet, addresses[i]!));
    assertEquals(filter.matchesAt(room, 990, packet.length, addresses[i]!), false, "a packet that sticks out");
  });
});

Deno.test("parsePacket() finds the headers where WinDivert 2.2 found them", () => {
  packets.forEach((packet, i) => assertEquals(parsePacket(packet), vectors.parsed[i]));
});

Deno.test("hashPacket() gives WinDivert 2.2's hash", () => {
  packets.forEach((packet, i) => assertEquals(String(hashPacket(packet)), vectors.hashes[i]));
});

/** Byte 10 of a WINDIVERT_ADDRESS, from its lowest bit up. */
function flagsOf(address: FilterAddress): number {
  const { sniffed, outbound, loopback, impostor, ipv6, ipChecksum, tcpChecksum, udpChecksum } = address;
  const flags = [sniffed, outbound, loopback, impostor, ipv6, ipChecksum, tcpChecksum, udpChecksum];
  return flags.reduce((sum, flag, i) => sum | (flag === true ? 1 << i : 0), 0);
}

Deno.test("calcChecksums() writes WinDivert 2.2's checksums", () => {
  packets.forEach((packet, i) => {
    const bytes = packet.slice();
    const { ok, ...bits } = calcChecksums(bytes);
    const set = Object.fromEntries(Object.entries(bits).filter(([, value]) => value));
    assertEquals({ ok, hex: hexOf(bytes), flags: flagsOf({ ...addresses[i]!, ...set }) }, vectors.checksums[i]);
  });
});
