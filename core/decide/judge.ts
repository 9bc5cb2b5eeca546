/**
 * Judges one rule by reading it, slowly and in the plainest way: the oracle that the compiled matcher must agree with.
 *
 * A condition is yes, no, or needs something. No wins over a need in AND, yes wins in OR: so a lookup is asked for only when
 * nothing known already settles the rule, in whatever order the conditions are written.
 */
import { RULE_DEPTH_MAX } from "../base/limits.ts";
import { type IpAddress, prefixContains } from "../base/ip_address.ts";
import type { FlowFacts } from "../classify/facts.ts";
import { ruleHost } from "../classify/facts.ts";
import type { DecideConfig } from "./decide_config.ts";
import { isLanAddress } from "./geo.ts";
import { addressNeed, Answer, isNameComing, isProcessWanted } from "./needs.ts";
import { inRanges } from "./ranges.ts";
import type { AsnRule, CountryRule, PrefixRule, ProviderRule, Rule } from "./rule.ts";
import { matchesWildcard } from "./wildcard.ts";

/**
 * What a rule is judged by. `noResolve`: inside a RULE-SET that must not look anything up. `swapped`: inside one with `src`, where
 * `facts` have source and destination in each other's place.
 */
export interface JudgeView {
  readonly config: DecideConfig;
  readonly facts: FlowFacts;
  readonly noResolve: boolean;
  readonly swapped: boolean;
}

/** The view inside a RULE-SET. */
export function viewInside(rule: ProviderRule, view: JudgeView): JudgeView {
  const noResolve = view.noResolve || rule.noResolve;
  if (!rule.src) return { ...view, noResolve };
  return { ...view, facts: swapFacts(view.facts), noResolve: true, swapped: !view.swapped };
}

function yes(condition: boolean): number {
  return condition ? Answer.Yes : Answer.No;
}

function all(answers: readonly number[]): number {
  if (answers.includes(Answer.No)) return Answer.No;
  const needs = answers.filter((answer) => answer !== Answer.Yes);
  return needs.length === 0 ? Answer.Yes : needs.reduce((sum, need) => sum | need, 0);
}

function any(answers: readonly number[]): number {
  if (answers.includes(Answer.Yes)) return Answer.Yes;
  return answers.reduce((sum, answer) => sum | answer, Answer.No);
}

function not(answer: number): number {
  if (answer === Answer.Yes) return Answer.No;
  return answer === Answer.No ? Answer.Yes : answer;
}

/** True when the last `bits` bits of both addresses are equal. Source: mihomo rules/common/ipsuffix.go. */
export function suffixEquals(a: IpAddress, b: IpAddress, bits: number): boolean {
  if (a.version !== b.version) return false;
  const words = [[a.w3, b.w3], [a.w2, b.w2], [a.w1, b.w1], [a.w0, b.w0]] as const;
  let left = bits;
  for (const [one, other] of words) {
    if (left <= 0) return true;
    const shift = left >= 32 ? 0 : 32 - left;
    if ((one ^ other) << shift !== 0) return false;
    left -= 32;
  }
  return true;
}

/** The flow seen the other way round, as RULE-SET with `src` does. Source: mihomo constant/metadata.go `SwapSrcDst`. */
export function swapFacts(facts: FlowFacts): FlowFacts {
  return {
    ...facts,
    sourceIp: facts.destinationIp,
    destinationIp: facts.sourceIp,
    sourcePort: facts.destinationPort,
    destinationPort: facts.sourcePort,
    sourceGeoIp: facts.destinationGeoIp,
    destinationGeoIp: facts.sourceGeoIp,
    sourceIpAsn: facts.destinationIpAsn,
    destinationIpAsn: facts.sourceIpAsn,
  };
}

/** The codes of the flow's source or destination: those already in the facts, else the database's. */
export function countryCodes(view: JudgeView, source: boolean, ip: IpAddress): readonly string[] {
  const known = source ? view.facts.sourceGeoIp : view.facts.destinationGeoIp;
  return known.length > 0 ? known.map((code) => code.toLowerCase()) : view.config.geo.country(ip);
}

/** The number of the flow's autonomous system: that in the facts, else the database's; -1 when unknown. */
export function asnNumber(view: JudgeView, source: boolean, ip: IpAddress): number {
  const known = source ? view.facts.sourceIpAsn : view.facts.destinationIpAsn;
  if (known !== "") return Number.parseInt(known, 10);
  return view.config.geo.asn(ip)?.number ?? -1;
}

/** Judges a rule over one end's address; without that address it may have to be looked up. */
function judgeAddress(rule: CountryRule | AsnRule | PrefixRule, view: JudgeView): number {
  const source = rule.type.startsWith("SRC-");
  const ip = source ? view.facts.sourceIp : view.facts.destinationIp;
  if (ip === undefined) return source || rule.noResolve || view.noResolve ? Answer.No : addressNeed(view.facts);
  switch (rule.type) {
    case "GEOIP":
    case "SRC-GEOIP": {
      const found = rule.country === "lan" ? isLanAddress(ip) : countryCodes(view, source, ip).includes(rule.country);
      return yes(found !== rule.negated);
    }
    case "IP-ASN":
    case "SRC-IP-ASN":
      return yes(asnNumber(view, source, ip) === rule.asn);
    case "IP-CIDR":
    case "SRC-IP-CIDR":
      return yes(prefixContains(rule.prefix, ip));
    case "IP-SUFFIX":
    case "SRC-IP-SUFFIX":
      return yes(suffixEquals(rule.prefix.address, ip, rule.prefix.bits));
  }
}

