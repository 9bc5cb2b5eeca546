import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  countOf,
  formatBytes,
  formatCount,
  formatDurationUs,
  formatOffsetUs,
  formatShare,
  formatTimeUs,
  parseTimeUs,
} from "../../../core/cli/report/format.ts";

Deno.test("formatBytes() keeps three digits and never writes 1000 of a unit", () => {
  const table: [number, string][] = [
    [0, "0 B"],
    [1, "1 B"],
    [999, "999 B"],
    [1000, "1.00 kB"],
    [1536, "1.54 kB"],
    [9994, "9.99 kB"],
    [9996, "10.0 kB"],
    [99_949, "99.9 kB"],
    [99_951, "100 kB"],
    [999_499, "999 kB"],
    [999_500, "1.00 MB"],
    [400_123_456, "400 MB"],
    [2_000_000_000, "2.00 GB"],
    [7e12, "7.00 TB"],
    [3e18, "3000 PB"],
    [-1, "?"],
    [NaN, "?"],
    [Infinity, "?"],
  ];
  for (const [bytes, text] of table) assertEquals(formatBytes(bytes), text, String(bytes));
});

Deno.test("formatBytes() is at most 7 characters wide and never decreases", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 9e14 }), fc.integer({ min: 0, max: 9e14 }), (a, b) => {
      const [low, high] = a <= b ? [a, b] : [b, a];
      const value = (text: string) => {
        const [number, unit] = text.split(" ");
        return Number(number) * 1000 ** ["B", "kB", "MB", "GB", "TB", "PB"].indexOf(unit!);
      };
      assertEquals(formatBytes(high).length <= 7, true);
      assertEquals(value(formatBytes(low)) <= value(formatBytes(high)), true);
      assertEquals(Math.abs(value(formatBytes(high)) - high) <= high * 0.0051, true);
    }),
    { seed: 1 },
  );
});

Deno.test("formatCount() separates thousands", () => {
  const table: [number, string][] = [[0, "0"], [7, "7"], [999, "999"], [1000, "1,000"], [1234567, "1,234,567"], [
    NaN,
    "?",
  ]];
  for (const [count, text] of table) assertEquals(formatCount(count), text);
  assertEquals([countOf(0, "flow"), countOf(1, "flow"), countOf(1234, "flow")], ["0 flows", "1 flow", "1,234 flows"]);
  assertEquals(countOf(2, "entry", "entries"), "2 entries");
});

Deno.test("formatDurationUs() chooses the unit that a person would", () => {
  const table: [number, string][] = [
    [0, "0 µs"],
    [999, "999 µs"],
    [1000, "1.00 ms"],
    [1534, "1.53 ms"],
    [999_499, "999 ms"],
    [999_500, "1.00 s"],
    [59_900_000, "59.9 s"],
    [59_950_000, "1 min 0 s"],
    [95_000_000, "1 min 35 s"],
    [3_600_000_000, "1 h 0 min"],
    [90_000_000_000, "1 d 1 h"],
    [-1, "?"],
    [NaN, "?"],
  ];
  for (const [us, text] of table) assertEquals(formatDurationUs(us), text, String(us));
});

Deno.test("formatShare() says 0 % and 100 % only of nothing and of all", () => {
  const table: [number, number, string][] = [
    [0, 10, "0 %"],
    [1, 0, "0 %"],
    [1, 100_000, "<0.1 %"],
    [4, 1000, "0.4 %"],
    [37, 100, "37 %"],
    [995, 1000, "99.5 %"],
    [99_999, 100_000, ">99.9 %"],
    [5, 5, "100 %"],
  ];
  for (const [part, whole, text] of table) assertEquals(formatShare(part, whole), text, `${part}/${whole}`);
});

Deno.test("parseTimeUs() reads what formatTimeUs() writes, to the microsecond", () => {
  assertEquals(formatTimeUs(1_714_557_600_123_456), "2024-05-01T10:00:00.123456Z");
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 4_000_000_000_000_000 }),
      (us) => assertEquals(parseTimeUs(formatTimeUs(us)), us),
    ),
    { seed: 2 },
  );
});

Deno.test("parseTimeUs() gives NaN when the text is no time in UTC", () => {
  for (const text of ["", "now", "2024-05-01", "2024-05-01T10:00:00+02:00", "2024-13-01T10:00:00Z", "\x1b[31m"]) {
    assertEquals(parseTimeUs(text), NaN, text);
  }
  assertEquals(parseTimeUs("1970-01-01T00:00:01Z"), 1_000_000);
  assertEquals(formatTimeUs(NaN), "");
  assertEquals(formatTimeUs(1e30), "");
});

Deno.test("formatOffsetUs() counts from the beginning", () => {
  const table: [number, string][] = [
    [0, "+0.000"],
    [59_120_400, "+59.120"],
    [61_250_000, "+1:01.2"],
    [3_723_500_000, "+1:02:03"],
    [90_060_000_000, "+1d01h01"],
    [-1500, "-0.002"],
    [NaN, "?"],
  ];
  for (const [us, text] of table) assertEquals(formatOffsetUs(us), text, String(us));
});
