import { assert, assertEquals } from "@std/assert";
import { STACK_PENDING_US } from "../../core/base/limits.ts";
import { Unreachable } from "../../core/stack/icmp_output.ts";
import { createStackOptions } from "../../core/stack/stack_options.ts";
import type { Stack } from "../../core/stack/stack.ts";
import type { PendingFlow } from "../../core/stack/pending_flow.ts";
import { TcpError, TcpEvent, TcpState } from "../../core/stack/tcp/tcp_state.ts";
import { ipv4Packet, tcpPacket, tcpSegment } from "../support/packets.ts";
import { Peer, receiveText, sendText, StackWorld, SYN_OPTIONS, words } from "../support/stack_world.ts";

const SIX = { source: "2001:db8:0:0:0:0:0:1", destination: "2001:db8:0:0:0:0:0:2" };

/** A world whose owner keeps every waiting flow. */
function waitingWorld(): { world: StackWorld; pendings: PendingFlow[]; cancelled: PendingFlow[] } {
  const world = new StackWorld();
  const pendings: PendingFlow[] = [];
  const cancelled: PendingFlow[] = [];
  world.stack.onFlow = (pending) => pendings.push(pending);
  world.stack.onCancelled = (pending) => cancelled.push(pending);
  return { world, pendings, cancelled };
}

Deno.test("createStackOptions() derives the MSS from the MTU unless one is chosen", () => {
  assertEquals(createStackOptions({ mtu: 9_000 }).tcp.mss, 8_960);
  assertEquals(createStackOptions({ mtu: 9_000, tcp: { mss: 1_000 } }).tcp.mss, 1_000);
  const stack: Stack = new StackWorld({ udp: false }).stack;
  assertEquals([stack.options.mtu, stack.options.udp, stack.options.tcp.mss], [1_500, false, 1_460]);
});

Deno.test("Stack carries a connection from its SYN to its end, over both versions", () => {
  for (const choices of [{}, SIX]) {
    const { world, pendings } = waitingWorld();
    const peer = new Peer(world, { ...choices, tcpOptions: [] });
    peer.send("S", "", { tcpOptions: SYN_OPTIONS });
    assertEquals(world.sent.length, 0, "the SYN is not answered before its owner says so");
    assertEquals(pendings.length, 1);
    const connection = pendings[0]!.accept(world.now)!;
    const synAck = peer.acknowledgeSyn();
    assertEquals([synAck.flags, synAck.acknowledgment, synAck.sourcePort], ["SA", 1_001, 443]);
    assertEquals(connection.state, TcpState.Established);
    assertEquals(world.stack.takeReady(), connection);
    assert((connection.takeEvents() & TcpEvent.Connected) !== 0);
    assertEquals(world.stack.takeReady(), undefined);

    peer.send("PA", "hello");
    assertEquals(world.stack.takeReady(), connection);
    assertEquals(receiveText(connection, world.now), "hello");
    world.pass(1_000_000);
    assertEquals(peer.take().acknowledgment, 1_006);
    assertEquals(sendText(connection, "good day", world.now), 8);
    assertEquals(peer.take().payload, "good day");
    peer.send("A");

    peer.send("FA");
    world.pass(1_000_000);
    peer.take();
    assertEquals(connection.state, TcpState.CloseWait);
    connection.close(world.now);
    assertEquals(peer.take().flags, "FA");
    peer.send("A");
    assertEquals(connection.state, TcpState.Closed);
    assertEquals([world.stack.connectionCount, world.stack.halfOpenCount], [0, 0]);
    assertEquals(world.arena.freeCount, world.arena.slotCount);
  }
});

Deno.test("PendingFlow absorbs repeated SYNs, and each decision counts once", () => {
  const { world, pendings } = waitingWorld();
  const syn = tcpPacket({ flags: "S", sequence: 77 });
  for (let i = 0; i < 5; i++) assertEquals(world.give(syn, 9), "none");
  assertEquals([pendings.length, world.sent.length, world.stack.pendingCount], [1, 0, 1]);
  const pending = pendings[0]!;
  assertEquals([pending.tag, pending.localPort, pending.remotePort], [9, 443, 50000]);
  assertEquals([...pending.localAddress], [...words("198.51.100.2")]);
  assertEquals([...pending.remoteAddress], [...words("192.0.2.1")]);
  pending.refuse(world.now);
  pending.refuse(world.now);
  pending.unreachable(Unreachable.Host, world.now);
  assertEquals(pending.accept(world.now), undefined);
  assertEquals(world.sent.length, 1);
  const reset = world.takeSegment();
  assertEquals([reset.flags, reset.sequence, reset.acknowledgment], ["RA", 0, 78]);
  assertEquals(world.stack.connectionCount, 0);
});

