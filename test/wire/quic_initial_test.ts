import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  createLongHeader,
  CryptoFrames,
  expandPacketNumber,
  FrameRead,
  LongPacket,
  readLongHeader,
} from "../../core/wire/quic_initial.ts";
import { readVarint, varintBytes } from "../../core/wire/quic_varint.ts";
import { findQuicVersion, isPlausibleQuicVersion } from "../../core/wire/quic_version.ts";
import { hexBytes, viewOf } from "../support/hello_build.ts";
import { cryptoFrame, joinBytes, TEST_VERSIONS } from "../support/quic_build.ts";
import { RFC9001_CLIENT_INITIAL, RFC9369_CLIENT_INITIAL } from "../support/quic_vectors.ts";

Deno.test("readVarint() reads the examples of RFC 9000 appendix A.1", () => {
  const cases: [string, number][] = [
    ["c2197c5eff14e88c", 151_288_809_941_952_652],
    ["9d7f3e7d", 494_878_333],
    ["7bbd", 15_293],
    ["25", 37],
    ["4025", 37],
  ];
  for (const [hex, value] of cases) {
    const bytes = hexBytes(hex);
    assertEquals(varintBytes(bytes[0]!), bytes.length);
    assertEquals(readVarint(viewOf(bytes), 0), value);
  }
});

Deno.test("expandPacketNumber() gives back the number of RFC 9000 appendix A.3, and any other near the largest", () => {
  assertEquals(expandPacketNumber(0xa82f30ea, 0x9b32, 2), 0xa82f9b32);
  const largest = fc.integer({ min: -1, max: 2 ** 40 });
  fc.assert(
    fc.property(largest, fc.integer({ min: -60, max: 60 }), fc.integer({ min: 1, max: 4 }), (top, step, bytes) => {
      const number = Math.max(0, top + 1 + step);
      return expandPacketNumber(top, number % 2 ** (8 * bytes), bytes) === number;
    }),
    { seed: 5, numRuns: 2_000 },
  );
});

Deno.test("readLongHeader() finds the parts of the sample packets", () => {
  for (const [hex, version] of [[RFC9001_CLIENT_INITIAL, 1], [RFC9369_CLIENT_INITIAL, 0x6b3343cf]] as const) {
    const bytes = hexBytes(hex);
    const header = createLongHeader();
    assertEquals(readLongHeader(viewOf(bytes), 0, 0, bytes.length, version !== 1, header), true);
    assertEquals(header, {
      version,
      packet: LongPacket.Initial,
      dcidAt: 6,
      dcidLength: 8,
      numberAt: 18,
      end: 1200,
    });
  }
});

Deno.test("readLongHeader() refuses lengths that lie, and every truncated header", () => {
  const bytes = hexBytes(RFC9001_CLIENT_INITIAL);
  const header = createLongHeader();
  for (let length = 0; length < 18; length++) {
    assertEquals(readLongHeader(viewOf(bytes), 0, 0, length, false, header), false, String(length));
  }
  for (const [at, value] of [[5, 21], [14, 21], [15, 0x7f]] as const) {
    const lying = bytes.slice(0, 60);
    lying[at] = value;
    assertEquals(readLongHeader(viewOf(lying), 0, 0, lying.length, false, header), false, String(at));
  }
});

Deno.test("CryptoFrames.next() steps over padding, pings and acknowledgements", () => {
  const ack = new Uint8Array([2, 5, 0, 1, 2, 0, 1]);
  const ackEcn = new Uint8Array([3, 5, 0, 0, 2, 1, 1, 1]);
  const data = new Uint8Array([9, 8, 7]);
  const zero = new Uint8Array([0, 0, 0]);
  const payload = joinBytes(zero, new Uint8Array([1]), ack, cryptoFrame(70, data), ackEcn, zero, cryptoFrame(0, data));
  const frames = new CryptoFrames();
  const view = viewOf(payload);
  const found: number[][] = [];
  while (frames.next(view, 0, payload.length) === FrameRead.Crypto) {
    found.push([frames.offset, ...payload.slice(frames.dataAt, frames.dataAt + frames.dataLength)]);
  }
  assertEquals(found, [[70, 9, 8, 7], [0, 9, 8, 7]]);
  assertEquals(frames.next(view, 0, payload.length), FrameRead.End);
});

Deno.test("CryptoFrames.next() ends on any bytes and stays inside them", () => {
  const start = fc.constantFrom([6, 0], [2, 1], [3, 0], [0x1c], [0xff], []);
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 80 }), (head, tail) => {
      const bytes = new Uint8Array([...head, ...tail]);
      const frames = new CryptoFrames();
      for (let steps = 0; frames.next(viewOf(bytes), 0, bytes.length) === FrameRead.Crypto; steps++) {
        if (steps > bytes.length || frames.dataAt + frames.dataLength > bytes.length) return false;
      }
      return true;
    }),
    { seed: 6, numRuns: 5_000 },
  );
});

Deno.test("findQuicVersion() knows versions 1, 2, drafts 23 to 34 and mvfst, and no invented ones", () => {
  for (const version of TEST_VERSIONS) {
    const found = findQuicVersion(version.number);
    assertEquals(found?.salt, hexBytes(version.salt), version.number.toString(16));
    assertEquals(found?.keyLabel, `${version.prefix} key`);
  }
  for (const number of [0, 2, 0x1a2a3a4a, 0xff000023, 0x12345678, 0xff000014]) {
    assertEquals(findQuicVersion(number), undefined, number.toString(16));
  }
  assertEquals([0x1a2a3a4a, 0x51303433, 0xfaceb00f, 0].map(isPlausibleQuicVersion), [true, true, true, true]);
  assertEquals([0x12345678, 0x51414141, 3].map(isPlausibleQuicVersion), [false, false, false]);
});
