/** Answers that are still good, and those that were: stale ones help while a new one is fetched. Read first: RFC 2308 (negative answers), RFC 8767 (stale ones). */
import {
  DNS_CACHE_STALE_S_MAX,
  DNS_CACHE_TTL_S_MAX,
  DNS_FAILURE_TTL_S,
  DNS_NEGATIVE_TTL_S_MAX,
} from "../base/limits.ts";
import { type Micros, SECOND_US } from "../base/micros.ts";
import { type DnsAnswer, type Question, Rcode } from "./message.ts";

/** An answer out of the cache. */
export interface CachedAnswer {
  readonly answer: DnsAnswer;
  /** Units: s. */
  readonly ageSeconds: number;
  /** Its time is over; it is given with a TTL of 1 and asked for again. */
  readonly isStale: boolean;
}

interface Entry {
  readonly answer: DnsAnswer;
  readonly storedAt: Micros;
  readonly ttlSeconds: number;
}

/** How long an answer may be kept. Units: s. 0: not at all. */
export function ttlOf({ rcode, answers, authorities }: DnsAnswer): number {
  const ttls = answers.filter(({ type }) => type !== "OPT").map(({ ttl }) => ttl ?? 0);
  if (ttls.length > 0) return Math.min(...ttls, DNS_CACHE_TTL_S_MAX);
  if (rcode === Rcode.ServerFailure) return DNS_FAILURE_TTL_S;
  if (rcode !== Rcode.Success && rcode !== Rcode.NameError) return 0;
  const soa = authorities.find(({ type }) => type === "SOA");
  const minimum = (soa?.data as { minimum?: number } | undefined)?.minimum;
  return soa === undefined ? 0 : Math.min(soa.ttl ?? 0, minimum ?? 0, DNS_NEGATIVE_TTL_S_MAX);
}

/** Answers by their questions; the one that was used longest ago goes first. */
export class AnswerCache {
  readonly #entries = new Map<string, Entry>();
  readonly #countMax: number;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  /** Answers that are kept, stale ones too. */
  get count(): number {
    return this.#entries.size;
  }

  /** The answer to a question; undefined when there is none, or it is too old even to help. */
  find({ name, type }: Question, now: Micros): CachedAnswer | undefined {
    const key = `${type} ${name}`;
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const ageSeconds = Math.floor((now - entry.storedAt) / SECOND_US);
    const isStale = ageSeconds >= entry.ttlSeconds;
    const canBeStale = entry.answer.rcode === Rcode.Success || entry.answer.rcode === Rcode.NameError;
    if (isStale && (!canBeStale || ageSeconds >= entry.ttlSeconds + DNS_CACHE_STALE_S_MAX)) {
      this.#entries.delete(key);
      return undefined;
    }
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return { answer: entry.answer, ageSeconds, isStale };
  }

  /** Keeps an answer as long as it says. A failure does not take the place of an answer that was good once. */
  store({ name, type }: Question, answer: DnsAnswer, now: Micros): void {
    const ttlSeconds = ttlOf(answer);
    const key = `${type} ${name}`;
    if (ttlSeconds <= 0 || this.#countMax === 0 || isTransient(name, type)) return;
    if (answer.rcode === Rcode.ServerFailure && this.#entries.get(key)?.answer.rcode === Rcode.Success) return;
    this.#entries.delete(key);
    this.#entries.set(key, { answer, storedAt: now, ttlSeconds });
    if (this.#entries.size > this.#countMax) this.#entries.delete(this.#entries.keys().next().value!);
  }

  /** Forgets everything. */
  clear(): void {
    this.#entries.clear();
  }
}

/** Challenges of certificate authorities change by the second. Source: mihomo dns/util.go. */
function isTransient(name: string, type: string): boolean {
  return type === "TXT" && name.startsWith("_acme-challenge.");
}