Deno.test("PendingFlow.unreachable() quotes the SYN to the application in both versions", () => {
  for (const [choices, type, codes] of [[{}, 3, [0, 1, 2, 3, 13]], [SIX, 1, [0, 3, undefined, 4, 1]]] as const) {
    for (const [why, code] of codes.entries()) {
      if (code === undefined) continue;
      const { world, pendings } = waitingWorld();
      const syn = tcpPacket({ ...choices, flags: "S", sequence: 77, tcpOptions: SYN_OPTIONS });
      world.give(syn);
      pendings[0]!.unreachable(why as Unreachable, world.now);
      const packet = world.take();
      const at = type === 3 ? 20 : 40;
      assertEquals([packet[at], packet[at + 1]], [type, code]);
      assertEquals([...packet.slice(at + 8 + at)], [...syn.slice(at)], "the SYN's ports and numbers are quoted");
    }
  }
});

Deno.test("PendingFlow.ignore() stays silent, and the next SYN is a new flow", () => {
  const { world, pendings } = waitingWorld();
  const syn = tcpPacket({ flags: "S" });
  world.give(syn);
  pendings[0]!.ignore();
  assertEquals([world.sent.length, world.stack.connectionCount], [0, 0]);
  world.give(syn);
  assertEquals(pendings.length, 2);
});

Deno.test("Stack cancels a waiting flow when its peer resets it or begins anew, and when nobody decides", () => {
  const { world, pendings, cancelled } = waitingWorld();
  world.give(tcpPacket({ flags: "S", sequence: 10 }));
  world.give(tcpPacket({ flags: "R", sequence: 500 }));
  assertEquals(cancelled.length, 0, "a reset with wrong numbers changes nothing");
  world.give(tcpPacket({ flags: "R", sequence: 11 }));
  assertEquals([cancelled.length, world.stack.pendingCount], [1, 0]);
  assertEquals(pendings[0]!.accept(world.now), undefined);

  world.give(tcpPacket({ flags: "S", sequence: 10 }));
  world.give(tcpPacket({ flags: "S", sequence: 900 }));
  assertEquals([pendings.length, cancelled.length, world.stack.pendingCount], [3, 2, 1]);
  world.pass(STACK_PENDING_US - 1);
  assertEquals(cancelled.length, 2);
  world.pass(1);
  assertEquals([cancelled.length, world.stack.pendingCount, world.stack.connectionCount], [3, 0, 0]);
  assertEquals(world.sent.length, 0);
});

Deno.test("Stack resets segments of no connection with the numbers that fit them", () => {
  const world = new StackWorld();
  assertEquals(world.give(tcpPacket({ flags: "S", sequence: 5 })), "noConnection");
  const first = world.takeSegment();
  assertEquals([first.flags, first.sequence, first.acknowledgment], ["RA", 0, 6]);
  assertEquals(world.give(tcpPacket({ flags: "PA", acknowledgment: 4321, payload: "x" })), "noConnection");
  const second = world.takeSegment();
  assertEquals([second.flags, second.sequence], ["R", 4321]);
  assertEquals(world.give(tcpPacket({ flags: "SA", acknowledgment: 99 })), "noConnection");
  assertEquals(world.takeSegment().sequence, 99);
  assertEquals(world.give(tcpPacket({ flags: "R" })), "noConnection");
  assertEquals(world.give(tcpPacket({ flags: "RA" })), "noConnection");
  assertEquals(world.sent.length, 0);
  assertEquals(world.give(tcpPacket({ flags: "FS", sequence: 5 })), "noConnection");
  assertEquals(world.takeSegment().acknowledgment, 7);
  const owned = new StackWorld();
  owned.stack.onFlow = (pending, now) => pending.accept(now);
  assertEquals(owned.give(tcpPacket({ flags: "FS" })), "noConnection");
  assertEquals([owned.sent.length, owned.stack.connectionCount], [0, 0], "no honest peer joins SYN and FIN");
  world.stack.listen(undefined, 0, 8);
  assertEquals(world.give(tcpPacket({ flags: "F" })), "noConnection");
  assertEquals(world.sent.length, 0, "a listener has no use for a FIN alone");
  assertEquals(world.give(tcpPacket({ flags: "FS", sequence: 5 })), "none");
  assertEquals(world.takeSegment().acknowledgment, 6);
});

