import { assert, assertEquals } from "@std/assert";
import { micros } from "../core/base/micros.ts";
import {
  FLOW_WAITING_COUNT_MAX,
  FRAGMENT_DATAGRAM_COUNT_MAX,
  FRAGMENT_TIMEOUT_US,
  NAME_WAIT_CLIENT_FIRST_US,
  NAME_WAIT_US,
  UDP_IDLE_US,
} from "../core/base/limits.ts";
import { parseIp } from "../core/base/ip_address.ts";
import { Prng } from "../core/base/prng.ts";
import { DROP_REASON_NAMES } from "../core/parse/drop_reason.ts";
import { ACKNOWLEDGMENT, SEQUENCE } from "../core/parse/packet_meta.ts";
import { Verify } from "../core/parse/parse.ts";
import { EngineWorld } from "./support/engine_world.ts";
import {
  address,
  be16,
  ipv4Packet,
  ipv6Packet,
  tcpPacket,
  tcpSegment,
  udpDatagram,
  udpPacket,
} from "./support/packets.ts";
import { parseOne } from "./support/slots.ts";
import { duplicating } from "./support/programs.ts";

const HTTP = "GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n";
const syn = tcpPacket({ flags: "S", sequence: 100 });
const back = { source: "198.51.100.2", destination: "192.0.2.1", sourcePort: 443, destinationPort: 50000 };
const synAck = tcpPacket({ ...back, flags: "SA", sequence: 900, acknowledgment: 101 });
const request = tcpPacket({ flags: "PA", sequence: 101, acknowledgment: 901, payload: HTTP });

/** A DNS answer: `name` has the address. */
function dnsAnswer(name: string, ip: string): number[] {
  const labels = name.split(".").flatMap((label) => [label.length, ...new TextEncoder().encode(label)]);
  const question = [...labels, 0, 0, 1, 0, 1];
  return [
    0,
    1,
    0x81,
    0x80,
    0,
    1,
    0,
    1,
    0,
    0,
    0,
    0,
    ...question,
    0xc0,
    12,
    0,
    1,
    0,
    1,
    0,
    0,
    0,
    60,
    0,
    4,
    ...address(ip),
  ];
}

Deno.test("Engine delivers what is direct, consumes what is proxied, drops what is to be dropped", () => {
  for (
    const [action, counters] of [
      ["direct", [2, 0, {}]],
      ["proxy", [0, 2, {}]],
      ["drop", [0, 0, { ruleDrop: 2 }]],
    ] as const
  ) {
    const world = new EngineWorld();
    world.decider.script.action = action;
    world.feed(syn, synAck);
    const { delivered, consumed } = world.engine.counters;
    assertEquals([delivered, consumed, world.engine.counters.droppedByName()], [...counters] as unknown[]);
    assertEquals(world.adapter.sent.length, action === "direct" ? 2 : 0);
    world.finish();
    assertEquals([world.ended.length, world.ended[0]!.packets], [1, 2]);
  }
});

Deno.test("Engine forwards direct packets byte for byte", () => {
  const world = new EngineWorld();
  world.feed(syn, request);
  assertEquals(world.adapter.sent, [syn, request]);
});

Deno.test("Engine answers a rejected SYN with a reset that fits it", () => {
  const world = new EngineWorld();
  world.decider.script.action = "reject";
  world.feed(syn);
  assertEquals(world.engine.counters.droppedByName(), { ruleReject: 1 });
  const { reason, meta } = parseOne(world.adapter.sent[0]!, { verify: Verify.All });
  assertEquals([reason, meta.flags, meta.sourcePort, meta.destinationPort], ["none", 0x14, 443, 50000]);
  assertEquals([meta.words[SEQUENCE], meta.words[ACKNOWLEDGMENT]], [0, 101]);
  world.feed(tcpPacket({ flags: "PA", sequence: 101, acknowledgment: 77, payload: "x" }));
  const second = parseOne(world.adapter.sent[1]!, { verify: Verify.All }).meta;
  assertEquals([second.flags, second.words[SEQUENCE]], [0x04, 77]);
  world.feed(tcpPacket({ flags: "R", sequence: 102 }), synAck);
  assertEquals(world.adapter.sent.length, 2, "resets and the server's packets are not answered");
});

