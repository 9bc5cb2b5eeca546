/** Measures the rule engine: decisions a second with few and many rules, and what loading many costs. */
import { parseIp } from "../../core/base/ip_address.ts";
import { Prng } from "../../core/base/prng.ts";
import { emptyFacts, type FlowFacts } from "../../core/classify/facts.ts";
import { compileDecider, type DecideConfig, type ProviderSet } from "../../core/decide/compile.ts";
import type { Decider } from "../../core/decide/decider.ts";
import { NO_GEO } from "../../core/decide/geo.ts";
import { buildHosts } from "../../core/decide/hosts.ts";
import { parseRule } from "../../core/decide/parse_rule.ts";
import { parseProvider, type ProviderBehavior } from "../../core/decide/provider.ts";
import type { Rule } from "../../core/decide/rule.ts";
import { buildTargets } from "../../core/decide/targets.ts";
import type { Verdict } from "../../core/decide/verdict.ts";
import type { BenchRow } from "./row.ts";

const GROUP = "decide";
const FEW_RULES = 1_000;
const FLOW_COUNT = 4_096;
const ROUND_MS = 400;
const ROUNDS = 5;

interface Source {
  readonly name: string;
  readonly behavior: ProviderBehavior;
  readonly text: string;
}

const TARGET_OF: Readonly<Record<string, string>> = { proxy: "office", gfw: "office", "tld-not-cn": "office" };

/** The rules of a folder as Loyalsoldier's clash-rules are laid out, or made-up ones of the same number and shape. */
async function readSources(rulesDir: string | undefined): Promise<Source[]> {
  const names = ["applications", "private", "proxy", "gfw", "tld-not-cn", "direct", "lancidr", "cncidr"];
  const behaviorOf = (name: string): ProviderBehavior =>
    name === "applications" ? "classical" : name.endsWith("cidr") ? "ipcidr" : "domain";
  if (rulesDir === undefined) return madeUpSources();
  const read = async (name: string) => ({
    name,
    behavior: behaviorOf(name),
    text: await Deno.readTextFile(`${rulesDir}/${name}.txt`),
  });
  return await Promise.all(names.map(read));
}

function madeUpSources(): Source[] {
  const prng = new Prng(7);
  const label = () =>
    Array.from({ length: 3 + prng.below(9) }, () => "abcdefghijklmnopqrstuvwxyz0123456789"[prng.below(36)]).join("");
  const tops = ["com", "cn", "net", "org", "com.cn"];
  const domains = (count: number) =>
    Array.from({ length: count }, () => `  - '+.${label()}.${tops[prng.below(5)]}'\n`).join("");
  const prefixes = Array.from({ length: 8_600 }, (_, i) => `  - '${1 + (i >> 8)}.${i & 255}.${prng.below(256)}.0/24'\n`)
    .join("");
  return [
    { name: "proxy", behavior: "domain", text: `payload:\n${domains(31_000)}` },
    { name: "direct", behavior: "domain", text: `payload:\n${domains(117_000)}` },
    { name: "cncidr", behavior: "ipcidr", text: `payload:\n${prefixes}` },
  ];
}

/** The first entries of each source in proportion, `count` in all. */
function shorten(sources: readonly Source[], count: number): Source[] {
  const lines = sources.map((source) => source.text.trimEnd().split("\n"));
  const total = lines.reduce((sum, each) => sum + each.length, 0);
  return sources.map((source, i) => {
    const keep = Math.max(2, Math.round(lines[i]!.length * count / total));
    const step = Math.max(1, Math.floor((lines[i]!.length - 1) / keep));
    const kept = lines[i]!.filter((_, k) => k === 0 || (k % step === 0 && k / step <= keep));
    return { ...source, text: `${kept.join("\n")}\n` };
  });
}

function configOf(providers: ReadonlyMap<string, ProviderSet>, rules: readonly Rule[]): DecideConfig {
  const { targets } = buildTargets(
    [{ name: "ss-1", type: "ss", udp: true }],
    [{ name: "office", type: "select", members: ["ss-1"] }],
  );
  return {
    mode: "rule",
    findProcessMode: "strict",
    rules,
    subRules: new Map(),
    providers,
    hosts: buildHosts([]).hosts,
    targets,
    geo: NO_GEO,
  };
}

function ruleOf(line: string): Rule {
  const result = parseRule(line);
  if ("error" in result) throw new Error(`Cannot read rule ${line}: ${result.error.message}`);
  return result.rule;
}

/** The usual way: one RULE-SET a provider, and GEOIP and MATCH at the end. */
function loadAsProviders(sources: readonly Source[]): Decider {
  const providers = new Map<string, ProviderSet>();
  for (const { name, behavior, text } of sources) providers.set(name, parseProvider(behavior, "yaml", text).set);
  const lines = sources.map(({ name }) => `RULE-SET,${name},${TARGET_OF[name] ?? "DIRECT"}`);
  return compileDecider(configOf(providers, [...lines, "GEOIP,LAN,DIRECT", "MATCH,office"].map(ruleOf)));
}

/** The same rules written out one by one in the main list. */
function inlineLines(sources: readonly Source[]): string[] {
  const lines: string[] = [];
  for (const { name, behavior, text } of sources) {
    const target = TARGET_OF[name] ?? "DIRECT";
    for (const line of text.split("\n")) {
      const entry = /^ +- '?([^']*)'?$/.exec(line)?.[1];
      if (entry === undefined) continue;
      if (behavior === "classical") lines.push(`${entry},${target}`);
      else if (behavior === "ipcidr") lines.push(`IP-CIDR,${entry},${target}`);
      else {lines.push(
          entry.startsWith("+.") ? `DOMAIN-SUFFIX,${entry.slice(2)},${target}` : `DOMAIN,${entry},${target}`,
        );}
    }
  }
  lines.push("MATCH,office");
  return lines;
}

