/** Proxy protocols over loopback beside the same server's own client, and weir's DNS beside dnsmasq. Real servers are started and ended here. */
import { createSocket } from "node:dgram";
import { cpuUsage } from "node:process";
import { loadConfig } from "../../core/config/load.ts";
import { writeQuery } from "../../core/dns/message.ts";
import { DnsService } from "../../core/host/dns_service.ts";
import { DnsTransport } from "../../core/host/dns_transport.ts";
import type { Duplex } from "../../core/host/duplex.ts";
import type { Outbounds } from "../../core/host/outbounds.ts";
import { monotonicClock } from "../../core/host/run_loop.ts";
import { StreamReader, writeAll } from "../../core/host/stream_reader.ts";
import { parseIp } from "../../core/base/ip_address.ts";
import { MemoryFiles } from "../../test/config/memory_files.ts";
import {
  type Fleet,
  FLEET_PROGRAMS,
  outboundsOf,
  readRows,
  type Row,
  rowsOf,
  SECRETS,
  startFleet,
} from "../../test/live/outbounds/fleet.ts";
import { Pattern, targetHead } from "../../test/live/outbounds/pattern.ts";
import { findProgram, freePort, Servers, whyWithout } from "../../test/live/outbounds/servers.ts";
import type { BenchRow } from "./row.ts";

const BYTES = 60_000_000;
const TRIES = 15;
const LOOPBACK = parseIp("127.0.0.1")!;
const MEASURED =
  /^(socks5|http|ss (aes-256-gcm|chacha20-ietf-poly1305)|vmess (auto|aes-128-gcm)) tcp$|^(trojan|vless) tls$|^vless ws\+tls$/;

/** One way to the target. */
interface Way {
  readonly name: string;
  open(): Promise<Duplex>;
}

function wayOf(name: string, outbounds: Outbounds, chain: readonly string[], port: number): Way {
  return {
    name,
    open: async () => {
      const result = await outbounds.connect(chain, { address: LOOPBACK, host: "", port });
      if (result.stream === undefined) throw new Error(result.message);
      return result.stream;
    },
  };
}

/** So many bytes there, then so many back. */
async function transfer({ open }: Way, direction: "up" | "down"): Promise<{ mbPerS: number; cpuMsPerMb: number }> {
  const stream = await open();
  const [up, down] = direction === "up" ? [BYTES, 0] : [0, BYTES];
  const [cpu, start] = [cpuUsage(), performance.now()];
  await writeAll(stream, targetHead(0, 0, up, down, 1));
  const piece = new Pattern(2).next();
  for (let at = 0; at < up; at += piece.length) await writeAll(stream, piece.slice(0, Math.min(piece.length, up - at)));
  const buffer = new Uint8Array(262_144);
  for (let left = down + 32; left > 0;) {
    const count = await stream.read(buffer);
    if (count === null) throw new Error(`the stream ended ${left} bytes too early`);
    left -= count;
  }
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = cpuUsage(cpu);
  stream.close();
  return { mbPerS: BYTES / 1e6 / seconds, cpuMsPerMb: (user + system) / 1000 / (BYTES / 1e6) };
}

/** Units: ms from the wish to connect to the first byte back, the median. */
async function firstByte({ open }: Way): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < TRIES; i++) {
    const start = performance.now();
    const stream = await open();
    await writeAll(stream, targetHead(2, 0, 0, 0, 0));
    await writeAll(stream, Uint8Array.of(7));
    await new StreamReader(stream).take(1);
    times.push(performance.now() - start);
    stream.close();
  }
  return times.sort((a, b) => a - b)[TRIES >> 1]!;
}

/** The servers' own clients, each with a SOCKS 5 port that we speak to. */
async function ownClients(servers: Servers, { ports }: Fleet): Promise<{ name: string; port: number }[]> {
  const clients: { name: string; port: number }[] = [];
  for (const cipher of ["aes-256-gcm", "chacha20-ietf-poly1305"]) {
    const port = freePort();
    const args = [
      "-s",
      "127.0.0.1",
      "-p",
      String(ports[`ss-${cipher}`]),
      "-l",
      String(port),
      "-k",
      SECRETS.password,
      "-m",
      cipher,
    ];
    await servers.listens(servers.start("ss-local", args), port);
    clients.push({ name: `ss ${cipher} tcp, by ss-local`, port });
  }
  for (const security of ["auto", "aes-128-gcm", "chacha20-poly1305"]) {
    const port = freePort();
    const config = {
      log: { loglevel: "warning" },
      inbounds: [{ listen: "127.0.0.1", port, protocol: "socks", settings: { auth: "noauth" } }],
      outbounds: [{
        protocol: "vmess",
        settings: {
          vnext: [{
            address: "127.0.0.1",
            port: ports["vmess-tcp"],
            users: [{ id: SECRETS.uuid, alterId: 0, security }],
          }],
        },
      }],
    };
    const file = await servers.write(`client-${security}.json`, JSON.stringify(config));
    await servers.listens(servers.start("v2ray", ["-config", file]), port);
    clients.push({ name: `vmess ${security} tcp, by v2ray`, port });
  }
  return clients;
}

