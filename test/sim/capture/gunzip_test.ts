import { assertEquals, assertRejects } from "@std/assert";
import { gzipSync } from "node:zlib";
import { Prng } from "../../../core/base/prng.ts";
import { type ByteSource, GunzipSource } from "../../../sim/capture/gunzip.ts";
import { join } from "./byte_builder.ts";

/** A source that gives at most `step` bytes at once, always in the same buffer, as a file source does. */
function sourceOf(bytes: Uint8Array, step: number): ByteSource {
  const buffer = new Uint8Array(step);
  let at = 0;
  return {
    read(lengthMax: number) {
      const length = Math.min(step, lengthMax, bytes.length - at);
      buffer.set(bytes.subarray(at, at + length));
      at += length;
      return Promise.resolve(buffer.subarray(0, length));
    },
  };
}

async function readAll(source: GunzipSource): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (;;) {
    const bytes = await source.read();
    if (bytes.length === 0) return join(...parts);
    parts.push(bytes);
  }
}

const prng = new Prng(6);
const text = Uint8Array.from({ length: 300_000 }, () => prng.below(16));

Deno.test("GunzipSource.read() gives the data back when there is one member or many", async () => {
  const one = new Uint8Array(gzipSync(text));
  for (const step of [1000, 16_384, 1_000_000]) {
    assertEquals(await readAll(new GunzipSource(sourceOf(one, step))), text);
    assertEquals(await readAll(new GunzipSource(sourceOf(join(one, one, one), step))), join(text, text, text));
  }
  assertEquals(
    await readAll(new GunzipSource(sourceOf(new Uint8Array(gzipSync(new Uint8Array(0))), 9))),
    new Uint8Array(0),
  );
});

Deno.test("GunzipSource.read() gives much before it rejects when the data is damaged or cut", async () => {
  const good = new Uint8Array(gzipSync(text));
  const broken = good.slice();
  broken.fill(0xff, good.length - 3000, good.length - 2900);
  for (const [bytes, atLeast] of [[good.subarray(0, good.length - 12), 299_000], [broken, 250_000]] as const) {
    const source = new GunzipSource(sourceOf(bytes, 16_384));
    const parts: Uint8Array[] = [];
    await assertRejects(async () => {
      for (let part = await source.read(); part.length > 0; part = await source.read()) parts.push(part.slice());
    });
    const all = join(...parts);
    assertEquals(all.length >= atLeast, true, `${all.length}`);
    assertEquals(all.subarray(0, atLeast).findIndex((byte, i) => byte !== text[i]), -1);
  }
});
