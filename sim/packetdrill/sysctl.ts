/** Shell lines of scripts: those that set what our stack knows are obeyed, all others are listed as ignored. */
import { MILLISECOND_US } from "../../core/base/micros.ts";
import { UnsupportedError } from "./script_error.ts";
import type { Settings } from "./settings.ts";

type Apply = (settings: Settings, value: number, all: readonly number[]) => void;

const WINDOW_MAX = 65_535;
const SCALE_MAX = 14;

/** The shift that lets 16 bits speak of `bytes`. Source: RFC 7323 section 2.3; BSD takes the largest socket buffer for `bytes`. */
function scaleFor(bytes: number): number {
  let scale = 0;
  while (scale < SCALE_MAX && WINDOW_MAX * 2 ** scale < bytes) scale++;
  return scale;
}

function setExtensions(settings: Settings, value: number): void {
  settings.tcp.timestamps = value !== 0;
  settings.tcp.windowScale = value === 0 ? -1 : scaleFor(settings.bufferBytesMax);
}

function setBufferMax(settings: Settings, value: number): void {
  settings.bufferBytesMax = value;
  if (settings.tcp.windowScale >= 0) settings.tcp.windowScale = scaleFor(value);
}

/** 1 asks for ECN and accepts it, 2 accepts it. */
function setEcn(settings: Settings, value: number): void {
  settings.tcp.ecn = value === 1;
  settings.tcp.ecnAccept = value === 1 || value === 2;
}

const NOTHING: Apply = () => {};

/** FreeBSD's names, under net.inet.tcp. Source: tcp(4). A name that maps to `NOTHING` asks for what we do anyway. */
const BSD: Readonly<Record<string, Apply>> = {
  "rfc1323": setExtensions,
  "sack.enable": (settings, value) => settings.tcp.sack = value !== 0,
  "ecn.enable": setEcn,
  "ecn.maxretries": (settings, value) => settings.tcp.ecnSynCount = value + 1,
  "rexmit_drop_options": (settings, value) => settings.tcp.synOptionRetries = value === 0 ? 0 : 2,
  "recvspace": (settings, value) => {
    settings.tcp.receiveBufferBytes = value;
    settings.tcp.receiveBufferBytesMax = value;
  },
  "sendspace": (settings, value) => settings.tcp.sendBufferBytes = value,
  "delacktime": (settings, value) => settings.tcp.delayedAckUs = value * MILLISECOND_US,
  "rexmit_initial": (settings, value) => settings.tcp.rtoInitialUs = value * MILLISECOND_US,
  "rexmit_slop": (settings, value) => {
    settings.tcp.rtoMinUs = (value + 30) * MILLISECOND_US;
    settings.tcp.synBackoffSlopUs = value * MILLISECOND_US;
  },
  "keepinit": (settings, value) => settings.keepInitUs = value * MILLISECOND_US,
  "keepidle": (settings, value) => settings.keepIdleUs = value * MILLISECOND_US,
  "keepintvl": (settings, value) => settings.tcp.keepAliveIntervalUs = value * MILLISECOND_US,
  "keepcnt": (settings, value) => settings.tcp.keepAliveProbes = value,
  "insecure_rst": (settings, value) => settings.tcp.insecureRst = value !== 0,
  "insecure_syn": (settings, value) => settings.tcp.insecureSyn = value !== 0,
  "drop_synfin": (settings, value) => settings.dropSynFin = value !== 0,
  "syncookies": (settings, value) => settings.synCookies = value === 0 ? "never" : "flood",
  "syncookies_only": (settings, value) => settings.synCookies = value === 0 ? settings.synCookies : "always",
  "icmp_may_rst": (settings, value) => settings.tcp.icmpEndsOpening = value !== 0,
  "tolerate_missing_ts": (settings, value) => settings.tcp.tolerateMissingTimestamps = value !== 0,
  "path_mtu_discovery": NOTHING,
  "hostcache.purgenow": NOTHING,
  "blackhole": NOTHING,
};

/** Linux's names, under net.ipv4. Source: ip-sysctl of the kernel. */
const LINUX: Readonly<Record<string, Apply>> = {
  tcp_timestamps: (settings, value) => settings.tcp.timestamps = value !== 0,
  tcp_sack: (settings, value) => settings.tcp.sack = value !== 0,
  tcp_dsack: (settings, value) => settings.tcp.dsack = value !== 0,
  tcp_window_scaling: (settings, value) => settings.tcp.windowScale = value === 0 ? -1 : 8,
  tcp_ecn: setEcn,
  tcp_syn_retries: (settings, value) => settings.tcp.synRetries = value,
  tcp_synack_retries: (settings, value) => settings.tcp.synAckRetries = value,
  tcp_slow_start_after_idle: (settings, value) => settings.tcp.slowStartAfterIdle = value !== 0,
  tcp_rmem: (settings, value, all) => {
    settings.tcp.receiveBufferBytes = all[1] ?? value;
    settings.tcp.receiveBufferBytesMax = all[2] ?? settings.tcp.receiveBufferBytes;
  },
  tcp_wmem: (settings, value, all) => {
    settings.tcp.sendBufferBytes = all[1] ?? value;
    settings.tcp.sendBufferBytesMax = all[2] ?? settings.tcp.sendBufferBytes;
  },
  tcp_reordering: NOTHING,
};

function applyOne(settings: Settings, name: string, values: readonly number[]): boolean {
  const key = name.replaceAll("/", ".").replace(/^proc\.sys\./, "").replace(/^\.?proc\.sys\./, "");
  const value = values[0] ?? NaN;
  if (Number.isNaN(value)) return false;
  if (key === "kern.ipc.maxsockbuf") {
    setBufferMax(settings, value);
    return true;
  }
  const bsd = key.startsWith("net.inet.tcp.") ? BSD[key.slice("net.inet.tcp.".length)] : undefined;
  const apply = bsd ?? (key.startsWith("net.ipv4.") ? LINUX[key.slice("net.ipv4.".length)] : undefined);
  apply?.(settings, value, values);
  return apply !== undefined;
}

/** Commands without which a script would test something else. */
const NEEDED: readonly (readonly [RegExp, string])[] = [
  [/\bip (-6 )?route (change|add|replace)\b/, "a route of its own"],
  [/\btc qdisc (replace|add) .*(\bfq\b|limit 0)/, "a queue of its own"],
  [/tcp_fastopen=(?!0\b)/, "TCP Fast Open"],
];

/**
 * Does what a command asks for, as far as it has a meaning here; the rest goes to `settings.ignored`.
 * Shape: `sysctl [-w] name=value`, `sysctl -q name=value name=value`, `set_sysctls.py /proc/sys/…=value`.
 * Errors: `UnsupportedError` for what a script cannot do without. `line` is where the command stands.
 */
export function runCommand(settings: Settings, command: string, line: number): void {
  for (const [rule, reason] of NEEDED) if (rule.test(command)) throw new UnsupportedError(line, reason);
  runLines(settings, command);
}

function runLines(settings: Settings, command: string): void {
  for (const line of command.split(/\n|;|&&/).map((each) => each.replace(/#.*/, "").trim())) {
    if (line === "") continue;
    let known = /^sysctl\b|set_sysctls\.py/.test(line);
    if (known) {
      for (const [, name, quoted, bare] of line.matchAll(/([\w./]+)=(?:"([^"]*)"|(\S+))/g)) {
        const values = (quoted ?? bare ?? "").split(/\s+/).map(Number);
        known = applyOne(settings, name!, values) && known;
      }
    }
    if (!known) settings.ignored.push(line);
  }
}
