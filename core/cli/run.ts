/** `weir run`: a live device, its traffic through the whole pipeline and out of this machine's own sockets. */
import { formatIp, type IpAddress, type IpPrefix, parseIp, parsePrefix } from "../base/ip_address.ts";
import type { Issue } from "../config/issue.ts";
import { deriveDivertFilter } from "../config/divert_filter.ts";
import type { WeirConfig } from "../config/load.ts";
import { namePolicyOf, sniffOptionsOf } from "../config/sniffing.ts";
import { createFarSide } from "../host/create_far_side.ts";
import { Dialer, type OwnSources } from "../host/dial.ts";
import { FakeIpKeeper, fakeIpPath, readFakeIps } from "../host/fake_ip_file.ts";
import type { ResetSocket } from "../host/duplex.ts";
import type { DeviceSettings, LiveDevice, OpenDevice } from "../host/live_device.ts";
import { LiveEngine, type LiveLookups } from "../host/live_engine.ts";
import { ProcessLookup } from "../host/process_lookup.ts";
import { openReflectListeners, openTunListeners, type SystemListener } from "../host/system_listener.ts";
import { createQuicCrypto } from "../host/quic_crypto.ts";
import { monotonicClock, RunLoop } from "../host/run_loop.ts";
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
  /** `library` is what `--iphlpapi` says. */
  readonly findOwnSources: (routes: readonly IpPrefix[], library: string | undefined) => OwnSources;
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
    "stack",
    // Of the Wine lab, and so not in the help: the IP helper to load instead of Windows' own.
    "iphlpapi",
  ],
} as const;

const STACKS = ["netstack", "system", "mixed", "lwip"] as const;
type StackName = (typeof STACKS)[number];

/** Devices that divert the system's own packets, by the word after `--adapter`; all others are networks of their own. */
const DIVERT_DEVICES = ["windivert", "nfqueue"];

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
  const paths = { config: line.value("config"), policy: line.value("policy") };
  const configured = await loadConfigured(paths, doors.files, doors.loadPolicy);
  try {
    tellIssues(configured.issues, io);
    if (configured.config === undefined) return 2;
    // What no rule can send anything to anyway may stay wrong in a replay; live, it would leave flows without a way.
    tellIssues(configured.config.outboundIssues, io);
    if (configured.config.outboundIssues.some(({ severity }) => severity === "error")) return 2;
    await runLive(line, configured.config, configured.policy, doors, log);
    return 0;
  } finally {
    await configured.policy?.close();
  }
}

function tellIssues(issues: Configured["issues"], io: CommandIo): void {
  issues.forEach((issue: Issue) => io.err(`${renderIssue(issue, painter(io.color))}\n`));
}

/** The word for the device that is wanted: what the command line says, else what the configuration enables. */
function deviceKind(line: CommandLine, config: WeirConfig, doors: RunDoors): string {
  const kinds = Object.keys(doors.devices);
  const wantsDivert = config.divert.enable && !config.tun.enable;
  const first = kinds.find((kind) => DIVERT_DEVICES.includes(kind) === wantsDivert) ?? kinds[0];
  if (first === undefined) throw new UsageError(`Cannot run live: weir has no device for ${Deno.build.os} yet`);
  return line.choice("adapter", kinds, first);
}

