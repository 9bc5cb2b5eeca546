/** weir's DNS: a server for applications and a resolver for weir itself, with their sockets and timers. */
import { createSocket } from "node:dgram";
import { formatIp, type IpAddress, parseIp } from "../base/ip_address.ts";
import { DNS_CACHE_COUNT, DNS_MESSAGE_BYTES_MAX, DNS_STREAM_IDLE_MS } from "../base/limits.ts";
import { type Micros, MILLISECOND_US } from "../base/micros.ts";
import type { GivenNames } from "../classify/classifier.ts";
import type { NameServer } from "../config/dns.ts";
import type { ReadyDnsConfig } from "../config/weir_config.ts";
import type { HostsTable } from "../decide/hosts.ts";
import { FakeIpPool, type FakeIpState } from "../dns/fake_ip_pool.ts";
import {
  addressesOf,
  type ClientSubnet,
  type DnsAnswer,
  type Question,
  readQuery,
  writeAnswer,
} from "../dns/message.ts";
import { Resolver, type ResolverPlan } from "../dns/resolver.ts";
import { DnsServer } from "../dns/server.ts";
import type { DnsTransport } from "./dns_transport.ts";
import type { Duplex } from "./duplex.ts";
import { StreamReader, writeAll } from "./stream_reader.ts";

/** What a policy says to a question: an answer, other servers, another name; undefined leaves it to the configuration. */
export type AskPolicyDns = (question: Question) => Promise<
  | { readonly kind: "answer"; readonly answer: DnsAnswer }
  | { readonly kind: "rewrite"; readonly name: string }
  | undefined
>;

/** What the service is made from. */
export interface DnsServiceOptions {
  readonly config: ReadyDnsConfig;
  readonly hosts: HostsTable | undefined;
  readonly transport: DnsTransport;
  /** Asks this machine's own resolver; used where the configuration names no servers. */
  readonly resolveWithSystem: (host: string) => Promise<IpAddress[]>;
  readonly clock: () => Micros;
  /** Secret randomness. Units: 0 … 2³²−1. */
  readonly uint32: () => number;
  readonly fakeIps?: FakeIpState | undefined;
  readonly askPolicy?: AskPolicyDns | undefined;
}

/** The usual way where nothing is configured. */
const SYSTEM: NameServer = { scheme: "system", host: "", port: 0, path: "", via: "", options: new Map() };

/** `1.2.3.0/24` or an address alone, in the option `ecs` of a server. */
export function subnetOf({ options }: NameServer): ClientSubnet | undefined {
  const [text = "", bits] = (options.get("ecs") ?? "").split("/");
  const address = parseIp(text);
  if (address === undefined) return undefined;
  const most = address.version === 4 ? 32 : 128;
  const wanted = bits === undefined ? (most === 32 ? 24 : 56) : Number(bits);
  return Number.isInteger(wanted) && wanted >= 0 && wanted <= most ? { address, bits: wanted } : undefined;
}

function orSystem(servers: readonly NameServer[]): readonly NameServer[] {
  return servers.length > 0 ? servers : [SYSTEM];
}

/** A resolver with the loop that carries its exchanges out. */
class LiveResolver {
  readonly resolver: Resolver;
  readonly #transport: DnsTransport;
  readonly #clock: () => Micros;
  #timer: ReturnType<typeof setTimeout> | undefined = undefined;

  constructor(plan: ResolverPlan, { transport, clock, uint32 }: DnsServiceOptions) {
    this.resolver = new Resolver(plan, () => uint32() & 0xffff, subnetOf);
    this.#transport = transport;
    this.#clock = clock;
  }

