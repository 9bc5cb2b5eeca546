/**
 * The Wine lab: Windows programs on Linux, each lab with a Windows of its own.
 *
 * ```
 *  .cache/wine-lab/root      Debian trixie by debootstrap, with Wine 10 (Debian 12's cannot run Deno)
 *    /lab/template           what `wineboot -i` made
 *    /lab/deno.exe           Deno for Windows, from npm
 *    /lab/project            this project, while a program runs
 *    /lab/runs/ID            one lab: its Windows is the template by hard links, for wineserver owns the sockets of all programs of a Windows,
 *                            so that a network namespace needs a wineserver, and so a Windows, of its own
 * ```
 *
 * Every program enters the root through a mount namespace of its own: what is mounted there goes with it, even when it is killed.
 */

const ROOT = decodeURIComponent(new URL("../../", import.meta.url).pathname);
const CACHE = `${ROOT}.cache/wine-lab`;
/** The root folder of the Debian that Wine runs in. */
export const WINE_ROOT = `${CACHE}/root`;
const SUITE = "trixie";
/** What must be there before, and the Debian package that has it. */
const TOOLS: Readonly<Record<string, string>> = {
  debootstrap: "debootstrap",
  unshare: "util-linux",
  chroot: "coreutils",
  ip: "iproute2",
  npm: "npm",
};

/** Enters the root: $0 is its path, the rest is the command line. `env -i` is already in that. */
const ENTER =
  `mount --rbind /proc "$0/proc" && mount --rbind /dev "$0/dev" && mount --bind "$WEIR_PROJECT" "$0/lab/project" &&
exec chroot "$0" "$@"`;

/** What a finished program left. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a Windows program is started. Shape: `cwd` is a path inside the root, like /lab/project. */
export interface WineOptions {
  readonly netns?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
}

function exists(path: string): Promise<boolean> {
  return Deno.lstat(path).then(() => true, () => false);
}

/** True when a program of that name is on the path. */
export function hasTool(name: string): boolean {
  const folders = (Deno.env.get("PATH") ?? "").split(":");
  return folders.some((folder) => {
    try {
      return Deno.statSync(`${folder}/${name}`).isFile;
    } catch {
      return false;
    }
  });
}

/** Why there can be no Wine here, with what to do about it; undefined when there can. */
export function whyNoWine(): string | undefined {
  if (Deno.build.os !== "linux") return `this is ${Deno.build.os}, not Linux`;
  if (Deno.uid() !== 0) return "this is not root";
  const missing = Object.keys(TOOLS).filter((tool) => !hasTool(tool));
  if (missing.length === 0) return undefined;
  const packages = [...new Set(missing.map((tool) => TOOLS[tool]))].join(" ");
  return `${missing.join(", ")} not installed: apt-get install ${packages}`;
}

async function run(command: string, args: readonly string[], env: Record<string, string> = {}): Promise<Finished> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args: [...args], env, stdin: "null" }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

async function mustRun(what: string, command: string, args: readonly string[], env = {}): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, env);
  if (code !== 0) {
    throw new Error(`Cannot ${what}: ${command} ended with ${code}\n${`${stdout}${stderr}`.slice(-2000)}`);
  }
  return stdout;
}

/** The command line that runs `command` inside the root. */
export function enterRoot(
  command: readonly string[],
  { netns, env = {}, cwd = "/lab" }: WineOptions,
): readonly string[] {
  const settings = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const inside = ["env", "-i", `--chdir=${cwd}`, "PATH=/usr/sbin:/usr/bin:/sbin:/bin", ...settings, ...command];
  const enter = ["unshare", "--mount", "--propagation", "private", "env", `WEIR_PROJECT=${ROOT}`, "sh", "-c", ENTER];
  const outside = netns === undefined ? [] : ["ip", "netns", "exec", netns];
  return [...outside, ...enter, WINE_ROOT, ...inside];
}

async function inRoot(what: string, command: readonly string[], env: Record<string, string> = {}): Promise<void> {
  const [program, ...args] = enterRoot(command, { env, cwd: "/" });
  await mustRun(what, program!, args);
}

/** The settings of this machine that packages are fetched with. */
function proxySettings(): Record<string, string> {
  const names = ["http_proxy", "https_proxy", "no_proxy"];
  return Object.fromEntries(names.flatMap((name) => {
    const value = Deno.env.get(name) ?? Deno.env.get(name.toUpperCase());
    return value === undefined ? [] : [[name, value]];
  }));
}

