/** Random rules, providers, configurations and flows over a small world, so that they meet each other often. */
import { type IpAddress, parseIp, parsePrefix, prefixContains } from "../../core/base/ip_address.ts";
import type { Prng } from "../../core/base/prng.ts";
import { emptyFacts, type FlowFacts, Lookup } from "../../core/classify/facts.ts";
import type { DecideConfig, ProviderSet } from "../../core/decide/decide_config.ts";
import { DomainTrie } from "../../core/decide/domain_trie.ts";
import type { GeoSource } from "../../core/decide/geo.ts";
import { buildHosts } from "../../core/decide/hosts.ts";
import { parseClassicalLine, parseRule } from "../../core/decide/parse_rule.ts";
import { parseProviderEntries } from "../../core/decide/provider.ts";
import type { Rule } from "../../core/decide/rule.ts";
import { buildTargets } from "../../core/decide/targets.ts";

function pick<T>(prng: Prng, from: readonly T[]): T {
  return from[prng.below(from.length)]!;
}

const LABELS = ["a", "b", "c", "www", "x1"];
const TOPS = ["com", "org", "cn"];
const ADDRESSES = ["10.0.0.1", "10.0.1.1", "10.1.0.7", "192.168.1.7", "8.8.8.8", "1.2.3.4", "fd00::1", "2001:db8::7"];
const PREFIXES = [
  "10.0.0.0/8",
  "10.0.0.0/16",
  "10.0.1.0/24",
  "8.8.8.8/32",
  "0.0.0.0/0",
  "fd00::/8",
  "2001:db8::/32",
  "1.2.3.4/31",
];
const PROCESSES = ["/usr/bin/curl", "/opt/Game.exe", "C:\\x\\chrome.exe"];
const TARGETS = [
  "DIRECT",
  "REJECT",
  "REJECT-DROP",
  "PASS",
  "web",
  "ss-udp",
  "ss-tcp",
  "choice",
  "passing",
  "empty",
  "missing",
  "relayed",
];

/** A name of one to four labels. */
export function randomName(prng: Prng): string {
  const labels = Array.from({ length: prng.below(4) }, () => pick(prng, LABELS));
  return [...labels, pick(prng, TOPS)].join(".");
}

/** A name in the syntax of domain providers and hosts. */
export function randomPatternName(prng: Prng): string {
  const labels = randomName(prng).split(".").map((label) => prng.chance(1, 6) ? "*" : label);
  return pick(prng, ["", "", "+.", ".", "*."]) + labels.join(".");
}

function simpleCondition(prng: Prng, providers: readonly string[]): string {
  const noResolve = pick(prng, ["", "", ",no-resolve", ",src"]);
  const kinds: (() => string)[] = [
    () => `DOMAIN,${randomName(prng)}`,
    () => `DOMAIN-SUFFIX,${randomName(prng)}`,
    () => `DOMAIN-SUFFIX,${pick(prng, TOPS)}`,
    () => `DOMAIN-KEYWORD,${pick(prng, ["a", "ww", "x1.", ".c"])}`,
    () => `DOMAIN-WILDCARD,${pick(prng, ["*.com", "a?c*", "*", "www.*"])}`,
    () => `DOMAIN-REGEX,${pick(prng, ["^a", "(b|c)\\.org$", "^$", "w{3}"])}`,
    () => `GEOSITE,${pick(prng, ["abc", "!abc", "none"])}`,
    () => `GEOIP,${pick(prng, ["lan", "cn", "!cn", "us"])}${noResolve}`,
    () => `SRC-GEOIP,${pick(prng, ["lan", "cn"])}`,
    () => `IP-ASN,${pick(prng, ["13335", "15169"])}${noResolve}`,
    () => `IP-CIDR,${pick(prng, PREFIXES)}${noResolve}`,
    () => `IP-CIDR,${pick(prng, PREFIXES)}${noResolve}`,
    () => `SRC-IP-CIDR,${pick(prng, PREFIXES)}`,
    () => `IP-SUFFIX,${pick(prng, ["0.0.0.7/8", "0.0.1.1/16", "::7/4"])}${noResolve}`,
    () => `${pick(prng, ["SRC-PORT", "DST-PORT", "IN-PORT"])},${pick(prng, ["80/443", "1000-2000", "53"])}`,
    () => `DSCP,${pick(prng, ["0", "10-46"])}`,
    () => `PROCESS-NAME,${pick(prng, ["curl", "game.exe", "CHROME.EXE"])}`,
    () => `PROCESS-PATH,${pick(prng, PROCESSES)}`,
    () => `PROCESS-NAME-WILDCARD,${pick(prng, ["c*", "*.exe"])}`,
    () => `PROCESS-PATH-REGEX,${pick(prng, ["bin/", "exe$"])}`,
    () => `UID,${pick(prng, ["0", "1000-2000"])}`,
    () => `NETWORK,${pick(prng, ["tcp", "udp"])}`,
    () => `IN-TYPE,${pick(prng, ["TUN", "SOCKS", "INNER"])}`,
    () => `IN-USER,${pick(prng, ["alice", "bob"])}`,
    () => `RULE-SET,${pick(prng, ["names", "others", "more"])}`,
    () => `RULE-SET,${pick(prng, ["names", "others", "more"])}`,
    () => `RULE-SET,${pick(prng, providers)}${noResolve}`,
    () => `RULE-SET,${pick(prng, providers)}${noResolve}`,
  ];
  return pick(prng, kinds)();
}

