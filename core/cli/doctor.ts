/** `weir doctor`: what this machine lacks to run live, and how to mend it. */
import type { DriverFile, DriverService, LinuxFacts, MachineFacts, WindowsFacts } from "../host/machine_facts.ts";
import { parseCommandLine, UsageError } from "./arguments.ts";
import type { CommandIo } from "./io.ts";
import { type Paint, painter, type Tint } from "./report/paint.ts";
import { visible } from "./report/visible.ts";

/** What the command needs of the machine. */
export interface DoctorDoors {
  readonly examine: () => Promise<MachineFacts>;
}

/** How something was found. `missing` keeps at least one adapter from working, `warning` may. */
export type FindingState = "good" | "warning" | "missing";

/** One thing that was looked at. */
export interface Finding {
  readonly check: string;
  readonly state: FindingState;
  readonly found: string;
  /** What to do; absent when nothing needs to be done. */
  readonly remedy?: string;
  /** The adapters that cannot work without it. */
  readonly neededBy: readonly string[];
}

/** The document of `weir doctor --json`. */
export interface DoctorResult {
  readonly schema: "weir.doctor/1";
  readonly system: string;
  readonly findings: readonly Finding[];
  /** Whether each kind of adapter can be used. */
  readonly adapters: Readonly<Record<string, boolean>>;
}

/** Parts of the names that adapters of other VPNs and proxies have. */
const OTHER_TUNNELS = [
  "tailscale",
  "wireguard",
  "openvpn",
  "nordlynx",
  "zerotier",
  "protonvpn",
  "mihomo",
  "meta",
  "clash",
  "sing-box",
  "sing-tun",
  "utun",
  "proton",
  "tap-windows",
  "warp",
  "tun2socks",
  "ppp",
];

/** Runs `weir doctor`. Exit status 0 when at least one adapter can be used, else 1. */
export async function doctorCommand(args: readonly string[], io: CommandIo, doors: DoctorDoors): Promise<number> {
  const line = parseCommandLine(args, { flags: ["json"], values: [] });
  if (line.positionals.length > 0) throw new UsageError(`Cannot examine ${line.positionals[0]}: expected options only`);
  const result = diagnose(await doors.examine());
  if (line.flag("json")) io.out(`${JSON.stringify(result, null, 2)}\n`);
  else io.out(renderDoctor(result, painter(io.color)));
  return Object.values(result.adapters).some((isReady) => isReady) ? 0 : 1;
}

/** Judges what was found. */
export function diagnose(facts: MachineFacts): DoctorResult {
  if (facts.kind === "windows") return conclude("windows", windowsFindings(facts), ["wintun", "windivert"]);
  if (facts.kind === "linux") return conclude("linux", linuxFindings(facts), ["tun", "nfqueue"]);
  const found = `weir has no adapter for ${facts.system}; it replays, checks, explains and simulates here`;
  return conclude(facts.system, [{ check: "system", state: "missing", found, neededBy: [] }], []);
}

function conclude(system: string, findings: readonly Finding[], names: readonly string[]): DoctorResult {
  const lacks = (name: string) =>
    findings.some(({ state, neededBy }) => state === "missing" && neededBy.includes(name));
  const adapters = Object.fromEntries(names.map((name) => [name, !lacks(name)]));
  return { schema: "weir.doctor/1", system, findings, adapters };
}

function yesOrNo(
  check: string,
  value: boolean | undefined,
  neededBy: readonly string[],
  words: { readonly yes: string; readonly no: string; readonly remedy: string },
): Finding {
  if (value === undefined) {
    return { check, state: "warning", found: "could not be found out", remedy: words.remedy, neededBy };
  }
  return value
    ? { check, state: "good", found: words.yes, neededBy }
    : { check, state: "missing", found: words.no, remedy: words.remedy, neededBy };
}

function windowsFindings(facts: WindowsFacts): Finding[] {
  return [
    yesOrNo("administrator", facts.isAdministrator, ["wintun", "windivert"], {
      yes: "this program runs with administrator rights",
      no: "this program runs without administrator rights",
      remedy: "start it from a terminal that was opened with “Run as administrator”",
    }),
    ...facts.drivers.map(driverFinding),
    ...facts.services.map(serviceFinding),
    listenerFinding(facts),
    tunnelFinding(facts.interfaces, "leave one of them off, or exclude its networks with tun.route-exclude-address"),
  ];
}

const ADAPTERS_OF: Readonly<Record<string, readonly string[]>> = {
  "wintun.dll": ["wintun"],
  "WinDivert.dll": ["windivert"],
  "WinDivert64.sys": ["windivert"],
};

const SITES: Readonly<Record<string, string>> = {
  "wintun.dll": "https://www.wintun.net (folder bin/amd64 of the archive)",
  "WinDivert.dll": "https://reqrypt.org/windivert.html (folder x64 of the archive)",
  "WinDivert64.sys": "https://reqrypt.org/windivert.html (folder x64 of the archive, beside WinDivert.dll)",
};

