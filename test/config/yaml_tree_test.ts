import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { CONFIG_SYNTAX_ISSUE_COUNT_MAX } from "../../core/base/limits.ts";
import { formatIssue, IssueList } from "../../core/config/issue.ts";
import { decodeUtf8, SourceText } from "../../core/config/source_text.ts";
import { placeWithin, readYaml, type ScalarValue, type Value } from "../../core/config/yaml_tree.ts";

/** A value without its places. */
function plain(value: Value | undefined): unknown {
  if (value === undefined) return undefined;
  if (value.kind === "scalar") return value.text;
  if (value.kind === "list") return value.items.map(plain);
  return Object.fromEntries(Array.from(value.entries, ([key, entry]) => [key, plain(entry.value)]));
}

function read(text: string): { value: Value | undefined; issues: string[] } {
  const issues = new IssueList();
  const value = readYaml(new SourceText("f", text), issues);
  return { value, issues: issues.sorted().map(formatIssue) };
}

const GOOD: readonly (readonly [name: string, text: string, value: unknown])[] = [
  ["an empty file", "", {}],
  ["a file of comments", "# nothing\n", {}],
  ["numbers, flags and nothing as text", "a: 010\nb: yes\nc:\nd: ~\ne: 1.50", {
    a: "010",
    b: "yes",
    c: "",
    d: "~",
    e: "1.50",
  }],
  ["quoted text", `a: 'it''s'\nb: "x\\ny"\nc: |\n  l1\n  l2\n`, { a: "it's", b: "x\ny", c: "l1\nl2\n" }],
  ["flow and block forms", "a: [1, {b: c}]\nd:\n- e\n- [f]", { a: ["1", { b: "c" }], d: ["e", ["f"]] }],
  ["aliases", "a: &x [1, 2]\nb: *x", { a: ["1", "2"], b: ["1", "2"] }],
  ["an anchor that is set twice", "a: &x 1\nb: *x\nc: &x 2\nd: *x", { a: "1", b: "1", c: "2", d: "2" }],
  ["merge keys, where written keys win", "b: &b {p: 1, q: 2}\nx:\n  q: 3\n  <<: *b", {
    b: { p: "1", q: "2" },
    x: { q: "3", p: "1" },
  }],
  ["a list of merged tables, where the first wins", "a: &a {p: 1}\nb: &b {p: 2, q: 3}\nx: {<<: [*a, *b]}", {
    a: { p: "1" },
    b: { p: "2", q: "3" },
    x: { p: "1", q: "3" },
  }],
  ["a quoted merge key as a key like any other", `x: {"<<": 1}`, { x: { "<<": "1" } }],
  ["tags, which mean nothing here", "a: !!str 123\nb: !!int 4", { a: "123", b: "4" }],
  ["keys that objects have of their own", "constructor: 1\ntoString: 2", { constructor: "1", toString: "2" }],
];

for (const [name, text, value] of GOOD) {
  Deno.test(`readYaml() reads ${name}`, () => {
    const result = read(text);
    assertEquals(result.issues, []);
    assertEquals(plain(result.value), value);
  });
}

const BAD: readonly (readonly [name: string, text: string, issues: string[]])[] = [
  ["a key that is given twice", "a: 1\nb: 2\na: 3", ['f:3:1: error: the key "a" is given twice, first in line 1']],
  ["an alias without anchor", "a: *x", ["f:1:4: error: found the alias *x, expected an anchor &x that ends before it"]],
  ["a value that contains itself", "a: &x [*x]", [
    "f:1:8: error: found the alias *x, expected an anchor &x that ends before it",
  ]],
  ["a merge of something else", "x: {<<: 1}", [
    'f:1:9: error: found a single value after "<<", expected a table or a list of tables',
  ]],
  ["a table as a key", "? {a: 1}\n: 2", ["f:1:3: error: found a table as a key, expected a name"]],
  ["a second document", "a: 1\n---\nb: 2", [
    'f:2:1: error: the file is not valid YAML: found a second YAML document after "---", expected one document in the file',
  ]],
  ["a tab as indentation", "a:\n\tb: 1", [
    "f:2:1: error: the file is not valid YAML: found a tab as indentation, expected spaces",
  ]],
  ["a quote that is not closed", "a: 'x", [
    "f:1:6: error: the file is not valid YAML: a character is missing here, expected a closing quote or bracket, a comma, " +
    "a colon or a space",
  ]],
];

