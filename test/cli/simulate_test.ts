import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { UsageError } from "../../core/cli/arguments.ts";
import { type Simulate, simulateCommand, type SimulateRequest } from "../../core/cli/simulate.ts";
import { simulate } from "../../sim/world/simulate.ts";
import { runSeed } from "../../sim/world/scenario_run.ts";

/** Runs the command; what it wrote comes back. */
function run(args: string[], how: Simulate): { status: number; out: string; err: string } {
  const wrote = { out: "", err: "" };
  const io = {
    out: (text: string) => void (wrote.out += text),
    err: (text: string) => void (wrote.err += text),
    color: false,
    isTerminal: false,
    columns: 80,
  };
  return { status: simulateCommand(args, io, how), ...wrote };
}

/** A simulation in which the second run breaks something. */
const broken: Simulate = ({ seed, runs, onFailure, onRun }: SimulateRequest) => {
  onRun?.({ done: 1, steps: 10, connections: 2, bytes: 300 });
  onFailure?.({ seed: seed + 1, invariant: "window", step: 7, message: "too much\u001b", trace: ["one", "two"] });
  onRun?.({ done: 2, steps: 7, connections: 1, bytes: 0 });
  const failed = [{ seed: seed + 1, invariant: "window", step: 7 }];
  return { schema: "weir.simulate/1", runs, failed, digest: "0123456789abcdef" };
};

Deno.test("simulateCommand() prints the seed first, and what came of all runs last", () => {
  const { status, out, err } = run(["--seed", "5", "--runs", "3"], simulate);
  assertEquals([status, err], [0, ""]);
  const lines = out.trimEnd().split("\n");
  assertEquals(lines[0], "seed 5");
  assertMatch(lines[1]!, /^3 runs, none failed: \d+ connections, .* delivered, .* steps$/);
  assertMatch(lines[2]!, /^digest [0-9a-f]{16}$/);
  assertEquals(lines.length, 3);
});

Deno.test("simulateCommand() prints the documented JSON and nothing else with --json", () => {
  const { status, out, err } = run(["--seed", "5", "--runs", "2", "--json"], simulate);
  assertEquals([status, err], [0, "seed 5\n"]);
  const result = JSON.parse(out);
  assertEquals(Object.keys(result), ["schema", "runs", "failed", "digest"]);
  assertEquals([result.schema, result.runs, result.failed], ["weir.simulate/1", 2, []]);
  assertEquals(JSON.parse(run(["--seed", "5", "--runs", "2", "--json"], simulate).out), result);
  assert(JSON.parse(run(["--seed", "6", "--runs", "2", "--json"], simulate).out).digest !== result.digest);
});

Deno.test("simulateCommand() says what broke, how to see it again, and ends with status 1", () => {
  const { status, out, err } = run(["--seed", "8", "--runs", "2"], broken);
  assertEquals(status, 1);
  assertMatch(
    err,
    /^seed 9 broke "window" at step 7: too much.+\n {2}one\n {2}two\n {2}again: weir simulate --seed 9 --runs 1\n$/,
  );
  assert(!err.includes("\u001b"));
  assertMatch(
    out,
    /^seed 8\n2 runs, 1 failed: 3 connections, 300 B delivered, 17 steps\n {2}seed 9: window at step 7\ndigest 0123456789abcdef\n$/,
  );
  const json = JSON.parse(run(["--seed", "8", "--runs", "2", "--json"], broken).out);
  assertEquals(json.failed, [{ seed: 9, invariant: "window", step: 7 }]);
});

Deno.test("simulateCommand() draws a seed when none is given, and prints it", () => {
  const { out } = run(["--runs", "0"], simulate);
  assertMatch(out, /^seed \d+\n0 runs, none failed/);
});

Deno.test("simulateCommand() refuses what it does not understand", () => {
  for (const args of [["file"], ["--seed", "x"], ["--seed", "4294967296"], ["--runs", "-1"], ["--sed", "1"]]) {
    assertThrows(() => run(args, simulate), UsageError);
  }
});

Deno.test("simulate() plays a later run of a series as the first of its own seed", () => {
  const steps: number[] = [];
  simulate({ seed: 0xffff_ffff, runs: 2, onRun: (run) => steps.push(run.steps) });
  assertEquals(steps, [runSeed(0xffff_ffff).steps, runSeed(0).steps]);
});
