import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { FaultAdapter, type FaultCounts, faultLawHolds } from "../../core/adapter/fault.ts";
import { type FaultOptions, FaultPlan, NO_FAULTS, PPM } from "../../core/adapter/fault_plan.ts";
import { Arena, NO_SLOT } from "../../core/adapter/arena.ts";
import { micros, NEVER } from "../../core/base/micros.ts";
import { Prng } from "../../core/base/prng.ts";
import { checksum } from "../../core/wire/checksum.ts";
import { ListAdapter } from "../support/engine_world.ts";
import { be32, udpPacket } from "../support/packets.ts";
import { slotOf } from "../support/slots.ts";

/** A fault adapter over a list, in both directions, with numbered packets. */
class FaultBench {
  readonly inner = new ListAdapter("tun");
  readonly adapter: FaultAdapter;
  readonly arena = new Arena(64);
  readonly got: Uint8Array[] = [];

  constructor(options: Partial<FaultOptions>, seed = 7, queuePacketsMax?: number) {
    const faults = { ...NO_FAULTS, ...options };
    const queue = queuePacketsMax === undefined ? {} : { queuePacketsMax };
    this.adapter = new FaultAdapter(this.inner, { inbound: faults, outbound: faults, ...queue }, new Prng(seed));
  }

  receive(now: number): void {
    this.adapter.receive(this.arena, micros(now));
    this.check();
    for (let slot = this.arena.take(); slot !== NO_SLOT; slot = this.arena.take()) {
      this.got.push(this.arena.bytes.slice(this.arena.at(slot), this.arena.at(slot) + this.arena.length[slot]!));
      this.arena.release(slot);
    }
  }

  send(packet: Uint8Array, now: number): boolean {
    const slot = slotOf(this.arena, packet);
    const taken = this.adapter.send(this.arena, slot, micros(now));
    this.arena.release(slot);
    this.check();
    return taken;
  }

  check(): void {
    for (const counts of [this.adapter.inbound, this.adapter.outbound]) assert(faultLawHolds(counts));
  }
}

function numbered(i: number): Uint8Array {
  return udpPacket({ payload: be32(i) });
}

function numberOf(packet: Uint8Array): number {
  return new DataView(packet.buffer, packet.byteOffset).getUint32(28);
}

/** Sends and receives `count` packets, one each 100 µs. */
function exchange(options: Partial<FaultOptions>, count: number, seed = 7): FaultBench {
  const bench = new FaultBench(options, seed);
  for (let i = 0; i < count; i++) {
    bench.inner.incoming.push(numbered(i));
    bench.receive(i * 100);
    assert(bench.send(numbered(i), i * 100));
  }
  // The arena holds fewer packets than may be on their way.
  for (let i = 0; i < 10; i++) bench.receive(count * 100 + 60_000_000);
  assertEquals(bench.adapter.nextDue, NEVER);
  return bench;
}

const COUNT = 20_000;

/** The counts of both directions lie within four standard deviations of what the odds say. */
function assertRate(bench: FaultBench, field: keyof FaultCounts, ppm: number): void {
  const expected = COUNT * ppm / PPM;
  const deviation = Math.sqrt(expected * (1 - ppm / PPM));
  for (const counts of [bench.adapter.inbound, bench.adapter.outbound]) {
    const difference = Math.abs(counts[field] - expected);
    assert(difference <= 4 * deviation, `${field}: ${counts[field]} of ${COUNT}, expected about ${expected}`);
  }
}

Deno.test("FaultAdapter loses as many packets as the odds say, and counts each", () => {
  const bench = exchange({ lossPpm: 50_000 }, COUNT);
  assertRate(bench, "lost", 50_000);
  assertEquals(bench.got.length, COUNT - bench.adapter.inbound.lost);
  assertEquals(bench.inner.sent.length, COUNT - bench.adapter.outbound.lost);
  assertEquals(bench.adapter.inbound.offered, COUNT);
});

