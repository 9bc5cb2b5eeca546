import { assertEquals } from "@std/assert";
import { parseIp } from "../../core/base/ip_address.ts";
import { emptyFacts, type FlowFacts, Lookup } from "../../core/classify/facts.ts";
import { compileDecider, type DecideConfig } from "../../core/decide/compile.ts";
import { NO_GEO } from "../../core/decide/geo.ts";
import { buildHosts } from "../../core/decide/hosts.ts";
import { parseRule } from "../../core/decide/parse_rule.ts";
import { parseProviderEntries } from "../../core/decide/provider.ts";
import { buildTargets } from "../../core/decide/targets.ts";

function explain(lines: readonly string[], facts: Partial<FlowFacts>, more: Partial<DecideConfig> = {}): string[] {
  const rules = lines.map((line) => {
    const result = parseRule(line);
    if ("error" in result) throw new Error(result.error.message);
    return result.rule;
  });
  const decider = compileDecider({
    mode: "rule",
    findProcessMode: "strict",
    rules,
    subRules: new Map(),
    providers: new Map([[
      "ads",
      parseProviderEntries("classical", ["DOMAIN-SUFFIX,ads.com", "IP-CIDR,10.0.0.0/8"]).set,
    ]]),
    hosts: buildHosts([]).hosts,
    targets: buildTargets([{ name: "web", type: "http" }], []).targets,
    geo: NO_GEO,
    ...more,
  });
  return decider.explain({ ...emptyFacts("tcp"), ...facts }).map(({ kind, outcome, why }) =>
    `${kind} ${outcome}: ${why}`
  );
}

Deno.test("explain() tells each rule, why it did not match, and ends with the one that did", () => {
  const lines = ["DOMAIN-SUFFIX,b.com,DIRECT", "DST-PORT,80,DIRECT", "IP-CIDR,10.0.0.0/8,REJECT", "MATCH,web"];
  assertEquals(explain(lines, { host: "www.a.com", destinationPort: 443, destinationIp: parseIp("8.8.8.8") }), [
    "rule mismatch: host www.a.com does not end with .b.com",
    "rule mismatch: destination port 443 is not in 80",
    "rule mismatch: destination 8.8.8.8 is not in 10.0.0.0/8",
    "rule matched: it matches every flow",
  ]);
});

Deno.test("explain() names the condition that settled a logic rule", () => {
  const lines = ["AND,((NETWORK,tcp),(DOMAIN,b.com)),REJECT", "OR,((DOMAIN,a.com),(NETWORK,udp)),REJECT"];
  assertEquals(explain(lines, { host: "a.com" }), [
    "rule mismatch: host a.com is not b.com",
    "rule matched: host a.com is a.com",
  ]);
});

Deno.test("explain() tells targets that were passed over", () => {
  const lines = ["MATCH,PASS", "NETWORK,udp,web", "MATCH,missing"];
  assertEquals(explain(lines, { network: "udp" }), [
    "rule targetPass: it matches every flow, but PASS is PASS: the next rule",
    "rule targetCannotUdp: the flow is udp, but web cannot carry UDP",
    "rule targetMissing: it matches every flow, but there is no target missing",
    "default matched: no rule matched",
  ]);
});

Deno.test("explain() tells what was looked up and what could not be", () => {
  const failed = { host: "a.com", resolveLookup: Lookup.Failed, processLookup: Lookup.Failed };
  assertEquals(explain(["IP-CIDR,10.0.0.0/8,REJECT", "PROCESS-NAME,curl,REJECT"], failed), [
    "lookup unknown: a.com could not be resolved; rules that need the address do not match",
    "lookup unknown: no process was found; rules that need it do not match",
    "rule mismatch: a.com could not be resolved",
    "rule mismatch: the flow's process is not known",
    "default matched: no rule matched",
  ]);
  assertEquals(explain(["PROCESS-NAME,curl,REJECT", "IP-CIDR,10.0.0.0/8,REJECT"], { host: "a.com" }).slice(0, 2), [
    "rule unknown: the process was not looked up",
    "rule unknown: the host was not resolved",
  ]);
});

Deno.test("explain() looks into rule-providers", () => {
  assertEquals(explain(["RULE-SET,ads,REJECT"], { host: "x.ads.com" }), [
    "rule matched: host x.ads.com ends with .ads.com, in ads (2 entries)",
  ]);
  assertEquals(explain(["RULE-SET,ads,REJECT,src"], { host: "a.com", sourceIp: parseIp("10.1.1.1") }), [
    "rule matched: source 10.1.1.1 is in 10.0.0.0/8, in ads (2 entries)",
  ]);
  assertEquals(
    explain(["RULE-SET,ads,REJECT,no-resolve"], { host: "a.com" })[0],
    "rule mismatch: nothing in ads (2 entries) matches",
  );
});

Deno.test("explain() tells hosts, mode and specialProxy", () => {
  const hosts = buildHosts([{ name: "a.com", value: "10.0.0.1" }]).hosts;
  assertEquals(
    explain(["MATCH,DIRECT"], { host: "a.com", dnsMode: "hosts", destinationIp: parseIp("10.0.0.1") }, { hosts })[0],
    "hosts matched: the hosts table gave a.com, 10.0.0.1",
  );
  assertEquals(explain(["MATCH,web"], {}, { mode: "direct" }), ["default matched: mode is direct"]);
  assertEquals(explain(["MATCH,web"], { specialProxy: "web" }), ["default matched: the inbound asks for web"]);
});
