import { assert, assertEquals } from "@std/assert";
import { NO_SLOT } from "../../core/adapter/arena.ts";
import {
  PROGRAM_COPIES_MAX,
  PROGRAM_COUNT_MAX,
  PROGRAM_HELD_PACKETS_MAX,
  PROGRAM_REORDER_WAIT_US,
} from "../../core/base/limits.ts";
import { NEVER } from "../../core/base/micros.ts";
import { Prng } from "../../core/base/prng.ts";
import { DROP_REASON_NAMES, DropReason } from "../../core/parse/drop_reason.ts";
import { Verify } from "../../core/parse/parse.ts";
import { EngineWorld } from "../support/engine_world.ts";
import { tcpPacket, udpPacket } from "../support/packets.ts";
import { duplicating, programOf } from "../support/programs.ts";
import { parseOne } from "../support/slots.ts";

const MS = 1000;

/** A divert world whose flows all have this program. */
function worldWith(steps: unknown): EngineWorld {
  const world = new EngineWorld({ kind: "divert" });
  world.decider.script.program = programOf(steps);
  return world;
}

/** The n-th packet of a flow; its number is its payload. */
function numbered(n: number, size = 1): Uint8Array {
  return udpPacket({ payload: [n & 255, ...new Array<number>(size - 1).fill(0)] });
}

/** The numbers of the packets that left. Shape: first payload bytes. */
function numbersOf(world: EngineWorld): number[] {
  return world.adapter.sent.map((packet) => packet[28]!);
}

Deno.test("ProgramRunner sends copies after the original and counts them as generated", () => {
  for (const [copies, left] of [[1, 1], [2, 2], [10, 10]] as const) {
    const world = worldWith({ duplicate: copies });
    world.feed(numbered(7));
    const { delivered, generated, received } = world.engine.counters;
    assertEquals([world.adapter.sent.length, received, delivered, generated], [left, 1, 1, left - 1]);
    for (const packet of world.adapter.sent) assertEquals(packet, numbered(7));
    world.finish();
  }
});

Deno.test("ProgramRunner never sends more copies than the bound, whatever steps multiply to", () => {
  const world = worldWith([{ duplicate: 5 }, { duplicate: 5 }, { duplicate: 5 }]);
  world.feed(numbered(1));
  assertEquals(world.adapter.sent.length, PROGRAM_COPIES_MAX);
  const [result] = world.engine.programs.results();
  assertEquals(result!.counts.copies, PROGRAM_COPIES_MAX - 1);
  assert(result!.counts.copiesUnmade > 0);
  world.finish();
});

Deno.test("ProgramRunner drops with a reason of its own", () => {
  const world = worldWith({ drop: true, when: "udp.PayloadLength > 3" });
  world.feed(numbered(1), numbered(2, 4), numbered(3));
  assertEquals(numbersOf(world), [1, 3]);
  assertEquals(world.engine.counters.dropped(DropReason.ProgramDrop), 1);
  assertEquals(world.engine.programs.results()[0]!.counts.dropped, 1);
  world.finish();
});

Deno.test("ProgramRunner asks its filters for the direction of the packet", () => {
  const world = worldWith({ drop: true, when: "inbound" });
  const back = { source: "203.0.113.9", destination: "192.0.2.1", sourcePort: 53, destinationPort: 40_000 };
  const forth = { source: back.destination, destination: back.source, sourcePort: 40_000, destinationPort: 53 };
  world.feed(udpPacket({ ...forth, payload: "a" }), udpPacket({ ...back, payload: "b" }));
  assertEquals(world.adapter.sent.length, 1);
  assertEquals(world.engine.counters.dropped(DropReason.ProgramDrop), 1);
  world.finish();
});

