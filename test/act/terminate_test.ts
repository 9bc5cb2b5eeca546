import { assert, assertEquals } from "@std/assert";
import type { DialCommand, DialError } from "../../core/act/command.ts";
import { Prng } from "../../core/base/prng.ts";
import { NAME_WAIT_US, TCP_CLOSED_IDLE_US } from "../../core/base/limits.ts";
import { NEVER } from "../../core/base/micros.ts";
import { IdleClass } from "../../core/classify/flow_table.ts";
import { DatagramInfo } from "../../core/stack/datagram_queue.ts";
import { TcpState } from "../../core/stack/tcp/tcp_state.ts";
import { EngineWorld } from "../support/engine_world.ts";
import { ipv4Packet, tcpPacket, udpPacket } from "../support/packets.ts";
import { readSegment, receiveText, sendText, type SentSegment, SYN_OPTIONS, words } from "../support/stack_world.ts";

const HTTP = "GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n";
const SYN = tcpPacket({ flags: "S", sequence: 100, tcpOptions: SYN_OPTIONS });

function stackWorld(options: { kind?: "tun" | "divert" } = {}): EngineWorld {
  return new EngineWorld({ ...options, stack: { env: new Prng(5) } });
}

function takeDial(world: EngineWorld): DialCommand {
  const command = world.engine.commands.shift()!;
  assertEquals(command.kind, "dial");
  return command as DialCommand;
}

function takeSegment(world: EngineWorld): SentSegment {
  return readSegment(world.adapter.sent.shift()!);
}

/** Sends the peer's segments with numbers that fit the SYN-ACK. */
function segment(synAck: SentSegment, flags: string, sequence: number, payload = "", received = 0): Uint8Array {
  return tcpPacket({ flags, sequence, acknowledgment: synAck.sequence + 1 + received, payload });
}

Deno.test("Engine lets a SYN wait until its flow is dialed, then carries the connection to its end", () => {
  for (const action of ["direct", "proxy"] as const) {
    const world = stackWorld();
    world.decider.script.action = action;
    world.feed(SYN, SYN);
    assertEquals(world.adapter.sent.length, 0, "nothing is answered before the far side is there");
    const dial = takeDial(world);
    assertEquals([dial.verdict.action, dial.facts.destinationPort, world.engine.commands.length], [action, 443, 0]);
    assertEquals(world.engine.takeConnection(dial.flow), undefined);
    world.engine.handle({ kind: "dialed", flow: dial.flow }, world.now);
    const connection = world.engine.takeConnection(dial.flow)!;
    const synAck = takeSegment(world);
    assertEquals([synAck.flags, synAck.acknowledgment], ["SA", 101]);
    world.feed(segment(synAck, "A", 101), segment(synAck, "PA", 101, HTTP));
    assertEquals(world.engine.stack!.takeReady(), connection);
    assertEquals(receiveText(connection, world.now), HTTP);
    sendText(connection, "200", world.now);
    connection.close(world.now);
    const end = 101 + HTTP.length;
    world.feed(segment(synAck, "FA", end, "", 4));
    world.at(world.now + 200_000_000);
    assertEquals([connection.state, world.engine.stack!.connectionCount], [TcpState.Closed, 0]);
    const { received, consumed, delivered } = world.engine.counters;
    assertEquals([received, consumed, delivered], [5, 5, 0]);
    world.finish();
    assertEquals(world.ended[0]!.record.facts.sniffHost, "www.example.org");
    assertEquals([world.ended[0]!.upload, world.ended[0]!.download], [HTTP.length + 0, 3]);
  }
});

Deno.test("Engine tells the application truly why a flow could not be dialed", () => {
  const cases: [DialError, string][] = [
    ["refused", "reset"],
    ["failed", "reset"],
    ["hostUnreachable", "3/1"],
    ["timedOut", "3/1"],
    ["networkUnreachable", "3/0"],
    ["prohibited", "3/13"],
  ];
  for (const [error, wanted] of cases) {
    const world = stackWorld();
    world.feed(SYN);
    const { flow } = takeDial(world);
    world.engine.handle({ kind: "dialFailed", flow, error }, world.now);
    const packet = world.adapter.sent.shift()!;
    if (packet[9] === 1) assertEquals(`${packet[20]}/${packet[21]}`, wanted);
    else {
      const reset = readSegment(packet);
      assertEquals([wanted, reset.flags, reset.acknowledgment], ["reset", "RA", 101]);
    }
    assertEquals(world.engine.stack!.connectionCount, 0);
    world.feed(SYN);
    assertEquals(takeDial(world).flow, flow, "a SYN that is sent again is dialed again");
    world.finish();
  }
});