Deno.test("Engine answers a rejected datagram with port unreachable over both versions", () => {
  const world = new EngineWorld();
  world.decider.script.action = "reject";
  const four = udpPacket({ destinationPort: 9999, payload: "hello" });
  const six = udpPacket({ source: "2001:db8:0:0:0:0:0:1", destinationPort: 9999, payload: "x".repeat(2000) });
  world.feed(four, six, udpPacket({ destination: "224.0.0.251", payload: "many" }));
  assertEquals(world.adapter.sent.length, 2);
  const one = parseOne(world.adapter.sent[0]!, { verify: Verify.All });
  assertEquals([one.reason, one.meta.sourcePort, one.meta.destinationPort], ["none", 3, 3]);
  assertEquals([...world.adapter.sent[0]!.slice(28)], [...four]);
  const two = parseOne(world.adapter.sent[1]!, { verify: Verify.All });
  assertEquals([two.reason, two.meta.sourcePort, two.meta.destinationPort], ["none", 1, 4]);
  assertEquals(world.adapter.sent[1]!.length, 1280);
});

Deno.test("Engine keeps a flow's packets until its name is there", () => {
  const world = new EngineWorld();
  world.decider.script.wants = ["name"];
  world.decider.script.action = "proxy";
  world.feed(syn, synAck);
  assertEquals([world.engine.counters.queued, world.engine.counters.consumed], [2, 0]);
  world.feed(request);
  assertEquals([world.engine.counters.queued, world.engine.counters.consumed], [0, 3]);
  assertEquals(world.decider.seen.map((facts) => facts.host), ["www.example.org"]);
});

Deno.test("Engine stops waiting for a name after its time, longer where clients speak first", () => {
  for (const [port, wait] of [[443, NAME_WAIT_CLIENT_FIRST_US], [22, NAME_WAIT_US]] as const) {
    const world = new EngineWorld();
    world.decider.script.wants = ["name"];
    world.feed(tcpPacket({ flags: "S", destinationPort: port }));
    const start = world.now;
    assertEquals(world.at(start), start + wait);
    world.at(start + wait - 1);
    assertEquals(world.engine.counters.queued, 1);
    world.at(start + wait);
    assertEquals([world.engine.counters.queued, world.engine.counters.delivered], [0, 1]);
    assertEquals(world.decider.seen[0]!.host, "");
  }
});

Deno.test("Engine decides with what is known when too many packets wait", () => {
  const world = new EngineWorld();
  world.decider.script.wants = ["name"];
  world.feed(syn);
  for (let i = 1; i < FLOW_WAITING_COUNT_MAX; i++) world.feed(tcpPacket({ flags: "A", sequence: 101 }));
  assertEquals([world.engine.counters.queued, world.engine.counters.delivered], [0, FLOW_WAITING_COUNT_MAX]);
});

Deno.test("Engine drops with queueFull what exceeds a queue while a lookup is under way", () => {
  const world = new EngineWorld();
  world.decider.script.wants = ["process"];
  for (let i = 0; i < FLOW_WAITING_COUNT_MAX + 3; i++) world.feed(udpPacket({ payload: "x" }));
  assertEquals(world.engine.counters.droppedByName(), { queueFull: 3 });
  assertEquals(world.engine.commands.length, 1);
});

