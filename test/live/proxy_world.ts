/** Real proxies and a real name server in the lab's `server`, and the configuration that leads to them. */
import { assertEquals } from "@std/assert";
import { type Lab, type Place, type Running, SERVER_V4 } from "./lab.ts";

/** The name server that programs of the client ask; nothing is there, so that only weir can have answered. */
export const NAME_SERVER = "203.0.113.53";
/** The login of the SOCKS 5 and HTTP proxies. */
const LOGIN = { user: "somebody", password: "socks-secret" };
const PASSWORD = "ss-and-trojan-secret";
const UUID = "0b1a4c3e-7d3f-4f6e-9d1b-3a2c1d0e9f88";

/** Proxies by the name that the configuration has for them. */
export const PROXIES = [
  "microsocks",
  "dante",
  "tinyproxy",
  "ss",
  "trojan",
  "vmess",
  "vmesstls",
  "vmessws",
  "vless",
  "vlessws",
] as const;
/** One of them. */
export type ProxyName = typeof PROXIES[number];
/** Those that carry datagrams. */
export const UDP_PROXIES: readonly ProxyName[] = ["dante", "ss", "trojan", "vmess", "vmessws", "vless"];

const PORTS: Readonly<Record<ProxyName, number>> = {
  microsocks: 1080,
  dante: 1081,
  tinyproxy: 8888,
  ss: 8388,
  trojan: 8443,
  vmess: 10_001,
  vmesstls: 10_002,
  vmessws: 10_003,
  vless: 10_004,
  vlessws: 10_005,
};

const PROGRAM_OF: Readonly<Record<ProxyName, string>> = {
  microsocks: "microsocks",
  dante: "danted",
  tinyproxy: "tinyproxy",
  ss: "ss-server",
  trojan: "trojan",
  vmess: "v2ray",
  vmesstls: "v2ray",
  vmessws: "v2ray",
  vless: "v2ray",
  vlessws: "v2ray",
};

async function isInstalled(program: string): Promise<boolean> {
  const found = await new Deno.Command("sh", { args: ["-c", `command -v ${program}`], stdout: "null" }).output();
  return found.code === 0;
}

/** Which of these programs are not here. */
export async function missingPrograms(programs: readonly string[]): Promise<string[]> {
  const missing: string[] = [];
  for (const program of programs) if (!await isInstalled(program)) missing.push(program);
  return missing;
}

/** Why there can be no world at all; says so as well. */
export async function whyNoWorld(...others: readonly string[]): Promise<string | undefined> {
  const missing = await missingPrograms(["dnsmasq", "dig", "openssl", ...others]);
  if (missing.length === 0) return undefined;
  const reason = `${missing.join(", ")} not installed`;
  console.log(`skipped: ${reason}`);
  return reason;
}

/** The world behind the lab's server. */
export class ProxyWorld {
  /** Proxies whose servers run. */
  readonly proxies: readonly ProxyName[];
  /** The name server; its text has a line for each question. */
  readonly dns: Running;
  readonly #lab: Lab;
  readonly #servers: ReadonlyMap<string, Running>;

  private constructor(lab: Lab, proxies: readonly ProxyName[], dns: Running, servers: ReadonlyMap<string, Running>) {
    this.#lab = lab;
    this.proxies = proxies;
    this.dns = dns;
    this.#servers = servers;
  }

