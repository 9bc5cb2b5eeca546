/** Every proxy server that the live tests use, and the proxies of a configuration that lead to them. */
import type { OutboundSettings } from "../../../core/outbound/settings.ts";
import { loadConfig } from "../../../core/config/load.ts";
import { Dialer } from "../../../core/host/dial.ts";
import { createOutboundCrypto } from "../../../core/host/outbound_crypto.ts";
import { Outbounds } from "../../../core/host/outbounds.ts";
import { resolveWithSystem } from "../../../core/host/system_resolver.ts";
import { MemoryFiles } from "../../config/memory_files.ts";
import { type Certificates, freePort, type Servers } from "./servers.ts";

/** Programs without which there is no fleet. */
export const FLEET_PROGRAMS = ["ss-server", "trojan", "v2ray", "danted", "microsocks", "tinyproxy", "openssl"] as const;

/** The right secrets, and wrong ones of the same shape. No message may hold any of them. */
export const SECRETS = {
  password: "pa55-of-the-fleet",
  uuid: "6d1f3c52-9a0e-4c1b-8f5e-2b7d90a4c3e1",
  key16: btoa("sixteen bytes ok"),
  key32: btoa("thirty-two bytes are quite a lot"),
} as const;
/** See `SECRETS`. */
export const WRONG_SECRETS = {
  password: "wr0ng-of-the-fleet",
  uuid: "00000000-9a0e-4c1b-8f5e-2b7d90a4c3e1",
  key16: btoa("sixteen bytes no"),
  key32: btoa("thirty-two bytes are not so much"),
} as const;

type Secrets = Readonly<Record<keyof typeof SECRETS, string>>;

/** Where the servers listen. */
export interface Fleet {
  readonly ports: Readonly<Record<string, number>>;
  readonly certificates: Certificates;
}

const CIPHERS = ["aes-128-gcm", "aes-256-gcm", "chacha20-ietf-poly1305"] as const;

/** Starts all servers and waits until each of them listens. */
export async function startFleet(servers: Servers): Promise<Fleet> {
  const certificates = await servers.certificates();
  const ports: Record<string, number> = {};
  const waits: Promise<void>[] = [];
  const start = (name: string, program: string, argsOf: (port: string) => string[], path?: string) => {
    const port = ports[name] = freePort();
    waits.push(
      servers.listens(servers.start(program, argsOf(String(port)), ...path === undefined ? [] : [path]), port),
    );
  };
  const { password } = SECRETS;
  start("socks-login", "microsocks", (port) => ["-i", "127.0.0.1", "-p", port, "-u", "somebody", "-P", password]);
  for (const cipher of CIPHERS) {
    start(`ss-${cipher}`, "ss-server", (port) => ["-s", "127.0.0.1", "-p", port, "-k", password, "-m", cipher, "-u"]);
  }
  const simulated = new URL("./simulated_server.ts", import.meta.url).pathname;
  for (const [cipher, key] of [["2022-blake3-aes-128-gcm", "key16"], ["2022-blake3-aes-256-gcm", "key32"]] as const) {
    const argsOf = (port: string) => ["run", "-A", simulated, cipher, SECRETS[key], port];
    start(`ss-${cipher}`, "simulated server", argsOf, Deno.execPath());
  }
  await startConfigured(servers, ports, waits);
  await startTrojan(servers, ports, waits, certificates);
  await startV2ray(servers, ports, waits, certificates);
  await Promise.all(waits);
  return { ports, certificates };
}

async function startConfigured(
  servers: Servers,
  ports: Record<string, number>,
  waits: Promise<void>[],
): Promise<void> {
  const dante = ports.socks = freePort();
  const danteFile = await servers.write(
    "danted.conf",
    `logoutput: stderr\ninternal: 127.0.0.1 port = ${dante}\nexternal: 127.0.0.1\nsocksmethod: none\nclientmethod: none\n` +
      "user.privileged: root\nuser.unprivileged: nobody\n" +
      "client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\nsocks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\n",
  );
  waits.push(
    servers.listens(servers.start("danted", ["-f", danteFile, "-p", `${servers.folder}/danted.pid`]), dante),
  );
  for (const [name, login] of [["http", ""], ["http-login", `BasicAuth somebody ${SECRETS.password}\n`]] as const) {
    const port = ports[name] = freePort();
    const text = `Port ${port}\nListen 127.0.0.1\nTimeout 600\nAllow 127.0.0.1\nMaxClients 100\n${login}`;
    const file = await servers.write(`${name}.conf`, text);
    waits.push(servers.listens(servers.start("tinyproxy", ["-d", "-c", file]), port));
  }
}

