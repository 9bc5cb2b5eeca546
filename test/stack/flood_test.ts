import { assert, assertEquals } from "@std/assert";
import { STACK_HALF_OPEN_COUNT_MAX, SYN_COOKIE_EPOCH_US } from "../../core/base/limits.ts";
import { micros } from "../../core/base/micros.ts";
import { Prng } from "../../core/base/prng.ts";
import { ACKNOWLEDGMENT, PacketMeta, SEQUENCE } from "../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../core/parse/parse.ts";
import type { PendingFlow } from "../../core/stack/pending_flow.ts";
import { Metric } from "../../core/stack/stack_metrics.ts";
import { SynCookies } from "../../core/stack/syn_cookies.ts";
import { TcpInfo } from "../../core/stack/tcp/info.ts";
import { SynFacts } from "../../core/stack/tcp/syn_facts.ts";
import { TcpState } from "../../core/stack/tcp/tcp_state.ts";
import { tcpPacket } from "../support/packets.ts";
import { slotOf } from "../support/slots.ts";
import { Peer, receiveText, sendText, StackWorld, SYN_OPTIONS } from "../support/stack_world.ts";
import { Arena } from "../../core/adapter/arena.ts";

const SIX = { source: "2001:db8:0:0:0:0:0:1", destination: "2001:db8:0:0:0:0:0:2" };

/** Writes random addresses and ports over a SYN without caring for its checksum; the world's parser must not either. */
function flood(world: StackWorld, count: number, prng: Prng, onEach?: (i: number) => void): void {
  const { arena, stack } = world;
  const slot = slotOf(arena, tcpPacket({ flags: "S", tcpOptions: SYN_OPTIONS }));
  const at = arena.at(slot);
  const meta = new PacketMeta();
  for (let i = 0; i < count; i++) {
    arena.view.setUint32(at + 12, 0x0a000000 | prng.below(1 << 24));
    arena.view.setUint32(at + 16, 0x62000000 | prng.below(1 << 24));
    arena.view.setUint32(at + 20, prng.uint32());
    arena.view.setUint32(at + 24, prng.uint32());
    parse(arena, slot, Verify.None, meta);
    stack.receive(slot, meta, world.now);
    world.bytesIn += arena.length[slot]!;
    onEach?.(i);
  }
  arena.release(slot);
}

Deno.test("SynCookies.check() knows its own cookies for an epoch or two, and no others", () => {
  const prng = new Prng(1);
  const cookies = new SynCookies(() => prng.uint32());
  const arena = new Arena(2);
  const metaOf = (packet: Uint8Array) => {
    const slot = slotOf(arena, packet);
    const meta = new PacketMeta();
    assertEquals(parse(arena, slot, Verify.None, meta), 0);
    arena.release(slot);
    return meta;
  };
  let forged = 0;
  for (let round = 0; round < 2_000; round++) {
    const now = micros(round * 1_000_003);
    const ends = prng.chance(1, 2) ? SIX : {};
    const syn = metaOf(tcpPacket({ ...ends, flags: "S", sequence: prng.uint32() }));
    const said = new SynFacts();
    said.mss = prng.below(9_100);
    said.windowScale = prng.between(-1, 14);
    said.sack = prng.chance(1, 2);
    const cookie = cookies.make(syn, said, now);
    const ack = metaOf(tcpPacket({ ...ends, flags: "A" }));
    ack.words[SEQUENCE] = syn.words[SEQUENCE]! + 1;
    ack.words[ACKNOWLEDGMENT] = cookie + 1;
    const read = new SynFacts();
    assert(cookies.isActive(now));
    assert(cookies.check(arena.view, ack, read, now));
    assertEquals([read.irs, read.sack, read.timestamps], [syn.words[SEQUENCE]! | 0, said.sack, false]);
    const effective = said.mss === 0 ? 536 : said.mss;
    const kept = [216, 536, 1200, 1360, 1420, 1440, 1460, 8940].findLast((mss) => mss <= effective) ?? 216;
    assertEquals(read.mss, kept);
    assertEquals(read.windowScale < 0, said.windowScale < 0);
    assert(read.windowScale <= said.windowScale);
    assert(cookies.check(arena.view, ack, read, micros(now + SYN_COOKIE_EPOCH_US)));
    assert(!cookies.check(arena.view, ack, read, micros(now + 2 * SYN_COOKIE_EPOCH_US)), "too old");
    for (const change of [() => ack.sourcePort ^= 1, () => ack.words[SEQUENCE]! ^= 4, () => ack.words[3]! ^= 1]) {
      change();
      if (cookies.check(arena.view, ack, read, now)) forged++;
      change();
    }
    ack.words[ACKNOWLEDGMENT] = prng.uint32();
    if (cookies.check(arena.view, ack, read, now)) forged++;
  }
  assertEquals(forged, 0);
  assert(!cookies.isActive(micros(1e12)));
});

