/** Text and GUIDs as Windows has them. */
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { adapterGuid, formatGuid, parseGuid } from "../../../ffi/win32/guid.ts";
import { addressOf, readWide, readWideAt, usize, wideString } from "../../../ffi/win32/memory.ts";

Deno.test("wideString() and its readers give any text back, cut at its end", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 300 }), fc.nat(20), (text, before) => {
      const clean = text.replaceAll("\0", "");
      const bytes = wideString(clean);
      assertEquals(bytes.length, 2 * clean.length + 2);
      assertEquals(readWide(new Uint16Array(bytes.buffer)), clean);
      const inside = new Uint8Array(2 * before + bytes.length + 4).fill(0x41);
      inside.set(bytes, 2 * before);
      assertEquals(readWideAt(new DataView(inside.buffer), 2 * before), clean);
    }),
    { seed: 20_05 },
  );
  assertThrows(() => wideString("a\0b"), RangeError, "Cannot hand text with a NUL to Windows");
  assertEquals(readWide(new Uint16Array([0x61, 0x62])), "ab");
  assertEquals(readWideAt(new DataView(new Uint8Array([0x61, 0, 0x62]).buffer), 0), "a");
});

Deno.test("usize() is a number that calls take, addressOf() one that leads back", () => {
  assertEquals(typeof usize(5), "number");
  const bytes = new Uint8Array([1, 2, 3]);
  const pointer = Deno.UnsafePointer.create(BigInt(addressOf(bytes)))!;
  assertEquals(new Deno.UnsafePointerView(pointer).getUint8(2), 3);
});

Deno.test("parseGuid() and formatGuid() are each other's inverse, in memory order", () => {
  const layer = parseGuid("{C38D57D1-05a7-4c33-904f-7fbceee60e82}")!;
  assertEquals([...layer], [
    0xd1,
    0x57,
    0x8d,
    0xc3,
    0xa7,
    5,
    0x33,
    0x4c,
    0x90,
    0x4f,
    0x7f,
    0xbc,
    0xee,
    0xe6,
    0x0e,
    0x82,
  ]);
  assertEquals(formatGuid(layer), "c38d57d1-05a7-4c33-904f-7fbceee60e82");
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      const guid = new Uint8Array(bytes);
      assertEquals(parseGuid(formatGuid(guid)), guid);
    }),
    { seed: 20_06 },
  );
  for (
    const text of ["", "{c38d57d1-05a7-4c33-904f-7fbceee60e82", "c38d57d1", "c38d57d1-05a7-4c33-904f-7fbceee60e8g"]
  ) {
    assertEquals(parseGuid(text), undefined);
  }
});

Deno.test("adapterGuid() is the same for a name for ever, another for another, and well-formed", () => {
  // A change here would give every user's adapter a new network profile.
  assertEquals(formatGuid(adapterGuid("weir0")), STABLE);
  assertNotEquals(adapterGuid("weir0"), adapterGuid("weir1"));
  const seen = new Set(Array.from({ length: 2_000 }, (_, i) => formatGuid(adapterGuid(`weir${i}`))));
  assertEquals(seen.size, 2_000);
  for (const text of seen) {
    assert(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(text), text);
  }
});

const STABLE = "d0288c6d-f12f-8569-ab32-df947acf1b5e";
