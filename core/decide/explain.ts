/** Says in plain words why a rule did or did not match. */
import { formatIp, formatPrefix, type IpAddress } from "../base/ip_address.ts";
import type { FlowFacts } from "../classify/facts.ts";
import { Lookup, ruleHost } from "../classify/facts.ts";
import type { DecideConfig } from "./decide_config.ts";
import { asnNumber, countryCodes, judgeRule, type JudgeView, viewInside } from "./judge.ts";
import { Answer, firstNeed } from "./needs.ts";
import type { AsnRule, CountryRule, PrefixRule, Rule } from "./rule.ts";
import { apiName } from "./rule.ts";
import type { Target } from "./targets.ts";
import type { ExplainOutcome, ExplainStep } from "./verdict.ts";

/** `positive` or its denial, as in "is" and "is not". */
function either(matched: boolean, positive: string, negative: string): string {
  return matched ? positive : negative;
}

function hostWhy(rule: Rule, view: JudgeView, matched: boolean): string {
  const host = ruleHost(view.facts);
  if (host === "" && !matched) return "the flow's host is not known";
  const shown = host === "" ? "an unknown host" : `host ${host}`;
  switch (rule.type) {
    case "DOMAIN":
      return `${shown} ${either(matched, "is", "is not")} ${rule.payload}`;
    case "DOMAIN-SUFFIX":
      if (matched && host === rule.payload) return `${shown} is ${rule.payload}`;
      return `${shown} ${either(matched, "ends", "does not end")} with .${rule.payload}`;
    case "DOMAIN-KEYWORD":
      return `${shown} ${either(matched, "contains", "does not contain")} ${rule.payload}`;
    case "DOMAIN-WILDCARD":
      return `${shown} ${either(matched, "fits", "does not fit")} the wildcard ${rule.payload}`;
    case "GEOSITE":
      return `${shown} ${either(matched, "is", "is not")} in the site list ${rule.payload}`;
    default:
      return `${shown} ${either(matched, "matches", "does not match")} /${rule.payload}/`;
  }
}

function missingAddress(source: boolean, { facts, swapped }: JudgeView, noResolve: boolean): string {
  if (source !== swapped) return "the source address is not known";
  if (noResolve) return "the destination address is not known, and this rule must not look it up";
  if (facts.resolveLookup === Lookup.Failed) return `${ruleHost(facts)} could not be resolved`;
  return "the destination address is not known";
}

function addressDetail(
  rule: CountryRule | AsnRule | PrefixRule,
  view: JudgeView,
  source: boolean,
  ip: IpAddress,
): string {
  const end = `${source !== view.swapped ? "source" : "destination"} ${formatIp(ip)}`;
  switch (rule.type) {
    case "GEOIP":
    case "SRC-GEOIP": {
      if (rule.country === "lan") return `${end} against local addresses`;
      const codes = countryCodes(view, source, ip);
      return `${end} is ${
        codes.length === 0 ? "in no country of the database" : `in ${codes.join(", ").toUpperCase()}`
      }`;
    }
    case "IP-ASN":
    case "SRC-IP-ASN": {
      const asn = asnNumber(view, source, ip);
      return `${end} is ${asn < 0 ? "in no autonomous system of the database" : `in AS${asn}`}`;
    }
    default:
      return end;
  }
}

function addressWhy(rule: CountryRule | AsnRule | PrefixRule, view: JudgeView, matched: boolean): string {
  const source = rule.type.startsWith("SRC-");
  const ip = source ? view.facts.sourceIp : view.facts.destinationIp;
  if (ip === undefined) return missingAddress(source, view, rule.noResolve || view.noResolve);
  const detail = addressDetail(rule, view, source, ip);
  switch (rule.type) {
    case "IP-CIDR":
    case "SRC-IP-CIDR":
      return `${detail} ${either(matched, "is", "is not")} in ${formatPrefix(rule.prefix)}`;
    case "IP-SUFFIX":
    case "SRC-IP-SUFFIX":
      return `the last ${rule.prefix.bits} bits of ${detail} ${either(matched, "are", "are not")} those of ` +
        formatIp(rule.prefix.address);
    case "IP-ASN":
    case "SRC-IP-ASN":
      return `${detail}, AS${rule.asn} was asked for`;
    default:
      if (rule.country === "lan") {
        return `${detail.replace(" against local addresses", "")} ${
          either(matched !== rule.negated, "is", "is not")
        } a local address`;
      }
      return `${detail}, ${rule.payload.toUpperCase()} was asked for`;
  }
}

