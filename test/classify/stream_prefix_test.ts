import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { STREAM_PREFIX_RANGES_MAX } from "../../core/base/limits.ts";
import { PrefixBudget, StreamPrefix } from "../../core/classify/stream_prefix.ts";
import { asciiBytes, viewOf } from "../support/hello_build.ts";

function contentOf(prefix: StreamPrefix): string {
  return new TextDecoder().decode(new Uint8Array(prefix.view.buffer, 0, prefix.readable));
}

function put(prefix: StreamPrefix, offset: number, text: string): void {
  const bytes = asciiBytes(text);
  prefix.addAt(offset, viewOf(bytes), 0, bytes.length);
}

/** The slow oracle: a byte belongs to whoever brought it first. */
class SlowPrefix {
  readonly bytes: number[] = [];

  addAt(offset: number, data: Uint8Array, bytesMax: number): void {
    data.forEach((byte, i) => {
      if (offset + i >= 0 && offset + i < bytesMax) this.bytes[offset + i] ??= byte;
    });
  }

  get readable(): number {
    let count = 0;
    while (this.bytes[count] !== undefined) count++;
    return count;
  }
}

Deno.test("addAt() puts pieces together in any order, first come first kept", () => {
  const cases: [string, [number, string][], string, boolean][] = [
    ["in order", [[0, "ab"], [2, "cd"]], "abcd", false],
    ["backwards", [[4, "ef"], [2, "cd"], [0, "ab"]], "abcdef", false],
    ["hole", [[0, "ab"], [4, "ef"]], "ab", true],
    ["overlap keeps the first", [[0, "abc"], [1, "XXXd"]], "abcXd".slice(0, 3) + "Xd", false],
    ["range first, then over it", [[2, "cd"], [0, "XXXXe"]], "XXcde", false],
    ["between two ranges", [[0, "a"], [4, "e"], [2, "c"], [1, "XXXXf"]], "aXcXef", false],
    ["repetition", [[0, "abc"], [0, "abc"], [1, "b"]], "abc", false],
    ["before the beginning", [[-2, "xxab"]], "ab", false],
  ];
  for (const [title, pieces, content, hasHole] of cases) {
    const prefix = new StreamPrefix();
    for (const [offset, text] of pieces) put(prefix, offset, text);
    assertEquals([contentOf(prefix), prefix.hasHole, prefix.overflowed], [content, hasHole, false], title);
  }
});

Deno.test("addAt() agrees with a slow oracle on overlapping pieces in any order", () => {
  const piece = fc.tuple(fc.integer({ min: -20, max: 330 }), fc.uint8Array({ minLength: 1, maxLength: 60 }));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const bytesMax = 300;
      const prefix = new StreamPrefix(bytesMax);
      const slow = new SlowPrefix();
      for (const [offset, data] of pieces) {
        prefix.addAt(offset, viewOf(data), 0, data.length);
        slow.addAt(offset, data, bytesMax);
        if (prefix.readable !== slow.readable) return false;
      }
      const content = new Uint8Array(prefix.view.buffer, 0, prefix.readable);
      return content.every((byte, i) => byte === slow.bytes[i]);
    }),
    { seed: 12, numRuns: 3_000 },
  );
});

Deno.test("addSegment() counts from the first sequence number, also where the counter wraps", () => {
  const prefix = new StreamPrefix();
  const bytes = asciiBytes("abcdef");
  prefix.start(0xffff_fffe);
  prefix.addSegment(2, viewOf(bytes), 4, 2);
  prefix.addSegment(0xffff_fffe, viewOf(bytes), 0, 4);
  assertEquals(contentOf(prefix), "abcdef");
});

Deno.test("consume() moves the beginning on and keeps what waits behind a hole", () => {
  const prefix = new StreamPrefix();
  prefix.start(100);
  const bytes = asciiBytes("abcdefgh");
  prefix.addSegment(100, viewOf(bytes), 0, 4);
  prefix.addSegment(106, viewOf(bytes), 6, 2);
  prefix.consume(3);
  assertEquals(contentOf(prefix), "d");
  prefix.addSegment(104, viewOf(bytes), 4, 2);
  assertEquals(contentOf(prefix), "defgh");
});

Deno.test("StreamPrefix gives up what goes over its bounds, and says so", () => {
  const long = new Uint8Array(5_000);
  const prefix = new StreamPrefix(3_000);
  prefix.addAt(0, viewOf(long), 0, 5_000);
  assertEquals([prefix.readable, prefix.overflowed, prefix.view.byteLength], [3_000, true, 3_000]);

  const holes = new StreamPrefix();
  for (let i = 0; i < STREAM_PREFIX_RANGES_MAX; i++) put(holes, 2 * i + 1, "x");
  assertEquals(holes.overflowed, false);
  put(holes, 1_000, "x");
  assertEquals(holes.overflowed, true);
});

Deno.test("StreamPrefix takes its memory from the budget and gives it back", () => {
  const budget = new PrefixBudget(10_000);
  const one = new StreamPrefix(65_536, budget);
  assertEquals(budget.bytesUsed, 0);
  put(one, 0, "a");
  put(one, 5_000, "b");
  assertEquals(budget.bytesUsed, 8_192);
  const two = new StreamPrefix(65_536, budget);
  put(two, 0, "c");
  assertEquals([two.readable, two.overflowed, budget.bytesUsed], [0, true, 8_192]);
  one.dispose();
  one.dispose();
  assertEquals(budget.bytesUsed, 0);
  put(two, 0, "c");
  assertEquals(contentOf(two), "c");
});
