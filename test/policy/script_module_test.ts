import { assertEquals, assertThrows } from "@std/assert";
import { compileModule } from "../../core/policy/script_module.ts";
import { ScriptSyntaxError } from "../../core/policy/syntax.ts";

Deno.test("compileModule() keeps every line where it is", () => {
  const text =
    'import a,\n {\n b as c } from "./x.ts";\nexport default\n  /* why */ function () {\n  return [a, c(1), { c }];\n}\nexport { c };\n';
  const { code } = compileModule(text);
  const lines = code.split("\n");
  assertEquals(lines.length, text.split("\n").length + 1);
  assertEquals(lines[5]?.includes("return ["), true);
});

Deno.test("compileModule() knows where each character of the code was", () => {
  const text = [
    'import { f, g as h } from "./x.ts"; import * as ns from "./y.ts"; MARK0;',
    "const o = { f, h: h(f, MARK1) }, t = ns.x(MARK2);",
    "for (const x of o) h(x), MARK3;",
    "const q = (f) => f(MARK4), w = y => h(MARK5); MARK6;",
    "export default class A { m() { return h`a${MARK7}`; } } MARK8;",
    "f(MARK9)",
  ].join("\n");
  const { code, toOriginal } = compileModule(text);
  const places = (source: string) =>
    source.split("\n").flatMap((line, index) =>
      [...line.matchAll(/MARK\d/g)].map((found) => ({ name: found[0], line: index + 1, column: found.index + 1 }))
    );
  assertEquals(places(text).length, 10);
  assertEquals(places(code).map(({ name, line, column }) => ({ name, ...toOriginal({ line, column }) })), places(text));
});

Deno.test("compileModule() leaves names alone that hide an import", () => {
  const text = `import { a } from "./x.ts";
    function f(a) { return a; }
    const g = ({ a }) => a, h = ([a = 1]) => a;
    { let a = 1; use(a); } for (const a of []) use(a); try { 0; } catch (a) { use(a); }
    switch (1) { case 1: const a = 2; use(a); }
    class C { a = 1; a() { this.a; } static { var a = 2; use(a); } }
    (class a { m() { return a; } }); (function a() { return a; });
    label: for (;;) { var o = { a: 1 }; o.a; break label; }
    function k() { if (1) { var a = 5; } return a; }`;
  assertEquals(compileModule(text).imports.size, 0, "none of these is the import");
  const used =
    'import { a } from "./x.ts"; { let a; } function f(b = a) { return [a, { a }, a.b, a?.(), a`x`, new a(), typeof a]; }';
  const { code, imports } = compileModule(used);
  assertEquals(imports.get("a")?.name, "a");
  assertEquals(code.match(/\$w0\.a/g)?.length, 8);
});

Deno.test("compileModule() says what a script cannot do, and where", () => {
  const cases: [string, number, number, string][] = [
    ["let a = 1;\nlet a = 2;", 2, 5, "Identifier 'a' has already been declared"],
    ["\n  const = 5;", 2, 9, "Unexpected token"],
    [
      'const x = 1;\nconst y = await import("node:fs");',
      2,
      17,
      "import() is not possible in a policy; write an import at the top",
    ],
    ["return 5", 1, 1, "'return' outside of function"],
    ["export { nothing };", 1, 10, "Export 'nothing' is not defined"],
    ["x = `", 1, 6, "Unterminated template"],
    ["(".repeat(20_000), 1, 1, "it nests too deeply"],
  ];
  for (const [text, line, column, message] of cases) {
    const error = assertThrows(() => compileModule(text), ScriptSyntaxError, message);
    assertEquals((error as ScriptSyntaxError).place, { line, column }, text.slice(0, 40));
  }
});
