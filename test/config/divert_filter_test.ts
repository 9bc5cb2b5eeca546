import { assert, assertEquals } from "@std/assert";
import { formatIp, type IpAddress, parseIp } from "../../core/base/ip_address.ts";
import { FILTER_TESTS_MAX } from "../../core/base/limits.ts";
import { Prng } from "../../core/base/prng.ts";
import { emptyFacts, type FlowFacts } from "../../core/classify/facts.ts";
import { deriveDivertFilter, type DivertFilterOptions } from "../../core/config/divert_filter.ts";
import { loadConfig, type WeirConfig } from "../../core/config/load.ts";
import { LinearDecider } from "../../core/decide/linear.ts";
import type { DecideConfig } from "../../core/decide/decide_config.ts";
import { parseRule } from "../../core/decide/parse_rule.ts";
import type { Rule } from "../../core/decide/rule.ts";
import { buildTargets } from "../../core/decide/targets.ts";
import type { Verdict } from "../../core/decide/verdict.ts";
import { compileFilter } from "../../core/filter/mod.ts";
import { answerName, answerProcess, answerResolve, randomConfig, randomName } from "../decide/random_rules.ts";
import { ipv4Packet, ipv6Packet, tcpPacket, udpPacket } from "../support/packets.ts";
import { MemoryFiles } from "./memory_files.ts";

const PROXIES = `proxies:
  - {name: p, type: ss, server: 203.0.113.9, port: 8388, cipher: aes-128-gcm, password: x, udp: true}
  - {name: h, type: http, server: px.example, port: 80}
`;

async function load(yaml: string): Promise<WeirConfig> {
  const { config, issues } = await loadConfig("c.yaml", new MemoryFiles({ "c.yaml": PROXIES + yaml }));
  assert(config !== undefined, JSON.stringify(issues));
  return config;
}

function rules(...lines: string[]): string {
  return `rules: ${JSON.stringify(lines)}\n`;
}

const EVERYWHERE = "((remoteAddr >= 1.0.0.0 and remoteAddr <= 126.255.255.255) or " +
  "(remoteAddr >= 128.0.0.0 and remoteAddr <= 169.253.255.255) or " +
  "(remoteAddr >= 169.255.0.0 and remoteAddr <= 223.255.255.255) or " +
  "(remoteAddr >= ::1:0:0:0 and remoteAddr <= fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff))";
const OUT = "outbound and !loopback";
const NO_DHCP = "(remotePort < 67 or remotePort > 68) and (remotePort < 546 or remotePort > 547)";
const NO_PROXY = "(remoteAddr != 203.0.113.9 or remotePort != 8388)";
const ALL_FLOWS =
  `${OUT} and ${EVERYWHERE} and (fragment or (tcp and ${NO_PROXY}) or (udp and ${NO_DHCP} and ${NO_PROXY}))`;
const NAMES = "!loopback and udp and remotePort == 53";

