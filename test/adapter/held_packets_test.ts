import { assertEquals } from "@std/assert";
import { NO_SLOT } from "../../core/adapter/arena.ts";
import { HeldPackets } from "../../core/adapter/held_packets.ts";
import { micros, NEVER } from "../../core/base/micros.ts";

Deno.test("takeDue() gives packets in the order of their due times, and nothing when none waits, even at the end of time", () => {
  const held = new HeldPackets(8);
  assertEquals(held.takeDue(NEVER), NO_SLOT);
  const slots = [30, 10, 20, 10].map((due) => {
    const slot = held.arena.acquire();
    held.hold(slot, micros(due));
    return slot;
  });
  assertEquals(held.takeDue(micros(9)), NO_SLOT);
  const taken = [1, 2, 3, 4, 5].map(() => held.takeDue(NEVER));
  assertEquals(taken, [slots[1]!, slots[3]!, slots[2]!, slots[0]!, NO_SLOT]);
  assertEquals([held.count, held.nextDue], [0, NEVER]);
});
