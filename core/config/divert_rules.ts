/**
 * Which flows the rules may touch, as regions of packets.
 *
 * Of each condition two regions are known: `may`, outside of which it never holds, and `must`, inside of which it always does. Names, processes and
 * databases say nothing about a packet: they may hold anywhere, and must nowhere. Then, from the last rule to the first:
 *
 * ```
 * touched(no more rules)               = nothing: what no rule takes is direct
 * touched(rule that touches, …)        = may(rule) ∪ touched(…)
 * touched(rule that leaves alone, …)   = touched(…) without must(rule)
 * ```
 *
 * It is exact for rules about addresses, ports and networks, and errs towards more for all others.
 */
import { RULE_DEPTH_MAX } from "../base/limits.ts";
import { parsePrefix } from "../base/ip_address.ts";
import { type DecideConfig, targetOf } from "../decide/decide_config.ts";
import { type Rule, RULE_TYPES } from "../decide/rule.ts";
import type { Target } from "../decide/targets.ts";
import {
  ALL,
  both,
  either,
  eitherOf,
  isDeep,
  NONE,
  not,
  prefixRanges,
  type Region,
  type RegionField,
  within,
} from "./divert_region.ts";

/** What a walk through the rules looks for. */
export interface TouchQuestion {
  readonly config: DecideConfig;
  readonly network: "tcp" | "udp";
  /** False when a flow's destination may be another than its packets': the hosts table can replace it. */
  readonly isDestinationExact: boolean;
  /** True for targets that are looked for. */
  readonly touches: (target: Target) => boolean;
  /** Hears of each rule that takes part, with why it cannot be told by packets. */
  readonly note: (rule: Rule, target: Target | undefined, bounds: Bounds) => void;
}

/** Where a condition may hold, and where it must. */
export interface Bounds {
  readonly may: Region;
  readonly must: Region;
}

const UNKNOWN: Bounds = { may: ALL, must: NONE };
const ALWAYS: Bounds = { may: ALL, must: ALL };
const NEVER: Bounds = { may: NONE, must: NONE };

/** What GEOIP calls `lan`. Source: core/decide/geo.ts `isLanAddress`. */
const LAN = [
  "0.0.0.0/32",
  "10.0.0.0/8",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "224.0.0.0/4",
  "::/127",
  "fc00::/7",
  "fe80::/10",
  "ff00::/8",
].flatMap((text) => prefixRanges(parsePrefix(text)!));

function exactly(region: Region): Bounds {
  return { may: region, must: region };
}

/** True for conditions about an address whose end is the source. */
function isSourceRule(type: Rule["type"]): boolean {
  return type.startsWith("SRC-");
}

/** The bounds of one condition. `isSwapped`: inside a RULE-SET with `src`, where the ends have changed places. */
export function boundsOf(rule: Rule, question: TouchQuestion, isSwapped = false, depth = 0): Bounds {
  const { config, network } = question;
  if (depth > RULE_DEPTH_MAX) return UNKNOWN;
  const field = (isSource: boolean, what: "Addr" | "Port"): RegionField =>
    `${isSource !== isSwapped ? "local" : "remote"}${what}`;
  const inner = (each: Rule) => boundsOf(each, question, isSwapped, depth + 1);
  switch (rule.type) {
    case "MATCH":
      return ALWAYS;
    case "NETWORK":
      return rule.network === network ? ALWAYS : NEVER;
    case "SRC-PORT":
    case "DST-PORT": {
      if (rule.ranges.length === 0) return ALWAYS;
      const ranges = rule.ranges.map(({ low, high }) => ({ low: BigInt(low), high: BigInt(high) }));
      return exactly(within(field(rule.type === "SRC-PORT", "Port"), ranges));
    }
    case "IP-CIDR":
    case "SRC-IP-CIDR":
    case "GEOIP":
    case "SRC-GEOIP": {
      const end = field(isSourceRule(rule.type), "Addr");
      if (end === "remoteAddr" && !question.isDestinationExact) return UNKNOWN;
      if ("prefix" in rule) return exactly(within(end, prefixRanges(rule.prefix)));
      if (rule.country !== "lan") return UNKNOWN;
      return exactly(rule.negated ? not(within(end, LAN)) : within(end, LAN));
    }
    case "AND": {
      const parts = rule.conditions.map(inner);
      return { may: both(...parts.map(({ may }) => may)), must: both(...parts.map(({ must }) => must)) };
    }
    case "OR": {
      const parts = rule.conditions.map(inner);
      return { may: eitherOf(parts.map(({ may }) => may)), must: eitherOf(parts.map(({ must }) => must)) };
    }
    case "NOT": {
      const { may, must } = inner(rule.conditions[0]!);
      return { may: not(must), must: not(may) };
    }
    case "RULE-SET":
      return providerBounds(rule.payload, rule.src ? !isSwapped : isSwapped, question, depth);
    case "REMATCH-NAME":
      return NEVER;
    case "SUB-RULE":
      return inner(rule.condition);
    default:
      return RULE_TYPES[rule.type].reads === "process" && config.findProcessMode === "off" ? NEVER : UNKNOWN;
  }
}

