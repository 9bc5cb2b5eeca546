import { assertEquals } from "@std/assert";
import { checkDecideConfig, type DecideConfig, type DecideIssue } from "../../core/decide/compile.ts";
import { NO_GEO } from "../../core/decide/geo.ts";
import { buildHosts } from "../../core/decide/hosts.ts";
import { parseRule } from "../../core/decide/parse_rule.ts";
import { parseProviderEntries } from "../../core/decide/provider.ts";
import type { Rule } from "../../core/decide/rule.ts";
import { buildTargets } from "../../core/decide/targets.ts";

function ruleOf(line: string): Rule {
  const result = parseRule(line);
  if ("error" in result) throw new Error(result.error.message);
  return result.rule;
}

function check(
  lines: readonly string[],
  sub: Readonly<Record<string, readonly string[]>> = {},
  more: Partial<DecideConfig> = {},
): DecideIssue[] {
  return checkDecideConfig({
    mode: "rule",
    findProcessMode: "strict",
    rules: lines.map(ruleOf),
    subRules: new Map(Object.entries(sub).map(([name, list]) => [name, list.map(ruleOf)])),
    providers: new Map([["ads", parseProviderEntries("domain", ["a.com"]).set]]),
    hosts: buildHosts([]).hosts,
    targets: buildTargets([{ name: "node", type: "ss" }], []).targets,
    geo: NO_GEO,
    ...more,
  });
}

Deno.test("checkDecideConfig() finds nothing when everything that is named exists", () => {
  const lines = [
    "DOMAIN,a.com,node",
    "RULE-SET,ads,REJECT",
    "GEOIP,lan,DIRECT",
    "SUB-RULE,(RULE-SET,ads),inner",
    "MATCH,PASS",
  ];
  assertEquals(check(lines, { inner: ["SUB-RULE,(NETWORK,tcp),last", "MATCH,GLOBAL"], last: ["MATCH,node"] }), []);
});

Deno.test("checkDecideConfig() names what is missing, with its place and the nearest name", () => {
  assertEquals(check(["MATCH,nod"]), [{
    ruleIndex: 0,
    kind: "target",
    message: "proxy [nod] not found; did you mean node?",
  }]);
  assertEquals(check(["MATCH,node", "AND,((NOT,((RULE-SET,adz))),(NETWORK,tcp)),node"]), [{
    ruleIndex: 1,
    kind: "ruleSet",
    message: "rule set [adz] not found; did you mean ads?",
  }]);
  assertEquals(check(["SUB-RULE,(NETWORK,tcp),iner"], { inner: [] }), [{
    ruleIndex: 0,
    kind: "subRule",
    message: "sub-rule [iner] not found; did you mean inner?",
  }]);
  assertEquals(check([], { inner: ["MATCH,node", "MATCH,somewhere else"] }), [{
    ruleIndex: 1,
    subRule: "inner",
    kind: "target",
    message: "proxy [somewhere else] not found",
  }]);
});

Deno.test("checkDecideConfig() shows the circle when sub-rules lead back", () => {
  const sub = {
    a: ["SUB-RULE,(NETWORK,tcp),b"],
    b: ["MATCH,node", "SUB-RULE,(NETWORK,tcp),a"],
    c: ["SUB-RULE,(NETWORK,tcp),c"],
  };
  assertEquals(check([], sub).map(({ message, subRule, ruleIndex }) => [message, subRule, ruleIndex]), [
    ["sub-rule error: circular references [a->b->a]", "b", 1],
    ["sub-rule error: circular references [c->c]", "c", 0],
  ]);
  const deep = Object.fromEntries(
    Array.from({ length: 40 }, (_, i) => [`s${i}`, [i === 39 ? "MATCH,node" : `SUB-RULE,(NETWORK,tcp),s${i + 1}`]]),
  );
  assertEquals(check([], deep)[0]!.message, "sub-rule error: sub-rules in sub-rules deeper than 32");
});

Deno.test("checkDecideConfig() names the database that a rule needs", () => {
  const messages = (line: string, more: Partial<DecideConfig> = {}) =>
    check([line], {}, more).map(({ message, kind }) => `${kind}: ${message}`);
  assertEquals(messages("GEOIP,CN,node"), ["geo: GEOIP,cn needs a country database (.mmdb), and there is none"]);
  assertEquals(messages("IP-ASN,1,node"), [
    "geo: IP-ASN,1 needs a database of autonomous systems (.mmdb), and there is none",
  ]);
  assertEquals(messages("NOT,((GEOSITE,cn)),node"), [
    "geo: GEOSITE,cn needs a site database (.dat), and there is none",
  ]);
  const geo = { ...NO_GEO, available: { country: true, asn: true, site: true } };
  assertEquals(messages("GEOIP,CN,node", { geo }), []);
  assertEquals(messages("GEOSITE,!nowhere,node", { geo }), [
    "geo: GEOSITE: list !nowhere not found in the site database",
  ]);
});
