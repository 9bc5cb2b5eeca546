import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Arena, Frame } from "../../core/adapter/arena.ts";
import { Prng } from "../../core/base/prng.ts";
import { DROP_REASON_COUNT, DropReason } from "../../core/parse/drop_reason.ts";
import { DESTINATION, Fragment, FRAGMENT_ID, PacketMeta, SEQUENCE, SOURCE } from "../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../core/parse/parse.ts";
import {
  be16,
  be32,
  ipv4Packet,
  ipv6Packet,
  tcpPacket,
  tcpSegment,
  udpDatagram,
  udpPacket,
} from "../support/packets.ts";
import { parseOne, slotOf } from "../support/slots.ts";

function change(packet: Uint8Array, ...changes: [at: number, value: number][]): Uint8Array {
  const changed = packet.slice();
  for (const [at, value] of changes) changed[at] = value;
  return changed;
}

const tcp4 = tcpPacket({ flags: "PA", payload: "hello", sequence: 0xfffffff0 });
const udp6 = udpPacket({ source: "2001:db8:0:0:0:0:0:1", payload: "hi" });
const icmp4 = ipv4Packet([8, 0, 0xf7, 0xff, 0, 0, 0, 0], { protocol: 1 });

Deno.test("parse() reads a TCP packet over IPv4", () => {
  const { reason, meta } = parseOne(tcp4, { verify: Verify.All });
  assertEquals(reason, "none");
  assertEquals([meta.version, meta.protocol, meta.sourcePort, meta.destinationPort], [4, 6, 50000, 443]);
  assertEquals(meta.words[SOURCE + 2], 0xffff);
  assertEquals(meta.words[SOURCE + 3], 0xc0000201);
  assertEquals(meta.words[DESTINATION + 3], 0xc6336402);
  assertEquals(meta.words[SEQUENCE], 0xfffffff0);
  assertEquals([meta.payloadLength, meta.flags], [5, 0x18]);
});

Deno.test("parse() reads a UDP packet over IPv6", () => {
  const { reason, meta } = parseOne(udp6, { verify: Verify.All });
  assertEquals(reason, "none");
  assertEquals([meta.version, meta.protocol, meta.payloadLength], [6, 17, 2]);
  assertEquals([...meta.words.subarray(SOURCE, SOURCE + 4)], [0x20010db8, 0, 0, 1]);
});

Deno.test("parse() leaves the transport's checksum to a device that vouches for it, and no other checksum", () => {
  const damaged = change(tcp4, [tcp4.length - 1, 0]);
  const both = change(damaged, [10, tcp4[10]! ^ 1]);
  const reasonOf = (packet: Uint8Array, vouched: number, verify: Verify) => {
    const arena = new Arena(2);
    const slot = slotOf(arena, packet);
    arena.vouched[slot] = vouched;
    const reason = parse(arena, slot, verify, new PacketMeta());
    arena.release(slot);
    assertEquals(arena.vouched[arena.acquire()], 0);
    return reason;
  };
  assertEquals(reasonOf(damaged, 0, Verify.All), DropReason.TcpBadChecksum);
  assertEquals(reasonOf(damaged, 1, Verify.All), DropReason.None);
  assertEquals(reasonOf(both, 1, Verify.All), DropReason.Ipv4BadChecksum);
  assertEquals(reasonOf(both, 1, Verify.None), DropReason.None);
});

Deno.test("parse() ignores padding behind the packet", () => {
  const padded = new Uint8Array(tcp4.length + 6).fill(0x99);
  padded.set(tcp4);
  const { reason, meta } = parseOne(padded, { verify: Verify.All });
  assertEquals([reason, meta.payloadLength], ["none", 5]);
});

Deno.test("parse() accepts packets that a snap length cut behind their headers", () => {
  const long = udpPacket({ payload: "x".repeat(500) });
  const { reason, meta } = parseOne(long.subarray(0, 100), { wireLength: long.length });
  assertEquals([reason, meta.payloadLength], ["none", 72]);
  assertEquals(parseOne(long.subarray(0, 24), { wireLength: long.length }).reason, "udpTruncated");
  assertEquals(parseOne(tcp4.subarray(0, 30), { wireLength: tcp4.length }).reason, "tcpTruncated");
  assertEquals(parseOne(tcp4.subarray(0, 12), { wireLength: tcp4.length }).reason, "ipv4Truncated");
});

