import { assertEquals, assertStringIncludes } from "@std/assert";
import { formatIp } from "../../../core/base/ip_address.ts";
import { CAPTURE_RECORD_BYTES_MAX } from "../../../core/base/limits.ts";
import { NameTable } from "../../../sim/capture/name_block.ts";
import { looksLikePcapng, PcapngDecoder } from "../../../sim/capture/pcapng.ts";
import {
  block,
  ByteBuilder,
  enhancedPacket,
  interfaceBlock,
  join,
  optionList,
  sectionHeader,
  u32Bytes,
} from "./byte_builder.ts";
import { drain } from "./drain.ts";

const BOTH = [true, false];

Deno.test("PcapngDecoder reads packets of all three kinds in either byte order when the section says so", () => {
  for (const little of BOTH) {
    const decoder = new PcapngDecoder();
    const obsolete = new ByteBuilder(little).u16(1).u16(7).u32(0).u32(9).u32(2).u32(2).raw([5, 6]).pad4()
      .raw(optionList(little, [[2, u32Bytes(little, 1)]]));
    const file = join(
      sectionHeader(little),
      interfaceBlock(little, 1, 3),
      interfaceBlock(little, 101),
      enhancedPacket(little, 1, 1_700_000_000_123_456n, [1, 2, 3], [[2, u32Bytes(little, 2)]], 99),
      block(little, 3, new ByteBuilder(little).u32(5).raw([1, 2, 3, 4, 5]).done()),
      block(little, 3, new ByteBuilder(little).u32(2).raw([8, 9]).done()),
      block(little, 2, obsolete.done()),
    );
    assertEquals(looksLikePcapng(file), true);
    const packets = drain(decoder, file);
    assertEquals(decoder.error, null);
    assertEquals(packets.map(({ data }) => data), [[1, 2, 3], [1, 2, 3], [8, 9], [5, 6]]);
    assertEquals(packets.map(({ originalLength }) => originalLength), [99, 5, 2, 2]);
    assertEquals(packets.map(({ linkType }) => linkType), [101, 1, 1, 101]);
    assertEquals(packets.map(({ direction }) => direction), [2, 0, 0, 1]);
    assertEquals(packets.map(({ interfaceIndex }) => interfaceIndex), [1, 0, 0, 1]);
    const time = 1_700_000_000_123_456;
    assertEquals(packets.map(({ timestampUs }) => timestampUs), [time, time, time, 9], "a simple packet has no time");
    assertEquals(decoder.linkTypes, ["ETHERNET", "RAW"]);
    assertEquals([decoder.packets, decoder.bytes, decoder.originalBytes], [4, 10, 108]);
  }
});

Deno.test("PcapngDecoder forgets interfaces and changes the byte order when a section begins", () => {
  const decoder = new PcapngDecoder();
  const file = join(
    sectionHeader(true, 1, 12n),
    interfaceBlock(true, 1),
    enhancedPacket(true, 0, 1n, [1]),
    sectionHeader(false),
    interfaceBlock(false, 113, 0, [[9, [9]]]),
    enhancedPacket(false, 0, 2001n, [2]),
    sectionHeader(true),
    enhancedPacket(true, 0, 3n, [3]),
  );
  const packets = drain(decoder, file);
  assertEquals(packets.map((p) => [p.linkType, p.timestampUs, p.timestampNsRest, p.interfaceIndex]), [
    [1, 1, 0, 0],
    [113, 2, 1, 1],
  ]);
  assertStringIncludes(decoder.error!.message, "names interface 0, but the section describes 0");
  assertEquals(decoder.error!.offset, file.length - 36);
});

