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
import type { Bench, BenchRow } from "./row.ts";

const RULES_FOLDER = new URL("../../../shared/corpora/rules", import.meta.url);
const RATE_AIM = 1_000_000;
const RATIO_AIM = 1.5;
const LOAD_MS_AIM = 1_000;
const MEMORY_MB_AIM = 150;
const FEW_RULES = 1_000;
const FLOW_COUNT = 4_096;
/** Short rounds, of which the best counts: other work on the machine then spoils some of them, not all. */
const ROUND_MS = 25;
const ROUNDS = 60;

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

interface Runner {
  readonly decider: Decider;
  readonly flows: readonly FlowFacts[];
}

/** Decides all flows again and again for one round. Units: decisions a second. */
function runRound({ decider, flows }: Runner, verdict: Verdict): number {
  const begin = performance.now();
  let decided = 0;
  let elapsed = 0;
  while (elapsed < ROUND_MS) {
    for (let i = 0; i < flows.length; i++) {
      if (decider.decide(flows[i]!, verdict) !== "none") throw new Error("Cannot measure: a flow is undecided");
    }
    decided += flows.length;
    elapsed = performance.now() - begin;
  }
  return decided / elapsed * 1_000;
}

/** Decisions a second of each, the best of many rounds taken in turn, so that what else the machine does hits all alike. */
function measure(runners: readonly Runner[]): number[] {
  const verdict: Verdict = {
    action: "direct",
    rule: "",
    rulePayload: "",
    target: "",
    chains: [],
    ruleIndex: -1,
    effects: undefined,
  };
  const best = runners.map(() => 0);
  for (let round = 0; round < ROUNDS; round++) {
    runners.forEach((runner, i) => best[i] = Math.max(best[i]!, runRound(runner, verdict)));
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
  const fewSources = shorten(sources, FEW_RULES);
  const rssBefore = Deno.memoryUsage().rss;
  const loaded = load(() => loadAsProviders(sources));
  const rss = Deno.memoryUsage().rss - rssBefore;
  const lines = inlineLines(sources);
  const inline = load(() => compileDecider(configOf(new Map(), lines.map(ruleOf))));
  const fewDecider = loadAsProviders(fewSources);
  const fewInlineDecider = compileDecider(configOf(new Map(), inlineLines(fewSources).map(ruleOf)));
  const flows = makeFlows(sources);
  const fewFlows = makeFlows(fewSources);
  const [few, many, fewInline, manyInline] = measure([
    { decider: fewDecider, flows: fewFlows },
    { decider: loaded.decider, flows },
    { decider: fewInlineDecider, flows: fewFlows },
    { decider: inline.decider, flows },
  ]) as [number, number, number, number];
  const count = `${(lines.length - 1).toLocaleString("en-US")} rules`;
  const fewCount = `${FEW_RULES.toLocaleString("en-US")} rules`;
  const atLeast = (what: string, value: number, aim: number): BenchRow => (
    { what, value, unit: "decisions/s", aim: `≥ ${aim.toLocaleString("en-US")}`, met: value >= aim }
  );
  const atMost = (what: string, value: number, unit: string, aim: number): BenchRow => (
    { what, value, unit, aim: `≤ ${aim.toLocaleString("en-US")}`, met: value <= aim }
  );
  return [
    { what: `${fewCount} in rule-providers`, value: few, unit: "decisions/s" },
    atLeast(`${count} in rule-providers`, many, RATE_AIM),
    atMost("slower with many than with few, rule-providers", few / many, "times", RATIO_AIM),
    { what: `${fewCount} written out`, value: fewInline, unit: "decisions/s" },
    atLeast(`${count} written out`, manyInline, RATE_AIM),
    atMost("slower with many than with few, written out", fewInline / manyInline, "times", RATIO_AIM),
    atMost(`load ${count} in rule-providers`, loaded.ms, "ms", LOAD_MS_AIM),
    atMost(`load ${count} written out`, inline.ms, "ms", LOAD_MS_AIM),
    atMost(`heap and buffers of ${count} in rule-providers`, loaded.bytes / 1e6, "MB", MEMORY_MB_AIM),
    atMost(`heap and buffers of ${count} written out`, inline.bytes / 1e6, "MB", MEMORY_MB_AIM),
    atMost("growth of the process while loading rule-providers", rss / 1e6, "MB", MEMORY_MB_AIM),
  ];
}

/** Measures with the shared rules where they are, else with made-up ones. */
export const bench: Bench = async () => {
  const found = await Deno.stat(RULES_FOLDER).then((stat) => stat.isDirectory, () => false);
  return await benchDecide(found ? RULES_FOLDER.pathname : undefined);
};

if (import.meta.main) console.table(await bench());