function condition(prng: Prng, providers: readonly string[], depth: number): string {
  if (depth === 0 || prng.chance(3, 4)) return simpleCondition(prng, providers);
  if (prng.chance(1, 4)) return `NOT,((${condition(prng, providers, depth - 1)}))`;
  const parts = Array.from({ length: 1 + prng.below(3) }, () => `(${condition(prng, providers, depth - 1)})`);
  return `${pick(prng, ["AND", "OR"])},(${parts.join(",")})`;
}

/** Puts the target before the parameters, as rule lines have it. */
function ruleLine(text: string, target: string): string {
  const logic = /^(AND|OR|NOT|.*-REGEX),/.test(text);
  const params = logic ? "" : /(,no-resolve|,src)$/.exec(text)?.[0] ?? "";
  return `${text.slice(0, text.length - params.length)},${target}${params}`;
}

function parse(line: string): Rule {
  const result = parseRule(line);
  if ("error" in result) throw new Error(`${line}: ${result.error.message}`);
  return result.rule;
}

function randomRules(prng: Prng, providers: readonly string[], subLists: readonly string[]): Rule[] {
  return Array.from({ length: 1 + prng.below(14) }, () => {
    if (subLists.length > 0 && prng.chance(1, 8)) {
      return parse(`SUB-RULE,(${condition(prng, providers, 1)}),${pick(prng, subLists)}`);
    }
    if (prng.chance(1, 40)) return parse(`MATCH,${pick(prng, TARGETS)}`);
    return parse(ruleLine(condition(prng, providers, 2), pick(prng, TARGETS)));
  });
}

/** The same provider twice: built for speed, and built to be obviously right. */
function twinProviders(prng: Prng): { fast: Map<string, ProviderSet>; slow: Map<string, ProviderSet> } {
  const fast = new Map<string, ProviderSet>();
  const slow = new Map<string, ProviderSet>();
  for (const provider of ["names", "others", "more"]) {
    const names = Array.from({ length: 1 + prng.below(12) }, () => randomPatternName(prng));
    fast.set(provider, parseProviderEntries("domain", names).set);
    const trie = new DomainTrie<true>();
    names.forEach((name) => trie.add(name, true));
    const has = (host: string) => trie.find(host) !== undefined;
    slow.set(provider, { behavior: "domain", count: names.length, hosts: { count: names.length, has } });
  }
  const prefixes = Array.from({ length: 1 + prng.below(4) }, () => pick(prng, PREFIXES));
  fast.set("prefixes", parseProviderEntries("ipcidr", prefixes).set);
  const parsed = prefixes.map((each) => parsePrefix(each)!);
  const has = (ip: IpAddress) => parsed.some((prefix) => prefixContains(prefix, ip));
  slow.set("prefixes", { behavior: "ipcidr", count: parsed.length, addresses: { count: parsed.length, has } });
  const rules = Array.from({ length: 1 + prng.below(6) }, () => {
    const result = parseClassicalLine(condition(prng, ["names", "prefixes"], 1).replace(/^RULE-SET,.*/, "NETWORK,tcp"));
    if ("error" in result) throw new Error(result.error.message);
    return result.rule;
  });
  const classical: ProviderSet = { behavior: "classical", count: rules.length, rules };
  fast.set("rules", classical);
  slow.set("rules", classical);
  return { fast, slow };
}

