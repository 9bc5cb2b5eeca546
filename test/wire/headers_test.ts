import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { addBytes, checksum, finishSum } from "../../core/wire/checksum.ts";
import * as icmp from "../../core/wire/icmp.ts";
import * as ipv4 from "../../core/wire/ipv4.ts";
import * as ipv6 from "../../core/wire/ipv6.ts";
import { seqAdd, seqDiff, seqLess, seqLessOrEqual } from "../../core/wire/seq.ts";
import * as tcp from "../../core/wire/tcp.ts";
import * as udp from "../../core/wire/udp.ts";

const SEED = { seed: 20260601, numRuns: 500 };
const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });

function buffer(): DataView {
  return new DataView(new ArrayBuffer(128));
}

Deno.test("ipv4.parse() of ipv4.emit() gives the same fields", () => {
  const fields = fc.record({
    tos: u8,
    totalLength: u16,
    identification: u16,
    dontFragment: fc.boolean(),
    moreFragments: fc.boolean(),
    fragmentOffset: fc.integer({ min: 0, max: 0x1fff }).map((n) => n * 8),
    timeToLive: u8,
    protocol: u8,
    source: u32,
    destination: u32,
  });
  fc.assert(
    fc.property(fields, fc.integer({ min: 0, max: 9 }), (given, at) => {
      const view = buffer();
      assertEquals(ipv4.emit(view, at, given), 20);
      assertEquals(ipv4.parse(view, at), given);
      assertEquals(ipv4.version(view, at), 4);
      assertEquals(checksum(view, at, 20), 0);
    }),
    SEED,
  );
});

Deno.test("ipv6.parse() of ipv6.emit() gives the same fields", () => {
  const words = fc.array(u32, { minLength: 4, maxLength: 4 });
  const fields = fc.record({
    trafficClass: u8,
    flowLabel: fc.integer({ min: 0, max: 0xfffff }),
    payloadLength: u16,
    nextHeader: u8,
    hopLimit: u8,
    source: words,
    destination: words,
  });
  fc.assert(
    fc.property(fields, (given) => {
      const view = buffer();
      assertEquals(ipv6.emit(view, 3, given), 40);
      assertEquals(ipv6.parse(view, 3), given);
      assertEquals(ipv6.version(view, 3), 6);
    }),
    SEED,
  );
});

Deno.test("tcp.parse() of tcp.emit() gives the same fields", () => {
  const fields = fc.record({
    sourcePort: u16,
    destinationPort: u16,
    sequence: u32,
    acknowledgment: u32,
    flags: u8,
    window: u16,
    urgentPointer: u16,
  });
  fc.assert(
    fc.property(fields, (given) => {
      const view = buffer();
      assertEquals(tcp.emit(view, 1, given), 20);
      assertEquals(tcp.parse(view, 1), given);
      assertEquals(tcp.headerLength(view, 1), 20);
    }),
    SEED,
  );
});

Deno.test("udp.parse() of udp.emit() and icmp.parse() of icmp.emit() give the same fields", () => {
  fc.assert(
    fc.property(u16, u16, u16, u8, u8, u32, (sourcePort, destinationPort, length, type, code, restOfHeader) => {
      const view = buffer();
      udp.emit(view, 0, { sourcePort, destinationPort, length });
      assertEquals(udp.parse(view, 0), { sourcePort, destinationPort, length });
      icmp.emit(view, 16, { type, code, restOfHeader });
      assertEquals(icmp.parse(view, 16), { type, code, restOfHeader });
    }),
    SEED,
  );
});

Deno.test("tcp.findOption() finds options and stops at malformed ones", () => {
  const cases: [number[], number, number][] = [
    [[2, 4, 5, 180, 1, 1, 1, 0], tcp.OPTION_MSS, 20],
    [[1, 1, 4, 2, 3, 3, 7, 0], tcp.OPTION_WINDOW_SCALE, 24],
    [[1, 1, 4, 2, 3, 3, 7, 0], tcp.OPTION_TIMESTAMPS, -1],
    [[0, 0, 0, 0, 2, 4, 5, 180], tcp.OPTION_MSS, -1],
    [[8, 0, 0, 0, 2, 4, 5, 180], tcp.OPTION_MSS, -1],
    [[8, 99, 0, 0, 2, 4, 5, 180], tcp.OPTION_MSS, -1],
    [[1, 1, 1, 1, 1, 1, 1, 2], tcp.OPTION_MSS, -1],
  ];
  for (const [options, kind, expected] of cases) {
    const view = buffer();
    tcp.emit(view, 0, {
      sourcePort: 1,
      destinationPort: 2,
      sequence: 3,
      acknowledgment: 4,
      flags: 0,
      window: 0,
      urgentPointer: 0,
    });
    view.setUint8(12, ((20 + options.length) / 4) << 4);
    options.forEach((byte, i) => view.setUint8(20 + i, byte));
    assertEquals(tcp.findOption(view, 0, kind), expected);
  }
});

/** RFC 1071 section 4.1, one byte pair after the other. */
function slowChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
    if (sum > 0xffff) sum = (sum & 0xffff) + 1;
  }
  return ~sum & 0xffff;
}

Deno.test("checksum() agrees with the definition for any bytes at any place", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 0, max: 7 }), (bytes, at) => {
      const padded = new Uint8Array(at + bytes.length + 4).fill(0xa5);
      padded.set(bytes, at);
      const view = new DataView(padded.buffer);
      assertEquals(checksum(view, at, bytes.length), slowChecksum(bytes));
      const half = (bytes.length >> 1) & ~1;
      const parts = addBytes(addBytes(0, view, at, half), view, at + half, bytes.length - half);
      assertEquals(finishSum(parts), slowChecksum(bytes));
    }),
    SEED,
  );
});

Deno.test("checksum() of 65,535 bytes of 0xff does not lose a carry", () => {
  const bytes = new Uint8Array(65535).fill(0xff);
  assertEquals(checksum(new DataView(bytes.buffer), 0, bytes.length), slowChecksum(bytes));
});

Deno.test("seqDiff() and its kin order numbers around the wrap", () => {
  assertEquals(seqDiff(5, 0xfffffffe), 7);
  assertEquals(seqDiff(0xfffffffe, 5), -7);
  assertEquals(seqLess(0xffffffff, 0), true);
  assertEquals(seqLess(0, 0xffffffff), false);
  assertEquals(seqLessOrEqual(7, 7), true);
  assertEquals(seqAdd(0xffffffff, 2), 1);
});
