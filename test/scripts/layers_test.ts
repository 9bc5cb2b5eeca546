import { assertEquals } from "@std/assert";
import { findCycles, findUphill, layerOf, readGraph } from "../../scripts/layers.ts";

Deno.test("layerOf() names the folder below core, the folder, or the file when it is at the top", () => {
  assertEquals(layerOf("core/wire/tcp.ts"), "core/wire");
  assertEquals(layerOf("core/engine.ts"), "core/engine");
  assertEquals(layerOf("core/decide/match/trie.ts"), "core/decide");
  assertEquals(layerOf("sim/pcap.ts"), "sim");
  assertEquals(layerOf("main.ts"), "main");
});

const UPHILL: readonly { from: string; to: string; expected: string[] }[] = [
  { from: "core/parse/a.ts", to: "core/wire/b.ts", expected: [] },
  {
    from: "core/wire/a.ts",
    to: "core/parse/b.ts",
    expected: ["core/wire/a.ts:3 imports core/parse/b.ts, but core/wire comes before core/parse"],
  },
  { from: "core/dns/a.ts", to: "core/config/b.ts", expected: [] },
  {
    from: "core/config/a.ts",
    to: "core/host/b.ts",
    expected: ["core/config/a.ts:3 imports core/host/b.ts, but core/config comes before core/host"],
  },
  {
    from: "sim/a.ts",
    to: "ffi/b.ts",
    expected: ["sim/a.ts:3 imports ffi/b.ts, but sim and ffi do not know each other"],
  },
  {
    from: "core/cli/a.ts",
    to: "sim/b.ts",
    expected: ["core/cli/a.ts:3 imports sim/b.ts, but core/cli comes before sim"],
  },
  { from: "main.ts", to: "sim/b.ts", expected: [] },
  { from: "sim/a.ts", to: "test/b.ts", expected: ["sim/a.ts:3 imports test/b.ts, but sim comes before test"] },
  {
    from: "core/novel/a.ts",
    to: "core/base/b.ts",
    expected: ["core/novel/a.ts: folder core/novel has no place in ORDER of scripts/layers.ts"],
  },
];

for (const { from, to, expected } of UPHILL) {
  Deno.test(`findUphill() finds ${expected.length} when ${from} imports ${to}`, () => {
    assertEquals(findUphill([{ from, to, line: 3 }]), expected);
  });
}

Deno.test("findCycles() is silent when paths meet again without a way back", () => {
  const edges = [["a", "b"], ["a", "c"], ["b", "d"], ["c", "d"]].map(([from, to]) => ({ from: from!, to: to! }));
  assertEquals(findCycles(edges), []);
});

Deno.test("findCycles() names the circle when there is a way back", () => {
  const edges = [["a", "b"], ["b", "c"], ["c", "b"]].map(([from, to]) => ({ from: from!, to: to! }));
  assertEquals(findCycles(edges), ["a circle of imports: b → c → b"]);
});

Deno.test("readGraph() keeps imports inside the root and hands on errors when a module is missing", () => {
  const span = { start: { line: 4 } };
  const graph = {
    modules: [
      {
        specifier: "file:///p/a.ts",
        dependencies: [
          { code: { specifier: "file:///p/b.ts", span } },
          { type: { specifier: "file:///p/c.d.ts", span } },
          { code: { specifier: "npm:yaml", span } },
        ],
      },
      { specifier: "file:///p/x.ts", error: "Module not found" },
      { specifier: "data:text/plain,", dependencies: [{ code: { specifier: "file:///p/a.ts", span } }] },
    ],
  };
  assertEquals(readGraph(graph, "file:///p/"), {
    imports: [{ from: "a.ts", to: "b.ts", line: 5 }, { from: "a.ts", to: "c.d.ts", line: 5 }],
    errors: ["Module not found"],
  });
});
