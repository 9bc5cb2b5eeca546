/** weir's DNS against dnsmasq and unbound: every way to ask, every choice of whom to ask, and what applications are answered. */
import { assert, assertEquals } from "@std/assert";
import { createSocket } from "node:dgram";
import { formatIp, type IpAddress, parseIp } from "../../../core/base/ip_address.ts";
import { DNS_MESSAGE_BYTES_MAX } from "../../../core/base/limits.ts";
import { monotonicClock } from "../../../core/host/run_loop.ts";
import { loadConfig } from "../../../core/config/load.ts";
import { addressesOf, readAnswer, readQuery, writeQuery } from "../../../core/dns/message.ts";
import { DnsService } from "../../../core/host/dns_service.ts";
import { DnsTransport } from "../../../core/host/dns_transport.ts";
import type { FakeIpState } from "../../../core/dns/fake_ip_pool.ts";
import { MemoryFiles } from "../../config/memory_files.ts";
import { randomBytes } from "../programs/bytes.ts";
import { outboundsOf } from "./fleet.ts";
import { type Certificates, freePort, type RunningServer, Servers, whyWithout } from "./servers.ts";

const LOOPBACK = parseIp("127.0.0.1")!;
const REASON = whyWithout("name servers are not tried", ["dnsmasq", "unbound", "openssl"]);
let lastId = 0;

/** weir's DNS from a configuration, without a device. */
async function serviceOf(dns: string, more: { rest?: string; fakeIps?: FakeIpState } = {}): Promise<DnsService> {
  const text = `dns: { enable: true, ${dns} }\n${more.rest ?? ""}\nrules: [ "MATCH,DIRECT" ]\n`;
  const { config, issues } = await loadConfig("/c.yaml", new MemoryFiles({ "/c.yaml": text }));
  if (config === undefined) throw new Error(issues.map(({ message }) => message).join("\n"));
  const made: { service?: DnsService } = {};
  const fail = () => Promise.reject<IpAddress[]>(new Error("the machine's resolver is not asked here"));
  const transport = new DnsTransport({
    outbounds: outboundsOf([]),
    chainTo: () => Promise.resolve([]),
    resolveNameServer: (host) => made.service!.resolveNameServer(host),
    resolveWithSystem: fail,
  });
  made.service = new DnsService({
    config: config.dns,
    hosts: config.decide.hosts,
    transport,
    resolveWithSystem: fail,
    clock: monotonicClock,
    uint32: () => crypto.getRandomValues(new Uint32Array(1))[0]!,
    fakeIps: more.fakeIps,
  });
  return made.service;
}

/** Asks as an application does. Shape: the addresses, or the return code, or "nothing"; then the TTL. */
async function ask(service: DnsService, name: string, type = "A", isStream = false): Promise<string> {
  const bytes = await service.handle(writeQuery(++lastId & 0xffff, { name, type }), isStream);
  const answer = bytes && readAnswer(bytes, { name, type });
  if (answer === undefined) return "nothing";
  const addresses = addressesOf(answer).map(formatIp);
  return addresses.length > 0 ? `${addresses.join()} ttl ${answer.answers[0]!.ttl}` : answer.rcode;
}

interface Dnsmasq {
  readonly server: RunningServer;
  readonly port: number;
  /** How often it was asked for a name. */
  asked(name: string): number;
}

async function startDnsmasq(servers: Servers, options: readonly string[]): Promise<Dnsmasq> {
  const port = freePort();
  const always = ["-k", "-C", "/dev/null", "-R", "-h", "-p", String(port), "-a", "127.0.0.1", "-z", "-u", "root"];
  const server = servers.start("dnsmasq", [...always, "--pid-file=", "-q", "-8", "-", ...options]);
  await servers.listens(server, port);
  return { server, port, asked: (name) => server.output().split(`] ${name} from`).length - 1 };
}

interface Unbound {
  readonly plain: number;
  readonly tls: number;
}

async function startUnbound(servers: Servers, { certFile, keyFile }: Certificates): Promise<Unbound> {
  const [plain, tls] = [freePort(), freePort()];
  const file = await servers.write(
    "unbound.conf",
    `server:\n username: ""\n chroot: ""\n directory: "${servers.folder}"\n pidfile: ""\n use-syslog: no\n do-daemonize: no\n` +
      ` interface: 127.0.0.1@${plain}\n interface: 127.0.0.1@${tls}\n tls-port: ${tls}\n tls-service-key: "${keyFile}"\n` +
      ` tls-service-pem: "${certFile}"\n module-config: "iterator"\n local-zone: "unbound.test." static\n` +
      ` local-data: "www.unbound.test. 300 IN A 10.2.2.2"\n local-data: "www.unbound.test. 300 IN AAAA fd02::2"\n`,
  );
  const server = servers.start("unbound", ["-d", "-c", file]);
  await servers.listens(server, plain);
  await servers.listens(server, tls);
  return { plain, tls };
}

