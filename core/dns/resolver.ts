/**
 * Questions become questions to name servers, and their answers one answer. A state machine: what is to be asked leaves as an `Exchange`, what came back is
 * told with `answered`; `poll` gives up what takes too long.
 *
 * Source: mihomo dns/resolver.go and util.go: a policy's servers for the names that it knows, else the usual ones and the fallback ones side by side; all
 * servers of a group race; one lookup for all who ask the same.
 */
import type { IpAddress } from "../base/ip_address.ts";
import { DNS_ATTEMPTS_MAX, DNS_EXCHANGE_US, DNS_LOOKUPS_MAX, DNS_WAITERS_MAX } from "../base/limits.ts";
import { addMicros, type Micros, micros, NEVER } from "../base/micros.ts";
import type { NameServer } from "../config/dns.ts";
import { AnswerCache } from "./answer_cache.ts";
import {
  addressesOf,
  type ClientSubnet,
  type DnsAnswer,
  emptyAnswer,
  type Question,
  Rcode,
  readAnswer,
  writeQuery,
} from "./message.ts";

/** One question to one server. */
export interface Exchange {
  /** Never used twice. */
  readonly id: number;
  readonly server: NameServer;
  readonly question: Question;
  readonly message: Uint8Array;
}

/** Which servers know which names, and when the usual ones are not believed. */
export interface ResolverPlan {
  readonly main: readonly NameServer[];
  readonly fallback: readonly NameServer[];
  /** The first whose names match counts. */
  readonly policies: readonly { matches(name: string): boolean; readonly servers: readonly NameServer[] }[];
  /** True for names that only the fallback servers are asked for. */
  isFallbackName(name: string): boolean;
  /** True for an address of the usual servers that is not believed. */
  isForeign(address: IpAddress): boolean;
  /** False: questions for AAAA are answered "none". */
  readonly ipv6: boolean;
  readonly cacheCount: number;
}

/** What a question came to. */
export interface Resolution {
  readonly answer: DnsAnswer;
  /** Units: s. */
  readonly ageSeconds: number;
  readonly isStale: boolean;
}

/** Takes the answer, once. */
export type Waiter = (resolution: Resolution) => void;

const RCODE_ANSWERS: Readonly<Record<string, Rcode>> = {
  success: Rcode.Success,
  format_error: Rcode.FormatError,
  server_failure: Rcode.ServerFailure,
  name_error: Rcode.NameError,
  not_implemented: Rcode.NotImplemented,
  refused: Rcode.Refused,
};

/** `1.2.3.0/24` in the options of a server. */
export type SubnetOf = (server: NameServer) => ClientSubnet | undefined;

/** The servers of one group that race for one lookup. */
interface Race {
  readonly servers: readonly NameServer[];
  readonly open: Set<number>;
  attempts: number;
  /** The first answer that says something. */
  winner: DnsAnswer | undefined;
  /** The first that says "none of this type": it counts when nobody says more. */
  spare: DnsAnswer | undefined;
  isOver: boolean;
}

interface Lookup {
  readonly key: string;
  readonly question: Question;
  readonly waiters: Waiter[];
  readonly main: Race | undefined;
  readonly fallback: Race | undefined;
}

interface OpenExchange {
  readonly exchange: Exchange;
  readonly lookup: Lookup;
  readonly race: Race;
  readonly deadline: Micros;
}

function createRace(servers: readonly NameServer[]): Race | undefined {
  if (servers.length === 0) return undefined;
  return { servers, open: new Set(), attempts: 0, winner: undefined, spare: undefined, isOver: false };
}

/** True for an answer that ends a race: one with records, or "there is no such name". */
function isConclusive({ rcode, answers }: DnsAnswer): boolean {
  return rcode === Rcode.NameError || (rcode === Rcode.Success && answers.length > 0);
}

function resultOf(race: Race | undefined): DnsAnswer | undefined {
  return race?.winner ?? race?.spare;
}

/** All lookups that are under way, and the cache. */
export class Resolver {
  readonly cache: AnswerCache;
  /** What is to be asked. The host takes these out. */
  readonly exchanges: Exchange[] = [];
  readonly #plan: ResolverPlan;
  readonly #messageId: () => number;
  readonly #subnetOf: SubnetOf;
  readonly #lookups = new Map<string, Lookup>();
  /** In the order of their deadlines, as all are equally long. */
  readonly #open = new Map<number, OpenExchange>();
  #lastId = 0;

  /** `messageId`: secret randomness, 0 … 65,535. */
  constructor(plan: ResolverPlan, messageId: () => number, subnetOf: SubnetOf = () => undefined) {
    this.#plan = plan;
    this.#messageId = messageId;
    this.#subnetOf = subnetOf;
    this.cache = new AnswerCache(plan.cacheCount);
  }

  /** Lookups under way. */
  get lookupCount(): number {
    return this.#lookups.size;
  }

  /** Asks. `done` is called within this call when the answer is known, else later; always once. */
  resolve(question: Question, now: Micros, done: Waiter): void {
    const { ipv6 } = this.#plan;
    if (question.type === "AAAA" && !ipv6) {
      return done({ answer: emptyAnswer(Rcode.Success), ageSeconds: 0, isStale: false });
    }
    const cached = this.cache.find(question, now);
    if (cached !== undefined) {
      if (cached.isStale) this.#join(question, now, undefined);
      return done(cached);
    }
    this.#join(question, now, done);
  }