Deno.test("Engine asks for a process, a resolve and a policy once each, and goes on with the answers", () => {
  const world = new EngineWorld({ hasPolicy: true });
  world.decider.script.wants = ["process", "resolve"];
  const take = () => world.engine.commands.splice(0);
  world.feed(udpPacket({ payload: "x" }));
  assertEquals(take().map((command) => command.kind), ["findProcess"]);
  world.feed(udpPacket({ payload: "y" }));
  assertEquals(take(), []);
  const owner = { name: "game.exe", path: "C:\\game.exe", processId: 7, user: "", uid: undefined };
  world.engine.handle({ kind: "processFound", flow: 0, owner, costUs: 5 }, world.now);
  assertEquals(take().map((command) => command.kind), ["askPolicy"]);
  world.engine.handle({ kind: "policyAnswered", flow: 0, verdict: undefined }, world.now);
  assertEquals(take().map((command) => command.kind), ["resolve"]);
  world.engine.handle({ kind: "resolved", flow: 0, addresses: [parseIp("203.0.113.5")!], costUs: 9 }, world.now);
  assertEquals(take(), []);
  assertEquals(world.decider.seen, [{ host: "", process: "game.exe", destination: parseIp("203.0.113.5") }]);
  assertEquals(world.engine.counters.delivered, 2);
  world.finish();
  const steps = world.ended[0]!.deliberation.steps.map((step) => [step.type, step.costUs]);
  assertEquals(steps, [["process", 5], ["Policy", undefined], ["resolve", 9]]);
});

Deno.test("Engine remembers a failed lookup and ignores answers nobody waits for", () => {
  const world = new EngineWorld();
  world.decider.script.wants = ["process", "resolve"];
  world.feed(udpPacket({ payload: "x" }));
  world.engine.handle({ kind: "processFound", flow: 99, owner: undefined, costUs: 0 }, world.now);
  world.engine.handle({ kind: "processFound", flow: 0, owner: undefined, costUs: 0 }, world.now);
  world.engine.handle({ kind: "processFound", flow: 0, owner: undefined, costUs: 0 }, world.now);
  world.engine.handle({ kind: "resolved", flow: 0, addresses: [], costUs: 0 }, world.now);
  assertEquals(world.engine.commands.map((command) => command.kind), ["findProcess", "resolve"]);
  assertEquals(world.engine.counters.delivered, 1);
});

Deno.test("Engine takes a policy's target, and the rules' where the target will not do", () => {
  for (const [via, consumed] of [["office", 1], ["nowhere", 0]] as const) {
    const world = new EngineWorld({ hasPolicy: true });
    world.decider.script.policyTargets = { office: "proxy" };
    world.feed(udpPacket({ payload: "x" }));
    world.engine.handle({ kind: "processFound", flow: 0, owner: undefined, costUs: 0 }, world.now);
    const verdict = { via, effects: { program: duplicating(2) } };
    world.engine.handle({ kind: "policyAnswered", flow: 0, verdict }, world.now);
    assertEquals(world.engine.counters.consumed, consumed);
    assertEquals(world.adapter.sent.length, consumed === 1 ? 0 : 2, "a direct packet leaves twice");
    world.finish();
    assertEquals(world.ended[0]!.deliberation.verdict.rule, consumed === 1 ? "Policy" : "Match");
  }
});

Deno.test("Engine takes names from DNS answers that passed by, and the sniffed one before them", () => {
  const world = new EngineWorld();
  world.decider.script.wants = ["name"];
  const answer = (name: string) => udpPacket({ ...back, sourcePort: 53, payload: dnsAnswer(name, "203.0.113.9") });
  world.feed(answer("files.example.com"));
  world.feed(tcpPacket({ flags: "S", destination: "203.0.113.9", destinationPort: 22 }));
  world.feed(
    tcpPacket({
      source: "203.0.113.9",
      sourcePort: 22,
      destination: "192.0.2.1",
      destinationPort: 50000,
      flags: "PA",
      payload: "SSH-2.0-x\r\n",
    }),
  );
  assertEquals(world.decider.seen.at(-1)!.host, "files.example.com");
  const sniffed = { destination: "203.0.113.9", destinationPort: 80, sourcePort: 50001 };
  world.feed(tcpPacket({ ...sniffed, flags: "S", sequence: 1 }));
  world.feed(tcpPacket({ ...sniffed, flags: "PA", sequence: 2, payload: HTTP }));
  assertEquals(world.decider.seen.at(-1)!.host, "www.example.org");
});