Deno.test("deriveDivertFilter() asks for what a configuration needs, and for nothing else", async () => {
  const table: [name: string, yaml: string, filter: string, options?: Partial<DivertFilterOptions>][] = [
    ["nothing", "", "false"],
    ["all direct", rules("DOMAIN,a.example,DIRECT", "PROCESS-NAME,x,DIRECT", "MATCH,DIRECT"), "false"],
    ["all proxied", rules("MATCH,p"), ALL_FLOWS],
    ["a proxy without UDP", rules("MATCH,h"), `${OUT} and ${EVERYWHERE} and (fragment or (tcp and ${NO_PROXY}))`],
    [
      "ports",
      rules("DST-PORT,25/6881-6889,REJECT", "MATCH,DIRECT"),
      `${OUT} and ${EVERYWHERE} and (fragment or ((tcp or udp) and (remotePort == 25 or (remotePort >= 6881 and remotePort <= 6889))))`,
    ],
    [
      "a port of one network",
      rules("AND,((NETWORK,udp),(DST-PORT,443)),REJECT"),
      `${OUT} and ${EVERYWHERE} and (fragment or (udp and remotePort == 443))`,
    ],
    [
      "a prefix",
      rules("IP-CIDR,198.51.100.0/24,h"),
      `${OUT} and remoteAddr >= 198.51.100.0 and remoteAddr <= 198.51.100.255 and (fragment or tcp)`,
    ],
    ["one address", rules("IP-CIDR,198.51.100.7/32,h"), `${OUT} and remoteAddr == 198.51.100.7 and (fragment or tcp)`],
    [
      "IPv6",
      rules("IP-CIDR6,2001:db8::/32,h"),
      `${OUT} and remoteAddr >= 2001:db8:: and remoteAddr <= 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff and (fragment or tcp)`,
    ],
    ["a prefix that is never carried", rules("IP-CIDR,224.0.0.0/8,REJECT"), "false"],
    [
      "where it comes from",
      rules("AND,((SRC-PORT,5000-5009),(SRC-IP-CIDR,10.0.0.0/8)),REJECT"),
      `${OUT} and ${EVERYWHERE} and localAddr >= 10.0.0.0 and localAddr <= 10.255.255.255 and (fragment or ` +
      `(tcp and localPort >= 5000 and localPort <= 5009 and ${NO_PROXY}) or ` +
      `(udp and ${NO_DHCP} and localPort >= 5000 and localPort <= 5009 and ${NO_PROXY}))`,
    ],
    [
      "a process within ports",
      rules("AND,((PROCESS-NAME,game.exe),(NETWORK,udp),(DST-PORT,27000-27050)),p", "MATCH,DIRECT"),
      `${OUT} and ${EVERYWHERE} and (fragment or (udp and remotePort >= 27000 and remotePort <= 27050))`,
    ],
    ["a process", rules("PROCESS-NAME,game.exe,p"), ALL_FLOWS],
    ["a process that is not looked up", `find-process-mode: off\n${rules("PROCESS-NAME,game.exe,p")}`, "false"],
    ["a name", rules("DOMAIN-SUFFIX,example.org,p"), `(${ALL_FLOWS}) or (${NAMES})`],
    ["a name that changes nothing", rules("DOMAIN-SUFFIX,example.org,DIRECT"), "false"],
    [
      "exceptions",
      rules("IP-CIDR,192.168.0.0/16,DIRECT", "DST-PORT,53,DIRECT", "MATCH,h"),
      `${OUT} and ${
        EVERYWHERE.replace("223.255.255.255)", "192.167.255.255)").replace(
          " or (remoteAddr >= ::1",
          " or (remoteAddr >= 192.169.0.0 and remoteAddr <= 223.255.255.255) or (remoteAddr >= ::1",
        )
      } and ` +
      `(fragment or (tcp and remotePort != 53 and ${NO_PROXY}))`,
    ],
    ["mode global, which is direct at first", `mode: global\n${rules("MATCH,p")}`, "false"],
    [
      "mode global with a proxy",
      "mode: global\nproxy-groups: [{name: GLOBAL, type: select, proxies: [p]}]\n",
      ALL_FLOWS,
    ],
    ["mode direct", `mode: direct\n${rules("MATCH,p")}`, "false"],
    ["a policy", "", `(${ALL_FLOWS}) or (${NAMES})`, { hasPolicy: true }],
    [
      "the user's own filter",
      `weir: {divert: {filter: "tcp or udp.DstPort == 53"}}\n${rules("IP-CIDR,198.51.100.7/32,h")}`,
      `(tcp or udp.DstPort == 53) and ${OUT} and remoteAddr == 198.51.100.7 and (fragment or tcp)`,
    ],
    [
      "the user's own filter of one test",
      `weir: {divert: {filter: tcp}}\n${rules("IP-CIDR,198.51.100.7/32,h")}`,
      `tcp and ${OUT} and remoteAddr == 198.51.100.7 and (fragment or tcp)`,
    ],
    [
      "listeners",
      rules("IP-CIDR,198.51.100.7/32,h"),
      `(${OUT} and remoteAddr == 198.51.100.7 and (fragment or tcp)) or (outbound and tcp and localPort == 7000)`,
      { listenerPorts: [7000] },
    ],
    [
      "listeners whatever the user's filter says",
      `weir: {divert: {filter: "tcp.DstPort == 80"}}\n${rules("IP-CIDR,198.51.100.7/32,h")}`,
      `(tcp.DstPort == 80 and ${OUT} and remoteAddr == 198.51.100.7 and (fragment or tcp)) or (outbound and tcp and localPort == 7000)`,
      { listenerPorts: [7000] },
    ],
    [
      "loopback",
      `weir: {divert: {loopback: true}}\n${rules("IP-CIDR,127.0.0.1/32,REJECT")}`,
      `outbound and remoteAddr == 127.0.0.1 and (fragment or tcp or (udp and ${NO_DHCP}))`,
    ],
    [
      "a packet program",
      `weir: {programs: {twice: {duplicate: 2}}}\n${rules("DST-PORT,27015,DIRECT,program=twice")}`,
      `(${OUT} and ${EVERYWHERE} and (fragment or ((tcp or udp) and remotePort == 27015))) or ` +
      `(inbound and (tcp or udp) and ${EVERYWHERE} and remotePort == 27015)`,
    ],
    ["made-up addresses", `dns: {enable: true, enhanced-mode: fake-ip, nameserver: [1.1.1.1]}\n`, FAKE()],
    [
      "hosts make destinations uncertain",
      `hosts: {a.example: 1.2.3.4}\n${rules("IP-CIDR,198.51.100.7/32,h")}`,
      `${OUT} and ${EVERYWHERE} and (fragment or (tcp and ${NO_PROXY}))`,
    ],
  ];
  for (const [name, yaml, filter, options] of table) {
    const derived = deriveDivertFilter(await load(yaml), { hasPolicy: false, ...options });
    assertEquals(derived.filter, filter, name);
    assertEquals(derived.isWidened, false, name);
  }
});

