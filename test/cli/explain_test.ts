import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { formatIp, parseIp } from "../../core/base/ip_address.ts";
import { emptyFacts, Lookup, toMetadata } from "../../core/classify/facts.ts";
import { UsageError } from "../../core/cli/arguments.ts";
import type { LoadPolicy } from "../../core/cli/configured.ts";
import { explainCommand } from "../../core/cli/explain.ts";
import type { ExplainResult } from "../../core/cli/explain_result.ts";
import { factsFromArguments, FLOW_KEYS } from "../../core/cli/flow_arguments.ts";
import type { PolicyAnswer } from "../../core/host/policy_runner.ts";
import { MemoryFiles } from "../config/memory_files.ts";
import { CapturedIo } from "./captured_io.ts";
import { duplicating } from "../support/programs.ts";

const CONFIG = `proxies: [{name: ss-1, type: ss, server: s, port: 1, udp: false}]
proxy-groups: [{name: office, type: select, proxies: [ss-1]}]
hosts: {fixed.example: 192.0.2.7}
rules:
  - DOMAIN-SUFFIX,example.org,office
  - PROCESS-NAME,curl,office
  - DST-PORT,53,PASS
  - IP-CIDR,192.0.2.0/24,REJECT
  - MATCH,office
`;

interface World {
  readonly config?: string;
  readonly addresses?: Readonly<Record<string, readonly string[]>>;
  readonly answer?: PolicyAnswer;
  readonly columns?: number;
}

async function explain(args: readonly string[], world: World = {}) {
  const io = new CapturedIo(false, world.columns ?? 200);
  const asked: string[] = [];
  let now = 0;
  const loadPolicy: LoadPolicy = () => {
    const { answer } = world;
    if (answer === undefined) return Promise.resolve({ issues: [] });
    const ask = (metadata: { host: string }) => {
      asked.push(`policy ${metadata.host}`);
      now += 60;
      return Promise.resolve(answer);
    };
    return Promise.resolve({
      host: { ruleLines: [], hasOnConnection: true, ask, close: () => Promise.resolve(void asked.push("close")) },
      issues: [],
    });
  };
  const status = await explainCommand(["--config", "c.yaml", ...args], io, {
    files: new MemoryFiles({ "c.yaml": world.config ?? CONFIG }),
    loadPolicy,
    resolve: (host) => {
      asked.push(`resolve ${host}`);
      now += 1500;
      const found = world.addresses?.[host];
      return found === undefined
        ? Promise.reject(new Error("there is no such host"))
        : Promise.resolve(found.map((text) => parseIp(text)!));
    },
    clock: () => now,
  });
  return { status, output: io.output, errors: io.errors, asked };
}

async function explainJson(args: readonly string[], world: World = {}): Promise<ExplainResult & { asked: string[] }> {
  const { status, output, asked } = await explain([...args, "--json"], world);
  assertEquals(status, 0);
  return { ...JSON.parse(output), asked };
}

Deno.test("explainCommand() shows each rule tried, each lookup with its cost, and the verdict", async () => {
  const { status, output, asked } = await explain(
    ["host=www.example.com", "destinationPort=443", "sourceIP=10.0.0.2"],
    {
      addresses: { "www.example.com": ["2001:db8::1", "198.51.100.1"] },
    },
  );
  assertEquals(status, 0);
  assertEquals(asked, ["resolve www.example.com"]);
  assertEquals(output.split("\n"), [
    "tcp 10.0.0.2 → www.example.com:443",
    "    ? lookup process: not known (the lookup failed: no process was given)",
    "    ✓ lookup resolve: matched (www.example.com resolved to 198.51.100.1, 1.50 ms)",
    "    · DomainSuffix(example.org) → office: no match (host www.example.com does not end with .example.org)",
    "    · ProcessName(curl) → office: no match (the flow's process is not known)",
    "    · DstPort(53) → PASS: no match (destination port 443 is not in 53)",
    "    · IPCIDR(192.0.2.0/24) → REJECT: no match (destination 198.51.100.1 is not in 192.0.2.0/24)",
    "    ✓ Match → office: matched (it matches every flow)",
    "proxy office → ss-1 (by Match)",
    "",
  ]);
});

