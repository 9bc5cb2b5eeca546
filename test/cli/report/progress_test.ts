import { assert, assertEquals, assertMatch } from "@std/assert";
import { Progress } from "../../../core/cli/report/progress.ts";
import { widthOf } from "../../../core/cli/report/width.ts";

function recorder(isTerminal: boolean, columns = 80) {
  const writes: string[] = [];
  return { writes, io: { isTerminal, columns, write: (text: string) => void writes.push(text) } };
}

Deno.test("Progress writes nothing when standard error is no terminal", () => {
  const { io, writes } = recorder(false);
  const progress = new Progress(io, 1000, 0);
  for (let at = 0; at < 10_000; at += 100) progress.update(at / 10, at, at);
  progress.done();
  assertEquals(writes, []);
});

Deno.test("Progress writes nothing when the work is short", () => {
  const { io, writes } = recorder(true);
  const progress = new Progress(io, 1000, 5000);
  for (let at = 5000; at < 5500; at += 10) progress.update(at, 1, at);
  progress.done();
  assertEquals(writes, []);
});

Deno.test("Progress draws a bar when the work is long, and wipes it away", () => {
  const { io, writes } = recorder(true, 100);
  const progress = new Progress(io, 2_000_000_000, 0);
  progress.update(500_000_000, 1_234_567, 1000);
  progress.update(500_000_001, 1_234_567, 1050); // too soon to draw again
  progress.update(2_000_000_000, 5_000_000, 4000);
  progress.done();
  progress.done();
  progress.update(2_000_000_000, 5_000_000, 9000); // after the end
  assertEquals(writes, [
    "\r▕██████                  ▏    25 %  500 MB of 2.00 GB  3.00 s left  1,234,567 packets  500 MB/s\x1b[K",
    "\r▕████████████████████████▏   100 %  2.00 GB of 2.00 GB  5,000,000 packets  500 MB/s\x1b[K",
    "\r\x1b[K",
  ]);
});

Deno.test("Progress shows counts and speed when the size is not known", () => {
  const { io, writes } = recorder(true);
  new Progress(io, 0, 0).update(3_000_000, 4000, 1000);
  assertEquals(writes, ["\r3.00 MB  4,000 packets  3.00 MB/s\x1b[K"]);
});

Deno.test("Progress stays on one line when the terminal is narrow or the numbers are odd", () => {
  for (const columns of [0, 1, 10, 20, 33, 47, 80, 200]) {
    for (const [done, total] of [[0, 0], [0, 100], [50, 100], [200, 100], [1e15, 2e15]] as const) {
      const { io, writes } = recorder(true, columns);
      new Progress(io, total, 0).update(done, 12_345_678, 1000);
      assertEquals(writes.length, 1);
      const line = writes[0]!;
      assertMatch(line, /^\r[^\x00-\x1f]*\x1b\[K$/);
      assert(widthOf(line.slice(1, -3)) <= Math.max(0, columns - 1), `${JSON.stringify(line)} at ${columns} columns`);
    }
  }
});
