import { assertEquals, assertThrows } from "@std/assert";
import { readRules } from "../../core/policy/answer.ts";
import { parseRule } from "../../core/decide/parse_rule.ts";
import type { PolicyRule, RuleBuilder } from "../../core/policy/policy.ts";
import { createRuleBuilder } from "../../core/policy/rule_builder.ts";

const LINES: readonly [(r: RuleBuilder) => PolicyRule, string][] = [
  [(r) => r.domain("a.example").direct(), "DOMAIN,a.example,DIRECT"],
  [(r) => r.domainSuffix(" example.org ").via("office"), "DOMAIN-SUFFIX,example.org,office"],
  [(r) => r.domainKeyword("ads").reject(), "DOMAIN-KEYWORD,ads,REJECT"],
  [(r) => r.domainRegex("^a{1,3}\\.").drop(), "DOMAIN-REGEX,^a{1,3}\\.,REJECT-DROP"],
  [(r) => r.domainRegex(/^ads?\d+,/i).pass(), "DOMAIN-REGEX,^ads?\\d+,,PASS"],
  [(r) => r.domainWildcard("*.a.?").direct(), "DOMAIN-WILDCARD,*.a.?,DIRECT"],
  [(r) => r.geosite("google@ads").reject(), "GEOSITE,google@ads,REJECT"],
  [(r) => r.geoip("CN").direct(), "GEOIP,CN,DIRECT"],
  [(r) => r.geoip("lan", { noResolve: true }).direct(), "GEOIP,lan,DIRECT,no-resolve"],
  [(r) => r.srcGeoip("DE").direct(), "SRC-GEOIP,DE,DIRECT"],
  [(r) => r.ipAsn(13335, { src: true }).direct(), "IP-ASN,13335,DIRECT,src"],
  [(r) => r.ipAsn("AS714").direct(), "IP-ASN,714,DIRECT"],
  [(r) => r.srcIpAsn(714).direct(), "SRC-IP-ASN,714,DIRECT"],
  [(r) => r.ipCidr("10.0.0.0/8", { noResolve: true, src: true }).direct(), "IP-CIDR,10.0.0.0/8,DIRECT,src,no-resolve"],
  [(r) => r.ipCidr6("2001:db8::/32", {}).direct(), "IP-CIDR6,2001:db8::/32,DIRECT"],
  [(r) => r.srcIpCidr("10.1.0.0/16").direct(), "SRC-IP-CIDR,10.1.0.0/16,DIRECT"],
  [(r) => r.ipSuffix("0.0.0.53/8").direct(), "IP-SUFFIX,0.0.0.53/8,DIRECT"],
  [(r) => r.srcIpSuffix("0.0.0.53/8").direct(), "SRC-IP-SUFFIX,0.0.0.53/8,DIRECT"],
  [(r) => r.srcPort(80, "8000-9000").direct(), "SRC-PORT,80/8000-9000,DIRECT"],
  [(r) => r.dstPort(443).direct(), "DST-PORT,443,DIRECT"],
  [(r) => r.inPort(7890).direct(), "IN-PORT,7890,DIRECT"],
  [(r) => r.dscp(46).direct(), "DSCP,46,DIRECT"],
  [(r) => r.processName("Netch.exe").direct(), "PROCESS-NAME,Netch.exe,DIRECT"],
  [(r) => r.processPath("C:\\a\\b.exe").direct(), "PROCESS-PATH,C:\\a\\b.exe,DIRECT"],
  [(r) => r.processNameRegex(/^chrom/).direct(), "PROCESS-NAME-REGEX,^chrom,DIRECT"],
  [(r) => r.processPathRegex("games,?").direct(), "PROCESS-PATH-REGEX,games,?,DIRECT"],
  [(r) => r.processNameWildcard("*.exe").direct(), "PROCESS-NAME-WILDCARD,*.exe,DIRECT"],
  [(r) => r.processPathWildcard("/opt/*").direct(), "PROCESS-PATH-WILDCARD,/opt/*,DIRECT"],
  [(r) => r.network("udp").direct(), "NETWORK,udp,DIRECT"],
  [(r) => r.uid(1000, "2000-2010").direct(), "UID,1000/2000-2010,DIRECT"],
  [(r) => r.inType("SOCKS5", "HTTP").direct(), "IN-TYPE,SOCKS5/HTTP,DIRECT"],
  [(r) => r.inUser("ann").direct(), "IN-USER,ann,DIRECT"],
  [(r) => r.inName("tun-0").direct(), "IN-NAME,tun-0,DIRECT"],
  [(r) => r.ruleSet("lan", { src: true }).direct(), "RULE-SET,lan,DIRECT,src"],
  [
    (r) => r.and(r.network("udp"), r.ipCidr("1.0.0.0/8", { noResolve: true })).reject(),
    "AND,((NETWORK,udp),(IP-CIDR,1.0.0.0/8,no-resolve)),REJECT",
  ],
  [(r) => r.or(r.domain("a.b"), r.not(r.dstPort(53))).via("x"), "OR,((DOMAIN,a.b),(NOT,((DST-PORT,53)))),x"],
  [(r) => r.subRule(r.network("tcp"), "list"), "SUB-RULE,(NETWORK,tcp),list"],
  [(r) => r.match().via("last"), "MATCH,last"],
];