Deno.test("explainCommand() looks nothing up when no rule that is reached needs it", async () => {
  const early = await explainJson(["host=a.example.org"]);
  assertEquals([early.asked, early.rule, early.verdict, early.chains], [[], "DomainSuffix", "proxy", [
    "ss-1",
    "office",
  ]]);
  const hosts = await explainJson(["host=fixed.example"]);
  assertEquals([hosts.asked, hosts.rule, hosts.verdict, hosts.metadata.destinationIP], [
    [],
    "IPCIDR",
    "reject",
    "192.0.2.7",
  ]);
  assertEquals(hosts.steps[0]?.kind, "hosts");
});

Deno.test("explainCommand() takes a given process as looked up", async () => {
  const { steps, rule, asked } = await explainJson(["host=x.example", "processPath=/usr/bin/curl"]);
  assertEquals([rule, asked], ["ProcessName", []]);
  assertEquals(steps.filter((step) => step.outcome === "unknown"), []);
});

Deno.test("explainCommand() goes on when the host has no address", async () => {
  const { steps, rule, verdict } = await explainJson(["host=x.example"]);
  assertEquals([rule, verdict], ["Match", "proxy"]);
  const lookup = steps.find((step) => step.type === "resolve");
  assertEquals(lookup?.why, "x.example could not be resolved: there is no such host");
  assertEquals(lookup?.costUs, 1500);
});

Deno.test("explainCommand() passes PASS and targets without UDP over, down to the default", async () => {
  const { steps, rule, verdict } = await explainJson([
    "destinationIP=8.8.8.8",
    "destinationPort=53",
    "network=udp",
    "process=dig",
  ]);
  assertEquals([rule, verdict], ["", "direct"]);
  const outcomes = steps.filter((step) => step.kind !== "lookup").map(({ type, outcome }) => [type, outcome]);
  assertEquals(outcomes.slice(2), [["DstPort", "targetPass"], ["IPCIDR", "mismatch"], ["Match", "targetCannotUdp"], [
    "",
    "matched",
  ]]);
});

Deno.test("explainCommand() asks the policy first and tells what it cost", async () => {
  const taken = await explainJson(["host=x.example", "--policy", "p.ts"], {
    answer: { kind: "verdict", via: "office", program: duplicating(2) },
  });
  assertEquals([taken.rule, taken.verdict, taken.chains], ["Policy", "proxy", ["ss-1", "office"]]);
  assertEquals(taken.program, "each packet sent 2 times");
  assertEquals(taken.asked, ["policy x.example", "close"]);
  assertEquals(taken.steps.at(-1), {
    kind: "policy",
    type: "onConnection",
    payload: "",
    target: "office",
    outcome: "matched",
    why: "the policy says office; each packet sent 2 times",
    costUs: 60,
  });
  const left = await explainJson(["host=a.example.org", "--policy", "p.ts"], { answer: { kind: "rules" } });
  assertEquals([left.rule, left.steps.filter((step) => step.kind === "policy").length], ["DomainSuffix", 1]);
  const missing = await explainJson(["host=a.example.org", "--policy", "p.ts"], {
    answer: { kind: "verdict", via: "nowhere", program: undefined },
  });
  assertEquals(missing.rule, "DomainSuffix");
  const issue = { severity: "error", file: "p.ts", line: 1, column: 2, message: "it throws" } as const;
  const failed = await explainJson(["host=a.example.org", "--policy", "p.ts"], { answer: { kind: "failed", issue } });
  assertEquals(
    failed.steps.find((step) => step.kind === "policy")?.why,
    "the policy failed, so the rules decide: p.ts:1:2: it throws",
  );
});

Deno.test("explainCommand() folds a long run of rules that did not match, but not in JSON", async () => {
  const lines = Array.from({ length: 1213 }, (_, i) => `  - DOMAIN,a${i}.example,REJECT\n`);
  const config = `rules:\n${lines.join("")}  - MATCH,DIRECT\n`;
  const { output } = await explain(["host=x.example"], { config });
  const shown = output.trimEnd().split("\n");
  assertEquals(shown.length, 1 + 5 + 1 + 5 + 1 + 1);
  assertEquals(shown[6], "    … 1,203 rules did not match");
  assert(shown[5]!.includes("Domain(a4.example)") && shown[7]!.includes("Domain(a1208.example)"));
  assertEquals((await explainJson(["host=x.example"], { config })).steps.length, 1214);
});

