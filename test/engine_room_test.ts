/** What the engine does when more packets want to wait than there is room for. */
import { assert, assertEquals } from "@std/assert";
import {
  ARENA_SLOT_COUNT,
  FLOW_WAITING_COUNT_MAX,
  FRAGMENT_COUNT_MAX,
  FRAGMENT_DATAGRAM_COUNT_MAX,
  FRAGMENT_SLOT_COUNT_MAX,
} from "../core/base/limits.ts";
import { EngineWorld } from "./support/engine_world.ts";
import { ipv4Packet, tcpPacket, udpPacket } from "./support/packets.ts";

const HTTP = "GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n";

function syn(i: number): Uint8Array {
  return tcpPacket({ flags: "S", sequence: 100, source: `192.0.${i >> 8}.${i & 255}`, sourcePort: 50000 });
}

function piece(id: number, offset: number): Uint8Array {
  return ipv4Packet([1, 2, 3, 4, 5, 6, 7, 8], { id, offset, more: true });
}

Deno.test("Engine lets the flow that has waited longest go on without its name when a flood of SYNs waits", () => {
  const world = new EngineWorld();
  world.decider.script.wants = ["name"];
  for (let i = 0; i < 3000; i++) world.feed(syn(i));
  assertEquals(world.engine.counters.queued, ARENA_SLOT_COUNT - FLOW_WAITING_COUNT_MAX - FRAGMENT_SLOT_COUNT_MAX);
  assertEquals(world.engine.counters.droppedByName(), {});
  const last = { source: `192.0.${2999 >> 8}.${2999 & 255}`, sourcePort: 50000 };
  world.feed(tcpPacket({ ...last, flags: "PA", sequence: 101, payload: HTTP }));
  assertEquals(world.decider.seen.at(-1)!.host, "www.example.org", "the newest flow still gets its name");
  world.finish();
});

Deno.test("Engine always has room for the next packet when SYNs and fragments that never end both wait", () => {
  const world = new EngineWorld();
  world.decider.script.wants = ["name"];
  for (let i = 0; i < 4000; i++) {
    world.feed(i % 3 === 0 ? piece(i >> 4, 8 + 16 * (i & 15)) : syn(i));
    assertEquals(world.adapter.incoming.length, 0);
    assert(world.engine.arena.freeCount >= FLOW_WAITING_COUNT_MAX);
  }
  world.finish();
});

Deno.test("Engine drops what is undecided, and carries what is decided on, when too many lookups are under way", () => {
  const world = new EngineWorld();
  const decided = { sourcePort: 777, payload: "x" };
  world.feed(udpPacket(decided));
  world.decider.script.wants = ["process"];
  for (let i = 0; i < 3000; i++) world.feed(udpPacket({ sourcePort: 1000 + i, payload: "x" }));
  const waiting = ARENA_SLOT_COUNT - FLOW_WAITING_COUNT_MAX;
  assertEquals(world.engine.counters.droppedByName(), { queueFull: 3000 - waiting });
  world.feed(udpPacket(decided), piece(1, 8));
  assertEquals(world.engine.counters.delivered, 2);
  assertEquals(world.engine.counters.droppedByName(), { queueFull: 3001 - waiting });
  world.finish();
});

Deno.test("Engine gives the oldest datagram up when too many are in pieces, and keeps the newest", () => {
  const world = new EngineWorld();
  for (let id = 0; id < 2 * FRAGMENT_DATAGRAM_COUNT_MAX; id++) world.feed(piece(id, 8));
  assertEquals(world.engine.counters.droppedByName(), { fragmentTableFull: FRAGMENT_DATAGRAM_COUNT_MAX });
  const last = 2 * FRAGMENT_DATAGRAM_COUNT_MAX - 1;
  world.feed(udpFirst(last), ipv4Packet([9, 9, 9, 9, 9, 9, 9, 9], { id: last, offset: 16 }));
  assertEquals(world.engine.counters.delivered, 3);
  world.finish();
});

Deno.test("Engine drops a fragment when its datagram has as many as one may have, and the oldest when all slots are held", () => {
  const one = new EngineWorld();
  for (let i = 0; i < FRAGMENT_COUNT_MAX + 2; i++) one.feed(piece(1, 8 + 16 * i));
  assertEquals(one.engine.counters.droppedByName(), { fragmentTableFull: 2 });
  one.finish();
  const slots = new EngineWorld();
  for (let i = 0; i <= FRAGMENT_SLOT_COUNT_MAX; i++) slots.feed(piece(i >> 6, 8 + 16 * (i & 63)));
  assertEquals(slots.engine.counters.droppedByName(), { fragmentTableFull: 64 });
  slots.finish();
});

/** The first fragment, 8 bytes, of a datagram with 16 bytes of payload. */
function udpFirst(id: number): Uint8Array {
  return ipv4Packet([0x11, 0x11, 0x22, 0x22, 0, 24, 0, 0], { id, more: true });
}