Deno.test("Stack survives 1,000,000 SYNs: memory is bounded, established flows go on, new ones come through", () => {
  const world = new StackWorld();
  const pendings: PendingFlow[] = [];
  world.stack.onFlow = (pending) => pendings.push(pending);
  const peer = new Peer(world);
  peer.send("S", "", { tcpOptions: SYN_OPTIONS });
  const connection = pendings[0]!.accept(world.now)!;
  peer.acknowledgeSyn();
  pendings.length = 0;
  world.keeps = false;
  world.bytesIn = 0;
  world.bytesOut = 0;
  const prng = new Prng(2);
  flood(world, 1_000_000, prng, (i) => {
    if (i % 100_000 !== 0) return;
    world.keeps = true;
    peer.send("PA", "tick");
    assertEquals(receiveText(connection, world.now), "tick");
    assertEquals(sendText(connection, "tock", world.now), 4);
    const answers = world.sent.splice(0);
    assert(answers.some((packet) => new TextDecoder().decode(packet).endsWith("tock")));
    peer.acknowledgment = (peer.acknowledgment + 4) >>> 0;
    peer.send("A");
    world.sent.length = 0;
    world.keeps = false;
  });
  assertEquals(world.stack.halfOpenCount, STACK_HALF_OPEN_COUNT_MAX);
  assertEquals(world.stack.connectionCount, STACK_HALF_OPEN_COUNT_MAX + 1);
  assertEquals(pendings.length, STACK_HALF_OPEN_COUNT_MAX);
  assertEquals(world.stack.metrics.of(Metric.CookiesSent), 1_000_000 - STACK_HALF_OPEN_COUNT_MAX);
  assertEquals(world.stack.bufferedBytes, 0);
  assert(world.bytesOut <= world.bytesIn, "no answer is longer than its question");

  world.keeps = true;
  const late = new Peer(world, { sourcePort: 9_999, destinationPort: 80 });
  late.send("S", "", { tcpOptions: SYN_OPTIONS });
  const synAck = late.take();
  assertEquals(synAck.flags, "SA");
  assertEquals(pendings.length, STACK_HALF_OPEN_COUNT_MAX, "nothing is remembered yet");
  late.send("A");
  const pending = pendings.at(-1)!;
  assertEquals([pending.isEstablished, pending.remotePort], [true, 9_999]);
  const opened = pending.accept(world.now)!;
  assertEquals(opened.state, TcpState.Established);
  const info = new TcpInfo();
  opened.info(info);
  assertEquals([info.sack, info.windowScale, info.sendScale, info.sendMss, info.timestamps], [
    true,
    true,
    7,
    1460,
    false,
  ]);
  late.send("PA", "hello");
  assertEquals(receiveText(opened, world.now), "hello");
  sendText(opened, "there", world.now);
  assertEquals(world.sent.map((packet) => new TextDecoder().decode(packet.slice(40))).filter((text) => text !== ""), [
    "there",
  ]);
});

Deno.test("Stack keeps timestamps through a cookie, and its clock goes on from the one that was echoed", () => {
  const world = new StackWorld();
  const listener = world.stack.listen(undefined, 80, 0)!;
  new Peer(world, { sourcePort: 1, destinationPort: 80 }).send("S");
  world.sent.length = 0;
  assertEquals(listener.isHalfOpenFull, true);
  const peer = new Peer(world, { sourcePort: 2, destinationPort: 80 });
  peer.send("S", "", { tcpOptions: [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 77, 0, 0, 0, 0, 1, 3, 3, 7] });
  const { options } = peer.take();
  assertEquals(options.slice(9, 11), [8, 10]);
  assertEquals(options.slice(15, 19), [0, 0, 0, 77]);
  const clock = options.slice(11, 15);
  world.pass(50_000);
  peer.send("A", "", { tcpOptions: [1, 1, 8, 10, 0, 0, 0, 90, ...clock] });
  const connection = listener.accept()!;
  const info = new TcpInfo();
  connection.info(info);
  assertEquals([info.timestamps, info.sack, info.sendScale, info.smoothedRttUs], [true, true, 7, 0]);
  sendText(connection, "x", world.now);
  const sent = world.takeSegment();
  assertEquals(sent.options, [1, 1, 8, 10, ...clock, 0, 0, 0, 90]);
  world.pass(10_000_000);
  assert(world.sent.length > 1, "it is repeated until it is acknowledged");
  listener.close(world.now);
});

