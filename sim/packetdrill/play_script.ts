/** The runner that `weir packetdrill` gets: scripts against weir's own stack. */
import type { PacketdrillRun } from "../../core/cli/packetdrill_result.ts";
import { runScript } from "./run_script.ts";
import { VirtualHost } from "./virtual_host.ts";

/** Runs one script against a fresh stack. The same text gives the same answer. */
export function playScript(source: string): PacketdrillRun {
  return runScript(source, (settings) => new VirtualHost(settings));
}