function driverFinding({ name, path, isEmbedded, sha256, failure }: DriverFile): Finding {
  const neededBy = ADAPTERS_OF[name] ?? [];
  if (path === undefined) {
    const remedy = `put ${name} beside weir.exe; it comes from ${SITES[name] ?? "its maker"}`;
    return { check: name, state: "missing", found: "not found", remedy, neededBy };
  }
  if (failure !== undefined) {
    const remedy = `replace it by the 64-bit file from ${SITES[name] ?? "its maker"}`;
    return { check: name, state: "missing", found: `${path}: ${failure}`, remedy, neededBy };
  }
  const origin = isEmbedded ? "embedded, unpacked to " : "";
  const hash = sha256 === undefined ? "" : `, SHA-256 ${sha256}`;
  return { check: name, state: "good", found: `${origin}${path}${hash}`, neededBy };
}

function serviceFinding({ name, state }: DriverService): Finding {
  const neededBy = name === "WinDivert" ? ["windivert"] : name === "wintun" ? ["wintun"] : [];
  const check = `service ${name}`;
  if (state === "disabled") {
    const remedy = `run: sc.exe config ${name} start= demand`;
    return { check, state: "missing", found: "disabled", remedy, neededBy };
  }
  if (state === "marked for deletion") {
    const remedy = "end the programs that use it, or restart Windows";
    return { check, state: "missing", found: "marked for deletion while somebody uses it", remedy, neededBy };
  }
  const found = state === "absent" ? "not installed yet; it is installed when it is first used" : state;
  return { check, state: "good", found, neededBy };
}

function listenerFinding({ isListenerAllowed, program }: WindowsFacts): Finding {
  const neededBy: readonly string[] = [];
  const check = "firewall";
  if (isListenerAllowed === true) {
    return { check, state: "good", found: "connections to this program are let in", neededBy };
  }
  const found = isListenerAllowed === undefined
    ? "could not be found out"
    : "no rule lets connections to this program in";
  const remedy =
    "only --stack system, mixed and divert mode redirect need one; run: netsh advfirewall firewall add rule " +
    `name=weir dir=in action=allow program="${program}"`;
  return { check, state: "warning", found, remedy, neededBy };
}

function tunnelFinding(interfaces: readonly string[], remedy: string): Finding {
  const others = interfaces.filter((name) => OTHER_TUNNELS.some((part) => name.toLowerCase().includes(part)));
  const check = "other tunnels";
  if (others.length === 0) return { check, state: "good", found: "none", neededBy: [] };
  return { check, state: "warning", found: others.map(visible).join(", "), remedy, neededBy: [] };
}

function linuxFindings(facts: LinuxFacts): Finding[] {
  return [
    yesOrNo("CAP_NET_ADMIN", facts.mayAdminister, ["tun", "nfqueue"], {
      yes: "this program may set up devices and routes",
      no: "this program may not set up devices and routes",
      remedy: "run it as root",
    }),
    yesOrNo("CAP_NET_RAW", facts.maySendRaw, ["nfqueue"], {
      yes: "this program may send packets of its own",
      no: "this program may not send packets of its own",
      remedy: "run it as root",
    }),
    tunDeviceFinding(facts.tunDevice),
    yesOrNo("packet queues", facts.hasNfqueue, ["nfqueue"], {
      yes: "the kernel has NFQUEUE",
      no: "the kernel has no NFQUEUE",
      remedy: "run: modprobe nfnetlink_queue",
    }),
    programFinding("iptables", facts.iptables),
    programFinding("ip6tables", facts.ip6tables),
    tunnelFinding(facts.interfaces, "leave one of them off, or leave its networks out with --route"),
  ];
}

function tunDeviceFinding(state: LinuxFacts["tunDevice"]): Finding {
  const check = "/dev/net/tun";
  const neededBy = ["tun"];
  if (state === "present") return { check, state: "good", found: "there", neededBy };
  return state === "absent"
    ? { check, state: "missing", found: "not there", remedy: "run: modprobe tun", neededBy }
    : { check, state: "missing", found: "may not be opened", remedy: "run weir as root", neededBy };
}

function programFinding(name: string, path: string | undefined): Finding {
  const neededBy = ["nfqueue"];
  return path === undefined
    ? { check: name, state: "missing", found: "not found", remedy: "install the package iptables", neededBy }
    : { check: name, state: "good", found: path, neededBy };
}

const MARKS: Readonly<Record<FindingState, { readonly mark: string; readonly tint: Tint }>> = {
  good: { mark: "✓", tint: "green" },
  warning: { mark: "!", tint: "yellow" },
  missing: { mark: "✗", tint: "red" },
};

/** The result for people: a line for each check, with its remedy below it. */
export function renderDoctor({ findings, adapters, system }: DoctorResult, paint: Paint): string {
  const width = Math.max(...findings.map(({ check }) => check.length));
  const lines = findings.flatMap(({ check, state, found, remedy }) => {
    const { mark, tint } = MARKS[state];
    const line = `${paint(mark, tint, "bold")} ${check.padEnd(width)}  ${visible(found)}`;
    return remedy === undefined ? [line] : [line, `  ${"".padEnd(width)}  ${paint("→", tint)} ${visible(remedy)}`];
  });
  const verdicts = Object.entries(adapters).map(([name, isReady]) =>
    isReady ? paint(`--adapter ${name} can be used`, "green") : paint(`--adapter ${name} cannot be used`, "red")
  );
  const last = verdicts.length === 0 ? `no adapter for ${system}` : verdicts.join("; ");
  return `${lines.join("\n")}\n\n${last}\n`;
}
