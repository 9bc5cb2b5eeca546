/** Conditions that are tested one by one, as objects: what a rule came to after compiling. */
import { RULE_DEPTH_MAX } from "../base/limits.ts";
import type { IpAddress } from "../base/ip_address.ts";
import type { AddressSet } from "./decide_config.ts";
import type { DomainSet } from "./domain_table.ts";
import { type HostSet, isLanAddress } from "./geo.ts";
import { suffixEquals } from "./judge.ts";
import type { MatchContext } from "./match_context.ts";
import type { RuleList } from "./match_list.ts";
import { Answer } from "./needs.ts";
import type { Pattern } from "./pattern.ts";
import { inRanges, type NumberRange } from "./ranges.ts";
import { isUsable } from "./outcome.ts";
import { matchesWildcard } from "./wildcard.ts";

/** Something that a flow can be tested for. */
export abstract class Condition {
  /** The order within AND and OR: cheap ones first. What comes out does not depend on it. */
  readonly cost: number;

  constructor(cost: number) {
    this.cost = cost;
  }

  /** An `Answer`, or a sum of needs. */
  abstract test(context: MatchContext): number;
}

/** Always the same answer. */
export class FixedCondition extends Condition {
  readonly #answer: number;

  constructor(answer: number) {
    super(0);
    this.#answer = answer;
  }

  test(): number {
    return this.#answer;
  }
}

abstract class HostCondition extends Condition {
  abstract matches(context: MatchContext): boolean;

  test(context: MatchContext): number {
    if (context.nameComing) return Answer.Name;
    return this.matches(context) ? Answer.Yes : Answer.No;
  }
}

/** DOMAIN. */
export class DomainCondition extends HostCondition {
  readonly #name: string;

  constructor(name: string) {
    super(1);
    this.#name = name;
  }

  matches(context: MatchContext): boolean {
    return context.host === this.#name;
  }
}

/** DOMAIN-SUFFIX. */
export class SuffixCondition extends HostCondition {
  readonly #name: string;
  readonly #dotted: string;

  constructor(name: string) {
    super(1);
    this.#name = name;
    this.#dotted = "." + name;
  }

  matches(context: MatchContext): boolean {
    return context.host === this.#name || context.host.endsWith(this.#dotted);
  }
}

/** DOMAIN-KEYWORD. */
export class KeywordCondition extends HostCondition {
  readonly #keyword: string;

  constructor(keyword: string) {
    super(2);
    this.#keyword = keyword;
  }

  matches(context: MatchContext): boolean {
    return context.host.includes(this.#keyword);
  }
}

/** DOMAIN-WILDCARD. */
export class WildcardCondition extends HostCondition {
  readonly #wildcard: string;

  constructor(wildcard: string) {
    super(3);
    this.#wildcard = wildcard;
  }

  matches(context: MatchContext): boolean {
    return matchesWildcard(this.#wildcard, context.host);
  }
}

/** DOMAIN-REGEX. */
export class RegexCondition extends HostCondition {
  readonly #pattern: Pattern;

  constructor(pattern: Pattern) {
    super(5);
    this.#pattern = pattern;
  }

  matches(context: MatchContext): boolean {
    return this.#pattern.test(context.host);
  }
}

/** A set of hosts that was compiled here, so that the host need not be taken apart again. */
export class DomainSetCondition extends HostCondition {
  readonly #set: DomainSet;

  constructor(set: DomainSet) {
    super(3);
    this.#set = set;
  }

  matches(context: MatchContext): boolean {
    return this.#set.hasScan(context.scan);
  }
}

/** GEOSITE, and any other set of hosts. */
export class HostSetCondition extends HostCondition {
  readonly #set: HostSet;
  readonly #negated: boolean;

  constructor(set: HostSet, negated: boolean) {
    super(4);
    this.#set = set;
    this.#negated = negated;
  }

  matches(context: MatchContext): boolean {
    return context.host !== "" && this.#set.has(context.host) !== this.#negated;
  }
}

abstract class AddressCondition extends Condition {
  readonly #source: boolean;
  readonly #noResolve: boolean;

  constructor(cost: number, source: boolean, noResolve: boolean) {
    super(cost);
    this.#source = source;
    this.#noResolve = noResolve || source;
  }

  abstract holds(context: MatchContext, ip: IpAddress, source: boolean): boolean;

