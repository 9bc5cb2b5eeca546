/** weir: the composition root. A command line becomes one command; this is the only file that joins core, ffi and sim. */
import { UsageError } from "./core/cli/arguments.ts";
import type { CommandIo } from "./core/cli/io.ts";
import { replayCommand, ReplaySetupError } from "./core/cli/replay.ts";
import { versionCommand } from "./core/cli/version.ts";
import { terminalIo } from "./core/cli/terminal_io.ts";
import { replay } from "./sim/mod.ts";

const USAGE = `weir COMMAND

  replay CAPTURE…  [--config F] [--policy F] [--processes F] [--mode tun|divert] [--stack netstack|system|mixed]
                   [--seed N] [--out F.pcapng] [--report F.html] [--verify-checksums] [--explain] [--json]
                   replays captures through the whole pipeline
  version          versions of weir, Deno and V8, and the target
`;

async function runCommand(args: readonly string[], io: CommandIo): Promise<number> {
  const [command, ...rest] = args;
  switch (command) {
    case "replay":
      return await replayCommand(rest, io, replay);
    case "version":
    case "--version":
      return versionCommand(io);
    case undefined:
    case "help":
    case "--help":
    case "-h":
      io.out(USAGE);
      return command === undefined ? 2 : 0;
    default:
      throw new UsageError(`Cannot run ${command}: weir has no such command; "weir help" lists them`);
  }
}

/** Runs one command; the answer is the exit status. */
export async function main(args: readonly string[], io: CommandIo): Promise<number> {
  try {
    return await runCommand(args, io);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    io.err(error instanceof ReplaySetupError ? `${error.message}\n` : `weir: ${error.message}\n`);
    return error instanceof UsageError || error instanceof ReplaySetupError ? 2 : 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args, terminalIo()));