/** DNS over HTTPS by HTTP/1.1 in front of a name server: unbound's own takes only HTTP/2. */
function startHttps(certificates: Certificates, upstream: DnsService): { port: number; close(): Promise<void> } {
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    cert: Deno.readTextFileSync(certificates.certFile),
    key: Deno.readTextFileSync(certificates.keyFile),
    onListen: () => {},
  }, async (request) => {
    if (request.headers.get("content-type") !== "application/dns-message") return new Response(null, { status: 415 });
    const answer = await upstream.handle(new Uint8Array(await request.arrayBuffer()), true);
    if (answer === undefined) return new Response(null, { status: 400 });
    return new Response(answer as Uint8Array<ArrayBuffer>, { headers: { "content-type": "application/dns-message" } });
  });
  return { port: server.addr.port, close: () => server.shutdown() };
}

function dnsTest(name: string, body: (servers: Servers) => Promise<void>): void {
  Deno.test({
    name,
    ignore: REASON !== undefined,
    fn: async () => {
      await using servers = await Servers.make();
      await body(servers);
    },
  });
}

const MAIN = ["--address=/weir.test/10.1.1.1", "--address=/proxy.test/127.0.0.1", "--local-ttl=60"];

dnsTest("DnsService asks by UDP, TCP, TLS and HTTPS, and finds a server that is given by its name", async (servers) => {
  const certificates = await servers.certificates();
  const [main, unbound] = [await startDnsmasq(servers, MAIN), await startUnbound(servers, certificates)];
  const upstream = await serviceOf(`nameserver: ["127.0.0.1:${main.port}"]`);
  const https = startHttps(certificates, upstream);
  const unverified = "skip-cert-verify=true";
  const bootstrap = `default-nameserver: ["127.0.0.1:${main.port}"], `;
  const ways: readonly (readonly [string, string, string])[] = [
    [`nameserver: ["127.0.0.1:${main.port}"]`, "a.weir.test", "10.1.1.1 ttl 60"],
    [`nameserver: ["tcp://127.0.0.1:${main.port}"]`, "a.weir.test", "10.1.1.1 ttl 60"],
    [`nameserver: ["127.0.0.1:${unbound.plain}"]`, "www.unbound.test", "10.2.2.2 ttl 300"],
    [`nameserver: ["127.0.0.1:${unbound.plain}"]`, "none.unbound.test", "NXDOMAIN"],
    [`nameserver: ["tls://127.0.0.1:${unbound.tls}#${unverified}"]`, "www.unbound.test", "10.2.2.2 ttl 300"],
    [
      `${bootstrap}nameserver: ["tls://proxy.test:${unbound.tls}#${unverified}"]`,
      "www.unbound.test",
      "10.2.2.2 ttl 300",
    ],
    [`nameserver: ["https://127.0.0.1:${https.port}/dns-query#${unverified}"]`, "b.weir.test", "10.1.1.1 ttl 60"],
    // Nobody that this machine trusts vouches for these.
    [`nameserver: ["tls://127.0.0.1:${unbound.tls}"]`, "www.unbound.test", "SERVFAIL"],
    [`nameserver: ["https://127.0.0.1:${https.port}/dns-query"]`, "b.weir.test", "SERVFAIL"],
  ];
  const found: string[] = [];
  for (const [dns, name] of ways) {
    const service = await serviceOf(dns);
    found.push(await ask(service, name));
    service.close();
  }
  assertEquals(found, ways.map(([, , expected]) => expected));
  upstream.close();
  await https.close();
});

/** A name server that closes each connection after so many answers. Counts connections. */
function startImpatient(answersEach: number, upstream: DnsService) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const counted = { connections: 0, port: listener.addr.port, close: () => listener.close() };
  const serve = async (conn: Deno.TcpConn) => {
    const buffer = new Uint8Array(2_000);
    for (let i = 0; i < answersEach; i++) {
      const count = await conn.read(buffer);
      if (count === null) break;
      const answer = (await upstream.handle(buffer.slice(2, count), true))!;
      await conn.write(Uint8Array.of(answer.length >>> 8, answer.length & 0xff, ...answer));
    }
    conn.close();
  };
  const acceptAll = async () => {
    for await (const conn of listener) {
      counted.connections++;
      await serve(conn);
    }
  };
  acceptAll().catch(() => {});
  return counted;
}

