/**
 * Two network namespaces and a Windows, made for one test and removed after it:
 *
 * ```
 *  ┌ host ─────────────────────────────────────────────┐     ┌ world ──┐
 *  │ curl, iperf3; client programs under Wine          │     │ servers │
 *  │   │                                               │     │         │
 *  │ TUN of lab_helper ── wintun.dll ── weir under Wine ├ veth ┤         │
 *  └───────────────────────────────────────────────────┘     └─────────┘
 * ```
 *
 * Whoever binds to the veth's address leaves through it, whatever the routes say, as Windows' strong host model has it.
 */
import { buildStandIns, STAND_INS, whyNoCompiler } from "../../scripts/build/wine_stand_ins.ts";
import { fetchRealWinDivert, REAL_WINDIVERT } from "../../scripts/build/real_windivert.ts";
import { hasTool, prepareWine, whyNoWine, WineHome, type WineOptions } from "../../scripts/build/wine_lab.ts";
import { type Finished, Running } from "../live/lab.ts";

/** The servers' addresses, on the world's loopback. */
export const SERVER_V4 = "198.51.100.10";
export const SERVER_V6 = "2001:db8::10";
/** An address that the world says is unreachable. */
export const NOWHERE_V4 = "192.0.2.1";
/** The host's own addresses. */
export const HOST_V4 = "10.77.0.1";
export const HOST_V6 = "fd77::1";
const GATEWAY_V4 = "10.77.0.2";
const GATEWAY_V6 = "fd77::2";
/** Where lab_helper listens, on the host's loopback. */
const HELPER_PORT = 4711;
/** The routing table of sockets that are bound to the veth's addresses. */
const STRONG_HOST_TABLE = "77";

const ROOT = decodeURIComponent(new URL("../../", import.meta.url).pathname);
/** The compiled program. */
export const WEIR_EXE = `${ROOT}dist/weir.exe`;

/** Why these tests cannot run here, with what to do about it; undefined when they can. */
export function whyNotWindows(): string | undefined {
  const reason = whyNoWine() ?? whyNoCompiler();
  if (reason !== undefined) return reason;
  try {
    Deno.statSync("/dev/net/tun");
  } catch {
    return "/dev/net/tun is absent";
  }
  const missing = ["curl", "iperf3", "iptables", "timeout"].filter((tool) => !hasTool(tool));
  return missing.length === 0 ? undefined : `${missing.join(", ")} not installed`;
}

async function run(command: string, args: readonly string[]): Promise<Finished> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args: [...args], stdin: "null" }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

async function mustRun(command: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await run(command, args);
  if (code !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
}

async function newestChange(folder: string): Promise<number> {
  let newest = 0;
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) newest = Math.max(newest, await newestChange(path));
    else newest = Math.max(newest, (await Deno.stat(path)).mtime?.getTime() ?? 0);
  }
  return newest;
}

/** Compiles dist/weir.exe unless it is newer than its sources. WEIR_LAB_EXE=keep takes the one that is there. */
async function compileWeir(): Promise<void> {
  const made = (await Deno.stat(WEIR_EXE).catch(() => undefined))?.mtime?.getTime() ?? 0;
  if (made > 0 && Deno.env.get("WEIR_LAB_EXE") === "keep") return;
  const changes = await Promise.all(["core", "ffi", "sim"].map((folder) => newestChange(ROOT + folder)));
  const main = (await Deno.stat(`${ROOT}main.ts`)).mtime?.getTime() ?? 0;
  if (made > Math.max(main, ...changes)) return;
  await mustRun(Deno.execPath(), "run", "-A", `${ROOT}scripts/build/compile.ts`, "windows");
}

let isPrepared: Promise<void> | undefined;

/** Makes Wine, the stand-ins and weir.exe, once. */
export function prepare(): Promise<void> {
  isPrepared ??= (async () => {
    await prepareWine();
    await buildStandIns();
    const missing = await fetchRealWinDivert();
    if (missing !== undefined) console.log(`the real WinDivert.dll is not asked: ${missing}`);
    await compileWeir();
  })();
  return isPrepared;
}

/** What lab_helper says of itself. */
export interface HelperState {
  readonly adapters: readonly {
    readonly name: string;
    readonly device: string;
    readonly index: number;
    readonly guid: string;
    readonly isGone: boolean;
    readonly hasSession: boolean;
    readonly handles: number;
    readonly capacity: number;
    readonly sessions: number;
    readonly toProgram: number;
    readonly toDevice: number;
    readonly discarded: number;
  }[];
  readonly interfaces: readonly {
    readonly index: number;
    readonly family: number;
    readonly metric: number;
    readonly isAutomatic: boolean;
    readonly mtu: number;
  }[];
  readonly dns: readonly { readonly guid: string; readonly family: number; readonly servers: string }[];
  /** Of WinDivert: packets that wait for an answer, and packets lost because too many did. */
  readonly divert: { readonly handles: number; readonly waiting: number; readonly overflow: number };
}

