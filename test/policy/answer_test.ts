import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { readAnswer } from "../../core/policy/answer.ts";

Deno.test("readAnswer() takes targets and effects", () => {
  const cases: [unknown, string | undefined, number | undefined][] = [
    [undefined, undefined, undefined],
    ["DIRECT", "DIRECT", undefined],
    [" office ", "office", undefined],
    [{}, undefined, undefined],
    [{ via: undefined, duplicate: undefined }, undefined, undefined],
    [{ via: "a" }, "a", undefined],
    [{ duplicate: 2 }, undefined, 2],
    [{ via: "a", duplicate: 10 }, "a", 10],
    [Object.assign(Object.create(null), { via: "a" }), "a", undefined],
  ];
  for (const [given, via, duplicate] of cases) assertEquals(readAnswer(given), { via, duplicate });
});

Deno.test("readAnswer() says what is wrong with everything else", () => {
  const cases: [unknown, string][] = [
    [null, "expected a target's name, { via, duplicate } or undefined, found null"],
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
    [{ target: "a" }, 'there is no "target" in an answer; there are via and duplicate'],
    [{ duplicate: 0 }, "duplicate is a whole number from 1 to 10, found 0"],
    [{ duplicate: 1e9 }, "found 1000000000"],
    [{ duplicate: 1.5 }, "found 1.5"],
    [{ duplicate: "2" }, 'found "2"'],
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
      return (read.via === undefined || read.via.length <= 256) && (read.duplicate ?? 1) >= 1 &&
        (read.duplicate ?? 1) <= 10;
    }),
    { seed: 7, numRuns: 2_000 },
  );
});