Deno.test("Engine does not wait for a sniffed name when DNS is to be believed", () => {
  const world = new EngineWorld({ preferSniffed: false });
  world.decider.script.wants = ["name"];
  world.feed(udpPacket({ ...back, sourcePort: 53, payload: dnsAnswer("files.example.com", "203.0.113.9") }));
  world.feed(tcpPacket({ flags: "S", destination: "203.0.113.9" }));
  assertEquals(world.decider.seen.at(-1)!.host, "files.example.com");
  world.feed(udpPacket({ ...back, sourcePort: 53, payload: dnsAnswer("other.example.com", "203.0.113.9") }));
  world.feed(tcpPacket({ flags: "S", destination: "203.0.113.9", sourcePort: 50001 }));
  assertEquals(world.engine.counters.queued, 1, "two names for one address: the flow's own bytes know better");
});

Deno.test("Engine decides a datagram in fragments as one, and lets its fragments go on as they came", () => {
  const world = new EngineWorld();
  const payload = udpDatagram({ payload: Array.from({ length: 64 }, (_, i) => i) });
  const pieces = [
    ipv4Packet(payload.slice(32), { id: 5, offset: 32 }),
    ipv4Packet(payload.slice(0, 32), { id: 5, more: true }),
  ];
  world.feed(...pieces);
  assertEquals(world.adapter.sent, pieces);
  world.finish();
  assertEquals([world.ended[0]!.packets, world.ended[0]!.upload], [2, 64]);
});

Deno.test("Engine drops fragments with the reason they deserve", () => {
  const world = new EngineWorld();
  const eight = [1, 2, 3, 4, 5, 6, 7, 8];
  const piece = (id: number, offset: number, more = true) => ipv4Packet(eight, { id, offset, more });
  world.feed(piece(1, 8), piece(1, 8));
  assertEquals(world.engine.counters.droppedByName(), { fragmentDuplicate: 1 });
  world.feed(piece(2, 8), ipv4Packet([...eight, ...eight], { id: 2, offset: 0, more: true }));
  assertEquals(world.engine.counters.droppedByName(), { fragmentDuplicate: 1, fragmentOverlap: 2 });
  world.at(world.now + FRAGMENT_TIMEOUT_US);
  assertEquals(world.engine.counters.droppedByName(), { fragmentDuplicate: 1, fragmentOverlap: 2, fragmentTimeout: 1 });
  for (let id = 0; id <= FRAGMENT_DATAGRAM_COUNT_MAX; id++) world.feed(piece(100 + id, 8));
  assertEquals(world.engine.counters.droppedByName().fragmentTableFull, 1);
  const total = new EngineWorld();
  total.feed(
    ipv4Packet(udpDatagram({ payload: new Array(65504).fill(0) }), { id: 1, more: true }),
    ipv4Packet(new Array(20).fill(0), { id: 1, offset: 65512 }),
  );
  assertEquals(total.engine.counters.droppedByName(), { fragmentMalformed: 2 });
  world.finish();
});

Deno.test("Engine ends flows that are idle, and drops what they still keep waiting", () => {
  const world = new EngineWorld();
  world.decider.script.wants = ["process"];
  world.feed(udpPacket({ payload: "x" }));
  const start = world.now;
  assertEquals(world.at(start), start + UDP_IDLE_US);
  world.at(start + UDP_IDLE_US);
  assertEquals(world.engine.counters.droppedByName(), { flowEnded: 1 });
  assertEquals(world.ended.length, 1);
  world.engine.handle({ kind: "processFound", flow: 0, owner: undefined, costUs: 0 }, world.now);
  world.finish();
});

Deno.test("Engine hands ICMP on, and other protocols only where there is somebody to hand them to", () => {
  const echo = ipv4Packet([8, 0, 0xf7, 0xff, 0, 0, 0, 0], { protocol: 1 });
  const gre = ipv4Packet([0, 0, 8, 0], { protocol: 47 });
  const tun = new EngineWorld({ kind: "tun" });
  tun.feed(echo, gre);
  assertEquals([tun.engine.counters.delivered, tun.engine.counters.droppedByName()], [1, { unsupportedProtocol: 1 }]);
  const divert = new EngineWorld({ kind: "divert" });
  divert.feed(echo, gre);
  assertEquals([divert.engine.counters.delivered, divert.adapter.sent], [2, [echo, gre]]);
});

Deno.test("Engine counts what the device refuses", () => {
  const world = new EngineWorld();
  world.adapter.isFull = true;
  world.feed(syn);
  assertEquals(world.engine.counters.droppedByName(), { deviceFull: 1 });
});