  #join(question: Question, now: Micros, done: Waiter | undefined): void {
    const key = `${question.type} ${question.name}`;
    const failed = { answer: emptyAnswer(Rcode.ServerFailure), ageSeconds: 0, isStale: false };
    let lookup = this.#lookups.get(key);
    if (lookup === undefined) {
      if (this.#lookups.size >= DNS_LOOKUPS_MAX) return done?.(failed);
      lookup = this.#plannedLookup(key, question);
      this.#lookups.set(key, lookup);
      if (done !== undefined) lookup.waiters.push(done);
      return this.#start(lookup, now);
    }
    if (done === undefined) return;
    if (lookup.waiters.length >= DNS_WAITERS_MAX) return done(failed);
    lookup.waiters.push(done);
  }

  #plannedLookup(key: string, question: Question): Lookup {
    const { main, fallback, policies, isFallbackName } = this.#plan;
    const policy = policies.find(({ matches }) => matches(question.name));
    const base = { key, question, waiters: [] };
    if (policy !== undefined) return { ...base, main: createRace(policy.servers), fallback: undefined };
    if (fallback.length > 0 && isFallbackName(question.name)) {
      return { ...base, main: undefined, fallback: createRace(fallback) };
    }
    const asksAddress = question.type === "A" || question.type === "AAAA";
    return { ...base, main: createRace(main), fallback: asksAddress ? createRace(fallback) : undefined };
  }

  #start(lookup: Lookup, now: Micros): void {
    for (const race of [lookup.main, lookup.fallback]) if (race !== undefined) this.#ask(lookup, race, now);
    this.#settle(lookup, now);
  }

  /** Asks every server of a group. */
  #ask(lookup: Lookup, race: Race, now: Micros): void {
    race.attempts++;
    for (const server of race.servers) {
      if (server.scheme === "rcode") {
        this.#take(race, emptyAnswer(RCODE_ANSWERS[server.host] ?? Rcode.ServerFailure), true);
        continue;
      }
      const id = ++this.#lastId;
      const message = writeQuery(this.#messageId(), lookup.question, this.#subnetOf(server));
      const exchange = { id, server, question: lookup.question, message };
      race.open.add(id);
      this.#open.set(id, { exchange, lookup, race, deadline: addMicros(now, DNS_EXCHANGE_US) });
      this.exchanges.push(exchange);
    }
    if (race.open.size === 0) race.isOver = true;
  }

  /** Tells what a server said; undefined when it said nothing that can be used. An exchange that is over is ignored. */
  answered(id: number, message: Uint8Array | undefined, now: Micros): void {
    const open = this.#open.get(id);
    if (open === undefined) return;
    const { lookup, race, exchange } = open;
    this.#open.delete(id);
    race.open.delete(id);
    const answer = message && readAnswer(message, exchange.question);
    if (answer !== undefined) this.#take(race, answer, false);
    this.#goOn(lookup, race, now);
    this.#settle(lookup, now);
  }

  /** Notes an answer. `isFinal`: it counts whatever it says. */
  #take(race: Race, answer: DnsAnswer, isFinal: boolean): void {
    if (race.winner !== undefined) return;
    if (isFinal || isConclusive(answer)) {
      race.winner = answer;
      race.isOver = true;
    } else if (answer.rcode === Rcode.Success) race.spare ??= answer;
  }

  /** Asks once more when nobody has said anything. */
  #goOn(lookup: Lookup, race: Race, now: Micros): void {
    if (race.isOver || race.open.size > 0) return;
    if (race.spare === undefined && race.attempts < DNS_ATTEMPTS_MAX) this.#ask(lookup, race, now);
    else race.isOver = true;
  }

  /** Ends a lookup whose answer is certain. */
  #settle(lookup: Lookup, now: Micros): void {
    const answer = this.#judge(lookup);
    if (answer === undefined || this.#lookups.get(lookup.key) !== lookup) return;
    this.#lookups.delete(lookup.key);
    for (const race of [lookup.main, lookup.fallback]) {
      for (const id of race?.open ?? []) this.#open.delete(id);
    }
    this.cache.store(lookup.question, answer, now);
    for (const done of lookup.waiters) done({ answer, ageSeconds: 0, isStale: false });
  }

  /** The answer; undefined while it may still change. */
  #judge({ main, fallback }: Lookup): DnsAnswer | undefined {
    const failure = emptyAnswer(Rcode.ServerFailure);
    if (main === undefined && fallback === undefined) return failure;
    if (main === undefined || fallback === undefined) {
      const only = main ?? fallback!;
      return only.isOver ? resultOf(only) ?? failure : undefined;
    }
    if (!main.isOver) return undefined;
    const answer = resultOf(main);
    const addresses = answer === undefined ? [] : addressesOf(answer);
    if (answer !== undefined && addresses.length > 0 && !addresses.some((address) => this.#plan.isForeign(address))) {
      return answer;
    }
    if (!fallback.isOver) return undefined;
    return resultOf(fallback) ?? answer ?? failure;
  }

  /** Gives up what takes too long. Answers with the next deadline. */
  poll(now: Micros): Micros {
    for (const [id, { deadline }] of this.#open) {
      if (deadline > now) break;
      this.answered(id, undefined, now);
    }
    for (const { deadline } of this.#open.values()) return micros(deadline);
    return NEVER;
  }
}
