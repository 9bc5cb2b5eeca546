/** Made-up replay results, the same for the same seed: a day in an office, and one where every text is hostile. */
import { Prng } from "../../core/base/prng.ts";
import { emptyFacts, type Metadata, toMetadata } from "../../core/classify/facts.ts";
import type { ReplayCapture, ReplayFlow, ReplayResult, ReplayRule } from "../../core/cli/replay_result.ts";
import type { ExplainStep, VerdictAction } from "../../core/decide/verdict.ts";

/** What to make. */
export interface ResultShape {
  readonly seed: number;
  readonly flows: number;
  /** Steps of an explanation on every flow. */
  readonly explain?: boolean;
}

interface Program {
  readonly name: string;
  readonly path: string;
}

const PROGRAMS: readonly Program[] = [
  { name: "firefox.exe", path: "C:\\Program Files\\Mozilla Firefox\\firefox.exe" },
  { name: "Teams.exe", path: "C:\\Users\\office\\AppData\\Local\\Microsoft\\Teams\\current\\Teams.exe" },
  { name: "steam.exe", path: "C:\\Program Files (x86)\\Steam\\steam.exe" },
  { name: "svchost.exe", path: "C:\\Windows\\System32\\svchost.exe" },
  { name: "backup-agent", path: "/opt/backup/bin/backup-agent" },
  { name: "", path: "" },
];

const HOSTS: readonly string[] = [
  "example.org",
  "www.example.org",
  "cdn.example.net",
  "video.example.com",
  "mail.example.org",
  "login.example.com",
  "telemetry.example.net",
  "ads.tracker.example",
  "updates.example.com",
  "a-rather-long-name-of-a-content-delivery-node-17.eu-central-1.edge.example.net",
  "bücher.example",
  "例え.テスト",
  "static.example.org",
  "api.example.com",
  "chat.example.net",
  "",
];

const RULES: readonly { type: string; payload: string; proxy: string; verdict: VerdictAction; chains: string[] }[] = [
  { type: "ProcessName", payload: "backup-agent", proxy: "DIRECT", verdict: "direct", chains: ["DIRECT"] },
  { type: "DomainSuffix", payload: "tracker.example", proxy: "REJECT", verdict: "reject", chains: ["REJECT"] },
  { type: "Domain", payload: "telemetry.example.net", proxy: "REJECT-DROP", verdict: "drop", chains: ["REJECT-DROP"] },
  { type: "DomainSuffix", payload: "example.org", proxy: "office", verdict: "proxy", chains: ["ss-1", "office"] },
  { type: "DomainKeyword", payload: "video", proxy: "media", verdict: "proxy", chains: ["tokyo-2", "fast", "media"] },
  { type: "GeoIP", payload: "CN", proxy: "DIRECT", verdict: "direct", chains: ["DIRECT"] },
  { type: "IPCIDR", payload: "10.0.0.0/8", proxy: "DIRECT", verdict: "direct", chains: ["DIRECT"] },
  { type: "RuleSet", payload: "unused-provider", proxy: "office", verdict: "proxy", chains: ["ss-1", "office"] },
  { type: "Match", payload: "", proxy: "everything-else", verdict: "proxy", chains: ["ss-1", "everything-else"] },
];

/** Names that would do harm on a careless terminal or page. */
export const HOSTILE_TEXTS: readonly string[] = [
  "<script>window.pwned = 1</script>",
  "</script><script>window.pwned = 2</script>",
  "<img src=x onerror=window.pwned=3>",
  `"><svg onload=window.pwned=4>`,
  "' onmouseover='window.pwned=5",
  "<!-- <script>",
  "]]></style><b>bold</b>",
  "javascript:window.pwned=6",
  "{{7*7}} ${7*7}",
  "\x1b[31mred\x1b[0m\x1b]0;title\x07",
  "\x9b2Jcleared",
  "one\ntwo\r\nthree\ttab\0nul",
  "evil\u202egro.elpmaxe\u202c.example",
  "zero\u200bwidth\ufeff\u2060.example",
  "z\u0351\u0352\u0353\u0354\u0355\u0356\u0357algo.example",
  "\u0301leading mark",
  "lone \ud800 surrogate \udc00",
  "\u2028line\u2029paragraph",
  "wide 漢字漢字 한국어 ｆｕｌｌ 👩‍👩‍👧‍👦 🇩🇪🇩",
  "\u1100\u1100\u1100\u1161\u1161\u11a8\u11a8",
  "tag\u{e0041}\u{e0042}.example",
  "&lt;b&gt; &amp; &#x3c;",
  "%s%n %d",
  "__proto__",
  "constructor",
  "x".repeat(5000),
];

function pick<T>(prng: Prng, list: readonly T[]): T {
  return list[prng.below(list.length)]!;
}

/** Many small numbers and a few large ones, as traffic has them. */
function longTailed(prng: Prng, bitsMax: number): number {
  return prng.below(2 ** prng.between(3, bitsMax));
}

function address(prng: Prng): string {
  if (prng.chance(1, 6)) return `2001:db8:${prng.below(0xffff).toString(16)}::${prng.between(1, 0xffff).toString(16)}`;
  return `203.0.${prng.between(112, 114)}.${prng.between(1, 254)}`;
}

