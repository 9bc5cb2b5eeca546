/** Tags that are good once. */
import { assertEquals } from "@std/assert";
import { NO_TAG } from "../../../core/adapter/arena.ts";
import { QueueRecords } from "../../../ffi/linux/nfqueue_records.ts";

Deno.test("QueueRecords finds a packet by its tag until it is removed, and never another one", () => {
  const records = new QueueRecords(3);
  const stale = new Set<number>([-1, 0, 1, 2]);
  for (let round = 0; round < 70_000; round++) {
    const tag = records.add(round, 1 + round % 2);
    const record = records.find(tag);
    assertEquals([records.packetId(record), records.way(record)], [round, 1 + round % 2]);
    if (round < 50) { for (const old of stale) assertEquals(records.find(old), -1); }
    records.remove(record);
    assertEquals(records.find(tag), -1);
    if (round < 50) stale.add(tag);
  }
});

Deno.test("QueueRecords has no room when all places are taken", () => {
  const records = new QueueRecords(2);
  const first = records.add(1, 1);
  records.add(2, 1);
  assertEquals(records.add(3, 1), NO_TAG);
  records.remove(records.find(first));
  assertEquals(records.packetId(records.find(records.add(3, 1))), 3);
  assertEquals(new QueueRecords(0).find(5), -1);
});
