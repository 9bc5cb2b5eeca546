import { assert, assertEquals } from "@std/assert";
import { Arena, NO_SLOT, type Slot } from "../../core/adapter/arena.ts";
import { FRAGMENT_DATAGRAM_COUNT_MAX, FRAGMENT_TIMEOUT_US } from "../../core/base/limits.ts";
import { micros } from "../../core/base/micros.ts";
import { Prng } from "../../core/base/prng.ts";
import { FragmentOutcome, Fragments } from "../../core/classify/fragments.ts";
import { DropReason } from "../../core/parse/drop_reason.ts";
import { PacketMeta } from "../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../core/parse/parse.ts";
import { be16, be32, ipv4Packet, ipv6Packet, udpDatagram, udpPacket } from "../support/packets.ts";
import { slotOf } from "../support/slots.ts";

const HELD = FragmentOutcome.Held;
const COMPLETE = FragmentOutcome.Complete;

/** Cuts a transport payload into fragments at multiples of 8. */
function cut4(payload: number[], cuts: number[], id = 7): Uint8Array[] {
  const edges = [0, ...cuts, payload.length];
  return edges.slice(0, -1).map((from, i) =>
    ipv4Packet(payload.slice(from, edges[i + 1]), { id, offset: from, more: i < cuts.length })
  );
}

function cut6(payload: number[], cuts: number[], id: number, before: number[]): Uint8Array[] {
  const edges = [0, ...cuts, payload.length];
  const source = "2001:db8:0:0:0:0:0:1";
  return edges.slice(0, -1).map((from, i) => {
    const header = [17, 0, ...be16(from | (i < cuts.length ? 1 : 0)), ...be32(id)];
    const protocol = before.length > 0 ? 60 : 44;
    return ipv6Packet(payload.slice(from, edges[i + 1]), { source, protocol, extensions: [...before, ...header] });
  });
}

class Bench {
  readonly arena = new Arena(256);
  readonly fragments = new Fragments(256);
  readonly meta = new PacketMeta();

  add(packet: Uint8Array, now = 0): { outcome: number; slot: Slot } {
    const slot = slotOf(this.arena, packet);
    assertEquals(parse(this.arena, slot, Verify.None, this.meta), DropReason.None);
    return { outcome: this.fragments.add(this.arena, slot, this.meta, micros(now)), slot };
  }

  assemble(): Uint8Array {
    const head = this.fragments.take();
    const into = this.arena.acquire();
    const length = this.fragments.assemble(this.arena, head, into);
    const whole = this.arena.bytes.slice(this.arena.at(into), this.arena.at(into) + length);
    this.arena.release(into);
    for (let slot = head; slot !== NO_SLOT;) {
      const next = this.arena.next[slot]!;
      this.arena.release(slot);
      slot = next;
    }
    return whole;
  }
}

const PAYLOAD = udpDatagram({ payload: Array.from({ length: 100 }, (_, i) => i) });

Deno.test("Fragments.assemble() gives the packet back that was cut, in any order", () => {
  const prng = new Prng(5);
  for (let run = 0; run < 200; run++) {
    const bench = new Bench();
    const pieces = cut4(PAYLOAD, [8 + 8 * prng.below(3), 48, 72]);
    for (let i = pieces.length - 1; i > 0; i--) {
      const j = prng.below(i + 1);
      [pieces[i], pieces[j]] = [pieces[j]!, pieces[i]!];
    }
    const outcomes = pieces.map((piece) => bench.add(piece).outcome);
    assertEquals(outcomes, [HELD, HELD, HELD, COMPLETE]);
    assertEquals(bench.assemble(), udpPacket({ payload: PAYLOAD.slice(8), id: 7 }));
    assertEquals([bench.fragments.heldCount, bench.arena.freeCount], [0, 256]);
  }
});

