import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { parsePattern, type Pattern } from "../../core/decide/pattern.ts";
import { matchesWildcard } from "../../core/decide/wildcard.ts";

function patternOf(source: string): Pattern {
  const pattern = parsePattern(source);
  assert(typeof pattern !== "string", `${source}: ${pattern}`);
  return pattern;
}

Deno.test("Pattern.test() ignores case and searches anywhere when the pattern has no anchors", () => {
  const table: readonly (readonly [string, string, boolean])[] = [
    ["google", "www.GOOGLE.com", true],
    ["^google", "www.google.com", false],
    ["(?i)^WWW\\.", "www.google.com", true],
    ["\\Agoogle\\.com\\z", "google.com", true],
    ["\\Agoogle\\z", "google.com", false],
    ["^(?!.*cn$)", "a.com", true],
    ["^(?!.*cn$)", "a.cn", false],
    ["\\d{3}-\\w", "123-a", true],
    ["^ad[sx]?[0-9]*\\.", "adx12.example.org", true],
    ["(^|\\.)(youtube|googlevideo)\\.com$", "r1.googlevideo.com", true],
  ];
  for (const [source, text, expected] of table) assertEquals(patternOf(source).test(text), expected, source);
});

Deno.test("parsePattern() hands patterns to RE2 when backtracking could take long", () => {
  for (
    const source of [
      "(a+)+$",
      "(a|a)*$",
      "(a|aa)+b",
      "^(([a-z])+.)+$",
      ".*.*.*x",
      "(a?){25}a{25}",
      "(x+x+)+y",
      "(a*)*b",
    ]
  ) {
    assertEquals(patternOf(source).engine, "re2", source);
  }
  for (const source of ["^ads?\\.", "google", "^(www\\.)?a\\.com$", "^.*\\.google\\.[a-z]+$", "^((?!cn).)*$"]) {
    assertEquals(patternOf(source).engine, "native", source);
  }
});

Deno.test("Pattern.test() answers at once when a hostile pattern meets a hostile name", () => {
  const names = ["a".repeat(253), `${"a".repeat(250)}!`, "x".repeat(4_000)];
  for (
    const source of ["(a+)+$", "(a|a)*$", "(.*)*!", "(a|aa)+$", ".*.*.*.*=", "(?:a?){50}a{50}", "^(a+)+b", "(x+x+)+y"]
  ) {
    const pattern = patternOf(source);
    for (const name of names) pattern.test(name);
  }
});

Deno.test("parsePattern() refuses what is neither bounded nor known to RE2, and what is no pattern", () => {
  const table: readonly (readonly [string, string])[] = [
    ["^(?=(a+)+$)", "could run without end"],
    ["(a+)+\\1", "could run without end"],
    ["(", "invalid regular expression"],
    ["[z-a]", "invalid regular expression"],
    ["a".repeat(1_025), "1025 characters"],
    ["^(.*)\\.\\1$", "could run without end"],
    ["(?>a+)b", "invalid"],
  ];
  for (const [source, reason] of table) {
    const result = parsePattern(source);
    assert(
      typeof result === "string" && result.includes(reason),
      `${source}: ${typeof result === "string" ? result : "taken"}`,
    );
  }
});

Deno.test("parsePattern() never throws, and what it takes never runs on, when the pattern is anything", () => {
  const piece = fc.constantFrom(
    "a",
    "b",
    ".",
    "*",
    "+",
    "?",
    "(",
    ")",
    "|",
    "[",
    "]",
    "^",
    "$",
    "{2}",
    "{1,}",
    "(?:",
    "(?!",
    "\\1",
    "\\d",
    "\\p",
    "x",
  );
  const name = `${"ab".repeat(100)}!`;
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
      const pattern = parsePattern(pieces.join(""));
      if (typeof pattern !== "string") pattern.test(name);
    }),
    { seed: 3, numRuns: 5_000 },
  );
});

Deno.test("Pattern.test() is the same on both engines when both take the pattern", () => {
  const piece = fc.constantFrom("a", "b", "c", ".", "a?", "b*", "[ab]", "(a|b)", "^", "$", "c{2}");
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 6 }),
      fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 8 }),
      (pieces, text) => {
        const source = pieces.join("");
        const pattern = parsePattern(source);
        if (typeof pattern === "string") return;
        assertEquals(pattern.test(text), new RegExp(source, "i").test(text), `${source} over ${text}`);
      },
    ),
    { seed: 5, numRuns: 5_000 },
  );
});

/** The obviously right way: try every length for every star. */
function slowWildcard(wildcard: string, text: string): boolean {
  if (wildcard === "") return text === "";
  if (wildcard[0] === "*") {
    return Array.from({ length: text.length + 1 }, (_, i) => i).some((i) =>
      slowWildcard(wildcard.slice(1), text.slice(i))
    );
  }
  return text !== "" && (wildcard[0] === "?" || wildcard[0] === text[0]) &&
    slowWildcard(wildcard.slice(1), text.slice(1));
}

Deno.test("matchesWildcard() agrees with trying everything", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("a", "b", ".", "*", "?"), maxLength: 7 }),
      fc.string({ unit: fc.constantFrom("a", "b", "."), maxLength: 7 }),
      (wildcard, text) => assertEquals(matchesWildcard(wildcard, text), slowWildcard(wildcard, text)),
    ),
    { seed: 9, numRuns: 20_000 },
  );
});

Deno.test("matchesWildcard() takes no more than the product of both lengths when stars pile up", () => {
  assertEquals(matchesWildcard(`${"*a".repeat(200)}b`, "a".repeat(4_000)), false);
});
