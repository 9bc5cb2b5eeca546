import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { ChloRead, findChlo, readChlo } from "../../core/wire/gquic_chlo.ts";
import { asciiBytes, viewOf } from "../support/hello_build.ts";
import { joinBytes } from "../support/quic_build.ts";

/** A CHLO with the given tags, each with its value. */
function chlo(entries: readonly (readonly [string, string])[]): Uint8Array {
  const head = [...asciiBytes("CHLO"), entries.length, 0, 0, 0];
  let end = 0;
  for (const [tag, value] of entries) {
    end += value.length;
    head.push(...asciiBytes(tag), end & 255, end >> 8, 0, 0);
  }
  return joinBytes(new Uint8Array(head), ...entries.map(([, value]) => asciiBytes(value)));
}

const hello = chlo([["PAD\0", "-".repeat(100)], ["SNI\0", "www.example.com"], ["VER\0", "Q043"]]);
const hash = new Uint8Array(12).fill(7);
const stream = new Uint8Array([0xa0, 1, 0, 4]);
const q043 = joinBytes(
  new Uint8Array([0x09, 1, 2, 3, 4, 5, 6, 7, 8]),
  asciiBytes("Q043"),
  new Uint8Array([1]),
  hash,
  stream,
  hello,
);
const q046 = joinBytes(
  new Uint8Array([0xc3]),
  asciiBytes("Q046"),
  new Uint8Array([0x50, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1]),
  hash,
  stream,
  hello,
);

Deno.test("findChlo() and readChlo() give the name of Google's QUIC packets", () => {
  for (const packet of [q043, q046]) {
    const at = findChlo(viewOf(packet), 0, packet.length);
    const out = { nameAt: -1, nameLength: 0 };
    assertEquals(readChlo(viewOf(packet), at, packet.length - at, out), ChloRead.Whole);
    const name = packet.subarray(at + out.nameAt, at + out.nameAt + out.nameLength);
    assertEquals(new TextDecoder().decode(name), "www.example.com");
  }
});

Deno.test("findChlo() leaves other packets alone", () => {
  const noVersion = q043.slice();
  noVersion[0] = 0x08;
  const otherVersion = q043.slice();
  otherVersion[9] = 0x41;
  const late = joinBytes(q043.slice(0, 13), new Uint8Array(60), hello);
  for (const packet of [noVersion, otherVersion, late, hello, q043.slice(0, 30)]) {
    assertEquals(findChlo(viewOf(packet), 0, packet.length), -1);
  }
});

Deno.test("readChlo() waits for a truncated message, refuses one that lies, and stays inside any bytes", () => {
  const out = { nameAt: -1, nameLength: 0 };
  for (let length = 0; length < 8 + 24 + 115; length++) {
    assertEquals(readChlo(viewOf(hello), 0, length, out), ChloRead.More, String(length));
  }
  const backwards = hello.slice();
  backwards[12] = 255;
  assertEquals(readChlo(viewOf(backwards), 0, backwards.length, out), ChloRead.Bad);
  fc.assert(
    fc.property(fc.nat(hello.length - 1), fc.nat(255), fc.nat(hello.length), (at, value, length) => {
      const bytes = hello.slice(0, length);
      if (at < length) bytes[at] = value;
      readChlo(viewOf(bytes), 0, bytes.length, out);
      return out.nameAt < 0 || out.nameAt + out.nameLength <= bytes.length;
    }),
    { seed: 7, numRuns: 3_000 },
  );
});