for (const [name, text, issues] of BAD) {
  Deno.test(`readYaml() reports ${name}`, () => assertEquals(read(text).issues, issues));
}

Deno.test("readYaml() shows nothing of the file in its syntax errors", () => {
  for (
    const text of [
      "password: 'hunter2",
      "a: b: hunter2",
      '"hunter2" hunter2: [',
      "%hunter2\na: 1",
      "a: @hunter2",
      'p: "\\hunter2"',
    ]
  ) {
    const { value, issues } = read(text);
    assertEquals(value, undefined, text);
    assert(issues.length > 0 && !issues.join("\n").includes("hunter2"), issues.join("\n"));
  }
});

Deno.test("readYaml() refuses aliases that multiply, in little time and memory", () => {
  const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
  for (let i = 1; i < 30; i++) lines.push(`a${i}: &a${i} [${Array(10).fill(`*a${i - 1}`).join(", ")}]`);
  const { issues } = read(lines.join("\n"));
  assertEquals(issues[0], "f:6:9: error: found more than 1000000 values once aliases are expanded, expected fewer");
});

Deno.test("readYaml() lists only the first syntax errors of a file that has thousands", () => {
  for (const text of ["[".repeat(20_000), "*a ".repeat(5_000), "]".repeat(5_000)]) {
    const { value, issues } = read(text);
    assertEquals(value, undefined);
    assert(issues.length >= 1 && issues.length <= CONFIG_SYNTAX_ISSUE_COUNT_MAX, String(issues.length));
  }
});

Deno.test("readYaml() refuses lists that are nested deeper than the limit", () => {
  const { issues } = read("[".repeat(100) + "]".repeat(100));
  assertEquals(issues, ["f:1:65: error: lists and tables are nested too deeply, expected at most 64 levels"]);
});

Deno.test("placeWithin() finds characters of plain and quoted texts, else the beginning", () => {
  const text = `a: abc\nb: 'it''s x'\nc: "q x"\nd: "q\\tx"\ne: |\n  x\nf: two\n  lines x\n`;
  const { value } = read(text);
  assert(value?.kind === "table");
  const columnOfX = (key: string) => {
    const scalar = value.entries.get(key)!.value as ScalarValue;
    const { line, column } = placeWithin(scalar, scalar.text.indexOf(key === "a" ? "c" : "x"));
    return `${line}:${column}`;
  };
  assertEquals(["a", "b", "c", "d", "e", "f"].map(columnOfX), ["1:6", "2:11", "3:7", "4:4", "5:4", "7:4"]);
});

Deno.test("SourceText.place() agrees with counting when offsets are arbitrary", () => {
  const sources = fc.array(fc.constantFrom("\n", "a", "b", "\r", "é", "😀"), { maxLength: 60 }).map((parts) =>
    parts.join("")
  );
  fc.assert(
    fc.property(sources, fc.nat(80), (text, wish) => {
      const offset = Math.min(wish, text.length);
      const before = text.slice(0, offset).split("\n");
      const place = new SourceText("f", text).place(offset);
      assertEquals(place, { file: "f", line: before.length, column: before.at(-1)!.length + 1 });
    }),
    { seed: 1, numRuns: 500 },
  );
});

Deno.test("decodeUtf8() drops a byte order mark and finds where a file stops being UTF-8", () => {
  const encoder = new TextEncoder();
  assertEquals(decodeUtf8(encoder.encode("\ufeffaé😀")), { text: "aé😀" });
  const texts = fc.string({ unit: "binary", maxLength: 40 }).filter((text) => !text.startsWith("\ufeff"));
  const badBytes = fc.constantFrom([0xff], [0xc3, 0x28], [0xe2, 0x82], [0x80], [0xed, 0xa0, 0x80]);
  fc.assert(
    fc.property(texts, badBytes, fc.constantFrom("", "A", "😀"), (text, bad, after) => {
      const good = text.toWellFormed();
      const bytes = new Uint8Array([...encoder.encode(good), ...bad, ...encoder.encode(after)]);
      assertEquals(decodeUtf8(bytes), { textBefore: good });
    }),
    { seed: 2, numRuns: 300 },
  );
});
