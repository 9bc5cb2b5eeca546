import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { InvariantError } from "../../../core/base/invariant.ts";
import { parseIp } from "../../../core/base/ip_address.ts";
import { CAPTURE_FACT_COUNT_MAX } from "../../../core/base/limits.ts";
import { LINKTYPE } from "../../../sim/capture/link_types.ts";
import { PcapngDecoder } from "../../../sim/capture/pcapng.ts";
import type { CaptureDirection, ProcessFact } from "../../../sim/capture/record.ts";
import { PcapngWriter } from "../../../sim/capture/write.ts";
import { join } from "./byte_builder.ts";
import { drain } from "./drain.ts";

/** A sink that keeps copies, and scribbles over what it was given, as the writer allows. */
function collect(): { sink: (bytes: Uint8Array) => void; file: () => Uint8Array; calls: () => number } {
  const parts: Uint8Array[] = [];
  return {
    sink: (bytes) => {
      parts.push(bytes.slice());
      bytes.fill(0xee);
    },
    file: () => join(...parts),
    calls: () => parts.length,
  };
}

/** The comments of a file, read by walking its blocks without the product's decoder. */
function commentsOf(file: Uint8Array): string[] {
  const view = new DataView(file.buffer);
  const comments: string[] = [];
  for (let at = 0; at < file.length; at += view.getUint32(at + 4, true)) {
    if (view.getUint32(at, true) !== 6) continue;
    let option = at + 28 + ((view.getUint32(at + 20, true) + 3) & ~3);
    const end = at + view.getUint32(at + 4, true) - 4;
    while (option < end && view.getUint16(option, true) !== 0) {
      const length = view.getUint16(option + 2, true);
      if (view.getUint16(option, true) === 1) {
        comments.push(new TextDecoder().decode(file.subarray(option + 4, option + 4 + length)));
      }
      option += 4 + ((length + 3) & ~3);
    }
  }
  return comments;
}

const processArbitrary: fc.Arbitrary<ProcessFact> = fc.record({
  path: fc.constantFrom("", "/usr/bin/curl", "C:\\Programme\\Größe.exe"),
  name: fc.constantFrom("curl", "Größe.exe", "游戏"),
  pid: fc.constantFrom(0, 1, 2, 4242, 0x7fff_ffff),
  user: fc.constantFrom("", "alice", "NT AUTHORITY\\SYSTEM"),
  uid: fc.constantFrom(undefined, 0, 1000, 0xffff_ffff),
});

const packetArbitrary = fc.record({
  data: fc.uint8Array({ maxLength: 70 }),
  more: fc.nat({ max: 3000 }),
  timestampUs: fc.integer({ min: 0, max: 8_000_000_000_000_000 }),
  timestampNsRest: fc.nat({ max: 999 }),
  interfaceIndex: fc.nat({ max: 1 }),
  direction: fc.constantFrom<CaptureDirection>(0, 1, 2),
  comment: fc.option(fc.string({ unit: "grapheme", maxLength: 40 }), { nil: undefined }),
  process: fc.option(processArbitrary, { nil: undefined }),
});

Deno.test("PcapngWriter writes what PcapngDecoder reads back when packets have everything", () => {
  const property = fc.property(fc.array(packetArbitrary, { maxLength: 30 }), (packets) => {
    const out = collect();
    const writer = new PcapngWriter(out.sink, { application: "weir", system: "test", comment: "made by a test" });
    writer.addInterface({ name: "wintun", filter: "tcp" });
    writer.addInterface({ linkType: LINKTYPE.ETHERNET, snapLength: 96 });
    for (const { data, more, ...fields } of packets) {
      const padded = join(Uint8Array.of(1, 2, 3), data, Uint8Array.of(4));
      writer.writePacket(padded, 3, data.length, { ...fields, originalLength: data.length + more });
    }
    writer.flush();
    const decoder = new PcapngDecoder();
    const read = drain(decoder, out.file());
    assertEquals(decoder.error, null);
    assertEquals(decoder.ignoredFacts, 0);
    assertEquals(decoder.linkTypes, ["RAW", "ETHERNET"]);
    assertEquals(decoder.interfaces, [
      { linkType: 101, snapLength: 0, name: "wintun", filter: "tcp" },
      { linkType: 1, snapLength: 96, name: "", filter: "" },
    ]);
    const withoutOffset = read.map(({ fileOffset: _, linkType: __, ...rest }) => rest);
    const expected = packets.map(({ data, more, comment: _, ...fields }) => ({
      data: [...data],
      originalLength: data.length + more,
      ...fields,
    }));
    assertEquals(withoutOffset, expected);
    assertEquals(commentsOf(out.file()), packets.flatMap(({ comment }) => comment ?? []));
  });
  fc.assert(property, { seed: 4, numRuns: 300 });
});

