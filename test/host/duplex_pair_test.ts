import { assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { DUPLEX_PAIR_BYTES_MAX } from "../../core/base/limits.ts";
import type { Duplex } from "../../core/host/duplex.ts";
import { createDuplexPair } from "../../core/host/duplex_pair.ts";

async function readAll(stream: Duplex, most: number): Promise<number[]> {
  const bytes: number[] = [];
  const buffer = new Uint8Array(most);
  for (let count = await stream.read(buffer); count !== null; count = await stream.read(buffer)) {
    bytes.push(...buffer.subarray(0, count));
  }
  return bytes;
}

async function writeAll(stream: Duplex, chunks: readonly Uint8Array[]): Promise<void> {
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length;) at += await stream.write(chunk.subarray(at));
  }
  await stream.closeWrite();
}

Deno.test("createDuplexPair() carries both ways however the bytes are cut, and keeps halves apart", async () => {
  const chunks = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(chunks, chunks, fc.integer({ min: 1, max: 100 }), async (there, back, most) => {
      const [near, far] = createDuplexPair();
      const [up, down] = await Promise.all([
        readAll(far, most),
        readAll(near, most),
        writeAll(near, there),
        writeAll(far, back),
      ]);
      assertEquals(up, there.flatMap((chunk) => [...chunk]));
      assertEquals(down, back.flatMap((chunk) => [...chunk]));
    }),
    { seed: 7, numRuns: 200 },
  );
});

Deno.test("createDuplexPair() makes a writer wait when nobody reads", async () => {
  const [near, far] = createDuplexPair();
  await near.write(new Uint8Array(DUPLEX_PAIR_BYTES_MAX));
  let isWritten = false;
  const second = near.write(Uint8Array.of(1)).then(() => isWritten = true);
  await Promise.resolve();
  assertEquals(isWritten, false);
  assertEquals(await far.read(new Uint8Array(10)), 10);
  await second;
  assertEquals(isWritten, true);
});

Deno.test("createDuplexPair() breaks both ways when either end aborts", async () => {
  for (const broken of [0, 1] as const) {
    const pair = createDuplexPair();
    const waiting = pair[1 - broken]!.read(new Uint8Array(1));
    pair[broken].abort();
    await assertRejects(() => waiting, Deno.errors.ConnectionReset);
    await assertRejects(() => pair[1 - broken]!.write(Uint8Array.of(1)), Deno.errors.BrokenPipe);
  }
});

Deno.test("createDuplexPair() takes nothing after the end", async () => {
  const [near, far] = createDuplexPair();
  await near.closeWrite();
  await assertRejects(() => near.write(Uint8Array.of(1)), Deno.errors.BrokenPipe);
  assertEquals(await far.read(new Uint8Array(1)), null);
});
