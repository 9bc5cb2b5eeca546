import { assertEquals } from "@std/assert";
import { Actor } from "../../core/act/act.ts";
import { Counters } from "../../core/act/counters.ts";
import { FragmentGate } from "../../core/act/fragment_gate.ts";
import { NO_PROGRAM, ProgramRunner } from "../../core/act/program_runner.ts";
import { Arena, NO_SLOT } from "../../core/adapter/arena.ts";
import { FRAGMENT_TIMEOUT_US } from "../../core/base/limits.ts";
import { micros, NEVER } from "../../core/base/micros.ts";
import { Prng } from "../../core/base/prng.ts";
import { PacketMeta } from "../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../core/parse/parse.ts";
import { ListAdapter } from "../support/engine_world.ts";
import { ipv4Packet, udpDatagram } from "../support/packets.ts";
import { slotOf } from "../support/slots.ts";

const DATAGRAM = udpDatagram({ payload: Array.from({ length: 40 }, (_, i) => i) });

class Bench {
  readonly arena: Arena;
  readonly counters = new Counters();
  readonly gate: FragmentGate;

  constructor(slotCount: number) {
    this.arena = new Arena(slotCount);
    const adapter = new ListAdapter("divert");
    const programs = new ProgramRunner(this.arena, adapter, this.counters, { enterStack: () => {} }, new Prng(1));
    this.gate = new FragmentGate(this.arena, new Actor(this.arena, adapter, this.counters, programs));
    assertEquals(NO_PROGRAM, 0);
  }

  add(from: number, to: number): number {
    const more = to < DATAGRAM.length;
    const slot = slotOf(this.arena, ipv4Packet(DATAGRAM.slice(from, to), { id: 3, offset: from, more }));
    const meta = new PacketMeta();
    assertEquals(parse(this.arena, slot, Verify.None, meta), 0);
    this.counters.receive();
    return this.gate.add(slot, meta, micros(5));
  }
}

Deno.test("FragmentGate hands a datagram over once it is whole, and drops what comes twice or too late", () => {
  const bench = new Bench(8);
  assertEquals([bench.add(24, 48), bench.add(24, 48)], [NO_SLOT, NO_SLOT]);
  assertEquals(bench.counters.droppedByName(), { fragmentDuplicate: 1 });
  const head = bench.add(0, 24);
  const whole = bench.gate.assemble(head);
  assertEquals([bench.arena.length[whole], bench.gate.heldCount], [20 + DATAGRAM.length, 0]);
  assertEquals([...bench.arena.bytes.slice(bench.arena.at(whole) + 20, bench.arena.at(whole) + 68)], DATAGRAM);
  bench.arena.release(whole);
  bench.gate.dropChain(head, 29);
  bench.add(0, 24);
  assertEquals(bench.gate.nextExpiry(), 5 + FRAGMENT_TIMEOUT_US);
  bench.gate.expire(NEVER);
  assertEquals(bench.counters.droppedByName(), { fragmentDuplicate: 1, fragmentTimeout: 1, ruleDrop: 2 });
  assertEquals([bench.arena.freeCount, bench.counters.queued], [8, 0]);
});

Deno.test("FragmentGate drops a whole datagram for which there is no slot", () => {
  const bench = new Bench(2);
  bench.add(24, 48);
  assertEquals(bench.gate.assemble(bench.add(0, 24)), NO_SLOT);
  assertEquals([bench.counters.droppedByName(), bench.arena.freeCount], [{ queueFull: 2 }, 2]);
});