async function startTrojan(
  servers: Servers,
  ports: Record<string, number>,
  waits: Promise<void>[],
  { certFile, keyFile }: Certificates,
): Promise<void> {
  const port = ports.trojan = freePort();
  const config = {
    ...{ run_type: "server", local_addr: "127.0.0.1", local_port: port },
    ...{ remote_addr: "127.0.0.1", remote_port: ports.http, password: [SECRETS.password], log_level: 1 },
    ssl: { cert: certFile, key: keyFile, sni: "", alpn: ["http/1.1"] },
    tcp: { no_delay: true },
  };
  const file = await servers.write("trojan.json", JSON.stringify(config));
  waits.push(servers.listens(servers.start("trojan", ["-c", file]), port));
}

async function startV2ray(
  servers: Servers,
  ports: Record<string, number>,
  waits: Promise<void>[],
  { certFile, keyFile }: Certificates,
): Promise<void> {
  const { uuid, password } = SECRETS;
  const tls = { security: "tls", tlsSettings: { certificates: [{ certificateFile: certFile, keyFile }] } };
  const ws = { network: "ws", wsSettings: { path: "/way" } };
  const transports = { tcp: {}, tls, ws, "ws-tls": { ...tls, ...ws } } as const;
  const inbounds: unknown[] = [];
  const add = (name: string, protocol: string, settings: unknown, streamSettings: unknown) => {
    ports[name] = freePort();
    inbounds.push({ listen: "127.0.0.1", port: ports[name], protocol, settings, streamSettings });
  };
  for (const [transport, streamSettings] of Object.entries(transports)) {
    add(`vmess-${transport}`, "vmess", { clients: [{ id: uuid, alterId: 0 }] }, streamSettings);
    add(`vless-${transport}`, "vless", { clients: [{ id: uuid }], decryption: "none" }, streamSettings);
  }
  add("https", "http", { accounts: [{ user: "somebody", pass: password }] }, tls);
  const config = { log: { loglevel: "warning" }, inbounds, outbounds: [{ protocol: "freedom" }] };
  const file = await servers.write("v2ray.json", JSON.stringify(config));
  const server = servers.start("v2ray", ["-config", file]);
  for (const name of Object.keys(ports).filter((name) => /^(vmess|vless|https)/.test(name))) {
    waits.push(servers.listens(server, ports[name]!));
  }
}

/** One row of the matrix: a proxy, and what it is over. */
export interface Row {
  readonly protocol: string;
  readonly transport: string;
  /** The proxy's keys as YAML in flow style. */
  readonly yaml: string;
}

function trust({ certificates }: Fleet): string {
  return `sni: proxy.test, ca-str: ${JSON.stringify(certificates.authority)}`;
}

