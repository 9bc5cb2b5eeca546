import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { PROGRAM_STEPS_MAX } from "../../core/base/limits.ts";
import { readSteps } from "../../core/decide/program_steps.ts";
import { type ReadAnswer, readAnswer } from "../../core/policy/answer.ts";

Deno.test("readAnswer() takes targets and effects", () => {
  const cases: [unknown, ReadAnswer["via"], ReadAnswer["program"]][] = [
    [undefined, undefined, undefined],
    ["DIRECT", "DIRECT", undefined],
    [" office ", "office", undefined],
    [{}, undefined, undefined],
    [{ via: undefined, duplicate: undefined, program: undefined }, undefined, undefined],
    [{ via: "a" }, "a", undefined],
    [{ duplicate: 2 }, undefined, [{ duplicate: 2 }]],
    [{ via: "a", duplicate: 10 }, "a", [{ duplicate: 10 }]],
    [{ program: " twice " }, undefined, "twice"],
    [{ program: { delay: 20 }, via: "a" }, "a", [{ delay: "20000us" }]],
    [{ program: [{ drop: true, probability: "5%" }] }, undefined, [{ drop: true, probability: 0.05 }]],
    [Object.assign(Object.create(null), { via: "a" }), "a", undefined],
  ];
  for (const [given, via, program] of cases) assertEquals(readAnswer(given), { via, program });
});

Deno.test("readAnswer() says what is wrong with everything else", () => {
  const cases: [unknown, string][] = [
    [null, "expected a target's name, { via, program, duplicate, … } or undefined, found null"],
    [5, "found 5"],
    [NaN, "found NaN"],
    [true, "found true"],
    [Symbol("x"), "found a symbol"],
    [() => 1, "found a function"],
    [5n, "found a bigint"],
    [["DIRECT"], "found a list"],
    ["", "the name of the target is empty"],
    ["a\nb", 'no target can be called "a\\nb"'],
    ["x".repeat(300), "no target can be called a text of 300 characters"],
    [{ via: 5 }, "via is the name of a target, found 5"],
    [{ via: null }, "found null"],
    [
      { target: "a" },
      'there is no "target" in an answer; there are via, program, when, probability, duplicate, ceiling, adaptive, drop, delay, jitter, reorder, throttle, corrupt',
    ],
    [{ duplicate: 0 }, "duplicate: expected a whole number from 1 to 10, found 0"],
    [{ duplicate: 1e9 }, "found 1000000000"],
    [{ duplicate: 1.5 }, "found 1.5"],
    [{ duplicate: "2" }, 'found "2"'],
    [{ program: 5 }, "program is the name of a packet program, a step or a list of steps, found 5"],
    [{ program: "a,b" }, 'no packet program can be called "a,b"'],
    [
      { program: [{ delay: "20" }] },
      'program[0].delay: expected a time from 0 to 10 s like "20ms", or a number of milliseconds, found "20"',
    ],
    [{ program: "a", drop: true }, "an answer has either a program or the keys of one step, not both"],
    [{ ceiling: 5 }, "ceiling and adaptive belong to duplicate, which is missing"],
  ];
  for (const [given, message] of cases) {
    const read = readAnswer(given);
    assertEquals(
      typeof read === "string" && read.endsWith(message),
      true,
      `${String(message)}: ${JSON.stringify(read)}`,
    );
  }
});

Deno.test("readAnswer() gives one outcome for anything", () => {
  fc.assert(
    fc.property(fc.anything({ withBigInt: true, withNullPrototype: true, withTypedArray: true }), (given) => {
      const read = readAnswer(given);
      if (typeof read === "string") return read.length > 0 && read.length < 300;
      const steps = read.program === undefined || typeof read.program === "string" ? [] : read.program;
      return (read.via === undefined || read.via.length <= 256) && steps.length <= PROGRAM_STEPS_MAX &&
        Array.isArray(readSteps(steps));
    }),
    { seed: 7, numRuns: 2_000 },
  );
});