Deno.test("explainCommand() writes the issues of a bad configuration to standard error and exits with 2", async () => {
  const { status, output, errors } = await explain(["host=x"], { config: "port: x\n" });
  assertEquals([status, output], [2, ""]);
  assertEquals(errors, 'c.yaml:1:7: error: Cannot read port: found "x", expected a port from 0 to 65535\n');
});

Deno.test("explainCommand() refuses arguments that it cannot use", async () => {
  const refused: [string[], string][] = [
    [[], "Cannot explain nothing: expected key=value, like host=example.org destinationPort=443"],
    [["hots=x"], "Cannot read hots=x: there is no key hots; did you mean host?"],
    [["host"], "Cannot read host: expected key=value, like host=example.org"],
    [["host=a", "host=b"], "Cannot read host=b: host is given twice"],
    [["sourceIP=1.2.3"], "Cannot read sourceIP=1.2.3: expected an IP address after sourceIP="],
    [
      ["destinationPort=70000"],
      "Cannot read destinationPort=70000: expected a whole number from 0 to 65535 after destinationPort=",
    ],
    [["network=icmp"], "Cannot read network=icmp: expected tcp or udp after network="],
    [["dscp=64"], "Cannot read dscp=64: expected a whole number from 0 to 63 after dscp="],
  ];
  for (const [args, message] of refused) {
    const error = await assertRejects(() => explain(args), UsageError);
    assertEquals(error.message, message);
  }
});

Deno.test("factsFromArguments() has a key for every field of Metadata, and reads it back", () => {
  const names = Object.keys(toMetadata(emptyFacts("tcp")));
  assertEquals([...FLOW_KEYS].sort(), names.sort());
  const facts = factsFromArguments([
    "network=udp",
    "sourceIP=10.0.0.1",
    "sourcePort=5",
    "destinationIP=2001:db8::1",
    "host=Example.ORG.",
    "uid=0",
    "destinationGeoIP=cn, us",
    "ech=true",
    "sniffProtocol=tls",
    "dnsMode=fake-ip",
  ]);
  assertEquals([facts.network, formatIp(facts.sourceIp!), facts.sourcePort, formatIp(facts.destinationIp!)], [
    "udp",
    "10.0.0.1",
    5,
    "2001:db8::1",
  ]);
  assertEquals([facts.host, facts.uid, facts.processLookup, facts.destinationGeoIp], ["example.org", 0, Lookup.Done, [
    "cn",
    "us",
  ]]);
  assertEquals([facts.sniffEch, facts.sniffProtocol, facts.dnsMode], [true, "tls", "fake-ip"]);
  assertEquals(factsFromArguments(["processPath=C:\\Apps\\game.exe"]).process, "game.exe");
  assertThrows(() => factsFromArguments(["__proto__=1"]), UsageError);
});

Deno.test("explainCommand() shows the filter of a diverting device with its reasons", async () => {
  const config =
    `proxies: [{name: h, type: http, server: s, port: 1}]\nrules: ["IP-CIDR,198.51.100.7/32,h", "MATCH,DIRECT"]`;
  const { status, output } = await explain(["--filter"], { config, columns: 60 });
  assertEquals(status, 0);
  assertEquals(output.split("\n").slice(0, 3), [
    "outbound and !loopback and remoteAddr == 198.51.100.7 and",
    "  (fragment or tcp)",
    "5 of 256 tests",
  ]);
  assert(output.includes("IP-CIDR,198.51.100.7/32,h: taken by its addresses"));
  const told = JSON.parse((await explain(["--filter", "--json"], { config })).output);
  assertEquals([told.schema, told.testCount, told.testCountMax, told.isWidened], [
    "weir.explain-filter/1",
    5,
    256,
    false,
  ]);
  assertEquals(told.parts.length, 1);
  const nothing = await explain(["--filter"], { config: 'rules: ["MATCH,DIRECT"]' });
  assertEquals(nothing.output, "false\nNothing is diverted: the rules leave every flow alone.\n");
  await assertRejects(() => explain(["--filter", "host=a.example"]), UsageError, "expected --filter or key=value");
});
