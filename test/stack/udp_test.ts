import { assert, assertEquals } from "@std/assert";
import { STACK_UDP_QUEUE_BYTES_MAX, UDP_IDLE_US } from "../../core/base/limits.ts";
import { FragmentOutcome, Fragments } from "../../core/classify/fragments.ts";
import { Arena } from "../../core/adapter/arena.ts";
import { micros } from "../../core/base/micros.ts";
import { PacketMeta } from "../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../core/parse/parse.ts";
import { DatagramInfo } from "../../core/stack/datagram_queue.ts";
import { be16, be32, ipv4Packet, udpPacket } from "../support/packets.ts";
import { parseOne, slotOf } from "../support/slots.ts";
import { StackWorld, words } from "../support/stack_world.ts";

const SIX = { source: "2001:db8:0:0:0:0:0:1", destination: "2001:db8:0:0:0:0:0:2" };
const info = new DatagramInfo();
const into = new Uint8Array(65_536);

/** The payload of a UDP packet without extension headers, its numbers read by hand. */
function readDatagram(packet: Uint8Array): { source: number; destination: number; payload: string } {
  const at = packet[0]! >> 4 === 4 ? 20 : 40;
  const view = new DataView(packet.buffer);
  return {
    source: view.getUint16(at),
    destination: view.getUint16(at + 2),
    payload: new TextDecoder().decode(packet.slice(at + 8)),
  };
}

Deno.test("UdpEndpoint is one for a source, whomever it talks to, and anybody may answer (full cone)", () => {
  for (const [choices, other] of [[{}, "203.0.113.77"], [SIX, "2001:db8:0:0:0:0:0:99"]] as const) {
    const world = new StackWorld();
    world.give(udpPacket({ ...choices, payload: "one" }), 5);
    world.give(udpPacket({ ...choices, destination: other, destinationPort: 99, payload: "two" }), 6);
    const endpoint = world.stack.takeReadyUdp()!;
    assertEquals([world.stack.takeReadyUdp(), world.stack.udpCount, endpoint.remotePort], [undefined, 1, 50000]);
    assertEquals([endpoint.receive(into, 0, 100, info), into[0], info.tag, info.destinationPort], [3, 111, 5, 53]);
    assertEquals([endpoint.receive(into, 0, 2, info), info.tag, info.destinationPort], [2, 6, 99]);
    assertEquals([...info.destination], [...words(other)]);
    assertEquals(endpoint.receive(into, 0, 100, info), -1);
    const bytes = new TextEncoder().encode("answer");
    assert(endpoint.send(words(other), 99, bytes, 0, bytes.length, world.now));
    assertEquals(readDatagram(world.take()), { source: 99, destination: 50000, payload: "answer" });
    world.give(udpPacket({ ...choices, payload: "three" }), 5);
    assertEquals(world.stack.takeReadyUdp(), endpoint, "it is ready again with the next datagram");
  }
});

Deno.test("UdpEndpoint sends what is longer than the MTU in fragments, over both versions", () => {
  for (const [choices, from] of [[{}, "198.51.100.2"], [SIX, SIX.destination]] as const) {
    const world = new StackWorld({ mtu: 1_280 });
    world.give(udpPacket({ ...choices, payload: "q" }));
    const endpoint = world.stack.takeReadyUdp()!;
    const bytes = Uint8Array.from({ length: 5_000 }, (_, i) => i * 7);
    assert(endpoint.send(words(from), 53, bytes, 0, bytes.length, world.now));
    assertEquals(world.sent.length, from === SIX.destination ? 5 : 4);
    // Put together by the engine's own table, in another order, and judged by its checksum.
    const arena = new Arena(16);
    const fragments = new Fragments(16);
    const meta = new PacketMeta();
    const outcomes = world.sent.toReversed().map((packet) => {
      assert(packet.length <= 1_280);
      const slot = slotOf(arena, packet);
      assertEquals(parse(arena, slot, Verify.All, meta), 0);
      return fragments.add(arena, slot, meta, micros(0));
    });
    assertEquals(outcomes.at(-1), FragmentOutcome.Complete);
    const whole = arena.acquire();
    const length = fragments.assemble(arena, fragments.take(), whole);
    const packet = arena.bytes.slice(arena.at(whole), arena.at(whole) + length);
    assertEquals(parseOne(packet, { verify: Verify.All }).reason, "none");
    assertEquals([...packet.slice(-5_000)], [...bytes]);
    assert(!endpoint.send(words(from), 53, bytes, 0, 65_508, world.now), "too long for any packet");
  }
});

