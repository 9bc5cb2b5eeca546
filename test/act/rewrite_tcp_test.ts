import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { clampSegmentSize, rewriteTuple } from "../../core/act/rewrite_tcp.ts";
import { KEY_WORDS, keyOfPacket, PORTS, TupleIndex } from "../../core/act/tuple_index.ts";
import { parse, Verify } from "../../core/parse/parse.ts";
import { PacketMeta } from "../../core/parse/packet_meta.ts";
import * as tcp from "../../core/wire/tcp.ts";
import { tcpPacket } from "../support/packets.ts";
import { parseOne } from "../support/slots.ts";

const v4 = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((parts) => parts.join("."));
const v6 = fc.array(fc.nat(0xffff), { minLength: 8, maxLength: 8 }).map((groups) =>
  groups.map((group) => group.toString(16)).join(":")
);
const port = fc.integer({ min: 1, max: 65_535 });
const packets = fc.oneof(fc.tuple(v4, v4), fc.tuple(v6, v6)).chain(([source, destination]) =>
  fc.record({
    source: fc.constant(source),
    destination: fc.constant(destination),
    sourcePort: port,
    destinationPort: port,
    sequence: fc.nat(0xffff_ffff),
    acknowledgment: fc.nat(0xffff_ffff),
    flags: fc.constantFrom("S", "SA", "A", "PA", "FA", "R"),
    payload: fc.array(fc.nat(255), { maxLength: 40 }),
  })
);

/** What is the same whatever the addresses, ports and checksums are. */
function rest(packet: Uint8Array): number[] {
  const four = packet[0]! >>> 4 === 4;
  const transport = four ? 20 : 40;
  const hidden = new Set(four ? [10, 11] : []);
  for (let at = four ? 12 : 8; at < transport + 4; at++) hidden.add(at);
  hidden.add(transport + 16).add(transport + 17);
  return [...packet].filter((_, at) => !hidden.has(at));
}

Deno.test("rewriteTuple() keeps all checksums right and everything but the tuple as it was", () => {
  fc.assert(
    fc.property(packets, fc.array(fc.nat(0xffff_ffff), { minLength: 9, maxLength: 9 }), (choices, words) => {
      const packet = tcpPacket(choices);
      const { meta, arena } = parseOne(packet);
      const tuples = new TupleIndex(1, 2);
      const original = new Uint32Array(KEY_WORDS);
      keyOfPacket(meta, false, original);
      tuples.add(0, original);
      const key = new Uint32Array(words);
      if (meta.version === 4) { for (let at = 0; at < 8; at++) if (at % 4 !== 3) key[at] = original[at]!; }
      tuples.add(1, key);
      rewriteTuple(arena.view, meta, tuples, 1, false);
      const bytes = arena.bytes.slice(meta.ipAt, meta.ipAt + packet.length);
      const again = new PacketMeta();
      assertEquals(parse(arena, 0, Verify.All, again), 0, "headers and checksums are sound");
      assertEquals(again.words.slice(0, 8), key.slice(0, 8));
      assertEquals((again.sourcePort * 65_536) + again.destinationPort, key[PORTS]);
      assertEquals(rest(bytes), rest(packet));
      rewriteTuple(arena.view, meta, tuples, 0, false);
      assertEquals(parse(arena, 0, Verify.All, again), 0);
      assertEquals(arena.bytes.slice(meta.ipAt, meta.ipAt + packet.length), packet);
      // The way back exchanges source and destination.
      rewriteTuple(arena.view, meta, tuples, 0, true);
      assertEquals(parse(arena, 0, Verify.All, again), 0);
      assertEquals([again.sourcePort, again.destinationPort], [choices.destinationPort, choices.sourcePort]);
    }),
    { seed: 7, numRuns: 2_000 },
  );
});

Deno.test("clampSegmentSize() lowers what a SYN announces to what the device takes, wherever the option stands", () => {
  const mss = (size: number) => [2, 4, size >>> 8, size & 255];
  const cases: readonly (readonly [string, number[], number, number])[] = [
    ["192.0.2.1", mss(1460), 1500, 1460],
    ["192.0.2.1", mss(8960), 1500, 1460],
    ["192.0.2.1", [1, ...mss(65_495), 3, 3, 7], 1500, 1460],
    ["192.0.2.1", [1, 1, 1, ...mss(9000), 0], 1280, 1240],
    ["2001:db8:0:0:0:0:0:1", mss(8940), 1500, 1440],
    ["2001:db8:0:0:0:0:0:1", [1, ...mss(8940), 1, 1, 1], 1500, 1440],
    ["192.0.2.1", mss(536), 1500, 536],
  ];
  for (const [source, tcpOptions, mtu, expected] of cases) {
    const { meta, arena } = parseOne(tcpPacket({ source, flags: "S", tcpOptions }));
    clampSegmentSize(arena.view, meta, mtu);
    const at = tcp.findOption(arena.view, meta.transportAt, tcp.OPTION_MSS);
    assertEquals(arena.view.getUint16(at + 2), expected);
    assertEquals(parse(arena, 0, Verify.All, new PacketMeta()), 0);
  }
});

Deno.test("clampSegmentSize() leaves a SYN without the option, or with a damaged one, as it is", () => {
  for (const tcpOptions of [[], [2, 3, 9, 0], [1, 1, 1, 1]]) {
    const packet = tcpPacket({ flags: "S", tcpOptions });
    const { meta, arena } = parseOne(packet);
    clampSegmentSize(arena.view, meta, 576);
    assertEquals(arena.bytes.slice(meta.ipAt, meta.ipAt + packet.length), packet);
  }
});
