import { assertEquals } from "@std/assert";
import { OptionCursor } from "../../../sim/capture/pcapng_options.ts";
import { ByteBuilder } from "./byte_builder.ts";

function walk(bytes: Uint8Array, little: boolean): { codes: number[]; lengths: number[]; malformed: boolean } {
  const cursor = new OptionCursor();
  const codes: number[] = [];
  const lengths: number[] = [];
  cursor.start(new DataView(bytes.buffer), 0, bytes.length, little);
  while (cursor.next()) {
    codes.push(cursor.code);
    lengths.push(cursor.valueLength);
  }
  return { codes, lengths, malformed: cursor.malformed };
}

Deno.test("OptionCursor.next() walks to the end mark or to the end when the list is good", () => {
  for (const little of [true, false]) {
    const list = () => new ByteBuilder(little).u16(1).u16(3).raw([1, 2, 3]).pad4().u16(7).u16(0);
    assertEquals(walk(list().done(), little), { codes: [1, 7], lengths: [3, 0], malformed: false });
    const ended = list().u32(0).u16(9).u16(0).done();
    assertEquals(walk(ended, little), { codes: [1, 7], lengths: [3, 0], malformed: false });
  }
});

Deno.test("OptionCursor.next() keeps the good options when the list ends inside one", () => {
  const tooLong = new ByteBuilder(true).u16(7).u16(0).u16(1).u16(9).raw([1, 2, 3, 4]).done();
  assertEquals(walk(tooLong, true), { codes: [7], lengths: [0], malformed: true });
  const cut = new ByteBuilder(true).u16(7).u16(0).u16(1).done();
  assertEquals(walk(cut, true), { codes: [7], lengths: [0], malformed: true });
  const noPadding = new ByteBuilder(true).u16(7).u16(1).raw([1]).done();
  assertEquals(walk(noPadding, true), { codes: [7], lengths: [1], malformed: false });
});