function FAKE(): string {
  const where = "((remoteAddr >= 198.18.0.0 and remoteAddr <= 198.18.255.255) or remotePort == 53)";
  return `${OUT} and ${EVERYWHERE} and (fragment or (tcp and ${where}) or (udp and ${NO_DHCP} and ${where}))`;
}

/** A configuration made of rules only, as `loadConfig` would give it. */
function configOf(decide: DecideConfig, empty: WeirConfig): WeirConfig {
  return { ...empty, decide };
}

const REMOTES = [
  "10.0.0.1",
  "10.0.1.1",
  "10.1.0.7",
  "192.168.1.7",
  "8.8.8.8",
  "1.2.3.4",
  "fd00::1",
  "2001:db8::7",
  "9.9.9.9",
];
const LOCALS = ["10.0.0.9", "192.168.1.9", "fd00::9", "2001:db8::9"];
const PORTS = [25, 53, 80, 443, 1500, 2000, 50_000];

function pick<T>(prng: Prng, from: readonly T[]): T {
  return from[prng.below(from.length)]!;
}

/** Eight full groups, as the packet builders want them. */
function groups(ip: IpAddress): string {
  if (ip.version === 4) return formatIp(ip);
  return [ip.w0, ip.w1, ip.w2, ip.w3].map((word) => `${(word >>> 16).toString(16)}:${(word & 0xffff).toString(16)}`)
    .join(":");
}

/** A flow that a program of this machine opens, as facts and as packets. */
function randomFlow(prng: Prng): { facts: FlowFacts; packets: Uint8Array[] } {
  const facts = emptyFacts(pick(prng, ["tcp", "udp"]));
  const remote = parseIp(pick(prng, REMOTES))!;
  const local = pick(prng, LOCALS.map((text) => parseIp(text)!).filter(({ version }) => version === remote.version));
  facts.sourceIp = local;
  facts.destinationIp = remote;
  facts.sourcePort = pick(prng, PORTS);
  facts.destinationPort = pick(prng, PORTS);
  facts.dscp = pick(prng, [0, 46]);
  facts.host = prng.chance(1, 2) ? randomName(prng) : "";
  facts.nameMayCome = prng.chance(1, 2);
  if (prng.chance(1, 2)) answerProcess(prng, facts);
  const ends = {
    source: groups(local),
    destination: groups(remote),
    sourcePort: facts.sourcePort,
    destinationPort: facts.destinationPort,
  };
  const whole = facts.network === "tcp"
    ? [tcpPacket({ ...ends, flags: "S" }), tcpPacket({ ...ends, payload: [1, 2, 3] })]
    : [udpPacket({ ...ends, payload: [1, 2, 3] })];
  return { facts, packets: [...whole, fragment(ends, facts.network === "tcp" ? 6 : 17)] };
}

/** A later fragment, which has no ports. */
function fragment(ends: { source: string; destination: string }, protocol: number): Uint8Array {
  if (!ends.source.includes(":")) return ipv4Packet(new Array(24).fill(7), { ...ends, protocol, offset: 64 });
  return ipv6Packet(new Array(24).fill(7), { ...ends, protocol: 44, extensions: [protocol, 0, 0, 64, 0, 0, 0, 1] });
}