function providerBounds(name: string, isSwapped: boolean, question: TouchQuestion, depth: number): Bounds {
  const provider = question.config.providers.get(name);
  if (provider === undefined) return NEVER;
  if (provider.behavior !== "classical") return UNKNOWN;
  const parts = provider.rules.map((rule) => boundsOf(rule, question, isSwapped, depth + 1));
  return { may: eitherOf(parts.map(({ may }) => may)), must: eitherOf(parts.map(({ must }) => must)) };
}

/** Source: core/decide/outcome.ts `isUsable`. */
function isUsable(target: Target | undefined, network: "tcp" | "udp"): target is Target {
  return target !== undefined && !target.pass && (target.udp || network === "tcp");
}

/**
 * Rules of a kind that follow each other are joined at once: a list of ten thousand prefixes is sorted once.
 */
class Walk {
  #touched: Region = NONE;
  #pending: Region[] = [];
  #isTouching = false;

  add(isTouching: boolean, region: Region): void {
    if (isTouching !== this.#isTouching) this.#flush();
    this.#isTouching = isTouching;
    this.#pending.push(region);
  }

  #flush(): void {
    const joined = eitherOf(this.#pending);
    this.#pending = [];
    const touched = this.#isTouching ? either(joined, this.#touched) : both(not(joined), this.#touched);
    this.#touched = isDeep(touched) ? ALL : touched;
  }

  get touched(): Region {
    this.#flush();
    return this.#touched;
  }
}

/** The flows that the rules of a configuration may touch. */
export function touchedByRules(question: TouchQuestion): Region {
  return touchedByList(question.config.rules, question, 0);
}

function touchedByList(rules: readonly Rule[], question: TouchQuestion, depth: number): Region {
  const { config, network } = question;
  const walk = new Walk();
  for (const rule of [...rules].reverse()) {
    const bounds = boundsOf(rule, question);
    if (rule.type === "SUB-RULE") {
      const list = config.subRules.get(rule.target);
      if (list === undefined || depth >= RULE_DEPTH_MAX) continue;
      walk.add(false, both(bounds.must, decidedByList(list, question, depth + 1)));
      walk.add(true, both(bounds.may, touchedByList(list, question, depth + 1)));
      continue;
    }
    const target = targetOf(config, rule);
    if (!isUsable(target, network)) continue;
    question.note(rule, target, bounds);
    if (question.touches(target)) walk.add(true, bounds.may);
    else walk.add(false, bounds.must);
  }
  return walk.touched;
}

/** The flows that a list of sub-rules certainly decides: a hit whose target is no use ends the list, and the outer rules go on. */
function decidedByList(rules: readonly Rule[], question: TouchQuestion, depth: number): Region {
  const { config, network } = question;
  let decided: Region = NONE;
  for (const rule of [...rules].reverse()) {
    const { may, must } = boundsOf(rule, question);
    if (rule.type === "SUB-RULE") {
      const list = config.subRules.get(rule.target);
      if (list === undefined || depth >= RULE_DEPTH_MAX) continue;
      // Whether the inner list's hit is of use is not followed any further: what it may take is not counted as decided.
      decided = both(not(may), decided);
    } else if (isUsable(targetOf(config, rule), network)) decided = either(must, decided);
    else decided = both(not(may), decided);
    // `decided` may only shrink for being simplified.
    if (isDeep(decided)) decided = NONE;
  }
  return decided;
}

/** True when some rule reads the flow's name, so that knowing it earlier decides better. */
export function readsNames(rules: readonly Rule[], config: DecideConfig, depth = 0): boolean {
  if (depth > RULE_DEPTH_MAX) return true;
  return rules.some((rule) => {
    switch (rule.type) {
      case "AND":
      case "OR":
      case "NOT":
        return readsNames(rule.conditions, config, depth + 1);
      case "SUB-RULE":
        return readsNames([rule.condition], config, depth + 1) ||
          readsNames(config.subRules.get(rule.target) ?? [], config, depth + 1);
      case "RULE-SET": {
        const provider = config.providers.get(rule.payload);
        return provider?.behavior === "domain" ||
          (provider?.behavior === "classical" && readsNames(provider.rules, config, depth + 1));
      }
      default:
        return RULE_TYPES[rule.type].reads === "host";
    }
  });
}