  test(context: MatchContext): number {
    const ip = context.ip(this.#source);
    if (ip === undefined) return context.addressNeed(this.#noResolve);
    return this.holds(context, ip, this.#source) ? Answer.Yes : Answer.No;
  }
}

/** IP-CIDR in a logic rule, and rule-providers of prefixes. */
export class AddressSetCondition extends AddressCondition {
  readonly #set: AddressSet;

  constructor(set: AddressSet, source: boolean, noResolve: boolean) {
    super(7, source, noResolve);
    this.#set = set;
  }

  holds(_context: MatchContext, ip: IpAddress): boolean {
    return this.#set.has(ip);
  }
}

/** IP-SUFFIX. */
export class IpSuffixCondition extends AddressCondition {
  readonly #address: IpAddress;
  readonly #bits: number;

  constructor(address: IpAddress, bits: number, source: boolean, noResolve: boolean) {
    super(7, source, noResolve);
    this.#address = address;
    this.#bits = bits;
  }

  holds(_context: MatchContext, ip: IpAddress): boolean {
    return suffixEquals(this.#address, ip, this.#bits);
  }
}

/** GEOIP. */
export class CountryCondition extends AddressCondition {
  readonly #country: string;
  readonly #negated: boolean;

  constructor(country: string, negated: boolean, source: boolean, noResolve: boolean) {
    super(8, source, noResolve);
    this.#country = country;
    this.#negated = negated;
  }

  holds(context: MatchContext, ip: IpAddress, source: boolean): boolean {
    if (this.#country === "lan") return isLanAddress(ip) !== this.#negated;
    const codes = context.countries(source, ip);
    for (let i = 0; i < codes.length; i++) {
      if (codes[i] === this.#country || codes[i]!.toLowerCase() === this.#country) return !this.#negated;
    }
    return this.#negated;
  }
}

/** IP-ASN. */
export class AsnCondition extends AddressCondition {
  readonly #asn: number;

  constructor(asn: number, source: boolean, noResolve: boolean) {
    super(8, source, noResolve);
    this.#asn = asn;
  }

  holds(context: MatchContext, ip: IpAddress, source: boolean): boolean {
    return context.asn(source, ip) === this.#asn;
  }
}

/** Which number of a flow a range rule compares. */
export type RangeSubject = "SRC-PORT" | "DST-PORT" | "IN-PORT" | "DSCP";

/** SRC-PORT, DST-PORT, IN-PORT, DSCP. */
export class RangeCondition extends Condition {
  readonly #subject: RangeSubject;
  readonly #ranges: readonly NumberRange[];

  constructor(subject: RangeSubject, ranges: readonly NumberRange[]) {
    super(0);
    this.#subject = subject;
    this.#ranges = ranges;
  }

  #value(context: MatchContext): number {
    const facts = context.facts;
    if (this.#subject === "DSCP") return facts.dscp;
    if (this.#subject === "IN-PORT") return facts.inboundPort;
    return (this.#subject === "SRC-PORT") !== context.swapped ? facts.sourcePort : facts.destinationPort;
  }

  test(context: MatchContext): number {
    return inRanges(this.#ranges, this.#value(context)) ? Answer.Yes : Answer.No;
  }
}

/** NETWORK. */
export class NetworkCondition extends Condition {
  readonly #network: "tcp" | "udp";

  constructor(network: "tcp" | "udp") {
    super(0);
    this.#network = network;
  }

  test(context: MatchContext): number {
    return context.facts.network === this.#network ? Answer.Yes : Answer.No;
  }
}

/** IN-TYPE, IN-USER, IN-NAME. */
export class NamesCondition extends Condition {
  readonly #subject: "IN-TYPE" | "IN-USER" | "IN-NAME";
  readonly #names: readonly string[];

  constructor(subject: "IN-TYPE" | "IN-USER" | "IN-NAME", names: readonly string[]) {
    super(0);
    this.#subject = subject;
    this.#names = names;
  }

  test(context: MatchContext): number {
    const facts = context.facts;
    const name = this.#subject === "IN-TYPE"
      ? facts.type.toUpperCase()
      : this.#subject === "IN-USER"
      ? facts.inboundUser
      : facts.inboundName;
    return this.#names.includes(name) ? Answer.Yes : Answer.No;
  }
}

abstract class ProcessCondition extends Condition {
  abstract matches(context: MatchContext): boolean;

  test(context: MatchContext): number {
    if (context.processWanted) return Answer.Process;
    return context.mode !== "off" && this.matches(context) ? Answer.Yes : Answer.No;
  }
}

/** UID. */
export class UidCondition extends ProcessCondition {
  readonly #ranges: readonly NumberRange[];

  constructor(ranges: readonly NumberRange[]) {
    super(6);
    this.#ranges = ranges;
  }

  matches(context: MatchContext): boolean {
    const uid = context.facts.uid;
    return uid !== undefined && inRanges(this.#ranges, uid);
  }
}

/** PROCESS-NAME and PROCESS-PATH in a logic rule. `folded` is in lower case. */
export class ProcessEqualsCondition extends ProcessCondition {
  readonly #path: boolean;
  readonly #folded: string;

  constructor(path: boolean, folded: string) {
    super(6);
    this.#path = path;
    this.#folded = folded;
  }

  matches(context: MatchContext): boolean {
    const subject = this.#path ? context.foldedPath() : context.foldedProcess();
    return subject !== "" && subject === this.#folded;
  }
}

/** PROCESS-NAME-WILDCARD and PROCESS-PATH-WILDCARD. */
export class ProcessWildcardCondition extends ProcessCondition {
  readonly #path: boolean;
  readonly #wildcard: string;

  constructor(path: boolean, wildcard: string) {
    super(6);
    this.#path = path;
    this.#wildcard = wildcard;
  }

  matches(context: MatchContext): boolean {
    const subject = this.#path ? context.foldedPath() : context.foldedProcess();
    return subject !== "" && matchesWildcard(this.#wildcard, subject);
  }
}

/** PROCESS-NAME-REGEX and PROCESS-PATH-REGEX. */
export class ProcessRegexCondition extends ProcessCondition {
  readonly #path: boolean;
  readonly #pattern: Pattern;

  constructor(path: boolean, pattern: Pattern) {
    super(6);
    this.#path = path;
    this.#pattern = pattern;
  }

  matches(context: MatchContext): boolean {
    const subject = this.#path ? context.facts.processPath : context.facts.process;
    return subject !== "" && this.#pattern.test(subject);
  }
}

/** RULE-SET: the provider's own condition, with the ends swapped (`src`) and without lookups (`src`, `no-resolve`) as asked. */
export class ProviderCondition extends Condition {
  readonly #inner: Condition;
  readonly #src: boolean;
  readonly #noResolve: boolean;

  constructor(inner: Condition, src: boolean, noResolve: boolean) {
    super(inner.cost);
    this.#inner = inner;
    this.#src = src;
    this.#noResolve = noResolve || src;
  }

  test(context: MatchContext): number {
    const swapped = context.swapped;
    const noResolve = context.noResolve;
    context.swapped = this.#src ? !swapped : swapped;
    context.noResolve = noResolve || this.#noResolve;
    const answer = this.#inner.test(context);
    context.swapped = swapped;
    context.noResolve = noResolve;
    return answer;
  }
}

/** A rule-provider of rules: whether any of them matches. */
export class ClassicalCondition extends Condition {
  readonly #list: RuleList;

  constructor(list: RuleList) {
    super(9);
    this.#list = list;
  }

  test(context: MatchContext): number {
    return this.#list.any(context);
  }
}

/** AND. */
export class AndCondition extends Condition {
  readonly #conditions: readonly Condition[];

  /** The conditions come sorted by cost. */
  constructor(conditions: readonly Condition[]) {
    super(10);
    this.#conditions = conditions;
  }

  test(context: MatchContext): number {
    let needs = 0;
    for (let i = 0; i < this.#conditions.length; i++) {
      const answer = this.#conditions[i]!.test(context);
      if (answer === Answer.No) return Answer.No;
      if (answer !== Answer.Yes) needs |= answer;
    }
    return needs === 0 ? Answer.Yes : needs;
  }
}

/** OR. */
export class OrCondition extends Condition {
  readonly #conditions: readonly Condition[];

  /** The conditions come sorted by cost. */
  constructor(conditions: readonly Condition[]) {
    super(10);
    this.#conditions = conditions;
  }

  test(context: MatchContext): number {
    let needs = 0;
    for (let i = 0; i < this.#conditions.length; i++) {
      const answer = this.#conditions[i]!.test(context);
      if (answer === Answer.Yes) return Answer.Yes;
      needs |= answer;
    }
    return needs;
  }
}

/** NOT. */
export class NotCondition extends Condition {
  readonly #condition: Condition;

  constructor(condition: Condition) {
    super(10);
    this.#condition = condition;
  }

  test(context: MatchContext): number {
    const answer = this.#condition.test(context);
    if (answer === Answer.Yes) return Answer.No;
    return answer === Answer.No ? Answer.Yes : answer;
  }
}

/** SUB-RULE: when its condition holds, the first hit of another list, which leaves its target in the context. */
export class SubRuleCondition extends Condition {
  readonly #condition: Condition;
  readonly #list: RuleList | undefined;
  readonly #outermost: boolean;

  /** In the outermost list a hit whose target is no use counts as none. */
  constructor(condition: Condition, list: RuleList | undefined, outermost: boolean) {
    super(11);
    this.#condition = condition;
    this.#list = list;
    this.#outermost = outermost;
  }

  test(context: MatchContext): number {
    const answer = this.#condition.test(context);
    if (answer !== Answer.Yes) return answer;
    const list = this.#list;
    if (list === undefined || context.depth >= RULE_DEPTH_MAX) return Answer.No;
    context.depth++;
    const found = list.first(context);
    context.depth--;
    if (found < -1) return -found;
    if (found < 0) return Answer.No;
    return !this.#outermost || isUsable(context.target, context.facts) ? Answer.Yes : Answer.No;
  }
}
