/** The rule engine against third-party data: 157,000 rules of Loyalsoldier's clash-rules, and MaxMind's test databases. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type IpAddress,
  ipFromWords,
  ipv4FromWord,
  parseIp,
  parsePrefix,
  prefixContains,
} from "../../core/base/ip_address.ts";
import { Prng } from "../../core/base/prng.ts";
import { emptyFacts } from "../../core/classify/facts.ts";
import { compileDecider, type DecideConfig, type ProviderSet } from "../../core/decide/compile.ts";
import { DomainTrie } from "../../core/decide/domain_trie.ts";
import { NO_GEO } from "../../core/decide/geo.ts";
import { buildHosts } from "../../core/decide/hosts.ts";
import { LinearDecider } from "../../core/decide/linear.ts";
import { openAsnDatabase, openCountryDatabase } from "../../core/decide/mmdb.ts";
import { parseRule } from "../../core/decide/parse_rule.ts";
import { parseProvider, type ProviderBehavior } from "../../core/decide/provider.ts";
import type { Rule } from "../../core/decide/rule.ts";
import { buildTargets } from "../../core/decide/targets.ts";
import type { Verdict } from "../../core/decide/verdict.ts";

const FOLDER = new URL("../../../shared/corpora/", import.meta.url);

function isAbsent(): boolean {
  try {
    return !Deno.statSync(FOLDER).isDirectory;
  } catch {
    return true;
  }
}

const ignore = isAbsent();
if (ignore) console.log("skipped: ../shared/corpora is absent");

/** File, behaviour, entries. Counted with grep over the files. */
const LISTS: readonly (readonly [string, ProviderBehavior, number])[] = [
  ["applications", "classical", 96],
  ["private", "domain", 130],
  ["proxy", "domain", 26_013],
  ["gfw", "domain", 4_204],
  ["tld-not-cn", "domain", 831],
  ["direct", "domain", 117_172],
  ["lancidr", "ipcidr", 18],
  ["cncidr", "ipcidr", 8_649],
];

function textOf(name: string): string {
  return Deno.readTextFileSync(new URL(`rules/${name}.txt`, FOLDER));
}

function entriesOf(name: string): string[] {
  return textOf(name).split("\n").slice(1).map((line) => line.replace(/^ *- '?|'?$/g, "")).filter((line) =>
    line !== ""
  );
}

/** Hosts around the names of a list: some of them, below them, beside them, above them. */
function hostsAround(entries: readonly string[], prng: Prng, count: number): string[] {
  return Array.from({ length: count }, () => {
    const name = entries[prng.below(entries.length)]!.replace(/^\+\./, "");
    const ways = [name, `www.${name}`, `a.b.${name}`, `x${name}`, name.slice(name.indexOf(".") + 1), `${name}.example`];
    return ways[prng.below(ways.length)]!;
  });
}

Deno.test({
  name: "parseProvider() reads every list of clash-rules without a mistake",
  ignore,
  fn() {
    for (const [name, behavior, count] of LISTS) {
      const { set, issues } = parseProvider(behavior, "yaml", textOf(name));
      assertEquals([set.count, issues], [count, []], name);
    }
  },
});

Deno.test({
  name: "the fast sets agree with the slow ones over clash-rules",
  ignore,
  fn() {
    const prng = new Prng(2026);
    for (const [name, behavior] of LISTS) {
      const { set } = parseProvider(behavior, "yaml", textOf(name));
      const entries = entriesOf(name);
      if (set.behavior === "domain") {
        const trie = new DomainTrie<true>();
        for (const entry of entries) trie.add(entry, true);
        let hits = 0;
        for (const host of hostsAround(entries, prng, 20_000)) {
          assertEquals(set.hosts.has(host), trie.find(host) === true, host);
          hits += set.hosts.has(host) ? 1 : 0;
        }
        assert(hits > 2_000 && hits < 19_500, `${hits} hits in ${name}`);
      } else if (set.behavior === "ipcidr") {
        const prefixes = entries.map((entry) => parsePrefix(entry)!);
        for (let i = 0; i < 1_500; i++) {
          const near = prefixes[prng.below(prefixes.length)]!.address;
          const ip: IpAddress = near.version === 4
            ? ipv4FromWord((near.w3 ^ (prng.chance(1, 2) ? prng.below(65_536) : 1 << prng.below(32))) >>> 0)
            : ipFromWords(near.w0 ^ (1 << prng.below(32)), near.w1, near.w2, prng.uint32());
          assertEquals(set.addresses.has(ip), prefixes.some((prefix) => prefixContains(prefix, ip)));
        }
      }
    }
  },
});

function configOf(rules: readonly Rule[], providers: ReadonlyMap<string, ProviderSet>): DecideConfig {
  return {
    mode: "rule",
    findProcessMode: "strict",
    rules,
    subRules: new Map(),
    providers,
    hosts: buildHosts([]).hosts,
    targets: buildTargets([{ name: "office", type: "ss", udp: true }], []).targets,
    geo: NO_GEO,
  };
}

