import { assert, assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import { visible } from "../../../core/cli/report/visible.ts";
import { HOSTILE_TEXTS } from "../../support/replay_results.ts";

/** What no shown text may hold: controls, format characters, line ends, lone surrogates. */
const HARMFUL = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

Deno.test("visible() writes out what could steer a terminal or hide in a name", () => {
  const table: [string, string][] = [
    ["example.org", "example.org"],
    ["bücher.example", "bücher.example"],
    ["例え.テスト", "例え.テスト"],
    ["naïve e\u0301", "naïve e\u0301"],
    ["\x1b[31mred", "\\x1b[31mred"],
    ["\x9b2J", "\\x9b2J"],
    ["a\r\nb\tc\0", "a\\x0d\\x0ab\\x09c\\x00"],
    ["\x7f", "\\x7f"],
    ["evil\u202egro", "evil\\u202egro"],
    ["\u2066x\u2069", "\\u2066x\\u2069"],
    ["a\u200bb\ufeffc", "a\\u200bb\\ufeffc"],
    ["a\u00a0b\u3000c", "a\\xa0b\\u3000c"],
    ["\u2028\u2029", "\\u2028\\u2029"],
    ["\u{e0041}", "\\u{e0041}"],
    ["\ud800", "\\ud800"],
    ["\u3164\u115f\u2800", "\\u3164\\u115f\\u2800"],
    ["\u0301x", "\\u0301x"],
    ["a \u0301", "a \\u0301"],
    ["a\u0301\u0302\u0303\u0304\u0305", "a\u0301\u0302\u0303\\u0304\\u0305"],
    ["\u1112\u1161\u11ab", "\u1112\u1161\u11ab"],
    ["\u1100\u1100\u1161", "\\u1100\u1100\u1161"],
  ];
  for (const [text, shown] of table) assertEquals(visible(text), shown);
});

Deno.test("visible() leaves nothing harmful in any text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 60 }), (text) => assert(!HARMFUL.test(visible(text)))),
    { seed: 3, numRuns: 2000 },
  );
  for (const text of HOSTILE_TEXTS) assert(!HARMFUL.test(visible(text)), JSON.stringify(text));
});

Deno.test("visible() changes nothing when it is applied twice", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "binary", maxLength: 60 }),
      (text) => assertEquals(visible(visible(text)), visible(text)),
    ),
    { seed: 4, numRuns: 2000 },
  );
});

Deno.test("visible() cuts a text that is endless", () => {
  assertEquals(visible("x".repeat(5000)).length, 2049);
  assertMatch(visible("\u{1f600}".repeat(5000)), /…$/u);
  assert(!HARMFUL.test(visible(`x${"\u{1f600}".repeat(5000)}`)), "cut inside a surrogate pair");
});
