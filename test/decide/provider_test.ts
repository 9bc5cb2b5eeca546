import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { parseIp } from "../../core/base/ip_address.ts";
import {
  parseProvider,
  parseProviderEntries,
  type ProviderBehavior,
  type ProviderSet,
} from "../../core/decide/provider.ts";

function covers(set: ProviderSet, what: string): boolean {
  if (set.behavior === "domain") return set.hosts.has(what);
  if (set.behavior === "ipcidr") return set.addresses.has(parseIp(what)!);
  return set.rules.some((rule) => `${rule.type},${rule.payload}` === what);
}

/** Behaviour, format, text, what is covered, what is not, how many entries. */
const FILES: readonly (readonly [ProviderBehavior, "yaml" | "text", string, string[], string[], number])[] = [
  ["domain", "yaml", "payload:\n  - '+.a.com'\n  - 'b.com'\n", ["a.com", "x.a.com", "b.com"], ["x.b.com"], 2],
  [
    "domain",
    "yaml",
    "# head\r\n\r\npayload:\r\n- '+.a.com' # why\r\n# no\r\n- \"b.com\"\r\n- c.com\r\n- ''\r\n",
    ["a.com", "b.com", "c.com"],
    [],
    3,
  ],
  ["domain", "yaml", "\ufeffrules: # old name\n  - a.com", ["a.com"], [], 1],
  ["domain", "yaml", "payload: ['a.com', b.com]\n", ["a.com", "b.com"], [], 2],
  ["domain", "yaml", "name: x\npayload:\n  - a.com\nother: 1\n", ["a.com"], [], 1],
  ["domain", "yaml", "payload:\n  - \"\\u0061.com\"\n  - 'b.com'\n", ["a.com", "b.com"], [], 2],
  ["domain", "yaml", "---\npayload:\n  -   a.com  \n  - 'it''s.com'\n", ["a.com", "it's.com"], [], 2],
  ["domain", "yaml", "payload:\n", [], ["a.com"], 0],
  ["domain", "text", "# comment\n\n  +.a.com \n// other\nb.com\r\n", ["x.a.com", "b.com"], ["comment"], 2],
  [
    "ipcidr",
    "yaml",
    "payload:\n  - '10.0.0.0/8'\n  - 2001:db8::/32\n  - 1.2.3.4\n",
    ["10.1.1.1", "2001:db8::1", "1.2.3.4"],
    ["11.0.0.1"],
    3,
  ],
  ["ipcidr", "text", "10.0.0.0/8\n", ["10.1.1.1"], ["::1"], 1],
  [
    "classical",
    "yaml",
    "payload:\n  - DOMAIN-SUFFIX,a.com\n  - AND,((NETWORK,udp),(DST-PORT,443))\n",
    ["DOMAIN-SUFFIX,a.com", "AND,((Network,udp) && (DstPort,443))"],
    [],
    2,
  ],
  ["classical", "text", "PROCESS-NAME,curl\n", ["PROCESS-NAME,curl"], [], 1],
];

Deno.test("parseProvider() reads every behaviour and form when the file is right", () => {
  for (const [behavior, format, text, covered, others, count] of FILES) {
    const { set, issues } = parseProvider(behavior, format, text);
    assertEquals([set.behavior, set.count, issues], [behavior, count, []], text);
    for (const what of covered) assert(covers(set, what), `${what} in ${text}`);
    for (const what of others) assert(!covers(set, what), `${what} in ${text}`);
  }
});

/** Behaviour, format, text, and each issue as line:column and part of its message; entries that are kept. */
const MISTAKES:
  readonly (readonly [ProviderBehavior, "yaml" | "text", string, (readonly [string, string])[], number])[] = [
    ["domain", "yaml", "payload:\n  - 'a.com'\n  - 'b..com'\n  - c.com\n", [["3:6", 'invalid domain: "b..com"']], 2],
    ["domain", "yaml", "payload:\n  - *.a.com\n  - 'b.com'\n", [["2:5", "needs quotes"]], 1],
    ["domain", "yaml", "", [["1:1", "must have a `payload` field"]], 0],
    ["domain", "yaml", "hello\n", [["1:1", "must have a `payload` field"]], 0],
    ["domain", "yaml", "payload: 7\n", [["1:10", "must be a list"]], 0],
    ["domain", "yaml", "payload:\n  - a.com\n  - {b: c}\n", [["3:5", "not text"]], 1],
    ["ipcidr", "text", "10.0.0.0/8\n10.0.0.0/99\n", [["2:1", 'invalid ipcidr: "10.0.0.0/99"']], 1],
    ["classical", "yaml", "payload:\n  - 'DOMAN,a.com'\n  - DST-PORT,x\n", [[
      "2:6",
      "unsupported rule type: DOMAN; expected DOMAIN",
    ], ["3:14", "is not a number"]], 0],
    ["classical", "text", "MATCH,DIRECT\n", [["1:1", "unsupported rule type on classical rule-set: MATCH"]], 0],
  ];

