/** What every adapter promises, as one suite: each implementation runs through it. */
import { assert, assertEquals } from "@std/assert";
import type { Adapter } from "../../core/adapter/adapter.ts";
import { Arena, NO_SLOT } from "../../core/adapter/arena.ts";
import { micros } from "../../core/base/micros.ts";
import { udpPacket } from "../support/packets.ts";
import { slotOf } from "../support/slots.ts";

/** One adapter with a device behind it that a test can reach. */
export interface AdapterBench {
  readonly adapter: Adapter;
  /** Puts a packet into the device, for the adapter to receive. */
  offer(packet: Uint8Array): void;
  /** Packets that the device got. */
  sent(): Uint8Array[];
  /** Lets the device refuse every packet from now on; absent when it never does. */
  fill?: () => void;
}

const NOW = micros(1_000_000);

function packets(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => udpPacket({ sourcePort: 1_000 + i, payload: `packet ${i}` }));
}

function takeAll(arena: Arena): Uint8Array[] {
  const taken: Uint8Array[] = [];
  for (let slot = arena.take(); slot !== NO_SLOT; slot = arena.take()) {
    const at = arena.at(slot);
    assertEquals(arena.wireLength[slot], arena.length[slot]);
    taken.push(arena.bytes.slice(at, at + arena.length[slot]!));
    arena.release(slot);
  }
  return taken;
}

/** Registers the suite for one implementation. */
export function adapterSuite(name: string, create: () => AdapterBench): void {
  Deno.test(`${name} receive() hands over packets in their order, each once`, () => {
    const { adapter, offer } = create();
    const arena = new Arena(16);
    assertEquals(adapter.receive(arena, NOW), 0);
    const wanted = packets(5);
    const got: Uint8Array[] = [];
    let count = 0;
    for (const packet of wanted) {
      offer(packet);
      if (adapter.capabilities.batch > 1) continue;
      count += adapter.receive(arena, NOW);
    }
    count += adapter.receive(arena, NOW);
    got.push(...takeAll(arena));
    assertEquals(got, wanted);
    assertEquals(count, wanted.length);
    assertEquals(adapter.receive(arena, NOW), 0);
    assertEquals(arena.freeCount, arena.slotCount);
  });

  Deno.test(`${name} receive() keeps packets for later when the arena is full`, () => {
    const { adapter, offer } = create();
    const arena = new Arena(1);
    const [first, second] = packets(2) as [Uint8Array, Uint8Array];
    offer(first);
    assertEquals(adapter.receive(arena, NOW), 1);
    offer(second);
    assertEquals(adapter.receive(arena, NOW), 0);
    assertEquals(takeAll(arena), [first]);
    assertEquals(adapter.receive(arena, NOW), 1);
    assertEquals(takeAll(arena), [second]);
  });

  Deno.test(`${name} send() hands the packet to the device and leaves the slot to the caller`, () => {
    const { adapter, sent } = create();
    const arena = new Arena(4);
    const wanted = packets(3);
    for (const packet of wanted) {
      const slot = slotOf(arena, packet);
      const free = arena.freeCount;
      assert(adapter.send(arena, slot, NOW));
      assertEquals(arena.freeCount, free);
      assertEquals(arena.bytes.slice(arena.at(slot), arena.at(slot) + packet.length), packet);
      arena.release(slot);
    }
    assertEquals(sent(), wanted);
  });

  Deno.test(`${name} send() says so when the device is full`, () => {
    const bench = create();
    if (bench.fill === undefined) return console.log(`skipped: ${name} has no device that refuses packets`);
    bench.fill();
    const arena = new Arena(1);
    assertEquals(bench.adapter.send(arena, slotOf(arena, packets(1)[0]!), NOW), false);
    assertEquals(bench.sent(), []);
  });

  Deno.test(`${name} capabilities stay what they are`, () => {
    const { adapter } = create();
    const before = { ...adapter.capabilities };
    assert(before.mtu >= 576 && before.batch >= 1);
    adapter.receive(new Arena(1), NOW);
    assertEquals({ ...adapter.capabilities }, before);
    adapter.close();
  });
}
