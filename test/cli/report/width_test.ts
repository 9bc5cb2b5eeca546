import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { visible } from "../../../core/cli/report/visible.ts";
import { cutEnd, cutMiddle, padTo, widthOf, wrap } from "../../../core/cli/report/width.ts";

const TEXT = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ unit: "grapheme", maxLength: 40 }),
  fc.string({
    unit: fc.constantFrom("a", "漢", "한", "e\u0301", "\u0301", "🇩", "👩", "🏻", "\u1100", " ", "\x1b[0m"),
    maxLength: 40,
  }),
).map(visible);

Deno.test("widthOf() counts cells", () => {
  const table: [string, number][] = [
    ["", 0],
    ["abc", 3],
    ["漢字", 4],
    ["e\u0301", 1],
    ["🇩🇪", 2],
    ["👍🏽", 2],
    ["ｆ", 2],
    ["…→·", 3],
  ];
  for (const [text, cells] of table) assertEquals(widthOf(text), cells, text);
});

Deno.test("cutEnd() and cutMiddle() keep both short texts and characters whole", () => {
  assertEquals(cutEnd("example.org", 11), "example.org");
  assertEquals(cutEnd("example.org", 8), "example…");
  assertEquals(cutEnd("漢字漢字", 6), "漢字…");
  assertEquals(cutEnd("abc", 0), "");
  assertEquals(cutMiddle("[2001:db8:1234:5678::abcd]:443", 20), "[2001:db8…:abcd]:443");
  assertEquals(cutMiddle("a.long.name.example:8443", 15), "a.long.…le:8443");
  assertEquals(cutMiddle("abcdef", 3), "ab…");
});

Deno.test("cutEnd() and cutMiddle() fit any text into any width", () => {
  fc.assert(
    fc.property(TEXT, fc.integer({ min: 1, max: 30 }), (text, cells) => {
      for (const cut of [cutEnd(text, cells), cutMiddle(text, cells)]) {
        assert(widthOf(cut) <= cells, `${JSON.stringify(cut)} is wider than ${cells}`);
        assertEquals(widthOf(padTo(cut, cells)), cells);
        assertEquals(widthOf(padTo(cut, cells, "right")), cells);
        if (widthOf(text) <= cells) assertEquals(cut, text);
      }
    }),
    { seed: 5, numRuns: 3000 },
  );
});

Deno.test("wrap() keeps every word and every line within its width", () => {
  assertEquals(wrap("one two three four", 9), ["one two", "three", "four"]);
  assertEquals(wrap("abcdefghijklmnop", 8), ["abcdefgh", "ijklmnop"]);
  assertEquals(wrap("", 10), [""]);
  fc.assert(
    fc.property(TEXT, fc.integer({ min: 8, max: 30 }), (text, cells) => {
      const lines = wrap(text, cells);
      for (const line of lines) assert(widthOf(line) <= cells, `${JSON.stringify(line)} is wider than ${cells}`);
      assertEquals(lines.join("").replaceAll(" ", ""), text.replaceAll(" ", ""));
    }),
    { seed: 6, numRuns: 3000 },
  );
});
