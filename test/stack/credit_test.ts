import { assert, assertEquals } from "@std/assert";
import { Arena } from "../../core/adapter/arena.ts";
import { REFUSALS_BURST_MAX, STACK_CREDIT_BYTES, STACK_CREDIT_BYTES_MAX } from "../../core/base/limits.ts";
import { micros } from "../../core/base/micros.ts";
import { Prng } from "../../core/base/prng.ts";
import { PacketMeta } from "../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../core/parse/parse.ts";
import { Refuser } from "../../core/stack/refuse.ts";
import { ReplyCredit } from "../../core/stack/reply_credit.ts";
import { Metric } from "../../core/stack/stack_metrics.ts";
import type { StackChoices } from "../../core/stack/stack_options.ts";
import { TcpState } from "../../core/stack/tcp/tcp_state.ts";
import { be32, ipv4Packet, ipv6Packet, tcpPacket, udpPacket } from "../support/packets.ts";
import { slotOf } from "../support/slots.ts";
import { Peer, StackWorld, SYN_OPTIONS } from "../support/stack_world.ts";

const SIX = { source: "2001:db8:0:0:0:0:0:1", destination: "2001:db8:0:0:0:0:0:2" };
const TIMESTAMPS = [1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0];

Deno.test("ReplyCredit gives what was earned and its allowance, and saves up only so much", () => {
  const credit = new ReplyCredit();
  assertEquals([credit.spend(STACK_CREDIT_BYTES), credit.spend(1)], [true, false]);
  credit.earn(40);
  assertEquals([credit.spend(41), credit.spend(40), credit.bytes, credit.refusedCount], [false, true, 0, 2]);
  credit.earn(10 * STACK_CREDIT_BYTES_MAX);
  assertEquals(credit.bytes, STACK_CREDIT_BYTES_MAX);
});

/** A connection that a stranger knows everything of but the numbers. */
function victim(world: StackWorld): Peer {
  const listener = world.stack.listen(undefined, 8_080, 4)!;
  const peer = new Peer(world, { destinationPort: 8_080, sourcePort: 77 });
  peer.send("S", "", { tcpOptions: SYN_OPTIONS });
  peer.acknowledgeSyn();
  listener.accept();
  return peer;
}

/** Packets that make a stack talk, each as short as it can be. */
function talkative(peer: Peer, prng: Prng): Uint8Array {
  const sourcePort = prng.between(1, 60_000);
  const sequence = prng.uint32();
  const ends = prng.chance(1, 3) ? SIX : {};
  switch (prng.below(9)) {
    case 0:
      return tcpPacket({ ...ends, flags: "S", sourcePort, sequence, destinationPort: 80 });
    case 1:
      return tcpPacket({ ...ends, flags: "S", sourcePort, sequence, destinationPort: 443 });
    case 2:
      return tcpPacket({ ...ends, flags: "A", sourcePort, sequence });
    case 3:
      return udpPacket({ ...ends, sourcePort, payload: "" });
    case 4:
      return ends === SIX
        ? ipv6Packet([1], { ...SIX, protocol: 132 })
        : ipv4Packet(new Array<number>(prng.below(30)).fill(1), { protocol: 132 });
    case 5:
      return tcpPacket({ ...peer.choices, flags: "PA", sequence, acknowledgment: prng.uint32(), payload: "x" });
    case 6:
      return tcpPacket({ ...peer.choices, flags: "S", sequence });
    case 7:
      return ends === SIX
        ? ipv6Packet([17, 0, 0, 1, ...be32(prng.uint32())], { ...SIX, protocol: 44 })
        : ipv4Packet(new Array<number>(8).fill(1), { protocol: 17, id: prng.below(65_536), more: true });
    default:
      return tcpPacket({ ...ends, flags: "SA", sourcePort, sequence, acknowledgment: prng.uint32() });
  }
}

Deno.test("Stack never sends strangers more than they sent and the allowance, whatever they send (seeds 1 to 12)", () => {
  const choices: StackChoices[] = [{}, { synCookies: "always" }, { udp: false }, { synCookies: "never", mtu: 9_000 }];
  let lacking = 0;
  for (let seed = 1; seed <= 12; seed++) {
    const prng = new Prng(seed);
    const sizes = { connectionCountMax: 512, halfOpenCountMax: 128, udpEndpointCountMax: 64 };
    const world = new StackWorld({ ...sizes, ...choices[seed % choices.length] });
    const peer = victim(world);
    world.stack.listen(undefined, 80, 64, { timestamps: seed % 2 === 0 });
    world.stack.onFlow = (pending, now) => {
      const choice = prng.below(4);
      if (choice === 0) pending.accept(now)?.abort(now);
      else if (choice === 1) pending.accept(now);
      else if (choice === 2) pending.refuse(now);
      else pending.unreachable(1, now);
    };
    world.keeps = false;
    world.bytesIn = 0;
    world.bytesOut = 0;
    for (let i = 0; i < 5_000; i++) {
      world.give(talkative(peer, prng));
      world.pass(prng.chance(1, 50) ? 3_000_000 : 100);
      assert(
        world.bytesOut <= world.bytesIn + STACK_CREDIT_BYTES,
        `seed ${seed}, packet ${i}: ${world.bytesOut} bytes out for ${world.bytesIn} in`,
      );
    }
    world.pass(400_000_000);
    assert(world.bytesOut <= world.bytesIn + STACK_CREDIT_BYTES, `seed ${seed}: repetitions add up`);
    assert(world.bytesOut > world.bytesIn / 4, "the stack had something to say");
    lacking += world.stack.metrics.of(Metric.CreditLacking);
  }
  assert(lacking > 100, `the credit was used up: ${lacking} answers did not leave`);
});

