/** What a script says about its world: command-line options in its head, and sysctl lines. */
import { type IpAddress, parseIp } from "../../core/base/ip_address.ts";
import { MILLISECOND_US, SECOND_US } from "../../core/base/micros.ts";
import { DEFAULT_TCP_OPTIONS, OptionOrder, type TcpOptions } from "../../core/stack/tcp/tcp_options.ts";
import { UnsupportedError } from "./script_error.ts";
import type { Script } from "./script.ts";

/** Whose habits a script expects. `plain`: it does not say; buffers and options as with `bsd`, and no habit that no RFC knows. */
export type Profile = "plain" | "bsd" | "linux";

/** Everything that a script can set, kept up to date while it runs. */
export interface Settings {
  readonly profile: Profile;
  readonly version: 4 | 6;
  readonly local: IpAddress;
  readonly remote: IpAddress;
  readonly bindPort: number;
  readonly connectPort: number;
  readonly mtu: number;
  readonly toleranceUs: number;
  /** Tolerance that grows with the time since the event before. Units: per cent. */
  readonly tolerancePercent: number;
  /** Length of one timestamp tick; 0: timestamps are not checked. Units: µs. */
  readonly timestampTickUs: number;
  readonly strictSegments: boolean;
  readonly nonFatal: ReadonlySet<string>;
  /** For connections to come; sysctl lines change it. */
  readonly tcp: TcpOptions;
  /** Largest socket buffer, from which BSD derives its window scale. Units: bytes. */
  bufferBytesMax: number;
  /** Time that a connection may take to open. Units: µs. */
  keepInitUs: number;
  /** What `TCP_KEEPIDLE` says where keep-alive is not on yet. Units: µs. */
  keepIdleUs: number;
  synCookies: "never" | "flood" | "always";
  /** Drops segments with both SYN and FIN. */
  dropSynFin: boolean;
  /** Commands that had no meaning here. */
  readonly ignored: string[];
}

/** Names that `#ifdef` finds. Source: packetdrill's config.c defines the system's name. */
export function definesOf(profile: Profile): ReadonlySet<string> {
  return new Set(profile === "linux" ? ["Linux"] : profile === "bsd" ? ["FreeBSD"] : ["STANDARD"]);
}

/** Whose habits a script expects, from its text: each system's suite sets that system's own sysctl variables. */
export function profileOf(source: string): Profile {
  if (/defaults\.sh|net[./]ipv[46][./]/.test(source)) return "linux";
  return /\bnet\.inet6?\.|\bkern\.ipc\./.test(source) ? "bsd" : "plain";
}

const DEFAULT_ADDRESSES = {
  4: { local: "192.168.0.1", remote: "192.0.2.1" },
  6: { local: "fd3d:fa7b:d17d::1", remote: "2001:db8::1" },
} as const;

/** What scripts assume that do not say. */
const PLAIN_TCP: Partial<TcpOptions> = {
  windowScale: 6,
  optionOrder: OptionOrder.FreeBsd,
  sendBufferBytes: 32_768,
  sendBufferBytesMax: 2_097_152,
  receiveBufferBytes: 65_536,
  receiveBufferBytesMax: 65_536,
  delayedAckUs: 40 * MILLISECOND_US,
  delayedAckByBytes: false,
  tolerateMissingTimestamps: true,
  quickAckSegments: 0,
  rtoInitialUs: SECOND_US,
  rtoMinUs: 230 * MILLISECOND_US,
  rackTlp: false,
};

/** What FreeBSD's suite assumes beyond that. Source: the sysctl lines in its scripts; tcp(4) of FreeBSD. */
const BSD_TCP: Partial<TcpOptions> = {
  ...PLAIN_TCP,
  synRetries: 12,
  rtoMaxUs: 64 * SECOND_US,
  synBackoffSlopUs: 200 * MILLISECOND_US,
  finWithEveryAck: true,
  timeWaitAnswersSyn: false,
};

/** What Linux's suite assumes. Source: google/packetdrill gtests/net/common/defaults.sh. */
const LINUX_TCP: Partial<TcpOptions> = {
  windowScale: 8,
  optionOrder: OptionOrder.Linux,
  sendBufferBytes: 262_144,
  sendBufferBytesMax: 4_194_304,
  receiveBufferBytes: 540_000,
  receiveBufferBytesMax: 15 << 20,
  synRetries: 5,
  synAckRetries: 5,
  slowStartAfterIdle: false,
  ecnAccept: false,
  probeWithData: false,
};

const TCP_OF: Readonly<Record<Profile, Partial<TcpOptions>>> = { plain: PLAIN_TCP, bsd: BSD_TCP, linux: LINUX_TCP };

const PLAIN_OPTIONS = new Set([
  "ip_version",
  "mtu",
  "tolerance_usecs",
  "tolerance_percent",
  "tcp_ts_tick_usecs",
  "non_fatal",
  "local_ip",
  "remote_ip",
  "bind_port",
  "connect_port",
  "strict_segments",
  "tcp_ts_ecr_scaled",
  "gateway_ip",
  "netmask_ip",
  "speed",
  "init_scripts",
  "code_command",
  "code_format",
  "code_sockopt",
  "verbose",
  "debug",
  "no_cleanup",
  "mss",
]);

/** The settings that a script begins with. Errors: `UnsupportedError` for an option we cannot honour. */
export function settingsOf(script: Script, profile: Profile): Settings {
  for (const [name, { line }] of script.options) {
    if (!PLAIN_OPTIONS.has(name)) throw new UnsupportedError(line, `--${name}`);
  }
  const text = (name: string) => script.options.get(name)?.value;
  const number = (name: string, otherwise: number) => {
    const option = script.options.get(name);
    if (option === undefined) return otherwise;
    const value = Number(option.value);
    if (!(value >= 0 && value <= 1e12)) throw new UnsupportedError(option.line, `--${name}=${option.value}`);
    return value;
  };
  const version = text("ip_version") === "ipv6" ? 6 : 4;
  const addressOf = (name: "local" | "remote"): IpAddress => {
    const given = text(`${name}_ip`)?.replace(/\/.*/, "") ?? DEFAULT_ADDRESSES[version][name];
    const ip = parseIp(given);
    if (ip === undefined) {
      throw new UnsupportedError(script.options.get(`${name}_ip`)?.line ?? 1, `the address ${given}`);
    }
    return ip;
  };
  const mtu = number("mtu", 1_500);
  const headers = version === 4 ? 40 : 60;
  return {
    profile,
    version,
    local: addressOf("local"),
    remote: addressOf("remote"),
    bindPort: number("bind_port", 8080),
    connectPort: number("connect_port", 8080),
    mtu,
    toleranceUs: number("tolerance_usecs", 4_000),
    tolerancePercent: number("tolerance_percent", profile === "linux" ? 12.5 : 5),
    timestampTickUs: number("tcp_ts_tick_usecs", 0),
    strictSegments: script.options.has("strict_segments"),
    nonFatal: new Set((text("non_fatal") ?? "").split(",")),
    tcp: { ...DEFAULT_TCP_OPTIONS, ...TCP_OF[profile], mss: mtu - headers },
    bufferBytesMax: 2_097_152,
    keepInitUs: 75 * SECOND_US,
    keepIdleUs: 7_200 * SECOND_US,
    synCookies: "flood",
    dropSynFin: false,
    ignored: [],
  };
}