Deno.test("ProgramRunner holds packets for exactly their delay, in order, as queued ones", () => {
  const world = worldWith({ delay: "20ms" });
  world.feed(numbered(1), numbered(2));
  assertEquals([world.adapter.sent.length, world.engine.counters.queued], [0, 2]);
  assertEquals(world.engine.deadline() <= 1 * MS + 20 * MS, true);
  world.at(21 * MS - 1);
  assertEquals(numbersOf(world), []);
  world.at(21 * MS);
  assertEquals(numbersOf(world), [1]);
  world.at(22 * MS);
  assertEquals([numbersOf(world), world.engine.counters.queued, world.engine.programs.nextDue], [[1, 2], 0, NEVER]);
  world.finish();
});

Deno.test("ProgramRunner keeps the order under jitter and uses the whole range of it", () => {
  const world = worldWith({ delay: "5ms", jitter: "30ms" });
  const packets = Array.from({ length: 200 }, (_, n) => numbered(n));
  const waits: number[] = [];
  for (const packet of packets) {
    world.feed(packet);
    waits.push(world.engine.programs.nextDue - world.now);
  }
  while (world.engine.programs.heldCount > 0) world.at(world.engine.programs.nextDue);
  assertEquals(numbersOf(world), packets.map((_, n) => n));
  assert(Math.max(...waits) <= 35 * MS);
  world.finish();
});

