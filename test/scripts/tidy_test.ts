import { assertEquals } from "@std/assert";
import { findTested, findUntidy, settle } from "../../scripts/tidy.ts";

const FN = "export function f() {}\n";

const CASES: readonly { name: string; path: string; text: string; expected: string[] }[] = [
  { name: "a plain type file", path: "core/base/a.ts", text: "export type A = 1;\n", expected: [] },
  { name: "a name in camelCase", path: "core/base/flowTable.ts", text: "", expected: ["file-name"] },
  { name: "a name that says nothing", path: "core/base/utils.ts", text: "", expected: ["file-name"] },
  { name: "500 lines", path: "test/a_test.ts", text: "\n".repeat(500), expected: [] },
  { name: "501 lines", path: "test/a_test.ts", text: "\n".repeat(501), expected: ["file-lines"] },
  { name: "a header file without its RFC", path: "core/wire/a.ts", text: "/** A. */\n", expected: ["read-first"] },
  { name: "a header file with its RFC", path: "core/wire/a.ts", text: "/** Read first: RFC 791. */\n", expected: [] },
  { name: "code without a test", path: "core/base/a.ts", text: FN, expected: ["tested"] },
  { name: "something that is no TypeScript", path: "core/base/README.md", text: FN, expected: [] },
];

for (const { name, path, text, expected } of CASES) {
  Deno.test(`findUntidy() finds [${expected}] when ${path} is ${name}`, () => {
    assertEquals(findUntidy([{ path, text }]).map(({ rule }) => rule), expected);
  });
}

const TREE = [
  { path: "core/dns/mod.ts", text: 'export * from "./cache.ts";' },
  { path: "core/dns/cache.ts", text: 'import { a } from "../base/a.ts";' },
  { path: "core/dns/lonely.ts", text: FN },
  { path: "core/base/a.ts", text: FN },
];

Deno.test("findTested() follows imports inside the folder that the test's own folder mirrors", () => {
  const test = { path: "test/dns/any_test.ts", text: 'import { x } from "../../core/dns/mod.ts";' };
  assertEquals([...findTested([...TREE, test])], ["core/dns/mod.ts", "core/dns/cache.ts"]);
});

Deno.test("findTested() counts only what is imported directly when the test stands elsewhere", () => {
  const test = { path: "test/sim/any_test.ts", text: 'const x = await import("../../core/dns/mod.ts");' };
  assertEquals([...findTested([...TREE, test])], ["core/dns/mod.ts"]);
});

Deno.test("findTested() follows what test/support/ imports for the tests that use it", () => {
  const support = { path: "test/support/any.ts", text: 'import { x } from "../../core/dns/mod.ts";' };
  const dns = { path: "test/dns/any_test.ts", text: 'import { y } from "../support/any.ts";' };
  const other = { path: "test/sim/any_test.ts", text: 'import { y } from "../support/any.ts";' };
  const product = (test: { path: string; text: string }) =>
    [...findTested([...TREE, support, test])].filter((path) => path.startsWith("core/"));
  assertEquals(product(dns), ["core/dns/mod.ts", "core/dns/cache.ts"]);
  assertEquals(product(other), ["core/dns/mod.ts"]);
});

const LONG = { rule: "file-lines", file: "core/a.ts", message: "too long" };
const REASON = "one table, read top to bottom";

Deno.test("settle() drops a finding when the ledger excuses it", () => {
  assertEquals(settle([LONG], [{ rule: "file-lines", file: "core/a.ts", reason: REASON }], ["core/a.ts"]), []);
});

Deno.test("settle() keeps a finding when the entry is for another rule or file", () => {
  const ledger = [{ rule: "file-lines", file: "core/b.ts", reason: REASON }];
  assertEquals(settle([LONG], ledger, ["core/a.ts", "core/b.ts"]), [
    "core/a.ts: too long (file-lines)",
    "scripts/ledger.json: file-lines core/b.ts: stale, it needs no excuse",
  ]);
});

Deno.test("settle() complains about an entry when its file, rule or reason is missing", () => {
  const ledger = [
    { rule: "file-lines", file: "core/gone.ts", reason: REASON },
    { rule: "beauty", file: "core/a.ts", reason: REASON },
    { rule: "pure", file: "core/a.ts", reason: "because" },
  ];
  assertEquals(settle([], ledger, ["core/a.ts"]), [
    "scripts/ledger.json: file-lines core/gone.ts: there is no such file",
    "scripts/ledger.json: beauty core/a.ts: there is no such rule",
    "scripts/ledger.json: pure core/a.ts: give the reason",
  ]);
});
