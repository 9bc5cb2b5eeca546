import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseIp } from "../../core/base/ip_address.ts";
import { emptyFacts, type FlowFacts, Lookup } from "../../core/classify/facts.ts";
import { compileDecider, type DecideConfig, type ProviderSet } from "../../core/decide/compile.ts";
import type { Decider } from "../../core/decide/decider.ts";
import { type GeoSource, NO_GEO } from "../../core/decide/geo.ts";
import { buildHosts } from "../../core/decide/hosts.ts";
import { LinearDecider } from "../../core/decide/linear.ts";
import { parseRule } from "../../core/decide/parse_rule.ts";
import { parseProviderEntries } from "../../core/decide/provider.ts";
import type { Rule } from "../../core/decide/rule.ts";
import { buildTargets } from "../../core/decide/targets.ts";
import type { Verdict } from "../../core/decide/verdict.ts";
import { duplicating } from "../support/programs.ts";

function rulesOf(lines: readonly string[]): Rule[] {
  return lines.map((line) => {
    const result = parseRule(line);
    if ("error" in result) throw new Error(`${line}: ${result.error.message}`);
    return result.rule;
  });
}

const PROVIDERS: ReadonlyMap<string, ProviderSet> = new Map([
  ["names", parseProviderEntries("domain", ["+.set.example"]).set],
  ["nets", parseProviderEntries("ipcidr", ["10.0.0.0/8"]).set],
  ["mixed", parseProviderEntries("classical", ["DOMAIN,a.com", "IP-CIDR,10.0.0.0/8", "DST-PORT,53"]).set],
]);

const { targets: TARGETS } = buildTargets(
  [{ name: "web", type: "http" }, { name: "node", type: "ss", udp: true }],
  [{ name: "office", type: "select", members: ["node"] }, { name: "pass", type: "select", members: ["PASS"] }],
);

function configOf(
  lines: readonly string[],
  more: Partial<DecideConfig> & { sub?: Record<string, string[]> } = {},
): DecideConfig {
  const { sub, ...rest } = more;
  return {
    mode: "rule",
    findProcessMode: "strict",
    rules: rulesOf(lines),
    subRules: new Map(Object.entries(sub ?? {}).map(([name, list]) => [name, rulesOf(list)])),
    providers: PROVIDERS,
    hosts: buildHosts([]).hosts,
    targets: TARGETS,
    geo: NO_GEO,
    ...rest,
  };
}

function factsOf(more: Partial<FlowFacts>): FlowFacts {
  return { ...emptyFacts("tcp"), destinationPort: 443, ...more };
}

/** What both deciders say: a need, or "rule payload → target". */
function decide(config: DecideConfig, facts: FlowFacts): string {
  const told = [compileDecider(config), new LinearDecider(config)].map((decider: Decider) => {
    const verdict: Verdict = {
      action: "drop",
      rule: "?",
      rulePayload: "?",
      target: "?",
      chains: [],
      ruleIndex: -9,
      effects: undefined,
    };
    const need = decider.decide({ ...facts }, verdict);
    if (need !== "none") return `need ${need}`;
    return `${verdict.rule} ${verdict.rulePayload} → ${verdict.target} ${verdict.action} #${verdict.ruleIndex} [${
      verdict.chains.join(" ")
    }]`;
  });
  assertEquals(told[0], told[1]);
  return told[0]!;
}

const ip = (text: string) => parseIp(text);

Deno.test("decide() goes DIRECT with no rule when nothing matches", () => {
  assertEquals(decide(configOf(["DOMAIN,a.com,office"]), factsOf({ host: "b.com" })), "  → DIRECT direct #-1 [DIRECT]");
  assertEquals(decide(configOf([]), factsOf({})), "  → DIRECT direct #-1 [DIRECT]");
});

Deno.test("decide() tells rule, payload, target, index and chain when a rule hits", () => {
  const config = configOf(["DOMAIN,a.com,REJECT-DROP", "DOMAIN-SUFFIX,b.com,office", "MATCH,REJECT"]);
  assertEquals(decide(config, factsOf({ host: "a.com" })), "Domain a.com → REJECT-DROP drop #0 [REJECT-DROP]");
  assertEquals(decide(config, factsOf({ host: "x.b.com" })), "DomainSuffix b.com → office proxy #1 [node office]");
  assertEquals(decide(config, factsOf({ host: "c.com" })), "Match  → REJECT reject #2 [REJECT]");
});