Deno.test("Stack bounds the resets of a second", () => {
  const world = new StackWorld();
  for (let port = 1; port <= 3_000; port++) world.give(tcpPacket({ flags: "A", sourcePort: port }));
  assertEquals(world.sent.length, 1_000);
  world.pass(500_000);
  for (let port = 1; port <= 3_000; port++) world.give(tcpPacket({ flags: "A", sourcePort: port }));
  assertEquals(world.sent.length, 1_500);
});

Deno.test("Stack has nothing to say to sources and destinations that are nobody or many", () => {
  const world = new StackWorld();
  world.stack.onFlow = (pending, now) => pending.accept(now);
  const sources = ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "198.51.100.2"];
  for (const source of sources) {
    const ports = { sourcePort: 443, destinationPort: 443 };
    assertEquals(world.give(tcpPacket({ ...ports, source, flags: "S" })), "badAddress", source);
  }
  for (const destination of ["224.0.0.5", "255.255.255.255"]) {
    assertEquals(world.give(tcpPacket({ destination, flags: "S" })), "badAddress", destination);
  }
  const six = ["0:0:0:0:0:0:0:0", "0:0:0:0:0:0:0:1", "ff02:0:0:0:0:0:0:1", "0:0:0:0:0:ffff:c000:201"];
  for (const source of six) assertEquals(world.give(tcpPacket({ ...SIX, source, flags: "S" })), "badAddress", source);
  assertEquals([world.sent.length, world.stack.connectionCount], [0, 0]);
});

Deno.test("Stack.listen() takes connections to one address and port, or to all", () => {
  const world = new StackWorld();
  const one = world.stack.listen(words("198.51.100.2"), 80, 16)!;
  const all = world.stack.listen(undefined, 0, 16)!;
  for (
    const [choices, listener] of [
      [{ destinationPort: 80 }, one],
      [{ destinationPort: 81 }, all],
      [{ destinationPort: 80, destination: "203.0.113.9" }, all],
    ] as const
  ) {
    const peer = new Peer(world, choices);
    peer.send("S");
    const synAck = peer.acknowledgeSyn();
    assertEquals(synAck.flags, "SA");
    assertEquals(world.stack.takeReady(), undefined, "nobody hears of it before it was taken");
    const connection = listener.accept()!;
    assertEquals(connection.state, TcpState.Established);
    assertEquals(world.stack.takeReady(), connection);
    assertEquals(listener.accept(), undefined);
  }
});

Deno.test("TcpListener bounds its backlog, and resets what nobody took when it closes", () => {
  const world = new StackWorld({ synCookies: "never" });
  const listener = world.stack.listen(undefined, 80, 1)!;
  const peers = [1, 2, 3].map((port) => new Peer(world, { sourcePort: port, destinationPort: 80 }));
  assertEquals(peers.map((peer) => peer.send("S")), ["none", "none", "backlogFull"]);
  assertEquals(listener.halfOpenCount, 2);
  peers[0]!.acknowledgeSyn();
  assertEquals([listener.halfOpenCount, listener.waitingCount, world.stack.halfOpenCount], [1, 1, 1]);
  peers[1]!.take();
  listener.close(world.now);
  assertEquals(world.sent.map((packet) => (packet[33]! & 4) !== 0), [true, true]);
  assertEquals([world.stack.connectionCount, world.stack.halfOpenCount], [0, 0]);
  world.sent.length = 0;
  assertEquals(peers[2]!.send("S"), "noConnection");
});

Deno.test("Stack.connect() opens a connection to a peer, once per pair of addresses", () => {
  const world = new StackWorld();
  const open = () => world.stack.connect(4, words("10.0.0.1"), 4000, words("10.0.0.2"), 80, world.now);
  const connection = open()!;
  assertEquals(open(), undefined);
  const syn = world.takeSegment();
  assertEquals([syn.flags, syn.sourcePort, syn.destinationPort], ["S", 4000, 80]);
  const back = { source: "10.0.0.2", destination: "10.0.0.1", sourcePort: 80, destinationPort: 4000 };
  world.give(tcpPacket({ ...back, flags: "SA", sequence: 500, acknowledgment: syn.sequence + 1 }));
  assertEquals(connection.state, TcpState.Established);
  assertEquals(world.takeSegment().acknowledgment, 501);
  assertEquals(world.stack.takeReady(), connection);
  world.give(tcpPacket({ ...back, flags: "RA", sequence: 501, acknowledgment: syn.sequence + 1 }));
  assertEquals([connection.error, world.stack.connectionCount], [TcpError.Reset, 0]);
});

