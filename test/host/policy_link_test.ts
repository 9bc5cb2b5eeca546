/** Linking must do what the engine's own modules do: each program here runs both ways, and both must say the same. */
import { assertEquals } from "@std/assert";
import { pathToFileURL } from "node:url";
import { line, withPolicy } from "./policy_fixture.ts";

/** Programs whose `policy.ts` exports `{ rules: () => string[] }`: what they computed, as lines. */
const PROGRAMS: Record<string, Record<string, string>> = {
  "a function of a sibling": {
    "policy.ts": 'import { f } from "./a.ts";\nexport default { rules: () => [f(2)] };',
    "a.ts": "export function f(x: number): string { return `f${x}`; }",
  },
  "folders, re-exports, stars, namespaces and renaming": {
    "policy.ts": `import d, { one as uno, two, three } from "./lib/mod.ts"; import * as all from "./lib/mod.ts";
      export default { rules: () => [d(), uno, two(), three.x, Object.keys(all).join(), Object.prototype.toString.call(all), typeof all.two] };`,
    "lib/mod.ts": `export * from "./a.ts"; export * as three from "./b.ts"; export { default, type T } from "./b.ts";
      export const two = () => "two";`,
    "lib/a.ts": 'export const one = "1"; export default 5; export const unused = 0;',
    "lib/b.ts": 'export type T = number; export const x = "x"; export default () => "default";',
  },
  "live bindings": {
    "policy.ts": `import { n, add } from "./a.ts"; import * as ns from "./a.ts"; const before = n; add(); add();
      export default { rules: () => [before, n, ns.n, \`\${n}\`, JSON.stringify({ n })].map(String) };`,
    "a.ts": "export let n = 0; export const add = () => { n++; };",
  },
  "a circle that calls a hoisted function before its module ran": {
    "policy.ts": `import { b } from "./b.ts"; export function early() { return "early"; } export const late = "late";
      export default { rules: () => b() };`,
    "b.ts": `import { early, late } from "./policy.ts"; const now = early(); let state = "";
      try { state = late; } catch (e) { state = e.name + ": " + e.message; }
      export const b = () => [now, state, late];`,
  },
  "a circle of three": {
    "policy.ts":
      'import { a } from "./a.ts"; export const log: string[] = ["p"]; export default { rules: () => [...a(), ...log] };',
    "a.ts": 'import { b } from "./b.ts"; export const a = () => ["a", ...b()]; export const name = "A";',
    "b.ts":
      'import { log } from "./policy.ts"; import { name } from "./a.ts"; export const b = () => { log.push(name); return ["b"]; };',
  },
  "the order of evaluation": {
    "policy.ts":
      'import "./a.ts"; import "./b.ts"; import { order } from "./o.ts"; export default { rules: () => order };',
    "a.ts": 'import "./b.ts"; import { order } from "./o.ts"; order.push("a");',
    "b.ts": 'import { order } from "./o.ts"; order.push("b");',
    "o.ts": "export const order: string[] = [];",
  },
  "no semicolons": {
    "policy.ts": `import { f, t } from "./a.ts"
      import { g } from "./a.ts"
      const log: string[] = []
      let x = 1
      f(log)
      t\`x\`.forEach((y) => log.push(y))
      const y = x
      ;[1, 2].forEach((n) => g(log, n))
      if (y) f(log)
      else g(log, 0)
      for (const n of [7]) g(log, n)
      do g(log, 8)
      while (log.length < 2)
      const pick = (n: number) => n > 1 ? f : g
      pick(1)(log, 9)
      class last {
        static rules = () => log
      }
      export default { rules: last.rules }`,
    "a.ts": `export function f(l: string[]) { l.push("f" + (this === undefined)) }
      export const g = (l: string[], n: number) => { l.push("g" + n) }
      export const t = (s: TemplateStringsArray) => [...s]`,
  },
  "anonymous defaults": {
    "policy.ts":
      `import f from "./f.ts"; import g from "./g.ts"; import c from "./c.ts"; import e from "./e.ts"; import o from "./o.ts";
      export default { rules: () => [f(), g().next().value, new c().m(), e, o.a].map(String) };`,
    "f.ts": 'export default function () { return "f" }\n[1].length',
    "g.ts": 'export default function* () { yield "g" }',
    "c.ts": 'export default class { m() { return "c" } }\n[1].length',
    "e.ts": "export default (1, 2)",
    "o.ts": "export default { a: 1 }",
  },
  "default of an async function and of a named one": {
    "policy.ts": `import a from "./a.ts"; import n, { n as same } from "./n.ts";
      export default { rules: () => [typeof a, a.constructor.name, n(3), String(n === same)] };`,
    "a.ts": "export default async function () { await 1 }",
    "n.ts": 'export default function n(x: number): string { return x > 0 ? "n" + n(x - 1) : "" }\nexport { n };',
  },
  "waiting at the top": {
    "policy.ts":
      'import { v } from "./a.ts"; const w = await Promise.resolve(v + 1); export default { rules: () => [String(w)] };',
    "a.ts": "export const v = await new Promise<number>((done) => setTimeout(() => done(1), 1));",
  },
  "loops and functions of every form": {
    "policy.ts":
      `const l: string[] = []; let i = 0; const f = (n: number): number => n ? n * f(n - 1) : 1, o = () => ({ a: 1 });
      while (i < 2) i++; do i++; while (i < 5); for (;;) if (i++ > 8) break; for (const k in { a: 1 }) l.push(k);
      outer: for (const x of [1, 2]) for (const y of [1, 2]) { if (y === 2) continue outer; l.push(x + "-" + y); }
      for (const x of [1]) l.push(...[x].map((z) => [z].map((q) => q + 1)[0]).map(String))
      class A { get g() { return 1; } set g(v) { i = v; } #p() { return i; } static s = () => 2; m = (x: number) => x; p() { return this.#p(); } }
      class B extends A { constructor() { super(); i += 100; } }
      function* gen() { for (let n = 0; n < 3; n++) yield n; }
      l.push(String(i), String(f(5)), String(o().a), String(new A().g), String(A.s()), String(new B().p()), [...gen()].join());
      export default { rules: () => l };`,
  },
  "names that look like ours, odd names, json and js": {
    "policy.ts": `import { $w0, "odd name" as odd } from "./a.js"; import data from "./d.json" with { type: "json" };
      const $w = 1; export default { rules: () => [$w0, odd, String($w), data.list[1], Object.keys(data).join()] };`,
    "a.js": 'export const $w0 = "w"; const x = "odd"; export { x as "odd name" };',
    "d.json": '{ "list": ["a", "é"], "__proto__": 1 }',
  },
  "types everywhere": {
    "policy.ts": `import { make, Shape } from "./a.ts"; import type { Other } from "./a.ts";
      const x = make<Shape>({ a: 1 } satisfies Shape) as unknown as Other; const y = x!;
      export default { rules: (): string[] => [typeof y] };`.replace("make, Shape", "make, type Shape"),
    "a.ts": `export interface Shape { a: number } export type Other = string;
      export function make<T>(this: void, x: T): T { return x; } declare const nothing: number;
      export abstract class Q { declare y: number; abstract z(): void; private readonly w?: string }`,
  },
};

