/** `weir run`: a live device, its traffic through the whole pipeline and out of this machine's own sockets. */
import { formatIp, type IpAddress, type IpPrefix, parseIp, parsePrefix } from "../base/ip_address.ts";
import type { Issue } from "../config/issue.ts";
import type { WeirConfig } from "../config/load.ts";
import { namePolicyOf, sniffOptionsOf } from "../config/sniffing.ts";
import { Dialer, type OwnSources } from "../host/dial.ts";
import type { ResetSocket } from "../host/duplex.ts";
import type { DeviceSettings, LiveDevice, OpenDevice } from "../host/live_device.ts";
import { LiveEngine, type LiveLookups } from "../host/live_engine.ts";
import { createQuicCrypto } from "../host/quic_crypto.ts";
import { RunLoop } from "../host/run_loop.ts";
import { type CommandLine, parseCommandLine, UsageError } from "./arguments.ts";
import { renderIssue } from "./check.ts";
import { type Configured, loadConfigured, type LoadedPolicy, type LoadPolicy } from "./configured.ts";
import type { ConfigFiles } from "../config/files.ts";
import type { CommandIo } from "./io.ts";
import { painter } from "./report/paint.ts";
import { LOG_LEVELS, RunLog } from "./run_log.ts";
import { askPolicyOf } from "./run_policy.ts";

/** What the command needs of the machine. */
export interface RunDoors {
  readonly files: ConfigFiles;
  readonly loadPolicy: LoadPolicy;
  readonly resolve: (host: string) => Promise<IpAddress[]>;
  readonly findProcess: LiveLookups["findProcess"];
  /** The kinds of device that this system has, by the word after `--adapter`. */
  readonly devices: Readonly<Record<string, OpenDevice>>;
  readonly findOwnSources: (routes: readonly IpPrefix[]) => OwnSources;
  /** Resets one of our own connections, where the system can. */
  readonly resetSocket?: ResetSocket | undefined;
  /** Secret randomness. Units: 0 … 2³²−1. */
  readonly uint32: () => number;
  /** Resolves when somebody wants weir to end, with what to call that; `stopping` is told when it need not be watched for any more. */
  readonly untilStopped: (stopping: AbortSignal) => Promise<string>;
}

const OPTIONS = {
  flags: [],
  values: [
    "config",
    "policy",
    "adapter",
    "device",
    "address",
    "mtu",
    "route",
    "source-address",
    "netns",
    "offload",
    "log",
  ],
} as const;

const DEVICE_NAME = "weir0";
/** Source: RFC 2544 (198.18.0.0/15 is for benchmarks, so that no network has it), RFC 4193. */
const DEVICE_ADDRESSES = ["198.18.0.1/30", "fdfe:dcba:9876::1/126"];
const EVERYTHING = ["0.0.0.0/0", "::/0"];
const MTU_MIN = 576;
const MTU_MAX = 65_535;

/** Runs `weir run` until it is stopped. Exit status 2 when configuration or arguments cannot be used, 1 when the device fails. */
export async function runCommand(args: readonly string[], io: CommandIo, doors: RunDoors): Promise<number> {
  const line = parseCommandLine(args, OPTIONS);
  if (line.positionals.length > 0) throw new UsageError(`Cannot run ${line.positionals[0]}: expected options only`);
  const log = new RunLog(io, line.choice("log", LOG_LEVELS, "info"));
  const open = openerOf(line, doors);
  const paths = { config: line.value("config"), policy: line.value("policy") };
  const configured = await loadConfigured(paths, doors.files, doors.loadPolicy);
  try {
    tellIssues(configured.issues, io);
    if (configured.config === undefined) return 2;
    await runLive(line, configured.config, configured.policy, open, doors, log);
    return 0;
  } finally {
    await configured.policy?.close();
  }
}

function tellIssues(issues: Configured["issues"], io: CommandIo): void {
  issues.forEach((issue: Issue) => io.err(`${renderIssue(issue, painter(io.color))}\n`));
}

function openerOf(line: CommandLine, doors: RunDoors): OpenDevice {
  const kinds = Object.keys(doors.devices);
  const first = kinds[0];
  if (first === undefined) throw new UsageError(`Cannot run live: weir has no device for ${Deno.build.os} yet`);
  return doors.devices[line.choice("adapter", kinds, first)]!;
}

/** A list option: `a,b,c`. */
function listOf<T>(text: string | undefined, name: string, parse: (part: string) => T | undefined, what: string): T[] {
  if (text === undefined) return [];
  return text.split(",").map((part) => {
    const value = parse(part.trim());
    if (value === undefined) throw new UsageError(`Cannot use --${name} ${part}: expected ${what}`);
    return value;
  });
}

function prefixesOf(line: CommandLine, name: string): IpPrefix[] {
  return listOf(line.value(name), name, parsePrefix, "prefixes like 198.18.0.1/30, separated by commas");
}

