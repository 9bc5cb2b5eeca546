/** Fills verdicts: the part of deciding that does not depend on how a rule was found. */
import type { FlowFacts } from "../classify/facts.ts";
import type { Target, Targets } from "./targets.ts";
import type { Verdict } from "./verdict.ts";

const DIRECT_CHAIN: readonly string[] = Object.freeze(["DIRECT"]);
const REJECT_CHAIN: readonly string[] = Object.freeze(["REJECT"]);

/** True when a rule may send the flow there: it exists, does not unwrap to PASS, and carries the flow's transport. */
export function isUsable(target: Target | undefined, facts: FlowFacts): target is Target {
  return target !== undefined && !target.pass && (target.udp || facts.network === "tcp");
}

/** Writes the verdict of a rule that hit. */
export function fillVerdict(verdict: Verdict, target: Target, rule: string, payload: string, ruleIndex: number): void {
  verdict.action = target.action;
  verdict.rule = rule;
  verdict.rulePayload = payload;
  verdict.target = target.name;
  verdict.chains = target.chain;
  verdict.ruleIndex = ruleIndex;
  verdict.effects = target.effects;
}

/** Writes the verdict of a flow that no rule decided: DIRECT. */
export function fillDirect(verdict: Verdict): void {
  verdict.action = "direct";
  verdict.rule = "";
  verdict.rulePayload = "";
  verdict.target = "DIRECT";
  verdict.chains = DIRECT_CHAIN;
  verdict.ruleIndex = -1;
  verdict.effects = undefined;
}

/**
 * Writes the verdict of a flow that goes to one target whatever the rules say (mode global, `specialProxy`). When that target cannot
 * take it, the flow is rejected, as a dial there would fail.
 */
export function fillForced(verdict: Verdict, targets: Targets, name: string, facts: FlowFacts): void {
  const target = targets.find(name);
  fillDirect(verdict);
  verdict.target = name;
  verdict.action = isUsable(target, facts) ? target.action : "reject";
  verdict.chains = isUsable(target, facts) ? target.chain : REJECT_CHAIN;
}