Deno.test("decide() asks to resolve only before a rule that needs the address, and remembers a failure", () => {
  const config = configOf(["DOMAIN,a.com,office", "IP-CIDR,10.0.0.0/8,REJECT", "MATCH,DIRECT"]);
  assertEquals(decide(config, factsOf({ host: "a.com" })), "Domain a.com → office proxy #0 [node office]");
  assertEquals(decide(config, factsOf({ host: "b.com" })), "need resolve");
  assertEquals(
    decide(config, factsOf({ host: "b.com", resolveLookup: Lookup.Failed })),
    "Match  → DIRECT direct #2 [DIRECT]",
  );
  assertEquals(
    decide(config, factsOf({ host: "b.com", resolveLookup: Lookup.Done, destinationIp: ip("10.1.1.1") })),
    "IPCIDR 10.0.0.0/8 → REJECT reject #1 [REJECT]",
  );
  assertEquals(
    decide(config, factsOf({ destinationIp: ip("10.1.1.1") })),
    "IPCIDR 10.0.0.0/8 → REJECT reject #1 [REJECT]",
  );
  assertEquals(
    decide(configOf(["IP-CIDR,10.0.0.0/8,REJECT,no-resolve", "MATCH,DIRECT"]), factsOf({ host: "b.com" })),
    "Match  → DIRECT direct #1 [DIRECT]",
  );
});

Deno.test("decide() looks nothing up when another condition of a logic rule fails, in whatever order they stand", () => {
  const quiet = [
    "AND,((IP-CIDR,10.0.0.0/8),(DOMAIN,b.com)),REJECT",
    "AND,((DOMAIN,b.com),(IP-CIDR,10.0.0.0/8)),REJECT",
    "AND,((PROCESS-NAME,curl),(NETWORK,udp)),REJECT",
    "NOT,((OR,((IP-CIDR,10.0.0.0/8),(NETWORK,tcp)))),REJECT",
    "AND,((RULE-SET,nets),(DST-PORT,80)),REJECT",
    "SUB-RULE,(AND,((IP-CIDR,10.0.0.0/8),(NETWORK,udp))),inner",
    "AND,((NOT,((NETWORK,tcp))),(GEOIP,cn)),REJECT",
  ];
  const sub = { inner: ["MATCH,REJECT"] };
  for (const rule of quiet) {
    assertEquals(
      decide(configOf([rule, "MATCH,DIRECT"], { sub }), factsOf({ host: "a.com" })),
      "Match  → DIRECT direct #1 [DIRECT]",
      rule,
    );
  }
  const asking: readonly (readonly [string, string])[] = [
    ["AND,((IP-CIDR,10.0.0.0/8),(DOMAIN,a.com)),REJECT", "need resolve"],
    ["OR,((IP-CIDR,10.0.0.0/8),(DOMAIN,b.com)),REJECT", "need resolve"],
    ["NOT,((PROCESS-NAME,curl)),REJECT", "need process"],
    ["AND,((IP-CIDR,10.0.0.0/8),(PROCESS-NAME,curl)),REJECT", "need process"],
    [
      "OR,((IP-CIDR,10.0.0.0/8),(DOMAIN,a.com)),REJECT",
      "OR ((IPCIDR,10.0.0.0/8) || (Domain,a.com)) → REJECT reject #0 [REJECT]",
    ],
  ];
  for (const [rule, told] of asking) assertEquals(decide(configOf([rule]), factsOf({ host: "a.com" })), told, rule);
});

Deno.test("decide() passes over a target that is PASS, missing or cannot carry the flow, without looking anything up for it", () => {
  const rules = [
    "IP-CIDR,0.0.0.0/0,pass",
    "IP-CIDR,0.0.0.0/0,missing",
    "IP-CIDR,0.0.0.0/0,PASS",
    "DOMAIN,a.com,web",
    "MATCH,office",
  ];
  assertEquals(decide(configOf(rules), factsOf({ host: "a.com" })), "Domain a.com → web proxy #3 [web]");
  assertEquals(
    decide(configOf(rules), factsOf({ host: "a.com", network: "udp" })),
    "Match  → office proxy #4 [node office]",
  );
});