function decide(config: DecideConfig, facts: FlowFacts, answers: Prng): Verdict {
  const decider = new LinearDecider(config);
  const verdict: Verdict = {
    action: "drop",
    rule: "",
    rulePayload: "",
    target: "",
    chains: [],
    ruleIndex: -1,
    effects: undefined,
  };
  decider.prepare(facts);
  for (let turn = 0; turn < 6; turn++) {
    const need = decider.decide(facts, verdict);
    if (need === "none") return verdict;
    if (need === "name") answerName(answers, facts);
    else if (need === "resolve") answerResolve(answers, facts);
    else answerProcess(answers, facts);
  }
  throw new Error("no verdict");
}

Deno.test("deriveDivertFilter() takes in every packet of every flow that the rules do not leave alone", async () => {
  const empty = await load("");
  const prng = new Prng(20260714);
  const seen = { touched: 0, narrow: 0, nothing: 0 };
  for (let i = 0; i < 600; i++) {
    const config = randomConfig(prng).slow;
    const derived = deriveDivertFilter(configOf(config, empty), { hasPolicy: false });
    const filter = compileFilter(derived.filter, "network");
    assert(derived.testCount <= FILTER_TESTS_MAX);
    for (let k = 0; k < 25; k++) {
      const { facts, packets } = randomFlow(prng);
      const before = JSON.stringify(facts);
      const verdict = decide(config, facts, prng);
      const isTouched = verdict.action !== "direct" || verdict.effects !== undefined;
      for (const packet of packets) {
        const isTaken = filter.matches(packet, { outbound: true });
        if (isTouched) seen.touched++;
        else if (!isTaken) seen.narrow++;
        if (derived.filter === "false") seen.nothing++;
        if (isTouched && !isTaken) {
          assertEquals(derived.filter, `to take ${before} for ${JSON.stringify(verdict)} of ${rulesText(config)}`);
        }
      }
    }
  }
  assert(seen.touched > 5_000 && seen.narrow > 2_000 && seen.nothing > 400, JSON.stringify(seen));
});

function rulesText({ rules, subRules }: DecideConfig): string {
  const text = (list: readonly Rule[]) =>
    list.map(({ type, payload, target }) => `${type},${payload},${target}`).join("; ");
  return [text(rules), ...[...subRules].map(([name, list]) => `${name}: ${text(list)}`)].join(" | ");
}

/** A condition that a packet tells for certain. */
function exactCondition(prng: Prng, depth: number): string {
  if (depth > 0 && prng.chance(1, 3)) {
    if (prng.chance(1, 3)) return `NOT,((${exactCondition(prng, depth - 1)}))`;
    const parts = Array.from({ length: 1 + prng.below(3) }, () => `(${exactCondition(prng, depth - 1)})`);
    return `${pick(prng, ["AND", "OR"])},(${parts.join(",")})`;
  }
  const prefixes = [
    "10.0.0.0/8",
    "10.0.1.0/24",
    "8.8.8.8/32",
    "0.0.0.0/0",
    "fd00::/8",
    "2001:db8::/32",
    "::/0",
    "1.2.3.4/31",
  ];
  return pick(prng, [
    () => `IP-CIDR,${pick(prng, prefixes)}`,
    () => `SRC-IP-CIDR,${pick(prng, prefixes)}`,
    () =>
      `${pick(prng, ["SRC-PORT", "DST-PORT"])},${pick(prng, ["80/443", "1000-2000", "53", "0-65535", "443-65535"])}`,
    () => `NETWORK,${pick(prng, ["tcp", "udp"])}`,
    () => pick(prng, ["GEOIP,lan", "SRC-GEOIP,lan"]),
  ])();
}