  /** Sends what the resolver wants to know; call it after each call of the resolver. */
  work(): void {
    for (let next = this.resolver.exchanges.shift(); next !== undefined; next = this.resolver.exchanges.shift()) {
      const { id } = next;
      this.#transport.exchange(next).then((message) => {
        this.resolver.answered(id, message, this.#clock());
        this.work();
      });
    }
    this.#schedule();
  }

  #schedule(): void {
    const now = this.#clock();
    const deadline = this.resolver.poll(now);
    clearTimeout(this.#timer);
    if (this.resolver.exchanges.length > 0) return this.work();
    if (!Number.isFinite(deadline) || this.resolver.lookupCount === 0) return;
    this.#timer = setTimeout(() => this.#schedule(), Math.max(1, Math.ceil((deadline - now) / MILLISECOND_US)));
  }

  /** The addresses of a host, IPv4 first. Rejects when there is none. */
  async addresses(host: string, ipv6: boolean): Promise<IpAddress[]> {
    const ask = (type: string) =>
      new Promise<DnsAnswer>((resolve) => {
        this.resolver.resolve({ name: host, type }, this.#clock(), ({ answer }) => resolve(answer));
        this.work();
      });
    const answers = await Promise.all(ipv6 ? [ask("A"), ask("AAAA")] : [ask("A")]);
    const found = answers.flatMap(addressesOf);
    if (found.length > 0) return found;
    throw new Error(
      answers.some(({ rcode }) => rcode === "NXDOMAIN") ? "there is no such host" : "no name server knows its address",
    );
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}

/** The service. */
export class DnsService implements GivenNames {
  readonly #options: DnsServiceOptions;
  readonly #pool: FakeIpPool | undefined;
  readonly #server: DnsServer;
  readonly #usual: LiveResolver;
  readonly #proxyServers: LiveResolver;
  readonly #bootstrap: LiveResolver;
  readonly #direct: LiveResolver | undefined;
  readonly #listeners: { close(): void }[] = [];
  #isOpen = true;

  constructor(options: DnsServiceOptions) {
    const { config, hosts, fakeIps } = options;
    this.#options = options;
    const isFake = config.enable && config.enhancedMode === "fake-ip";
    this.#pool = isFake ? new FakeIpPool(config.fakeIpRange) : undefined;
    if (fakeIps !== undefined) this.#pool?.restore(fakeIps);
    this.#usual = new LiveResolver({
      ...this.#plan(orSystem(config.nameserver)),
      fallback: config.fallback,
      policies: config.policies,
    }, options);
    const forProxies = config.proxyServerNameserver.length > 0 ? config.proxyServerNameserver : config.nameserver;
    this.#proxyServers = new LiveResolver(
      { ...this.#plan(orSystem(forProxies)), policies: config.proxyServerPolicies },
      options,
    );
    this.#bootstrap = new LiveResolver(this.#plan(orSystem(config.defaultNameserver)), options);
    if (config.directNameserver.length > 0) {
      const policies = config.directNameserverFollowPolicy ? config.policies : [];
      this.#direct = new LiveResolver({ ...this.#plan(config.directNameserver), policies }, options);
    }
    this.#server = new DnsServer({
      mode: config.enable ? config.enhancedMode : "normal",
      hosts: config.useHosts ? hosts : undefined,
      pool: this.#pool,
      isRealIpHost: config.isRealIpHost,
      fakeIpTtl: config.fakeIpTtl,
    }, this.#usual.resolver);
  }

  #plan(main: readonly NameServer[]): ResolverPlan {
    const { ipv6, cacheMaxSize, isFallbackName, isForeign } = this.#options.config;
    return {
      main,
      fallback: [],
      policies: [],
      isFallbackName,
      isForeign,
      ipv6,
      cacheCount: cacheMaxSize ?? DNS_CACHE_COUNT,
    };
  }

  /** True for an address of the fake range. */
  isFake(address: IpAddress): boolean {
    return this.#server.isFake(address);
  }

  /** The name that an address was given out for. */
  nameOf(address: IpAddress, now: Micros): string | undefined {
    return this.#server.nameOf(address, now);
  }

  /** What a later service can be started with. */
  fakeIps(): FakeIpState | undefined {
    return this.#pool?.state();
  }

  /** The addresses of a flow's host, for rules. Rejects when there is none. */
  resolve(host: string): Promise<IpAddress[]> {
    return this.#usual.addresses(host, this.#options.config.ipv6);
  }

  /** The addresses of a destination that is reached directly. Rejects when there is none. */
  resolveDirect(host: string): Promise<IpAddress[]> {
    return (this.#direct ?? this.#usual).addresses(host, this.#options.config.ipv6);
  }

  /** The addresses of a proxy's server. Rejects when there is none. */
  resolveProxyServer(host: string): Promise<IpAddress[]> {
    return this.#proxyServers.addresses(host, this.#options.config.ipv6);
  }

  /** The addresses of a name server. Rejects when there is none. */
  resolveNameServer(host: string): Promise<IpAddress[]> {
    return this.#bootstrap.addresses(host, false);
  }

  /** Answers a message; undefined for what asks nothing. Never rejects. */
  async handle(message: Uint8Array, isStream: boolean): Promise<Uint8Array | undefined> {
    const asked = await this.#askPolicy(message, isStream);
    if (asked instanceof Uint8Array) return asked;
    return await new Promise((resolve) => {
      const query = readQuery(message);
      if (query !== undefined && asked !== undefined) {
        this.#server.answer(
          { ...query.question, name: asked.name },
          this.#options.clock(),
          ({ answer, ageSeconds }) => {
            resolve(
              writeAnswer(query, answer, { ageSeconds, bytesMax: isStream ? DNS_MESSAGE_BYTES_MAX : query.udpBytes }),
            );
          },
        );
      } else {
        const isQuestion = message.length >= 12 && (message[2]! & 0x80) === 0;
        if (!isQuestion) return resolve(undefined);
        this.#server.handle(message, isStream, this.#options.clock(), resolve);
      }
      this.#usual.work();
    });
  }

  /** The policy's answer, or the name to ask for instead; undefined leaves it to the configuration. */
  async #askPolicy(
    message: Uint8Array,
    isStream: boolean,
  ): Promise<Uint8Array | { readonly name: string } | undefined> {
    const { askPolicy } = this.#options;
    const query = askPolicy === undefined ? undefined : readQuery(message);
    const verdict = query && await askPolicy!(query.question).catch(() => undefined);
    if (query === undefined || verdict === undefined) return undefined;
    if (verdict.kind === "rewrite") return verdict;
    return writeAnswer(query, verdict.answer, { bytesMax: isStream ? DNS_MESSAGE_BYTES_MAX : query.udpBytes });
  }

  /** Answers a stream's questions until it ends or is silent for too long. Never rejects. */
  async serveStream(stream: Duplex): Promise<void> {
    const reader = new StreamReader(stream);
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      for (;;) {
        clearTimeout(timer);
        timer = setTimeout(() => stream.abort(), DNS_STREAM_IDLE_MS);
        const head = await reader.take(2);
        const message = head && await reader.take(head[0]! << 8 | head[1]!);
        if (message === undefined) break;
        const answer = await this.handle(message, true);
        if (answer === undefined) break;
        await writeAll(stream, Uint8Array.of(answer.length >>> 8, answer.length & 0xff, ...answer));
      }
      stream.close();
    } catch {
      stream.abort();
    } finally {
      clearTimeout(timer);
    }
  }

  /** Listens for applications on UDP and TCP. Errors: an Error when the address is taken. */
  listen(address: IpAddress, port: number): void {
    const hostname = formatIp(address);
    const listener = Deno.listen({ hostname, port });
    this.#listeners.push(listener);
    void this.#acceptAll(listener);
    const socket = createSocket(address.version === 4 ? "udp4" : "udp6");
    socket.on("message", (message, from) => {
      this.handle(message, false).then((answer) => {
        if (answer !== undefined && this.#isOpen) socket.send(answer, from.port, from.address, () => {});
      });
    });
    socket.on("error", () => {});
    socket.bind({ port, address: hostname });
    this.#listeners.push(socket);
  }

  async #acceptAll(listener: Deno.Listener): Promise<void> {
    try {
      for await (const conn of listener) {
        void this.serveStream({
          read: (into) => conn.read(into),
          write: (bytes) => conn.write(bytes),
          closeWrite: () => conn.closeWrite(),
          close: () => conn.close(),
          abort: () => conn.close(),
        });
      }
    } catch {
      // The listener was closed.
    }
  }

  /** Ends listeners, timers and connections. */
  close(): void {
    this.#isOpen = false;
    for (const listener of this.#listeners) listener.close();
    for (const live of [this.#usual, this.#proxyServers, this.#bootstrap, this.#direct]) live?.close();
    this.#options.transport.close();
  }
}