Deno.test("decide() waits for the name at the first rule that reads it, and no earlier", () => {
  const coming = { nameMayCome: true, destinationIp: ip("10.1.1.1") };
  const config = configOf(["NETWORK,udp,REJECT", "DOMAIN,a.com,office", "IP-CIDR,10.0.0.0/8,DIRECT"]);
  assertEquals(decide(config, factsOf({ ...coming, network: "udp" })), "Network udp → REJECT reject #0 [REJECT]");
  assertEquals(decide(config, factsOf(coming)), "need name");
  assertEquals(
    decide(config, factsOf({ ...coming, nameMayCome: false })),
    "IPCIDR 10.0.0.0/8 → DIRECT direct #2 [DIRECT]",
  );
  assertEquals(decide(config, factsOf({ ...coming, host: "a.com" })), "Domain a.com → office proxy #1 [node office]");
  assertEquals(decide(config, factsOf({ ...coming, host: "a.com", hostAmbiguous: true })), "need name");
  assertEquals(
    decide(config, factsOf({ ...coming, host: "b.com", hostAmbiguous: true, sniffHost: "a.com", nameMayCome: false })),
    "Domain a.com → office proxy #1 [node office]",
  );
  const before = configOf(["IP-CIDR,10.0.0.0/8,DIRECT", "DOMAIN,a.com,office"]);
  assertEquals(decide(before, factsOf(coming)), "IPCIDR 10.0.0.0/8 → DIRECT direct #0 [DIRECT]");
});

Deno.test("decide() looks processes up as find-process-mode says", () => {
  const lines = ["DOMAIN,a.com,DIRECT", "PROCESS-NAME,curl,REJECT", "MATCH,office"];
  const mode = (findProcessMode: "off" | "strict" | "always", facts: Partial<FlowFacts>) =>
    decide(configOf(lines, { findProcessMode }), factsOf(facts));
  const hit = "ProcessName curl → REJECT reject #1 [REJECT]";
  const miss = "Match  → office proxy #2 [node office]";
  assertEquals(mode("strict", { host: "a.com" }), "Domain a.com → DIRECT direct #0 [DIRECT]");
  assertEquals(mode("strict", { host: "b.com" }), "need process");
  assertEquals(mode("always", { host: "a.com" }), "need process");
  assertEquals(mode("off", { host: "b.com" }), miss);
  const curl = { process: "Curl", processPath: "/usr/bin/Curl", processLookup: Lookup.Done };
  assertEquals(mode("strict", curl), hit);
  assertEquals(mode("always", curl), hit);
  assertEquals(mode("off", curl), miss);
  assertEquals(mode("strict", { processLookup: Lookup.Failed }), miss);
  assertEquals(mode("always", { type: "Inner", host: "a.com" }), "Domain a.com → DIRECT direct #0 [DIRECT]");
});

Deno.test("decide() reports a SUB-RULE as itself, with the target of the rule that hit inside", () => {
  const sub = {
    inner: ["DOMAIN,a.com,office", "DOMAIN,p.com,PASS", "DOMAIN,u.com,missing"],
    outer: ["SUB-RULE,(NETWORK,tcp),inner", "DOMAIN,b.com,REJECT"],
  };
  const config = configOf(["SUB-RULE,(NETWORK,tcp),outer", "MATCH,DIRECT"], { sub });
  assertEquals(decide(config, factsOf({ host: "a.com" })), "SubRules (NETWORK,tcp) → office proxy #0 [node office]");
  assertEquals(decide(config, factsOf({ host: "b.com" })), "SubRules (NETWORK,tcp) → REJECT reject #0 [REJECT]");
  for (const host of ["c.com", "p.com", "u.com"]) {
    assertEquals(decide(config, factsOf({ host })), "Match  → DIRECT direct #1 [DIRECT]", host);
  }
  assertEquals(decide(config, factsOf({ host: "a.com", network: "udp" })), "Match  → DIRECT direct #1 [DIRECT]");
});

Deno.test("decide() swaps both ends inside a RULE-SET with src, and looks nothing up there", () => {
  const config = configOf(["RULE-SET,nets,office,src", "MATCH,DIRECT"]);
  const miss = "Match  → DIRECT direct #1 [DIRECT]";
  assertEquals(
    decide(config, factsOf({ sourceIp: ip("10.1.1.1"), destinationIp: ip("8.8.8.8") })),
    "RuleSet nets → office proxy #0 [node office]",
  );
  assertEquals(decide(config, factsOf({ sourceIp: ip("8.8.8.8"), destinationIp: ip("10.1.1.1") })), miss);
  assertEquals(decide(config, factsOf({ host: "a.com" })), miss);
  const ports = configOf(["RULE-SET,mixed,office,src", "MATCH,DIRECT"]);
  assertEquals(
    decide(ports, factsOf({ sourcePort: 53, host: "x.com" })),
    "RuleSet mixed → office proxy #0 [node office]",
  );
  assertEquals(
    decide(configOf(["RULE-SET,mixed,office", "MATCH,DIRECT"]), factsOf({ sourcePort: 53, host: "x.com" })),
    "need resolve",
  );
  assertEquals(
    decide(configOf(["RULE-SET,mixed,office,no-resolve", "MATCH,DIRECT"]), factsOf({ host: "x.com" })),
    miss,
  );
});

