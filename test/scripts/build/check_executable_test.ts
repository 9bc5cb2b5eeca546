import { assertEquals } from "@std/assert";
import { compareAnswers, firstDifference } from "../../../scripts/build/check_executable.ts";

const GOOD = { by: "a", code: 0, json: '{"flows":[1]}', stderr: "" };

Deno.test("compareAnswers() is silent when all answers are the same", () => {
  assertEquals(compareAnswers([GOOD, { ...GOOD, by: "b" }]), []);
});

Deno.test("compareAnswers() names the place when one answer differs, and the status when one failed", () => {
  const other = { ...GOOD, by: "b", json: '{"flows":[2]}' };
  const failed = { ...GOOD, by: "c", code: 1, stderr: "Cannot read capture\n" };
  assertEquals(compareAnswers([GOOD, other, failed]), [
    'b and a differ at byte 10: "{\\"flows\\":[2]}" against "{\\"flows\\":[1]}"',
    "c: exit status 1: Cannot read capture",
  ]);
});

Deno.test("compareAnswers() complains when equal answers hold no flow", () => {
  const empty = { ...GOOD, json: '{"flows":[]}' };
  assertEquals(compareAnswers([empty, empty]), ["a: no flow was decided"]);
});

Deno.test("firstDifference() points at the end when one text is longer", () => {
  assertEquals(firstDifference("ab", "a"), 'byte 1: "ab" against "a"');
});