  /** Starts a name server for `*.test` and the wanted proxies; says which of them are not installed. */
  static async start(lab: Lab, wanted: readonly ProxyName[]): Promise<ProxyWorld> {
    await Deno.chmod(lab.folder, 0o755);
    await Deno.writeTextFile(`${lab.folder}/resolv.server`, `nameserver ${SERVER_V4}\n`);
    await Deno.writeTextFile(
      `${lab.folder}/resolv.client`,
      `nameserver ${NAME_SERVER}\noptions timeout:2 attempts:2\n`,
    );
    const missing = await missingPrograms([...new Set(wanted.map((name) => PROGRAM_OF[name]))]);
    if (missing.length > 0) console.log(`not shown: ${missing.join(", ")} not installed`);
    const proxies = wanted.filter((name) => !missing.includes(PROGRAM_OF[name]));
    const options = [
      "--keep-in-foreground",
      "--log-facility=-",
      "--no-resolv",
      "--no-hosts",
      "--conf-file=/dev/null",
      "--pid-file=",
      "--log-queries",
      "--user=root",
    ];
    const records = [
      `--address=/test/${SERVER_V4}`,
      "--address=/near.test/10.77.0.2",
      "--txt-record=text.test,hello from outside",
      "--local=/test/",
    ];
    const dns = lab.start("server", ["dnsmasq", ...options, ...records]);
    await dns.wrote("started");
    if (proxies.some((name) => name === "trojan" || PROGRAM_OF[name] === "v2ray")) await makeCertificate(lab.folder);
    const servers = new Map<string, Running>();
    for (const name of proxies) {
      const program = PROGRAM_OF[name];
      if (!servers.has(program)) servers.set(program, await startServer(lab, program));
    }
    const world = new ProxyWorld(lab, proxies, dns, servers);
    await world.#listening(proxies.map((name) => PORTS[name]));
    return world;
  }

