import { assert, assertEquals } from "@std/assert";
import { NO_FAULTS } from "../../../core/adapter/fault_plan.ts";
import { Arena } from "../../../core/adapter/arena.ts";
import { type Micros, micros } from "../../../core/base/micros.ts";
import { Prng } from "../../../core/base/prng.ts";
import { checksum } from "../../../core/wire/checksum.ts";
import { EventQueue } from "../../../sim/world/event_queue.ts";
import { type ChannelOptions, Link, PERFECT_CHANNEL, type Scheduler } from "../../../sim/world/link.ts";
import { ipv4Packet, tcpPacket, udpPacket } from "../../support/packets.ts";
import { parseOne, slotOf } from "../../support/slots.ts";

/** A clock with a queue and nothing else. */
class Clock implements Scheduler {
  now: Micros = micros(0);
  readonly events = new EventQueue();

  schedule(at: Micros, run: (now: Micros) => void): void {
    this.events.push(at, run);
  }

  runAll(): void {
    for (let event = this.events.pop(); event !== undefined; event = this.events.pop()) {
      this.now = event.at;
      event.run(event.at);
    }
  }
}

/** A link, the times at which packets came to its far end, and what came back to the near one. */
function bench(options: Partial<ChannelOptions>) {
  const clock = new Clock();
  const link = new Link({ ...PERFECT_CHANNEL, ...options }, PERFECT_CHANNEL, 9_000, clock, new Prng(5));
  const arena = new Arena(4);
  const arrivals: number[] = [];
  link.b.onArrival = (now) => void arrivals.push(now);
  const send = (packet: Uint8Array) => {
    const slot = slotOf(arena, packet);
    link.a.send(arena, slot, clock.now);
    arena.release(slot);
  };
  return { clock, link, arrivals, send };
}

const HUNDRED = udpPacket({ payload: "x".repeat(72) });

Deno.test("EventQueue hands events over by time, and by their order when the time is the same", () => {
  const queue = new EventQueue();
  const prng = new Prng(1);
  const wanted: [number, number][] = [];
  const got: number[] = [];
  for (let i = 0; i < 2_000; i++) {
    const at = prng.below(300);
    wanted.push([at, i]);
    queue.push(micros(at), () => void got.push(i));
  }
  wanted.sort(([a, i], [b, j]) => a - b || i - j);
  assertEquals(queue.length, 2_000);
  for (let event = queue.pop(); event !== undefined; event = queue.pop()) event.run(event.at);
  assertEquals(got, wanted.map(([, i]) => i));
});

Deno.test("Channel takes the line's time for each packet, one after the other, and then the delay", () => {
  // 100 bytes at 800 kbit/s take 1 ms.
  const { clock, arrivals, send } = bench({ rateBps: 800_000, faults: { ...NO_FAULTS, delayUs: 5_000 } });
  for (let i = 0; i < 3; i++) send(HUNDRED);
  clock.runAll();
  assertEquals(arrivals, [6_000, 7_000, 8_000]);
});

Deno.test("Channel drops what its queue has no room for, and counts it", () => {
  const { clock, link, arrivals, send } = bench({ rateBps: 800_000, queuePacketsMax: 4 });
  for (let i = 0; i < 10; i++) send(HUNDRED);
  clock.runAll();
  assertEquals(arrivals.length, 4);
  assertEquals(link.aToB.counts.overflowed, 6);
  assert(link.lawHolds());
});

