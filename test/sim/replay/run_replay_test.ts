/** Built captures through a replay: time, processes, names, outputs and damage. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import type { PolicyVerdict } from "../../../core/act/command.ts";
import type { FlowFacts } from "../../../core/classify/facts.ts";
import type { ReplayResult } from "../../../core/cli/replay_result.ts";
import { loadConfig } from "../../../core/config/load.ts";
import { namePolicyOf, sniffOptionsOf } from "../../../core/config/sniffing.ts";
import { createQuicCrypto } from "../../../core/host/quic_crypto.ts";
import { Verify } from "../../../core/parse/parse.ts";
import { openCapture } from "../../../sim/capture/open.ts";
import type { ProcessFact } from "../../../sim/capture/record.ts";
import { PcapngWriter } from "../../../sim/capture/write.ts";
import { type ReplayWorld, runReplay } from "../../../sim/replay/run_replay.ts";
import { MemoryFiles } from "../../config/memory_files.ts";
import { tcpPacket, udpPacket } from "../../support/packets.ts";
import { checkReplayDocument } from "../../support/replay_schema.ts";
import { duplicating } from "../../support/programs.ts";

/** A packet, when it came, and whose it is. */
interface Entry {
  readonly packet: Uint8Array;
  readonly atUs: number;
  readonly process?: ProcessFact;
}

const GAME: ProcessFact = { path: "/opt/game", name: "game", pid: 7, user: "alice", uid: 1000 };
const HTTP = "GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n";
const BACK = { source: "198.51.100.2", destination: "192.0.2.1", destinationPort: 50000 };
const START_US = 1_700_000_000_000_000;

/** A DNS answer: a.test is 203.0.113.9. */
const DNS_ANSWER = [
  ...[0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0],
  ...[1, 97, 4, 116, 101, 115, 116, 0, 0, 1, 0, 1],
  ...[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 9],
];

function captureOf(entries: readonly Entry[]): Uint8Array {
  const bytes: number[] = [];
  const writer = new PcapngWriter((part) => bytes.push(...part), {});
  writer.addInterface({});
  for (const { packet, atUs, process } of entries) {
    const fields = { timestampUs: atUs, originalLength: packet.length, direction: 0, comment: undefined } as const;
    writer.writePacket(packet, 0, packet.length, { ...fields, process });
  }
  writer.flush();
  return new Uint8Array(bytes);
}

