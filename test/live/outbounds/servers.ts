/** Real servers from Debian, started by a test on loopback and ended by it; and certificates made on the spot. */
import { X509Certificate } from "node:crypto";

const HOST = "127.0.0.1";
const STARTED_MS_MAX = 15_000;
const LIFE_S_MAX = 280;

/** The package that each program is in. */
const PACKAGES: Readonly<Record<string, string>> = {
  "ss-server": "shadowsocks-libev",
  trojan: "trojan",
  v2ray: "v2ray",
  danted: "dante-server",
  microsocks: "microsocks",
  tinyproxy: "tinyproxy",
  dnsmasq: "dnsmasq-base",
  unbound: "unbound",
  openssl: "openssl",
};

/** Where a program is; undefined when this machine has none. Daemons are in folders that users' paths leave out. */
export function findProgram(name: string): string | undefined {
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/usr/local/sbin", "/sbin"];
  return folders.map((folder) => `${folder}/${name}`).find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

/** Why a test that needs these programs cannot run; undefined when it can. Says it as well. */
export function whyWithout(test: string, programs: readonly string[]): string | undefined {
  if (Deno.build.os !== "linux") return "it wants Linux";
  const missing = programs.filter((name) => findProgram(name) === undefined);
  if (missing.length === 0) return undefined;
  const packages = missing.map((name) => PACKAGES[name] ?? name).join(" ");
  const why = `${missing.join(", ")} missing (apt-get install --no-install-recommends ${packages})`;
  console.log(`${test}: ${why}`);
  return why;
}

/** A port that nobody has now, neither of TCP nor, as far as one can tell, of UDP. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  return listener.addr.port;
}

/** A certificate of a server, and who vouches for it. */
export interface Certificates {
  readonly authority: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** Of the server's certificate, SHA-256, in hex. */
  readonly fingerprint: string;
}

/** A server that runs. */
export interface RunningServer {
  readonly name: string;
  readonly child: Deno.ChildProcess;
  /** What it wrote, both streams. */
  readonly output: () => string;
}

/** All servers of one test, and their folder. Disposing of it ends them. */
export class Servers {
  readonly folder: string;
  readonly #running: { server: RunningServer; reading: Promise<unknown> }[] = [];

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<Servers> {
    const folder = await Deno.makeTempDir({ prefix: "weir-servers-" });
    // Some of them give root up and read their files as somebody else.
    await Deno.chmod(folder, 0o755);
    return new Servers(folder);
  }

  async write(name: string, text: string): Promise<string> {
    const path = `${this.folder}/${name}`;
    await Deno.writeTextFile(path, text);
    await Deno.chmod(path, 0o644);
    return path;
  }

  /** Starts a program. */
  start(program: string, args: readonly string[], path: string | undefined = findProgram(program)): RunningServer {
    // A group of its own, so that a signal reaches its children as well; and an end even if nobody is left to end it.
    const child = new Deno.Command("timeout", {
      args: ["-k", "1", String(LIFE_S_MAX), path!, ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      env: { NO_COLOR: "1" },
      detached: true,
    }).spawn();
    let output = "";
    const read = async (stream: ReadableStream<Uint8Array>) => {
      const decoder = new TextDecoder();
      for await (const chunk of stream) output = (output + decoder.decode(chunk, { stream: true })).slice(-100_000);
    };
    const reading = Promise.all([read(child.stdout), read(child.stderr)]);
    const server = { name: program, child, output: () => output };
    this.#running.push({ server, reading });
    return server;
  }

  /** Waits until a port is listened on. Errors: an Error with what the server wrote. */
  async listens(server: RunningServer, port: number): Promise<void> {
    const until = performance.now() + STARTED_MS_MAX;
    while (performance.now() < until) {
      try {
        (await Deno.connect({ hostname: HOST, port })).close();
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
    }
    throw new Error(`${server.name} does not listen on port ${port}: ${server.output()}`);
  }

  /** Waits until a server has written something. Answers with all that it wrote. */
  async wrote(server: RunningServer, text: string): Promise<string> {
    const until = performance.now() + STARTED_MS_MAX;
    while (performance.now() < until) {
      if (server.output().includes(text)) return server.output();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`${server.name} did not write ${text}: ${server.output()}`);
  }

  /** Sends a signal to all, or to one. */
  signal(name: Deno.Signal, only?: RunningServer): void {
    for (const { server } of this.#running) {
      if (only !== undefined && server !== only) continue;
      // Some have children; all are in one group. One that has ended already is none any more.
      const args = ["-s", name.replace("SIG", ""), "--", `-${server.child.pid}`];
      new Deno.Command("kill", { args, stdin: "null", stdout: "null", stderr: "null" }).outputSync();
    }
  }

  /** Ends one and waits for its end. */
  async end(server: RunningServer): Promise<void> {
    this.signal("SIGKILL", server);
    await server.child.status;
  }

  /** Makes an authority and a certificate of its for `proxy.test`, `localhost` and 127.0.0.1. */
  async certificates(): Promise<Certificates> {
    const at = (name: string) => `${this.folder}/${name}`;
    const names = "subjectAltName=DNS:proxy.test,DNS:localhost,IP:127.0.0.1";
    const extensions = await this.write(
      "extensions",
      `${names}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n`,
    );
    const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    await this.#openssl(
      ...["req", "-x509", ...newKey, "-keyout", at("ca.key"), "-out", at("ca.pem"), "-days", "2"],
      ...["-subj", "/CN=authority of a test", "-addext", "keyUsage=critical,keyCertSign"],
    );
    await this.#openssl(
      "req",
      ...newKey,
      "-keyout",
      at("server.key"),
      "-out",
      at("server.csr"),
      "-subj",
      "/CN=proxy.test",
    );
    await this.#openssl(
      ...["x509", "-req", "-in", at("server.csr"), "-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial"],
      ...["-days", "2", "-extfile", extensions, "-out", at("server.pem")],
    );
    await Deno.chmod(at("server.key"), 0o644);
    const certificate = new X509Certificate(await Deno.readTextFile(at("server.pem")));
    return {
      authority: await Deno.readTextFile(at("ca.pem")),
      certFile: at("server.pem"),
      keyFile: at("server.key"),
      fingerprint: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
    };
  }

  async #openssl(...args: string[]): Promise<void> {
    const { success, stderr } = await new Deno.Command("openssl", { args, stdin: "null" }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal("SIGKILL");
    for (const { server, reading } of this.#running) {
      await server.child.status;
      await reading;
    }
    await Deno.remove(this.folder, { recursive: true });
  }
}