Deno.test("PcapngDecoder reads if_tsresol, if_tsoffset, if_name and if_filter when an interface has them", () => {
  for (const little of BOTH) {
    const seconds = (value: bigint) => new ByteBuilder(little).u64(value).done();
    const decoder = new PcapngDecoder();
    const file = join(
      sectionHeader(little),
      interfaceBlock(little, 1, 128, [[2, [101, 110, 48]], [11, [0, 116, 99, 112]], [9, [3]], [14, seconds(-100n)]]),
      interfaceBlock(little, 1, 0, [[9, [0x8a]], [14, seconds(5n)]]),
      enhancedPacket(little, 0, 1_700_000_000_999n, [1]),
      enhancedPacket(little, 1, 1_700_000_000n * 1024n + 512n, [1]),
    );
    const packets = drain(decoder, file);
    assertEquals(packets.map(({ timestampUs }) => timestampUs), [1_699_999_900_999_000, 1_700_000_005_500_000]);
    assertEquals(decoder.interfaces[0], { linkType: 1, snapLength: 128, name: "en0", filter: "tcp" });
    assertEquals(decoder.ignoredFacts, 0);
  }
});

Deno.test("PcapngDecoder passes over blocks of any length when they say nothing about packets", () => {
  const kinds: string[] = [];
  const decoder = new PcapngDecoder((kind) => kinds.push(kind));
  const large = block(true, 10, new Uint8Array(CAPTURE_RECORD_BYTES_MAX + 64));
  const file = join(
    sectionHeader(true),
    interfaceBlock(true, 1),
    large,
    block(true, 5, new Uint8Array(12)),
    block(true, 0x0bad, new ByteBuilder(true).u32(32473).u32(1).done()),
    block(true, 0x40000bad, new ByteBuilder(true).u32(32473).done()),
    block(true, 0x7777, new Uint8Array(0)),
    enhancedPacket(true, 0, 1n, [1]),
  );
  const pieces = new Array(40).fill(500_000);
  assertEquals(drain(decoder, file, pieces).length, 1);
  assertEquals(decoder.error, null);
  assertEquals(kinds, ["SHB", "IDB", "DSB", "ISB", "CB", "DCB", "0x00007777", "EPB"]);
});

Deno.test("PcapngDecoder keeps what came before and says where it stopped when the file is damaged", () => {
  const start = join(sectionHeader(true), interfaceBlock(true, 1), enhancedPacket(true, 0, 1n, [1, 2, 3, 4]));
  const at = start.length;
  const badTrailer = enhancedPacket(true, 0, 1n, [1]).slice();
  badTrailer[badTrailer.length - 4]! += 4;
  const skippedBadTrailer = block(true, 5, new Uint8Array(12)).slice();
  skippedBadTrailer[skippedBadTrailer.length - 4]! += 4;
  const length = (value: number) => new ByteBuilder(true).u32(6).u32(value).raw(new Uint8Array(64)).done();
  const longPacket = new ByteBuilder(true).u32(0).u32(0).u32(0).u32(40).u32(40).raw(new Uint8Array(8)).done();
  const cases: [string, Uint8Array, string][] = [
    ["inside a block", enhancedPacket(true, 0, 1n, [1]).subarray(0, 20), "20 of 36 bytes"],
    ["inside a block's header", length(36).subarray(0, 7), "7 of 12 bytes"],
    ["inside a block that is passed over", block(true, 5, new Uint8Array(40)).subarray(0, 30), "30 of 52 bytes"],
    ["length not a multiple of 4", length(33), "length 33"],
    ["length too small", length(8), "length 8"],
    ["length absurd", length(0x7fff_fffc), `more than ${CAPTURE_RECORD_BYTES_MAX}`],
    ["trailer", badTrailer, "36 at its start and 40 at its end"],
    ["trailer of a block that is passed over", skippedBadTrailer, "24 at its start and 28 at its end"],
    ["interface", enhancedPacket(true, 1, 1n, [1]), "interface 1, but the section describes 1"],
    ["captured length", block(true, 6, longPacket), "claims 40 captured bytes in a block with 8"],
    ["short packet block", block(true, 6, new Uint8Array(16)), "shorter than 32"],
    ["short obsolete packet block", block(true, 2, new Uint8Array(16)), "shorter than 32"],
    ["short simple packet block", block(true, 3, new Uint8Array(0)), "shorter than 16"],
    ["short interface", block(true, 1, new Uint8Array(4)), "shorter than 20"],
    ["magic", block(true, 0x0a0d0d0a, new Uint8Array(16)), "no byte-order magic"],
    ["version", sectionHeader(true, 2), "version 2.0"],
    ["short section", block(true, 0x0a0d0d0a, u32Bytes(true, 0x1a2b3c4d, 1)), "length 20"],
  ];
  for (const [name, tail, message] of cases) {
    const decoder = new PcapngDecoder();
    assertEquals(drain(decoder, join(start, tail)).length, 1, name);
    assertEquals(decoder.error?.offset, at, name);
    assertStringIncludes(decoder.error!.message, message, name);
  }
  const decoder = new PcapngDecoder();
  drain(decoder, interfaceBlock(true, 1));
  assertEquals(decoder.error, { message: "not a pcapng file", offset: 0 });
});

