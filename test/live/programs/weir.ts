/** `weir run` as main.ts joins it, for live tests: the adapter may stand behind a bad path. */
import { runCommand } from "../../../core/cli/run.ts";
import { terminalIo } from "../../../core/cli/terminal_io.ts";
import { HostConfigFiles } from "../../../core/host/config_files.ts";
import { PolicyHost } from "../../../core/host/policy_host.ts";
import { untilStopped } from "../../../core/host/stop_signal.ts";
import { resolveWithSystem } from "../../../core/host/system_resolver.ts";
import { findOwnSources } from "../../../ffi/linux/own_sources.ts";
import { openTun } from "../../../ffi/linux/tun_setup.ts";
import { SocketResetter } from "../../../ffi/linux/reset_socket.ts";
import { openFaultyTun } from "./faulty_tun.ts";

const resetter = new SocketResetter();
try {
  Deno.exitCode = await runCommand(Deno.args, terminalIo(), {
    files: new HostConfigFiles(),
    loadPolicy: (path) => PolicyHost.load(path),
    resolve: resolveWithSystem,
    findProcess: () => Promise.resolve(undefined),
    devices: { tun: openTun, faulty: openFaultyTun },
    findOwnSources,
    resetSocket: (local, remote) => resetter.reset(local, remote),
    uint32: () => crypto.getRandomValues(new Uint32Array(1))[0]!,
    untilStopped,
  });
  // With WEIR_DRAINS the program ends only when no socket and no timer of its own holds it any more.
  if (Deno.env.get("WEIR_DRAINS") === undefined) Deno.exit();
} catch (error) {
  console.error(`weir: ${error instanceof Error ? error.message : error}`);
  Deno.exit(1);
}