async function natively(folder: string): Promise<string[]> {
  const module = await import(pathToFileURL(`${folder}/policy.ts`).href);
  return module.default.rules();
}

for (const [name, files] of Object.entries(PROGRAMS)) {
  Deno.test(`PolicyHost links like the engine: ${name}`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "weir-native-" });
    try {
      for (const [file, text] of Object.entries(files)) {
        await Deno.mkdir(`${folder}/lib`, { recursive: true });
        await Deno.writeTextFile(`${folder}/${file}`, text);
      }
      const expected = await natively(folder);
      await withPolicy(files, {}, ({ host, issues }) => {
        assertEquals(issues.map(line), []);
        assertEquals(host?.ruleLines.map(({ text }) => text), expected);
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

const FAILING: [string, Record<string, string>, string[]][] = [
  ["an export that is not there", {
    "policy.ts": 'import { a,\n  nothing } from "./a.ts";\nexport default { rules: () => [a, nothing] };',
    "a.ts": "export const a = 1, b = 2;",
  }, ["policy.ts:2:3 Cannot import nothing from a.ts: it exports a, b"]],
  ["a type passed on as a value", {
    "policy.ts": 'export { T } from "./a.ts";\nexport default {};',
    "a.ts": "export type T = 1;",
  }, ["policy.ts:1:10 Cannot import T from a.ts: it exports nothing; a type is passed on with `export type`"]],
  ["two stars of one name", {
    "policy.ts": 'import { x } from "./s.ts"; export default { rules: () => [x] };',
    "s.ts": 'export * from "./a.ts"; export * from "./b.ts";',
    "a.ts": "export const x = 1;",
    "b.ts": "export const x = 2;",
  }, ["policy.ts:1:10 Cannot import x from s.ts: two of its `export *` have that name"]],
  ["a name that weir does not have", {
    "policy.ts": 'import { definePolicy, run } from "weir"; export default definePolicy({ rules: () => [run()] });',
  }, ["policy.ts:1:24 Cannot import run from weir: it exports definePolicy"]],
];

for (const [name, files, expected] of FAILING) {
  Deno.test(`PolicyHost.load() refuses ${name}`, async () => {
    await withPolicy(files, {}, ({ host, issues }) => {
      assertEquals(host, undefined);
      assertEquals(issues.map(line), expected);
    });
  });
}

Deno.test("PolicyHost.load() does not mind a type that is imported as if it were a value", async () => {
  const text =
    'import { definePolicy, Metadata } from "weir";\nexport default definePolicy({ onConnection: (m: Metadata) => m.host });';
  await withPolicy(text, {}, ({ issues, host }) => {
    assertEquals(issues, []);
    assertEquals(host?.hasOnConnection, true);
  });
});