/** The proxies, with these secrets. Their names are numbers of rows. */
export function rowsOf(fleet: Fleet, secrets: Secrets = SECRETS): Row[] {
  const { ports, certificates } = fleet;
  const at = (name: string) => `server: 127.0.0.1, port: ${ports[name]}`;
  const login = `username: somebody, password: ${secrets.password}`;
  const rows: Row[] = [
    { protocol: "socks5", transport: "tcp", yaml: `type: socks5, ${at("socks")}, udp: true` },
    { protocol: "socks5 login", transport: "tcp", yaml: `type: socks5, ${at("socks-login")}, udp: true, ${login}` },
    { protocol: "http", transport: "tcp", yaml: `type: http, ${at("http")}` },
    { protocol: "http login", transport: "tcp", yaml: `type: http, ${at("http-login")}, ${login}` },
    {
      protocol: "http login",
      transport: "tls",
      yaml: `type: http, ${at("https")}, ${login}, tls: true, ${trust(fleet)}`,
    },
  ];
  const ciphers = [...CIPHERS, "2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm"] as const;
  for (const cipher of ciphers) {
    const secret = cipher.startsWith("2022")
      ? (cipher.includes("128") ? secrets.key16 : secrets.key32)
      : secrets.password;
    rows.push({
      protocol: `ss ${cipher}`,
      transport: cipher.startsWith("2022") ? "tcp (simulated)" : "tcp",
      yaml: `type: ss, ${at(`ss-${cipher}`)}, cipher: ${cipher}, password: "${secret}", udp: true`,
    });
  }
  const trojan = `type: trojan, ${at("trojan")}, password: ${secrets.password}, udp: true`;
  rows.push({ protocol: "trojan", transport: "tls", yaml: `${trojan}, ${trust(fleet)}` });
  rows.push({
    protocol: "trojan",
    transport: "tls, pinned",
    yaml: `${trojan}, fingerprint: ${certificates.fingerprint}`,
  });
  rows.push({ protocol: "trojan", transport: "tls, unverified", yaml: `${trojan}, skip-cert-verify: true` });
  const ws = "network: ws, ws-opts: { path: /way }";
  const over = {
    tcp: "",
    tls: `, tls: true, ${trust(fleet)}`,
    ws: `, ${ws}`,
    "ws-tls": `, ${ws}, tls: true, ${trust(fleet)}`,
  };
  for (const cipher of ["auto", "aes-128-gcm", "none"]) {
    for (const [transport, more] of Object.entries(over)) {
      const yaml = `type: vmess, ${
        at(`vmess-${transport}`)
      }, uuid: ${secrets.uuid}, cipher: ${cipher}, alterId: 0, udp: true${more}`;
      rows.push({ protocol: `vmess ${cipher}`, transport: transport.replace("-", "+"), yaml });
    }
  }
  for (const [transport, more] of Object.entries(over)) {
    const place = at(`vless-${transport}`);
    const yaml = `type: vless, ${place}, uuid: ${secrets.uuid}, udp: true${more}`;
    rows.push({ protocol: "vless", transport: transport.replace("-", "+"), yaml });
  }
  const through = (row: Row, dialer: Row, transport: string): Row => ({
    protocol: row.protocol,
    transport,
    yaml: `${row.yaml}, dialer-proxy: "${rows.indexOf(dialer)}"`,
  });
  const find = (protocol: string, transport: string) =>
    rows.find((row) => row.protocol === protocol && row.transport === transport)!;
  rows.push(
    through(find("trojan", "tls"), find("socks5", "tcp"), "tls through socks5"),
    through(find("trojan", "tls, pinned"), find("vless", "tls"), "tls, pinned through vless+tls"),
    through(find("vmess auto", "ws"), find("ss aes-256-gcm", "tcp"), "ws through ss"),
    through(find("ss aes-128-gcm", "tcp"), find("socks5", "tcp"), "tcp through socks5"),
  );
  return rows;
}

/** Reads rows as a configuration's proxies. Errors: an Error with what is wrong with them. */
export async function readRows(rows: readonly Row[]): Promise<readonly OutboundSettings[]> {
  const text = `proxies:\n${
    rows.map(({ yaml }, index) => `  - { name: "${index}", ${yaml} }\n`).join("")
  }rules: [ "MATCH,0" ]\n`;
  const { config, issues } = await loadConfig("/c.yaml", new MemoryFiles({ "/c.yaml": text }));
  if (config === undefined || config.outboundIssues.length > 0) {
    throw new Error([...issues, ...config?.outboundIssues ?? []].map(({ message }) => message).join("\n"));
  }
  return config.outbounds;
}

/** Ways out as weir has them, without a device below. */
export function outboundsOf(settings: readonly OutboundSettings[]): Outbounds {
  return new Outbounds(settings, {
    dialer: new Dialer(),
    env: {
      crypto: createOutboundCrypto(),
      randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
      unixSeconds: () => Math.floor(Date.now() / 1000),
    },
    resolve: resolveWithSystem,
  });
}
