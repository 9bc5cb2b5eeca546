/**
 * The simulator's border, for people who test their network policy with `deno test`:
 *
 * ```ts
 * import { replay } from "./sim/mod.ts";
 *
 * const result = await replay({ captures: ["test/captures/demo.pcapng"], policy: "scripts/policies/demo.ts" });
 * console.log(result.flows.map((flow) => `${flow.metadata.host} ${flow.chains.join(" < ")}`));
 * ```
 */
import { CONFIG_BYTES_MAX } from "../core/base/limits.ts";
import { type ReplayRequest, ReplaySetupError } from "../core/cli/replay.ts";
import type { ReplayResult } from "../core/cli/replay_result.ts";
import { loadConfigured } from "../core/cli/configured.ts";
import { askPolicyOf } from "../core/cli/run_policy.ts";
import { ConfigFileError, type Issue } from "../core/config/load.ts";
import { namePolicyOf, sniffOptionsOf } from "../core/config/sniffing.ts";
import { HostConfigFiles } from "../core/host/config_files.ts";
import { PolicyHost } from "../core/host/policy_host.ts";
import { createQuicCrypto } from "../core/host/quic_crypto.ts";
import { Verify } from "../core/parse/parse.ts";
import { openCapture } from "./capture/open.ts";
import { parseProcesses, type ProcessTable } from "./processes.ts";
import { runReplay } from "./replay/run_replay.ts";

export type { ReplayRequest, ReplayResult };
export type { ReplayCapture, ReplayCounters, ReplayFlow, ReplayRule } from "../core/cli/replay_result.ts";
export { ReplaySetupError };

/** Reads the side file of processes, with every mistake in it. */
async function readProcesses(path: string, files: HostConfigFiles, issues: Issue[]): Promise<ProcessTable | undefined> {
  try {
    const text = new TextDecoder().decode(await files.read(path, CONFIG_BYTES_MAX));
    const { table, issues: found } = parseProcesses(text, path);
    for (const issue of found) issues.push({ severity: "error", file: path, ...issue });
    return table;
  } catch (error) {
    if (!(error instanceof ConfigFileError)) throw error;
    const message = `Cannot read the processes: ${error.message}`;
    issues.push({ severity: "error", file: path, line: 1, column: 1, message });
    return undefined;
  }
}

/**
 * Replays captures through the whole pipeline: configuration and policy decide each flow.
 *
 * Errors: `ReplaySetupError` with every issue of configuration, policy and side file; `CaptureError` for a file that is no capture. A
 * capture that is damaged further on is in the result with all that came before.
 */
export async function replay(request: ReplayRequest): Promise<ReplayResult> {
  const files = new HostConfigFiles();
  const report = (issue: Issue) => request.onIssue?.(issue);
  const loadPolicy = (path: string) => PolicyHost.load(path, { onIssue: report });
  const configured = await loadConfigured({ config: request.config, policy: request.policy }, files, loadPolicy);
  const { config, policy } = configured;
  try {
    const issues = [...configured.issues];
    const processes = request.processes === undefined
      ? undefined
      : await readProcesses(request.processes, files, issues);
    if (config === undefined || issues.some((issue) => issue.severity === "error")) throw new ReplaySetupError(issues);
    issues.forEach(report);
    return await runReplay({
      captures: request.captures.map((path) => ({ path, open: () => openCapture(path) })),
      decider: config.decider,
      sniff: sniffOptionsOf(config.sniffer),
      names: namePolicyOf(config.sniffer),
      crypto: createQuicCrypto(),
      policy: askPolicyOf(policy),
      processes,
      mode: request.mode ?? "tun",
      verify: request.verifyChecksums === true ? Verify.All : Verify.None,
      seed: request.seed ?? 1,
      explain: request.explain ?? false,
      play: request.stack === "netstack",
      output: request.output,
      onProgress: request.onProgress,
    });
  } finally {
    await policy?.close();
  }
}
