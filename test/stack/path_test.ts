import { assert, assertEquals } from "@std/assert";
import { PATH_MTU_AGE_US, PATH_MTU_COUNT_MAX, PATH_MTU_V4_MIN } from "../../core/base/limits.ts";
import { micros } from "../../core/base/micros.ts";
import { Prng } from "../../core/base/prng.ts";
import { PathMtuCache } from "../../core/stack/path_mtu_cache.ts";
import { Metric } from "../../core/stack/stack_metrics.ts";
import { TcpError } from "../../core/stack/tcp/tcp_state.ts";
import { be16, be32, ipv4Packet, ipv6Packet, tcpPacket } from "../support/packets.ts";
import { Peer, sendText, StackWorld, SYN_OPTIONS, words } from "../support/stack_world.ts";

const TOO_BIG = [3, 4];
const SIX = { source: "2001:db8:0:0:0:0:0:1", destination: "2001:db8:0:0:0:0:0:2" };

function withSum(message: number[]): number[] {
  let sum = 0;
  for (let i = 0; i < message.length; i += 2) sum += (message[i]! << 8) | (message[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  message.splice(2, 2, ...be16(0xffff ^ sum));
  return message;
}

/** An ICMPv4 error about one of the stack's own packets. */
function errorAbout(sent: Uint8Array, [type, code]: readonly number[], rest = 0): Uint8Array {
  return ipv4Packet(withSum([type!, code!, 0, 0, ...be32(rest), ...sent.slice(0, 28)]), { protocol: 1 });
}

Deno.test("Stack lets routers cut its packets where a path is narrower than its floor, and loses nothing", () => {
  const world = new StackWorld();
  const listener = world.stack.listen(undefined, 80, 8)!;
  const peer = new Peer(world, { destinationPort: 80 });
  peer.send("S", "", { tcpOptions: SYN_OPTIONS });
  peer.acknowledgeSyn();
  const connection = listener.accept()!;
  sendText(connection, "x".repeat(1_460), world.now);
  const big = world.take();
  assertEquals([big.length, big[6]! & 0x40], [1_500, 0x40]);
  world.give(errorAbout(big, TOO_BIG, 400));
  const pieces = world.sent.splice(0);
  assert(pieces.length > 0, "what was too big leaves again at once");
  for (const piece of pieces) {
    assert(piece.length <= PATH_MTU_V4_MIN);
    assertEquals(piece[6]! & 0x40, 0, "routers may cut it");
    assert(((piece[4]! << 8) | piece[5]!) !== 0, "pieces can be told apart");
  }
  // A second error of the same kind changes nothing more.
  world.give(errorAbout(pieces[0]!, TOO_BIG, 300));
  assertEquals(world.sent.length, 0);
});

Deno.test("Stack remembers a path's MTU for connections to come, for ten minutes", () => {
  const world = new StackWorld();
  const listener = world.stack.listen(undefined, 80, 8)!;
  const mssOf = (sourcePort: number, source?: string) => {
    const peer = new Peer(world, { destinationPort: 80, sourcePort, ...(source === undefined ? {} : { source }) });
    peer.send("S", "", { tcpOptions: SYN_OPTIONS });
    const synAck = peer.acknowledgeSyn();
    const connection = listener.accept()!;
    sendText(connection, "y".repeat(3_000), world.now);
    const first = world.take();
    world.sent.length = 0;
    return { connection, first, announced: synAck.options.slice(2, 4) };
  };
  const first = mssOf(100);
  assertEquals(first.first.length, 1_500);
  world.give(errorAbout(first.first, TOO_BIG, 1_000));
  world.sent.length = 0;
  const second = mssOf(101);
  assertEquals(second.first.length, 1_000, "a new connection to the same address knows it");
  assertEquals(second.announced, be16(1_460), "what the peer may send is another matter");
  assertEquals(mssOf(102, "192.0.2.77").first.length, 1_500, "another address is another path");
  world.pass(PATH_MTU_AGE_US + 1);
  world.sent.length = 0;
  assertEquals(mssOf(103).first.length, 1_500, "it is forgotten");
});

Deno.test("TcpConnection tries the device's MTU again ten minutes after ICMP lowered it", () => {
  const world = new StackWorld();
  const listener = world.stack.listen(undefined, 80, 8)!;
  const peer = new Peer(world, { destinationPort: 80 });
  peer.send("S", "", { tcpOptions: SYN_OPTIONS });
  peer.acknowledgeSyn();
  const connection = listener.accept()!;
  sendText(connection, "z".repeat(1_460), world.now);
  world.give(errorAbout(world.take(), TOO_BIG, 1_000));
  assertEquals(connection.sendMss, 960);
  world.pass(100_000);
  const acknowledgeAll = () => {
    for (const packet of world.sent.splice(0)) {
      const view = new DataView(packet.buffer);
      const end = (view.getUint32(24) + packet.length - 40) >>> 0;
      if (((end - peer.acknowledgment) | 0) > 0) peer.acknowledgment = end;
    }
    peer.send("A");
  };
  acknowledgeAll();
  assertEquals(connection.sendMss, 960);
  world.pass(PATH_MTU_AGE_US);
  sendText(connection, "z", world.now);
  acknowledgeAll();
  assertEquals(connection.sendMss, 1_460);
});

Deno.test("PathMtuCache agrees with a map while there is room, stays bounded, and forgets", () => {
  const prng = new Prng(11);
  const cache = new PathMtuCache(1, 2);
  const known = new Map<number, number>();
  for (let i = 0; i < 100; i++) {
    const [last, mtu] = [prng.below(60), prng.between(68, 9_000)];
    cache.note([0, 0, 0xffff, last], mtu, mtu < 552, micros(1_000 + i));
    known.set(last, mtu);
  }
  for (const [last, mtu] of known) {
    const place = cache.find([0, 0, 0xffff, last], micros(2_000));
    if (place < 0) continue; // its bucket was full
    assertEquals([cache.mtu(place), cache.mayFragment(place)], [mtu, mtu < 552]);
  }
  const found = [...known.keys()].filter((last) => cache.find([0, 0, 0xffff, last], micros(2_000)) >= 0);
  assertEquals(found.length, known.size, "60 addresses do not crowd 1,024 places");
  assertEquals(cache.find([0, 0, 0xffff, 999], micros(2_000)), -1);
  for (let i = 0; i < 20_000; i++) cache.note([1, 2, 3, i], 1_280, false, micros(3_000 + i));
  let kept = 0;
  for (let i = 0; i < 20_000; i++) if (cache.find([1, 2, 3, i], micros(30_000)) >= 0) kept++;
  assert(kept > PATH_MTU_COUNT_MAX / 2 && kept <= PATH_MTU_COUNT_MAX, `${kept} kept`);
  assertEquals(cache.find([1, 2, 3, 19_999], micros(3_000 + 19_999 + PATH_MTU_AGE_US)), -1);
});

Deno.test("Stack ends a connection that is being opened when its packets go in circles, and knows other errors for soft ones", () => {
  for (
    const [error, type] of [
      [TcpError.Unreachable, [11, 0]],
      [TcpError.None, [11, 1]],
      [TcpError.None, [3, 0]],
      [TcpError.None, [3, 1]],
      [TcpError.None, [3, 5]],
      [TcpError.None, [3, 11]],
      [TcpError.None, [3, 14]],
      [TcpError.None, [3, 15]],
      [TcpError.None, [12, 0]],
      [TcpError.Refused, [3, 2]],
      [TcpError.Refused, [3, 3]],
      [TcpError.Refused, [3, 13]],
    ] as const
  ) {
    const world = new StackWorld();
    const [local, remote] = [words("198.51.100.2"), words("192.0.2.1")];
    const connection = world.stack.connect(4, local, 5_000, remote, 80, world.now)!;
    world.give(errorAbout(world.take(), type));
    assertEquals(connection.error, error, `type ${type[0]} code ${type[1]}`);
  }
});

Deno.test("Stack tells who sent a datagram in pieces that the rest never came, if its beginning did", () => {
  for (
    const [version, offset, expected] of [[4, 0, [11, 1]], [4, 64, undefined], [6, 0, [3, 1]], [
      6,
      64,
      undefined,
    ]] as const
  ) {
    const world = new StackWorld();
    const payload = new Array<number>(64).fill(7);
    const six = { ...SIX, protocol: 44, extensions: [17, 0, ...be16(offset | 1), 0, 0, 0, 9] };
    world.give(
      version === 4 ? ipv4Packet(payload, { protocol: 17, offset, more: true }) : ipv6Packet(payload, six),
    );
    world.pass(29_000_000);
    assertEquals(world.sent.length, 0);
    world.pass(2_000_000);
    assertEquals(world.arena.freeCount, world.arena.slotCount);
    if (expected === undefined) {
      assertEquals(world.sent.length, 0);
      continue;
    }
    const answer = world.take();
    const at = version === 4 ? 20 : 40;
    assertEquals([answer[at], answer[at + 1], world.stack.metrics.of(Metric.IcmpSent)], [...expected, 1]);
    assert(answer.length > at + 8 + 28, "it quotes the piece");
  }
});

Deno.test("Stack gives up the datagram that waited longest when pieces fill its arena", () => {
  const world = new StackWorld({}, 8);
  const piece = (id: number, offset: number, more: boolean) =>
    ipv4Packet(new Array<number>(16).fill(1), { protocol: 132, id, offset, more });
  for (let id = 1; id <= 40; id++) {
    world.give(piece(id, 0, true));
    world.pass(1_000);
  }
  world.give(piece(40, 16, false));
  assertEquals(world.stack.metrics.of(Metric.Reassembled), 1, "the last one still comes through");
});

Deno.test("Stack takes a SYN that also ends for a new beginning in TIME-WAIT only where somebody listens", () => {
  for (const listens of [true, false]) {
    const world = new StackWorld();
    const [local, remote] = [words("198.51.100.2"), words("192.0.2.1")];
    const peer = new Peer(world, { destinationPort: 5_000, sourcePort: 80 });
    const connection = world.stack.connect(4, local, 5_000, remote, 80, world.now)!;
    peer.take();
    peer.send("SA", "", { tcpOptions: SYN_OPTIONS });
    peer.take();
    connection.close(world.now);
    peer.take();
    peer.send("FA");
    peer.take();
    if (listens) world.stack.listen(undefined, 5_000, 4);
    world.give(tcpPacket({ destinationPort: 5_000, sourcePort: 80, flags: "FS", sequence: peer.sequence + 70_000 }));
    assertEquals(world.takeSegment().flags, listens ? "SA" : "A");
  }
});