function processWhy(rule: Rule, view: JudgeView, matched: boolean): string {
  const { facts, config } = view;
  if (config.findProcessMode === "off") return "find-process-mode is off";
  if (rule.type === "UID") {
    if (facts.uid === undefined) return "the flow's user id is not known";
    return `user id ${facts.uid} ${either(matched, "is", "is not")} in ${rule.payload}`;
  }
  const name = rule.type.startsWith("PROCESS-NAME");
  const subject = name ? facts.process : facts.processPath;
  if (subject === "") return "the flow's process is not known";
  const shown = `${name ? "process" : "process path"} ${subject}`;
  if (rule.type.endsWith("REGEX")) {
    return `${shown} ${either(matched, "matches", "does not match")} /${rule.payload}/`;
  }
  if (rule.type.endsWith("WILDCARD")) {
    return `${shown} ${either(matched, "fits", "does not fit")} the wildcard ${rule.payload}`;
  }
  return `${shown} ${either(matched, "is", "is not")} ${rule.payload}`;
}

function providerWhy(rule: Rule & { type: "RULE-SET" }, view: JudgeView, matched: boolean): string {
  const provider = view.config.providers.get(rule.payload);
  if (provider === undefined) return `there is no rule-provider ${rule.payload}`;
  const size = `${rule.payload} (${provider.count} entries)`;
  const within = viewInside(rule, view);
  if (provider.behavior === "classical") {
    const hit = matched ? provider.rules.find((each) => judgeRule(each, within) === Answer.Yes) : undefined;
    return hit === undefined ? `nothing in ${size} matches` : `${whyOf(hit, within, true)}, in ${size}`;
  }
  if (provider.behavior === "domain") {
    const host = ruleHost(view.facts);
    return host === "" ? "the flow's host is not known" : `host ${host} ${either(matched, "is", "is not")} in ${size}`;
  }
  const ip = within.facts.destinationIp;
  if (ip === undefined) return missingAddress(false, within, within.noResolve);
  return `${within.swapped ? "source" : "destination"} ${formatIp(ip)} ${either(matched, "is", "is not")} in ${size}`;
}

/** The sentences of the conditions that settled a logic rule. */
function logicWhy(rule: Rule & { type: "AND" | "OR" | "NOT" }, view: JudgeView, matched: boolean): string {
  const told = rule.conditions.map((each) => ({ each, answer: judgeRule(each, view) }));
  if (rule.type === "AND" && !matched) {
    const failed = told.find(({ answer }) => answer === Answer.No);
    return failed === undefined ? "not all conditions hold" : whyOf(failed.each, view, false);
  }
  if (rule.type === "OR" && matched) return whyOf(told.find(({ answer }) => answer === Answer.Yes)!.each, view, true);
  return told.map(({ each, answer }) => whyOf(each, view, answer === Answer.Yes)).join(
    rule.type === "AND" ? " and " : "; ",
  );
}

function plainWhy(rule: Rule, { facts, swapped }: JudgeView, matched: boolean): string {
  const [from, to] = swapped ? ["destination", "source"] : ["source", "destination"];
  switch (rule.type) {
    case "SRC-PORT":
      return `${from} port ${facts.sourcePort} ${either(matched, "is", "is not")} in ${rule.payload}`;
    case "DST-PORT":
      return `${to} port ${facts.destinationPort} ${either(matched, "is", "is not")} in ${rule.payload}`;
    case "IN-PORT":
      return `inbound port ${facts.inboundPort} ${either(matched, "is", "is not")} in ${rule.payload}`;
    case "DSCP":
      return `DSCP ${facts.dscp} ${either(matched, "is", "is not")} in ${rule.payload}`;
    case "NETWORK":
      return `the flow is ${facts.network}`;
    case "IN-TYPE":
      return `the inbound's type is ${facts.type}`;
    case "IN-USER":
      return facts.inboundUser === "" ? "the inbound has no user" : `the inbound's user is ${facts.inboundUser}`;
    case "IN-NAME":
      return facts.inboundName === "" ? "the inbound has no name" : `the inbound's name is ${facts.inboundName}`;
    case "REMATCH-NAME":
      return "no flow is matched a second time";
    default:
      return "it matches every flow";
  }
}