function explanation(rule: number, host: string): ExplainStep[] {
  const steps: ExplainStep[] = [{
    kind: "lookup",
    type: "process",
    payload: "",
    target: "",
    outcome: "matched",
    why: "found in the capture",
    costUs: 132,
  }];
  for (let i = 0; i <= rule; i++) {
    const { type, payload, proxy } = RULES[i]!;
    const matched = i === rule;
    const why = matched ? `${host || "the address"} is what the rule wants` : `${host || "no name"} is not ${payload}`;
    steps.push({ kind: "rule", type, payload, target: proxy, outcome: matched ? "matched" : "mismatch", why });
  }
  return steps;
}

function makeFlow(prng: Prng, startMs: number, explain: boolean): ReplayFlow {
  const host = pick(prng, HOSTS);
  const program = pick(prng, PROGRAMS);
  const rule = prng.below(RULES.length);
  const { type, payload, verdict, chains } = RULES[rule]!;
  const network = prng.chance(1, 4) ? "udp" : "tcp";
  const metadata: Metadata = {
    ...toMetadata(emptyFacts(network)),
    sourceIP: "192.168.1.7",
    sourcePort: String(prng.between(49152, 65535)),
    destinationIP: address(prng),
    destinationPort: pick(prng, ["443", "443", "443", "80", "53", "22", "3478"]),
    host,
    sniffHost: host,
    sniffProtocol: host === "" ? "" : network === "udp" ? "quic" : "tls",
    ech: prng.chance(1, 20),
    process: program.name,
    processPath: program.path,
    processId: program.name === "" ? 0 : prng.between(4, 40_000),
    destinationGeoIP: prng.chance(1, 3) ? [pick(prng, ["de", "us", "cn", "jp"])] : [],
  };
  const stopped = verdict === "reject" || verdict === "drop";
  return {
    metadata,
    rule: type,
    rulePayload: payload,
    chains: [...chains],
    verdict,
    packets: stopped ? prng.between(1, 3) : prng.between(4, 4000),
    upload: stopped ? prng.below(600) : longTailed(prng, 20),
    download: stopped ? 0 : longTailed(prng, 26),
    start: new Date(startMs).toISOString().replace("Z", `${String(prng.below(1000)).padStart(3, "0")}Z`),
    ...(explain ? { explain: explanation(rule, host) } : {}),
  };
}

function rulesOf(flows: readonly ReplayFlow[]): ReplayRule[] {
  return RULES.map(({ type, payload, proxy }) => ({
    type,
    payload,
    proxy,
    hits: flows.filter((flow) => flow.rule === type && flow.rulePayload === payload).length,
  }));
}

/** A replay of an office's morning: `flows` flows in about ten minutes, in the order of their start. */
export function makeResult(shape: ResultShape): ReplayResult {
  const prng = new Prng(shape.seed).fork("replay-result");
  const flows: ReplayFlow[] = [];
  let at = Date.UTC(2024, 4, 1, 10, 0, 0);
  for (let i = 0; i < shape.flows; i++) {
    // Traffic comes in bursts: long pauses are rare, short ones are not.
    at += prng.chance(1, 10) ? prng.below(1_200_000 / shape.flows * 4) : prng.below(1_200_000 / shape.flows);
    flows.push(makeFlow(prng, at, shape.explain ?? false));
  }
  const packets = flows.reduce((sum, flow) => sum + flow.packets, 0);
  const ruleReject = flows.filter(({ verdict }) => verdict === "reject").reduce((sum, flow) => sum + flow.packets, 0);
  const ruleDrop = flows.filter(({ verdict }) => verdict === "drop").reduce((sum, flow) => sum + flow.packets, 0);
  const dropped = { ruleReject, ruleDrop, notIp: 12, ipv4BadLength: 1 };
  const captures: ReplayCapture[] = [
    { file: "morning.pcapng", format: "pcapng", linkTypes: ["ETHERNET"], packets, bytes: packets * 611, error: null },
    {
      file: "captures/cut-off.pcap",
      format: "pcap",
      linkTypes: ["RAW", "LINUX_SLL2"],
      packets: 13,
      bytes: 1840,
      error: { message: "Cannot read record 14: the file ends inside it", offset: 1998 },
    },
  ];
  const counters = {
    received: packets + 13,
    delivered: packets - ruleReject - ruleDrop,
    consumed: 0,
    queued: 0,
    dropped,
  };
  return { schema: "weir.replay/1", captures, counters, flows, rules: rulesOf(flows) };
}

/** A result in which each text that can come from outside is one of `texts`. */
export function makeHostileResult(texts: readonly string[] = HOSTILE_TEXTS): ReplayResult {
  const result = makeResult({ seed: 7, flows: texts.length, explain: true });
  const flows = result.flows.map((flow, i): ReplayFlow => {
    const text = texts[i]!;
    const metadata: Metadata = {
      ...flow.metadata,
      host: text,
      sniffHost: text,
      process: i % 2 === 0 ? text : "",
      processPath: `/opt/${text}`,
      user: text,
      inboundName: text,
      remoteDestination: text,
    };
    const explain = flow.explain!.map((step) => ({ ...step, type: text, payload: text, target: text, why: text }));
    return { ...flow, metadata, rule: text, rulePayload: text, chains: [text, text], explain };
  });
  return {
    ...result,
    flows,
    rules: texts.map((text, i) => ({ type: text, payload: text, proxy: text, hits: i })),
    counters: {
      ...result.counters,
      received: result.counters.received + texts.length,
      dropped: { ...result.counters.dropped, ...Object.fromEntries(texts.map((text) => [`~${text}`, 1])) },
    },
    captures: texts.map((text) => ({
      file: text,
      format: "pcap",
      linkTypes: [text],
      packets: 1,
      bytes: 60,
      error: { message: text, offset: 24 },
    })),
  };
}