Deno.test("deriveDivertFilter() takes in no other flow when packets tell all that the rules ask", async () => {
  const empty = await load("");
  const { targets } = buildTargets([{ name: "web", type: "http" }, { name: "any", type: "ss", udp: true }], []);
  const prng = new Prng(7);
  const seen = { taken: 0, left: 0 };
  for (let i = 0; i < 400; i++) {
    const made = Array.from({ length: 1 + prng.below(8) }, () => {
      const parsed = parseRule(
        `${exactCondition(prng, 2)},${pick(prng, ["DIRECT", "DIRECT", "REJECT", "web", "any", "PASS"])}`,
      );
      assert("rule" in parsed);
      return parsed.rule;
    });
    const config: DecideConfig = { ...empty.decide, rules: made, targets };
    const derived = deriveDivertFilter(configOf(config, empty), { hasPolicy: false });
    assertEquals(derived.isWidened, false);
    const filter = compileFilter(derived.filter, "network");
    for (let k = 0; k < 25; k++) {
      const { facts, packets } = randomFlow(prng);
      const isTouched = decide(config, facts, prng).action !== "direct";
      for (const packet of packets.slice(0, -1)) {
        if (filter.matches(packet, { outbound: true }) !== isTouched) {
          assertEquals(derived.filter, `${isTouched} for ${JSON.stringify(facts)} of ${rulesText(config)}`);
        }
        assertEquals(filter.matches(packet, { outbound: true, loopback: true }), false);
        assertEquals(filter.matches(packet, { outbound: false }), false);
      }
      if (isTouched) seen.taken++;
      else seen.left++;
    }
  }
  assert(seen.taken > 1_000 && seen.left > 1_000, JSON.stringify(seen));
});

Deno.test("deriveDivertFilter() grows rather than being longer than WinDivert allows, and still takes in every touched flow", async () => {
  const empty = await load("");
  const prng = new Prng(3);
  const prefix = () => `${1 + prng.below(223)}.${prng.below(256)}.${prng.below(256)}.0/24`;
  const parse = (line: string) => (parseRule(line) as { rule: Rule }).rule;
  const tables: [name: string, rules: Rule[]][] = [
    ["many prefixes", Array.from({ length: 8_000 }, () => parse(`IP-CIDR,${prefix()},REJECT`))],
    ["many exceptions", [
      ...Array.from({ length: 5_000 }, () => parse(`IP-CIDR,${prefix()},DIRECT`)),
      parse("MATCH,REJECT"),
    ]],
    [
      "by turns",
      Array.from({ length: 3_000 }, (_, i) => parse(`IP-CIDR,${prefix()},${i % 2 === 0 ? "DIRECT" : "REJECT"}`)),
    ],
    [
      "many pairs",
      Array.from({ length: 400 }, (_, i) => parse(`AND,((IP-CIDR,${prefix()}),(DST-PORT,${i + 1})),REJECT`)),
    ],
  ];
  for (const [name, made] of tables) {
    const config = { ...empty.decide, rules: made };
    const derived = deriveDivertFilter(configOf(config, empty), { hasPolicy: false });
    assert(derived.testCount <= FILTER_TESTS_MAX && derived.isWidened, `${name}: ${derived.testCount}`);
    const filter = compileFilter(derived.filter, "network");
    for (let k = 0; k < 100; k++) {
      const { facts } = randomFlow(prng);
      const rule = pick(prng, made);
      if (rule.type === "IP-CIDR") facts.destinationIp = rule.prefix.address;
      if (facts.destinationIp!.version !== 4) continue;
      facts.sourceIp = parseIp("10.0.0.9")!;
      if (decide(config, facts, prng).action === "direct") continue;
      const ends = {
        source: "10.0.0.9",
        destination: formatIp(facts.destinationIp!),
        destinationPort: facts.destinationPort,
      };
      if (/^(127|169\.254)\./.test(ends.destination)) continue;
      const packet = facts.network === "tcp" ? tcpPacket(ends) : udpPacket(ends);
      assert(filter.matches(packet, { outbound: true }), `${name}: ${ends.destination}`);
    }
  }
});

Deno.test("deriveDivertFilter() says why each part is there", async () => {
  const config = await load(
    rules("DOMAIN,a.example,p", "DST-PORT,25,REJECT", "IP-CIDR,10.0.0.0/8,DIRECT", "MATCH,DIRECT"),
  );
  const { parts } = deriveDivertFilter(config, { hasPolicy: false });
  assertEquals(parts.map(({ text }) => text), [ALL_FLOWS, NAMES]);
  const why = parts[0]!.why.join("\n");
  for (
    const part of [
      "DOMAIN,a.example,p: a host name is in no packet, so every tcp flow may be meant",
      "DST-PORT,25,REJECT: taken by its addresses and ports",
      "IP-CIDR,10.0.0.0/8,DIRECT: left alone",
      "weir's own way to p is left alone",
    ]
  ) assert(why.includes(part), why);
});