Deno.test("Engine takes a SYN on used ports for a new flow, and a repeated or late one for the same", () => {
  const used = new EngineWorld();
  used.feed(syn, synAck, tcpPacket({ flags: "FA", sequence: 101 }), tcpPacket({ flags: "S", sequence: 7777 }));
  used.finish();
  assertEquals(used.ended.length, 2);
  const repeated = new EngineWorld();
  repeated.feed(syn, syn, synAck, syn);
  repeated.finish();
  assertEquals([repeated.ended.length, repeated.ended[0]!.packets], [1, 4]);
  const late = new EngineWorld();
  late.feed(tcpPacket({ ...back, flags: "PA", sequence: 901, payload: "banner" }), syn);
  late.finish();
  const facts = late.ended[0]!.record.facts;
  assertEquals([late.ended.length, facts.sourcePort, late.ended[0]!.download], [1, 50000, 6]);
});

Deno.test("Engine keeps the law over 100,000 seeded packets of every kind", () => {
  const prng = new Prng(20260603);
  const world = new EngineWorld({ kind: "divert", verify: Verify.All });
  const ports = () => ({ sourcePort: 50000 + prng.below(30), destinationPort: [53, 80, 443, 22][prng.below(4)]! });
  const make = (): Uint8Array => {
    const swap = prng.chance(1, 3) ? { source: "198.51.100.2", destination: "192.0.2.1" } : {};
    switch (prng.below(6)) {
      case 0:
        return tcpPacket({
          ...ports(),
          ...swap,
          flags: ["S", "SA", "A", "FA", "R", "PA"][prng.below(6)]!,
          payload: prng.chance(1, 2) ? HTTP : "",
        });
      case 1:
        return udpPacket({ ...ports(), ...swap, payload: dnsAnswer("a.example", "203.0.113.1") });
      case 2:
        return ipv4Packet(udpDatagram({ payload: "x".repeat(40) }).slice(0, 8 + 8 * prng.below(6)), {
          id: prng.below(9),
          offset: 8 * prng.below(8),
          more: prng.chance(1, 2),
        });
      case 3:
        return ipv6Packet([17, prng.below(3), ...be16(prng.below(65536)), ...udpDatagram()], {
          source: "1:2:3:4:5:6:7:8",
          protocol: [0, 44, 60, 43][prng.below(4)]!,
        });
      case 4:
        return ipv4Packet(tcpSegment().slice(0, prng.below(24)), { protocol: [1, 6, 17, 58, 89][prng.below(5)]! });
      default: {
        const packet = tcpPacket({ ...ports(), payload: HTTP });
        packet[prng.below(packet.length)] = prng.below(256);
        return packet;
      }
    }
  };
  world.decider.script.wants = ["name", "process"];
  for (let i = 0; i < 100_000; i++) {
    world.adapter.isFull = prng.chance(1, 50);
    world.decider.script.action = (["direct", "proxy", "reject", "drop"] as const)[prng.below(4)]!;
    world.adapter.incoming.push(make());
    world.at(world.now + prng.below(200_000));
    for (const command of world.engine.commands.splice(0)) {
      if (prng.chance(1, 10)) continue;
      world.engine.handle({ kind: "processFound", flow: command.flow, owner: undefined, costUs: 0 }, world.now);
    }
    world.check();
    if (world.adapter.sent.length > 1000) world.adapter.sent.length = 0;
  }
  world.at(world.now + 10 * UDP_IDLE_US);
  world.finish();
  assert(world.ended.length > 1000);
  const seen = new Set(Object.keys(world.engine.counters.droppedByName()));
  for (const name of seen) assert(DROP_REASON_NAMES.includes(name));
  assert(seen.size > 12, [...seen].join());
});

Deno.test("Engine decides what is left when the world ends", () => {
  const world = new EngineWorld();
  world.decider.script.wants = ["name"];
  world.feed(syn);
  world.finish();
  assertEquals([world.engine.counters.delivered, world.ended.length], [1, 1]);
  assertEquals(world.ended[0]!.record.start, micros(1000));
});
