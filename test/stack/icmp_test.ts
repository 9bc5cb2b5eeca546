import { assert, assertEquals } from "@std/assert";
import { STACK_ICMP_BURST_MAX } from "../../core/base/limits.ts";
import { Metric } from "../../core/stack/stack_metrics.ts";
import { TcpError, TcpState } from "../../core/stack/tcp/tcp_state.ts";
import { TcpInfo } from "../../core/stack/tcp/info.ts";
import { address, be16, be32, ipv4Packet, ipv6Packet, udpPacket } from "../support/packets.ts";
import { Peer, sendText, StackWorld, SYN_OPTIONS, words } from "../support/stack_world.ts";

const FOUR = { source: "192.0.2.1", destination: "198.51.100.2" };
const SIX = { source: "2001:db8:0:0:0:0:0:1", destination: "2001:db8:0:0:0:0:0:2" };
type Ends = { source: string; destination: string };

/** An ICMP message with its checksum. */
function icmpPacket(ends: Ends, type: number, code: number, rest: number, body: number[]): Uint8Array<ArrayBuffer> {
  const isSix = ends.source.includes(":");
  const message = [type, code, 0, 0, ...be32(rest), ...body];
  const pseudo = isSix
    ? [...address(ends.source), ...address(ends.destination), ...be32(message.length), ...be32(58)]
    : [];
  const all = [...pseudo, ...message];
  let sum = 0;
  for (let i = 0; i < all.length; i += 2) sum += (all[i]! << 8) | (all[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  message.splice(2, 2, ...be16(0xffff ^ sum));
  return isSix ? ipv6Packet(message, { ...ends, protocol: 58 }) : ipv4Packet(message, { ...ends, protocol: 1 });
}

Deno.test("Stack answers echo requests from any address with their own bytes, over both versions", () => {
  for (const [ends, request, reply] of [[FOUR, 8, 0], [SIX, 128, 129]] as const) {
    const world = new StackWorld();
    const payload = Array.from({ length: 600 }, (_, i) => i & 255);
    const packet = icmpPacket(ends, request, 0, 0x12340007, payload);
    assertEquals(world.give(packet), "none");
    const answer = world.take();
    assertEquals(answer.length, packet.length);
    const at = request === 8 ? 20 : 40;
    assertEquals([answer[at], answer[at + 1]], [reply, 0]);
    assertEquals([...answer.slice(at + 4)], [...packet.slice(at + 4)]);
    assertEquals([...answer.slice(at === 20 ? 12 : 8, at)], [
      ...address(ends.destination),
      ...address(ends.source),
    ]);
  }
});

Deno.test("Stack does not answer echo requests to many receivers, nor echo replies", () => {
  const world = new StackWorld();
  assertEquals(world.give(icmpPacket({ ...FOUR, destination: "224.0.0.1" }, 8, 0, 1, [1])), "icmpUnrelated");
  assertEquals(world.give(icmpPacket({ ...SIX, destination: "ff02:0:0:0:0:0:0:1" }, 128, 0, 1, [])), "icmpUnrelated");
  assertEquals(world.give(icmpPacket(FOUR, 0, 0, 1, [1])), "icmpUnrelated");
  assertEquals(world.give(icmpPacket(SIX, 135, 0, 1, [1])), "icmpUnrelated");
  assertEquals(world.sent.length, 0);
});

Deno.test("Stack hands echo requests on, or drops them, where its options say so", () => {
  const world = new StackWorld({ echo: "hand" });
  let handed = 0;
  world.stack.onEcho = (meta, now) => {
    handed++;
    if (meta.payloadLength === 2) world.stack.answerEcho(meta, now);
  };
  world.give(icmpPacket(FOUR, 8, 0, 1, [1]));
  assertEquals([handed, world.sent.length], [1, 0]);
  world.give(icmpPacket(FOUR, 8, 0, 1, [1, 2]));
  assertEquals([handed, world.take()[20]], [2, 0]);
  const silent = new StackWorld({ echo: "drop" });
  assertEquals([silent.give(icmpPacket(FOUR, 8, 0, 1, [1])), silent.sent.length], ["icmpUnrelated", 0]);
});

Deno.test("Stack fragments an echo reply that is longer than the MTU", () => {
  const world = new StackWorld({ mtu: 576 });
  world.give(icmpPacket(FOUR, 8, 0, 1, new Array(1_000).fill(7)));
  assertEquals(world.sent.map((packet) => packet.length), [572, 476]);
});

Deno.test("Stack sends ICMP errors within a rate, about nothing that forbids them", () => {
  const world = new StackWorld({ udp: false });
  const datagram = udpPacket({ payload: "x" });
  for (let i = 0; i < 500; i++) world.give(datagram);
  assertEquals(world.sent.length, STACK_ICMP_BURST_MAX);
  assertEquals(world.stack.metrics.of(Metric.IcmpLimited), 450);
  world.pass(20_000);
  for (let i = 0; i < 500; i++) world.give(datagram);
  assertEquals(world.sent.length, STACK_ICMP_BURST_MAX + 20);
  world.pass(10_000_000);
  world.sent.length = 0;
  world.give(udpPacket({ source: "10.0.0.1", destination: "255.255.255.255" }));
  world.give(ipv4Packet([1, 2, 3, 4, 5, 6, 7, 8], { protocol: 99, offset: 8 }));
  assertEquals(world.sent.length, 0);
});

/** A world with an established connection that has sent something, and the packet it sent. */
function sending(ends: Ends, text: string): { world: StackWorld; peer: Peer; quoted: number[]; info: () => TcpInfo } {
  const world = new StackWorld({ tcp: { nagle: false } });
  const listener = world.stack.listen(undefined, 443, 8)!;
  const peer = new Peer(world, { ...ends });
  peer.send("S", "", { tcpOptions: SYN_OPTIONS });
  peer.acknowledgeSyn();
  const connection = listener.accept()!;
  sendText(connection, text, world.now);
  const headers = ends.source.includes(":") ? 40 : 20;
  const quoted = [...world.take().slice(0, headers + 8)];
  const info = new TcpInfo();
  return {
    world,
    peer,
    quoted,
    info: () => {
      connection.info(info);
      return info;
    },
  };
}

Deno.test("Stack takes a packet that is too big for news of the path, if it quotes what is in flight", () => {
  for (const [ends, type, code] of [[FOUR, 3, 4], [SIX, 2, 0]] as const) {
    const { world, quoted, info } = sending(ends, "x".repeat(1_400));
    const router = ends === FOUR
      ? { source: "10.1.1.1", destination: ends.destination }
      : { source: "2001:db8:0:0:0:0:0:fe", destination: ends.destination };
    const before = info().sendMss;
    const wrong = [...quoted];
    wrong[wrong.length - 4]! ^= 0x40;
    assertEquals(world.give(icmpPacket(router, type, code, 1_300, wrong)), "none");
    assertEquals(info().sendMss, before, "a sequence number that is not in flight proves nothing");
    assertEquals(world.give(icmpPacket(router, type, code, 1_300, quoted)), "none");
    assertEquals(info().sendMss, 1_300 - (ends === FOUR ? 40 : 60));
    world.give(icmpPacket(router, type, code, 68, quoted));
    assertEquals(info().sendMss, ends === FOUR ? 552 - 40 : 1_280 - 60);
    const other = [...quoted];
    other[other.length - 5]! ^= 1;
    assertEquals(world.give(icmpPacket(router, type, code, 1_300, other)), "icmpUnrelated");
    const cut = quoted.slice(0, -1);
    assertEquals(world.give(icmpPacket(router, type, code, 1_300, cut)), "icmpUnrelated");
  }
});

Deno.test("Stack guesses a smaller MTU where an old router names none", () => {
  const { world, quoted, info } = sending(FOUR, "x".repeat(1_400));
  world.give(icmpPacket({ source: "10.1.1.1", destination: FOUR.destination }, 3, 4, 0, quoted));
  assertEquals(info().sendMss, 1_006 - 40);
});

Deno.test("Stack ends a connection that is being opened when ICMP says that nobody is there, and no established one", () => {
  const world = new StackWorld();
  const ends = [4, words("10.0.0.1"), 4000, words("10.0.0.2"), 80] as const;
  const opening = world.stack.connect(...ends, world.now)!;
  const syn = [...world.take().slice(0, 28)];
  assertEquals(world.give(icmpPacket({ source: "10.0.0.2", destination: "10.0.0.1" }, 3, 3, 0, syn)), "none");
  assertEquals([opening.state, opening.error], [TcpState.Closed, TcpError.Refused]);
  assertEquals(world.stack.connectionCount, 0);
  const { world: other, quoted, info } = sending(FOUR, "hello");
  other.give(icmpPacket({ source: "10.1.1.1", destination: FOUR.destination }, 3, 3, 0, quoted));
  other.give(icmpPacket({ source: "10.1.1.1", destination: FOUR.destination }, 11, 0, 0, quoted));
  assertEquals(info().state, TcpState.Established);
  assert(other.stack.connectionCount === 1);
});
