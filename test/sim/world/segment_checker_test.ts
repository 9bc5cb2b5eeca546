/** The checker is the judge of every simulated packet: here it is shown what it must let pass, and each thing that it must not. */
import { assertEquals } from "@std/assert";
import { Arena } from "../../../core/adapter/arena.ts";
import { PacketMeta } from "../../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../../core/parse/parse.ts";
import { SegmentChecker } from "../../../sim/world/segment_checker.ts";
import { Violation } from "../../../sim/world/violation.ts";
import { be16, be32, tcpPacket } from "../../support/packets.ts";
import { slotOf } from "../../support/slots.ts";

interface Segment {
  flags?: string;
  /** From 1, the first byte after the SYN. */
  at?: number;
  ack?: number;
  length?: number;
  window?: number;
  options?: number[];
}

const ISN = { local: 0xffff_fff0, remote: 0x7fff_fff0 };
const SYN_OPTIONS = [2, 4, ...be16(1_000), 1, 3, 3, 2, 1, 1, 4, 2, 1, 1, 8, 10, ...be32(100), ...be32(0)];

function stamp(value: number, echo: number): number[] {
  return [1, 1, 8, 10, ...be32(value), ...be32(echo)];
}

/** A checker beside a host whose handshake, with all options, is over. */
class Bench {
  readonly checker = new SegmentChecker("host");
  readonly arena = new Arena(2);

  constructor(options = SYN_OPTIONS) {
    this.send({ flags: "S", at: 0, options });
    this.receive({ flags: "SA", at: 0, ack: 1, options, window: 4_000 });
  }

  #slot(segment: Segment, isSent: boolean): { slot: number; meta: PacketMeta } {
    const [mine, other] = isSent ? [ISN.local, ISN.remote] : [ISN.remote, ISN.local];
    const packet = tcpPacket({
      source: isSent ? "10.0.0.1" : "10.0.0.2",
      destination: isSent ? "10.0.0.2" : "10.0.0.1",
      sourcePort: isSent ? 1_000 : 80,
      destinationPort: isSent ? 80 : 1_000,
      sequence: (mine + (segment.at ?? 1)) >>> 0,
      acknowledgment: segment.ack === undefined ? 0 : (other + segment.ack) >>> 0,
      flags: segment.flags ?? "A",
      tcpOptions: segment.options ?? stamp(100, 100),
      payload: new Array(segment.length ?? 0).fill(7),
    });
    packet.set(be16(segment.window ?? 1_000), 34);
    const slot = slotOf(this.arena, packet);
    const meta = new PacketMeta();
    assertEquals(parse(this.arena, slot, Verify.None, meta), 0);
    return { slot, meta };
  }

  send(segment: Segment): void {
    const { slot, meta } = this.#slot(segment, true);
    this.arena.release(slot);
    this.checker.sent(this.arena, slot, meta);
  }

  receive(segment: Segment): void {
    const { slot, meta } = this.#slot(segment, false);
    this.arena.release(slot);
    this.checker.received(this.arena, slot, meta);
  }
}

/** What the checker says about a segment; "" when it lets it pass. */
function verdict(bench: Bench, segment: Segment): string {
  try {
    bench.send(segment);
    return "";
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    return error.invariant;
  }
}

Deno.test("SegmentChecker lets a decent conversation pass", () => {
  const bench = new Bench();
  bench.send({ ack: 1 });
  bench.send({ ack: 1, length: 988 });
  bench.send({ at: 989, ack: 1, length: 988 });
  bench.send({ ack: 1, length: 988 });
  bench.receive({ ack: 1_977, length: 500, window: 500 });
  bench.send({ at: 1_977, ack: 501, window: 875 });
  bench.send({ at: 1_977, ack: 501, window: 875, length: 100, flags: "FPA" });
  bench.receive({ at: 501, ack: 2_078, flags: "FA" });
  bench.send({ at: 2_078, ack: 502, window: 0 });
});

Deno.test("SegmentChecker names what is wrong with a segment", () => {
  const cases: [what: string, segment: Segment, invariant: string][] = [
    ["a hole in what is sent", { at: 2, ack: 1, length: 10 }, "sequence"],
    ["an acknowledgment of what never came", { ack: 2 }, "sequence"],
    ["no acknowledgment at all", { flags: "P", length: 5 }, "sequence"],
    ["bytes beyond the peer's MSS", { ack: 1, length: 989 }, "options"],
    ["an MSS option without SYN", { ack: 1, options: [...stamp(100, 100), 2, 4, 5, 180] }, "options"],
    ["no timestamps although they were agreed on", { ack: 1, options: [] }, "options"],
    ["an echo of a timestamp that never came", { ack: 1, options: stamp(100, 101) }, "options"],
    ["a timestamp that goes back", { ack: 1, options: stamp(99, 100) }, "options"],
    [
      "a SACK block of what never came",
      { ack: 1, options: [...stamp(100, 100), 1, 1, 5, 10, ...be32(ISN.remote + 5), ...be32(ISN.remote + 9)] },
      "options",
    ],
    ["the window's first probe", { ack: 1, length: 1 }, ""],
  ];
  for (const [what, segment, invariant] of cases) assertEquals(verdict(new Bench(), segment), invariant, what);
});

Deno.test("SegmentChecker knows the peer's window, scaled, and lets one byte probe it", () => {
  const send = (window: number, length: number) => {
    const bench = new Bench();
    bench.receive({ ack: 1, window });
    // The handshake's own window, which is never scaled, was 4,000 bytes.
    for (let at = 1; at < 4_001; at += 500) bench.send({ at, ack: 1, length: Math.min(500, 4_001 - at) });
    return verdict(bench, { at: 4_001, ack: 1, length });
  };
  assertEquals(send(1_000, 1), "");
  assertEquals(send(1_000, 2), "window");
  assertEquals(send(1_025, 100), "");
  assertEquals(send(1_025, 102), "window");
});

Deno.test("SegmentChecker notices a window that is taken back, a FIN that moves, and bytes behind it", () => {
  const bench = new Bench();
  bench.send({ ack: 1, window: 1_000 });
  assertEquals(verdict(bench, { ack: 1, window: 999 }), "window");
  bench.send({ ack: 1, length: 10, flags: "FA", window: 1_000 });
  assertEquals(verdict(bench, { at: 11, ack: 1, length: 5, window: 1_000 }), "sequence");
  assertEquals(verdict(bench, { at: 1, ack: 1, length: 5, flags: "FA", window: 1_000 }), "sequence");
});

Deno.test("SegmentChecker notices options that were not agreed on", () => {
  const plain = [2, 4, ...be16(1_000)];
  assertEquals(verdict(new Bench(plain), { ack: 1, options: [] }), "");
  assertEquals(verdict(new Bench(plain), { ack: 1 }), "options");
  const sack = [1, 1, 5, 10, ...be32(1), ...be32(2)];
  assertEquals(verdict(new Bench(plain), { ack: 1, options: sack }), "options");
});