/** Debian and Wine. An attempt that was broken off is started over. */
async function makeRoot(): Promise<void> {
  if (await exists(`${WINE_ROOT}/lab/ready`)) return;
  await Deno.remove(WINE_ROOT, { recursive: true }).catch(() => {});
  await Deno.mkdir(WINE_ROOT, { recursive: true });
  const mirror = Deno.env.get("WEIR_DEBIAN_MIRROR");
  const from = mirror === undefined ? [] : [mirror];
  // It mounts /proc in there: in a mount namespace of its own, for what a killed one leaves mounted nobody can remove.
  const debootstrap = ["--mount", "--propagation", "private", "debootstrap", "--variant=minbase", SUITE, WINE_ROOT];
  await mustRun("make a Debian for Wine", "unshare", [...debootstrap, ...from]);
  await Deno.mkdir(`${WINE_ROOT}/lab/project`, { recursive: true });
  await Deno.mkdir(`${WINE_ROOT}/lab/runs`);
  await Deno.copyFile("/etc/resolv.conf", `${WINE_ROOT}/etc/resolv.conf`);
  const env = { ...proxySettings(), DEBIAN_FRONTEND: "noninteractive" };
  await inRoot("read Debian's package lists", ["apt-get", "update", "-qq"], env);
  const install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "wine", "wine64"];
  await inRoot("install Wine", install, env);
  await inRoot("clean up after apt", ["apt-get", "clean"]);
  const wine = { HOME: "/lab/home", WINEPREFIX: "/lab/template", XDG_RUNTIME_DIR: "/lab/home", WINEDEBUG: "-all" };
  await Deno.mkdir(`${WINE_ROOT}/lab/home`);
  await inRoot("make a Windows", ["wineboot", "-i"], wine);
  await inRoot("wait for the Windows to be written", ["wineserver", "-w"], wine);
  await Deno.writeTextFile(`${WINE_ROOT}/lab/ready`, "");
}

