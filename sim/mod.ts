/**
 * The simulator's border, for people who test a policy or a program with `deno test`. Captures are replayed through a policy:
 *
 * ```ts
 * import { replay } from "./sim/mod.ts";
 *
 * const result = await replay({ captures: ["test/captures/demo.pcapng"], policy: "scripts/policies/demo.ts" });
 * console.log(result.flows.map((flow) => `${flow.metadata.host} ${flow.chains.join(" < ")}`));
 * ```
 *
 * With `stack: "netstack"` each TCP flow that a proxy would carry is played through weir's stack, the proxy's protocol and a simulated server; what
 * arrives is compared with the capture, both ways. A policy can also be asked about single flows and names:
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { replay, TestedPolicy } from "./sim/mod.ts";
 *
 * Deno.test("the policy keeps advertisers away and sends the office's names to the office", async () => {
 *   await using policy = await TestedPolicy.load("scripts/policies/names.ts");
 *   assertEquals(await policy.askDns("ads.example.net"), { rcode: "nxdomain" });
 *   assertEquals(await policy.askDns("git.corp.example.com"), { upstream: ["10.0.0.53#office", "10.0.1.53#office"] });
 *   assertEquals(await policy.ask({ host: "example.org", network: "tcp" }), undefined); // the rules decide
 *   assertEquals(policy.issues, []);
 * });
 *
 * Deno.test("every proxied flow of the capture arrives unharmed", async () => {
 *   const request = { captures: ["test/captures/demo.pcapng"], config: "scripts/policies/demo.yaml" };
 *   const { flows } = await replay({ ...request, stack: "netstack" });
 *   const played = flows.flatMap(({ play }) => play ?? []);
 *   assertEquals(played.map(({ outcome, proxy }) => `${outcome} by ${proxy?.protocols}`), [
 *     "equal by socks5", "equal by http", "equal by socks5", "equal by socks5", "equal by socks5",
 *   ]);
 * });
 * ```
 *
 * And programs talk to each other in a virtual world, over bad lines, in virtual time, the same way for the same seed:
 *
 * ```ts
 * import { addStackHost, Application, connectHosts, linkHosts, micros, NO_FAULTS, parseIp, QUIET_APP, StreamPattern, World } from "./sim/mod.ts";
 *
 * const world = new World(7); // the seed is the world
 * const [client, server] = ["10.0.0.1", "10.0.0.2"].map((ip) => addStackHost(world, ip, parseIp(ip)!));
 * const line = { rateBps: 8_000_000, faults: { ...NO_FAULTS, delayUs: 10_000, lossPpm: 20_000 } };
 * linkHosts(world, client!, server!, { forth: line, back: line });
 *
 * const [up, down] = [new StreamPattern(1), new StreamPattern(2)];
 * const asks = new Application("client", { ...QUIET_APP, sendBytes: 1_000 }, { outgoing: up, incoming: down }, world, world.prng.fork("c"));
 * const answers = new Application("server", { ...QUIET_APP, sendBytes: 50_000 }, { outgoing: down, incoming: up }, world, world.prng.fork("s"));
 * server!.stack.onFlow = (pending, now) => server!.host.attach(pending.accept(now)!, answers, false, now);
 * client!.host.attach(connectHosts(client!, 40_000, server!, 80, world.now)!, asks, true, world.now);
 *
 * world.runUntil(micros(60_000_000), () => asks.isOver && answers.isOver); // throws a Violation when something does not hold
 * console.log(asks.outcome, asks.receivedBytes, `${world.now} µs`);
 * ```
 *
 * `runSeed(seed)` plays a whole world that is drawn from a seed, as `weir simulate` does; `scenarioOf(seed)` shows what it consists of.
 */