dnsTest(
  "DnsService keeps a connection for the next question, and makes another when the server has closed it",
  async () => {
    const upstream = await serviceOf(`nameserver: ["rcode://name_error"]`);
    const server = startImpatient(5, upstream);
    const service = await serviceOf(`nameserver: ["tcp://127.0.0.1:${server.port}"]`);
    const connections: number[] = [];
    for (let i = 0; i < 12; i++) {
      assertEquals(await ask(service, `n${i}.weir.test`), "NXDOMAIN");
      connections.push(server.connections);
    }
    assertEquals(connections, [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3]);
    for (const closing of [service, upstream, server]) closing.close();
  },
);

dnsTest("DnsService asks again by TCP when an answer did not fit a datagram", async (servers) => {
  const texts = Array.from({ length: 12 }, (_, i) => `--txt-record=big.test,${"x".repeat(200)}${i}`);
  const main = await startDnsmasq(servers, texts);
  const service = await serviceOf(`nameserver: ["127.0.0.1:${main.port}"]`);
  const question = { name: "big.test", type: "TXT" };
  const long = await service.handle(writeQuery(5, question), true);
  assertEquals(readAnswer(long!, question)!.answers.length, 12);
  assert(long!.length > 2_400 && long!.length < DNS_MESSAGE_BYTES_MAX);
  assertEquals(main.asked("big.test"), 2);
  // The application that asks by datagram is told to come back by TCP.
  const short = await service.handle(writeQuery(6, question), false);
  assertEquals([short!.length < 1_232, (short![2]! & 2) !== 0], [true, true]);
  service.close();
});

dnsTest("DnsService asks whom the configuration names: policies, fallback, hosts, rcode://", async (servers) => {
  const main = await startDnsmasq(servers, [
    "--address=/test/10.1.1.1",
    "--address=/poisoned.test/6.6.6.6",
    "--local-ttl=60",
  ]);
  const other = await startDnsmasq(servers, ["--address=/test/10.3.3.3", "--local-ttl=60"]);
  const service = await serviceOf(
    `nameserver: ["127.0.0.1:${main.port}"], fallback: ["tcp://127.0.0.1:${other.port}"], ` +
      `fallback-filter: { geoip: false, ipcidr: [6.6.6.0/24], domain: ["+.only-fallback.test"] }, ` +
      `nameserver-policy: { "+.corp.test": "127.0.0.1:${other.port}", "+.blocked.test": "rcode://refused", "+.gone.test": "rcode://name_error" }`,
    { rest: `hosts: { "fixed.test": 10.9.9.9, "alias.test": "fixed.test" }` },
  );
  const names = [
    "a.test",
    "a.corp.test",
    "poisoned.test",
    "x.only-fallback.test",
    "a.blocked.test",
    "a.gone.test",
    "fixed.test",
    "alias.test",
  ];
  const found: string[] = [];
  for (const name of names) found.push((await ask(service, name)).split(" ")[0]!);
  assertEquals(found, ["10.1.1.1", "10.3.3.3", "10.3.3.3", "10.3.3.3", "REFUSED", "NXDOMAIN", "10.9.9.9", "10.9.9.9"]);
  assertEquals([main.asked("a.corp.test"), main.asked("fixed.test"), main.asked("x.only-fallback.test")], [0, 0, 0]);
  service.close();
});

dnsTest("DnsService asks once for all who ask the same, and answers from its cache", async (servers) => {
  const main = await startDnsmasq(servers, MAIN);
  const service = await serviceOf(`nameserver: ["127.0.0.1:${main.port}"]`);
  const all = await Promise.all(Array.from({ length: 200 }, () => ask(service, "once.weir.test")));
  assertEquals(new Set(all), new Set(["10.1.1.1 ttl 60"]));
  assertEquals(await ask(service, "once.weir.test"), "10.1.1.1 ttl 60");
  assertEquals(main.asked("once.weir.test"), 1);
  service.close();
});

dnsTest(
  "DnsService gives stale answers when the server is dead, and says so of names that it never had",
  async (servers) => {
    const main = await startDnsmasq(servers, ["--address=/weir.test/10.1.1.1", "--local-ttl=1"]);
    const service = await serviceOf(`nameserver: ["127.0.0.1:${main.port}"]`);
    assertEquals(await ask(service, "a.weir.test"), "10.1.1.1 ttl 1");
    await servers.end(main.server);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    const start = performance.now();
    assertEquals(await ask(service, "a.weir.test"), "10.1.1.1 ttl 1");
    assert(performance.now() - start < 200, "a stale answer does not wait");
    assertEquals(await ask(service, "never.weir.test"), "SERVFAIL");
    assert(performance.now() - start < 8_000);
    service.close();
  },
);

