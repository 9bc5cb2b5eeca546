/** weir: the composition root. A command line becomes one command; this is the only file that joins core, ffi and sim. */
import { UsageError } from "./core/cli/arguments.ts";
import type { CommandIo } from "./core/cli/io.ts";
import { checkCommand } from "./core/cli/check.ts";
import { doctorCommand } from "./core/cli/doctor.ts";
import { explainCommand } from "./core/cli/explain.ts";
import { filterCommand } from "./core/cli/filter.ts";
import { packetdrillCommand } from "./core/cli/packetdrill.ts";
import { replayCommand, ReplaySetupError } from "./core/cli/replay.ts";
import { runCommand as runLive } from "./core/cli/run.ts";
import { recordCommand } from "./core/cli/record.ts";
import { simulateCommand } from "./core/cli/simulate.ts";
import { speederCommand } from "./core/cli/speeder.ts";
import { typesCommand } from "./core/cli/types.ts";
import { versionCommand } from "./core/cli/version.ts";
import { terminalIo } from "./core/cli/terminal_io.ts";
import { HostConfigFiles } from "./core/host/config_files.ts";
import type { SocketEnd } from "./core/host/duplex.ts";
import type { OpenDevice } from "./core/host/live_device.ts";
import type { MachineFacts } from "./core/host/machine_facts.ts";
import { PolicyHost } from "./core/host/policy_host.ts";
import { untilStopped } from "./core/host/stop_signal.ts";
import { resolveWithSystem } from "./core/host/system_resolver.ts";
import { findOwnSources as findWindowsSources } from "./ffi/iphlpapi/best_route.ts";
import { openNfqueue } from "./ffi/linux/nfqueue.ts";
import { findOwnSources } from "./ffi/linux/own_sources.ts";
import { examineLinux } from "./ffi/linux/examine.ts";
import { SocketResetter } from "./ffi/linux/reset_socket.ts";
import { openTun } from "./ffi/linux/tun_setup.ts";
import { driverPlaces, examineHere, openWinDivertHere, openWintunHere } from "./ffi/windows_devices.ts";
import { PcapngWriter } from "./sim/capture/write.ts";
import { openFilterPackets } from "./sim/filter_packets.ts";
import { replay } from "./sim/mod.ts";
import { playScript } from "./sim/packetdrill/play_script.ts";
import { simulate } from "./sim/world/simulate.ts";

const doors = {
  files: new HostConfigFiles(),
  loadPolicy: (path: string) => PolicyHost.load(path),
  resolve: resolveWithSystem,
  clock: () => performance.now() * 1000,
};

/** Where Windows' drivers may be; `deno task compile --with-drivers` puts them into the executable. */
const places = () => driverPlaces(new URL("./dist/drivers/", import.meta.url));

/** The devices of each system that divert what passes, and all of them, by the word after --adapter. */
const divertDevices: Readonly<Record<string, OpenDevice>> = Deno.build.os === "linux"
  ? { nfqueue: openNfqueue }
  : Deno.build.os === "windows"
  ? { windivert: (settings) => openWinDivertHere(settings, places()) }
  : {};
const devices: Readonly<Record<string, OpenDevice>> = Deno.build.os === "linux"
  ? { tun: openTun, ...divertDevices }
  : Deno.build.os === "windows"
  ? { wintun: (settings) => openWintunHere(settings, places()), ...divertDevices }
  : {};
let resetter: SocketResetter | undefined;

/** Opens the C library when the first connection has to be reset, not before. */
function resetSocket(local: SocketEnd, remote: SocketEnd): boolean {
  resetter ??= new SocketResetter();
  return resetter.reset(local, remote);
}

const runDoors = {
  files: doors.files,
  loadPolicy: doors.loadPolicy,
  resolve: resolveWithSystem,
  // Devices know the owners of their flows; one that does not leaves rules for processes without a match.
  findProcess: () => Promise.resolve(undefined),
  devices,
  findOwnSources: Deno.build.os === "windows" ? findWindowsSources : findOwnSources,
  resetSocket: Deno.build.os === "linux" ? resetSocket : undefined,
  uint32: () => crypto.getRandomValues(new Uint32Array(1))[0]!,
  untilStopped,
};

/** What this machine has for running live. */
async function examine(): Promise<MachineFacts> {
  if (Deno.build.os === "linux") return examineLinux();
  if (Deno.build.os !== "windows") return { kind: "other", system: Deno.build.os };
  return await examineHere(places());
}

const recordDoors = {
  ...runDoors,
  createWriter: (sink: (bytes: Uint8Array) => void) => new PcapngWriter(sink, { application: "weir record" }),
  divertDevices: ["nfqueue", "windivert"],
};

const USAGE = `weir COMMAND

  replay CAPTURE…  [--config F] [--policy F] [--processes F] [--mode tun|divert] [--stack netstack|system|mixed]
                   [--seed N] [--out F.pcapng] [--report F.html] [--verify-checksums] [--explain] [--json]
                   replays captures through the whole pipeline
  run              [--config F] [--policy F] [--adapter tun|nfqueue] [--device weir0] [--address A/N,…] [--route A/N,…] [--mtu N]
                   [--stack netstack|system|mixed]
                   live: flows from a TUN device end in weir's own TCP/IP stack, or TCP in the system's, and go on through the system's sockets
  speeder          [--adapter nfqueue] [--filter EXPR] [--multiplicity N] [--ceiling RATE] [--adaptive] [--netns NAME]
                   sends each packet that leaves more than once, against loss on the path
  check            [--config F] [--policy F] [--json]
                   reads everything and reports every mistake with file:line:column
  explain          [--config F] [--policy F] (key=value… | --filter) [--json]
                   decides one made-up flow (host=, destinationPort=, process= …) and shows each rule tried
  record           --out F.pcapng [--adapter nfqueue|windivert|tun] [--filter EXPR] [--count N] [--seconds N] [--netns NAME]
                   writes live traffic with its processes into a capture that weir replay reads; diverted packets go on untouched
  filter           EXPR [CAPTURE] [--layer network] [--json]
                   checks and normalises a WinDivert filter; with a capture, counts what it matches
  simulate         [--seed N] [--runs N] [--json]
                   runs seeded random worlds against the TCP/IP stack and checks the invariants
  packetdrill      FILE|DIR… [--json]
                   runs packetdrill scripts against the TCP/IP stack
  doctor           [--json]
                   says what this machine lacks to run live, and how to mend it
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
    case "run":
      return await runLive(rest, io, runDoors);
    case "speeder":
      return await speederCommand(rest, io, { ...runDoors, devices: divertDevices });
    case "record":
      return await recordCommand(rest, io, recordDoors);
    case "packetdrill":
      return await packetdrillCommand(rest, io, playScript);
    case "simulate":
      return simulateCommand(rest, io, simulate);
    case "doctor":
      return await doctorCommand(rest, io, { examine });
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