Deno.test("PcapngDecoder tolerates malformed options and counts them when the block itself is whole", () => {
  const body = new ByteBuilder(true).u32(0).u32(0).u32(7).u32(1).u32(1).raw([9]).pad4();
  body.u16(2).u16(4).u32(1); // epb_flags, good
  body.u16(8).u16(200).u32(0); // longer than the block
  const decoder = new PcapngDecoder();
  const wrongLengths: [number, number[]][] = [[2, [1]], [8, [1]], [0x8001, [1]], [0x8003, []]];
  const file = join(
    sectionHeader(true),
    interfaceBlock(true, 1, 0, [[9, [1, 2]], [14, [1]]]),
    block(true, 6, body.done()),
    enhancedPacket(true, 0, 1n, [1], wrongLengths),
  );
  const packets = drain(decoder, file);
  assertEquals(packets.map(({ direction }) => direction), [1, 0]);
  assertEquals(decoder.error, null);
  assertEquals(decoder.ignoredFacts, 2 + 1 + wrongLengths.length);
});

function namesBlock(little: boolean): Uint8Array {
  const record = (type: number, address: number[], names: string) => {
    const value = new ByteBuilder(little).raw(address).text(names).done();
    return new ByteBuilder(little).u16(type).u16(value.length).raw(value).pad4().done();
  };
  const six = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
  return join(
    record(1, [1, 2, 3, 4], "a.example\0b.example\0"),
    record(3, [1, 2, 3, 4, 5, 6], "card\0"),
    record(2, six, "six.example\0"),
    record(1, [1, 2, 3], ""),
    record(1, [9, 9, 9, 9], "no-end"),
    u32Bytes(little, 0),
    record(1, [8, 8, 8, 8], "behind the end\0"),
  );
}

Deno.test("PcapngDecoder reads names of addresses when there is a name resolution block", () => {
  for (const little of BOTH) {
    const decoder = new PcapngDecoder();
    drain(decoder, join(sectionHeader(little), block(little, 4, namesBlock(little))));
    assertEquals(decoder.nameRecords.map(({ address, names }) => [formatIp(address), ...names]), [
      ["1.2.3.4", "a.example", "b.example"],
      ["2001:db8::1", "six.example"],
      ["9.9.9.9", "no-end"],
    ]);
    assertEquals(decoder.ignoredFacts, 1);
  }
});

Deno.test("NameTable.addBlock() stops at its bound when a file has too many names", () => {
  const table = new NameTable();
  const value = new ByteBuilder(true).raw([1, 1, 1, 1]).text("x\0".repeat(30_000)).done();
  const bytes = new ByteBuilder(true).u16(1).u16(value.length).raw(value).pad4().done();
  for (let i = 0; i < 5; i++) table.addBlock(new DataView(bytes.buffer), 0, bytes.length, true);
  assertEquals(table.records.reduce((sum, { names }) => sum + names.length, 0), 65_536);
  assertEquals(table.ignored, 2);
});
