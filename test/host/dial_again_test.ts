import { assertEquals } from "@std/assert";
import { addMicros, type Micros, micros, MILLISECOND_US } from "../../core/base/micros.ts";
import type { DialFailure, DialResult } from "../../core/host/dial.ts";
import { dialAgain } from "../../core/host/dial_again.ts";
import { createDuplexPair } from "../../core/host/duplex_pair.ts";

/** Time that passes only where somebody waits. */
class VirtualClock {
  readonly waits: number[] = [];
  #now: Micros = micros(0);

  now(): Micros {
    return this.#now;
  }

  pass(ms: number): void {
    this.#now = addMicros(this.#now, ms * MILLISECOND_US);
  }

  wait(ms: number): Promise<void> {
    this.waits.push(ms);
    this.pass(ms);
    return Promise.resolve();
  }
}

const PASSING: DialFailure = { failure: "refused", message: "nobody listens", isPassing: true };
const FINAL: DialFailure = { failure: "refused", message: "the destination refused" };

const cases: readonly {
  name: string;
  results: readonly DialResult[];
  takesMs?: number;
  tries: number;
  waits: readonly number[];
}[] = [
  { name: "a connection at once", results: [{ stream: createDuplexPair()[0] }], tries: 1, waits: [] },
  { name: "an error that is final", results: [FINAL], tries: 1, waits: [] },
  { name: "a final error later", results: [PASSING, PASSING, FINAL], tries: 3, waits: [10, 20] },
  {
    name: "a connection in the fourth try",
    results: [PASSING, PASSING, PASSING, { stream: createDuplexPair()[0] }],
    tries: 4,
    waits: [10, 20, 40],
  },
  {
    name: "nothing but refusals",
    results: Array<DialResult>(20).fill(PASSING),
    tries: 10,
    waits: [10, 20, 40, 80, 160, 320, 640, 1000, 1000],
  },
  {
    name: "tries that take a second each",
    results: Array<DialResult>(20).fill(PASSING),
    takesMs: 1_000,
    tries: 5,
    waits: [10, 20, 40, 80],
  },
  {
    name: "a try that takes longer than all may",
    results: Array<DialResult>(20).fill(PASSING),
    takesMs: 5_000,
    tries: 1,
    waits: [],
  },
];

for (const { name, results, takesMs, tries, waits } of cases) {
  Deno.test(`dialAgain() tries as often as it makes sense when there is ${name}`, async () => {
    const clock = new VirtualClock();
    let count = 0;
    const result = await dialAgain(
      () => {
        clock.pass(takesMs ?? 0);
        return Promise.resolve(results[count++]!);
      },
      clock,
      new AbortController().signal,
    );
    assertEquals([count, clock.waits], [tries, [...waits]]);
    assertEquals(result, results[tries - 1]);
  });
}

Deno.test("dialAgain() stops when the application gives up", async () => {
  const giveUp = new AbortController();
  let count = 0;
  const clock = {
    now: () => micros(0),
    wait: () => {
      giveUp.abort();
      return Promise.resolve();
    },
  };
  const result = await dialAgain(() => Promise.resolve((count++, PASSING)), clock, giveUp.signal);
  assertEquals([count, result], [1, PASSING]);
});