dnsTest(
  "DnsService gives fake addresses out, keeps them over a restart, and leaves filtered names alone",
  async (servers) => {
    const main = await startDnsmasq(servers, MAIN);
    const dns =
      `nameserver: ["127.0.0.1:${main.port}"], enhanced-mode: fake-ip, fake-ip-range: 198.18.0.1/16, fake-ip-filter: ["+.real.weir.test"]`;
    const service = await serviceOf(dns);
    assertEquals(await ask(service, "a.weir.test"), "198.18.0.4 ttl 1");
    assertEquals(await ask(service, "b.weir.test"), "198.18.0.5 ttl 1");
    assertEquals(await ask(service, "x.real.weir.test"), "10.1.1.1 ttl 60");
    assertEquals(await ask(service, "a.weir.test", "HTTPS"), "NOERROR");
    const fakeIps = structuredClone(service.fakeIps()!);
    service.close();
    const next = await serviceOf(dns, { fakeIps });
    assertEquals(await ask(next, "b.weir.test"), "198.18.0.5 ttl 1");
    assertEquals(await ask(next, "c.weir.test"), "198.18.0.6 ttl 1");
    assertEquals(next.nameOf(parseIp("198.18.0.4")!, monotonicClock()), "a.weir.test");
    assertEquals(main.asked("a.weir.test"), 0);
    next.close();
  },
);

dnsTest("DnsService tells a server the network that the option ecs names", async () => {
  const seen = Promise.withResolvers<Uint8Array>();
  const socket = createSocket("udp4");
  socket.on("message", (bytes) => seen.resolve(bytes));
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const service = await serviceOf(`nameserver: ["127.0.0.1:${socket.address().port}#ecs=203.0.113.0/24"]`);
  const asking = ask(service, "a.weir.test");
  const bytes = await seen.promise;
  assertEquals(readQuery(bytes)!.question.name, "a.weir.test");
  // Option 8: family 1, 24 bits, scope 0, three bytes of address. Source: RFC 7871 section 6.
  const text = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  assert(text.includes("0008000700011800cb0071"), text);
  socket.close();
  await asking;
  service.close();
});

dnsTest("DnsService answers applications on UDP and TCP, whatever else they are sent", async (servers) => {
  const main = await startDnsmasq(servers, MAIN);
  const service = await serviceOf(`nameserver: ["127.0.0.1:${main.port}"]`);
  const port = freePort();
  service.listen(LOOPBACK, port);
  const dig = (...more: string[]) => digAt(port, more);
  assertEquals(await dig("a.weir.test"), "10.1.1.1");
  assertEquals(await dig("a.weir.test", "+tcp"), "10.1.1.1");
  const socket = createSocket("udp4");
  for (let i = 0; i < 400; i++) {
    const query = writeQuery(i, { name: `h${i}.weir.test`, type: "A" });
    const bytes = i % 2 === 0
      ? randomBytes(i, i + 1)
      : query.map((byte, at) => at === i % query.length ? byte ^ 0xff : byte);
    await new Promise((resolve) => socket.send(bytes, port, "127.0.0.1", resolve));
  }
  for (const bytes of [randomBytes(300, 1), Uint8Array.of(0, 0), Uint8Array.of(0xff, 0xff, 1), new Uint8Array(0)]) {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    if (bytes.length > 0) await conn.write(bytes);
    conn.close();
  }
  assertEquals(await dig("b.weir.test"), "10.1.1.1");
  assertEquals(await dig("c.weir.test", "+tcp"), "10.1.1.1");
  socket.close();
  service.close();
});

/** What `dig` says where there is one; else our own question by UDP or TCP. */
async function digAt(port: number, more: readonly string[]): Promise<string> {
  const args = ["@127.0.0.1", "-p", String(port), "+short", "+time=3", "+tries=1", ...more];
  try {
    const { stdout } = await new Deno.Command("dig", { args, stdin: "null" }).output();
    return new TextDecoder().decode(stdout).trim();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const question = { name: more[0]!, type: "A" };
  const query = writeQuery(77, question);
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await conn.write(Uint8Array.of(query.length >>> 8, query.length & 0xff, ...query));
  const answer = new Uint8Array(2_000);
  const count = await conn.read(answer) ?? 0;
  conn.close();
  return addressesOf(readAnswer(answer.subarray(2, count), question)!).map(formatIp).join();
}
