import { assertEquals } from "@std/assert";
import type { Excuse } from "../../scripts/ledger.ts";
import { createPlugin } from "../../scripts/lint_plugin.ts";

/** The rules that complain about `source` when it stands in the file `path`. */
function complaints(path: string, source: string, ledger: readonly Excuse[] = []): string[] {
  return Deno.lint.runPlugin(createPlugin(ledger), path, source).map((each) => each.id.replace("weir/", ""));
}

const CASES: readonly { name: string; path: string; source: string; expected: string[] }[] = [
  { name: "a clock in core", path: "core/dns/a.ts", source: "const t = Date.now();", expected: ["pure"] },
  { name: "a timer in sim", path: "sim/a.ts", source: "setTimeout(run, 1);", expected: ["pure"] },
  { name: "Deno in core", path: "core/config/a.ts", source: "Deno.cwd();", expected: ["pure"] },
  { name: "Math.random in core", path: "core/base/a.ts", source: "Math.random();", expected: ["pure"] },
  { name: "a clock in core/host", path: "core/host/a.ts", source: "const t = Date.now();", expected: [] },
  { name: "a property called Date", path: "core/base/a.ts", source: "const a = { Date: 1 }; b.Date;", expected: [] },
  {
    name: "a crypto that was handed in",
    path: "core/wire/a.ts",
    source: "function f(crypto) { crypto.x(); }",
    expected: [],
  },
  { name: "one destructured", path: "core/wire/a.ts", source: "const { crypto } = b; crypto.x();", expected: [] },
  {
    name: "a crypto of another function",
    path: "core/wire/a.ts",
    source: "function f(crypto) {} function g() { crypto.x(); }",
    expected: ["pure"],
  },
  { name: "files in core", path: "core/base/a.ts", source: 'import { open } from "node:fs";', expected: ["pure"] },
  {
    name: "AES in core",
    path: "core/wire/a.ts",
    source: 'import { createCipheriv } from "node:crypto";',
    expected: [],
  },
  {
    name: "runtime randomness in core",
    path: "core/wire/a.ts",
    source: 'import { randomBytes } from "node:crypto";',
    expected: ["pure"],
  },
  { name: "throw per packet", path: "core/parse/a.ts", source: "function f() { throw x; }", expected: ["data-plane"] },
  { name: "throw in the control plane", path: "core/config/a.ts", source: "function f() { throw x; }", expected: [] },
  { name: "async per packet", path: "core/engine.ts", source: "async function f() {}", expected: ["data-plane"] },
  { name: "a generator", path: "core/wire/a.ts", source: "function* f() {}", expected: ["data-plane"] },
  {
    name: "a template string",
    path: "core/act/a.ts",
    source: "function f() { return `${x}`; }",
    expected: ["data-plane"],
  },
  { name: "spread", path: "core/stack/a.ts", source: "function f() { return [...x]; }", expected: ["data-plane"] },
  { name: "a closure", path: "core/act/a.ts", source: "function f() { g(() => 1); }", expected: ["data-plane"] },
  { name: "subarray", path: "core/wire/a.ts", source: "function f() { x.subarray(1); }", expected: ["data-plane"] },
  {
    name: "new per packet",
    path: "core/wire/a.ts",
    source: "function f() { return new A(); }",
    expected: ["data-plane"],
  },
  {
    name: "new in a method",
    path: "core/wire/a.ts",
    source: "class A { f() { return new B(); } }",
    expected: ["data-plane"],
  },
  {
    name: "new in a constructor",
    path: "core/wire/a.ts",
    source: "class A { constructor() { new B(); } }",
    expected: [],
  },
  { name: "new in a class field", path: "core/wire/a.ts", source: "class A { b = new B(); }", expected: [] },
  { name: "new at module level", path: "core/wire/a.ts", source: "const A = [1].map((x) => new B(x));", expected: [] },
  {
    name: "new in createTable()",
    path: "core/wire/a.ts",
    source: "function createTable() { return new B(); }",
    expected: [],
  },
  { name: "< beside a Seq", path: "core/stack/a.ts", source: "const a = x.sendSeq < b;", expected: ["sequence-order"] },
  { name: "=== beside a Seq", path: "core/stack/a.ts", source: "const a = x.sendSeq === b;", expected: [] },
  { name: "an undocumented export", path: "core/dns/a.ts", source: "export const A = 1;", expected: ["export-doc"] },
  { name: "a documented export", path: "core/dns/a.ts", source: "/** One. */\nexport const A = 1;", expected: [] },
  {
    name: "a remote comment",
    path: "core/dns/a.ts",
    source: "/** File. */\n\nexport const A = 1;",
    expected: ["export-doc"],
  },
  {
    name: "a doc comment above a lint comment",
    path: "core/dns/a.ts",
    source: "/** ─── One. */\n// because\nexport const A = 1;",
    expected: [],
  },
  {
    name: "one comment over a run of constants",
    path: "core/wire/a.ts",
    source: "/** Bits ─. */\nexport const A = 1; // ─ one\nexport const B = 2;\nexport const C = 2;",
    expected: [],
  },
  {
    name: "a constant after the run",
    path: "core/wire/a.ts",
    source: "/** Bits. */\nexport const A = 1;\n\nexport const B = 2;",
    expected: ["export-doc"],
  },
  {
    name: "a default export",
    path: "core/dns/a.ts",
    source: "/** One. */\nexport default 1;",
    expected: ["export-name"],
  },
  { name: "a default export in a policy", path: "scripts/policies/a.ts", source: "export default 1;", expected: [] },
  {
    name: "a function in PascalCase",
    path: "core/dns/a.ts",
    source: "/** One. */\nexport function Run() {}",
    expected: ["export-name"],
  },
  {
    name: "71 lines",
    path: "core/dns/a.ts",
    source: `function f() {${"\n".repeat(70)}}`,
    expected: ["function-lines"],
  },
  { name: "70 lines", path: "core/dns/a.ts", source: `function f() {${"\n".repeat(69)}}`, expected: [] },
];

