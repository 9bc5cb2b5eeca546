/** `weir replay`: captures through the whole pipeline, and what came of it as a table, as JSON, as packets, as a page. */
import { formatIssue, type Issue } from "../config/issue.ts";
import { parseCommandLine, UsageError } from "./arguments.ts";
import type { CommandIo } from "./io.ts";
import type { ReplayResult } from "./replay_result.ts";
import { renderReport } from "./report/html.ts";
import { Progress } from "./report/progress.ts";
import { renderReplay } from "./report/terminal.ts";
import { visible } from "./report/visible.ts";

/** What a replay is asked for. */
export interface ReplayRequest {
  readonly captures: readonly string[];
  readonly config?: string | undefined;
  readonly policy?: string | undefined;
  readonly processes?: string | undefined;
  readonly mode?: "tun" | "divert" | undefined;
  /** "netstack" plays every proxied TCP flow against weir's own stack as well; the others rewrite TCP to the system's stack and back. */
  readonly stack?: "netstack" | "system" | "mixed" | undefined;
  /** Units: 32 bits. */
  readonly seed?: number | undefined;
  readonly explain?: boolean | undefined;
  readonly verifyChecksums?: boolean | undefined;
  /** Takes the output capture's bytes, which are overwritten after the call. */
  readonly output?: ((bytes: Uint8Array) => void) | undefined;
  readonly onProgress?: ((path: string, bytesRead: number, bytesTotal: number, packets: number) => void) | undefined;
  /** Hears of warnings, and of what a policy does wrong while it runs. */
  readonly onIssue?: ((issue: Issue) => void) | undefined;
}

/** Runs a replay; `sim/` fills this. Errors: `ReplaySetupError` with every issue when configuration, policy or processes are unusable. */
export type Replay = (request: ReplayRequest) => Promise<ReplayResult>;

/** Configuration, policy or processes cannot be used; nothing was replayed. Exit status 2. */
export class ReplaySetupError extends Error {
  override name = "ReplaySetupError";
  readonly issues: readonly Issue[];

  constructor(issues: readonly Issue[]) {
    const errors = issues.filter((issue) => issue.severity === "error");
    super(errors.map(formatIssue).join("\n"));
    this.issues = issues;
  }
}

const OPTIONS = {
  flags: ["explain", "json", "verify-checksums"],
  values: ["config", "policy", "processes", "mode", "stack", "seed", "out", "report"],
} as const;

const MODES = ["tun", "divert"] as const;
const STACKS = ["netstack", "system", "mixed"] as const;
const SEED_MAX = 0xffff_ffff;

/** A file that is made while or after the replay runs; opened before it starts, so that a mistake costs nothing. */
export class OutputFile {
  readonly path: string;
  readonly #file: Deno.FsFile;
  /** The first thing that went wrong in writing. */
  failure: Error | undefined = undefined;

  private constructor(path: string, file: Deno.FsFile) {
    this.path = path;
    this.#file = file;
  }

  /** Errors: one sentence that names the file. An existing file is emptied only by `begin`. */
  static async open(path: string, inputs: readonly string[]): Promise<OutputFile> {
    const real = await Deno.realPath(path).catch(() => undefined);
    for (const input of inputs) {
      if (real !== undefined && real === await Deno.realPath(input).catch(() => "")) {
        throw new UsageError(`Cannot write ${path}: it is one of the captures`);
      }
    }
    try {
      return new OutputFile(path, await Deno.open(path, { write: true, create: true }));
    } catch (error) {
      throw new Error(`Cannot write ${path}: ${reasonOf(error)}`);
    }
  }

