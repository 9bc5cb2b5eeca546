/** weir's DNS: a server for applications and a resolver for weir itself, with their sockets and timers. */
import { createSocket } from "node:dgram";
import { formatIp, type IpAddress, parseIp } from "../base/ip_address.ts";
import {
  DNS_CACHE_COUNT,
  DNS_MESSAGE_BYTES_MAX,
  DNS_STREAM_IDLE_MS,
  POLICY_DNS_TTL_S,
  POLICY_DNS_UPSTREAMS_MAX,
} from "../base/limits.ts";
import { type Micros, MILLISECOND_US } from "../base/micros.ts";
import type { GivenNames } from "../classify/classifier.ts";
import type { NameServer } from "../config/dns.ts";
import type { ReadyDnsConfig } from "../config/weir_config.ts";
import type { HostsTable } from "../decide/hosts.ts";
import { FakeIpPool, type FakeIpState } from "../dns/fake_ip_pool.ts";
import {
  addressAnswer,
  addressesOf,
  type ClientSubnet,
  type DnsAnswer,
  type DnsRecord,
  emptyAnswer,
  type Query,
  type Question,
  Rcode,
  readQuery,
  writeAnswer,
} from "../dns/message.ts";
import { type Resolution, Resolver, type ResolverPlan } from "../dns/resolver.ts";
import { DnsServer } from "../dns/server.ts";
import type { DnsTransport } from "./dns_transport.ts";
import type { Duplex } from "./duplex.ts";
import { StreamReader, writeAll } from "./stream_reader.ts";

/** What a policy says to a question. Units: `ttl` seconds. */
export type AskedDns =
  | { readonly kind: "rcode"; readonly rcode: Rcode }
  | { readonly kind: "answer"; readonly addresses: readonly IpAddress[]; readonly ttl: number }
  /** The question is asked for this name instead. */
  | { readonly kind: "rewrite"; readonly name: string }
  /** These servers are asked. `key` is the same for the same servers. */
  | { readonly kind: "upstream"; readonly key: string; readonly servers: readonly NameServer[] };

/** Asks a policy about a question; undefined leaves it to the configuration. */
export type AskPolicyDns = (question: Question) => Promise<AskedDns | undefined>;

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

/** What a policy spelled out, as an answer to a question. */
function ownAnswer({ name, type }: Question, asked: Extract<AskedDns, { kind: "answer" | "rcode" }>): DnsAnswer {
  if (asked.kind === "rcode") return emptyAnswer(asked.rcode);
  const version = type === "A" ? 4 : type === "AAAA" ? 6 : 0;
  return addressAnswer(name, asked.addresses.filter((address) => address.version === version), asked.ttl);
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
  /** Servers that a policy chose, the one used last at the end. */
  readonly #chosen = new Map<string, LiveResolver>();
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
    const { askPolicy, clock } = this.#options;
    const query = askPolicy === undefined ? undefined : readQuery(message);
    const asked = query && await askPolicy!(query.question).catch(() => undefined);
    if (query !== undefined && asked !== undefined) return await this.#answerAsAsked(query, asked, isStream);
    const isQuestion = message.length >= 12 && (message[2]! & 0x80) === 0;
    if (!isQuestion) return undefined;
    return await new Promise((resolve) => {
      this.#server.handle(message, isStream, clock(), resolve);
      this.#usual.work();
    });
  }

  /** Answers as a policy wants it. */
  async #answerAsAsked(query: Query, asked: AskedDns, isStream: boolean): Promise<Uint8Array> {
    const { question } = query;
    const { answer, ageSeconds } = asked.kind === "rewrite"
      ? await this.#answerAlias(question, asked.name)
      : asked.kind === "upstream"
      ? await this.#answerFrom(asked.key, asked.servers, question)
      : { answer: ownAnswer(question, asked), ageSeconds: 0 };
    return writeAnswer(query, answer, { ageSeconds, bytesMax: isStream ? DNS_MESSAGE_BYTES_MAX : query.udpBytes });
  }

  /** The configuration's answer for another name, behind the record that says so: a client takes no answer for a name that it did not ask for. */
  #answerAlias(question: Question, name: string): Promise<Pick<Resolution, "answer" | "ageSeconds">> {
    return new Promise((resolve) => {
      this.#server.answer({ ...question, name }, this.#options.clock(), ({ answer, ageSeconds }) => {
        if (name === question.name) return resolve({ answer, ageSeconds });
        const ttl = answer.answers[0]?.ttl ?? POLICY_DNS_TTL_S;
        const alias: DnsRecord = { name: question.name, type: "CNAME", class: "IN", ttl, data: name };
        resolve({ answer: { ...answer, answers: [alias, ...answer.answers] }, ageSeconds });
      });
      this.#usual.work();
    });
  }

  #answerFrom(key: string, servers: readonly NameServer[], question: Question): Promise<Resolution> {
    const live = this.#chosenResolver(key, servers);
    if (live === undefined) {
      return Promise.resolve({ answer: emptyAnswer(Rcode.ServerFailure), ageSeconds: 0, isStale: false });
    }
    return new Promise((resolve) => {
      live.resolver.resolve(question, this.#options.clock(), resolve);
      live.work();
    });
  }

  /** A resolver over these servers. Undefined when there are too many others, all of them at work. */
  #chosenResolver(key: string, servers: readonly NameServer[]): LiveResolver | undefined {
    let live = this.#chosen.get(key);
    if (live === undefined) {
      if (this.#chosen.size >= POLICY_DNS_UPSTREAMS_MAX) {
        const [idle] = [...this.#chosen].find(([, { resolver }]) => resolver.lookupCount === 0) ?? [];
        if (idle === undefined) return undefined;
        this.#chosen.get(idle)!.close();
        this.#chosen.delete(idle);
      }
      live = new LiveResolver(this.#plan(servers), this.#options);
    }
    this.#chosen.delete(key);
    this.#chosen.set(key, live);
    return live;
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
    for (const live of this.#chosen.values()) live.close();
    this.#options.transport.close();
  }
}