Deno.test("UdpTable bounds what waits at one source", () => {
  const world = new StackWorld();
  const packet = udpPacket({ payload: "x".repeat(1_000) });
  let taken = 0;
  while (world.give(packet) === "none") taken++;
  assertEquals(taken, Math.floor(STACK_UDP_QUEUE_BYTES_MAX / 1_032));
  assertEquals(world.give(packet), "queueFull");
  assertEquals(world.give(udpPacket({ sourcePort: 9, payload: "y" })), "none", "others are not kept out");
  const endpoint = world.stack.takeReadyUdp()!;
  while (endpoint.receive(into, 0, 2_000, info) >= 0) taken--;
  assertEquals(taken, 0);
});

Deno.test("UdpTable forgets sources that are idle, and the longest idle one when there are too many", () => {
  const world = new StackWorld({ udpEndpointCountMax: 64 });
  const closed: number[] = [];
  world.stack.onUdpClosed = (endpoint) => closed.push(endpoint.remotePort);
  for (let port = 1; port <= 64; port++) {
    world.give(udpPacket({ sourcePort: port }));
    world.pass(1_000);
  }
  world.give(udpPacket({ sourcePort: 1 }));
  world.give(udpPacket({ sourcePort: 65 }));
  assertEquals([closed, world.stack.udpCount], [[2], 64]);
  const endpoint = world.stack.udpEndpoint(words("192.0.2.1"), 1)!;
  world.pass(UDP_IDLE_US - 32_000);
  assertEquals(closed.length, 32);
  assert(endpoint.isOpen);
  world.pass(UDP_IDLE_US);
  assertEquals([closed.length, world.stack.udpCount, endpoint.isOpen, world.stack.bufferedBytes], [65, 0, false, 0]);
  assert(!endpoint.send(words("10.0.0.1"), 1, into, 0, 1, world.now));
});

Deno.test("Stack answers datagrams with port unreachable where UDP is off, never to many receivers", () => {
  const world = new StackWorld({ udp: false });
  assertEquals(world.give(udpPacket({ payload: "hello" })), "portUnreachable");
  const answer = world.take();
  assertEquals([answer[20], answer[21], answer.length], [3, 3, 28 + 33]);
  assertEquals(world.give(udpPacket({ destination: "224.0.0.251", payload: "hello" })), "portUnreachable");
  assertEquals(world.sent.length, 0);
});

Deno.test("UdpEndpoint learns from ICMP that its source is gone, or that its path is narrow", () => {
  const world = new StackWorld();
  world.give(udpPacket({ payload: "q" }));
  const endpoint = world.stack.takeReadyUdp()!;
  assert(endpoint.send(words("198.51.100.2"), 53, into, 0, 1_000, world.now));
  const quoted = [...world.take().slice(0, 28)];
  const error = (code: number, rest: number) => {
    const body = [3, code, 0, 0, ...be32(rest), ...quoted];
    let sum = 0;
    for (let i = 0; i < body.length; i += 2) sum += (body[i]! << 8) | body[i + 1]!;
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    body.splice(2, 2, ...be16(0xffff ^ sum));
    return ipv4Packet(body, { protocol: 1, source: "10.9.9.9", destination: "198.51.100.2" });
  };
  assertEquals(world.give(error(3, 0)), "none");
  assertEquals(endpoint.errorCount, 1);
  assertEquals(world.give(error(4, 800)), "none");
  assertEquals(endpoint.mtu, 800);
  assertEquals(world.give(error(4, 10)), "none");
  assertEquals(endpoint.mtu, 552, "no path is that narrow");
  assert(endpoint.send(words("198.51.100.2"), 53, into, 0, 1_000, world.now));
  assertEquals(world.sent.length, 2);
  endpoint.close();
  assertEquals(world.give(error(3, 0)), "icmpUnrelated");
});