function judgeSite(payload: string, view: JudgeView): number {
  const negated = payload.startsWith("!");
  const set = view.config.geo.site(negated ? payload.slice(1) : payload);
  if (set === undefined) return Answer.No;
  if (isNameComing(view.facts)) return Answer.Name;
  const host = ruleHost(view.facts);
  return yes(host !== "" && set.has(host) !== negated);
}

function judgeHost(rule: Rule, view: JudgeView): number {
  const host = ruleHost(view.facts);
  if (rule.type === "GEOSITE") return judgeSite(rule.payload, view);
  if (isNameComing(view.facts)) return Answer.Name;
  switch (rule.type) {
    case "DOMAIN":
      return yes(host === rule.payload);
    case "DOMAIN-SUFFIX":
      return yes(host === rule.payload || host.endsWith(`.${rule.payload}`));
    case "DOMAIN-KEYWORD":
      return yes(host.includes(rule.payload));
    case "DOMAIN-WILDCARD":
      return yes(matchesWildcard(rule.wildcard, host));
    case "DOMAIN-REGEX":
      return yes(rule.pattern.test(host));
    default:
      return Answer.No;
  }
}

function judgeProcess(rule: Rule, view: JudgeView): number {
  const { facts } = view;
  const mode = view.config.findProcessMode;
  if (isProcessWanted(facts, mode)) return Answer.Process;
  if (mode === "off") return Answer.No;
  if (rule.type === "UID") return yes(facts.uid !== undefined && inRanges(rule.ranges, facts.uid));
  const subject = rule.type.startsWith("PROCESS-NAME") ? facts.process : facts.processPath;
  if (subject === "") return Answer.No;
  switch (rule.type) {
    case "PROCESS-NAME":
    case "PROCESS-PATH":
      return yes(subject.toLowerCase() === rule.folded);
    case "PROCESS-NAME-WILDCARD":
    case "PROCESS-PATH-WILDCARD":
      return yes(matchesWildcard(rule.wildcard, subject.toLowerCase()));
    case "PROCESS-NAME-REGEX":
    case "PROCESS-PATH-REGEX":
      return yes(rule.pattern.test(subject));
    default:
      return Answer.No;
  }
}

function judgeProvider(name: string, view: JudgeView): number {
  const provider = view.config.providers.get(name);
  if (provider === undefined) return Answer.No;
  const { facts } = view;
  switch (provider.behavior) {
    case "domain":
      if (isNameComing(facts)) return Answer.Name;
      return yes(ruleHost(facts) !== "" && provider.hosts.has(ruleHost(facts)));
    case "ipcidr":
      if (facts.destinationIp !== undefined) return yes(provider.addresses.has(facts.destinationIp));
      return view.noResolve ? Answer.No : addressNeed(facts);
    case "classical":
      return any(provider.rules.map((rule) => judgeRule(rule, view)));
  }
}

/** Judges a rule other than SUB-RULE, whose list `LinearDecider` goes through itself; of a SUB-RULE only the condition. */
export function judgeRule(rule: Rule, view: JudgeView, depth = 0): number {
  const { facts } = view;
  if (depth > 2 * RULE_DEPTH_MAX) return Answer.No;
  switch (rule.type) {
    case "GEOIP":
    case "SRC-GEOIP":
    case "IP-ASN":
    case "SRC-IP-ASN":
    case "IP-CIDR":
    case "SRC-IP-CIDR":
    case "IP-SUFFIX":
    case "SRC-IP-SUFFIX":
      return judgeAddress(rule, view);
    case "SRC-PORT":
      return yes(inRanges(rule.ranges, facts.sourcePort));
    case "DST-PORT":
      return yes(inRanges(rule.ranges, facts.destinationPort));
    case "IN-PORT":
      return yes(inRanges(rule.ranges, facts.inboundPort));
    case "DSCP":
      return yes(inRanges(rule.ranges, facts.dscp));
    case "NETWORK":
      return yes(facts.network === rule.network);
    case "IN-TYPE":
      return yes(rule.names.includes(facts.type.toUpperCase()));
    case "IN-USER":
      return yes(rule.names.includes(facts.inboundUser));
    case "IN-NAME":
      return yes(rule.names.includes(facts.inboundName));
    case "REMATCH-NAME": // no proxy of weir starts the rules over, so no flow has such a name
      return Answer.No;
    case "RULE-SET":
      return judgeProvider(rule.payload, viewInside(rule, view));
    case "AND":
      return all(rule.conditions.map((each) => judgeRule(each, view, depth + 1)));
    case "OR":
      return any(rule.conditions.map((each) => judgeRule(each, view, depth + 1)));
    case "NOT":
      return not(judgeRule(rule.conditions[0]!, view, depth + 1));
    case "SUB-RULE":
      return judgeRule(rule.condition, view, depth + 1);
    case "MATCH":
      return Answer.Yes;
    default:
      return rule.type === "UID" || rule.type.startsWith("PROCESS-") ? judgeProcess(rule, view) : judgeHost(rule, view);
  }
}
