/**
 * Three network namespaces, made for one test and removed after it:
 *
 * ```
 *  client ── TUN weir0 ── weir, which runs in `middle` ── veth ── server
 * ```
 *
 * Nothing listens outside of them. The client's default route is the TUN device; `middle` knows the way to the server's addresses only.
 */

/** The server's addresses, on its loopback. */
export const SERVER_V4 = "198.51.100.10";
export const SERVER_V6 = "2001:db8::10";
/** An address that `server` swallows whatever is sent to it. */
export const SILENT_V4 = "198.51.100.99";
/** An address that `middle` has no route to. */
export const NOWHERE_V4 = "192.0.2.1";
/** The client's own addresses, on the TUN device. */
export const CLIENT_V4 = "198.18.0.1";
export const CLIENT_V6 = "fd18::1";

/** Why live tests cannot run here; undefined when they can. */
export function whyNotLive(): string | undefined {
  if (Deno.build.os !== "linux") return `this is ${Deno.build.os}, not Linux`;
  if (Deno.uid() !== 0) return "this is not root";
  try {
    Deno.statSync("/dev/net/tun");
  } catch {
    return "/dev/net/tun is absent";
  }
  for (const tool of ["ip", "curl", "iperf3", "timeout"]) {
    try {
      new Deno.Command(tool, { args: ["--version"], stdout: "null", stderr: "null" }).outputSync();
    } catch {
      return `${tool} is not installed`;
    }
  }
  return undefined;
}

/** What a finished program left. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** One of the three places. */
export type Place = "client" | "middle" | "server";

async function run(command: string, args: readonly string[]): Promise<Finished> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args: [...args] }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

async function mustRun(command: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await run(command, args);
  if (code !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
}

/** A program that runs until it is told to stop. */
export class Running {
  readonly child: Deno.ChildProcess;
  /** All that it has written to both of its streams. */
  text = "";
  readonly #readers: Promise<void>[];
  #wake: (() => void) | undefined = undefined;

  constructor(child: Deno.ChildProcess) {
    this.child = child;
    this.#readers = [child.stdout, child.stderr].map(async (stream) => {
      for await (const part of stream.pipeThrough(new TextDecoderStream())) {
        this.text += part;
        this.#wake?.();
      }
      this.#wake?.();
    });
  }

  /** Waits until it has written `word`. Errors: when it ends first, or takes too long. */
  async wrote(word: string, timeoutMs = 30_000): Promise<void> {
    const until = performance.now() + timeoutMs;
    let isOver = false;
    this.child.status.then(() => {
      isOver = true;
      this.#wake?.();
    });
    while (!this.text.includes(word)) {
      if (isOver || performance.now() > until) throw new Error(`"${word}" was not written: ${this.text}`);
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, 200);
      });
      clearTimeout(timer);
    }
  }

  /** Asks it to stop, waits, and answers with its exit status. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<number> {
    try {
      this.child.kill(signal);
    } catch {
      // It has ended by itself.
    }
    const timer = setTimeout(() => this.child.kill("SIGKILL"), 10_000);
    const { code } = await this.child.status;
    clearTimeout(timer);
    await Promise.all(this.#readers);
    return code;
  }
}

/** Begins anywhere: tests that run at once in one process number their labs each for themselves. */
let labs = crypto.getRandomValues(new Uint32Array(1))[0]! % 1_000_000;

/** The namespaces and everything that runs in them. */
export class Lab {
  readonly #names: Readonly<Record<Place, string>>;
  readonly #running: Running[] = [];
  readonly folder: string;

  private constructor(names: Readonly<Record<Place, string>>, folder: string) {
    this.#names = names;
    this.folder = folder;
  }

  /** Takes away what a run that was killed has left: namespaces of processes that are no more, with what still runs in them. */
  static async #sweep(): Promise<void> {
    const names = (await run("ip", ["netns", "list"])).stdout.split("\n").map((line) => line.split(" ")[0]!);
    for (const name of names) {
      const owner = /^weir(\d+)-\d+-[cms]$/.exec(name)?.[1];
      if (owner === undefined || await Deno.stat(`/proc/${owner}`).then(() => true, () => false)) continue;
      for (const pid of (await run("ip", ["netns", "pids", name])).stdout.split("\n").filter((pid) => pid !== "")) {
        Deno.kill(Number(pid), "SIGKILL");
      }
      await run("ip", ["netns", "del", name]);
    }
  }

  /** Makes the namespaces. `mtu` is that of the link between weir and the server. */
  static async make(mtu = 1500): Promise<Lab> {
    await Lab.#sweep();
    const tag = `weir${Deno.pid}-${labs++}`;
    const names = { client: `${tag}-c`, middle: `${tag}-m`, server: `${tag}-s` };
    const lab = new Lab(names, await Deno.makeTempDir({ prefix: "weir-live-" }));
    try {
      await lab.#make(mtu);
      return lab;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #make(mtu: number): Promise<void> {
    const { client, middle, server } = this.#names;
    for (const name of [client, middle, server]) {
      await mustRun("ip", "netns", "add", name);
      await mustRun("ip", "-n", name, "link", "set", "lo", "up");
    }
    const link = ["link", "add", "link0", "mtu", String(mtu), "netns", middle];
    await mustRun("ip", ...link, "type", "veth", "peer", "name", "link0", "mtu", String(mtu), "netns", server);
    const steps: readonly (readonly [string, string])[] = [
      [middle, "addr add 10.77.0.1/24 dev link0"],
      [middle, "addr add fd77::1/64 dev link0 nodad"],
      [middle, "link set link0 up"],
      [server, "addr add 10.77.0.2/24 dev link0"],
      [server, "addr add fd77::2/64 dev link0 nodad"],
      [server, "link set link0 up"],
      [server, `addr add ${SERVER_V4}/32 dev lo`],
      [server, `addr add ${SERVER_V6}/128 dev lo nodad`],
      [server, `route add blackhole ${SILENT_V4}/32`],
      [middle, "route add 198.51.100.0/24 via 10.77.0.2"],
      [middle, "route add 2001:db8::/64 via fd77::2"],
    ];
    for (const [name, step] of steps) await mustRun("ip", "-n", name, ...step.split(" "));
  }

  /** The namespace's name for `ip netns`. */
  namespace(place: Place): string {
    return this.#names[place];
  }

  /** Runs a program to its end, or kills it with its children when it takes too long: then its status is 137 or 124. */
  exec(place: Place, command: readonly string[], timeoutMs = 60_000): Promise<Finished> {
    const limit = ["timeout", "--kill-after=1", String(timeoutMs / 1000)];
    return run("ip", ["netns", "exec", this.#names[place], ...limit, ...command]);
  }

  /** Starts a program; it is stopped when the lab goes. */
  start(place: Place, command: readonly string[], env: Record<string, string> = {}): Running {
    // Without a shell in between, the process id is the program's own: `ip netns exec` becomes it.
    const args = ["netns", "exec", this.#names[place], ...command];
    const running = new Running(
      new Deno.Command("ip", { args, env, stdout: "piped", stderr: "piped", stdin: "null" }).spawn(),
    );
    this.#running.push(running);
    return running;
  }

  /** Starts a TypeScript program of test/live/programs or elsewhere. */
  startDeno(place: Place, file: URL, args: readonly string[], env: Record<string, string> = {}): Running {
    return this.start(place, [Deno.execPath(), "run", "-A", "--no-check", file.pathname, ...args], env);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const running of this.#running) await running.stop();
    for (const name of Object.values(this.#names)) await run("ip", ["netns", "del", name]);
    await Deno.remove(this.folder, { recursive: true });
  }
}