Deno.test("Stack drops connections that bring cookies to a listener whose backlog is full", () => {
  const world = new StackWorld();
  const listener = world.stack.listen(undefined, 80, 0)!;
  const peers = [1, 2, 3].map((sourcePort) => new Peer(world, { sourcePort, destinationPort: 80 }));
  assertEquals(peers.map((peer) => peer.send("S")), ["none", "none", "none"]);
  for (const peer of peers) peer.take();
  assertEquals(peers.map((peer) => peer.send("A")), ["none", "backlogFull", "backlogFull"]);
  assertEquals(listener.waitingCount, 1);
  listener.accept();
  assertEquals(peers[1]!.send("A"), "none", "the ACK of what it sends next opens it");
  assertEquals(listener.waitingCount, 1);
});

Deno.test("Stack refuses a flow that came with a cookie by a reset with the right numbers", () => {
  const world = new StackWorld({ synCookies: "always" });
  const pendings: PendingFlow[] = [];
  world.stack.onFlow = (pending) => pendings.push(pending);
  for (const [way, flags] of [["refuse", "R"], ["unreachable", "R"]] as const) {
    const peer = new Peer(world, { sourcePort: way === "refuse" ? 1 : 2 });
    peer.send("S");
    const synAck = peer.take();
    peer.send("PA", "early");
    if (way === "refuse") pendings.pop()!.refuse(world.now);
    else pendings.pop()!.unreachable(1, world.now);
    const reset = world.takeSegment();
    assertEquals([reset.flags, reset.sequence], [flags, (synAck.sequence + 1) >>> 0]);
  }
  assertEquals(world.stack.connectionCount, 0);
});

Deno.test("Stack drops SYNs beyond its bound where cookies are off", () => {
  const world = new StackWorld({ synCookies: "never", halfOpenCountMax: 10 });
  world.stack.onFlow = () => {};
  const outcomes = Array.from({ length: 12 }, (_, i) => world.give(tcpPacket({ flags: "S", sourcePort: i + 1 })));
  assertEquals(outcomes.filter((outcome) => outcome === "backlogFull").length, 2);
  assertEquals(world.sent.length, 0);
});

Deno.test("Stack answers a SYN with a cookie that is never longer than the SYN, whatever its options", () => {
  const world = new StackWorld({ synCookies: "always" });
  world.stack.onFlow = () => {};
  const optionSets = [[], [2, 4, 5, 180], [4, 2, 1, 1], [3, 3, 9, 0], [2, 4, 5, 180, 4, 2, 3, 3, 7, 1, 1, 0]];
  for (const tcpOptions of optionSets) {
    for (const ends of [{}, SIX]) {
      const syn = tcpPacket({ ...ends, flags: "S", tcpOptions });
      assertEquals(world.give(syn), "none");
      assert(world.take().length <= syn.length);
    }
  }
});

Deno.test("Stack makes room for new flows among connections in TIME-WAIT", () => {
  const world = new StackWorld({ connectionCountMax: 64 });
  world.stack.onFlow = (pending, now) => pending.accept(now);
  for (let port = 1; port <= 200; port++) {
    const peer = new Peer(world, { sourcePort: port });
    peer.send("S");
    peer.acknowledgeSyn();
    const connection = world.stack.takeReady()!;
    connection.close(world.now);
    peer.take();
    peer.send("FA");
    assertEquals(connection.state, TcpState.TimeWait);
    while (world.stack.takeReady() !== undefined);
    world.sent.length = 0;
  }
  assertEquals(world.stack.connectionCount, 64);
  assertEquals(world.stack.metrics.of(Metric.TimeWaitEvicted), 136);
});