Deno.test("Fragments.assemble() removes the fragment header from an IPv6 packet, with and without headers before it", () => {
  const source = "2001:db8:0:0:0:0:0:1";
  const payload = udpDatagram({ source, payload: PAYLOAD });
  const whole = new Bench();
  cut6(payload, [16, 64], 9, []).forEach((piece) => whole.add(piece));
  assertEquals(whole.assemble(), ipv6Packet(payload, { source, protocol: 17 }));
  const options = new Bench();
  cut6(payload, [16, 64], 9, [44, 0, 1, 4, 0, 0, 0, 0]).forEach((piece) => options.add(piece));
  const expected = ipv6Packet(payload, { source, protocol: 60, extensions: [17, 0, 1, 4, 0, 0, 0, 0] });
  assertEquals(options.assemble(), expected);
});

Deno.test("Fragments.add() refuses overlaps, doubles and what lies beyond the end", () => {
  const [first, second, third] = cut4(PAYLOAD, [32, 64]) as [Uint8Array, Uint8Array, Uint8Array];
  const twice = new Bench();
  assertEquals([twice.add(first).outcome, twice.add(first).outcome], [HELD, FragmentOutcome.Duplicate]);
  const over = new Bench();
  over.add(first);
  assertEquals(
    over.add(ipv4Packet(PAYLOAD.slice(24, 48), { id: 7, offset: 24, more: true })).outcome,
    FragmentOutcome.Overlap,
  );
  const beyond = new Bench();
  beyond.add(third);
  assertEquals(
    beyond.add(ipv4Packet([1, 2, 3, 4, 5, 6, 7, 8], { id: 7, offset: 160, more: true })).outcome,
    FragmentOutcome.Overlap,
  );
  const short = new Bench();
  short.add(second);
  assertEquals(short.add(ipv4Packet([1, 2], { id: 7, offset: 40 })).outcome, FragmentOutcome.Overlap);
  const ends = new Bench();
  ends.add(third);
  assertEquals(ends.add(ipv4Packet([1, 2], { id: 7, offset: 16 })).outcome, FragmentOutcome.Overlap);
});

Deno.test("Fragments keeps datagrams apart by identification, addresses and protocol", () => {
  const bench = new Bench();
  assertEquals(bench.add(cut4(PAYLOAD, [32], 1)[0]!).outcome, HELD);
  assertEquals(bench.add(cut4(PAYLOAD, [32], 2)[1]!).outcome, HELD);
  assertEquals(bench.add(ipv4Packet(PAYLOAD.slice(32), { id: 1, offset: 32, protocol: 6 })).outcome, HELD);
  assertEquals(bench.add(ipv4Packet(PAYLOAD.slice(32), { id: 1, offset: 32, source: "192.0.2.9" })).outcome, HELD);
  assertEquals(bench.add(cut4(PAYLOAD, [32], 1)[1]!).outcome, COMPLETE);
});

Deno.test("Fragments is full after its bound, and gives up what waits too long", () => {
  const bench = new Bench();
  for (let id = 0; id < FRAGMENT_DATAGRAM_COUNT_MAX; id++) {
    assertEquals(bench.add(cut4(PAYLOAD, [32], id)[0]!, id).outcome, HELD);
  }
  const { outcome, slot } = bench.add(cut4(PAYLOAD, [32], 999)[0]!, 100);
  assertEquals(outcome, FragmentOutcome.Full);
  bench.arena.release(slot);
  assertEquals(bench.fragments.nextExpiry(), FRAGMENT_TIMEOUT_US);
  assert(!bench.fragments.expired(micros(FRAGMENT_TIMEOUT_US - 1)));
  assert(bench.fragments.expired(micros(FRAGMENT_TIMEOUT_US)));
  bench.arena.release(bench.fragments.take());
  assertEquals(bench.fragments.heldCount, FRAGMENT_DATAGRAM_COUNT_MAX - 1);
  assertEquals(bench.add(cut4(PAYLOAD, [32], 999)[0]!, 100).outcome, HELD);
});
