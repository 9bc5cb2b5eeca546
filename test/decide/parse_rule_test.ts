import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { parseClassicalLine, parseRule, type RuleSyntaxError } from "../../core/decide/parse_rule.ts";
import { apiName, type Rule } from "../../core/decide/rule.ts";

function ruleOf(line: string): Rule {
  const result = parseRule(line);
  assert("rule" in result, `${line}: ${JSON.stringify(result)}`);
  return result.rule;
}

function errorOf(line: string): RuleSyntaxError {
  const result = parseRule(line);
  assert("error" in result, `${line} was taken: ${JSON.stringify(result)}`);
  return result.error;
}

/** A line, and what the API shows of it: type, payload, target. */
const LINES: readonly (readonly [string, string, string, string])[] = [
  ["DOMAIN,WWW.Example.org,DIRECT", "Domain", "www.example.org", "DIRECT"],
  ["domain, a.com , web ", "Domain", "a.com", "web"],
  ["DOMAIN,例子.测试,DIRECT", "Domain", "xn--fsqu00a.xn--0zwm56d", "DIRECT"],
  ["DOMAIN-SUFFIX,Example.org,DIRECT", "DomainSuffix", "example.org", "DIRECT"],
  ["DOMAIN-KEYWORD,GOOGLE,DIRECT", "DomainKeyword", "google", "DIRECT"],
  ["DOMAIN-WILDCARD,*.Example.?rg,DIRECT", "DomainWildcard", "*.example.?rg", "DIRECT"],
  ["DOMAIN-REGEX,^a{1,3}\\.,DIRECT", "DomainRegex", "^a{1,3}\\.", "DIRECT"],
  ["GEOSITE,CN@ads,DIRECT", "GeoSite", "CN@ads", "DIRECT"],
  ["GEOIP,CN,DIRECT,no-resolve", "GeoIP", "cn", "DIRECT"],
  ["GEOIP,LAN,DIRECT,src", "SrcGeoIP", "lan", "DIRECT"],
  ["SRC-GEOIP,US,DIRECT", "SrcGeoIP", "us", "DIRECT"],
  ["IP-ASN,13335,DIRECT", "IPASN", "13335", "DIRECT"],
  ["IP-ASN,AS13335,DIRECT,src", "SrcIPASN", "13335", "DIRECT"],
  ["SRC-IP-ASN,13335,DIRECT", "SrcIPASN", "13335", "DIRECT"],
  ["IP-CIDR,10.1.2.3/8,DIRECT", "IPCIDR", "10.1.2.3/8", "DIRECT"],
  ["IP-CIDR6,2001:DB8::/32,DIRECT,no-resolve", "IPCIDR", "2001:db8::/32", "DIRECT"],
  ["IP-CIDR,10.0.0.0/8,DIRECT,src", "SrcIPCIDR", "10.0.0.0/8", "DIRECT"],
  ["SRC-IP-CIDR,10.0.0.0/8,DIRECT", "SrcIPCIDR", "10.0.0.0/8", "DIRECT"],
  ["IP-SUFFIX,8.8.8.8/24,DIRECT", "IPSuffix", "8.8.8.8/24", "DIRECT"],
  ["SRC-IP-SUFFIX,::1/16,DIRECT", "SrcIPSuffix", "::1/16", "DIRECT"],
  ["SRC-PORT,80/443/8000-9000,DIRECT", "SrcPort", "80/443/8000-9000", "DIRECT"],
  ["DST-PORT,9000-8000,DIRECT", "DstPort", "9000-8000", "DIRECT"],
  ["IN-PORT,*,DIRECT", "InPort", "*", "DIRECT"],
  ["DSCP,46,DIRECT", "DSCP", "46", "DIRECT"],
  ["PROCESS-NAME,Curl.exe,DIRECT", "ProcessName", "Curl.exe", "DIRECT"],
  ["PROCESS-PATH,/usr/bin/curl,DIRECT", "ProcessPath", "/usr/bin/curl", "DIRECT"],
  ["PROCESS-NAME-WILDCARD,*Torrent*,DIRECT", "ProcessNameWildcard", "*Torrent*", "DIRECT"],
  ["PROCESS-PATH-WILDCARD,/usr/*,DIRECT", "ProcessPathWildcard", "/usr/*", "DIRECT"],
  ["PROCESS-NAME-REGEX,^c.{1,2}l$,DIRECT", "ProcessNameRegex", "^c.{1,2}l$", "DIRECT"],
  ["PROCESS-PATH-REGEX,bin/,DIRECT", "ProcessPathRegex", "bin/", "DIRECT"],
  ["NETWORK,TCP,DIRECT", "Network", "tcp", "DIRECT"],
  ["UID,1000-2000,DIRECT", "Uid", "1000-2000", "DIRECT"],
  ["IN-TYPE,socks/http,DIRECT", "InType", "SOCKS/HTTP", "DIRECT"],
  ["IN-USER,alice/bob,DIRECT", "InUser", "alice/bob", "DIRECT"],
  ["IN-NAME,tun-in,DIRECT", "InName", "tun-in", "DIRECT"],
  ["REMATCH-NAME,again,DIRECT", "RematchName", "again", "DIRECT"],
  ["RULE-SET,ads,REJECT,src", "RuleSet", "ads", "REJECT"],
  ["SUB-RULE,(NETWORK,tcp),inner", "SubRules", "(NETWORK,tcp)", "inner"],
  ["AND,((DOMAIN,a.com),(NETWORK,UDP)),web", "AND", "((Domain,a.com) && (Network,udp))", "web"],
  [
    "OR, ((DOMAIN,a.com), (ip-cidr, 1.0.0.0/8, no-resolve)), web",
    "OR",
    "((Domain,a.com) || (IPCIDR,1.0.0.0/8))",
    "web",
  ],
  ["NOT,((DST-PORT,6000-6500)),REJECT", "NOT", "(!(DstPort,6000-6500))", "REJECT"],
  [
    "AND,((OR,((DOMAIN,a.com),(DOMAIN,b.com))),(NOT,((NETWORK,udp)))),x",
    "AND",
    "((OR,((Domain,a.com) || (Domain,b.com))) && (NOT,(!(Network,udp))))",
    "x",
  ],
  ["MATCH,DIRECT", "Match", "", "DIRECT"],
  ["MATCH,DIRECT,ignored", "Match", "", "DIRECT"],
];