async function waysOf(servers: Servers, target: number): Promise<Way[]> {
  const fleet = await startFleet(servers);
  const rows: Row[] = rowsOf(fleet);
  const outbounds = outboundsOf(await readRows(rows));
  const ways = [wayOf("direct", outbounds, [], target)];
  for (const [index, { protocol, transport }] of rows.entries()) {
    const name = `${protocol} ${transport}`;
    if (MEASURED.test(name)) ways.push(wayOf(`${name}, by weir`, outbounds, [String(index)], target));
  }
  for (const { name, port } of findProgram("ss-local") === undefined ? [] : await ownClients(servers, fleet)) {
    const row = { protocol: "socks5", transport: "tcp", yaml: `type: socks5, server: 127.0.0.1, port: ${port}` };
    ways.push(wayOf(`${name} (and SOCKS 5 to it)`, outboundsOf(await readRows([row])), ["0"], target));
  }
  return ways;
}

/** Units: questions a second, with so many on their way at a time. */
function askAll(port: number, names: readonly string[], atOnce: number): Promise<number> {
  const socket = createSocket("udp4");
  const start = performance.now();
  let [next, answered] = [0, 0];
  return new Promise((resolve) => {
    const send = () => {
      const index = next++;
      if (index < names.length) {
        socket.send(writeQuery(index & 0xffff, { name: names[index]!, type: "A" }), port, "127.0.0.1");
      }
    };
    const stalled = setInterval(() => finish(), 5_000);
    const finish = () => {
      clearInterval(stalled);
      socket.close();
      resolve(answered / ((performance.now() - start) / 1000));
    };
    socket.on("message", () => {
      if (++answered === names.length) finish();
      else send();
    });
    for (let i = 0; i < atOnce; i++) send();
  });
}

async function dnsRows(servers: Servers): Promise<BenchRow[]> {
  if (whyWithout("DNS is not measured beside dnsmasq", ["dnsmasq"]) !== undefined) return [];
  const [port, own] = [freePort(), freePort()];
  const args = [
    "-k",
    "-C",
    "/dev/null",
    "-R",
    "-h",
    "-p",
    String(port),
    "-a",
    "127.0.0.1",
    "-z",
    "-u",
    "root",
    "--pid-file=",
  ];
  await servers.listens(servers.start("dnsmasq", [...args, "--address=/weir.test/10.1.1.1", "--local-ttl=600"]), port);
  const yaml = `dns: { enable: true, nameserver: ["127.0.0.1:${port}"] }\nrules: ["MATCH,DIRECT"]\n`;
  const { config } = await loadConfig("/c.yaml", new MemoryFiles({ "/c.yaml": yaml }));
  const resolveWithSystem = () => Promise.reject<never>(new Error("not asked here"));
  const service = new DnsService({
    config: config!.dns,
    hosts: undefined,
    transport: new DnsTransport({
      outbounds: outboundsOf([]),
      chainTo: () => Promise.resolve([]),
      resolveNameServer: resolveWithSystem,
      resolveWithSystem,
    }),
    resolveWithSystem,
    clock: monotonicClock,
    uint32: () => crypto.getRandomValues(new Uint32Array(1))[0]!,
  });
  service.listen(LOOPBACK, own);
  const fresh = Array.from({ length: 4_000 }, (_, i) => `n${i}.weir.test`);
  const same = Array.from({ length: 20_000 }, () => "same.weir.test");
  const rows: BenchRow[] = [
    { what: "DNS by UDP, answered by dnsmasq itself", value: await askAll(port, same, 32), unit: "questions/s" },
    { what: "DNS by UDP, each name new, weir asks dnsmasq", value: await askAll(own, fresh, 32), unit: "questions/s" },
    { what: "DNS by UDP, one name, from weir's cache", value: await askAll(own, same, 32), unit: "questions/s" },
  ];
  service.close();
  return rows;
}

/** Measures. */
export async function bench(): Promise<BenchRow[]> {
  await using servers = await Servers.make();
  const rows: BenchRow[] = [];
  if (whyWithout("proxies are not measured", FLEET_PROGRAMS) === undefined) {
    const file = new URL("../../test/live/outbounds/target.ts", import.meta.url).pathname;
    const target = servers.start("target", ["run", "-A", file], Deno.execPath());
    const [port] = JSON.parse((await servers.wrote(target, "]\n")).split("\n")[0]!) as [number];
    let direct: number | undefined;
    for (const way of await waysOf(servers, port)) {
      const [down, up, first] = [await transfer(way, "down"), await transfer(way, "up"), await firstByte(way)];
      direct ??= first;
      const cpu = (down.cpuMsPerMb + up.cpuMsPerMb) / 2;
      rows.push(
        { what: `${way.name}: download`, value: down.mbPerS, unit: "MB/s" },
        { what: `${way.name}: upload`, value: up.mbPerS, unit: "MB/s" },
        { what: `${way.name}: this process's CPU`, value: cpu, unit: "s/GB" },
        { what: `${way.name}: first byte, more than direct`, value: first - direct, unit: "ms" },
      );
    }
  }
  return [...rows, ...await dnsRows(servers)];
}
