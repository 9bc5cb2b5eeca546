/** Finds what is wrong between rules and the things they name, before anything is decided. */
import { RULE_DEPTH_MAX } from "../base/limits.ts";
import type { DecideConfig } from "./decide_config.ts";
import { nearestName } from "../base/nearest.ts";
import type { Rule } from "./rule.ts";

/** One mistake. `ruleIndex` counts in the main list, or in the list that `subRule` names. */
export interface DecideIssue {
  readonly ruleIndex?: number;
  readonly subRule?: string;
  /** What is missing or wrong, so that a caller may treat missing databases more leniently. */
  readonly kind: "target" | "ruleSet" | "subRule" | "geo";
  readonly message: string;
}

type Report = (kind: DecideIssue["kind"], message: string) => void;

function withHint(message: string, written: string, known: Iterable<string>): string {
  const near = nearestName(written, known);
  return near === undefined ? message : `${message}; did you mean ${near}?`;
}

function checkGeo(rule: Rule, config: DecideConfig, report: Report): void {
  const { available } = config.geo;
  if ((rule.type === "GEOIP" || rule.type === "SRC-GEOIP") && rule.country !== "lan" && !available.country) {
    report("geo", `${rule.type},${rule.payload} needs a country database (.mmdb), and there is none`);
  } else if ((rule.type === "IP-ASN" || rule.type === "SRC-IP-ASN") && !available.asn) {
    report("geo", `${rule.type},${rule.payload} needs a database of autonomous systems (.mmdb), and there is none`);
  } else if (rule.type === "GEOSITE") {
    if (!available.site) report("geo", `GEOSITE,${rule.payload} needs a site database (.dat), and there is none`);
    else if (config.geo.site(rule.payload.replace(/^!/, "")) === undefined) {
      report("geo", `GEOSITE: list ${rule.payload} not found in the site database`);
    }
  }
}

function checkRule(rule: Rule, config: DecideConfig, outer: boolean, report: Report): void {
  if (outer && rule.type === "SUB-RULE") {
    if (!config.subRules.has(rule.target)) {
      report("subRule", withHint(`sub-rule [${rule.target}] not found`, rule.target, config.subRules.keys()));
    }
  } else if (outer && config.targets.find(rule.target) === undefined) {
    report("target", withHint(`proxy [${rule.target}] not found`, rule.target, config.targets.names()));
  }
  if (rule.type === "RULE-SET" && !config.providers.has(rule.payload)) {
    report("ruleSet", withHint(`rule set [${rule.payload}] not found`, rule.payload, config.providers.keys()));
  }
  if (rule.type === "AND" || rule.type === "OR" || rule.type === "NOT") {
    for (const condition of rule.conditions) checkRule(condition, config, false, report);
  } else if (rule.type === "SUB-RULE") checkRule(rule.condition, config, false, report);
  else checkGeo(rule, config, report);
}

/** Follows SUB-RULE targets from list to list; reports a way that comes back, or goes too deep. `done` holds lists that are fine. */
function followCircles(
  name: string,
  path: readonly string[],
  config: DecideConfig,
  done: Set<string>,
  found: DecideIssue[],
): void {
  if (done.has(name)) return;
  const here = [...path, name];
  for (const [ruleIndex, rule] of (config.subRules.get(name) ?? []).entries()) {
    if (rule.type !== "SUB-RULE") continue;
    const at = here.indexOf(rule.target);
    if (at >= 0) {
      const circle = [...here.slice(at), rule.target].join("->");
      const message = `sub-rule error: circular references [${circle}]`;
      found.push({ ruleIndex, subRule: name, kind: "subRule", message });
    } else if (here.length >= RULE_DEPTH_MAX) {
      const message = `sub-rule error: sub-rules in sub-rules deeper than ${RULE_DEPTH_MAX}`;
      found.push({ ruleIndex, subRule: name, kind: "subRule", message });
    } else followCircles(rule.target, here, config, done, found);
  }
  done.add(name);
}

/** Every mistake between the rules and the targets, providers, sub-rules and databases they name. Empty when all is well. */
export function checkDecideConfig(config: DecideConfig): DecideIssue[] {
  const found: DecideIssue[] = [];
  config.rules.forEach((rule, ruleIndex) =>
    checkRule(rule, config, true, (kind, message) => found.push({ ruleIndex, kind, message }))
  );
  for (const [subRule, rules] of config.subRules) {
    rules.forEach((rule, ruleIndex) =>
      checkRule(rule, config, true, (kind, message) => found.push({ ruleIndex, subRule, kind, message }))
    );
  }
  return [...found, ...checkCircles(config)];
}

/** The sub-rules that lead back to themselves, or too deep. */
export function checkCircles(config: DecideConfig): DecideIssue[] {
  const found: DecideIssue[] = [];
  const done = new Set<string>();
  for (const name of config.subRules.keys()) followCircles(name, [], config, done, found);
  return found;
}