Deno.test("FaultAdapter doubles, damages and holds back as many packets as the odds say", () => {
  const bench = exchange({ duplicatePpm: 30_000, corruptPpm: 20_000, reorderPpm: 100_000, reorderUs: 1_000 }, COUNT);
  assertRate(bench, "duplicated", 30_000);
  assertRate(bench, "corrupted", 20_000);
  assertRate(bench, "reordered", 100_000);
  assertEquals(bench.got.length, COUNT + bench.adapter.inbound.duplicated);
});

Deno.test("FaultAdapter damages exactly one byte, so that a checksum tells", () => {
  const bench = exchange({ corruptPpm: PPM }, 500);
  bench.got.forEach((packet, i) => {
    const whole = numbered(i);
    assertEquals(packet.filter((byte, at) => byte !== whole[at]).length, 1);
    // One byte lies either in the header, whose checksum it breaks, or behind it.
    const view = new DataView(packet.buffer);
    const inHeader = packet.findIndex((byte, at) => byte !== whole[at]) < 20;
    assertEquals(checksum(view, 0, 20) !== 0, inHeader);
  });
});

Deno.test("FaultAdapter leaves the caller's packet as it is when it damages a copy", () => {
  const bench = new FaultBench({ corruptPpm: PPM });
  const slot = slotOf(bench.arena, numbered(1));
  bench.adapter.send(bench.arena, slot, micros(0));
  const at = bench.arena.at(slot);
  assertEquals(bench.arena.bytes.slice(at, at + numbered(1).length), numbered(1));
  assertNotEquals(bench.inner.sent[0], numbered(1));
});

Deno.test("FaultAdapter loses packets in bursts that are as long as the model says", () => {
  const bench = exchange({ burstEnterPpm: 10_000, burstLeavePpm: 200_000, burstLossPpm: PPM }, COUNT);
  const numbers = new Set(bench.got.map(numberOf));
  let bursts = 0;
  let lost = 0;
  for (let i = 0; i < COUNT; i++) {
    if (numbers.has(i)) continue;
    lost++;
    if (i === 0 || numbers.has(i - 1)) bursts++;
  }
  assertEquals(lost, bench.adapter.inbound.lost);
  // A burst ends with odds of 1 in 5 at each packet: five packets long on average; and one packet in 21 finds the path bad.
  assert(lost / bursts > 4 && lost / bursts < 6, `bursts of ${lost / bursts} packets`);
  assert(lost > COUNT / 21 * 0.7 && lost < COUNT / 21 * 1.3, `${lost} packets lost in bursts`);
});

Deno.test("FaultAdapter keeps the order of packets that it only delays, jitter included", () => {
  const bench = exchange({ delayUs: 5_000, jitterUs: 3_000 }, 1_000);
  assertEquals(bench.got.map(numberOf), Array.from({ length: 1_000 }, (_, i) => i));
  assertEquals(bench.inner.sent.map(numberOf), Array.from({ length: 1_000 }, (_, i) => i));
});

Deno.test("FaultAdapter delivers no packet before its time, and says when it wants to be called", () => {
  const bench = new FaultBench({ delayUs: 5_000 });
  bench.inner.incoming.push(numbered(1));
  bench.receive(1_000);
  bench.send(numbered(2), 2_000);
  assertEquals(bench.adapter.nextDue, 6_000);
  bench.receive(5_999);
  assertEquals([bench.got.length, bench.inner.sent.length], [0, 0]);
  bench.receive(6_000);
  assertEquals([bench.got.length, bench.inner.sent.length], [1, 0]);
  assertEquals(bench.adapter.nextDue, 7_000);
  bench.adapter.flush(micros(7_000));
  assertEquals(bench.inner.sent.length, 1);
  assertEquals(bench.adapter.nextDue, NEVER);
});