/** Whether TCP flows end in the system's own TCP, as asked. */
function usesSystem(line: CommandLine, config: WeirConfig, isDivert: boolean): boolean {
  if (isDivert) {
    if (line.value("stack") !== undefined) {
      throw new UsageError("Cannot use --stack: packets are diverted; weir.divert.mode says what becomes of them");
    }
    return config.divert.mode === "redirect";
  }
  const stack: StackName = line.choice("stack", STACKS, config.tun.stack);
  if (stack === "lwip") {
    throw new UsageError("Cannot use the stack lwip: this weir has no lwIP library; use netstack, system or mixed");
  }
  return stack !== "netstack";
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
function deviceSettings(line: CommandLine, { tun, dns }: WeirConfig): Omit<DeviceSettings, "sources"> {
  const mtu = line.wholeNumber("mtu", MTU_MAX, tun.mtu);
  if (mtu < MTU_MIN) throw new UsageError(`Cannot use --mtu ${mtu}: expected ${MTU_MIN} to ${MTU_MAX}`);
  const everything = tun.autoRoute ? EVERYTHING.map((text) => parsePrefix(text)!) : [];
  const configuredAddresses = [...tun.inet4Address ?? [], ...tun.inet6Address ?? []];
  const addresses = firstNonEmpty(
    prefixesOf(line, "address"),
    configuredAddresses,
    DEVICE_ADDRESSES.map((text) => parsePrefix(text)!),
  );
  return {
    name: line.value("device") ?? tun.device ?? DEVICE_NAME,
    addresses,
    mtu,
    routes: firstNonEmpty(prefixesOf(line, "route"), tun.routeAddress, everything),
    offload: line.choice("offload", ["on", "off"], "on") === "on",
    namespace: line.value("netns"),
    iphlpapi: line.value("iphlpapi"),
    excludes: tun.routeExcludeAddress,
    isDnsStrict: tun.strictRoute,
    ...(dns.enable && tun.dnsHijack.length > 0 ? { nameServers: ownNameServers(addresses) } : {}),
  };
}

/** Any address of the device's networks but its own will do: questions to it are answered by weir. */
function ownNameServers(addresses: readonly IpPrefix[]): IpAddress[] {
  return addresses.map(({ address }) => ({ ...address, w3: (address.w3 ^ 3) >>> 0 }));
}

/** A device that diverts has no address and no routes of its own. What our listeners send is diverted with what the filter names. */
function divertSettings(
  line: CommandLine,
  config: WeirConfig,
  policy: LoadedPolicy | undefined,
  kind: string,
  system: SystemListener | undefined,
): Omit<DeviceSettings, "sources"> {
  const ports = [system?.listeners.v4?.port, system?.listeners.v6?.port].filter((port) => port !== undefined);
  const hasPolicy = policy?.hasOnConnection === true;
  const { filter } = deriveDivertFilter(config, { hasPolicy, listenerPorts: ports });
  return {
    name: line.value("device") ?? kind,
    addresses: [],
    mtu: MTU_MAX,
    routes: [],
    offload: false,
    namespace: line.value("netns"),
    iphlpapi: line.value("iphlpapi"),
    divert: { filter, priority: config.divert.priority },
  };
}

/**
 * The addresses of our own sockets. In another namespace the device's routes catch nothing of ours; in our own they would catch everything that
 * is not bound. Errors: an Error when a version has routes and we have no address to be told apart by.
 */
function ownSources(line: CommandLine, doors: RunDoors, routes: readonly IpPrefix[]): OwnSources {
  if (line.value("netns") !== undefined) return { v4: undefined, v6: undefined };
  const given = listOf(line.value("source-address"), "source-address", parseIp, "addresses, separated by commas");
  const found = doors.findOwnSources(routes, line.value("iphlpapi"));
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
  doors: RunDoors,
  log: RunLog,
): Promise<void> {
  const kind = deviceKind(line, config, doors);
  const isDivert = DIVERT_DEVICES.includes(kind);
  const isSystem = usesSystem(line, config, isDivert);
  const stop = new AbortController();
  // What is diverted has to be chosen with the listeners in mind; a TUN device's listeners need its addresses.
  let system = isDivert && isSystem && line.value("netns") === undefined ? openReflectListeners(listenHere) : undefined;
  let device: LiveDevice | undefined;
  let name = "";
  try {
    const wanted = isDivert ? divertSettings(line, config, policy, kind, system) : deviceSettings(line, config);
    const sources = ownSources(line, doors, wanted.routes);
    const settings = { ...wanted, sources: [sources.v4, sources.v6].filter((source) => source !== undefined) };
    device = await doors.devices[kind]!(settings);
    name = settings.name;
    if (isSystem) system ??= openListeners(device, settings);
    const stopped = doors.untilStopped(stop.signal).then((why) => {
      log.say("info", `stopping: ${why}`);
      stop.abort();
    });
    const dialer = new Dialer(sources, doors.resetSocket);
    // An address that the user chose stays, whatever the routes say.
    using _watch = line.value("source-address") !== undefined ? undefined : device.watchSources?.(sources, (found) => {
      log.say(
        "info",
        `own connections leave by ${[found.v4, found.v6].map((ip) => ip && formatIp(ip)).join(" and ")} now`,
      );
      dialer.use(found);
    });
    await carryTraffic(device, config, policy, dialer, system, doors, log, settings, stop.signal);
    stop.abort();
    await stopped;
  } finally {
    stop.abort();
    system?.close();
    device?.close();
    if (device !== undefined) log.say("info", `${name} is gone, its routes and rules are undone`);
  }
}

function listenHere(hostname: string): Deno.TcpListener {
  return Deno.listen({ hostname, port: 0 });
}

/** Listeners for the system's own TCP, where the device is. Errors: an Error when its addresses have no room for them. */
function openListeners(device: LiveDevice, settings: DeviceSettings): SystemListener {
  const listen = (hostname: string) => device.inside?.(() => listenHere(hostname)) ?? listenHere(hostname);
  const isTun = device.adapter.capabilities.kind === "tun";
  return isTun ? openTunListeners(settings.addresses, listen) : openReflectListeners(listen);
}

/** Owners of flows: as the device knows them, else as the system does. */
function processLookups(
  { processes }: LiveDevice,
  doors: RunDoors,
): Pick<LiveLookups, "findProcess" | "findProcessNow"> {
  if (processes === undefined) return { findProcess: doors.findProcess };
  const lookup = new ProcessLookup(processes, monotonicClock);
  return {
    findProcess: (facts) => lookup.findProcess(facts),
    findProcessNow: (facts) => lookup.findProcessNow(facts),
  };
}

async function carryTraffic(
  device: LiveDevice,
  config: WeirConfig,
  policy: LoadedPolicy | undefined,
  dialer: Dialer,
  system: SystemListener | undefined,
  doors: RunDoors,
  log: RunLog,
  settings: DeviceSettings,
  signal: AbortSignal,
): Promise<void> {
  const loop = new RunLoop(device.adapter);
  const storePath = config.general.profile.storeFakeIp && config.file !== undefined
    ? fakeIpPath(config.file)
    : undefined;
  const running = createFarSide(config, {
    dialer,
    resolveWithSystem: doors.resolve,
    clock: monotonicClock,
    uint32: doors.uint32,
    touched: () => loop.touched(),
    fakeIps: storePath === undefined ? undefined : await readFakeIps(storePath),
    askPolicyDns: policy?.askDns === undefined ? undefined : (question) => policy.askDns!(question),
    say: (text) => log.say("debug", text),
  });
  const { farSide } = running;
  const keeper = storePath === undefined
    ? undefined
    : new FakeIpKeeper(storePath, () => farSide.given?.fakeIps(), (message) => log.say("warning", message));
  keeper?.start();
  const askPolicy = askPolicyOf(policy, config.decide.programs, (message) => log.say("warning", message));
  const live = new LiveEngine({
    adapter: device.adapter,
    loop,
    dialer,
    system,
    farSide,
    lookups: {
      resolve: (host) => farSide.given?.resolve(host) ?? doors.resolve(host),
      ...processLookups(device, doors),
      askPolicy,
    },
    decider: config.decider,
    classify: {
      type: device.adapter.capabilities.kind === "tun" ? "Tun" : "Redir",
      sniff: sniffOptionsOf(config.sniffer),
      names: namePolicyOf(config.sniffer),
      crypto: createQuicCrypto(),
      secret: doors.uint32(),
    },
    uint32: doors.uint32,
    observer: log,
    onCarried: (facts, end) => log.carried(facts, end),
  });
  const way = system === undefined ? "" : ", TCP through the system's own";
  log.say("info", `${settings.name} is up: ${describe(settings)}${way}`);
  try {
    await loop.run(live, signal);
  } finally {
    log.left(live.left);
    live.close();
    running.close();
    await keeper?.stop();
    log.counters(live.engine.counters);
  }
}

function describe({ addresses, mtu, routes, namespace, divert }: DeviceSettings): string {
  if (divert !== undefined) return `diverts ${divert.filter}, priority ${divert.priority}`;
  const list = (prefixes: readonly IpPrefix[]) =>
    prefixes.map(({ address, bits }) => `${formatIp(address)}/${bits}`).join(", ");
  const where = namespace === undefined ? "" : ` in ${namespace}`;
  return `${list(addresses)}${where}, MTU ${mtu}, routes ${routes.length === 0 ? "none" : list(routes)}`;
}