Deno.test("Engine resets what is rejected and ignores what is dropped, stack or not", () => {
  for (const [action, sent] of [["reject", 1], ["drop", 0]] as const) {
    const world = stackWorld();
    world.decider.script.action = action;
    world.feed(SYN);
    assertEquals([world.adapter.sent.length, world.engine.commands.length], [sent, 0]);
    assertEquals(world.engine.stack!.connectionCount, 0);
    world.finish();
  }
});

Deno.test("Engine accepts a SYN first when the decision needs the flow's first bytes", () => {
  for (const action of ["proxy", "reject", "drop"] as const) {
    const world = stackWorld();
    world.decider.script.wants = ["name"];
    world.decider.script.action = action;
    world.feed(SYN);
    const synAck = takeSegment(world);
    assertEquals([synAck.flags, world.engine.commands.length], ["SA", 0]);
    world.feed(segment(synAck, "A", 101));
    assertEquals(world.engine.counters.queued, 0);
    world.feed(segment(synAck, "PA", 101, HTTP));
    assertEquals(world.decider.seen.map((facts) => facts.host), ["www.example.org"]);
    const last = world.adapter.sent.at(-1);
    if (action === "proxy") {
      const dial = takeDial(world);
      world.engine.handle({ kind: "dialed", flow: dial.flow }, world.now);
      const connection = world.engine.takeConnection(dial.flow)!;
      assertEquals(receiveText(connection, world.now), HTTP, "the first bytes are not lost");
    } else {
      assertEquals(world.engine.commands.length, 0);
      assertEquals(last !== undefined && readSegment(last).flags.includes("R"), action === "reject");
      assertEquals(world.engine.stack!.connectionCount, 0);
    }
    world.finish();
  }
});

const CONNECTIONS = 600;
const CLOSED_MAX = 100;

/** One connection from its SYN to its last segment; `isServerFirst` says which side closes first. */
function openAndClose(world: EngineWorld, sourcePort: number, isServerFirst: boolean): void {
  world.adapter.sent.length = 0;
  const answer = (flags: string, sequence: number, acknowledgment = 0) =>
    world.feed(tcpPacket({ flags, sequence, acknowledgment, sourcePort }));
  answer("S", 100);
  const dial = takeDial(world);
  world.engine.handle({ kind: "dialed", flow: dial.flow }, world.now);
  const connection = world.engine.takeConnection(dial.flow)!;
  assertEquals(world.engine.takeConnection(dial.flow), undefined, "a connection is the host's once it is handed over");
  const next = takeSegment(world).sequence + 1;
  answer("A", 101, next);
  if (isServerFirst) connection.close(world.now);
  answer("FA", 101, isServerFirst ? next + 1 : next);
  if (!isServerFirst) connection.close(world.now);
  answer("A", 102, next + 1);
  assertEquals(connection.state, isServerFirst ? TcpState.TimeWait : TcpState.Closed);
}

Deno.test("Engine keeps nothing of connections that have closed once their time is over", () => {
  const world = new EngineWorld({ stack: { env: new Prng(5) }, closedFlowsMax: CLOSED_MAX });
  const { engine } = world;
  const { table, records } = engine.classifier;
  for (let i = 0; i < CONNECTIONS; i++) {
    openAndClose(world, 10_000 + i, i % 2 === 0);
    assert(table.count <= CLOSED_MAX + 1, "closed flows are bounded");
    while (engine.stack!.takeReady() !== undefined);
  }
  assertEquals([table.count, table.countOf(IdleClass.TcpClosed)], [CLOSED_MAX, CLOSED_MAX]);
  assert(engine.stack!.connectionCount > 0, "TIME-WAIT outlives a flow that had to make room");
  world.at(world.now + TCP_CLOSED_IDLE_US);
  assertEquals([table.count, engine.stack!.connectionCount, engine.stack!.pendingCount], [0, 0, 0]);
  assertEquals(records.filter((record) => record !== undefined).length, 0);
  assertEquals([engine.commands.length, engine.counters.queued, world.ended.length], [0, 0, CONNECTIONS]);
  assertEquals(engine.deadline(), NEVER, "no timer is left");
  world.finish();
});

Deno.test("Engine dials nothing for a connection that was reset before it was decided", () => {
  const world = stackWorld();
  world.decider.script.wants = ["name"];
  world.feed(SYN);
  const synAck = takeSegment(world);
  world.feed(segment(synAck, "A", 101), segment(synAck, "RA", 101));
  assertEquals([world.engine.commands.length, world.engine.stack!.connectionCount], [0, 0]);
  assertEquals(world.decider.seen.length, 1);
  world.finish();
});

Deno.test("Engine decides without a name when the server is to speak first", () => {
  const world = stackWorld();
  world.decider.script.wants = ["name"];
  world.feed(tcpPacket({ flags: "S", sequence: 100, destinationPort: 25 }));
  assertEquals(takeSegment(world).flags, "SA");
  world.at(world.now + NAME_WAIT_US);
  const dial = takeDial(world);
  world.engine.handle({ kind: "dialFailed", flow: dial.flow, error: "refused" }, world.now);
  assert(world.adapter.sent.some((packet) => readSegment(packet).flags.includes("R")));
  world.finish();
});

