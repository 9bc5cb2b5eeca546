import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { parseIp } from "../../../core/base/ip_address.ts";
import { Flow } from "../../../sim/packetdrill/flow.ts";
import { inboundBytes } from "../../../sim/packetdrill/inbound.ts";
import { differenceOf, trimToExpected } from "../../../sim/packetdrill/match.ts";
import { coalesce, cut, wrongPayload } from "../../../sim/packetdrill/outbound.ts";
import { formatPacket } from "../../../sim/packetdrill/format.ts";
import { decodePacket, type LivePacket } from "../../../sim/packetdrill/packet_decode.ts";
import { parseScript } from "../../../sim/packetdrill/parser.ts";
import type { PacketSpec, TcpSegment } from "../../../sim/packetdrill/script.ts";

const ADDRESSES = {
  4: { local: parseIp("192.168.0.1")!, remote: parseIp("192.0.2.1")! },
  6: { local: parseIp("fd3d::1")!, remote: parseIp("2001:db8::1")! },
} as const;

function flowOf(version: 4 | 6): Flow {
  return new Flow({ version, ...ADDRESSES[version], localPort: 8080, remotePort: 40_000 });
}

function packetOf(text: string): PacketSpec {
  const action = parseScript(`0 > ${text}`, new Set()).events[0]!.action;
  assert(action.kind === "out");
  return action.packet;
}

function segmentOf(text: string): TcpSegment {
  const packet = packetOf(text);
  assert(packet.protocol === "tcp");
  return packet;
}

function decoded(bytes: Uint8Array): LivePacket {
  const live = decodePacket(bytes, 0);
  assert(typeof live !== "string", String(live));
  return live;
}

const STAMPS = { tickUs: 0, toleranceUs: 0, ignorePush: false };

Deno.test("inboundBytes() makes packets that parse with sound checksums and say the same", () => {
  const lines = [
    "S 0:0(0) win 65535 <mss 1460,nop,wscale 6,sackOK,TS val 100 ecr 0>",
    "P. 1:1001(1000) ack 1 win 257",
    "[ce] . 1:1(0) ack 1 win 257 <nop,nop,sack 1:2 5:9>",
    "(ttl 3) F. 1:8(7) ack 1 win 0",
    "udp (0)",
    "udp (1001)",
  ];
  for (const version of [4, 6] as const) {
    for (const line of lines) {
      const packet = packetOf(line);
      const live = decoded(inboundBytes(packet, flowOf(version), true, 1));
      assertEquals(live.version, version);
      assertEquals([live.sourcePort, live.destinationPort], [40_000, 8080]);
      // The first packet's number becomes the flow's own, from which all others count.
      const offset = packet.protocol === "tcp" && (packet.flags & 2) === 0 ? packet.sequence : 0;
      const seen = live.spec.protocol === "tcp" ? { ...live.spec, sequence: live.spec.sequence - offset } : live.spec;
      assertEquals(differenceOf(packet, seen, STAMPS), undefined, line);
    }
  }
});

Deno.test("inboundBytes() quotes the stack's own packet in an ICMP error", () => {
  const flow = flowOf(4);
  flow.localInitial = 5_000;
  const bytes = inboundBytes(packetOf("icmp unreachable frag_needed mtu 1000 [1:1461(1460)]"), flow, true, 1);
  const view = new DataView(bytes.buffer);
  assertEquals([view.getUint8(20), view.getUint8(21), view.getUint32(24)], [3, 4, 1_000]);
  const quoted = 28;
  assertEquals(view.getUint16(quoted + 2), 20 + 20 + 1_460);
  assertEquals([view.getUint16(quoted + 20), view.getUint16(quoted + 22), view.getUint32(quoted + 24)], [
    8080,
    40_000,
    5_001,
  ]);
});

Deno.test("Flow translates numbers both ways", () => {
  const number = fc.nat(0xffffffff);
  fc.assert(
    fc.property(number, number, number, number, (remoteInitial, localInitial, sequence, acknowledgment) => {
      const flow = flowOf(4);
      flow.learnInbound({ ...segmentOf("S 0:0(0)"), sequence: remoteInitial }, true);
      flow.learnOutbound({ ...segmentOf("S. 0:0(0) ack 1"), sequence: localInitial }, segmentOf("S. 0:0(0) ack 1"));
      const script = { ...segmentOf(". 1:1(0) ack 1"), sequence, acknowledgment };
      const live = flow.toLive(script);
      assertEquals(live.sequence, (sequence + remoteInitial) >>> 0);
      assertEquals(live.acknowledgment, (acknowledgment + localInitial) >>> 0);
      // What the stack sends counts the other way round.
      const sent = { ...script, sequence: live.acknowledgment, acknowledgment: live.sequence };
      const seen = flow.toScript(sent, script);
      assertEquals([seen.sequence, seen.acknowledgment], [acknowledgment, sequence]);
    }),
    { seed: 5, numRuns: 300 },
  );
});