let labs = 0;

/** The namespaces, the helper, the Windows, and everything that runs in them. */
export class WindowsLab {
  readonly host: string;
  readonly world: string;
  /** A folder of this machine for the test's files. */
  readonly folder: string;
  readonly #running: Running[] = [];
  #home: WineHome | undefined = undefined;

  private constructor(tag: string, folder: string) {
    this.host = `${tag}-h`;
    this.world = `${tag}-w`;
    this.folder = folder;
  }

  /** Takes away what a run that was killed has left. */
  static async #sweep(): Promise<void> {
    const names = (await run("ip", ["netns", "list"])).stdout.split("\n").map((line) => line.split(" ")[0]!);
    for (const name of names) {
      const owner = /^weirwin(\d+)-\d+-[hw]$/.exec(name)?.[1];
      if (owner === undefined || await Deno.stat(`/proc/${owner}`).then(() => true, () => false)) continue;
      await emptyNamespace(name);
      await run("ip", ["netns", "del", name]);
    }
  }

  static async make(): Promise<WindowsLab> {
    await prepare();
    await WindowsLab.#sweep();
    const folder = await Deno.makeTempDir({ prefix: "weir-windows-" });
    const lab = new WindowsLab(`weirwin${Deno.pid}-${labs++}`, folder);
    try {
      await lab.#makeNetwork();
      await lab.#makeWindows();
      return lab;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #makeNetwork(): Promise<void> {
    const { host, world } = this;
    for (const name of [host, world]) {
      await mustRun("ip", "netns", "add", name);
      await mustRun("ip", "-n", name, "link", "set", "lo", "up");
    }
    await mustRun("ip", "link", "add", "link0", "netns", host, "type", "veth", "peer", "name", "link0", "netns", world);
    const loose = "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done";
    await mustRun("ip", "netns", "exec", host, "sh", "-c", loose);
    const steps: readonly (readonly [string, string])[] = [
      [host, `addr add ${HOST_V4}/24 dev link0`],
      [host, `addr add ${HOST_V6}/64 dev link0 nodad`],
      [host, "link set link0 up"],
      [world, `addr add ${GATEWAY_V4}/24 dev link0`],
      [world, `addr add ${GATEWAY_V6}/64 dev link0 nodad`],
      [world, "link set link0 up"],
      [world, `addr add ${SERVER_V4}/32 dev lo`],
      [world, `addr add ${SERVER_V6}/128 dev lo nodad`],
      [world, `route add unreachable ${NOWHERE_V4}/32`],
      [host, `route add default via ${GATEWAY_V4} metric 4000`],
      [host, `-6 route add default via ${GATEWAY_V6} metric 4000`],
      [host, `route add default via ${GATEWAY_V4} table ${STRONG_HOST_TABLE}`],
      [host, `-6 route add default via ${GATEWAY_V6} table ${STRONG_HOST_TABLE}`],
      [host, `rule add from ${HOST_V4} lookup ${STRONG_HOST_TABLE} priority 100`],
      [host, `-6 rule add from ${HOST_V6} lookup ${STRONG_HOST_TABLE} priority 100`],
    ];
    for (const [name, step] of steps) await mustRun("ip", "-n", name, ...step.split(" "));
    const forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
    await mustRun("ip", "netns", "exec", world, "sh", "-c", forward);
  }

  async #makeWindows(): Promise<void> {
    const helper = this.start(this.host, [`${STAND_INS}lab_helper`, String(HELPER_PORT), this.#controlPath]);
    await helper.wrote("lab_helper is ready");
    this.#home = await WineHome.make(this.host);
    const programs = `${this.#home.folder}/programs`;
    await Deno.link(WEIR_EXE, `${programs}/weir.exe`).catch(() => Deno.copyFile(WEIR_EXE, `${programs}/weir.exe`));
    for await (const { name } of Deno.readDir(STAND_INS)) {
      if (name.endsWith(".dll")) await Deno.copyFile(STAND_INS + name, `${programs}/${name}`);
    }
  }

  get #controlPath(): string {
    return `${this.folder}/control`;
  }

  /** The Windows of this lab. */
  get home(): WineHome {
    if (this.#home === undefined) throw new Error("Cannot use the Windows of this lab: it is gone");
    return this.#home;
  }

  /** The folder with weir.exe and the DLLs, seen from this machine; `home.programs` is what Windows programs call it. */
  get programFolder(): string {
    return `${this.home.folder}/programs`;
  }

  /** Whether the real WinDivert library is beside the stand-in, to be asked about filters; prints what is left out when it is not. */
  async hasRealWinDivert(leftOut: string): Promise<boolean> {
    const isThere = await Deno.stat(`${this.programFolder}/${REAL_WINDIVERT}`).then(() => true, () => false);
    if (!isThere) console.log(`without the real WinDivert.dll: ${leftOut} is skipped`);
    return isThere;
  }

  /** Says a line to lab_helper and answers with what it says. */
  async control(line: string): Promise<string> {
    using connection = await Deno.connect({ transport: "unix", path: this.#controlPath });
    await connection.write(new TextEncoder().encode(`${line}\n`));
    let text = "";
    const part = new Uint8Array(65536);
    while (!text.endsWith("\n")) {
      const count = await connection.read(part);
      if (count === null) break;
      text += new TextDecoder().decode(part.subarray(0, count));
    }
    return text.trim();
  }

  async state(): Promise<HelperState> {
    return JSON.parse(await this.control("state"));
  }

  /** Addresses, routes and rules of the host, but for what lives on its loopback. Two of them are equal when nothing has changed. */
  async network(): Promise<string> {
    const parts = await Promise.all(
      ["-o addr show", "-4 route show table all", "-6 route show table all", "rule", "-6 rule"].map((args) =>
        run("ip", ["-n", this.host, ...args.split(" ")])
      ),
    );
    // Linux counts down lifetimes and learns neighbours by itself.
    return parts.map(({ stdout }) => stdout.replaceAll(/ expires \d+sec/g, "")).join("\n");
  }

  #wineOptions(options: WineOptions): WineOptions {
    return { ...options, env: { WEIR_LAB_PORT: String(HELPER_PORT), ...options.env } };
  }

  /** Starts weir.exe; its libraries are beside it. */
  startWeir(args: readonly string[], options: WineOptions = {}): Running {
    const exe = `${this.home.programs}\\weir.exe`;
    return this.startHere(this.home.command([exe, ...args], this.#wineOptions(options)));
  }

  /** Starts a TypeScript program of test/windows/programs under Wine. */
  startProgram(name: string, args: readonly string[] = [], options: WineOptions = {}): Running {
    const file = `test/windows/programs/${name}`;
    return this.startHere(this.home.denoCommand(file, args, this.#wineOptions(options)));
  }

  /** Runs a TypeScript program of test/windows/programs under Wine, to its end. */
  runProgram(
    name: string,
    args: readonly string[] = [],
    options: WineOptions = {},
    timeoutMs?: number,
  ): Promise<Finished> {
    const file = `test/windows/programs/${name}`;
    return this.home.run(this.home.denoCommand(file, args, this.#wineOptions(options)), timeoutMs);
  }

  /** Runs a Windows program to its end. */
  runWindows(args: readonly string[], options: WineOptions = {}, timeoutMs?: number): Promise<Finished> {
    return this.home.run(this.home.command(args, this.#wineOptions(options)), timeoutMs);
  }

  /** Starts a command line as it is; it is stopped when the lab goes. */
  startHere(command: readonly string[]): Running {
    const [program, ...args] = command;
    const streams = { stdin: "null", stdout: "piped", stderr: "piped" } as const;
    const running = new Running(new Deno.Command(program!, { args, ...streams }).spawn());
    this.#running.push(running);
    return running;
  }

  /** Starts a program of this machine in one of the namespaces. */
  start(namespace: string, command: readonly string[]): Running {
    return this.startHere(["ip", "netns", "exec", namespace, ...command]);
  }

  /** Starts a TypeScript program of this machine in one of the namespaces. */
  startDeno(namespace: string, file: URL, args: readonly string[]): Running {
    return this.start(namespace, [Deno.execPath(), "run", "-A", "--no-check", file.pathname, ...args]);
  }

  /** Runs a program in one of the namespaces to its end, or kills it when it takes too long: then its status is 124 or 137. */
  exec(namespace: string, command: readonly string[], timeoutMs = 60_000): Promise<Finished> {
    const limit = ["timeout", "--kill-after=1", String(timeoutMs / 1000)];
    return run("ip", ["netns", "exec", namespace, ...limit, ...command]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const running of this.#running.reverse()) await running.stop("SIGKILL");
    await this.#home?.[Symbol.asyncDispose]();
    for (const name of [this.host, this.world]) {
      await emptyNamespace(name);
      await run("ip", ["netns", "del", name]);
    }
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Ends what still runs in a namespace: Windows programs start others. */
async function emptyNamespace(name: string): Promise<void> {
  for (const pid of (await run("ip", ["netns", "pids", name])).stdout.split("\n").filter((pid) => pid !== "")) {
    try {
      Deno.kill(Number(pid), "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }
}