Deno.test("parseRule() shows type, payload and target as the API does when the line is right", () => {
  for (const [line, type, payload, target] of LINES) {
    const rule = ruleOf(line);
    assertEquals([apiName(rule.type), rule.payload, rule.target], [type, payload, target], line);
  }
});

Deno.test("parseRule() lets src imply no-resolve when a type takes both", () => {
  const flags = (line: string) => {
    const rule = ruleOf(line);
    assert("noResolve" in rule);
    return [rule.type, rule.noResolve];
  };
  assertEquals(flags("GEOIP,CN,DIRECT"), ["GEOIP", false]);
  assertEquals(flags("GEOIP,CN,DIRECT,no-resolve"), ["GEOIP", true]);
  assertEquals(flags("GEOIP,CN,DIRECT,src"), ["SRC-GEOIP", true]);
  assertEquals(flags("RULE-SET,ads,DIRECT,src"), ["RULE-SET", true]);
  assertEquals(flags("SRC-IP-CIDR,10.0.0.0/8,DIRECT"), ["SRC-IP-CIDR", true]);
});

Deno.test("parseRule() takes conditions without the outer parentheses when mihomo does, inside a logic rule", () => {
  const rule = ruleOf("AND,((AND,(DOMAIN,baidu.com),(NETWORK,TCP)),(NETWORK,TCP),(DST-PORT,10001-65535)),DIRECT");
  assert(rule.type === "AND");
  assertEquals(rule.conditions.map((each) => each.type), ["AND", "NETWORK", "DST-PORT"]);
});

Deno.test("parseRule() counts no parentheses inside a regular expression when it is part of a logic rule", () => {
  const rule = ruleOf("OR,((DOMAIN-REGEX,^(a|b)\\.(com|org)\\)$),(DOMAIN-REGEX,[)]{1,2}),(NETWORK,tcp)),web");
  assert(rule.type === "OR");
  assertEquals(rule.conditions.map((each) => each.payload), ["^(a|b)\\.(com|org)\\)$", "[)]{1,2}", "tcp"]);
});