/** Flows to known names, to names below them, to unknown names, and to bare addresses. */
function makeFlows(sources: readonly Source[]): FlowFacts[] {
  const prng = new Prng(11);
  const names = sources.filter(({ behavior }) => behavior === "domain").flatMap(({ text }) =>
    text.split("\n").map((line) => /'(?:\+\.)?([^'*]+)'/.exec(line)?.[1]).filter((name) => name !== undefined)
  );
  return Array.from({ length: FLOW_COUNT }, (_, i) => {
    const facts = emptyFacts(prng.chance(1, 4) ? "udp" : "tcp");
    facts.processLookup = 1;
    facts.processPath = "/usr/lib/firefox/firefox";
    facts.process = "firefox";
    facts.sourceIp = parseIp("192.168.1.7");
    facts.destinationIp = parseIp(`${1 + prng.below(223)}.${prng.below(256)}.${prng.below(256)}.${prng.below(256)}`);
    facts.sourcePort = 1024 + prng.below(60_000);
    facts.destinationPort = 443;
    const name = names[prng.below(names.length)]!;
    if (i % 4 === 0) facts.host = name;
    else if (i % 4 === 1) facts.host = `www.${name}`;
    else if (i % 4 === 2) facts.host = `r${prng.below(9999)}---sn.unheard-${prng.below(99_999)}.example.net`;
    return facts;
  });
}

/** Decisions a second, the best of several rounds. */
function measure(decider: Decider, flows: readonly FlowFacts[]): number {
  const verdict: Verdict = {
    action: "direct",
    rule: "",
    rulePayload: "",
    target: "",
    chains: [],
    ruleIndex: -1,
    effects: undefined,
  };
  let best = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const begin = performance.now();
    let decided = 0;
    let elapsed = 0;
    while (elapsed < ROUND_MS) {
      for (let i = 0; i < flows.length; i++) {
        if (decider.decide(flows[i]!, verdict) !== "none") throw new Error("undecided");
      }
      decided += flows.length;
      elapsed = performance.now() - begin;
    }
    best = Math.max(best, decided / elapsed * 1_000);
  }
  return best;
}

interface Loaded {
  readonly decider: Decider;
  readonly ms: number;
  readonly bytes: number;
}

/** Loads once, and tells the time and the memory that stays: heap and array buffers, after a collection where there is one. */
function load(make: () => Decider): Loaded {
  const collect = (globalThis as { gc?: () => void }).gc ?? (() => {});
  collect();
  const before = Deno.memoryUsage();
  const begin = performance.now();
  const decider = make();
  const ms = performance.now() - begin;
  collect();
  const after = Deno.memoryUsage();
  return { decider, ms, bytes: Math.max(after.heapUsed + after.external - before.heapUsed - before.external, 0) };
}

/** Measures. `rulesDir` is a folder with the lists of Loyalsoldier's clash-rules; without it made-up rules of that size serve. */
export async function benchDecide(rulesDir: string | undefined): Promise<BenchRow[]> {
  const sources = await readSources(rulesDir);
  const few = shorten(sources, FEW_RULES);
  const rssBefore = Deno.memoryUsage().rss;
  const many = load(() => loadAsProviders(sources));
  const rss = Deno.memoryUsage().rss - rssBefore;
  const lines = inlineLines(sources);
  const inline = load(() => compileDecider(configOf(new Map(), lines.map(ruleOf))));
  const fewDecider = loadAsProviders(few);
  const fewInline = compileDecider(configOf(new Map(), inlineLines(few).map(ruleOf)));
  const flows = makeFlows(sources);
  const rates = {
    few: measure(fewDecider, flows),
    many: measure(many.decider, flows),
    fewInline: measure(fewInline, flows),
    inline: measure(inline.decider, flows),
  };
  const count = `${lines.length - 1} rules`;
  const row = (name: string, value: number, unit: string, note?: string): BenchRow =>
    note === undefined ? { group: GROUP, name, value, unit } : { group: GROUP, name, value, unit, note };
  return [
    row(`decisions, ${FEW_RULES} rules in providers`, rates.few, "1/s"),
    row(`decisions, ${count} in providers`, rates.many, "1/s", "aim 1,000,000"),
    row("slower with many than with few, providers", rates.few / rates.many, "×", "aim at most 1.5"),
    row(`decisions, ${FEW_RULES} rules inline`, rates.fewInline, "1/s"),
    row(`decisions, ${count} inline`, rates.inline, "1/s", "aim 1,000,000"),
    row("slower with many than with few, inline", rates.fewInline / rates.inline, "×", "aim at most 1.5"),
    row(`load, ${count} in providers`, many.ms, "ms", "aim under 1,000"),
    row(`load, ${count} inline`, inline.ms, "ms", "aim under 1,000"),
    row(`memory, ${count} in providers`, many.bytes / 1e6, "MB", "aim under 150; heap and buffers that stay"),
    row(`memory, ${count} inline`, inline.bytes / 1e6, "MB", "aim under 150; heap and buffers that stay"),
    row("growth of the process while loading providers", rss / 1e6, "MB"),
  ];
}

if (import.meta.main) console.table(await benchDecide(Deno.args[0]));