/** Replays captures that are given as bytes. */
async function run(
  captures: readonly Uint8Array[],
  rules: readonly string[],
  world: Partial<ReplayWorld> = {},
): Promise<ReplayResult> {
  const text = JSON.stringify({ "find-process-mode": "strict", proxies: [{ name: "office", type: "direct" }], rules });
  const { config, issues } = await loadConfig("/c.yaml", new MemoryFiles({ "/c.yaml": text }));
  assertEquals(issues.filter(({ severity }) => severity === "error"), []);
  const folder = await Deno.makeTempDir();
  try {
    const sources = [];
    for (const [i, bytes] of captures.entries()) {
      const path = `${folder}/${i}`;
      await Deno.writeFile(path, bytes);
      sources.push({ path, open: () => openCapture(path) });
    }
    const result = await runReplay({
      captures: sources,
      decider: config!.decider,
      sniff: sniffOptionsOf(config!.sniffer),
      names: namePolicyOf(config!.sniffer),
      crypto: createQuicCrypto(),
      policy: undefined,
      processes: undefined,
      mode: "tun",
      verify: Verify.None,
      seed: 1,
      explain: false,
      output: undefined,
      onProgress: undefined,
      ...world,
    });
    assertEquals(checkReplayDocument(result), []);
    return result;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const rulesOf = (result: ReplayResult) => result.flows.map(({ rule }) => rule);

Deno.test("runReplay() lets a rule know the process that only a later packet of the flow names", async () => {
  const entries = [
    { packet: udpPacket({ payload: "x" }), atUs: START_US },
    { packet: udpPacket({ ...BACK, sourcePort: 53, payload: "y" }), atUs: START_US + 5, process: GAME },
  ];
  const result = await run([captureOf(entries)], ["PROCESS-NAME,game,REJECT", "MATCH,DIRECT"]);
  const { metadata, rule, packets } = result.flows[0]!;
  assertEquals([metadata.process, metadata.processId, metadata.user, rule, packets], [
    "game",
    7,
    "alice",
    "ProcessName",
    2,
  ]);
});

Deno.test("runReplay() reports a process that comes after the decision", async () => {
  const entries = [
    { packet: udpPacket({ payload: "x" }), atUs: START_US },
    { packet: udpPacket({ payload: "x" }), atUs: START_US + 5, process: GAME },
  ];
  const result = await run([captureOf(entries)], ["MATCH,DIRECT"]);
  assertEquals([result.flows[0]!.rule, result.flows[0]!.metadata.process], ["Match", "game"]);
});

Deno.test("runReplay() never lets time run backwards from one capture to the next, and says the times that the captures say", async () => {
  const first = captureOf([{ packet: udpPacket({ payload: "x" }), atUs: START_US }]);
  const earlier = captureOf([{ packet: udpPacket({ payload: "x" }), atUs: START_US - 3_600_000_000 }]);
  const later = captureOf([{ packet: udpPacket({ payload: "x" }), atUs: START_US + 3_600_000_000 }]);
  const together = await run([first, earlier], []);
  assertEquals(together.flows.map(({ packets, start }) => [packets, start]), [[2, "2023-11-14T22:13:20.000000Z"]]);
  const apart = await run([first, later], []);
  assertEquals(apart.flows.map(({ start }) => start), ["2023-11-14T22:13:20.000000Z", "2023-11-14T23:13:20.000000Z"]);
});

Deno.test("runReplay() goes on with the next capture when one is none, and keeps what came before damage", async () => {
  const good = captureOf([{ packet: udpPacket({ payload: "x" }), atUs: START_US }, {
    packet: udpPacket({ payload: "y" }),
    atUs: START_US + 1,
  }]);
  const result = await run([new Uint8Array(100), good.slice(0, -5), good], []);
  assertEquals(result.captures.map(({ format, packets }) => [format, packets]), [[null, 0], ["pcapng", 1], [
    "pcapng",
    2,
  ]]);
  assertStringIncludes(result.captures[0]!.error!.message, "not a pcap or pcapng file");
  assertEquals(result.captures.map(({ error }) => error === null), [false, false, true]);
  assertEquals(result.counters.received, 3);
});

Deno.test("runReplay() names a flow by what DNS answered earlier in the capture, and does not resolve what has an address", async () => {
  const entries = [
    { packet: udpPacket({ ...BACK, sourcePort: 53, payload: DNS_ANSWER }), atUs: START_US },
    { packet: tcpPacket({ flags: "S", sequence: 1, destinationPort: 80 }), atUs: START_US + 10 },
    {
      packet: tcpPacket({
        flags: "PA",
        sequence: 2,
        destinationPort: 80,
        payload: HTTP.replace("www.example.org", "a.test"),
      }),
      atUs: START_US + 20,
    },
    {
      packet: tcpPacket({ flags: "S", sequence: 1, destination: "203.0.113.9", destinationPort: 22 }),
      atUs: START_US + 30,
    },
  ];
  const result = await run([captureOf(entries)], [
    "IP-CIDR,203.0.113.9/32,REJECT",
    "DOMAIN,a.test,office",
    "MATCH,DIRECT",
  ]);
  assertEquals(result.flows.map(({ metadata }) => metadata.host), ["", "a.test", "a.test"]);
  assertEquals(rulesOf(result), ["Match", "Domain", "IPCIDR"]);
});

Deno.test("runReplay() asks the policy once for each flow, and takes its target and its copies", async () => {
  const asked: string[] = [];
  const policy = (facts: FlowFacts): Promise<PolicyVerdict | undefined> => {
    asked.push(`${facts.network} ${facts.destinationPort}`);
    return Promise.resolve(
      facts.destinationPort === 53 ? { via: "DIRECT", effects: { program: duplicating(3) } } : undefined,
    );
  };
  const written: number[] = [];
  const entries = [1, 2, 3].flatMap((i) => [
    { packet: udpPacket({ payload: "x" }), atUs: START_US + i },
    { packet: udpPacket({ destinationPort: 99, payload: "x" }), atUs: START_US + i },
  ]);
  const output = (bytes: Uint8Array) => void written.push(...bytes);
  const result = await run([captureOf(entries)], ["MATCH,REJECT-DROP"], { policy, output });
  assertEquals(asked, ["udp 53", "udp 99"]);
  assertEquals(rulesOf(result), ["Policy", "Match"]);
  assertEquals([result.counters.delivered, result.counters.dropped], [3, { ruleDrop: 3 }]);
  const again = await run([new Uint8Array(written)], []);
  assertEquals(again.counters.received, 9, "each of the three direct packets left three times");
});

Deno.test("runReplay() writes the packets that leave, unchanged, with the decision as their comment", async () => {
  const written: number[] = [];
  const packet = udpPacket({ payload: "x" });
  const entries = [{ packet, atUs: START_US }, {
    packet: udpPacket({ destinationPort: 99, payload: "x" }),
    atUs: START_US + 1,
  }];
  const output = (bytes: Uint8Array) => void written.push(...bytes);
  await run([captureOf(entries)], ["DST-PORT,99,REJECT-DROP", "MATCH,DIRECT"], { output });
  const text = String.fromCharCode(...written);
  assertStringIncludes(text, String.fromCharCode(...packet));
  assertStringIncludes(text, "weir: direct by Match via DIRECT");
  assertEquals(
    (await run([new Uint8Array(written)], [])).flows.map(({ metadata, start }) => [metadata.destinationPort, start]),
    [
      ["53", "2023-11-14T22:13:20.000000Z"],
    ],
  );
});
