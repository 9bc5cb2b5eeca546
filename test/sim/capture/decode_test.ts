import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { CAPTURE_RECORD_BYTES_MAX } from "../../../core/base/limits.ts";
import { Prng } from "../../../core/base/prng.ts";
import { decoderFor, PcapDecoder, PcapngDecoder } from "../../../sim/capture/decode.ts";
import { type CaptureDecoder, DECODE } from "../../../sim/capture/record.ts";
import {
  block,
  ByteBuilder,
  enhancedPacket,
  interfaceBlock,
  join,
  optionList,
  pcapHeader,
  pcapPacket,
  sectionHeader,
  u32Bytes,
} from "./byte_builder.ts";
import { drain } from "./drain.ts";

function pcapFile(): Uint8Array {
  return join(
    pcapHeader(true, 0xa1b23c4d, 65535, 1),
    ...Array.from({ length: 6 }, (_, i) => pcapPacket(true, i, i * 1001, new Uint8Array(i * 7).fill(i), 100)),
  );
}

function pcapngFile(): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const little of [true, false]) {
    const process = join(u32Bytes(little, 9), optionList(little, [[2, [120, 121]]]));
    const entry = join(u32Bytes(true, 8), optionList(true, [[3, [47, 120]], [6, u32Bytes(true, 3)]]));
    const names = new ByteBuilder(little).u16(1).u16(6).raw([1, 2, 3, 4, 97, 0]).pad4().u32(0).done();
    parts.push(
      sectionHeader(little),
      interfaceBlock(little, 1, 40, [[9, [9]], [2, [101]]]),
      block(little, 0x80000001, process),
      block(little, 0x0bad, join(u32Bytes(little, 32622), u32Bytes(true, 3, entry.length), entry)),
      block(little, 4, names),
      enhancedPacket(little, 0, 77n, new Uint8Array(33), [[2, u32Bytes(little, 1)], [0x8001, u32Bytes(little, 0)]]),
      block(little, 5, new Uint8Array(20)),
      block(little, 3, new ByteBuilder(little).u32(5).raw([1, 2, 3, 4, 5]).done()),
      block(little, 0x4711, new Uint8Array(100)),
      enhancedPacket(little, 0, 78n, [1], [[8, u32Bytes(little, 8, 0)], [1, [33]]]),
    );
  }
  return join(...parts);
}

const FORMATS: readonly (readonly [string, () => Uint8Array, () => CaptureDecoder])[] = [
  ["PcapDecoder", pcapFile, () => new PcapDecoder()],
  ["PcapngDecoder", pcapngFile, () => new PcapngDecoder()],
];

Deno.test("decoderFor() goes by the first bytes when asked for a decoder", () => {
  for (const little of [true, false]) {
    for (const magic of [0xa1b2c3d4, 0xa1b23c4d, 0xa1b2cd34]) {
      assertEquals(decoderFor(u32Bytes(little, magic))?.format, "pcap");
    }
  }
  assertEquals(decoderFor(Uint8Array.from([0x0a, 0x0d, 0x0d, 0x0a]))?.format, "pcapng");
  for (const bytes of [[], [0xd4, 0xc3, 0xb2], [0, 0, 0, 0], [0x0a, 0x0d, 0x0d]]) {
    assertEquals(decoderFor(Uint8Array.from(bytes)), undefined);
  }
});

for (const [name, build, create] of FORMATS) {
  Deno.test(`${name} gives the same packets when the bytes arrive in any pieces`, () => {
    const file = build();
    const whole = create();
    const expected = drain(whole, file);
    assert(expected.length >= 6);
    assertEquals(whole.error, null);
    const pieces = fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 60 });
    const cut = fc.integer({ min: 0, max: file.length });
    const property = fc.property(pieces, cut, (lengths, end) => {
      const decoder = create();
      assertEquals(drain(decoder, file, lengths), expected);
      assertEquals(decoder.error, null);
      assertEquals(decoder.nameRecords, whole.nameRecords);
      // The same holds for a file that ends anywhere: packets and error do not depend on the pieces.
      const cutWhole = create(), cutPieces = create();
      const file2 = file.subarray(0, end);
      assertEquals(drain(cutPieces, file2, lengths), drain(cutWhole, file2));
      assertEquals(cutPieces.error, cutWhole.error);
    });
    fc.assert(property, { seed: 2, numRuns: 300 });
  });

  Deno.test(`${name} keeps a prefix of the packets when the file ends anywhere`, () => {
    const file = build();
    const expected = drain(create(), file);
    for (let end = 0; end < file.length; end++) {
      const decoder = create();
      const packets = drain(decoder, file.subarray(0, end));
      assertEquals(packets, expected.slice(0, packets.length));
      const error = decoder.error;
      if (error !== null) assert(error.offset <= end && error.message.includes("ends inside"), `${end}`);
    }
  });

  Deno.test(`${name} ends without a throw when bytes are mutated`, () => {
    const seeds = build();
    const prng = new Prng(7).fork(name);
    for (let run = 0; run < 4000; run++) {
      const file = seeds.slice();
      for (let i = prng.between(1, 6); i > 0; i--) {
        const at = prng.below(file.length);
        if (prng.chance(1, 3)) file.fill(prng.chance(1, 2) ? 0xff : 0, at, at + prng.between(1, 4));
        else file[at] = prng.uint32();
      }
      settle(create(), file, prng);
    }
  });

  Deno.test(`${name} ends without a throw when bytes are random`, () => {
    const property = fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      settle(create(), bytes, new Prng(1));
      settle(create(), join(build().subarray(0, 28), bytes), new Prng(2));
    });
    fc.assert(property, { seed: 3, numRuns: 1000 });
  });
}

/** One outcome, in as many steps as there are bytes at most, and every packet inside the buffer. */
function settle(decoder: CaptureDecoder, file: Uint8Array, prng: Prng): void {
  let at = 0;
  let packets = 0;
  for (let steps = 0; steps < 2 * file.length + 10; steps++) {
    const step = decoder.next();
    if (step === DECODE.PACKET) {
      packets++;
      const { dataAt, dataLength, view, timestampUs, timestampNsRest, data } = decoder.record;
      assert(dataAt + dataLength <= view.byteLength && dataLength <= CAPTURE_RECORD_BYTES_MAX);
      assertEquals(data.length, dataLength);
      assert(Number.isSafeInteger(timestampUs) && timestampNsRest >= 0 && timestampNsRest < 1000);
    } else if (step === DECODE.END) {
      assertEquals(decoder.packets, packets);
      assertEquals(decoder.next(), DECODE.END);
      if (decoder.error !== null) assert(decoder.error.offset >= 0 && decoder.error.offset <= file.length);
      return;
    } else if (at < file.length) {
      const length = prng.between(1, 200);
      decoder.push(file.subarray(at, at + length));
      at += length;
    } else decoder.finish();
  }
  throw new Error("the decoder does not come to an end");
}