function ruleOf(line: string): Rule {
  const result = parseRule(line);
  if ("error" in result) throw new Error(`${line}: ${result.error.message}`);
  return result.rule;
}

const TARGET: Readonly<Record<string, string>> = { proxy: "office", gfw: "office", "tld-not-cn": "office" };

Deno.test({
  name: "compileDecider() agrees with LinearDecider over clash-rules, as rule-providers and written out",
  ignore,
  fn() {
    const prng = new Prng(157);
    const providers = new Map<string, ProviderSet>();
    const written: Rule[] = [];
    for (const [name, behavior] of LISTS) {
      providers.set(name, parseProvider(behavior, "yaml", textOf(name)).set);
      for (const entry of entriesOf(name)) {
        const type = behavior === "ipcidr" ? "IP-CIDR," : entry.startsWith("+.") ? "DOMAIN-SUFFIX," : "DOMAIN,";
        const line = behavior === "classical" ? entry : `${type}${entry.replace(/^\+\./, "")}`;
        written.push(ruleOf(`${line},${TARGET[name] ?? "DIRECT"}`));
      }
    }
    const asked = [
      ...LISTS.map(([name]) => ruleOf(`RULE-SET,${name},${TARGET[name] ?? "DIRECT"}`)),
      ruleOf("MATCH,office"),
    ];
    const configs = [configOf(asked, providers), configOf([...written, ruleOf("MATCH,office")], new Map())];
    const hosts = hostsAround([...entriesOf("proxy"), ...entriesOf("direct"), ...entriesOf("tld-not-cn")], prng, 60);
    const actions = configs.map((config) => {
      const deciders = [compileDecider(config), new LinearDecider(config)];
      return hosts.map((host, i) => {
        const facts = { ...emptyFacts("tcp"), host, processLookup: 1 as const, process: i % 9 === 0 ? "frpc" : "curl" };
        facts.destinationIp = parseIp(i % 3 === 0 ? "1.0.1.1" : "93.184.216.34");
        const told = deciders.map((decider) => {
          const verdict: Verdict = {
            action: "drop",
            rule: "",
            rulePayload: "",
            target: "",
            chains: [],
            ruleIndex: 0,
            effects: undefined,
          };
          assertEquals(decider.decide(facts, verdict), "none");
          return verdict;
        });
        assertEquals(told[0], told[1], host);
        return told[0]!.action;
      });
    });
    assertEquals(actions[0], actions[1]);
    assertEquals(new Set(actions[0]), new Set(["direct", "proxy"]));
  },
});

interface CountryRecord {
  readonly country?: { readonly iso_code?: string };
}

Deno.test({
  name: "openCountryDatabase() gives every country of MaxMind's test database",
  ignore,
  fn() {
    const country = openCountryDatabase(Deno.readFileSync(new URL("geoip/GeoIP2-Country-Test.mmdb", FOLDER)));
    const expected: Record<string, CountryRecord>[] = JSON.parse(
      Deno.readTextFileSync(new URL("geoip/GeoIP2-Country-Test.json", FOLDER)),
    );
    const records = expected.flatMap((each) => Object.entries(each));
    const prefixes = records.map(([text]) => parsePrefix(text)!);
    let found = 0;
    records.forEach(([text, record], i) => {
      const prefix = prefixes[i]!;
      const narrower = prefixes.some((each, k) =>
        k !== i && each.bits > prefix.bits && prefixContains(each, prefix.address)
      );
      if (narrower) return; // the first address of this prefix belongs to another one
      const { w0, w1, w2, w3 } = prefix.address;
      const ip = w0 === 0 && w1 === 0 && w2 === 0 ? ipv4FromWord(w3) : ipFromWords(w0, w1, w2, w3);
      const code = record.country?.iso_code?.toLowerCase();
      assertEquals([...country(ip)], code === undefined ? [] : [code], text);
      found += code === undefined ? 0 : 1;
    });
    assert(found > 200, `${found} countries`);
    assertEquals([...country(parseIp("127.0.0.1")!)], []);
  },
});

Deno.test({
  name: "openAsnDatabase() reads MaxMind's test database",
  ignore,
  fn() {
    const asn = openAsnDatabase(Deno.readFileSync(new URL("geoip/GeoLite2-ASN-Test.mmdb", FOLDER)));
    assertEquals(asn(parseIp("1.128.0.1")!), { number: 1221, organisation: "Telstra Pty Ltd" });
    assertEquals(asn(parseIp("2600:6000::1")!), { number: 237, organisation: "Merit Network Inc." });
    assertEquals(asn(parseIp("127.0.0.1")!), undefined);
  },
});

Deno.test({
  name: "openCountryDatabase() refuses MaxMind's broken database with a clear error",
  ignore,
  fn() {
    const bytes = Deno.readFileSync(new URL("geoip/MaxMind-DB-test-broken-pointers-24.mmdb", FOLDER));
    assertThrows(() => openCountryDatabase(bytes), Error, "Cannot read country database: ");
  },
});
