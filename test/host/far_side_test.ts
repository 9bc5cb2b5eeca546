import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type IpAddress, parseIp } from "../../core/base/ip_address.ts";
import { addMicros, type Micros, micros, MILLISECOND_US } from "../../core/base/micros.ts";
import { emptyFacts, type FlowFacts } from "../../core/classify/facts.ts";
import { loadConfig, type WeirConfig } from "../../core/config/load.ts";
import { Deliberation } from "../../core/decide/deliberation.ts";
import type { Verdict } from "../../core/decide/verdict.ts";
import { Dialer, type DialResult } from "../../core/host/dial.ts";
import { createDuplexPair } from "../../core/host/duplex_pair.ts";
import { FarSide, HIJACK_RULE, isHijacked } from "../../core/host/far_side.ts";
import { createFarSide, type RunningFarSide } from "../../core/host/create_far_side.ts";
import { Outbounds } from "../../core/host/outbounds.ts";
import { Groups } from "../../core/outbound/groups.ts";
import { testEnv } from "../support/outbound_pairs.ts";
import { MemoryFiles } from "../config/memory_files.ts";

/** Reaches what it is told to reach. */
class ScriptedDialer extends Dialer {
  readonly dialed: string[] = [];
  readonly #reachable: ReadonlySet<number>;

  constructor(reachable: readonly number[]) {
    super();
    this.#reachable = new Set(reachable);
  }

  override dial(_address: IpAddress, port: number): Promise<DialResult> {
    this.dialed.push(String(port));
    return Promise.resolve(
      this.#reachable.has(port)
        ? { stream: createDuplexPair()[0] }
        : { failure: "refused", message: "nobody listens there" },
    );
  }
}

const CONFIG = `
dns: { enable: true, enhanced-mode: fake-ip, nameserver: ["rcode://refused"] }
proxies:
  - { name: dead, type: ss, server: 192.0.2.1, port: 1001, cipher: aes-128-gcm, password: secret }
  - { name: alive, type: ss, server: 192.0.2.2, port: 1002, cipher: aes-128-gcm, password: secret }
proxy-groups:
  - { name: either, type: fallback, proxies: [dead, alive], url: "http://192.0.2.9/", interval: 60 }
  - { name: none, type: fallback, proxies: [dead, REJECT], url: "http://192.0.2.9/", interval: 60 }
rules:
  - DOMAIN,either.test,either
  - DOMAIN,none.test,none
  - DOMAIN,dead.test,dead
  - DOMAIN,plain.test,DIRECT
  - MATCH,REJECT
`;

async function readConfig(text: string): Promise<WeirConfig> {
  const { config, issues } = await loadConfig("clash.yaml", new MemoryFiles({ "clash.yaml": text }));
  assert(config !== undefined, JSON.stringify(issues));
  return config;
}

/** A far side whose waits pass no time; each lets what is to be tried out fail or succeed, as the dialer would. */
async function makeFarSide(reachable: readonly number[]) {
  const config = await readConfig(CONFIG);
  const dialer = new ScriptedDialer(reachable);
  const groups = new Groups(config.groups, micros(0));
  const waits: number[] = [];
  let now: Micros = micros(0);
  const farSide = new FarSide({
    dialer,
    outbounds: new Outbounds(config.outbounds, {
      dialer,
      env: testEnv(),
      resolve: (host) => Promise.resolve(host === "plain.test" ? [parseIp("192.0.2.7")!] : []),
    }),
    groups,
    groupNames: new Set(config.groups.map(({ name }) => name)),
    dns: undefined,
    hijacks: [],
    clock: () => now,
    wait: (ms) => {
      waits.push(ms);
      now = addMicros(now, ms * MILLISECOND_US);
      for (const { id, chain } of groups.checks.splice(0)) groups.checked(id, chain[0] === "alive" ? 10 : undefined);
      return Promise.resolve();
    },
  }, { now: () => now, touched: () => {} });
  const decider = farSide.wrap(config.decider);
  return { farSide, dialer, waits, decide: (facts: FlowFacts) => decideWith(decider, facts) };
}