Deno.test("PcapngWriter describes a RAW interface when a packet comes first", () => {
  const out = collect();
  const writer = new PcapngWriter(out.sink);
  writer.writePacket(Uint8Array.of(0x45), 0, 1, { timestampUs: -5 });
  writer.flush();
  const decoder = new PcapngDecoder();
  assertEquals(drain(decoder, out.file()).map(({ linkType, timestampUs }) => [linkType, timestampUs]), [[101, 0]]);
});

Deno.test("PcapngWriter hands out pieces of bounded length when packets are many or large", () => {
  const out = collect();
  const writer = new PcapngWriter(out.sink);
  const large = new Uint8Array(1_000_000).fill(7);
  for (let i = 0; i < 2000; i++) writer.writePacket(large, 0, 1500, { timestampUs: i });
  writer.writePacket(large, 0, large.length, { timestampUs: 2000 });
  for (let i = 0; i < 70_000; i++) writer.addInterface();
  writer.flush();
  writer.flush();
  const decoder = new PcapngDecoder();
  let count = 0;
  drain(decoder, out.file()).forEach(({ data }, i) => {
    assertEquals(data.length, i < 2000 ? 1500 : large.length);
    count++;
  });
  assertEquals(count, 2001);
  assertEquals(out.calls() > 10, true);
});

Deno.test("PcapngWriter.writeNames() writes what PcapngDecoder reads back when names are given", () => {
  const out = collect();
  const writer = new PcapngWriter(out.sink);
  const records = [
    { address: parseIp("1.2.3.4")!, names: ["a.example", "b.example"] },
    { address: parseIp("2001:db8::1")!, names: ["six.example"] },
  ];
  const nameless = { address: parseIp("5.6.7.8")!, names: ["", "x".repeat(300)] };
  writer.writeNames([...records, nameless]);
  writer.flush();
  const decoder = new PcapngDecoder();
  drain(decoder, out.file());
  assertEquals(decoder.nameRecords.map(({ address, names }) => ({ address, names })), [
    { address: records[0]!.address, names: ["a.example"] },
    { address: records[0]!.address, names: ["b.example"] },
    { address: records[1]!.address, names: ["six.example"] },
  ]);
  assertEquals(decoder.error, null);
});

Deno.test("PcapngWriter cuts texts that are too long when they are written", () => {
  const out = collect();
  const writer = new PcapngWriter(out.sink);
  const long = "ö".repeat(100_000);
  writer.writePacket(Uint8Array.of(1), 0, 1, {
    timestampUs: 1,
    comment: long,
    process: { path: long, name: long, pid: 1, user: long, uid: 1 },
  });
  writer.flush();
  const decoder = new PcapngDecoder();
  const [packet] = drain(decoder, out.file());
  assertEquals(decoder.error, null);
  assertEquals((packet!.process as ProcessFact).path, "ö".repeat(2048));
  assertEquals(commentsOf(out.file()), ["ö".repeat(2048)]);
});

Deno.test("PcapngWriter.writePacket() refuses an interface that was not described", () => {
  const writer = new PcapngWriter(() => {});
  assertThrows(
    () => writer.writePacket(new Uint8Array(1), 0, 1, { timestampUs: 0, interfaceIndex: 3 }),
    InvariantError,
  );
});

Deno.test("PcapngWriter leaves processes out and counts it when there are more than a reader takes", () => {
  const writer = new PcapngWriter(() => {});
  const bytes = new Uint8Array(1);
  for (let pid = 0; pid < CAPTURE_FACT_COUNT_MAX + 5; pid++) {
    writer.writePacket(bytes, 0, 1, {
      timestampUs: 0,
      process: { path: "", name: "x", pid, user: "", uid: undefined },
    });
  }
  assertEquals(writer.packetsWithoutProcess, 5);
});
