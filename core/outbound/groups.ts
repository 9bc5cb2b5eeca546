/**
 * Groups of proxies at work: who carries a flow now, and which proxies are to be tried out when. A state machine: what is to be tried leaves as a
 * `HealthCheck`, what it came to is told with `checked`.
 *
 * Source: mihomo adapter/outboundgroup (urltest.go, fallback.go, loadbalance.go, groupbase.go); J. Lamping and E. Veach, "A Fast, Minimal Memory, Consistent
 * Hash Algorithm" (jump hash).
 */
import { formatIp } from "../base/ip_address.ts";
import { GROUP_DEPTH_MAX, HEALTH_FIRST_US, STICKY_SESSION_US, STICKY_SESSIONS_MAX } from "../base/limits.ts";
import { addMicros, type Micros, micros, MILLISECOND_US, NEVER, SECOND_US } from "../base/micros.ts";
import type { FlowFacts } from "../classify/facts.ts";
import type { Decider } from "../decide/decider.ts";
import { BUILTIN_TARGETS } from "../decide/targets.ts";
import type { Verdict } from "../decide/verdict.ts";

/** One group as the configuration has it. Units: `intervalS` seconds (0: never on its own), `timeoutMs` and `toleranceMs` milliseconds. */
export interface GroupPlan {
  readonly name: string;
  readonly type: "select" | "url-test" | "fallback" | "load-balance" | "relay";
  readonly members: readonly string[];
  readonly url: string;
  readonly expectedStatus: string;
  readonly intervalS: number;
  readonly timeoutMs: number;
  readonly toleranceMs: number;
  readonly lazy: boolean;
  readonly strategy: "consistent-hashing" | "round-robin" | "sticky-sessions";
  readonly maxFailedTimes: number;
}

/** A proxy to be tried out: `url` is to be fetched through `chain`. */
export interface HealthCheck {
  /** Never used twice. */
  readonly id: number;
  /** From the proxy that speaks to the destination to the one nearest to us. */
  readonly chain: readonly string[];
  readonly url: string;
  readonly expectedStatus: string;
  readonly timeoutMs: number;
}

/** What is known of one proxy with one address to fetch. */
interface Health {
  /** Units: ms; undefined before the first check. */
  delayMs: number | undefined;
  isAlive: boolean;
  /** The check that is under way, 0 for none. */
  checking: number;
}

interface Group {
  readonly plan: GroupPlan;
  /** What a user or the last choice settled on. */
  current: string | undefined;
  isFixed: boolean;
  nextCheck: Micros;
  isUsed: boolean;
  turn: number;
  failures: number;
  failuresSince: Micros;
}

/** What a user sees of a proxy. */
export interface MemberHealth {
  readonly name: string;
  readonly isAlive: boolean;
  readonly delayMs: number | undefined;
}

const BUILTINS = new Map(BUILTIN_TARGETS.map((target) => [target.name, target]));
const HASH_RETRIES = 5;

/** 32 bits of a text. Source: FNV-1a. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}

/** A bucket for a key, such that few keys move when buckets are added. */
export function jumpHash(key: number, buckets: number): number {
  let state = BigInt(key >>> 0) | 1n << 32n;
  let bucket = -1;
  for (let next = 0; next < buckets;) {
    bucket = next;
    state = (state * 2862933555777941757n + 1n) & 0xffff_ffff_ffff_ffffn;
    next = Math.floor((bucket + 1) * (2 ** 31 / (Number(state >> 33n) + 1)));
  }
  return bucket;
}

/** The part of a name that one owner has: its last two labels, three under short second levels such as `co.uk`. */
export function ownerOf(host: string): string {
  const labels = host.split(".");
  const second = labels.at(-2) ?? "";
  const count = labels.length > 2 && second.length <= 3 && (labels.at(-1) ?? "").length === 2 ? 3 : 2;
  return labels.slice(-count).join(".");
}

function destinationKey(facts: FlowFacts): string {
  if (facts.host !== "") return ownerOf(facts.host);
  return facts.destinationIp === undefined ? "" : formatIp(facts.destinationIp);
}

function sourceKey(facts: FlowFacts): string {
  return facts.sourceIp === undefined ? "" : formatIp(facts.sourceIp);
}

/** All groups. */
export class Groups {
  /** What is to be tried out. The host takes these out. */
  readonly checks: HealthCheck[] = [];
  readonly #groups: ReadonlyMap<string, Group>;
  readonly #health = new Map<string, Health>();
  readonly #open = new Map<number, { readonly health: Health; readonly url: string }>();
  /** Members of sticky sessions by group, source and destination; the one used longest ago goes first. */
  readonly #sticky = new Map<string, { readonly member: string; readonly until: Micros }>();
  #lastId = 0;
  #now: Micros = micros(0);