const BROKEN: [reason: string, packet: Uint8Array, verify?: Verify][] = [
  ["badVersion", new Uint8Array(0)],
  ["badVersion", change(tcp4, [0, 0x55])],
  ["ipv4Truncated", tcp4.slice(0, 19)],
  ["ipv4BadHeaderLength", change(tcp4, [0, 0x44])],
  ["ipv4BadLength", change(tcp4, [2, 0], [3, 19])],
  ["ipv4BadLength", change(tcp4, [0, 0x4f], [3, 59])],
  ["ipv4BadLength", change(tcp4, [2, 255])],
  ["ipv4BadChecksum", change(tcp4, [10, tcp4[10]! ^ 1]), Verify.All],
  ["ipv6Truncated", udp6.slice(0, 39)],
  ["ipv6BadLength", change(udp6, [4, 1])],
  ["ipv6BadExtension", ipv6Packet([17, 200, 0, 0, 0, 0, 0, 0], { protocol: 0 })],
  ["ipv6BadExtension", ipv6Packet([17, 0, 0], { protocol: 60 })],
  ["ipv6BadExtension", ipv6Packet(new Array(11 * 8).fill(0), { protocol: 0 })],
  ["tcpTruncated", ipv4Packet(tcpSegment().slice(0, 19), { protocol: 6 })],
  ["tcpBadHeaderLength", change(tcp4, [32, 0x40])],
  ["tcpBadHeaderLength", change(tcp4, [32, 0xf0])],
  ["tcpBadChecksum", change(tcp4, [tcp4.length - 1, 0]), Verify.All],
  ["udpTruncated", ipv4Packet([0, 1, 0, 2, 0, 8, 0], { protocol: 17 })],
  ["udpBadLength", change(udp6, [45, 7])],
  ["udpBadLength", change(udp6, [45, 99])],
  ["udpBadChecksum", change(udp6, [udp6.length - 1, 0]), Verify.All],
  ["udpBadChecksum", change(udp6, [46, 0], [47, 0]), Verify.All],
  ["icmpTruncated", ipv4Packet([8, 0, 0], { protocol: 1 })],
  ["icmpBadChecksum", change(icmp4, [27, 1]), Verify.All],
  ["mobilityBadChecksum", ipv6Packet([59, 0, 0, 0, 0, 1, 0, 0], { protocol: 135 }), Verify.All],
  ["fragmentMalformed", ipv4Packet([1, 2, 3, 4, 5, 6, 7, 8], { more: true, protocol: 17, offset: 0, totalLength: 27 })],
  ["fragmentMalformed", ipv4Packet([0, 1, 0, 2, 0, 8, 0, 0], { more: true, protocol: 6 })],
  ["fragmentMalformed", ipv4Packet([], { offset: 8, protocol: 17 })],
  ["fragmentMalformed", ipv4Packet(new Array(16).fill(0), { offset: 0xfff8, protocol: 17 })],
];

for (const [index, [reason, packet, verify]] of BROKEN.entries()) {
  Deno.test(`parse() drops with ${reason} when the packet is broken (case ${index})`, () => {
    assertEquals(parseOne(packet, { verify: verify ?? Verify.None }).reason, reason);
    if (verify !== undefined) assertEquals(parseOne(packet).reason, "none");
  });
}

Deno.test("parse() drops frames that carry no IP, or whose link header is cut", () => {
  const arena = new Arena(2);
  const slot = slotOf(arena, tcp4);
  arena.frame[slot] = Frame.NotIp;
  assertEquals(parse(arena, slot, Verify.None, new PacketMeta()), DropReason.NotIp);
  arena.frame[slot] = Frame.LinkTruncated;
  assertEquals(parse(arena, slot, Verify.None, new PacketMeta()), DropReason.LinkTruncated);
});

Deno.test("parse() takes a UDP checksum of zero over IPv4 as absent", () => {
  const packet = udpPacket({ payload: "hi" });
  assertEquals(parseOne(change(packet, [26, 0], [27, 0]), { verify: Verify.All }).reason, "none");
});

Deno.test("parse() walks IPv6 extension headers to the transport header", () => {
  const choices = { source: "2001:db8:0:0:0:0:0:1", payload: "x" };
  const hop = [60, 0, 1, 4, 0, 0, 0, 0];
  const options = [51, 1, ...new Array(14).fill(0)];
  const auth = [17, 2, 0, 0, ...new Array(12).fill(7)];
  const packet = ipv6Packet(udpDatagram(choices), {
    ...choices,
    protocol: 0,
    extensions: [...hop, ...options, ...auth],
  });
  const { reason, meta } = parseOne(packet, { verify: Verify.All });
  assertEquals([reason, meta.protocol, meta.transportAt - meta.ipAt], ["none", 17, 40 + 8 + 16 + 16]);
});