Deno.test("parseProvider() reports line and column of bad entries and keeps the good ones", () => {
  for (const [behavior, format, text, expected, count] of MISTAKES) {
    const { set, issues } = parseProvider(behavior, format, text);
    assertEquals(issues.map(({ line, column }) => `${line}:${column}`), expected.map(([place]) => place), text);
    issues.forEach(({ message }, i) => assert(message.includes(expected[i]![1]), `${message} of ${text}`));
    assertEquals(set.count, count, text);
  }
});

Deno.test("parseProvider() counts mistakes beyond the first fifty", () => {
  const { issues } = parseProvider("domain", "text", "a..b\n".repeat(80));
  assertEquals(issues.length, 51);
  assertEquals(issues.at(-1)!.message, "and 30 more mistakes");
});

Deno.test("parseProvider() reads the usual form as the YAML parser does when entries are odd", () => {
  const entry = fc.oneof(
    fc.constantFrom(
      "a.com",
      "'+.b.com'",
      '"c.com"',
      "d.com # why",
      "'e.com'# x",
      "a: b",
      "'it''s'",
      '"\\x41"',
      "&x f.com",
      "- g",
      "~",
      "12",
      "+.h.com",
      "[i]",
      "j:k",
      "l #m",
      "#n",
      "? o",
      "'p",
      "!q r",
    ),
    fc.string({
      unit: fc.constantFrom("a", ".", "'", '"', " ", "#", ":", "-", "+", "\\", "\t", ",", "*"),
      maxLength: 6,
    }),
  );
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 4 }), (entries) => {
      const list = entries.map((each) => `  - ${each}\n`).join("");
      const usual = parseProvider("domain", "yaml", `payload:\n${list}`);
      const slow = parseProvider("domain", "yaml", `{}: 0\npayload:\n${list}`); // the first line is unusual: all of it goes the slow way
      assertEquals(usual.set.count, slow.set.count, list);
      assertEquals(usual.issues.map((each) => each.message), slow.issues.map((each) => each.message), list);
      for (const host of ["a.com", "x.b.com", "c.com", "d.com", "12", "a", "j:k", "it's"]) {
        assertEquals(covers(usual.set, host), covers(slow.set, host), `${host} in ${list}`);
      }
    }),
    { seed: 12, numRuns: 2_000 },
  );
});

Deno.test("parseProvider() never throws when the file is anything", () => {
  const piece = fc.constantFrom(
    "payload:",
    "\n",
    "  - ",
    "'",
    '"',
    "a.com",
    "+.",
    "*",
    "/8",
    "1.2.3.4",
    "&a",
    "*a",
    "[",
    "{",
    "DOMAIN,",
    ":",
    "#",
    "\t",
    "|",
    ">",
    "\u2028",
    "\0",
  );
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join("")),
  );
  fc.assert(
    fc.property(
      text,
      fc.constantFrom<ProviderBehavior>("domain", "ipcidr", "classical"),
      fc.constantFrom("yaml", "text"),
      (each, behavior, format) => {
        parseProvider(behavior, format as "yaml" | "text", each);
        parseProvider(behavior, "yaml", `payload:\n${each}`);
      },
    ),
    { seed: 21, numRuns: 3_000 },
  );
});

Deno.test("parseProvider() gives an issue, not a hang, when YAML is made to grow", () => {
  const bomb = `a: &a [x, x, x]\n${
    Array.from({ length: 30 }, (_, i) =>
      `b${i}: &b${i} [${i === 0 ? "*a, *a, *a" : `*b${i - 1}, *b${i - 1}, *b${i - 1}`}]\n`).join("")
  }payload: *b29\n`;
  assert(parseProvider("domain", "yaml", bomb).issues.length > 0);
  assert(parseProvider("domain", "yaml", `payload: ${"[".repeat(50_000)}`).issues.length > 0);
});

Deno.test("parseProviderEntries() names the entry that is wrong", () => {
  const { set, issues } = parseProviderEntries("classical", ["NETWORK,tcp", "", "NETWORK,x"]);
  assertEquals(set.count, 1);
  assertEquals(issues.map(({ index, offset }) => [index, offset]), [[2, 8]]);
});