Deno.test("decide() follows mode, specialProxy and specialRules", () => {
  const sub = { inner: ["DOMAIN,a.com,office"] };
  const lines = ["MATCH,REJECT"];
  const facts = factsOf({ host: "a.com" });
  assertEquals(decide(configOf(lines, { mode: "direct" }), facts), "  → DIRECT direct #-1 [DIRECT]");
  assertEquals(decide(configOf(lines, { mode: "global" }), facts), "  → GLOBAL direct #-1 [DIRECT GLOBAL]");
  assertEquals(
    decide(configOf(lines, { sub }), factsOf({ host: "a.com", specialRules: "inner" })),
    "Domain a.com → office proxy #-1 [node office]",
  );
  assertEquals(
    decide(configOf(lines, { sub }), factsOf({ host: "a.com", specialRules: "none" })),
    "Match  → REJECT reject #0 [REJECT]",
  );
  assertEquals(decide(configOf(lines), factsOf({ specialProxy: "office" })), "  → office proxy #-1 [node office]");
  assertEquals(
    decide(configOf(lines), factsOf({ specialProxy: "web", network: "udp" })),
    "  → web reject #-1 [REJECT]",
  );
});

/** A rule, facts that it matches, facts that it does not. */
const MATCHES: readonly (readonly [string, Partial<FlowFacts>, Partial<FlowFacts>])[] = [
  ["DOMAIN-SUFFIX,b.com", { host: "a.b.com" }, { host: "ab.com" }],
  ["DOMAIN-KEYWORD,oo", { host: "www.google.com" }, { host: "b.com" }],
  ["DOMAIN-WILDCARD,*.b?.com", { host: "a.bc.com" }, { host: "a.b.com" }],
  ["DOMAIN-REGEX,^$", { host: "" }, { host: "a" }],
  ["GEOIP,lan", { destinationIp: ip("192.168.1.1") }, { destinationIp: ip("8.8.8.8") }],
  ["GEOIP,lan", { destinationIp: ip("fe80::1") }, { destinationIp: ip("2001:db8::1") }],
  ["GEOIP,CN", { destinationIp: ip("1.2.3.4"), destinationGeoIp: ["CN"] }, {
    destinationIp: ip("1.2.3.4"),
    destinationGeoIp: ["us"],
  }],
  ["GEOIP,cn", { destinationIp: ip("114.0.0.1") }, { destinationIp: ip("8.8.8.8") }],
  ["SRC-GEOIP,cn", { sourceIp: ip("114.0.0.1") }, { destinationIp: ip("114.0.0.1") }],
  ["IP-ASN,15169", { destinationIp: ip("8.8.8.8") }, { destinationIp: ip("114.0.0.1") }],
  ["IP-ASN,13335", { destinationIp: ip("1.1.1.1"), destinationIpAsn: "13335 CLOUDFLARE" }, {
    destinationIp: ip("1.1.1.1"),
  }],
  ["IP-SUFFIX,8.8.8.8/24", { destinationIp: ip("1.8.8.8") }, { destinationIp: ip("8.8.8.9") }],
  ["IP-SUFFIX,0.0.0.5/3", { destinationIp: ip("1.1.1.13") }, { destinationIp: ip("1.1.1.12") }],
  ["SRC-IP-CIDR,10.0.0.0/8", { sourceIp: ip("10.1.1.1") }, { destinationIp: ip("10.1.1.1") }],
  ["IP-CIDR6,2001:db8::/32", { destinationIp: ip("2001:db8::1") }, { destinationIp: ip("10.0.0.1") }],
  ["SRC-PORT,1000-2000", { sourcePort: 1500 }, { sourcePort: 999 }],
  ["IN-PORT,7890", { inboundPort: 7890 }, { inboundPort: 0 }],
  ["DSCP,46", { dscp: 46 }, { dscp: 0 }],
  ["UID,1000-2000", { uid: 1000, processLookup: Lookup.Done }, { processLookup: Lookup.Done }],
  ["IN-TYPE,SOCKS", { type: "Socks5" }, { type: "Tun" }],
  ["IN-USER,alice/bob", { inboundUser: "bob" }, { inboundUser: "" }],
  ["IN-NAME,tun-in", { inboundName: "tun-in" }, { inboundName: "x" }],
  ["PROCESS-PATH,/usr/bin/CURL", { processPath: "/usr/bin/curl", processLookup: Lookup.Done }, {
    process: "curl",
    processLookup: Lookup.Done,
  }],
  ["PROCESS-NAME-WILDCARD,*Torrent*", { process: "qbittorrent.exe", processLookup: Lookup.Done }, {
    process: "curl",
    processLookup: Lookup.Done,
  }],
  ["PROCESS-PATH-REGEX,bin/c.*l$", { processPath: "/usr/BIN/curl", processLookup: Lookup.Done }, {
    process: "curl",
    processLookup: Lookup.Done,
  }],
  ["RULE-SET,names", { host: "a.set.example" }, { host: "a.example" }],
  ["RULE-SET,mixed", { destinationPort: 53 }, { host: "b.com", resolveLookup: Lookup.Failed }],
  ["NOT,((NETWORK,tcp))", { network: "udp" }, {}],
];