import type { IpPrefix } from "../core/base/ip_address.ts";
import { CONFIG_BYTES_MAX } from "../core/base/limits.ts";
import { type ReplayRequest, ReplaySetupError } from "../core/cli/replay.ts";
import type { ReplayResult } from "../core/cli/replay_result.ts";
import { loadConfigured } from "../core/cli/configured.ts";
import { askPolicyOf } from "../core/cli/run_policy.ts";
import { ConfigFileError, type Issue } from "../core/config/load.ts";
import type { ReadyDnsConfig } from "../core/config/weir_config.ts";
import { namePolicyOf, sniffOptionsOf } from "../core/config/sniffing.ts";
import { HostConfigFiles } from "../core/host/config_files.ts";
import { createOutboundCrypto } from "../core/host/outbound_crypto.ts";
import { PolicyHost } from "../core/host/policy_host.ts";
import { createQuicCrypto } from "../core/host/quic_crypto.ts";
import { Verify } from "../core/parse/parse.ts";
import { openCapture } from "./capture/open.ts";
import { parseProcesses, type ProcessTable } from "./processes.ts";
import { ProxyWays } from "./proxied/proxy_ways.ts";
import { runReplay } from "./replay/run_replay.ts";

export { parseIp } from "../core/base/ip_address.ts";
export { micros } from "../core/base/micros.ts";
export { type FaultOptions, NO_FAULTS } from "../core/adapter/fault_plan.ts";
export { TcpError } from "../core/stack/tcp/tcp_state.ts";
export { type AppPlan, QUIET_APP } from "./world/app_plan.ts";
export { Application, type AppOutcome, type Socket } from "./world/application.ts";
export { type ChannelOptions, Link, PERFECT_CHANNEL } from "./world/link.ts";
export type { Scenario } from "./world/scenario.ts";
export { type RunResult, runSeed, scenarioOf } from "./world/scenario_run.ts";
export { simulate } from "./world/simulate.ts";
export { addStackHost, connectHosts, linkHosts, type StackHost } from "./world/stack_host.ts";
export { StreamPattern } from "./world/stream_pattern.ts";
export { type InvariantName, Violation } from "./world/violation.ts";
export { type HostChoices, type LinkChoices, World } from "./world/world.ts";
export type { SimulateFailure, SimulateRequest, SimulateResult } from "../core/cli/simulate.ts";
export type { ReplayRequest, ReplayResult };
export type {
  ReplayCapture,
  ReplayCounters,
  ReplayFlow,
  ReplayPlay,
  ReplayProxy,
  ReplayRule,
} from "../core/cli/replay_result.ts";
export type { Metadata } from "../core/classify/facts.ts";
export type { PolicyRcode, ReadDnsAnswer } from "../core/policy/dns_answer.ts";
export { ProxiedRun } from "./proxied/proxied_run.ts";
export { TestedPolicy, type TestedVerdict } from "./tested_policy.ts";
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

/** The ranges that a configuration's DNS gives fake addresses out of. */
function fakeRangesOf({ enable, enhancedMode, fakeIpRange, fakeIpRange6 }: ReadyDnsConfig): IpPrefix[] {
  if (!enable || enhancedMode !== "fake-ip") return [];
  return fakeIpRange6 === undefined ? [fakeIpRange] : [fakeIpRange, fakeIpRange6];
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
      policy: askPolicyOf(
        policy,
        config.decide.programs,
        (message) => report({ severity: "warning", file: configured.files.at(-1) ?? "", line: 1, column: 1, message }),
      ),
      processes,
      mode: request.mode ?? "tun",
      verify: request.verifyChecksums === true ? Verify.All : Verify.None,
      seed: request.seed ?? 1,
      explain: request.explain ?? false,
      fakeRanges: fakeRangesOf(config.dns),
      proxies: new ProxyWays(config.outbounds, createOutboundCrypto()),
      play: request.stack === "mixed" ? "system" : request.stack,
      output: request.output,
      onProgress: request.onProgress,
    });
  } finally {
    await policy?.close();
  }
}