Deno.test("Stack lets a newer SYN take the place of a connection in TIME-WAIT, and no older one", () => {
  const { world, pendings } = waitingWorld();
  const peer = new Peer(world);
  peer.send("S");
  const connection = pendings[0]!.accept(world.now)!;
  const first = peer.acknowledgeSyn();
  connection.close(world.now);
  peer.take();
  peer.send("FA");
  assertEquals(connection.state, TcpState.TimeWait);
  world.sent.length = 0;
  const old = peer.sequence - 2;
  world.give(tcpPacket({ flags: "S", sequence: old }));
  assertEquals([connection.state, pendings.length], [TcpState.TimeWait, 1]);
  world.sent.length = 0;
  world.pass(1_000_000);
  world.give(tcpPacket({ flags: "S", sequence: peer.sequence + 100 }));
  assertEquals(pendings.length, 2);
  pendings[1]!.accept(world.now);
  const second = world.takeSegment();
  assertEquals([second.flags, second.acknowledgment], ["SA", peer.sequence + 101]);
  assert(((second.sequence - first.sequence) | 0) > 0, "our numbers go on as well");
});

Deno.test("Stack forgets a connection in TIME-WAIT after its time", () => {
  const { world, pendings } = waitingWorld();
  const peer = new Peer(world);
  peer.send("S");
  const connection = pendings[0]!.accept(world.now)!;
  peer.acknowledgeSyn();
  connection.close(world.now);
  peer.take();
  peer.send("FA");
  assertEquals([connection.state, world.stack.connectionCount], [TcpState.TimeWait, 1]);
  world.pass(60_000_001);
  assertEquals(world.stack.connectionCount, 0);
});

Deno.test("Stack.discard() forgets a connection without a word", () => {
  const { world, pendings } = waitingWorld();
  const peer = new Peer(world);
  peer.send("S");
  const connection = pendings[0]!.accept(world.now)!;
  peer.acknowledgeSyn();
  world.stack.discard(connection);
  world.pass(600_000_000);
  assertEquals([world.sent.length, world.stack.connectionCount], [0, 0]);
});

Deno.test("Stack answers protocols that it does not speak, and nothing at all with NO NEXT HEADER", () => {
  const world = new StackWorld();
  assertEquals(world.give(ipv4Packet([1, 2, 3, 4, 5, 6, 7, 8], { protocol: 132 })), "unsupportedProtocol");
  const answer = world.take();
  assertEquals([answer[20], answer[21]], [3, 2]);
  assertEquals(world.give(ipv4Packet([1, 2, 3, 4], { protocol: 59 })), "unsupportedProtocol");
  assertEquals(world.sent.length, 0);
});

Deno.test("Stack puts a fragmented segment together, and gives up what stays incomplete", () => {
  const { world, pendings } = waitingWorld();
  const segment = tcpSegment({ flags: "S", tcpOptions: SYN_OPTIONS, payload: "early data, 24 bytes it is" });
  const first = ipv4Packet(segment.slice(0, 40), { protocol: 6, id: 5, more: true });
  const rest = ipv4Packet(segment.slice(40), { protocol: 6, id: 5, offset: 40 });
  assertEquals([world.give(rest), world.give(first)], ["none", "none"]);
  assertEquals(pendings.length, 1);
  assertEquals(world.arena.freeCount, world.arena.slotCount);
  const again = ipv4Packet(segment.slice(0, 40), { protocol: 6, id: 6, more: true });
  assertEquals([world.give(again), world.give(again)], ["none", "fragmentDuplicate"]);
  const over = ipv4Packet(segment.slice(32), { protocol: 6, id: 6, offset: 32 });
  assertEquals(world.give(over), "fragmentOverlap");
  assertEquals(world.give(again), "none");
  world.pass(60_000_000);
  assertEquals(world.arena.freeCount, world.arena.slotCount);
});