function decideWith(decider: ReturnType<FarSide["wrap"]>, facts: FlowFacts): Verdict {
  const { verdict } = new Deliberation(false);
  assertEquals(decider.decide(facts, verdict), "none");
  return verdict;
}

function factsOf(host: string, network: "tcp" | "udp" = "tcp"): FlowFacts {
  const facts = emptyFacts(network);
  facts.sourceIp = parseIp("198.18.0.1");
  facts.sourcePort = 40_000;
  facts.host = host;
  facts.dnsMode = "fake-ip";
  facts.destinationPort = 443;
  return facts;
}

const NEVER_GIVEN_UP = new AbortController().signal;

Deno.test("FarSide.open() asks the group again when a proxy's server refuses", async () => {
  const { farSide, dialer, waits, decide } = await makeFarSide([1002]);
  const facts = factsOf("either.test");
  const verdict = decide(facts);
  assertEquals(verdict.chains, ["dead", "either"]);
  const { stream } = await farSide.open(facts, verdict, NEVER_GIVEN_UP);
  assert(stream !== undefined);
  assertEquals([dialer.dialed, waits], [["1001", "1002"], [10]]);
  stream.abort();
});

Deno.test("FarSide.open() ends after ten tries within five seconds when nothing else is there", async () => {
  const { farSide, dialer, waits, decide } = await makeFarSide([]);
  const facts = factsOf("dead.test");
  const { failure } = await farSide.open(facts, decide(facts), NEVER_GIVEN_UP);
  assertEquals([failure, dialer.dialed.length, waits.length], ["refused", 10, 9]);
  assert(waits.reduce((sum, ms) => sum + ms) < 5_000);
});

Deno.test("FarSide.open() refuses when the group chose REJECT meanwhile", async () => {
  const { farSide, dialer, decide } = await makeFarSide([]);
  const facts = factsOf("none.test");
  const { failure } = await farSide.open(facts, decide(facts), NEVER_GIVEN_UP);
  assertEquals([failure, dialer.dialed], ["prohibited", ["1001"]]);
});

Deno.test("FarSide.open() dials once when the destination itself refuses", async () => {
  const { farSide, dialer, decide } = await makeFarSide([]);
  const facts = factsOf("plain.test");
  assertEquals((await farSide.open(facts, decide(facts), NEVER_GIVEN_UP)).failure, "refused");
  assertEquals(dialer.dialed, ["443"]);
});

Deno.test("FarSide carries nothing to a fake address whose name nobody knows", async () => {
  const { farSide, dialer, decide } = await makeFarSide([443]);
  const facts = factsOf("");
  const verdict = { ...decide(factsOf("plain.test")) };
  const result = await farSide.open(facts, verdict, NEVER_GIVEN_UP);
  assertEquals([result.failure, dialer.dialed], ["hostUnreachable", []]);
  assertEquals(farSide.routeOf(facts, verdict), undefined);
});

Deno.test("FarSide.routeOf() says which way datagrams go", async () => {
  const { farSide, decide } = await makeFarSide([]);
  const named = factsOf("either.test", "udp");
  assertEquals(farSide.routeOf(named, { ...decide(factsOf("either.test")) }), {
    kind: "channel",
    chain: ["dead"],
    destination: { address: undefined, host: "either.test", port: 443 },
  });
  assertEquals(farSide.routeOf(named, { ...decide(factsOf("either.test")), chains: ["alive", "REJECT"] }), undefined);
  const plain = factsOf("plain.test", "udp");
  const direct = { ...decide(factsOf("plain.test")) };
  assertEquals(farSide.routeOf(plain, direct)?.kind, "channel");
  plain.dnsMode = "redir-host";
  plain.destinationIp = parseIp("192.0.2.7");
  assertEquals(farSide.routeOf(plain, direct), { kind: "plain" });
});

