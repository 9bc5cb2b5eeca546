import { assert, assertEquals } from "@std/assert";
import { runTransfer, type TransferPlan } from "../../../sim/speeder/transfer.ts";

const PLAN: TransferPlan = {
  seed: 3,
  bytes: 500_000,
  lossPpm: 0,
  isBursty: false,
  rateBps: 100_000_000,
  oneWayUs: 25_000,
  queuePackets: 400,
  multiplicity: 1,
  isAdaptive: false,
  timeLimitUs: 120_000_000,
};

Deno.test("runTransfer() gives the same result for the same plan", () => {
  const plan = { ...PLAN, lossPpm: 100_000, multiplicity: 2 };
  assertEquals(runTransfer(plan), runTransfer(plan));
});

Deno.test("runTransfer() transfers every byte, copied or not, and counts what the wire carries", () => {
  const plain = runTransfer(PLAN);
  assertEquals([plain.isComplete, plain.receivedBytes, plain.counts.copies], [true, 500_000, 0]);
  assert(plain.wireBytes > 500_000 && plain.wireBytes < 600_000, String(plain.wireBytes));
  for (const multiplicity of [2, 3, 10]) {
    const copied = runTransfer({ ...PLAN, multiplicity });
    assertEquals([copied.isComplete, copied.receivedBytes], [true, 500_000]);
    assertEquals(copied.counts.copies * multiplicity, copied.wirePackets * (multiplicity - 1), "each has its copies");
  }
});

Deno.test("runTransfer() is faster with copies where a tenth of the packets is lost", () => {
  for (const seed of [1, 2, 3]) {
    const path = { ...PLAN, seed, lossPpm: 100_000 };
    const [plain, twice, adaptive] = [
      runTransfer(path),
      runTransfer({ ...path, multiplicity: 2 }),
      runTransfer({ ...path, multiplicity: 2, isAdaptive: true }),
    ];
    for (const copied of [twice, adaptive]) {
      assertEquals(copied.receivedBytes, 500_000);
      assert(copied.goodputBps > 2 * plain.goodputBps, `${copied.goodputBps} after ${plain.goodputBps}`);
    }
  }
});

Deno.test("runTransfer() makes no copies in adaptive mode while nothing is lost", () => {
  const { isComplete, counts, wireBytes } = runTransfer({ ...PLAN, multiplicity: 2, isAdaptive: true });
  assertEquals([isComplete, counts.copies], [true, 0]);
  assert(counts.quiet > 300 && wireBytes < 600_000);
});

Deno.test("runTransfer() keeps copies under the ceiling", () => {
  const free = runTransfer({ ...PLAN, lossPpm: 50_000, multiplicity: 3 });
  const bound = runTransfer({ ...PLAN, lossPpm: 50_000, multiplicity: 3, ceiling: "1mbit" });
  assertEquals(bound.isComplete, true);
  assert(bound.counts.copiesUnmade > 0);
  const copiedBytes = bound.wireBytes * bound.counts.copies / bound.wirePackets;
  assert(copiedBytes < 125_000 * bound.elapsedUs / 1e6 + 125_000, `${copiedBytes} bytes of copies`);
  assert(bound.counts.copies < free.counts.copies);
});

Deno.test("runTransfer() ends at its time limit over a path that carries nothing", () => {
  const { isComplete, receivedBytes, elapsedUs } = runTransfer({ ...PLAN, lossPpm: 999_999, timeLimitUs: 5_000_000 });
  assertEquals([isComplete, receivedBytes, elapsedUs], [false, 0, 5_000_000]);
});