Deno.test("FaultAdapter lets later packets overtake those that it holds back, and loses none", () => {
  const bench = exchange({ reorderPpm: 300_000, reorderUs: 2_000 }, 1_000);
  const order = bench.got.map(numberOf);
  assertNotEquals(order, order.toSorted((a, b) => a - b));
  assertEquals(order.toSorted((a, b) => a - b), Array.from({ length: 1_000 }, (_, i) => i));
});

Deno.test("FaultAdapter bounds its queue: what does not fit is lost and counted", () => {
  const bench = new FaultBench({ delayUs: 1_000_000 }, 1, 10);
  for (let i = 0; i < 50; i++) bench.inner.incoming.push(numbered(i));
  bench.receive(0);
  for (let i = 0; i < 50; i++) assert(bench.send(numbered(i), 0));
  assertEquals([bench.adapter.inbound.held, bench.adapter.inbound.overflowed], [10, 40]);
  assertEquals([bench.adapter.outbound.held, bench.adapter.outbound.overflowed], [10, 40]);
  bench.receive(2_000_000);
  assertEquals(bench.got.map(numberOf), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assertEquals(bench.inner.sent.length, 10);
});

Deno.test("FaultAdapter bounds its queue also for doubled packets", () => {
  const bench = new FaultBench({ delayUs: 1_000_000, duplicatePpm: PPM }, 1, 10);
  for (let i = 0; i < 50; i++) bench.inner.incoming.push(numbered(i));
  bench.receive(0);
  assertEquals([bench.adapter.inbound.held, bench.adapter.inbound.duplicated], [10, 5]);
});

Deno.test("FaultAdapter counts packets that the device refuses once they are due", () => {
  const bench = new FaultBench({ delayUs: 10 });
  bench.inner.isFull = true;
  assert(bench.send(numbered(1), 0));
  bench.receive(10);
  assertEquals(bench.adapter.outbound.refused, 1);
});

Deno.test("FaultAdapter change() heals the path for later packets", () => {
  const bench = new FaultBench({ lossPpm: PPM });
  bench.send(numbered(1), 0);
  bench.adapter.change(NO_FAULTS, NO_FAULTS);
  bench.send(numbered(2), 0);
  assertEquals(bench.inner.sent.map(numberOf), [2]);
});

Deno.test("FaultAdapter draws the same fate twice from the same seed", () => {
  const all = {
    lossPpm: 100_000,
    burstEnterPpm: 10_000,
    burstLeavePpm: 100_000,
    burstLossPpm: 500_000,
    duplicatePpm: 100_000,
    corruptPpm: 100_000,
    reorderPpm: 100_000,
    reorderUs: 5_000,
    delayUs: 100,
    jitterUs: 1_000,
  };
  const one = exchange(all, 2_000, 3);
  const two = exchange(all, 2_000, 3);
  const other = exchange(all, 2_000, 4);
  assertEquals(one.got, two.got);
  assertEquals(one.inner.sent, two.inner.sent);
  assertNotEquals(one.got, other.got);
});

Deno.test("FaultPlan corrupt() does nothing to no bytes", () => {
  const plan = new FaultPlan(NO_FAULTS, new Prng(1));
  const bytes = new Uint8Array([1, 2, 3]);
  plan.corrupt(bytes, 1, 0);
  assertEquals([...bytes], [1, 2, 3]);
});

Deno.test("FaultAdapter takes a device's word for a packet away with its damage", () => {
  for (const corruptPpm of [0, PPM]) {
    const bench = new FaultBench({ corruptPpm });
    const receive = bench.inner.receive.bind(bench.inner);
    bench.inner.receive = (arena, now) => {
      const count = receive(arena, now);
      for (let i = 0; i < count; i++) arena.vouched[arena.arrivedAt(i)] = 1;
      return count;
    };
    bench.inner.incoming.push(new Uint8Array(40));
    bench.adapter.receive(bench.arena, micros(0));
    assertEquals(bench.arena.vouched[bench.arena.take()], corruptPpm === 0 ? 1 : 0);
  }
});
