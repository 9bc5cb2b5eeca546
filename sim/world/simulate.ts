/** Many runs with consecutive seeds: what `weir simulate` does. */
import { SIMULATE_FAILURES_MAX } from "../../core/base/limits.ts";
import type { SimulateRequest, SimulateResult } from "../../core/cli/simulate.ts";
import { Digest } from "./digest.ts";
import { runSeed } from "./scenario_run.ts";

/** Plays `runs` runs, the first with the seed, each further one with the next; a run that failed is the first run of its own seed. */
export function simulate(request: SimulateRequest): SimulateResult {
  const failed: SimulateResult["failed"] = [];
  const digest = new Digest();
  for (let i = 0; i < request.runs; i++) {
    const seed = (request.seed + i) >>> 0;
    const result = runSeed(seed);
    digest.addText(result.digest);
    const { failure, steps, connections, bytes, trace } = result;
    if (failure !== undefined) {
      if (failed.length < SIMULATE_FAILURES_MAX) {
        failed.push({ seed, invariant: failure.invariant, step: failure.step });
      }
      request.onFailure?.({ seed, ...failure, trace });
    }
    request.onRun?.({ done: i + 1, steps, connections, bytes });
  }
  return { schema: "weir.simulate/1", runs: request.runs, failed, digest: digest.toString() };
}