  constructor(plans: readonly GroupPlan[], now: Micros) {
    this.#now = now;
    this.#groups = new Map(plans.map((plan) => [plan.name, {
      plan,
      current: undefined,
      isFixed: false,
      nextCheck: isMeasured(plan) ? addMicros(now, HEALTH_FIRST_US) : NEVER,
      isUsed: true,
      turn: 0,
      failures: 0,
      failuresSince: now,
    }]));
  }

  /** From the proxy that would carry the flow (first) to the name itself (last). */
  chainFor(name: string, facts: FlowFacts): string[] {
    return this.#chain(name, facts, 0);
  }

  #chain(name: string, facts: FlowFacts | undefined, depth: number): string[] {
    const group = this.#groups.get(name);
    if (group === undefined || depth > GROUP_DEPTH_MAX) return [name];
    group.isUsed = true;
    const { members, type } = group.plan;
    if (members.length === 0) return ["COMPATIBLE", name];
    if (type === "relay") {
      return [...[...members].reverse().flatMap((member) => this.#chain(member, facts, depth + 1)), name];
    }
    return [...this.#chain(this.#memberFor(group, facts), facts, depth + 1), name];
  }

  #memberFor(group: Group, facts: FlowFacts | undefined): string {
    const { plan } = group;
    if (
      group.isFixed && group.current !== undefined && (plan.type === "select" || this.#isAlive(plan, group.current))
    ) {
      return group.current;
    }
    if (plan.type === "url-test") return this.#fastest(group);
    if (plan.type === "fallback") return plan.members.find((member) => this.#isAlive(plan, member)) ?? plan.members[0]!;
    if (plan.type === "load-balance" && facts !== undefined) return this.#balance(group, facts);
    return plan.members[0]!;
  }

  /** The current one unless it is dead, gone, or slower than the best by more than the tolerance. */
  #fastest(group: Group): string {
    const { plan } = group;
    let best: string | undefined;
    let bestMs = Infinity;
    for (const member of plan.members) {
      const health = this.#healthOf(plan, member);
      if (!health.isAlive || (health.delayMs ?? Infinity) >= bestMs) continue;
      best = member;
      bestMs = health.delayMs!;
    }
    const { current } = group;
    const currentMs = current === undefined ? undefined : this.#healthOf(plan, current).delayMs;
    const keeps = current !== undefined && this.#isAlive(plan, current) && currentMs !== undefined &&
      currentMs <= bestMs + plan.toleranceMs;
    if (!keeps) group.current = best;
    return group.current ?? plan.members.find((member) => this.#isAlive(plan, member)) ?? plan.members[0]!;
  }

  #balance(group: Group, facts: FlowFacts): string {
    const { plan } = group;
    if (plan.strategy === "round-robin") {
      for (let tried = 0; tried < plan.members.length; tried++) {
        const member = plan.members[group.turn++ % plan.members.length]!;
        if (this.#isAlive(plan, member)) return member;
      }
      return plan.members[0]!;
    }
    if (plan.strategy === "sticky-sessions") return this.#stick(group, facts);
    return this.#hashed(plan, destinationKey(facts));
  }

  #hashed(plan: GroupPlan, key: string): string {
    let hash = hashText(key);
    for (let attempt = 0; attempt < HASH_RETRIES; attempt++) {
      const member = plan.members[jumpHash(hash, plan.members.length)]!;
      if (this.#isAlive(plan, member)) return member;
      hash = (hash + 1) >>> 0;
    }
    return plan.members.find((member) => this.#isAlive(plan, member)) ?? plan.members[0]!;
  }

  #stick(group: Group, facts: FlowFacts): string {
    const { plan } = group;
    const pair = `${sourceKey(facts)}>${destinationKey(facts)}`;
    const key = `${plan.name}|${pair}`;
    const known = this.#sticky.get(key);
    const isGood = known !== undefined && known.until > this.#now && this.#isAlive(plan, known.member);
    const member = isGood ? known.member : this.#hashed(plan, `${pair}${group.turn++}`);
    this.#sticky.delete(key);
    this.#sticky.set(key, { member, until: addMicros(this.#now, STICKY_SESSION_US) });
    if (this.#sticky.size > STICKY_SESSIONS_MAX) this.#sticky.delete(this.#sticky.keys().next().value!);
    return member;
  }

  /** A member that is a group stands and falls with the one that it would choose. */
  #healthOf(plan: GroupPlan, member: string): Health {
    const leaf = this.#groups.has(member) ? this.#chain(member, undefined, 1)[0]! : member;
    const key = `${leaf}\n${plan.url}`;
    let health = this.#health.get(key);
    if (health === undefined) this.#health.set(key, health = { delayMs: undefined, isAlive: true, checking: 0 });
    return health;
  }

  #isAlive(plan: GroupPlan, member: string): boolean {
    return this.#healthOf(plan, member).isAlive;
  }

  /** What is known of a group's members; undefined for a name that is no group. */
  members(name: string): MemberHealth[] | undefined {
    const plan = this.#groups.get(name)?.plan;
    return plan?.members.map((member) => {
      const { isAlive, delayMs } = this.#healthOf(plan, member);
      return { name: member, isAlive, delayMs };
    });
  }

  /** Settles a group on one member; undefined lets it choose again. False when there is no such group or member. */
  select(name: string, member: string | undefined): boolean {
    const group = this.#groups.get(name);
    if (group === undefined || (member !== undefined && !group.plan.members.includes(member))) return false;
    group.current = member;
    group.isFixed = member !== undefined;
    return true;
  }

  /** Starts what is due. Answers when it wants to be called again. */
  poll(now: Micros): Micros {
    this.#now = now;
    let next: number = NEVER;
    for (const group of this.#groups.values()) {
      const { plan } = group;
      if (group.nextCheck <= now) {
        group.nextCheck = plan.intervalS > 0 ? addMicros(now, plan.intervalS * SECOND_US) : NEVER;
        if (group.isUsed) this.#check(group);
        group.isUsed = !plan.lazy;
      }
      next = Math.min(next, group.nextCheck);
    }
    return micros(next);
  }

  #check({ plan }: Group): void {
    for (const member of plan.members) {
      const health = this.#healthOf(plan, member);
      const chain = this.#chain(member, undefined, 1);
      if (health.checking !== 0 || BUILTINS.get(chain[0]!)?.action === "reject") continue;
      const id = ++this.#lastId;
      health.checking = id;
      this.#open.set(id, { health, url: plan.url });
      const hops = chain.filter((name) => !this.#groups.has(name));
      this.checks.push({
        id,
        chain: hops,
        url: plan.url,
        expectedStatus: plan.expectedStatus,
        timeoutMs: plan.timeoutMs,
      });
    }
  }

  /** Tells what a check came to; undefined when the proxy did not carry it in time. Units: ms. */
  checked(id: number, delayMs: number | undefined): void {
    const open = this.#open.get(id);
    if (open === undefined) return;
    this.#open.delete(id);
    open.health.checking = 0;
    open.health.isAlive = delayMs !== undefined;
    open.health.delayMs = delayMs;
  }

  /** A flow could not be carried: its groups are tried out at once when a proxy refused it, or when it happened too often. */
  dialFailed(chain: readonly string[], isRefused: boolean, now: Micros): void {
    this.#now = now;
    for (const name of chain) {
      const group = this.#groups.get(name);
      if (group === undefined || !isMeasured(group.plan)) continue;
      if (now - group.failuresSince > group.plan.timeoutMs * MILLISECOND_US) {
        group.failures = 0;
        group.failuresSince = now;
      }
      group.failures++;
      if (!isRefused && group.failures < group.plan.maxFailedTimes) continue;
      group.failures = 0;
      this.#check(group);
    }
  }

  /** A decider whose verdicts name the proxies that carry flows now. */
  wrap(decider: Decider): Decider {
    const update = (verdict: Verdict, facts: FlowFacts) => {
      if (!this.#groups.has(verdict.target)) return;
      verdict.chains = this.chainFor(verdict.target, facts);
      verdict.action = BUILTINS.get(verdict.chains[0]!)?.action ?? verdict.action;
    };
    return {
      rules: decider.rules,
      findProcessMode: decider.findProcessMode,
      prepare: (facts) => decider.prepare(facts),
      decide: (facts, verdict) => {
        const need = decider.decide(facts, verdict);
        if (need === "none") update(verdict, facts);
        return need;
      },
      decideTarget: (target, facts, verdict) => {
        const isFilled = decider.decideTarget(target, facts, verdict);
        if (isFilled) update(verdict, facts);
        return isFilled;
      },
      explain: (facts) => decider.explain(facts),
    };
  }
}

/** True for groups that choose by how their members fare. */
function isMeasured({ type }: GroupPlan): boolean {
  return type === "url-test" || type === "fallback" || type === "load-balance";
}
