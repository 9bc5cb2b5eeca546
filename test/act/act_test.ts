import { assert, assertEquals, assertThrows } from "@std/assert";
import { Action, actionOf } from "../../core/act/act.ts";
import { Counters } from "../../core/act/counters.ts";
import { Refuser } from "../../core/stack/refuse.ts";
import { Arena } from "../../core/adapter/arena.ts";
import { InvariantError } from "../../core/base/invariant.ts";
import { Prng } from "../../core/base/prng.ts";
import { DROP_REASON_COUNT, DROP_REASON_NAMES, DropReason } from "../../core/parse/drop_reason.ts";
import { ACKNOWLEDGMENT, DESTINATION, PacketMeta, SEQUENCE, SOURCE } from "../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../core/parse/parse.ts";
import { tcpPacket, udpPacket } from "../support/packets.ts";
import { parseOne, slotOf } from "../support/slots.ts";

Deno.test("Counters.lawHolds() holds exactly when every packet has one end", () => {
  const counters = new Counters();
  counters.receive();
  assert(counters.lawHolds());
  assertEquals(counters.queued, 1);
  counters.deliver();
  assert(counters.lawHolds());
  counters.deliver();
  assert(!counters.lawHolds(), "a packet that ends twice is noticed");
  const noReason = new Counters();
  noReason.receive();
  noReason.drop(DropReason.None);
  assert(!noReason.lawHolds(), "a drop without a reason is noticed");
});

Deno.test("Counters.droppedByName() names each reason that occurred", () => {
  const counters = new Counters();
  for (let reason = 1; reason < DROP_REASON_COUNT; reason++) {
    counters.receive();
    counters.drop(reason as DropReason);
  }
  assertEquals(Object.keys(counters.droppedByName()), DROP_REASON_NAMES.slice(1));
  assert(counters.lawHolds());
});

Deno.test("actionOf() has a column value for each verdict", () => {
  assertEquals((["direct", "proxy", "reject", "drop"] as const).map(actionOf), [
    Action.Direct,
    Action.Proxy,
    Action.Reject,
    Action.Drop,
  ]);
});

Deno.test("Arena.release() notices a slot that is given back twice", () => {
  const arena = new Arena(1);
  const slot = arena.acquire();
  arena.release(slot);
  assertThrows(() => arena.release(slot), InvariantError);
});

Deno.test("Refuser.refuse() writes sound packets in the other direction for 2,000 seeded packets", () => {
  const prng = new Prng(11);
  const refuser = new Refuser();
  for (let i = 0; i < 2_000; i++) {
    const choices = {
      ...(prng.chance(1, 2) ? { source: "2001:db8:0:0:0:0:0:1" } : {}),
      sourcePort: prng.below(65536),
      destinationPort: prng.below(65536),
      sequence: prng.uint32(),
      acknowledgment: prng.uint32(),
      flags: ["S", "SA", "A", "FA", "PA", "FS"][prng.below(6)]!,
      payload: new Array(prng.below(1500)).fill(7),
    };
    const isTcp = prng.chance(1, 2);
    const arena = new Arena(2);
    const slot = slotOf(arena, isTcp ? tcpPacket(choices) : udpPacket(choices));
    const meta = new PacketMeta();
    assertEquals(parse(arena, slot, Verify.None, meta), DropReason.None);
    const into = arena.acquire();
    assert(refuser.refuse(arena, meta, into));
    const answer = arena.bytes.slice(arena.at(into), arena.at(into) + arena.length[into]!);
    const { reason, meta: back } = parseOne(answer, { verify: Verify.All });
    assertEquals(reason, "none");
    assertEquals([...back.words.subarray(SOURCE, SOURCE + 4)], [...meta.words.subarray(DESTINATION, DESTINATION + 4)]);
    if (!isTcp) continue;
    assertEquals([back.sourcePort, back.destinationPort], [meta.destinationPort, meta.sourcePort]);
    if (choices.flags.includes("A")) assertEquals(back.words[SEQUENCE], choices.acknowledgment);
    else {
      const ends = choices.payload.length + choices.flags.length;
      assertEquals(back.words[ACKNOWLEDGMENT], (choices.sequence + ends) >>> 0);
    }
  }
});
