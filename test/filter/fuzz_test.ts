import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Prng } from "../../core/base/prng.ts";
import {
  calcChecksums,
  compileFilter,
  type FilterLayer,
  filterObject,
  FilterSyntaxError,
  formatFilter,
  hashPacket,
  LAYER_NAMES,
  parsePacket,
} from "../../core/filter/mod.ts";
import { decodePacket } from "../../core/filter/interpret_packet.ts";
import { damageFilter, pick, randomAddress, randomBytes, randomFilter, randomPacket } from "./generate.ts";

const SEED = 4711;

/** Reads a text in every way there is; the answer is whether it is a filter. Anything but a `FilterSyntaxError` gets out. */
function survives(source: string, layer: FilterLayer): boolean {
  try {
    formatFilter(source, layer);
    filterObject(source, layer);
    const filter = compileFilter(source, layer);
    filter.matches(new Uint8Array(0), {});
    return true;
  } catch (error) {
    if (!(error instanceof FilterSyntaxError)) throw error;
    assertEquals(Number.isInteger(error.position) && error.position >= 0 && error.position <= 0xffff_ffff, true);
    return false;
  }
}

Deno.test("compileFilter() answers with a filter or a FilterSyntaxError when given any string", () => {
  const layer = fc.constantFrom(...LAYER_NAMES);
  const words = fc.array(
    fc.constantFrom(..."tcp udp ip ( ) [ ] ? : and or not == -1 packet 0x1 1.2.3.4 ::1 b 5b @WinDiv_ WX \0".split(" ")),
    { maxLength: 60 },
  ).map((list) => list.join(" "));
  const text = fc.oneof(fc.string({ unit: "binary", maxLength: 80 }), fc.string({ maxLength: 80 }), words);
  fc.assert(fc.property(text, layer, (source, name) => void survives(source, name)), { seed: SEED, numRuns: 1500 });
});

Deno.test("compileFilter() answers when given 10,000 damaged filters and objects", () => {
  const prng = new Prng(SEED);
  let accepted = 0;
  for (let i = 0; i < 10_000; i++) {
    const layer = prng.below(LAYER_NAMES.length) as FilterLayer;
    const whole = prng.chance(1, 4) ? "tcp.SrcPort = 1 and (udp or length > 99)" : randomFilter(prng, 0, 2);
    let text = whole;
    if (prng.chance(1, 3)) {
      try {
        text = filterObject(whole);
      } catch (error) {
        if (!(error instanceof FilterSyntaxError)) throw error;
      }
    }
    if (survives(damageFilter(prng, text), layer)) accepted++;
  }
  assertEquals(accepted > 50 && accepted < 9_000, true, `${accepted} accepted`);
});

Deno.test("compileFilter() ends soon when a filter is built to take long", () => {
  const nested = (depth: number): string => depth === 0 ? "tcp" : `(${nested(depth - 1)}? udp: ip)`;
  const tower = Array.from({ length: 40 }, (_, i) => `(packet[${i}] = 1? packet[${i}] = 2: packet[${i}] = 3)`);
  const shared = tower.reduce((inner, each) => `(${each} and ${inner}? ${each}: tcp)`, "udp");
  const hostile = [
    "(".repeat(100_000),
    "!".repeat(100_000),
    " ".repeat(1_000_000),
    "tcp and ".repeat(50_000),
    "1".repeat(1_000_000),
    ":".repeat(100_000),
    `packet[${"9".repeat(39)}]`,
    nested(250),
    nested(1000),
    shared,
  ];
  for (const source of hostile) survives(source, "network");
});

/** Programs whose tests share what follows them: written out as words they double with each test. */
Deno.test("formatFilter() gives up when the normal form of a program has no end", () => {
  const digit = (n: number) => "WXYZabcdefghijklmnopqrstuvwxyz+="[n % 32]!;
  const number = (n: number) => n < 32 ? digit(n) : `${Math.floor(n / 32)}${digit(n)}`;
  const object = (count: number) => {
    const label = (n: number) => n < count ? `L${number(n)}` : n % 2 === 0 ? "A" : "X";
    const steps = Array.from({ length: count }, (_, i) => `_eXWW${label(i + 1)}${label(i + 3)}`);
    return `@WinDiv_W${number(count)}${steps.join("")}`;
  };
  // A short one is written as WinDivert 2.2 writes it.
  assertEquals(formatFilter(object(6)), "(tcp? (tcp? (tcp? (tcp? tcp: true): true): tcp): (tcp? tcp: true))");
  assertThrows(() => formatFilter(object(200)), FilterSyntaxError, "Out of memory");
  assertEquals(compileFilter(object(200)).matches(new Uint8Array(0), {}), false);
});

Deno.test("Filter.matches() answers when given any bytes", () => {
  const prng = new Prng(SEED);
  const filters = Array.from({ length: 200 }, () => {
    while (true) {
      try {
        return compileFilter(randomFilter(prng, 0));
      } catch (error) {
        if (!(error instanceof FilterSyntaxError)) throw error;
      }
    }
  });
  for (let i = 0; i < 30_000; i++) {
    const bytes = prng.chance(1, 2) ? randomPacket(prng) : randomBytes(prng, prng.below(120));
    if (bytes.length > 0 && prng.chance(2, 3)) bytes[0] = pick(prng, [0x45, 0x46, 0x4f, 0x60, 0x40]);
    const address = randomAddress(prng, prng.chance(1, 10) ? prng.below(5) : 0, bytes);
    assertEquals(typeof pick(prng, filters).matches(bytes, address), "boolean");
    const parsed = parsePacket(bytes);
    const decoded = decodePacket(bytes);
    if (parsed.ok) {
      assertEquals(parsed.dataLen, decoded!.payload.length);
      assertEquals(parsed.protocol, decoded!.protocol);
      assertEquals(
        [parsed.tcp, parsed.udp].map((at) => at !== null),
        [decoded!.tcp, decoded!.udp].map((h) => h !== undefined),
      );
    }
    hashPacket(bytes, BigInt(i));
    const length = bytes.length;
    calcChecksums(bytes, prng.below(32));
    assertEquals(bytes.length, length);
  }
});

Deno.test("calcChecksums() writes sums that come out right when added up again", () => {
  const prng = new Prng(SEED + 1);
  let checked = 0;
  for (let i = 0; i < 5_000; i++) {
    const bytes = randomPacket(prng);
    const { ok, ipChecksum } = calcChecksums(bytes);
    if (!ok || !ipChecksum) continue;
    const header = bytes.slice(0, (bytes[0]! & 15) * 4);
    const sum = header.reduce((total, byte, at) => total + (at % 2 === 0 ? byte << 8 : byte), 0);
    assertEquals((sum % 0x10000 + Math.floor(sum / 0x10000)) % 0xffff, 0);
    checked++;
  }
  assertEquals(checked > 1000, true);
});