/** A wrong line; part of the message; the text that the error points at; part of what was expected. */
const MISTAKES: readonly (readonly [string, string, string, string])[] = [
  ["DOMAN-SUFFIX,a.com,DIRECT", "unsupported rule type: DOMAN-SUFFIX", "DOMAN-SUFFIX", "DOMAIN-SUFFIX"],
  [",a.com,DIRECT", "missing rule type", "", "TYPE,payload,target"],
  ["", "missing rule type", "", "TYPE"],
  ["DOMAIN", "missing target", "DOMAIN", "DOMAIN,www.example.org,TARGET"],
  ["DOMAIN,a.com", "missing target", "DOMAIN,a.com", "TARGET"],
  ["DOMAIN,,DIRECT", "missing subsequent parameters", "", "DOMAIN,"],
  ["MATCH", "missing target", "MATCH", "MATCH,TARGET"],
  ["IP-CIDR,10.0.0.0,DIRECT", "not an address prefix", "10.0.0.0", "192.0.2.0/24"],
  ["IP-CIDR,10.0.0.0/33,DIRECT", "not an address prefix", "10.0.0.0/33", "192.0.2.0/24"],
  ["DST-PORT,70000,DIRECT", "exceeds 65535", "70000", "80/443"],
  ["DST-PORT,a-b,DIRECT", "not a number", "a-b", "80/443"],
  ["DST-PORT,1-2-3,DIRECT", "not a range", "1-2-3", "80/443"],
  [
    `DST-PORT,${Array(29).fill("80").join("/")},DIRECT`,
    "too many ranges to use, maximum support 28 ranges",
    Array(29).fill("80").join("/"),
    "80",
  ],
  ["DSCP,64,DIRECT", "exceeds 63", "64", "46"],
  ["NETWORK,icmp,DIRECT", "unsupported network type, only TCP/UDP", "icmp", "tcp or udp"],
  ["IN-TYPE,SOKS,DIRECT", "unknown type: SOKS", "SOKS", "SOCKS"],
  ["GEOIP,C N,DIRECT", "not a country code", "C N", "CN"],
  ["IP-ASN,cloudflare,DIRECT", "not a number", "cloudflare", "13335"],
  ["DOMAIN-REGEX,(a,DIRECT", "invalid regular expression", "(a", "regular expression"],
  ["DOMAIN-REGEX,DIRECT", "missing target", "DIRECT", "TARGET"],
  [
    "NOT,((DST-PORT,5600-6666),(DOMAIN,a.com)),DIRECT",
    "not rule must contain one rule",
    "((DST-PORT,5600-6666),(DOMAIN,a.com))",
    "((TYPE,payload))",
  ],
  ["NOT,(DOMAIN,a.com),DIRECT", "not rule must contain one rule", "(DOMAIN,a.com)", "((TYPE,payload))"],
  ["NOT,(()),DIRECT", "format is error", "", "TYPE,payload"],
  ["AND,(DOMAIN,a.com),(NETWORK,TCP)),DIRECT", "missing '('", ")", "(TYPE,payload)"],
  ["AND,((DOMAIN,a.com),(NETWORK,TCP),DIRECT", "format error is missing )", "((DOMAIN,a.com),(NETWORK,TCP)", ")"],
  ["AND,((DOMAIN,a.com)x(NETWORK,TCP)),DIRECT", "unexpected text", "x", "(TYPE,payload)"],
  ["AND,((MATCH,a)),DIRECT", "unsupported rule type [MATCH] on logic rule", "MATCH", ""],
  ["AND,((SUB-RULE,(NETWORK,tcp),a)),DIRECT", "unsupported rule type [SUB-RULE] on logic rule", "SUB-RULE", ""],
  ["AND,((NETWORK,sctp)),DIRECT", "unsupported network type", "sctp", "tcp or udp"],
  [
    "SUB-RULE,(NETWORK,tcp),(NETWORK,udp),inner",
    "Sub-Rule rule must contain one rule",
    "(NETWORK,tcp),(NETWORK,udp)",
    "(TYPE,payload)",
  ],
  ["AND,DOMAIN,DIRECT", "payload format error", "DOMAIN", "((TYPE,payload)"],
];