function whyOf(rule: Rule, view: JudgeView, matched: boolean): string {
  switch (rule.type) {
    case "GEOIP":
    case "SRC-GEOIP":
    case "IP-ASN":
    case "SRC-IP-ASN":
    case "IP-CIDR":
    case "SRC-IP-CIDR":
    case "IP-SUFFIX":
    case "SRC-IP-SUFFIX":
      return addressWhy(rule, view, matched);
    case "RULE-SET":
      return providerWhy(rule, view, matched);
    case "AND":
    case "OR":
    case "NOT":
      return logicWhy(rule, view, matched);
    case "SUB-RULE":
      return whyOf(rule.condition, view, matched);
    default:
      if (rule.type.startsWith("PROCESS-") || rule.type === "UID") return processWhy(rule, view, matched);
      return rule.type.startsWith("DOMAIN") || rule.type === "GEOSITE"
        ? hostWhy(rule, view, matched)
        : plainWhy(rule, view, matched);
  }
}

const NEED_WHY = {
  name: "the flow's name may still come",
  resolve: "the host was not resolved",
  process: "the process was not looked up",
  none: "",
} as const;

/** Judges one rule and tells why; the target is not looked at. */
export function explainRule(rule: Rule, view: JudgeView): ExplainStep {
  const answer = judgeRule(rule, view);
  const known = answer === Answer.Yes || answer === Answer.No;
  const outcome: ExplainOutcome = answer === Answer.Yes ? "matched" : known ? "mismatch" : "unknown";
  const why = known ? whyOf(rule, view, answer === Answer.Yes) : NEED_WHY[firstNeed(answer)];
  return { kind: "rule", type: apiName(rule.type), payload: rule.payload, target: rule.target, outcome, why };
}

/** Turns the step of a rule that matched into what its target makes of it. */
export function explainTarget(step: ExplainStep, target: Target | undefined, facts: FlowFacts): ExplainStep {
  if (target === undefined) {
    return { ...step, outcome: "targetMissing", why: `${step.why}, but there is no target ${step.target}` };
  }
  if (target.pass) {
    return { ...step, outcome: "targetPass", why: `${step.why}, but ${step.target} is PASS: the next rule` };
  }
  if (facts.network === "udp" && !target.udp) {
    return { ...step, outcome: "targetCannotUdp", why: `${step.why}, but ${step.target} cannot carry UDP` };
  }
  return step;
}

/** What happened to the facts before the rules: hosts, lookups. */
export function explainFacts(facts: FlowFacts): ExplainStep[] {
  const steps: ExplainStep[] = [];
  const step = { payload: "", target: "" };
  if (facts.dnsMode === "hosts") {
    const ip = facts.destinationIp === undefined ? "" : `, ${formatIp(facts.destinationIp)}`;
    steps.push({
      ...step,
      kind: "hosts",
      type: "hosts",
      outcome: "matched",
      why: `the hosts table gave ${facts.host}${ip}`,
    });
  } else if (facts.resolveLookup === Lookup.Done && facts.destinationIp !== undefined) {
    const why = `${ruleHost(facts)} resolved to ${formatIp(facts.destinationIp)}`;
    steps.push({ ...step, kind: "lookup", type: "resolve", outcome: "matched", why });
  } else if (facts.resolveLookup === Lookup.Failed) {
    const why = `${ruleHost(facts)} could not be resolved; rules that need the address do not match`;
    steps.push({ ...step, kind: "lookup", type: "resolve", outcome: "unknown", why });
  }
  if (facts.processLookup === Lookup.Done && facts.process !== "") {
    const why = `the flow belongs to ${facts.processPath === "" ? facts.process : facts.processPath}`;
    steps.push({ ...step, kind: "lookup", type: "process", outcome: "matched", why });
  } else if (facts.processLookup === Lookup.Failed) {
    const why = "no process was found; rules that need it do not match";
    steps.push({ ...step, kind: "lookup", type: "process", outcome: "unknown", why });
  }
  return steps;
}

/** The last step when no rule decided. */
export function explainDefault(facts: FlowFacts, config: DecideConfig): ExplainStep {
  const forced = facts.specialProxy !== "" ? facts.specialProxy : config.mode === "global" ? "GLOBAL" : "";
  const why = facts.specialProxy !== ""
    ? `the inbound asks for ${facts.specialProxy}`
    : config.mode === "rule"
    ? "no rule matched"
    : `mode is ${config.mode}`;
  return { kind: "default", type: "", payload: "", target: forced === "" ? "DIRECT" : forced, outcome: "matched", why };
}
