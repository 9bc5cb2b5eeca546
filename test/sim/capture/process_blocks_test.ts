import { assertEquals, assertStrictEquals } from "@std/assert";
import { PcapngDecoder } from "../../../sim/capture/pcapng.ts";
import { processNameOf, ProcessTable } from "../../../sim/capture/process_blocks.ts";
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

type Options = readonly (readonly [number, ArrayLike<number>])[];
const utf8 = (text: string) => new TextEncoder().encode(text);

function darwinBlock(little: boolean, pid: number, options: Options): Uint8Array {
  return block(little, 0x80000001, join(u32Bytes(little, pid), optionList(little, options)));
}

/** The entry is little-endian whatever the section's byte order. */
function wiresharkBlock(little: boolean, pid: number, options: Options, entryType = 3, cut = 0): Uint8Array {
  const entry = join(u32Bytes(true, pid), optionList(true, options));
  const data = new ByteBuilder(true).u32(entryType).u32(entry.length + cut).raw(entry).pad4().done();
  return block(little, 0x0bad, join(u32Bytes(little, 32622), data));
}

function readProcesses(...blocks: Uint8Array[]): { processes: unknown[]; ignored: number } {
  const decoder = new PcapngDecoder();
  const packets = drain(decoder, join(...blocks));
  assertEquals(decoder.error, null);
  return { processes: packets.map(({ process }) => process), ignored: decoder.ignoredFacts };
}

function fact(pid: number, name: string, path = "", user = "", uid: number | undefined = undefined) {
  return { path, name, pid, user, uid };
}

Deno.test("PcapngDecoder names processes by their index when the file has Darwin's blocks", () => {
  for (const little of [true, false]) {
    const packet = (options: Options) => enhancedPacket(little, 0, 1n, [1], options);
    const index = (value: number) => u32Bytes(little, value);
    const { processes } = readProcesses(
      sectionHeader(little),
      interfaceBlock(little, 1),
      packet([[0x8001, index(0)]]),
      darwinBlock(little, 501, [[2, utf8("mDNSResponder")], [4, new Uint8Array(16)]]),
      darwinBlock(little, 77, [[3, utf8("/usr/bin/curl")]]),
      packet([[0x8001, index(0)]]),
      packet([[0x8001, index(1)], [0x8002, index(0)], [0x8003, index(0)]]),
      packet([[0x8003, index(1)]]),
      packet([[0x8002, index(0)]]),
      packet([[0x8001, index(99)]]),
    );
    const first = fact(501, "mDNSResponder");
    const second = fact(77, "curl", "/usr/bin/curl");
    assertEquals(processes, [undefined, first, second, second, undefined, undefined]);
  }
});

Deno.test("PcapngDecoder forgets processes when a section begins", () => {
  const { processes } = readProcesses(
    sectionHeader(true),
    darwinBlock(true, 1, []),
    sectionHeader(true),
    interfaceBlock(true, 1),
    enhancedPacket(true, 0, 1n, [1], [[0x8001, u32Bytes(true, 0)]]),
  );
  assertEquals(processes, [undefined]);
});

Deno.test("PcapngDecoder names processes by their id when the file has Wireshark's blocks", () => {
  for (const little of [true, false]) {
    const packet = (pid: number, time: bigint) => enhancedPacket(little, 0, time, [1], [[8, u32Bytes(little, pid, 5)]]);
    const start = (us: number) => new ByteBuilder(true).u64(BigInt(us) * 1000n).done();
    const { processes, ignored } = readProcesses(
      sectionHeader(little),
      interfaceBlock(little, 1),
      wiresharkBlock(little, 4, [
        [2, utf8("curl")],
        [3, utf8("C:\\tools\\curl.exe")],
        [4, utf8("curl\0https://example.org")],
        [5, u32Bytes(true, 1)],
        [6, u32Bytes(true, 1000)],
        [7, utf8("alice")],
        [8, new Uint8Array(16)],
        [1, utf8("a comment")],
      ]),
      wiresharkBlock(little, 4, [], 99),
      wiresharkBlock(little, 5, [[2, utf8("cut")]], 3, 400),
      wiresharkBlock(little, 500, [[2, utf8("first")], [9, start(90)]]),
      wiresharkBlock(little, 500, [[2, utf8("second")], [9, start(120)]]),
      packet(4, 1n),
      packet(500, 105n),
      packet(500, 125n),
      packet(500, 5n),
      packet(700, 5n),
      packet(0, 5n),
    );
    assertEquals(processes, [
      fact(4, "curl", "C:\\tools\\curl.exe", "alice", 1000),
      fact(500, "first"),
      fact(500, "second"),
      fact(500, "first"),
      fact(700, ""),
      undefined,
    ]);
    assertEquals(ignored, 1);
  }
});

Deno.test("ProcessTable.byId() gives one object for one process when asked again", () => {
  const table = new ProcessTable();
  assertStrictEquals(table.byId(9, 1), table.byId(9, 2));
});

Deno.test("processNameOf() takes the last part when the path is of either system", () => {
  const cases = [["C:\\a\\b.exe", "b.exe"], ["/usr/bin/curl", "curl"], ["curl", "curl"], ["", ""], ["a/", ""]] as const;
  for (const [path, name] of cases) assertEquals(processNameOf(path), name);
});