Deno.test("parseRule() points at what is wrong and says what was expected", () => {
  for (const [line, message, place, expected] of MISTAKES) {
    const error = errorOf(line);
    assert(error.message.includes(message), `${line}: ${error.message}`);
    assertEquals(line.slice(error.offset, error.offset + error.length), place, line);
    assert((error.expected ?? "").includes(expected), `${line}: expected ${error.expected}`);
  }
});

Deno.test("parseRule() warns when mihomo would pass over a mistake in silence", () => {
  const warningOf = (line: string) => {
    const result = parseRule(line);
    assert("rule" in result);
    return result.warning?.message ?? "";
  };
  assertEquals(warningOf("GEOIP,CN,DIRECT,no-resolve"), "");
  assertEquals(warningOf("GEOIP,CN,DIRECT,no-resolv"), "unknown parameter no-resolv");
  assertEquals(warningOf("DOMAIN,a.com,DIRECT,no-resolve"), "no-resolve means nothing in a DOMAIN rule");
  assertEquals(warningOf("DOMAIN-SUFFIX,.cn,DIRECT"), "a suffix with a dot in front never matches");
});

Deno.test("parseRule() refuses logic rules that nest too deep, and lines that are too long", () => {
  const nested = (depth: number) => `${"NOT,((".repeat(depth)}NETWORK,tcp${"))".repeat(depth)},DIRECT`;
  assertEquals(ruleOf(nested(32)).type, "NOT");
  assert(errorOf(nested(33)).message.includes("deeper"));
  assert(errorOf(`DOMAIN,${"a".repeat(70_000)},DIRECT`).message.includes("65536"));
});

Deno.test("parseClassicalLine() reads rules without a target and refuses MATCH, RULE-SET and SUB-RULE", () => {
  const type = (line: string) => {
    const result = parseClassicalLine(line);
    return "rule" in result ? `${result.rule.type} ${result.rule.payload}` : result.error.message;
  };
  assertEquals(type("PROCESS-NAME,frpc"), "PROCESS-NAME frpc");
  assertEquals(type("DOMAIN-REGEX,^a{1,2}$"), "DOMAIN-REGEX ^a{1,2}$");
  assertEquals(type("IP-CIDR,10.0.0.0/8,no-resolve"), "IP-CIDR 10.0.0.0/8");
  assertEquals(type("AND,((DOMAIN,a),(NETWORK,tcp))"), "AND ((Domain,a) && (Network,tcp))");
  for (const refused of ["MATCH", "RULE-SET", "SUB-RULE"]) {
    assertEquals(type(`${refused},x`), `unsupported rule type on classical rule-set: ${refused}`);
  }
  assertEquals(type("DOMAIN"), "missing subsequent parameters: DOMAIN");
});

const PIECES = [
  "AND",
  "OR",
  "NOT",
  "SUB-RULE",
  "DOMAIN",
  "DOMAIN-REGEX",
  "IP-CIDR",
  "MATCH",
  "(",
  ")",
  "((",
  "))",
  ",",
  "\\",
  "[",
  "a.com",
  "1.0.0.0/8",
  "*",
  "例",
  "\ud800",
  " ",
];

Deno.test("parseRule() gives a rule or an error inside the line when the line is anything", () => {
  const line = fc.oneof(
    fc.string({ unit: "binary", maxLength: 60 }),
    fc.array(fc.constantFrom(...PIECES), { maxLength: 24 }).map((pieces) => pieces.join("")),
  );
  fc.assert(
    fc.property(line, (text) => {
      for (const result of [parseRule(text), parseClassicalLine(text)]) {
        if ("rule" in result) continue;
        assert(result.error.offset >= 0 && result.error.offset + result.error.length <= text.length);
      }
    }),
    { seed: 7, numRuns: 6_000 },
  );
});

Deno.test("parseRule() takes no more than linear time when parentheses pile up", () => {
  for (
    const text of [
      "(".repeat(60_000),
      "()".repeat(30_000),
      `(${"(A,b)".repeat(10_000)})`,
      "(DOMAIN-REGEX,".repeat(4_000),
    ]
  ) {
    for (const type of ["AND", "OR", "NOT", "SUB-RULE"]) parseRule(`${type},${text},DIRECT`);
  }
});
