import { assertEquals, assertStringIncludes } from "@std/assert";
import { looksLikePcap, PcapDecoder } from "../../../sim/capture/pcap.ts";
import { ByteBuilder, join, pcapHeader, pcapPacket } from "./byte_builder.ts";
import { drain } from "./drain.ts";

const MICRO = 0xa1b2c3d4;
const NANO = 0xa1b23c4d;
const KUZNETZOV = 0xa1b2cd34;

Deno.test("PcapDecoder reads either byte order and either time unit when the magic says so", () => {
  for (const little of [true, false]) {
    for (const magic of [MICRO, NANO]) {
      const decoder = new PcapDecoder();
      const file = join(
        pcapHeader(little, magic, 65535, 1),
        pcapPacket(little, 1_700_000_000, 123_456, [1, 2, 3], 60),
        pcapPacket(little, 4_294_967_295, 999_999, []),
      );
      assertEquals(looksLikePcap(file), true);
      const [first, second] = drain(decoder, file);
      const isNano = magic === NANO;
      assertEquals(first, {
        data: [1, 2, 3],
        originalLength: 60,
        linkType: 1,
        timestampUs: 1_700_000_000_000_000 + (isNano ? 123 : 123_456),
        timestampNsRest: isNano ? 456 : 0,
        direction: 0,
        process: undefined,
        interfaceIndex: 0,
        fileOffset: 24,
      });
      assertEquals(second!.timestampUs, 4_294_967_295_000_000 + (isNano ? 999 : 999_999));
      assertEquals([decoder.packets, decoder.bytes, decoder.originalBytes], [2, 3, 60]);
      assertEquals(decoder.linkTypes, ["ETHERNET"]);
      assertEquals(decoder.error, null);
    }
  }
});

Deno.test("PcapDecoder reads Kuznetzov's longer packet headers when the magic is a1b2cd34", () => {
  for (const little of [true, false]) {
    const packet = (packetType: number, data: number[]) =>
      new ByteBuilder(little).u32(10).u32(20).u32(data.length).u32(data.length)
        .u32(2).u16(0x0800).u8(packetType).u8(0).raw(data).done();
    const decoder = new PcapDecoder();
    const file = join(pcapHeader(little, KUZNETZOV, 65535, 1), packet(0, [1]), packet(4, [2, 3]), packet(3, []));
    const packets = drain(decoder, file);
    assertEquals(packets.map(({ data }) => data), [[1], [2, 3], []]);
    assertEquals(packets.map(({ direction }) => direction), [1, 2, 0]);
    assertEquals(decoder.error, null);
  }
});

Deno.test("PcapDecoder reads packets of any length when the snap length lies", () => {
  for (const snapLength of [0, 1, 0x7fffffff, 0xffffffff]) {
    const decoder = new PcapDecoder();
    const file = join(pcapHeader(true, MICRO, snapLength, 101), pcapPacket(true, 1, 2, new Uint8Array(70_000)));
    assertEquals(drain(decoder, file)[0]!.data.length, 70_000);
    assertEquals(decoder.interfaces[0]!.snapLength, snapLength);
    assertEquals(decoder.error, null);
  }
});

Deno.test("PcapDecoder masks the checksum bits when the link type field has them", () => {
  const decoder = new PcapDecoder();
  drain(decoder, pcapHeader(false, MICRO, 65535, 0x2400_0001));
  assertEquals(decoder.linkTypes, ["ETHERNET"]);
});

Deno.test("PcapDecoder swaps the lengths when an old version wrote them the other way round", () => {
  const decoder = new PcapDecoder();
  const swapped = new ByteBuilder(true).u32(1).u32(2).u32(100).u32(2).raw([8, 9]).done();
  const packets = drain(decoder, join(pcapHeader(true, MICRO, 96, 1, 2), swapped));
  assertEquals([packets[0]!.data, packets[0]!.originalLength], [[8, 9], 100]);
});

Deno.test("PcapDecoder keeps what came before and says where it stopped when the file is damaged", () => {
  const header = pcapHeader(true, MICRO, 65535, 1);
  const good = pcapPacket(true, 1, 2, [1, 2, 3, 4]);
  const huge = new ByteBuilder(true).u32(1).u32(2).u32(0x1000_0001).u32(60).done();
  const cases: [string, Uint8Array, number, number, string][] = [
    ["inside the packet", join(header, good, good.subarray(0, 18)), 1, 44, "18 of 20 bytes"],
    ["inside the packet header", join(header, good, good.subarray(0, 15)), 1, 44, "15 of 16 bytes"],
    ["inside the file header", header.subarray(0, 23), 0, 0, "23 of 24 bytes"],
    ["absurd length", join(header, good, huge), 1, 44, "claims 268435457 captured bytes"],
    ["version", new ByteBuilder(true).u32(MICRO).u16(3).u16(1).raw(new Uint8Array(16)).done(), 0, 0, "version 3.1"],
  ];
  for (const [name, file, count, offset, message] of cases) {
    const decoder = new PcapDecoder();
    assertEquals(drain(decoder, file).length, count, name);
    assertEquals(decoder.error?.offset, offset, name);
    assertStringIncludes(decoder.error!.message, message);
    assertEquals(decoder.packets, count, name);
  }
});

Deno.test("PcapDecoder tells its observer of every packet when there is one", () => {
  const seen: [string, number, number][] = [];
  const decoder = new PcapDecoder((kind, offset, length) => seen.push([kind, offset, length]));
  drain(decoder, join(pcapHeader(true, MICRO, 0, 1), pcapPacket(true, 0, 0, [1]), pcapPacket(true, 0, 0, [])));
  assertEquals(seen, [["packet", 24, 17], ["packet", 41, 16]]);
});
