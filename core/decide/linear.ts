/** Deciding by trying rule after rule: slow, obviously right, and able to tell what it did. */
import { RULE_DEPTH_MAX } from "../base/limits.ts";
import type { FlowFacts } from "../classify/facts.ts";
import { checkCircles } from "./check.ts";
import { type DecideConfig, targetOf } from "./decide_config.ts";
import type { Decider } from "./decider.ts";
import { explainDefault, explainFacts, explainRule, explainTarget } from "./explain.ts";
import { prepareFacts } from "./hosts.ts";
import { judgeRule, type JudgeView } from "./judge.ts";
import { Answer, firstNeed, isNeed, isProcessWanted } from "./needs.ts";
import { fillDirect, fillForced, fillVerdict, isUsable } from "./outcome.ts";
import { apiName, type Rule } from "./rule.ts";
import type { ExplainStep, Need, RuleInfo, Verdict } from "./verdict.ts";

/** What a list of rules came to: a hit in rule `index`, by a rule of it or of a list below it, nothing, or needs. */
type Found = { readonly index: number; readonly by: Rule } | { readonly needs: number } | undefined;

/** One line of a list as the API shows it. */
export function ruleInfo(rule: Rule): RuleInfo {
  return { type: apiName(rule.type), payload: rule.payload, proxy: rule.target };
}

/** The oracle. Each decision reads the rules from the first one on. */
export class LinearDecider implements Decider {
  readonly rules: readonly RuleInfo[];
  readonly findProcessMode: "off" | "strict" | "always";
  readonly #config: DecideConfig;

  /** Errors: throws for sub-rules in a circle. */
  constructor(config: DecideConfig) {
    const circle = checkCircles(config)[0];
    if (circle !== undefined) throw new Error(`Cannot compile rules: ${circle.message}`);
    this.#config = config;
    this.rules = config.rules.map(ruleInfo);
    this.findProcessMode = config.findProcessMode;
  }

  prepare(facts: FlowFacts): void {
    prepareFacts(facts, this.#config.hosts);
  }

  decide(facts: FlowFacts, verdict: Verdict): Need {
    const { mode, targets, findProcessMode } = this.#config;
    if (findProcessMode === "always" && isProcessWanted(facts, findProcessMode)) return "process";
    if (facts.specialProxy !== "") fillForced(verdict, targets, facts.specialProxy, facts);
    else if (mode === "direct") fillDirect(verdict);
    else if (mode === "global") fillForced(verdict, targets, "GLOBAL", facts);
    else return this.#decideByRules(facts, verdict);
    return "none";
  }

  decideTarget(name: string, facts: FlowFacts, verdict: Verdict): boolean {
    const target = this.#config.targets.find(name);
    if (!isUsable(target, facts)) return false;
    fillVerdict(verdict, target, "", "", -1);
    return true;
  }

  explain(facts: FlowFacts): ExplainStep[] {
    const config = this.#config;
    const steps = explainFacts(facts);
    if (facts.specialProxy !== "" || config.mode !== "rule") return [...steps, explainDefault(facts, config)];
    const { rules, special } = this.#list(facts);
    if (special) {
      const why = `the inbound asks for the rules of ${facts.specialRules}`;
      steps.push({ kind: "rule", type: "SubRules", payload: "", target: facts.specialRules, outcome: "matched", why });
    }
    if (this.#explainList(rules, { config, facts, noResolve: false, swapped: false }, steps, 0) !== "hit") {
      steps.push(explainDefault(facts, config));
    }
    return steps;
  }

  /** The rules for this flow: the main list, or the sub-rules that its inbound names. */
  #list(facts: FlowFacts): { rules: readonly Rule[]; special: boolean } {
    const special = facts.specialRules === "" ? undefined : this.#config.subRules.get(facts.specialRules);
    return special === undefined ? { rules: this.#config.rules, special: false } : { rules: special, special: true };
  }

  #decideByRules(facts: FlowFacts, verdict: Verdict): Need {
    const { rules, special } = this.#list(facts);
    const found = this.#scan(rules, { config: this.#config, facts, noResolve: false, swapped: false }, 0, true);
    if (found === undefined) fillDirect(verdict);
    else if ("needs" in found) return firstNeed(found.needs);
    else {
      const rule = rules[found.index]!;
      const target = targetOf(this.#config, found.by)!;
      fillVerdict(verdict, target, apiName(rule.type), rule.payload, special ? -1 : found.index);
    }
    return "none";
  }

  /**
   * The first hit in a list. In the outermost list, rules whose target is no use are passed over before anything is looked up for
   * them; a hit inside a sub-rule ends that sub-rule, and when its target is no use the outermost list goes on.
   */
  #scan(rules: readonly Rule[], view: JudgeView, depth: number, outermost: boolean): Found {
    const { targets, subRules } = this.#config;
    for (const [index, rule] of rules.entries()) {
      if (outermost && rule.type !== "SUB-RULE" && !isUsable(targets.find(rule.target), view.facts)) continue;
      const answer = judgeRule(rule, view);
      if (isNeed(answer)) return { needs: answer };
      if (answer === Answer.No) continue;
      if (rule.type !== "SUB-RULE") return { index, by: rule };
      const within = subRules.get(rule.target);
      if (within === undefined || depth >= RULE_DEPTH_MAX) continue;
      const found = this.#scan(within, view, depth + 1, false);
      if (found === undefined) continue;
      if ("needs" in found) return found;
      if (outermost && !isUsable(targets.find(found.by.target), view.facts)) continue;
      return { index, by: found.by };
    }
    return undefined;
  }

  /** Tells each rule of a list; "hit" when one decided, "stop" when one ended a sub-rule without deciding. */
  #explainList(rules: readonly Rule[], view: JudgeView, steps: ExplainStep[], depth: number): "hit" | "stop" | "miss" {
    const { targets, subRules } = this.#config;
    for (const rule of rules) {
      const step = explainRule(rule, view);
      if (rule.type === "SUB-RULE") {
        steps.push(step);
        const within = subRules.get(rule.target);
        if (step.outcome !== "matched" || within === undefined || depth >= RULE_DEPTH_MAX) continue;
        const inner = this.#explainList(within, view, steps, depth + 1);
        if (inner === "hit" || (inner === "stop" && depth > 0)) return inner;
        continue;
      }
      if (step.outcome !== "matched") {
        steps.push(step);
        continue;
      }
      const told = explainTarget(step, targets.find(rule.target), view.facts);
      steps.push(told);
      if (told.outcome === "matched") return "hit";
      if (depth > 0) return "stop";
    }
    return "miss";
  }
}