  /** Waits until every port has its listener. */
  async #listening(ports: readonly number[]): Promise<void> {
    const until = performance.now() + 20_000;
    for (;;) {
      const { stdout } = await this.#lab.exec("server", ["ss", "-Hltn"]);
      const missing = ports.filter((port) => !stdout.includes(`:${port} `));
      if (missing.length === 0) return;
      if (performance.now() > until) throw new Error(`nobody listens on ${missing.join(", ")}: ${this.#texts()}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  #texts(): string {
    return Array.from(this.#servers, ([program, { text }]) => `${program}: ${text}`).join("\n");
  }

  /** The server that a proxy runs in. */
  server(name: ProxyName): Running {
    return this.#servers.get(PROGRAM_OF[name])!;
  }

  /** Questions that the name server was asked, each as `TYPE NAME from ADDRESS`. */
  get questions(): string[] {
    return Array.from(
      this.dns.text.matchAll(/query\[(\S+)\] (\S+) from (\S+)/g),
      ([, type, name, from]) => `${type} ${name} from ${from}`,
    );
  }
}

/** Programs of a place that look names up through `NAME_SERVER`, or through the world's own name server. */
export function withNames(lab: Lab, place: Place, command: readonly string[]): string[] {
  const file = `${lab.folder}/resolv.${place === "server" ? "server" : "client"}`;
  return ["sh", "-c", `mount --bind ${file} /etc/resolv.conf && exec "$@"`, "sh", ...command];
}

async function makeCertificate(folder: string): Promise<void> {
  const subject = ["-subj", "/CN=proxy.test", "-addext", "subjectAltName=DNS:proxy.test"];
  const files = ["-keyout", `${folder}/key.pem`, "-out", `${folder}/cert.pem`];
  const args = [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-days",
    "2",
    ...subject,
    ...files,
  ];
  const { code, stderr } = await new Deno.Command("openssl", { args }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
}

async function startServer(lab: Lab, program: string): Promise<Running> {
  const { folder } = lab;
  const write = async (name: string, text: string) => {
    await Deno.writeTextFile(`${folder}/${name}`, text);
    return `${folder}/${name}`;
  };
  const start = (...command: string[]) => lab.start("server", withNames(lab, "server", command));
  switch (program) {
    case "microsocks":
      return start("microsocks", "-i", SERVER_V4, "-p", "1080", "-u", LOGIN.user, "-P", LOGIN.password);
    case "danted":
      return start("danted", "-f", await write("danted.conf", danteConfig()), "-p", `${folder}/danted.pid`);
    case "tinyproxy":
      return start("tinyproxy", "-d", "-c", await write("tinyproxy.conf", tinyproxyConfig()));
    case "ss-server":
      return start("ss-server", "-s", SERVER_V4, "-p", "8388", "-k", PASSWORD, "-m", "aes-256-gcm", "-u", "-v");
    case "trojan":
      return start("trojan", "-c", await write("trojan.json", JSON.stringify(trojanConfig(folder))));
    default:
      return start("v2ray", "-config", await write("v2ray.json", JSON.stringify(v2rayConfig(folder))));
  }
}

function danteConfig(): string {
  const pass = (what: string) => `${what} pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\n`;
  return `logoutput: stderr\ninternal: ${SERVER_V4} port = 1081\nexternal: ${SERVER_V4}\nclientmethod: none\nsocksmethod: none\n` +
    `user.privileged: root\nuser.unprivileged: root\n${pass("client")}${pass("socks")}`;
}

function tinyproxyConfig(): string {
  return `Port 8888\nListen ${SERVER_V4}\nTimeout 600\nMaxClients 300\nBasicAuth ${LOGIN.user} ${LOGIN.password}\nLogLevel Connect\n`;
}

function trojanConfig(folder: string): unknown {
  return {
    run_type: "server",
    local_addr: SERVER_V4,
    local_port: 8443,
    remote_addr: SERVER_V4,
    remote_port: 80,
    password: [PASSWORD],
    log_level: 1,
    ssl: { cert: `${folder}/cert.pem`, key: `${folder}/key.pem`, alpn: ["http/1.1"] },
  };
}

function v2rayConfig(folder: string): unknown {
  const tls = {
    security: "tls",
    tlsSettings: { certificates: [{ certificateFile: `${folder}/cert.pem`, keyFile: `${folder}/key.pem` }] },
  };
  const webSocket = { network: "ws", wsSettings: { path: "/ray" } };
  const inbound = (name: ProxyName, protocol: string, streamSettings: unknown = {}) => ({
    listen: SERVER_V4,
    port: PORTS[name],
    protocol,
    settings: { clients: [{ id: UUID, alterId: 0 }], decryption: "none" },
    streamSettings,
  });
  return {
    log: { loglevel: "info" },
    inbounds: [
      inbound("vmess", "vmess"),
      inbound("vmesstls", "vmess", tls),
      inbound("vmessws", "vmess", webSocket),
      inbound("vless", "vless"),
      inbound("vlessws", "vless", webSocket),
    ],
    outbounds: [{ protocol: "freedom", settings: {} }],
  };
}

/** The entry of a proxy in `proxies`, in YAML's flow style. `changes` come last. */
export function proxyEntry(name: ProxyName, changes: Readonly<Record<string, unknown>> = {}): string {
  const uuid = { uuid: UUID, udp: true };
  const webSocket = { network: "ws", "ws-opts": { path: "/ray" } };
  const tls = { tls: true, servername: "proxy.test", "skip-cert-verify": true };
  const fields: Readonly<Record<ProxyName, Readonly<Record<string, unknown>>>> = {
    microsocks: { type: "socks5", username: LOGIN.user, password: LOGIN.password },
    dante: { type: "socks5", udp: true },
    tinyproxy: { type: "http", username: LOGIN.user, password: LOGIN.password },
    ss: { type: "ss", cipher: "aes-256-gcm", password: PASSWORD, udp: true },
    trojan: { type: "trojan", password: PASSWORD, sni: "proxy.test", "skip-cert-verify": true, udp: true },
    vmess: { type: "vmess", cipher: "auto", alterId: 0, ...uuid },
    vmesstls: { type: "vmess", cipher: "none", alterId: 0, ...uuid, ...tls },
    vmessws: { type: "vmess", cipher: "chacha20-poly1305", alterId: 0, ...uuid, ...webSocket },
    vless: { type: "vless", ...uuid },
    vlessws: { type: "vless", ...uuid, ...webSocket },
  };
  return JSON.stringify({ name, server: SERVER_V4, port: PORTS[name], ...fields[name], ...changes });
}