Deno.test("Channel says that a packet is too big, as far as its sender asked for it", () => {
  const { clock, link, send } = bench({ mtu: 1_000 });
  const big = tcpPacket({ payload: "x".repeat(1_200), source: "10.0.0.1" });
  // Do not fragment.
  big[6] = 0x40;
  big[10] = 0;
  big[11] = 0;
  const sum = checksum(new DataView(big.buffer), 0, 20);
  big[10] = sum >>> 8;
  big[11] = sum & 255;
  send(big);
  clock.runAll();
  assertEquals(link.aToB.counts.tooBig, 1);
  const arena = new Arena(2);
  assertEquals(link.a.receive(arena, clock.now), 1);
  const slot = arena.take();
  const answer = arena.bytes.slice(arena.at(slot), arena.at(slot) + arena.length[slot]!);
  const { reason, meta } = parseOne(answer, { verify: 1 });
  assertEquals([reason, meta.protocol, meta.sourcePort, meta.destinationPort], ["none", 1, 3, 4]);
  assertEquals(new DataView(answer.buffer).getUint16(26), 1_000);
  assertEquals(answer.slice(28, 28 + 100), big.slice(0, 100));

  send(ipv4Packet([...new Uint8Array(1_200)]));
  link.aToB.change({ answersTooBig: false });
  send(big);
  clock.runAll();
  assertEquals([link.aToB.counts.tooBig, link.a.waiting], [2, 0]);
  assertEquals(
    [link.aToB.counts.inPieces, link.b.waiting, link.lawHolds()],
    [1, 2, true],
    "what may be cut comes through",
  );
});

Deno.test("Channel answers a packet that is too big also over IPv6", () => {
  const { clock, link, send } = bench({ mtu: 1_280 });
  send(tcpPacket({ payload: "x".repeat(1_400), source: "2001:db8:0:0:0:0:0:1" }));
  clock.runAll();
  const arena = new Arena(2);
  assertEquals(link.a.receive(arena, clock.now), 1);
  const slot = arena.take();
  const { reason, meta } = parseOne(arena.bytes.slice(arena.at(slot), arena.at(slot) + arena.length[slot]!), {
    verify: 1,
  });
  assertEquals([reason, meta.protocol, meta.sourcePort], ["none", 58, 2]);
});

Deno.test("Channel marks packets that allow it, and no others", () => {
  const { clock, link, send } = bench({ markPpm: 1_000_000 });
  send(udpPacket({ tos: 0 }));
  send(udpPacket({ tos: 2 }));
  send(udpPacket({ tos: 3 }));
  clock.runAll();
  assertEquals(link.aToB.counts.marked, 1);
  const arena = new Arena(4);
  link.b.receive(arena, clock.now);
  const marks = [0, 1, 2].map((i) => arena.bytes[arena.at(arena.arrivedAt(i)) + 1]! & 3);
  assertEquals(marks, [0, 3, 3]);
  for (let i = 0; i < 3; i++) assertEquals(checksum(arena.view, arena.at(arena.arrivedAt(i)), 20), 0);
});

Deno.test("Link loses what is sent into a partition, and carries again when it is healed", () => {
  const { clock, link, arrivals, send } = bench({ faults: { ...NO_FAULTS, lossPpm: 1_000_000, delayUs: 10 } });
  send(HUNDRED);
  link.partition();
  send(HUNDRED);
  link.heal();
  send(HUNDRED);
  clock.runAll();
  assertEquals([link.aToB.counts.lost, link.aToB.counts.cut, link.aToB.counts.delivered], [1, 1, 1]);
  assertEquals(arrivals, [10]);
});

Deno.test("Channel keeps its law under all faults at once", () => {
  const faults = {
    lossPpm: 100_000,
    burstEnterPpm: 20_000,
    burstLeavePpm: 100_000,
    burstLossPpm: 500_000,
    duplicatePpm: 100_000,
    corruptPpm: 100_000,
    reorderPpm: 100_000,
    reorderUs: 50_000,
    delayUs: 1_000,
    jitterUs: 5_000,
  };
  const { clock, link, send } = bench({ rateBps: 10_000_000, queuePacketsMax: 20, faults });
  for (let i = 0; i < 3_000; i++) {
    clock.schedule(micros(i * 90), () => {
      send(HUNDRED);
      assert(link.lawHolds());
      link.b.receive(new Arena(8), clock.now);
    });
  }
  clock.runAll();
  assert(link.lawHolds());
  const { underWay, duplicated, corrupted, lost } = link.aToB.counts;
  assertEquals(underWay, 0);
  assert(duplicated > 100 && corrupted > 100 && lost > 200);
});