const GEO: GeoSource = {
  available: { country: true, asn: true, site: false },
  country: (address) => address.w3 >>> 24 === 114 ? ["cn"] : [],
  asn: (address) => address.w3 === 0x08080808 ? { number: 15169, organisation: "GOOGLE" } : undefined,
  site: () => undefined,
};

Deno.test("decide() matches each rule type when the flow is as it says, and not otherwise", () => {
  for (const [rule, yes, no] of MATCHES) {
    const config = configOf([`${rule},REJECT`, "MATCH,DIRECT"], { geo: GEO });
    assert(decide(config, factsOf(yes)).includes("→ REJECT"), `${rule} ${JSON.stringify(yes)}`);
    assert(decide(config, factsOf(no)).includes("→ DIRECT"), `${rule} ${JSON.stringify(no)}`);
  }
});

Deno.test("decide() keeps in the facts what the databases said", () => {
  const decider = compileDecider(configOf(["GEOIP,us,REJECT", "IP-ASN,1,REJECT", "SRC-GEOIP,us,REJECT"], { geo: GEO }));
  const facts = factsOf({ destinationIp: ip("8.8.8.8"), sourceIp: ip("114.0.0.1") });
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
  assertEquals([facts.destinationIpAsn, facts.sourceGeoIp], ["15169 GOOGLE", ["cn"]]);
});

Deno.test("decideTarget() fills the verdict of a target that can take the flow, and refuses others", () => {
  for (const decider of [compileDecider(configOf([])), new LinearDecider(configOf([]))]) {
    const verdict: Verdict = {
      action: "drop",
      rule: "?",
      rulePayload: "?",
      target: "?",
      chains: [],
      ruleIndex: 3,
      effects: { program: duplicating(2) },
    };
    assertEquals(decider.decideTarget("office", factsOf({ network: "udp" }), verdict), true);
    assertEquals(verdict, {
      action: "proxy",
      rule: "",
      rulePayload: "",
      target: "office",
      chains: ["node", "office"],
      ruleIndex: -1,
      effects: undefined,
    });
    assertEquals(decider.decideTarget("web", factsOf({ network: "udp" }), verdict), false);
    assertEquals(decider.decideTarget("PASS", factsOf({}), verdict), false);
    assertEquals(decider.decideTarget("missing", factsOf({}), verdict), false);
    assertEquals(verdict.target, "office");
  }
});

Deno.test("decide() allocates no chain of its own", () => {
  const decider = compileDecider(configOf(["MATCH,office"]));
  const verdicts = [1, 2].map(() => {
    const verdict: Verdict = {
      action: "drop",
      rule: "",
      rulePayload: "",
      target: "",
      chains: [],
      ruleIndex: 0,
      effects: undefined,
    };
    decider.decide(factsOf({}), verdict);
    return verdict.chains;
  });
  assert(verdicts[0] === verdicts[1]);
});

Deno.test("compileDecider() refuses sub-rules in a circle", () => {
  const config = configOf(["SUB-RULE,(NETWORK,tcp),a"], {
    sub: { a: ["SUB-RULE,(NETWORK,tcp),b"], b: ["SUB-RULE,(NETWORK,tcp),a"] },
  });
  for (const make of [() => compileDecider(config), () => new LinearDecider(config)]) {
    assertThrows(make, Error, "Cannot compile rules: sub-rule error: circular references [a->b->a]");
  }
});