const GEO: GeoSource = {
  available: { country: true, asn: true, site: true },
  country: (ip) => ip.w3 % 3 === 0 ? ["cn"] : ip.w3 % 3 === 1 ? ["us", "cloudflare"] : [],
  asn: (ip) => ip.w3 % 2 === 0 ? { number: 13335, organisation: "x" } : undefined,
  site: (code) => code === "abc" ? { count: 1, has: (host) => host.startsWith("a.") || host.includes("b") } : undefined,
};

/** A configuration twice: `slow` differs in its providers only. */
export function randomConfig(prng: Prng): { fast: DecideConfig; slow: DecideConfig } {
  const { fast, slow } = twinProviders(prng);
  const providers = [...fast.keys(), "absent"];
  const { targets } = buildTargets(
    [{ name: "web", type: "http" }, { name: "ss-udp", type: "ss", udp: true }, { name: "ss-tcp", type: "ss" }],
    [
      { name: "choice", type: "select", members: ["ss-tcp", "ss-udp"], selected: "ss-udp" },
      { name: "passing", type: "fallback", members: ["PASS", "DIRECT"] },
      { name: "empty", type: "url-test", members: [] },
      { name: "relayed", type: "relay", members: ["ss-udp", "web"] },
    ],
  );
  const inner = randomRules(prng, providers, []);
  const subRules = new Map([["inner", inner], ["outer", randomRules(prng, providers, ["inner", "absent"])]]);
  const base = {
    mode: prng.chance(1, 20) ? pick(prng, ["direct", "global"] as const) : "rule",
    findProcessMode: pick(prng, ["off", "strict", "strict", "always"] as const),
    rules: randomRules(prng, providers, ["inner", "outer", "absent"]),
    subRules,
    hosts: buildHosts([]).hosts,
    targets,
    geo: GEO,
  } as const;
  return { fast: { ...base, providers: fast }, slow: { ...base, providers: slow } };
}

/** A flow with some facts known, some unknown for good, and some that lookups may bring. */
export function randomFacts(prng: Prng): FlowFacts {
  const facts = emptyFacts(pick(prng, ["tcp", "udp"]));
  facts.type = pick(prng, ["Tun", "Tun", "Socks5", "Inner"]);
  facts.sourceIp = prng.chance(5, 6) ? parseIp(pick(prng, ADDRESSES)) : undefined;
  facts.destinationIp = prng.chance(1, 2) ? parseIp(pick(prng, ADDRESSES)) : undefined;
  facts.sourcePort = pick(prng, [53, 1500, 50000]);
  facts.destinationPort = pick(prng, [53, 80, 443, 1500]);
  facts.inboundPort = pick(prng, [0, 443]);
  facts.inboundUser = pick(prng, ["", "alice"]);
  facts.dscp = pick(prng, [0, 46]);
  facts.host = prng.chance(1, 2) ? randomName(prng) : "";
  if (prng.chance(1, 20)) facts.host = pick(prng, ["x..a.com", "a.com ", ".a.com", "a b.com"]);
  facts.hostAmbiguous = facts.host !== "" && prng.chance(1, 4);
  facts.nameMayCome = prng.chance(1, 2);
  if (prng.chance(1, 6)) facts.sniffHost = randomName(prng);
  if (prng.chance(1, 4)) answerProcess(prng, facts);
  if (prng.chance(1, 30)) facts.specialRules = pick(prng, ["inner", "outer", "absent"]);
  if (prng.chance(1, 60)) facts.specialProxy = pick(prng, ["choice", "web", "absent"]);
  if (prng.chance(1, 20)) facts.destinationGeoIp = ["CN"];
  return facts;
}

/** What a name, if any, does to the facts. */
export function answerName(prng: Prng, facts: FlowFacts): void {
  if (prng.chance(2, 3)) facts.sniffHost = randomName(prng);
  facts.nameMayCome = false;
}

/** What a resolver's answer does to the facts. */
export function answerResolve(prng: Prng, facts: FlowFacts): void {
  const found = prng.chance(2, 3);
  facts.resolveLookup = found ? Lookup.Done : Lookup.Failed;
  if (found) facts.destinationIp = parseIp(pick(prng, ADDRESSES));
}

/** What a process lookup's answer does to the facts. */
export function answerProcess(prng: Prng, facts: FlowFacts): void {
  const found = prng.chance(2, 3);
  facts.processLookup = found ? Lookup.Done : Lookup.Failed;
  if (!found) return;
  facts.processPath = pick(prng, PROCESSES);
  facts.process = facts.processPath.split(/[/\\]/).at(-1)!;
  if (prng.chance(1, 2)) facts.uid = pick(prng, [0, 1000]);
}
