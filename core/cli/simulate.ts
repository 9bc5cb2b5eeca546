/** `weir simulate`: runs seeded random worlds against the stack and says which of them broke what must always hold. */
import { SIMULATE_RUNS_MAX } from "../base/limits.ts";
import { parseCommandLine, UsageError } from "./arguments.ts";
import type { CommandIo } from "./io.ts";
import { countOf, formatBytes, formatCount } from "./report/format.ts";
import { visible } from "./report/visible.ts";

/** One run that broke something, in full. */
export interface SimulateFailure {
  readonly seed: number;
  /** The name of what must always hold. */
  readonly invariant: string;
  /** Events that had happened by then. */
  readonly step: number;
  readonly message: string;
  /** The last packets in words, the oldest first. */
  readonly trace: readonly string[];
}

/** What is asked for. */
export interface SimulateRequest {
  /** The seed of the first run; the others follow by ones. Units: 32 bits. */
  readonly seed: number;
  readonly runs: number;
  readonly onFailure?: (failure: SimulateFailure) => void;
  readonly onRun?: (run: { done: number; steps: number; connections: number; bytes: number }) => void;
}

/** The command's JSON: schema `weir.simulate/1`. */
export interface SimulateResult {
  readonly schema: "weir.simulate/1";
  readonly runs: number;
  readonly failed: { seed: number; invariant: string; step: number }[];
  /** Of everything that happened in all runs: the same seed gives the same one. */
  readonly digest: string;
}

/** Runs simulations; `sim/` fills this. */
export type Simulate = (request: SimulateRequest) => SimulateResult;

const OPTIONS = { flags: ["json"], values: ["seed", "runs"] } as const;

const SEED_MAX = 0xffff_ffff;
const RUNS_USUAL = 100;

/** Failures that are told in full. */
const TOLD_MAX = 3;

/** Packets of a failure's trace that are shown. */
const TRACE_LINES_MAX = 20;

const REDRAW_MS = 200;

/** One line that says how far the work is, redrawn in place; nothing unless standard error is a terminal. */
class RunProgress {
  readonly #io: CommandIo;
  readonly #runs: number;
  #drawnMs = 0;

  constructor(io: CommandIo, runs: number) {
    this.#io = io;
    this.#runs = runs;
  }

  update(done: number, failed: number): void {
    const now = performance.now();
    if (!this.#io.isTerminal || now - this.#drawnMs < REDRAW_MS) return;
    this.#drawnMs = now;
    this.#io.err(`\r${formatCount(done)} of ${countOf(this.#runs, "run")}, ${formatCount(failed)} failed\x1b[K`);
  }

  clear(): void {
    if (this.#io.isTerminal) this.#io.err("\r\x1b[K");
  }
}

function tell(failure: SimulateFailure, io: CommandIo): void {
  const { seed, invariant, step, message, trace } = failure;
  io.err(`seed ${seed} broke "${invariant}" at step ${step}: ${visible(message)}\n`);
  for (const line of trace.slice(-TRACE_LINES_MAX)) io.err(`  ${line}\n`);
  io.err(`  again: weir simulate --seed ${seed} --runs 1\n`);
}

/** Runs `weir simulate`. Exit status 1 when a run failed. */
export function simulateCommand(args: readonly string[], io: CommandIo, simulate: Simulate): number {
  const line = parseCommandLine(args, OPTIONS);
  if (line.positionals.length > 0) {
    throw new UsageError(`Cannot simulate ${line.positionals[0]}: only --seed, --runs and --json are understood`);
  }
  const seed = line.wholeNumber("seed", SEED_MAX, drawSeed());
  const runs = line.wholeNumber("runs", SIMULATE_RUNS_MAX, RUNS_USUAL);
  const json = line.flag("json");
  // The seed comes first, so that also a run that is killed can be repeated.
  const say = (text: string) => json ? io.err(text) : io.out(text);
  say(`seed ${seed}\n`);
  const progress = new RunProgress(io, runs);
  const totals = { failed: 0, steps: 0, connections: 0, bytes: 0 };
  const result = simulate({
    seed,
    runs,
    onFailure: (failure) => {
      progress.clear();
      if (totals.failed++ < TOLD_MAX) tell(failure, io);
    },
    onRun: ({ done, steps, connections, bytes }) => {
      totals.steps += steps;
      totals.connections += connections;
      totals.bytes += bytes;
      progress.update(done, totals.failed);
    },
  });
  progress.clear();
  if (json) io.out(`${JSON.stringify(result, null, 2)}\n`);
  else io.out(summaryOf(result, totals));
  return totals.failed === 0 ? 0 : 1;
}

function summaryOf(
  result: SimulateResult,
  totals: { failed: number; steps: number; connections: number; bytes: number },
): string {
  const seeds = result.failed.map(({ seed, invariant, step }) => `  seed ${seed}: ${invariant} at step ${step}\n`).join(
    "",
  );
  const verdict = totals.failed === 0 ? "none failed" : `${formatCount(totals.failed)} failed`;
  return `${countOf(result.runs, "run")}, ${verdict}: ${countOf(totals.connections, "connection")}, ${
    formatBytes(totals.bytes)
  } delivered, ${countOf(totals.steps, "step")}\n${seeds}digest ${result.digest}\n`;
}

/** A seed for a run that nobody chose one for: it is printed, so that the run can be repeated. */
function drawSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}