Deno.test("Stack repeats a SYN-ACK from its credit, answers each repeated SYN, and gets the credit back with the handshake", () => {
  const world = new StackWorld({ synCookies: "never" });
  const listener = world.stack.listen(undefined, 80, 4_000)!;
  world.keeps = false;
  // Strangers that never answer use the allowance up.
  for (let i = 0; i < 400; i++) world.give(tcpPacket({ flags: "S", sourcePort: 1_000 + i, destinationPort: 80 }));
  world.pass(100_000_000);
  assert(world.bytesOut > STACK_CREDIT_BYTES && world.bytesOut <= world.bytesIn + STACK_CREDIT_BYTES);
  assert(world.stack.metrics.of(Metric.CreditLacking) > 0);
  // An honest peer comes through: its SYN pays for the answer.
  world.keeps = true;
  const peer = new Peer(world, { destinationPort: 80, sourcePort: 9 });
  peer.send("S", "", { tcpOptions: SYN_OPTIONS });
  peer.acknowledgeSyn();
  assertEquals(listener.accept()!.state, TcpState.Established);
});

Deno.test("Stack cuts what an ICMP error quotes when credit is short, to the header and 64 bits at least", () => {
  const world = new StackWorld({ udp: false });
  world.keeps = false;
  const small = ipv4Packet([1], { protocol: 132 });
  const exhaust = () => {
    for (let i = 0; i < 5_000; i++) {
      world.give(small);
      world.pass(1_001);
    }
  };
  exhaust();
  assert(world.stack.metrics.of(Metric.CreditLacking) > 0);
  world.keeps = true;
  world.give(udpPacket({ payload: "x".repeat(400) }));
  const cut = world.take();
  assert(cut.length >= 56 && cut.length < 456, `${cut.length} bytes, and not the 456 of a whole quote`);
  assertEquals([cut[20], cut[21]], [3, 3]);
  exhaust();
  world.sent.length = 0;
  // An IPv6 error has to quote all that fits: then it rather waits.
  world.give(udpPacket({ ...SIX, payload: "" }));
  assertEquals(world.sent.length, 0);
});

Deno.test("Refuser.refuse() answers with no more bytes than it refuses, and within a rate where it knows the time", () => {
  const arena = new Arena(4);
  const meta = new PacketMeta();
  const into = arena.acquire();
  for (
    const packet of [
      ipv4Packet([1, 2], { protocol: 132 }),
      udpPacket({ ...SIX, payload: "" }),
      tcpPacket({ flags: "S" }),
    ]
  ) {
    const refuser = new Refuser();
    const slot = slotOf(arena, packet);
    assertEquals(parse(arena, slot, Verify.None, meta), 0);
    let [bytesIn, bytesOut] = [0, 0];
    for (let i = 0; i < 5_000; i++) {
      bytesIn += packet.length;
      if (refuser.refuse(arena, meta, into)) bytesOut += arena.length[into]!;
      assert(bytesOut <= bytesIn + STACK_CREDIT_BYTES);
    }
    assert(bytesOut > bytesIn / 2);
    const limited = new Refuser();
    let answers = 0;
    for (let i = 0; i < 5_000; i++) if (limited.refuse(arena, meta, into, micros(1_000_000))) answers++;
    assert(answers <= REFUSALS_BURST_MAX && answers > 0, `${answers} answers at once`);
    arena.release(slot);
  }
});

Deno.test("Stack agrees to ECN through a cookie when timestamps carry it, and only then", () => {
  const ECN_SYN = 0x40 | 0x80;
  for (
    const [withTimestamps, asks, agrees] of [[true, true, true], [true, false, false], [false, true, false]] as const
  ) {
    const world = new StackWorld({ synCookies: "always" });
    const listener = world.stack.listen(undefined, 80, 8)!;
    const options = withTimestamps ? [...SYN_OPTIONS, ...TIMESTAMPS] : SYN_OPTIONS;
    const syn = tcpPacket({ flags: "S", sequence: 500, destinationPort: 80, tcpOptions: options });
    if (asks) {
      syn[33] = syn[33]! | ECN_SYN;
      const sum = ((syn[36]! << 8) | syn[37]!) - ECN_SYN;
      const folded = sum < 0 ? sum + 0xffff : sum;
      syn[36] = folded >>> 8;
      syn[37] = folded & 255;
    }
    assertEquals(world.give(syn), "none");
    const answer = world.take();
    assertEquals((answer[33]! & 0x40) !== 0, agrees, "the SYN-ACK says ECE");
    const at = [...answer].findIndex((byte, i) => i >= 40 && byte === 8 && answer[i + 1] === 10);
    const echo = withTimestamps ? [1, 1, 8, 10, 0, 0, 0, 10, ...answer.slice(at + 2, at + 6)] : [];
    const acknowledgment = (new DataView(answer.buffer).getUint32(24) + 1) >>> 0;
    const ack = tcpPacket({ flags: "A", sequence: 501, acknowledgment, destinationPort: 80, tcpOptions: echo });
    assertEquals(world.give(ack), "none");
    assertEquals(listener.accept()!.ecn, agrees);
  }
});