Deno.test("ProgramRunner lets as many packets overtake as the distance says", () => {
  for (const distance of [1, 3, 7]) {
    const world = worldWith({ reorder: distance, when: "udp.Payload[0] == 1" });
    for (let n = 1; n <= 9; n++) world.feed(numbered(n));
    const order = numbersOf(world);
    assertEquals(order.indexOf(1), distance, order.join(" "));
    assertEquals(order.toSorted((a, b) => a - b), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    world.finish();
  }
});

Deno.test("ProgramRunner does not wait for ever for packets that overtake", () => {
  const world = worldWith({ reorder: 5 });
  world.feed(numbered(1));
  world.at(world.now + PROGRAM_REORDER_WAIT_US);
  assertEquals(numbersOf(world), [1]);
  // The place in the list is stale now; the slot is used again, and must not be hastened for the old packet's sake.
  for (let n = 2; n < 30; n++) world.feed(numbered(n));
  while (world.engine.programs.heldCount > 0) world.at(world.engine.programs.nextDue);
  assertEquals(numbersOf(world).length, 29);
  world.finish();
});

Deno.test("ProgramRunner reorders by time", () => {
  const world = worldWith({ reorder: "50ms", probability: 0.5 });
  for (let n = 0; n < 100; n++) world.feed(numbered(n));
  while (world.engine.programs.heldCount > 0) world.at(world.engine.programs.nextDue);
  const order = numbersOf(world);
  assertEquals(order.toSorted((a, b) => a - b), Array.from({ length: 100 }, (_, n) => n));
  assert(order.some((n, i) => n !== i));
  world.finish();
});

Deno.test("ProgramRunner throttles to the rate, and drops what its queue has no room for", () => {
  const world = worldWith({ throttle: { rate: 100_000, burst: 1_028, queue: 10_280 } });
  // 1,000 packets of 1,028 bytes in a second are ten times the rate; the burst and the queue hold eleven of them.
  const arrivals = 1_000;
  for (let n = 0; n < arrivals; n++) world.feed(numbered(n, 1_000));
  const inTime = world.adapter.sent.length;
  assert(Math.abs(inTime - (100_000 + 1_028) / 1_028) <= 2, `${inTime} packets in a second`);
  while (world.engine.programs.heldCount > 0) world.at(world.engine.programs.nextDue);
  const dropped = world.engine.counters.dropped(DropReason.ProgramOverflow);
  assertEquals(dropped + world.adapter.sent.length, arrivals);
  assert(world.adapter.sent.length - inTime <= 11);
  assert(world.now <= (1_000 + 103) * MS, "the queue is as long as it may be");
  world.finish();
});

Deno.test("ProgramRunner lets a burst through a throttle at once", () => {
  const world = worldWith({ throttle: { rate: "8kbit", burst: 10_280, queue: 0 } });
  for (let n = 0; n < 10; n++) world.adapter.incoming.push(numbered(n, 1_000));
  world.at(5_000 * MS);
  assertEquals(world.adapter.sent.length, 10);
  world.finish();
});

Deno.test("ProgramRunner damages one byte that the checksum covers", () => {
  const world = worldWith({ corrupt: true });
  const packet = tcpPacket({ flags: "PA", payload: "hello" });
  world.feed(packet);
  const sent = world.adapter.sent[0]!;
  assertEquals(sent.filter((byte, i) => byte !== packet[i]).length, 1);
  assertEquals(parseOne(sent, { verify: Verify.All }).reason, "tcpBadChecksum");
  world.finish();
});

Deno.test("ProgramRunner makes no copies beyond the ceiling, and counts them", () => {
  const world = worldWith({ duplicate: 2, ceiling: 100_000 });
  for (let n = 0; n < 2_000; n++) world.feed(numbered(n, 1_000));
  const { counts } = world.engine.programs.results()[0]!;
  // Two seconds at 100,000 bytes, and a tenth of a second in advance.
  const most = (2 * 100_000 + 10_000) / 1_028;
  assert(Math.abs(counts.copies - most) < 3, `${counts.copies} copies`);
  assertEquals(counts.copies + counts.copiesUnmade, 2_000);
  assertEquals(world.engine.counters.delivered, 2_000);
  world.finish();
});

Deno.test("ProgramRunner draws each packet's odds by itself, the same for the same seed", () => {
  const run = () => {
    const world = worldWith([{ duplicate: 2 }, { probability: 0.3, drop: true }]);
    for (let n = 0; n < 3_000; n++) world.feed(numbered(n));
    world.finish();
    return world;
  };
  const world = run();
  assertEquals(world.adapter.sent, run().adapter.sent);
  const { counts } = world.engine.programs.results()[0]!;
  for (const lost of [counts.dropped, counts.copiesLost]) assert(Math.abs(lost / 3_000 - 0.3) < 0.03, `${lost} lost`);
});

Deno.test("ProgramRunner loses what it cannot hold, with a reason", () => {
  const world = worldWith({ delay: "10s" });
  const count = PROGRAM_HELD_PACKETS_MAX + 20;
  for (let n = 0; n < count; n++) world.feed(numbered(n));
  assertEquals(world.engine.programs.heldCount, PROGRAM_HELD_PACKETS_MAX);
  assertEquals(world.engine.counters.dropped(DropReason.ProgramOverflow), 20);
  world.finish();
  assertEquals(world.adapter.sent.length, PROGRAM_HELD_PACKETS_MAX, "what waits at the end leaves");
});

Deno.test("ProgramRunner.idOf() has one number for equal programs, and a bound", () => {
  const { programs } = new EngineWorld().engine;
  assertEquals(programs.idOf(undefined), 0);
  assertEquals(programs.idOf(programOf([])), 0);
  const first = programs.idOf(duplicating(2));
  assertEquals([programs.idOf(duplicating(2)), programs.idOf(duplicating(3))], [first, first + 1]);
  for (let n = 0; n < PROGRAM_COUNT_MAX; n++) programs.idOf(programOf({ delay: n + 1 }));
  assertEquals(programs.idOf(programOf({ delay: "9999ms" })), 0);
  assertEquals(programs.idOf(duplicating(2)), first);
});

Deno.test("Engine goes through the program with packets into its stack and out of it", () => {
  const prng = new Prng(5);
  const world = new EngineWorld({ stack: { env: { uint32: () => prng.uint32() } } });
  world.decider.script.program = programOf({ delay: "10ms" });
  const syn = tcpPacket({ flags: "S", destinationPort: 22 });
  world.feed(syn);
  assertEquals([world.engine.counters.queued, world.engine.commands.length], [1, 0]);
  world.at(11 * MS);
  assertEquals(world.engine.commands.map(({ kind }) => kind), ["dial"]);
  const [dial] = world.engine.commands.splice(0);
  world.engine.handle({ kind: "dialed", flow: dial!.flow }, world.now);
  assertEquals(world.adapter.sent.length, 0, "the answer waits as well");
  world.at(21 * MS);
  assertEquals(world.adapter.sent.length, 1);
  assertEquals(parseOne(world.adapter.sent[0]!).meta.flags, 0x12);
  world.finish();
});

Deno.test("Engine counts copies into its stack as generated, and losses on the way by their reasons", () => {
  const prng = new Prng(5);
  const counted = (steps: unknown) => {
    const world = new EngineWorld({ stack: { env: { uint32: () => prng.uint32() } } });
    world.decider.script.program = programOf(steps);
    world.feed(tcpPacket({ flags: "S", destinationPort: 22 }));
    const { received, consumed, generated } = world.engine.counters;
    world.finish();
    const { counters } = world.engine;
    return [received, consumed, generated, Object.keys(counters.droppedByName()).join()];
  };
  assertEquals(counted({ duplicate: 3 }), [1, 1, 2, ""]);
  assertEquals(counted({ drop: true }), [1, 0, 0, "programDrop"]);
  assertEquals(counted({ corrupt: true }), [1, 0, 0, "programCorrupt"]);
});

Deno.test("ProgramRunner keeps every law under seeded programs and packets", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const prng = new Prng(seed);
    const some = (value: unknown) => prng.chance(1, 3) ? value : undefined;
    const step = () => ({
      probability: some(prng.below(1_001) / 1_000),
      when: some(["outbound", "inbound", "udp", "tcp.Ack", "ip"][prng.below(5)]),
      drop: prng.chance(1, 8) ? true : undefined,
      corrupt: prng.chance(1, 8) ? true : undefined,
      throttle: some({ rate: prng.between(1_000, 1_000_000), burst: prng.below(5_000), queue: prng.below(50_000) }),
      delay: some(prng.below(50)),
      jitter: some(prng.below(50)),
      reorder: some(prng.chance(1, 2) ? prng.below(10) : `${prng.below(100)}ms`),
      duplicate: some(prng.between(1, 10)),
    });
    const stack = { env: { uint32: () => prng.uint32() } };
    const world = new EngineWorld(prng.chance(1, 2) ? { kind: "divert" } : { kind: "tun", stack });
    world.decider.script.program = programOf(Array.from({ length: prng.between(1, 5) }, step));
    for (let n = 0; n < 100; n++) {
      const sourcePort = 40_000 + prng.below(3);
      const flags = ["S", "A", "PA", "FA", "R"][prng.below(5)]!;
      const payload = new Array<number>(prng.below(100)).fill(n);
      world.feed(prng.chance(1, 2) ? tcpPacket({ flags, sourcePort, payload }) : udpPacket({ sourcePort, payload }));
      for (const command of world.engine.commands.splice(0)) {
        const { flow } = command;
        const answer = prng.chance(1, 2) ? { kind: "dialed", flow } as const : undefined;
        world.engine.handle(answer ?? { kind: "dialFailed", flow, error: "refused" }, world.now);
        world.check();
      }
    }
    for (let i = 0; i < 1_000 && world.engine.programs.heldCount > 0; i++) world.at(world.engine.programs.nextDue);
    assertEquals(world.engine.programs.heldCount, 0, `seed ${seed}`);
    world.finish();
    assert(world.engine.arena.acquire() !== NO_SLOT);
  }
});

Deno.test("DropReason has names for what programs do", () => {
  const names = [DropReason.ProgramDrop, DropReason.ProgramOverflow, DropReason.ProgramCorrupt];
  assertEquals(names.map((reason) => DROP_REASON_NAMES[reason]), ["programDrop", "programOverflow", "programCorrupt"]);
});