Deno.test("parse() uses the final destination of a routing header for the checksum", () => {
  const final = "2001:db8:0:0:0:0:0:99";
  const source = "2001:db8:0:0:0:0:0:1";
  const segment = tcpSegment({ source, destination: final });
  const routing = [6, 2, 0, 1, 0, 0, 0, 0, 0x20, 1, 0x0d, 0xb8, ...new Array(11).fill(0), 0x99];
  const packet = ipv6Packet(segment, { source, protocol: 43, extensions: routing });
  assertEquals(parseOne(packet, { verify: Verify.All }).reason, "none");
  assertEquals(parseOne(change(packet, [packet.length - 1, 9]), { verify: Verify.All }).reason, "tcpBadChecksum");
});

Deno.test("parse() tells first, later and atomic fragments apart", () => {
  const first = ipv4Packet(udpDatagram({ payload: "12345678" }), { more: true, id: 0x1234 });
  const one = parseOne(first).meta;
  assertEquals([one.fragment, one.sourcePort, one.words[FRAGMENT_ID]], [Fragment.First, 50000, 0x1234]);
  const two = parseOne(ipv4Packet([1, 2, 3], { offset: 16, id: 0x1234 })).meta;
  assertEquals([two.fragment, two.fragmentOffset, two.fragmentLength], [Fragment.Later, 16, 3]);
  const source = "2001:db8:0:0:0:0:0:1";
  const header = (offset: number, more: number) => [17, 0, ...be16(offset | more), ...be32(77)];
  const datagram = udpDatagram({ source, payload: "abcdefgh" });
  const three = parseOne(ipv6Packet(datagram, { source, protocol: 44, extensions: header(0, 1) })).meta;
  assertEquals([three.fragment, three.destinationPort, three.words[FRAGMENT_ID]], [Fragment.First, 53, 77]);
  const four = parseOne(ipv6Packet(datagram, { source, protocol: 44, extensions: header(0, 0) }));
  assertEquals([four.reason, four.meta.fragment, four.meta.payloadLength], ["none", Fragment.Whole, 8]);
});

Deno.test("parse() gives one outcome for any bytes and never reads beyond the slot", () => {
  const arena = new Arena(1);
  const slot = arena.acquire();
  const meta = new PacketMeta();
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 120 }),
      fc.constantFrom(0x45, 0x46, 0x60, 0x00),
      fc.boolean(),
      (bytes, first, all) => {
        if (bytes.length > 0) bytes[0] = first;
        arena.bytes.fill(0xee, 0, 256);
        arena.bytes.set(bytes);
        arena.length[slot] = bytes.length;
        arena.wireLength[slot] = bytes.length;
        const reason = parse(arena, slot, all ? Verify.All : Verify.None, meta);
        assert(Number.isInteger(reason) && reason >= 0 && reason < DROP_REASON_COUNT);
        if (reason === DropReason.None && meta.fragment !== Fragment.Later) {
          assert(meta.payloadAt + meta.payloadLength <= bytes.length);
        }
      },
    ),
    { seed: 1, numRuns: 20_000 },
  );
});

Deno.test("parse() gives one outcome for mutated packets", () => {
  const prng = new Prng(20260602);
  const seeds = [
    tcp4,
    udp6,
    icmp4,
    ipv6Packet(udpDatagram({ source: "1:2:3:4:5:6:7:8" }), { protocol: 0, extensions: [17, 0, 0, 0, 0, 0, 0, 0] }),
  ];
  const arena = new Arena(1);
  const slot = arena.acquire();
  const meta = new PacketMeta();
  for (let i = 0; i < 100_000; i++) {
    const packet = seeds[prng.below(seeds.length)]!;
    arena.bytes.set(packet);
    for (let flips = prng.below(4); flips >= 0; flips--) arena.bytes[prng.below(packet.length)] = prng.below(256);
    arena.length[slot] = prng.below(packet.length + 1);
    arena.wireLength[slot] = packet.length;
    const reason = parse(arena, slot, Verify.All, meta);
    assert(reason >= 0 && reason < DROP_REASON_COUNT);
    if (reason === DropReason.None && meta.fragment !== Fragment.Later) {
      assert(meta.payloadAt + meta.payloadLength <= arena.length[slot]!);
    }
  }
});
