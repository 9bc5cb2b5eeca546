import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { invariant, InvariantError } from "../../core/base/invariant.ts";
import { formatIp, parseIp, parsePrefix, prefixContains, sameIp } from "../../core/base/ip_address.ts";
import { Prng } from "../../core/base/prng.ts";
import { formatTimestamp } from "../../core/base/timestamp.ts";

const SEED = { seed: 7, numRuns: 500 };

Deno.test("invariant() throws only when the condition is false", () => {
  invariant(true, "never");
  assertThrows(() => invariant(false, "always"), InvariantError, "always");
});

Deno.test("parseIp() reads what RFC 4291 allows and nothing else", () => {
  const good: [string, string][] = [
    ["1.2.3.4", "1.2.3.4"],
    ["0.0.0.0", "0.0.0.0"],
    ["255.255.255.255", "255.255.255.255"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["2001:DB8::1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
    ["1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"],
    ["fe80::1%eth0", "fe80::1"],
    ["::ffff:1.2.3.4", "::ffff:1.2.3.4"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ];
  for (const [text, canonical] of good) {
    const ip = parseIp(text);
    assert(ip !== undefined, text);
    assertEquals(formatIp(ip), canonical);
  }
  const bad = [
    "",
    "1.2.3",
    "1..2.3",
    "1.2.3.",
    " 1.2.3.4",
    "1.2.3.4 ",
    "0x10.0.0.1",
    "1e1.0.0.1",
    "01.2.3.4",
    "256.1.1.1",
    "1.2.3.4.5",
    ":",
    ":::",
    "1:::2",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8:9",
    "12345::",
    "g::1",
    "1:",
    ":1",
    "::1.2.3",
    "1:2:3:4:5:6:7:1.2.3.4",
    "1.2.3.4::",
  ];
  for (const text of bad) assertEquals(parseIp(text), undefined, text);
});

Deno.test("parseIp() of formatIp() gives the same address", () => {
  const word = fc.oneof(fc.constant(0), fc.constant(0xffff), fc.integer({ min: 0, max: 0xffffffff }));
  fc.assert(
    fc.property(word, word, word, word, (w0, w1, w2, w3) => {
      const ip = { version: 6 as const, w0, w1, w2, w3 };
      const back = parseIp(formatIp(ip));
      assert(back !== undefined && sameIp(back, ip), formatIp(ip));
    }),
    SEED,
  );
});

Deno.test("prefixContains() compares exactly the prefix's bits", () => {
  const cases: [string, string, boolean][] = [
    ["10.0.0.0/8", "10.255.0.1", true],
    ["10.0.0.0/8", "11.0.0.1", false],
    ["0.0.0.0/0", "203.0.113.9", true],
    ["0.0.0.0/0", "::1", false],
    ["192.0.2.7/32", "192.0.2.7", true],
    ["192.0.2.7/32", "192.0.2.6", false],
    ["2001:db8::/33", "2001:db8:7fff::1", true],
    ["2001:db8::/33", "2001:db8:8000::1", false],
    ["2001:db8::8/125", "2001:db8::f", true],
    ["2001:db8::8/125", "2001:db8::10", false],
    ["::/0", "2001:db8::1", true],
    ["::/0", "1.2.3.4", false],
  ];
  for (const [prefix, ip, expected] of cases) {
    assertEquals(prefixContains(parsePrefix(prefix)!, parseIp(ip)!), expected, `${prefix} ${ip}`);
  }
  for (
    const bad of ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.0/", "::/129", "10/8", "1.2.3.4/08"]
  ) {
    assertEquals(parsePrefix(bad), undefined, bad);
  }
});

Deno.test("Prng draws the same numbers from the same seed, and others from another name", () => {
  const draw = (prng: Prng) => Array.from({ length: 8 }, () => prng.uint32());
  assertEquals(draw(new Prng(42)), draw(new Prng(42)));
  assert(draw(new Prng(42)).join() !== draw(new Prng(43)).join());
  assertEquals(draw(new Prng(1).fork("link")), draw(new Prng(1).fork("link")));
  assert(draw(new Prng(1).fork("link")).join() !== draw(new Prng(1).fork("host")).join());
});

Deno.test("Prng.below() is even over its range", () => {
  const prng = new Prng(9);
  const counts = new Array(6).fill(0);
  for (let i = 0; i < 60_000; i++) counts[prng.below(6)]++;
  for (const count of counts) assert(count > 9_500 && count < 10_500, String(counts));
});

Deno.test("formatTimestamp() agrees with Date over its range and goes on beyond it", () => {
  fc.assert(
    fc.property(fc.integer({ min: -9_007_199_254_740, max: 9_007_199_254_739 }), (milliseconds) => {
      const expected = new Date(milliseconds).toISOString().replace("Z", "042Z");
      assertEquals(formatTimestamp(milliseconds * 1000 + 42), expected);
    }),
    SEED,
  );
  assertEquals(formatTimestamp(1714557600123456), "2024-05-01T10:00:00.123456Z");
  assert(formatTimestamp(Number.MAX_SAFE_INTEGER).startsWith("2255-"));
  assert(formatTimestamp(2 ** 63).endsWith("Z"));
});