Deno.test("Flow names timestamps as the script does", () => {
  const flow = flowOf(4);
  const live = { ...segmentOf("S. 0:0(0) ack 1 <TS val 777000 ecr 0>") };
  const script = segmentOf("S. 0:0(0) ack 1 <TS val 100 ecr 0>");
  assertEquals(flow.toScript(live, script).options, script.options);
  flow.learnTimestamps(live, script);
  assertEquals(
    flow.toLive(segmentOf(". 1:1(0) ack 1 <TS val 5 ecr 100>")).options,
    segmentOf(". 1:1(0) <TS val 5 ecr 777000>").options,
  );
  assertEquals(
    flow.toLive(segmentOf(". 1:1(0) ack 1 <TS val 5 ecr 103>")).options,
    segmentOf(". 1:1(0) <TS val 5 ecr 777003>").options,
  );
  const later = { ...segmentOf(". 1:1(0) ack 1 <TS val 777040 ecr 5>") };
  assertEquals(flow.toScript(later, script).options, segmentOf(". 1:1(0) <TS val 140 ecr 5>").options);
});

Deno.test("differenceOf() finds each field that differs, and shows only what the script names", () => {
  const expected = "(ect0) P. 1:101(100) ack 5 win 9 urg 2 <nop,nop,TS val 1 ecr 2>";
  const variants: Readonly<Record<string, string>> = {
    ECN: expected,
    flags: expected.replace("P.", "."),
    sequence: expected.replace("1:101", "2:102"),
    payload: expected.replace("1:101(100)", "1:100(99)"),
    acknowledgment: expected.replace("ack 5", "ack 6"),
    window: expected.replace("win 9", "win 8"),
    urgent: expected.replace("urg 2", "urg 3"),
    options: expected.replace("ecr 2", "ecr 3"),
  };
  const wanted = packetOf(expected);
  assertEquals(differenceOf(wanted, packetOf(expected), STAMPS), undefined);
  for (const [field, text] of Object.entries(variants)) {
    if (field === "ECN") continue;
    assert(
      differenceOf(wanted, packetOf(text), STAMPS)?.startsWith(field),
      `${field}: ${differenceOf(wanted, packetOf(text), STAMPS)}`,
    );
  }
  assertEquals(differenceOf(wanted, packetOf(expected.replace("ect0", "ce")), STAMPS), "TOS: expected 0x2, seen 0x3");
  assertEquals(differenceOf(packetOf("S ...(0) <...>"), packetOf("S 9:9(0) <mss 1>"), STAMPS), undefined);
  const shown = trimToExpected(
    packetOf("(ce) . 1:1(0) ack 1 win 7 <nop,nop,TS val 1 ecr 1>"),
    packetOf(". 1:1(0) ack 1 <...>"),
  );
  assertEquals(formatPacket(shown), ". 1:1(0) ack 1 <...>");
});

Deno.test("coalesce() joins what follows on, cut() takes it apart again", () => {
  const flow = flowOf(4);
  const live = (text: string) => {
    const bytes = inboundBytes(packetOf(text), flow, true, 1);
    return decoded(bytes);
  };
  live("S 0:0(0)");
  const first = live(". 1:1001(1000) ack 1 win 9");
  const second = live("P. 1001:1501(500) ack 1 win 9");
  const both = coalesce(first, second)!;
  assertEquals(formatPacket(trimToExpected(both.spec, packetOf(". 1:1(0)"))), "P. 1:1501(1500) ack 1");
  const [head, tail] = cut(both, 1_000)!;
  assertEquals([head.payload, tail.payload], [first.payload, second.payload]);
  assertEquals((tail.spec as TcpSegment).flags, (second.spec as TcpSegment).flags);
  assertEquals(coalesce(second, first), undefined);
  assertEquals(coalesce(first, live("P. 1002:1502(500) ack 1 win 9")), undefined);
  assertEquals(coalesce(first, live("P. 1001:1501(500) ack 2 win 9")), undefined);
});

Deno.test("wrongPayload() finds a byte that is not the one written", () => {
  const flow = flowOf(4);
  inboundBytes(packetOf("S 0:0(0)"), flow, true, 1);
  const live = decoded(inboundBytes(packetOf("P. 1:101(100) ack 1 win 9"), flow, true, 1));
  assertEquals(wrongPayload(live, flow), undefined);
  live.payload[50]! ^= 1;
  assertEquals(wrongPayload(live, flow), "byte 50 of the stream left the stack as another one");
});

Deno.test("decodePacket() says what is wrong with a packet", () => {
  const bytes = inboundBytes(packetOf("P. 1:101(100) ack 1 win 9"), flowOf(4), true, 1);
  bytes[60]! ^= 1;
  assertEquals(decodePacket(bytes, 0), "the stack sent a packet that is not sound: tcpBadChecksum");
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (any) => {
      const answer = decodePacket(any, 0);
      assert(typeof answer === "string" || answer.spec.protocol !== undefined);
    }),
    { seed: 9, numRuns: 2_000 },
  );
});
