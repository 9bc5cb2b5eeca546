import { assertEquals, assertThrows } from "@std/assert";
import { InvariantError } from "../../../core/base/invariant.ts";
import { CAPTURE_RECORD_BYTES_MAX } from "../../../core/base/limits.ts";
import { ByteWindow } from "../../../sim/capture/byte_window.ts";

Deno.test("ByteWindow slides over the input without growing when its reader keeps up", () => {
  const window = new ByteWindow(64);
  for (let i = 0; i < 100; i++) {
    window.push(Uint8Array.from([i, i + 1, i + 2]));
    assertEquals(window.offset, 3 * i);
    assertEquals([...window.bytes.subarray(window.at, window.end)], [i, i + 1, i + 2]);
    window.at = window.end;
  }
  assertEquals(window.bytes.length, 64);
});

Deno.test("ByteWindow grows and keeps the unread bytes when a record is larger than the window", () => {
  const window = new ByteWindow(8);
  const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i & 255);
  window.push(bytes.subarray(0, 5));
  window.at = 2;
  for (let at = 5; at < 1000; at += 5) {
    const room = window.room();
    room.set(bytes.subarray(at, at + Math.min(5, room.length)));
    window.filled(5);
  }
  assertEquals(window.bytes.subarray(window.at, window.end), bytes.subarray(2));
  assertEquals(window.view.getUint8(window.at + 3), 5);
  assertEquals(window.offset, 2);
});

Deno.test("ByteWindow.room() refuses when a decoder lets more bytes pile up than any record may have", () => {
  const window = new ByteWindow();
  window.push(new Uint8Array(CAPTURE_RECORD_BYTES_MAX + 1_000_000));
  assertThrows(() => window.room(), InvariantError);
  assertThrows(() => window.filled(100_000_000), InvariantError);
});