for (const { name, path, source, expected } of CASES) {
  Deno.test(`createPlugin() reports [${expected}] when ${path} has ${name}`, () => {
    assertEquals(complaints(path, source), expected);
  });
}

const THROWS = "function f() { throw x; }\nfunction g() { const h = 1; }";

Deno.test("createPlugin() is silent when the ledger excuses the file", () => {
  const ledger = [{ rule: "data-plane", file: "core/parse/a.ts", reason: "test" }];
  assertEquals(complaints("core/parse/a.ts", THROWS, ledger), []);
  assertEquals(complaints("core/parse/b.ts", THROWS, ledger), ["data-plane"]);
});

Deno.test("createPlugin() excuses one function when the entry names it", () => {
  const long = `function f() {${"\n".repeat(80)}}\nfunction g() {${"\n".repeat(80)}}`;
  const ledger = [{ rule: "function-lines", file: "core/parse/a.ts", name: "g", reason: "test" }];
  assertEquals(complaints("core/parse/a.ts", long, ledger), ["function-lines"]);
});

Deno.test("createPlugin() excuses what stands in the method that the entry names", () => {
  const source = "class A { f() { return new B(); } g() { return new B(); } }";
  const ledger = [{ rule: "data-plane", file: "core/act/a.ts", name: "g", reason: "test" }];
  assertEquals(complaints("core/act/a.ts", source, ledger), ["data-plane"]);
});

Deno.test("createPlugin() reports the entry when it excuses nothing", () => {
  const ledger = [{ rule: "pure", file: "core/parse/a.ts", reason: "test" }];
  assertEquals(complaints("core/parse/a.ts", "const a = 1;", ledger), ["pure"]);
  const outside = [{ rule: "data-plane", file: "core/dns/a.ts", reason: "test" }];
  assertEquals(complaints("core/dns/a.ts", "const a = 1;", outside), ["data-plane"]);
});