/** Deno for Windows; which version is the newest is asked once. */
async function fetchDeno(): Promise<void> {
  const program = `${WINE_ROOT}/lab/deno.exe`;
  if (await exists(program)) return;
  const folder = await Deno.makeTempDir({ prefix: "weir-deno-" });
  try {
    const npm = ["pack", "--silent", "@deno/win32-x64@latest", "--pack-destination", folder];
    const tarball = (await mustRun("fetch Deno for Windows", "npm", npm)).trim().split("\n").at(-1)!;
    await mustRun("unpack Deno for Windows", "tar", ["-xzf", `${folder}/${tarball}`, "-C", folder]);
    await Deno.copyFile(`${folder}/package/deno.exe`, `${program}.part`);
    await Deno.rename(`${program}.part`, program);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Makes whatever of the Wine environment is not there yet. Errors: an Error that says what is missing or which step failed. */
export async function prepareWine(): Promise<void> {
  const reason = whyNoWine();
  if (reason !== undefined) throw new Error(`Cannot make the Wine lab: ${reason}`);
  await makeRoot();
  await fetchDeno();
}

let homes = 0;

/** One Windows: a copy of the template, and the wineserver that belongs to it. */
export class WineHome {
  /** Its folder, seen from this machine and from inside the root. */
  readonly folder: string;
  readonly inside: string;
  readonly #netns: string | undefined;

  private constructor(name: string, netns: string | undefined) {
    this.folder = `${WINE_ROOT}/lab/runs/${name}`;
    this.inside = `/lab/runs/${name}`;
    this.#netns = netns;
  }

  /** Takes away the folders of labs whose process is no more. */
  static async #sweep(): Promise<void> {
    for await (const { name } of Deno.readDir(`${WINE_ROOT}/lab/runs`)) {
      const owner = /^(\d+)-\d+$/.exec(name)?.[1];
      if (owner !== undefined && await exists(`/proc/${owner}`)) continue;
      await Deno.remove(`${WINE_ROOT}/lab/runs/${name}`, { recursive: true });
    }
  }

  /** Makes a Windows whose programs all live in `netns`. */
  static async make(netns?: string): Promise<WineHome> {
    await WineHome.#sweep();
    const home = new WineHome(`${Deno.pid}-${homes++}`, netns);
    await Deno.mkdir(home.folder);
    const template = `${WINE_ROOT}/lab/template`;
    await mustRun("copy the Windows", "cp", ["-al", template, `${home.folder}/prefix`]);
    // Wine writes into these in place when they have several names; the others it replaces.
    for (const name of ["system.reg", "user.reg", "userdef.reg"]) {
      await Deno.remove(`${home.folder}/prefix/${name}`);
      await Deno.copyFile(`${template}/${name}`, `${home.folder}/prefix/${name}`);
    }
    // Names the folder of the template's own wineserver.
    await Deno.remove(`${home.folder}/prefix/wineserver`).catch(() => {});
    for (const name of ["home", "run", "programs"]) await Deno.mkdir(`${home.folder}/${name}`);
    await home.#boot();
    return home;
  }

  /**
   * Starts the wineserver, to stay until the lab ends, and Windows' services, with streams of their own: else the first program would start them,
   * and whoever reads its output would wait for them all.
   */
  async #boot(): Promise<void> {
    const options = { netns: this.#netns, env: this.#settings() };
    for (const command of [["wineserver", "-p"], ["wine", "cmd", "/c", "exit"]]) {
      const [program, ...args] = enterRoot(command, options);
      const streams = { stdin: "null", stdout: "null", stderr: "null" } as const;
      const { code } = await new Deno.Command(program!, { args, ...streams }).spawn().status;
      if (code !== 0) {
        throw new Error(`Cannot start the Windows in ${this.folder}: ${command.join(" ")} ended with ${code}`);
      }
    }
  }

  /** The path that Windows programs know something by; `path` is one inside the root. */
  static windowsPath(path: string): string {
    return `Z:${path.replaceAll("/", "\\")}`;
  }

  /** The folder `programs` of this lab, as Windows programs see it; DLLs and executables go there. */
  get programs(): string {
    return WineHome.windowsPath(`${this.inside}/programs`);
  }

  /** The command line of a Windows program. The process that it starts is the program itself, so that signals reach it. */
  command(args: readonly string[], { env = {}, cwd }: WineOptions = {}): readonly string[] {
    return enterRoot(["wine", ...args], { netns: this.#netns, env: { ...this.#settings(), ...env }, cwd });
  }

  /** The command line of a TypeScript program of this project, by its path from the root of the project. */
  denoCommand(file: string, args: readonly string[] = [], options: WineOptions = {}): readonly string[] {
    const env = { DENO_DIR: "Z:\\lab\\deno_dir", DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1", ...options.env };
    const deno = ["Z:\\lab\\deno.exe", "run", "-A", "--no-check", "--no-lock", "--cached-only"];
    return this.command([...deno, WineHome.windowsPath(`/lab/project/${file}`), ...args], { ...options, env });
  }

  #settings(): Record<string, string> {
    return {
      HOME: `${this.inside}/home`,
      WINEPREFIX: `${this.inside}/prefix`,
      XDG_RUNTIME_DIR: `${this.inside}/run`,
      WINEDEBUG: "fixme-all,err-all",
      NO_COLOR: "1",
    };
  }

  /** Runs a command line of `command` or `denoCommand` to its end, or kills it when it takes too long: then its status is 124 or 137. */
  async run(command: readonly string[], timeoutMs = 60_000): Promise<Finished> {
    return await run("timeout", ["--kill-after=1", String(timeoutMs / 1000), ...command]);
  }

  /** Ends all programs of this Windows and removes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    const [program, ...args] = enterRoot(["wineserver", "-k"], { netns: this.#netns, env: this.#settings() });
    await run("timeout", ["--kill-after=1", "20", program!, ...args]);
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Runs one Windows program in a Windows of its own, to its end. */
export async function runInWine(args: readonly string[], options: WineOptions = {}): Promise<Finished> {
  await prepareWine();
  await using home = await WineHome.make(options.netns);
  return await home.run(home.command(args, options), 600_000);
}

if (import.meta.main) {
  const started = performance.now();
  await prepareWine();
  console.log(`the Wine lab is ready after ${((performance.now() - started) / 1000).toFixed(1)} s`);
  if (Deno.args.length > 0) {
    const { code, stdout, stderr } = await runInWine(Deno.args, { cwd: "/lab/project" });
    console.log(stdout);
    console.error(stderr);
    Deno.exit(code);
  }
}
