import { assert, assertEquals, assertThrows } from "@std/assert";
import { createPacketMemory } from "../../core/adapter/packet_memory.ts";
import { BufferPool, ByteRing, copyBytes } from "../../core/base/byte_ring.ts";
import { Prng } from "../../core/base/prng.ts";

Deno.test("copyBytes() copies short and long stretches", () => {
  const from = new Uint8Array(1_000).map((_, i) => i * 7);
  for (const length of [0, 1, 63, 64, 65, 500]) {
    const to = new Uint8Array(1_000);
    copyBytes(from, 3, to, 11, length);
    assertEquals(to.slice(11, 11 + length), from.slice(3, 3 + length));
    assertEquals([to[10], to[11 + length]], [0, 0]);
  }
});

Deno.test("BufferPool lends powers of two, counts them and keeps no more than it may", () => {
  const pool = new BufferPool(10_000);
  const small = pool.take(1);
  const large = pool.take(5_000);
  assertEquals([small.length, large.length, pool.lentBytes], [2_048, 8_192, 10_240]);
  pool.give(large);
  pool.give(small);
  assertEquals([pool.lentBytes, pool.keptBytes], [0, 8_192]);
  assertEquals(pool.take(8_192), large);
});

/** Puts bytes where the packets are and back, as the stack does: `at` moves, so that places differ. */
class Packets {
  readonly bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Room for `length` bytes. */
  place(length: number): number {
    this.#at = (this.#at + 61) % 64;
    assert(this.#at + length <= this.bytes.length);
    return this.#at;
  }

  put(bytes: Uint8Array): number {
    const at = this.place(bytes.length);
    this.bytes.set(bytes, at);
    return at;
  }
}

function checkAgainstArray(pool: BufferPool, packets: Packets): void {
  const ring = new ByteRing(pool);
  const prng = new Prng(9);
  let oracle: number[] = [];
  let value = 0;
  for (let step = 0; step < 20_000; step++) {
    const kind = prng.below(6);
    const length = prng.below(prng.chance(1, 10) ? 3_000 : 100);
    if (kind <= 1 && oracle.length < 20_000) {
      const bytes = new Uint8Array(length).map(() => value++);
      ring.write(packets.bytes, packets.put(bytes), length);
      oracle.push(...bytes);
    } else if (kind === 2 && oracle.length < 20_000) {
      // ahead of a gap, then the gap
      const bytes = new Uint8Array(2 * length).map(() => value++);
      ring.reserve(ring.length + 2 * length);
      const at = packets.put(bytes);
      ring.store(ring.length + length, packets.bytes, at + length, length);
      ring.reserve(ring.length + 3 * length);
      ring.store(ring.length, packets.bytes, at, length);
      ring.advance(2 * length);
      oracle.push(...bytes);
    } else if (kind === 3) {
      const into = new Uint8Array(length);
      const count = ring.read(into, 0, length);
      assertEquals([...into.subarray(0, count)], oracle.slice(0, count));
      oracle = oracle.slice(count);
    } else if (kind === 4 && oracle.length > 0) {
      const offset = prng.below(oracle.length);
      const count = Math.min(length, oracle.length - offset);
      const at = packets.place(count);
      ring.peek(offset, packets.bytes, at, count);
      assertEquals([...packets.bytes.subarray(at, at + count)], oracle.slice(offset, offset + count));
    } else if (kind === 5 && prng.chance(1, 20)) {
      ring.release();
      oracle = [];
    }
    assertEquals(ring.length, oracle.length);
  }
  ring.release();
  assertEquals(pool.lentBytes, 0);
}

Deno.test("ByteRing agrees with a plain array through 20,000 seeded operations", () => {
  checkAgainstArray(new BufferPool(), new Packets(new Uint8Array(8_192)));
});

Deno.test("ByteRing agrees with a plain array where rings lie beside the packets", () => {
  const memory = createPacketMemory(1, 1 << 20)!;
  const pool = new BufferPool(undefined, memory.rings);
  checkAgainstArray(pool, new Packets(memory.bytes));
  assert(pool.placeOf(pool.take(2_048)) >= memory.bytes.length);
});

Deno.test("ByteRing agrees with a plain array where only small rings lie beside the packets", () => {
  const memory = createPacketMemory(1, 65_536)!;
  const pool = new BufferPool(undefined, memory.rings);
  checkAgainstArray(pool, new Packets(memory.bytes));
  assertEquals(pool.placeOf(pool.take(131_072)), -1);
});

Deno.test("RingRegion gives out its memory once, and BufferPool keeps all of it", () => {
  const memory = createPacketMemory(1, 65_536)!;
  const pool = new BufferPool(0, memory.rings);
  const taken: Uint8Array[] = [];
  let outside = pool.take(2_048);
  for (; pool.placeOf(outside) >= 0; outside = pool.take(2_048)) taken.push(outside);
  assert(taken.length >= 32 && taken.length < 100);
  const places = taken.map((buffer) => pool.placeOf(buffer));
  assertEquals(new Set(places).size, taken.length);
  for (const place of places) assert(place >= memory.bytes.length && place % 2_048 === 0);
  pool.give(outside);
  for (const buffer of taken) pool.give(buffer);
  assertEquals(pool.keptBytes, taken.length * 2_048);
});

Deno.test("ByteRing takes at once what it needed before", () => {
  const ring = new ByteRing(new BufferPool());
  for (let i = 0; i < 10; i++) ring.write(new Uint8Array(1_000), 0, 1_000);
  ring.release();
  ring.write(new Uint8Array(10), 0, 10);
  assertEquals(ring.capacity, 16_384);
  ring.release();
  ring.write(new Uint8Array(10), 0, 10);
  assertEquals(ring.capacity, 2_048);
});

Deno.test("ByteRing refuses to be used wrongly", () => {
  const ring = new ByteRing(new BufferPool());
  ring.write(new Uint8Array(10), 0, 10);
  assertThrows(() => ring.drop(11));
  assertThrows(() => ring.peek(5, new Uint8Array(10), 0, 6));
  assertThrows(() => ring.store(5_000, new Uint8Array(10), 0, 10));
  assert(ring.length === 10);
});
