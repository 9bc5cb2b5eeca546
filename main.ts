/** weir: the composition root. A command line becomes one command; this is the only file that joins core, ffi and sim. */
import { UsageError } from "./core/cli/arguments.ts";
import type { CommandIo } from "./core/cli/io.ts";
import { checkCommand } from "./core/cli/check.ts";
import { explainCommand } from "./core/cli/explain.ts";
import { filterCommand } from "./core/cli/filter.ts";
import { replayCommand, ReplaySetupError } from "./core/cli/replay.ts";
import { typesCommand } from "./core/cli/types.ts";
import { versionCommand } from "./core/cli/version.ts";
import { terminalIo } from "./core/cli/terminal_io.ts";
import { HostConfigFiles } from "./core/host/config_files.ts";
import { PolicyHost } from "./core/host/policy_host.ts";
import { resolveWithSystem } from "./core/host/system_resolver.ts";
import { openFilterPackets } from "./sim/filter_packets.ts";
import { replay } from "./sim/mod.ts";

const doors = {
  files: new HostConfigFiles(),
  loadPolicy: (path: string) => PolicyHost.load(path),
  resolve: resolveWithSystem,
  clock: () => performance.now() * 1000,
};

const USAGE = `weir COMMAND

  replay CAPTURE…  [--config F] [--policy F] [--processes F] [--mode tun|divert] [--stack netstack|system|mixed]
                   [--seed N] [--out F.pcapng] [--report F.html] [--verify-checksums] [--explain] [--json]
                   replays captures through the whole pipeline
  check            [--config F] [--policy F] [--json]
                   reads everything and reports every mistake with file:line:column
  explain          [--config F] [--policy F] key=value… [--json]
                   decides one made-up flow (host=, destinationPort=, process= …) and shows each rule tried
  filter           EXPR [CAPTURE] [--layer network] [--json]
                   checks and normalises a WinDivert filter; with a capture, counts what it matches
  types            the declarations that an editor wants for policies: weir types > weir.d.ts
  version          versions of weir, Deno and V8, and the target
`;

async function runCommand(args: readonly string[], io: CommandIo): Promise<number> {
  const [command, ...rest] = args;
  switch (command) {
    case "replay":
      return await replayCommand(rest, io, replay);
    case "check":
      return await checkCommand(rest, io, doors);
    case "explain":
      return await explainCommand(rest, io, doors);
    case "filter":
      return await filterCommand(rest, io, openFilterPackets);
    case "types":
      return typesCommand(io);
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