Deno.test("createRuleBuilder() writes the Clash line of every rule type", () => {
  const builder = createRuleBuilder();
  for (const [make, text] of LINES) assertEquals(make(builder).text, text);
  const used = new Set(LINES.flatMap(([make]) => [...String(make).matchAll(/r\.(\w+)\(/g)].map((found) => found[1])));
  assertEquals([...used].toSorted(), Object.keys(builder).toSorted(), "a method of the builder is not in the table");
});

Deno.test("createRuleBuilder() writes lines that parseRule() reads as they were meant", () => {
  const builder = createRuleBuilder();
  for (const [make, text] of LINES) {
    const parsed = parseRule(make(builder).text);
    assertEquals("error" in parsed ? parsed.error : parsed.warning, undefined, text);
    const fields = text.split(",").filter((field) => field !== "src" && field !== "no-resolve");
    if ("rule" in parsed) assertEquals(parsed.rule.target, fields.at(-1), text);
  }
});

Deno.test("createRuleBuilder() refuses what no rule can hold", () => {
  const r = createRuleBuilder();
  // A script is not always type-checked.
  // deno-lint-ignore no-explicit-any
  const any = r as any;
  const cases: [() => unknown, string][] = [
    [() => r.domain("a,b"), 'the name "a,b" holds a comma'],
    [() => r.domain(" "), "the name is empty"],
    [() => r.domain("a\nb"), "line break"],
    [() => any.domain(5), "the name is a text, found number"],
    [() => any.domain(), "the name is a text, found undefined"],
    [() => r.domain("a").via("x,y"), "holds a comma"],
    [() => r.domain("a").via(""), "the target is empty"],
    [() => r.domainRegex(/a/g), "only the flag i is known, found /a/g"],
    [() => r.dstPort(), "at least one port"],
    [() => r.dstPort(65_536), "a number from 0 to 65535"],
    [() => r.dstPort(1.5), "found 1.5"],
    [() => r.dstPort("http"), 'found "http"'],
    [() => any.dstPort(null), "found null"],
    [() => r.dscp(64), "from 0 to 63"],
    [() => any.network("icmp"), '"tcp" or "udp", found "icmp"'],
    [() => r.ipAsn("AS"), "an autonomous system"],
    [() => r.ipAsn(2 ** 32), "an autonomous system"],
    [() => any.ipCidr("1.0.0.0/8", { noresolve: true }), "there is no option noresolve"],
    [() => any.ipCidr("1.0.0.0/8", "no-resolve"), "its options are an object"],
    [() => r.and(), "at least one condition"],
    [() => any.and("NETWORK,udp"), 'found "NETWORK,udp"'],
    [() => any.not(r.domain("a").direct()), "a rule that has a target already"],
    [() => r.not(r.match()), "MATCH cannot stand inside another rule"],
  ];
  for (const [make, message] of cases) assertThrows(make, TypeError, message);
});

Deno.test("readRules() keeps the place of each rule and names the first that is none", () => {
  const r = createRuleBuilder();
  const rules = readRules([r.domain("a").direct(), "DOMAIN,b,DIRECT"]);
  assertEquals(Array.isArray(rules) && rules.map(([text, origin]) => [text, origin !== ""]), [
    ["DOMAIN,a,DIRECT", true],
    ["DOMAIN,b,DIRECT", false],
  ]);
  const cases: [unknown, string][] = [
    [undefined, "rules returns a list of rules, found undefined"],
    [{}, "rules returns a list of rules, found an object"],
    [[r.domain("a")], 'the rule has no target; add .direct(), .via("name"), .reject() or .drop()'],
    [["DOMAIN,a,DIRECT", 5], "rule 2 is no rule: found 5"],
    [[, "x"], "rule 1 is no rule: found undefined"],
    [new Array(20_001).fill("MATCH,DIRECT"), "20001 rules are too many, 20000 are allowed; use a rule-provider"],
    [["x".repeat(70_000)], "rule 1 is too long"],
  ];
  for (const [given, message] of cases) {
    const read = readRules(given);
    assertEquals(Array.isArray(read) ? "rules" : read.message, message);
  }
});
