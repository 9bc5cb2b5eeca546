/**
 * What weir says to those who ask it for names: fixed ones, fake addresses, or what the name servers say.
 *
 * Source: mihomo dns/middleware.go: hosts, fake-IP, mapping, resolver, in this order.
 */
import type { IpAddress } from "../base/ip_address.ts";
import { DNS_HOSTS_TTL_S, DNS_MAPPINGS_MAX, DNS_MESSAGE_BYTES_MAX } from "../base/limits.ts";
import { addMicros, type Micros, SECOND_US } from "../base/micros.ts";
import type { HostsTable } from "../decide/hosts.ts";
import type { FakeIpPool } from "./fake_ip_pool.ts";
import {
  addressAnswer,
  addressesOf,
  type DnsAnswer,
  emptyAnswer,
  type Question,
  Rcode,
  readQuery,
  writeAnswer,
  writeFormatError,
} from "./message.ts";
import type { Resolution, Resolver } from "./resolver.ts";

/** How the server is set up. */
export interface DnsServerOptions {
  readonly mode: "normal" | "fake-ip" | "redir-host";
  readonly hosts: HostsTable | undefined;
  /** There in mode `fake-ip`. */
  readonly pool: FakeIpPool | undefined;
  /** True for a name that gets its real address in mode `fake-ip` as well. */
  isRealIpHost(name: string): boolean;
  /** Units: s. */
  readonly fakeIpTtl: number;
}

/** Says what an answer came from, for logs and tests. */
export type AnswerOrigin = "hosts" | "fake-ip" | "resolver";

/** An address that a name was answered with, and until when that is believed. */
interface Mapping {
  readonly name: string;
  readonly until: Micros;
}

function keyOf({ w0, w1, w2, w3 }: IpAddress): string {
  return `${w0},${w1},${w2},${w3}`;
}

/** Types of questions whose answers would lead around the fake address. */
const HIDDEN_TYPES: ReadonlySet<string> = new Set(["AAAA", "HTTPS", "SVCB"]);

/** The server, without its sockets. */
export class DnsServer {
  readonly #options: DnsServerOptions;
  readonly #resolver: Resolver;
  readonly #mappings = new Map<string, Mapping>();

  constructor(options: DnsServerOptions, resolver: Resolver) {
    this.#options = options;
    this.#resolver = resolver;
  }

  /**
   * Answers a message. `reply` is called within this call or later, once; or never, for what asks nothing.
   * `isStream`: it came over TCP or TLS, where long answers fit.
   */
  handle(message: Uint8Array, isStream: boolean, now: Micros, reply: (bytes: Uint8Array) => void): void {
    const query = readQuery(message);
    if (query === undefined) {
      const refusal = writeFormatError(message);
      if (refusal !== undefined) reply(refusal);
      return;
    }
    const bytesMax = isStream ? DNS_MESSAGE_BYTES_MAX : query.udpBytes;
    this.answer(query.question, now, (resolution, origin) => {
      const ttl = origin === "resolver" ? (resolution.isStale ? 1 : undefined) : this.#ttlOf(origin);
      const { answer, ageSeconds } = resolution;
      reply(writeAnswer(query, answer, { ageSeconds, bytesMax, ...(ttl === undefined ? {} : { ttl }) }));
    });
  }

  #ttlOf(origin: AnswerOrigin): number {
    return origin === "hosts" ? DNS_HOSTS_TTL_S : this.#options.fakeIpTtl;
  }

  /** Answers a question. */
  answer(question: Question, now: Micros, done: (resolution: Resolution, origin: AnswerOrigin) => void): void {
    const fixed = this.#fromHosts(question);
    if (fixed !== undefined) return done({ answer: fixed, ageSeconds: 0, isStale: false }, "hosts");
    const fake = this.#fake(question);
    if (fake !== undefined) return done({ answer: fake, ageSeconds: 0, isStale: false }, "fake-ip");
    this.#resolver.resolve(question, now, (resolution) => {
      if (this.#options.mode === "redir-host") this.#map(question.name, resolution.answer, now);
      done(resolution, "resolver");
    });
  }

  /** An alias is answered as one, with the addresses of what it stands for where the table has them. */
  #fromHosts({ name, type }: Question): DnsAnswer | undefined {
    const { hosts } = this.#options;
    if (hosts === undefined || (type !== "A" && type !== "AAAA")) return undefined;
    const addresses = hosts.addresses(name);
    if (addresses === undefined) return undefined;
    const version = type === "A" ? 4 : 6;
    const { path } = hosts.aliasPath(name);
    const owner = path.at(-1) ?? name;
    const aliases = path.slice(1).map((alias, index) => ({
      name: path[index]!,
      type: "CNAME",
      class: "IN",
      ttl: DNS_HOSTS_TTL_S,
      data: alias,
    }));
    const found = addressAnswer(owner, addresses.filter((address) => address.version === version), DNS_HOSTS_TTL_S);
    return { ...found, answers: [...aliases, ...found.answers] };
  }

  #fake({ name, type }: Question): DnsAnswer | undefined {
    const { pool, mode, isRealIpHost, fakeIpTtl } = this.#options;
    if (mode !== "fake-ip" || pool === undefined || name === "" || isRealIpHost(name)) return undefined;
    if (type === "A") return addressAnswer(name, [pool.addressOf(name)], fakeIpTtl);
    return HIDDEN_TYPES.has(type) ? emptyAnswer(Rcode.Success) : undefined;
  }

  /** Remembers which name an address was given for. */
  #map(name: string, answer: DnsAnswer, now: Micros): void {
    const ttl = Math.max(1, ...answer.answers.map((record) => record.ttl ?? 0));
    for (const address of addressesOf(answer)) {
      const key = keyOf(address);
      this.#mappings.delete(key);
      this.#mappings.set(key, { name, until: addMicros(now, ttl * SECOND_US) });
      if (this.#mappings.size > DNS_MAPPINGS_MAX) this.#mappings.delete(this.#mappings.keys().next().value!);
    }
  }

  /** True for an address that is no real one, given out or not. */
  isFake(address: IpAddress): boolean {
    return this.#options.pool?.has(address) === true;
  }

  /** The name that somebody was given this address for; undefined when nobody was. */
  nameOf(address: IpAddress, now: Micros): string | undefined {
    if (this.isFake(address)) return this.#options.pool!.nameOf(address);
    const mapping = this.#mappings.get(keyOf(address));
    return mapping !== undefined && mapping.until > now ? mapping.name : undefined;
  }
}