  /** Empties the file; a pipe or a device has nothing to empty. */
  begin(): void {
    this.#try(() => {
      if (this.#file.statSync().isFile) this.#file.truncateSync(0);
    });
  }

  /** Writes all of `bytes`, unless something went wrong before. */
  readonly write = (bytes: Uint8Array): void => {
    this.#try(() => {
      for (let at = 0; at < bytes.length;) at += this.#file.writeSync(bytes.subarray(at));
    });
  };

  #try(work: () => void): void {
    if (this.failure !== undefined) return;
    try {
      work();
    } catch (error) {
      this.failure = new Error(`Cannot write ${this.path}: ${reasonOf(error)}`);
    }
  }

  close(): void {
    this.#file.close();
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "the folder does not exist";
  if (error instanceof Deno.errors.PermissionDenied) return "permission is denied";
  if (error instanceof Deno.errors.IsADirectory) return "it is a directory";
  return error instanceof Error ? error.message : String(error);
}

/** Runs `weir replay`. Exit status 1 when a capture is damaged or an output could not be written: everything else is still shown. */
export async function replayCommand(args: readonly string[], io: CommandIo, replay: Replay): Promise<number> {
  const line = parseCommandLine(args, OPTIONS);
  if (line.positionals.length === 0) throw new UsageError("Cannot replay nothing: name at least one capture file");
  const outPath = line.value("out");
  const reportPath = line.value("report");
  const out = outPath === undefined ? undefined : await OutputFile.open(outPath, line.positionals);
  const report = reportPath === undefined ? undefined : await OutputFile.open(reportPath, line.positionals);
  const progress = new ReplayProgress(io);
  let result: ReplayResult;
  try {
    out?.begin();
    result = await replay({
      captures: line.positionals,
      config: line.value("config"),
      policy: line.value("policy"),
      processes: line.value("processes"),
      mode: line.choice("mode", MODES, "tun"),
      // Flows are played against the stack only when it is asked for by name.
      stack: line.value("stack") === undefined ? undefined : line.choice("stack", STACKS, "netstack"),
      seed: line.wholeNumber("seed", SEED_MAX, 1),
      explain: line.flag("explain"),
      verifyChecksums: line.flag("verify-checksums"),
      output: out?.write,
      onProgress: (path, read, total, packets) => progress.update(path, read, total, packets),
      onIssue: (issue) => progress.around(() => io.err(`${visible(formatIssue(issue))}\n`)),
    });
  } finally {
    progress.done();
    out?.close();
  }
  if (report !== undefined) {
    report.begin();
    report.write(new TextEncoder().encode(renderReport(result, { title: line.positionals.join(", ") })));
    report.close();
  }
  if (line.flag("json")) io.out(`${JSON.stringify(result, null, 2)}\n`);
  else io.out(renderReplay(result, { columns: io.columns, color: io.color, explain: line.flag("explain") }));
  return reportFailures(result, [out, report], io);
}

function reportFailures(result: ReplayResult, outputs: readonly (OutputFile | undefined)[], io: CommandIo): number {
  let status = 0;
  for (const capture of result.captures) {
    if (capture.error === null) continue;
    status = 1;
    io.err(`weir replay: ${visible(capture.error.message)}\n`);
  }
  for (const output of outputs) {
    if (output?.failure === undefined) continue;
    status = 1;
    io.err(`weir replay: ${visible(output.failure.message)}\n`);
  }
  return status;
}

/** One progress bar for each capture. */
class ReplayProgress {
  readonly #io: CommandIo;
  #path = "";
  #progress: Progress | undefined = undefined;

  constructor(io: CommandIo) {
    this.#io = io;
  }

  update(path: string, bytesRead: number, bytesTotal: number, packets: number): void {
    const now = performance.now();
    if (path !== this.#path || this.#progress === undefined) {
      this.#progress?.done();
      this.#path = path;
      const { isTerminal, columns } = this.#io;
      const write = (text: string) => this.#io.err(text);
      this.#progress = new Progress({ isTerminal, columns, write }, bytesTotal, now);
    }
    this.#progress.update(bytesRead, packets, now);
  }

  /** Takes the bar away while something else is written. */
  around(write: () => void): void {
    this.#progress?.done();
    this.#progress = undefined;
    write();
  }

  done(): void {
    this.#progress?.done();
  }
}
