import { assertEquals } from "@std/assert";
import { type Micros, micros, NEVER } from "../../core/base/micros.ts";
import { Prng } from "../../core/base/prng.ts";
import { TimerQueue } from "../../core/base/timer_queue.ts";

Deno.test("TimerQueue gives owners in the order of their deadlines", () => {
  const queue = new TimerQueue();
  [[5, 30], [2, 10], [9, 20]].forEach(([owner, at]) => queue.set(owner!, micros(at!)));
  assertEquals(queue.next(), micros(10));
  assertEquals(queue.takeDue(micros(9)), -1);
  assertEquals([queue.takeDue(micros(25)), queue.takeDue(micros(25)), queue.takeDue(micros(25))], [2, 9, -1]);
  assertEquals([queue.next(), queue.count], [micros(30), 1]);
});

Deno.test("TimerQueue follows deadlines that move both ways, and those that go away", () => {
  const queue = new TimerQueue();
  queue.set(1, micros(10));
  queue.set(2, micros(20));
  queue.set(1, micros(30));
  assertEquals(queue.next(), micros(20));
  queue.set(1, micros(5));
  assertEquals(queue.takeDue(micros(100)), 1);
  queue.set(2, NEVER);
  assertEquals([queue.next(), queue.takeDue(micros(100))], [NEVER, -1]);
  queue.set(700, micros(7));
  queue.delete(700);
  queue.delete(5_000);
  assertEquals(queue.next(), NEVER);
});

Deno.test("TimerQueue agrees with a plain list through 50,000 seeded operations", () => {
  const queue = new TimerQueue();
  const prng = new Prng(4);
  const oracle = new Map<number, number>();
  let now = 0;
  for (let step = 0; step < 50_000; step++) {
    const owner = prng.below(300);
    const kind = prng.below(8);
    if (kind < 5) {
      const at = prng.chance(1, 10) ? NEVER : micros(now + prng.below(1_000));
      queue.set(owner, at);
      if (at === NEVER) oracle.delete(owner);
      else oracle.set(owner, at);
    } else if (kind === 5) {
      queue.delete(owner);
      oracle.delete(owner);
    } else {
      now += prng.below(50);
      const earliest = Math.min(NEVER, ...oracle.values());
      assertEquals(queue.next(), earliest as Micros);
      for (;;) {
        const due = queue.takeDue(micros(now));
        if (due < 0) break;
        assertEquals(oracle.get(due), Math.min(...oracle.values()));
        oracle.delete(due);
      }
      assertEquals([...oracle.values()].some((at) => at <= now), false);
    }
  }
});