function firstNonEmpty(...lists: readonly (readonly IpPrefix[])[]): readonly IpPrefix[] {
  return lists.find((list) => list.length > 0) ?? [];
}

/** What the command line says, else the configuration, else what is usual; but for `sources`. */
function deviceSettings(line: CommandLine, { tun }: WeirConfig): Omit<DeviceSettings, "sources"> {
  const mtu = line.wholeNumber("mtu", MTU_MAX, tun.mtu);
  if (mtu < MTU_MIN) throw new UsageError(`Cannot use --mtu ${mtu}: expected ${MTU_MIN} to ${MTU_MAX}`);
  const everything = tun.autoRoute ? EVERYTHING.map((text) => parsePrefix(text)!) : [];
  const configuredAddresses = [...tun.inet4Address ?? [], ...tun.inet6Address ?? []];
  return {
    name: line.value("device") ?? tun.device ?? DEVICE_NAME,
    addresses: firstNonEmpty(
      prefixesOf(line, "address"),
      configuredAddresses,
      DEVICE_ADDRESSES.map((text) => parsePrefix(text)!),
    ),
    mtu,
    routes: firstNonEmpty(prefixesOf(line, "route"), tun.routeAddress, everything),
    offload: line.choice("offload", ["on", "off"], "on") === "on",
    namespace: line.value("netns"),
  };
}

/**
 * The addresses of our own sockets. In another namespace the device's routes catch nothing of ours; in our own they would catch everything that
 * is not bound. Errors: an Error when a version has routes and we have no address to be told apart by.
 */
function ownSources(line: CommandLine, doors: RunDoors, routes: readonly IpPrefix[]): OwnSources {
  if (line.value("netns") !== undefined) return { v4: undefined, v6: undefined };
  const given = listOf(line.value("source-address"), "source-address", parseIp, "addresses, separated by commas");
  const found = doors.findOwnSources(routes);
  const sources = {
    v4: given.find(({ version }) => version === 4) ?? found.v4,
    v6: given.find(({ version }) => version === 6) ?? found.v6,
  };
  for (const { address, bits } of routes) {
    if ((address.version === 4 ? sources.v4 : sources.v6) !== undefined) continue;
    throw new Error(
      `Cannot route ${
        formatIp(address)
      }/${bits} into the device: this machine has no IPv${address.version} address in that direction ` +
        "that weir's own sockets could use; name one with --source-address, or leave the route out",
    );
  }
  return sources;
}

async function runLive(
  line: CommandLine,
  config: WeirConfig,
  policy: LoadedPolicy | undefined,
  open: OpenDevice,
  doors: RunDoors,
  log: RunLog,
): Promise<void> {
  const wanted = deviceSettings(line, config);
  const sources = ownSources(line, doors, wanted.routes);
  const settings = { ...wanted, sources: [sources.v4, sources.v6].filter((source) => source !== undefined) };
  const device = open(settings);
  const stop = new AbortController();
  try {
    const stopped = doors.untilStopped(stop.signal).then((why) => {
      log.say("info", `stopping: ${why}`);
      stop.abort();
    });
    await carryTraffic(
      device,
      config,
      policy,
      new Dialer(sources, doors.resetSocket),
      doors,
      log,
      settings,
      stop.signal,
    );
    stop.abort();
    await stopped;
  } finally {
    stop.abort();
    device.close();
    log.say("info", `${settings.name} is gone, its routes and rules are undone`);
  }
}

async function carryTraffic(
  device: LiveDevice,
  config: WeirConfig,
  policy: LoadedPolicy | undefined,
  dialer: Dialer,
  doors: RunDoors,
  log: RunLog,
  settings: DeviceSettings,
  signal: AbortSignal,
): Promise<void> {
  const loop = new RunLoop(device.adapter);
  const live = new LiveEngine({
    adapter: device.adapter,
    loop,
    dialer,
    lookups: { resolve: doors.resolve, findProcess: doors.findProcess, askPolicy: askPolicyOf(policy) },
    decider: config.decider,
    classify: {
      type: "Tun",
      sniff: sniffOptionsOf(config.sniffer),
      names: namePolicyOf(config.sniffer),
      crypto: createQuicCrypto(),
      secret: doors.uint32(),
    },
    uint32: doors.uint32,
    observer: log,
    onCarried: (facts, end) => log.carried(facts, end),
  });
  log.say("info", `${settings.name} is up: ${describe(settings)}`);
  try {
    await loop.run(live, signal);
  } finally {
    live.close();
    log.counters(live.engine.counters);
  }
}

function describe({ addresses, mtu, routes, namespace }: DeviceSettings): string {
  const list = (prefixes: readonly IpPrefix[]) =>
    prefixes.map(({ address, bits }) => `${formatIp(address)}/${bits}`).join(", ");
  const where = namespace === undefined ? "" : ` in ${namespace}`;
  return `${list(addresses)}${where}, MTU ${mtu}, routes ${routes.length === 0 ? "none" : list(routes)}`;
}