const HIJACK_CASES = [
  [["any:53"], "udp", "192.0.2.1", 53, true],
  [["any:53"], "tcp", "2001:db8::1", 53, true],
  [["any:53"], "udp", "192.0.2.1", 54, false],
  [["tcp://any:53"], "udp", "192.0.2.1", 53, false],
  [["192.0.2.1:53"], "udp", "192.0.2.1", 53, true],
  [["192.0.2.1:53"], "udp", "192.0.2.2", 53, false],
  [["192.0.2.1:53", "udp://[2001:db8::1]:5353"], "udp", "2001:db8::1", 5353, true],
  [[], "udp", "192.0.2.1", 53, false],
] as const;

for (const [targets, network, ip, port, expected] of HIJACK_CASES) {
  Deno.test(`isHijacked() is ${expected} for ${network} ${ip} ${port} when ${targets.join(" and ") || "nothing"} is`, async () => {
    const { tun } = await readConfig(`tun: { dns-hijack: ${JSON.stringify(targets)} }\nrules: ["MATCH,DIRECT"]\n`);
    const facts = emptyFacts(network);
    facts.destinationIp = parseIp(ip);
    facts.destinationPort = port;
    assertEquals(isHijacked(facts, tun.dnsHijack), expected);
  });
}

async function running(): Promise<{ running: RunningFarSide; config: WeirConfig }> {
  const config = await readConfig(CONFIG);
  const start = performance.now();
  const clock = () => micros(Math.round((performance.now() - start) * MILLISECOND_US));
  const running = createFarSide(config, {
    dialer: new ScriptedDialer([]),
    resolveWithSystem: () => Promise.reject(new Error("not here")),
    clock,
    uint32: () => 7,
    touched: () => {},
    say: () => {},
  });
  return { running, config };
}

/** A question for the address of a.test. */
const QUESTION = Uint8Array.of(0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 97, 4, 116, 101, 115, 116, 0, 0, 1, 0, 1);

Deno.test("createFarSide() answers questions over streams itself, before every rule, and leaves no timer", async () => {
  const { running: { farSide, close }, config } = await running();
  const facts = emptyFacts("tcp");
  facts.destinationIp = parseIp("192.0.2.53");
  facts.destinationPort = 53;
  const verdict = decideWith(farSide.wrap(config.decider), facts);
  assertEquals([verdict.rule, verdict.action, verdict.chains], [HIJACK_RULE, "proxy", ["DNS"]]);
  const { stream } = await farSide.open(facts, verdict, NEVER_GIVEN_UP);
  await stream!.write(Uint8Array.of(0, QUESTION.length, ...QUESTION));
  await stream!.closeWrite();
  const answer = new Uint8Array(512);
  let length = 0;
  for (let read = 0; read !== null; read = (await stream!.read(answer.subarray(length)))!) length += read;
  const fake = answer.subarray(length - 4, length).join(".");
  assertStringIncludes(fake, "198.18.");
  assertEquals(farSide.given!.nameOf(parseIp(fake)!, micros(0)), "a.test");
  assertEquals(farSide.given!.isFake(parseIp(fake)!), true);
  close();
});

Deno.test("createFarSide() answers datagrams to where they came from, as who was asked", async () => {
  const { running: { farSide, close } } = await running();
  const sent = Promise.withResolvers<readonly [string, number, Uint8Array]>();
  const source = {
    isOpen: true,
    send: (from: Uint32Array, port: number, bytes: Uint8Array, at: number, length: number) => {
      sent.resolve([from.join(" "), port, bytes.slice(at, at + length)]);
      return true;
    },
  };
  let touched = 0;
  const peer = { address: parseIp("192.0.2.53")!, port: 53 };
  farSide.answerDns(source, QUESTION, peer, () => touched++);
  const [from, port, answer] = await sent.promise;
  const { w0, w1, w2, w3 } = peer.address;
  assertEquals([from, port, answer[1], touched], [[w0, w1, w2, w3].join(" "), 53, 9, 1]);
  close();
});
