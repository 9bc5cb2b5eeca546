import { assertEquals, assertThrows } from "@std/assert";
import { readPe, stripElf, stripPe } from "../../../scripts/build/denort.ts";

/** A file that looks like what `deno compile` makes of `bare` on Linux. */
function elfWithPayload(bare: Uint8Array, payloadBytes: number): Uint8Array {
  const file = new Uint8Array(bare.length + payloadBytes + 16);
  file.set(bare);
  file.fill(0xaa, bare.length, bare.length + payloadBytes);
  const view = new DataView(file.buffer);
  view.setUint32(file.length - 16, 0x501e, true);
  view.setUint32(file.length - 12, 0xdeadbeef, true);
  view.setBigUint64(file.length - 8, BigInt(payloadBytes + 16), true);
  return file;
}

function bareElf(): Uint8Array {
  const bare = new Uint8Array(64).fill(7);
  bare.set([0x7f, 0x45, 0x4c, 0x46]);
  return bare;
}

Deno.test("stripElf() gives the bare program back when a payload follows it", () => {
  assertEquals(stripElf(elfWithPayload(bareElf(), 1000)), bareElf());
  assertEquals(stripElf(elfWithPayload(bareElf(), 0)), bareElf());
});

Deno.test("stripElf() throws when there is no payload, no ELF or a length beyond the file", () => {
  assertThrows(() => stripElf(bareElf()), Error, "it ends without a payload");
  assertThrows(() => stripElf(new Uint8Array(64)), Error, "it is no ELF file");
  assertThrows(() => stripElf(new Uint8Array(3)), Error, "it is no ELF file");
  const lying = elfWithPayload(bareElf(), 10);
  new DataView(lying.buffer).setBigUint64(lying.length - 8, 1n << 40n, true);
  assertThrows(() => stripElf(lying), Error, "its payload claims 1099511627776 bytes");
});

const OPTIONAL = 0x80 + 24;
const TABLE = OPTIONAL + 240;

/** A PE32+ file of two sections, 0x200 bytes each; with `payload` a third, `.pedata`, that data directory 2 points to. */
function peFile(payload: boolean): Uint8Array {
  const names = payload ? [".text", ".rdata", ".pedata"] : [".text", ".rdata"];
  const file = new Uint8Array(0x400 + names.length * 0x200);
  const view = new DataView(file.buffer);
  view.setUint16(0, 0x4d5a);
  view.setUint32(0x3c, 0x80, true);
  view.setUint32(0x80, 0x50450000);
  view.setUint16(0x84, 0x8664, true);
  view.setUint16(0x86, names.length, true);
  view.setUint16(0x94, 240, true);
  view.setUint16(OPTIONAL, 0x20b, true);
  view.setUint32(OPTIONAL + 56, 0x1000 * (names.length + 1), true);
  if (payload) {
    view.setUint32(OPTIONAL + 128, 0x3000, true);
    view.setUint32(OPTIONAL + 132, 0x200, true);
  }
  names.forEach((name, index) => {
    const header = TABLE + index * 40;
    file.set(new TextEncoder().encode(name), header);
    view.setUint32(header + 8, 0x200, true);
    view.setUint32(header + 12, 0x1000 * (index + 1), true);
    view.setUint32(header + 16, 0x200, true);
    view.setUint32(header + 20, 0x400 + index * 0x200, true);
    file.fill(index + 1, 0x400 + index * 0x200, 0x600 + index * 0x200);
  });
  return file;
}

Deno.test("stripPe() gives the bare program back when its last section is the payload", () => {
  assertEquals(stripPe(peFile(true)), peFile(false));
});

Deno.test("stripPe() throws when there is no payload", () => {
  assertThrows(() => stripPe(peFile(false)), Error, "its last section is not .pedata");
});

Deno.test("readPe() reads machine, image size and sections when the file is whole", () => {
  const { machine, imageBytes, sections } = readPe(peFile(true));
  assertEquals(machine, 0x8664);
  assertEquals(imageBytes, 0x4000);
  assertEquals(sections.map(({ name, rawOffset }) => [name, rawOffset]), [[".text", 0x400], [".rdata", 0x600], [
    ".pedata",
    0x800,
  ]]);
});

Deno.test("readPe() throws an Error of ours when a file is cut anywhere", () => {
  const file = peFile(true);
  for (let length = 0; length < file.length; length += 13) {
    assertThrows(() => readPe(file.slice(0, length)), Error, "Cannot read the");
  }
});