Deno.test("Engine forgets the dialing of a flow whose application gave up", () => {
  const world = stackWorld();
  world.feed(SYN, tcpPacket({ flags: "R", sequence: 101 }));
  const dial = takeDial(world);
  world.engine.handle({ kind: "dialed", flow: dial.flow }, world.now);
  assertEquals([world.engine.takeConnection(dial.flow), world.adapter.sent.length], [undefined, 0]);
  world.engine.handle({ kind: "dialed", flow: 99 }, world.now);
  world.finish();
  world.engine.handle({ kind: "dialFailed", flow: dial.flow, error: "failed" }, world.now);
  assertEquals(world.adapter.sent.length, 0);
});

Deno.test("Engine gives datagrams to their source's endpoint with their flow's id, and refuses them when nobody carries them", () => {
  const world = stackWorld();
  world.feed(udpPacket({ destinationPort: 9_999, payload: "one" }));
  world.feed(udpPacket({ destinationPort: 8_888, payload: "two" }));
  const first = takeDial(world);
  const second = takeDial(world);
  assertEquals([first.facts.network, first.facts.destinationPort, second.facts.destinationPort], ["udp", 9_999, 8_888]);
  const endpoint = world.engine.stack!.takeReadyUdp()!;
  const into = new Uint8Array(100);
  const info = new DatagramInfo();
  assertEquals([endpoint.receive(into, 0, 100, info), info.tag], [3, first.flow]);
  assertEquals([endpoint.receive(into, 0, 100, info), info.tag], [3, second.flow]);
  endpoint.send(words("198.51.100.2"), 9_999, into, 0, 3, world.now);
  assertEquals([world.adapter.sent.length, world.engine.counters.generated], [1, 1]);
  world.engine.handle({ kind: "dialFailed", flow: first.flow, error: "failed" }, world.now);
  world.feed(udpPacket({ destinationPort: 9_999, payload: "three" }));
  assertEquals(world.engine.counters.droppedByName(), { ruleReject: 1 });
  const answer = world.adapter.sent.at(-1)!;
  assertEquals([answer[9], answer[20], answer[21]], [1, 3, 3]);
  world.finish();
  assertEquals(world.ended.map((flow) => flow.download), [3, 0]);
});

Deno.test("Engine hands ICMP and unknown protocols to the stack, in fragments as well", () => {
  const world = stackWorld();
  const body = [8, 0, 0, 0, 0, 1, 0, 1, ...new Array(24).fill(0)];
  const check = 0xffff ^ (0x0800 + 2);
  body[2] = check >> 8;
  body[3] = check & 255;
  world.feed(ipv4Packet(body, { protocol: 1 }));
  assertEquals(world.adapter.sent.shift()![20], 0);
  world.feed(ipv4Packet(body.slice(0, 16), { protocol: 1, id: 3, more: true }));
  world.feed(ipv4Packet(body.slice(16), { protocol: 1, id: 3, offset: 16 }));
  assertEquals(world.adapter.sent.shift()![20], 0);
  world.feed(ipv4Packet([1, 2, 3, 4, 5, 6, 7, 8], { protocol: 47 }));
  assertEquals([world.adapter.sent[0]![20], world.adapter.sent[0]![21]], [3, 2]);
  assertEquals(world.engine.counters.droppedByName(), { unsupportedProtocol: 1 });
  assertEquals(world.engine.counters.consumed, 3);
  world.finish();
});

Deno.test("Engine on a divert adapter terminates what is proxied and lets what is direct go on as it is", () => {
  const world = stackWorld({ kind: "divert" });
  world.feed(SYN);
  assertEquals(world.adapter.sent.splice(0), [SYN]);
  world.finish();
  const other = stackWorld({ kind: "divert" });
  other.decider.script.action = "proxy";
  other.feed(SYN);
  assertEquals(takeDial(other).verdict.action, "proxy");
  assertEquals(other.adapter.sent.length, 0);
  other.finish();
});

Deno.test("Engine counts a SYN on used ports as a new flow for the stack as well", () => {
  const world = stackWorld();
  world.feed(SYN);
  const first = takeDial(world);
  world.feed(tcpPacket({ flags: "S", sequence: 70_000 }));
  assertEquals(world.engine.commands.shift(), { kind: "cancelDial", flow: first.flow });
  const second = takeDial(world);
  assert(first.flow !== second.flow);
  world.engine.handle({ kind: "dialed", flow: first.flow }, world.now);
  assertEquals(world.adapter.sent.length, 0);
  world.engine.handle({ kind: "dialed", flow: second.flow }, world.now);
  assertEquals(takeSegment(world).acknowledgment, 70_001);
  world.finish();
});
