import { assert, assertEquals, assertThrows } from "@std/assert";
import { Arena } from "../../core/adapter/arena.ts";
import { createPacketMemory } from "../../core/adapter/packet_memory.ts";
import { createQuickSums, QUICK_SUM_BYTES_MAX } from "../../core/adapter/sum_module.ts";
import { Prng } from "../../core/base/prng.ts";
import { addBytes, checksum, finishSum, sumQuickly } from "../../core/wire/checksum.ts";

/** The definition, word for word. Source: RFC 1071 section 1. */
function slowSum(bytes: Uint8Array, at: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i += 2) {
    sum += (bytes[at + i]! << 8) | (i + 1 < length ? bytes[at + i + 1]! : 0);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return sum;
}

function lengthOf(prng: Prng): number {
  return prng.chance(1, 500) ? prng.below(QUICK_SUM_BYTES_MAX + 1) : prng.below(prng.chance(1, 10) ? 2_000 : 140);
}

Deno.test("QuickSums.sum() agrees with the definition in 100,000 seeded cases", () => {
  const { bytes, sums } = createPacketMemory(3, 0)!;
  const prng = new Prng(1071);
  for (let i = 0; i < bytes.length; i++) bytes[i] = prng.below(256);
  for (let i = 0; i < 100_000; i++) {
    const length = lengthOf(prng);
    const at = prng.below(bytes.length - length);
    assertEquals(sums.sum(at, length), slowSum(bytes, at, length), `${length} bytes at ${at}`);
  }
});

Deno.test("QuickSums.sum() loses no carry and invents none", () => {
  const { bytes, sums } = createPacketMemory(3, 0)!;
  assertEquals(sums.sum(0, QUICK_SUM_BYTES_MAX), 0);
  bytes.fill(0xff);
  for (const length of [1, 2, 15, 16, 17, 63, 64, 65, 1_500, 65_535, QUICK_SUM_BYTES_MAX]) {
    assertEquals(sums.sum(3, length), slowSum(bytes, 3, length), `${length} bytes`);
  }
});

Deno.test("QuickSums trap beyond their memory instead of reading elsewhere", () => {
  const { bytes, sums } = createPacketMemory(1, 0)!;
  const end = bytes.buffer.byteLength;
  assertThrows(() => sums.sum(end - 10, 11), WebAssembly.RuntimeError);
  assertThrows(() => sums.sum(-1, 100), WebAssembly.RuntimeError);
  assertThrows(() => sums.copy(end - 10, 0, 11), WebAssembly.RuntimeError);
  assertEquals(sums.sum(end - 10, 10), 0);
});

Deno.test("QuickSums.copy() copies, also over itself", () => {
  const { bytes, sums } = createPacketMemory(1, 0)!;
  for (let i = 0; i < 1_000; i++) bytes[i] = i;
  const expected = bytes.slice(0, 500);
  sums.copy(7, 0, 500);
  assertEquals(bytes.slice(7, 507), expected);
});

Deno.test("checksum() over a packet memory is what it is over any other", () => {
  const memory = createPacketMemory(2, 0);
  assert(memory !== undefined);
  const arena = new Arena(2, memory);
  const prng = new Prng(5);
  for (let i = 0; i < arena.bytes.length; i++) arena.bytes[i] = prng.below(256);
  const plain = new DataView(arena.bytes.slice().buffer);
  for (let i = 0; i < 20_000; i++) {
    const length = lengthOf(prng);
    const at = prng.below(arena.bytes.length - length);
    assertEquals(checksum(arena.view, at, length), checksum(plain, at, length), `${length} bytes at ${at}`);
    const begun = prng.below(0x20000);
    assertEquals(finishSum(addBytes(begun, arena.view, at, length)), finishSum(addBytes(begun, plain, at, length)));
  }
  sumQuickly(undefined, () => 0);
});

Deno.test("Arena refuses a memory that is too small for its slots", () => {
  assertThrows(() => new Arena(3, createPacketMemory(2, 0)), Error, "holds its slots");
});

Deno.test("createQuickSums() makes a module that is valid by itself", () => {
  assert(createQuickSums(new WebAssembly.Memory({ initial: 1 })) !== undefined);
});
