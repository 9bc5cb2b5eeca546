/** Any text gives a configuration or issues: nothing throws, nothing hangs, every issue has a place in a file. */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Prng } from "../../core/base/prng.ts";
import { loadConfig } from "../../core/config/load.ts";
import { MemoryFiles } from "./memory_files.ts";
import { HANDMADE, HANDMADE_FILES, SUBSCRIPTION } from "./realistic.ts";

async function loadAny(content: string | Uint8Array, others: Readonly<Record<string, string | Uint8Array>> = {}) {
  const file = "/etc/weir/config.yaml";
  const { config, issues } = await loadConfig(file, new MemoryFiles({ ...others, [file]: content }));
  const hasErrors = issues.some((issue) => issue.severity === "error");
  assertEquals(config === undefined, hasErrors);
  for (const { line, column, message } of issues) {
    assert(line >= 1 && column >= 1 && Number.isSafeInteger(line) && Number.isSafeInteger(column));
    assert(message.length > 0 && message.length < 2000, message);
    assert(!/[\n\r]|undefined|NaN|\[object/.test(message), message);
  }
  return config;
}

const PIECES = [
  "rules:",
  "proxies:",
  "proxy-groups:",
  "dns:",
  "tun:",
  "sniffer:",
  "hosts:",
  "rule-providers:",
  "sub-rules:",
  "proxy-providers:",
  "weir:",
  "- ",
  "  ",
  "\n",
  "\n  ",
  "\n    - ",
  ": ",
  ", ",
  "[",
  "]",
  "{",
  "}",
  "'",
  '"',
  "#",
  "&a ",
  "*a",
  "<<: ",
  "!!str ",
  "|\n",
  ">-\n",
  "? ",
  "---\n",
  "%YAML",
  "~",
  "null",
  "true",
  "name: a",
  "type: select",
  "DOMAIN,a.example,DIRECT",
  "MATCH,DIRECT",
  "AND,((",
  "))",
  "SUB-RULE,(NETWORK,tcp),a",
  "\t",
  "\u0000",
  "😀",
  "\ud800",
  "1e999",
  "0x10",
  "-1",
  "__proto__: 1",
  "constructor",
  "RULE-SET,private,DIRECT",
  "include-all: true",
  "filter: '(a+)+$'",
] as const;

/** Changes a text in a few places, as editors, disks and cats on keyboards do. */
function mutate(text: string, prng: Prng): string {
  let result = text;
  for (let changes = prng.between(1, 4); changes > 0; changes--) {
    const at = prng.below(result.length + 1);
    const length = prng.below(12);
    const piece = PIECES[prng.below(PIECES.length)]!;
    switch (prng.below(6)) {
      case 0:
        result = result.slice(0, at) + result.slice(at + length);
        break;
      case 1:
        result = result.slice(0, at) + piece + result.slice(at);
        break;
      case 2:
        result = result.slice(0, at) + piece + result.slice(at + length);
        break;
      case 3:
        result = result.slice(0, at) + result.slice(at, at + length * 8) + result.slice(at);
        break;
      case 4:
        result = result.slice(0, at) + String.fromCharCode(prng.below(prng.chance(1, 4) ? 0x10000 : 128)) +
          result.slice(at + 1);
        break;
      default: {
        const lines = result.split("\n");
        const [moved = ""] = lines.splice(prng.below(lines.length), 1);
        lines.splice(prng.below(lines.length + 1), 0, moved);
        result = lines.join("\n");
      }
    }
  }
  return result;
}

/** Some of a configuration's sections: reading YAML takes a microsecond for each character. */
function someSections(text: string, prng: Prng): string {
  return text.split(/\n(?=[^\s-])/).filter(() => prng.chance(1, 4)).join("\n");
}

Deno.test("loadConfig() survives 1,000 mutations of realistic configurations", async () => {
  const prng = new Prng(20_260);
  let good = 0;
  for (let i = 0; i < 1_000; i++) {
    const base = i % 2 === 0 ? HANDMADE : SUBSCRIPTION;
    const text = mutate(i % 20 < 2 ? base : someSections(base, prng), prng);
    if (await loadAny(text, HANDMADE_FILES) !== undefined) good++;
  }
  assert(
    good > 50 && good < 950,
    `mutations should break some configurations and leave others alone: ${good} are good`,
  );
});

Deno.test("loadConfig() survives mutations of the files that a configuration names", async () => {
  const prng = new Prng(20_261);
  const names = Object.keys(HANDMADE_FILES).filter((name) => !name.endsWith("config.yaml"));
  for (let i = 0; i < 150; i++) {
    const name = names[i % names.length]!;
    await loadAny(HANDMADE, { ...HANDMADE_FILES, [name]: mutate(HANDMADE_FILES[name]!, prng) });
  }
});

Deno.test("loadConfig() survives heaps of YAML pieces", async () => {
  const heaps = fc.array(fc.constantFrom(...PIECES), { maxLength: 60 }).map((pieces) => pieces.join(""));
  await fc.assert(fc.asyncProperty(heaps, async (text) => void await loadAny(text)), { seed: 4, numRuns: 500 });
});

Deno.test("loadConfig() survives any bytes", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => void await loadAny(bytes)),
    { seed: 5, numRuns: 200 },
  );
});

Deno.test("loadConfig() ends soon when a file is made to be slow", async () => {
  const members = Array.from({ length: 20_000 }, (_, i) => `m${i}x`).join(", ");
  const chain = Array.from({ length: 1_500 }, (_, i) => `  - {name: g${i}, type: select, proxies: [g${i + 1}]}\n`).join(
    "",
  );
  const subRules = Array.from({ length: 3_000 }, (_, i) => `  s${i}: ["SUB-RULE,(NETWORK,tcp),s${i + 1}"]\n`).join("");
  const slow = [
    `proxy-groups: [{name: a, type: select, proxies: [${members}]}]`,
    `proxy-groups:\n${chain}`,
    `sub-rules:\n${subRules}`,
    `proxy-groups: [{name: a, type: select, include-all: true, filter: '(a+)+$'}]\nproxies: [{name: ${
      "a".repeat(200)
    }b, type: direct}]`,
    `rules: ["${"AND,((".repeat(10_000)}"]`,
    `rules: ["DOMAIN-REGEX,${"(a*)*".repeat(100)}b,DIRECT"]`,
    "{".repeat(50_000),
    `a: ${"&a ".repeat(20_000)}`,
    `dns: {nameserver: ["${"a:".repeat(30_000)}"]}`,
    `dns: {nameserver: ["https://${"/".repeat(60_000)}@"]}`,
    `tun: {mtu: "${"//".repeat(60_000)}"}`,
  ];
  for (const text of slow) {
    const began = performance.now();
    await loadAny(text);
    const took = performance.now() - began;
    assert(took < 15_000, `${text.slice(0, 60)} took ${took} ms`);
  }
});
