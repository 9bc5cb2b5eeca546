/** Makes a decider out of a configuration. */
import type { FlowFacts } from "../classify/facts.ts";
import { checkCircles } from "./check.ts";
import { ListCompiler } from "./compile_list.ts";
import type { DecideConfig } from "./decide_config.ts";
import type { Decider } from "./decider.ts";
import { prepareFacts } from "./hosts.ts";
import { LinearDecider, ruleInfo } from "./linear.ts";
import { MatchContext } from "./match_context.ts";
import type { RuleList } from "./match_list.ts";
import { firstNeed, isProcessWanted } from "./needs.ts";
import { fillDirect, fillForced, fillVerdict, isUsable } from "./outcome.ts";
import { apiName, type Rule } from "./rule.ts";
import type { ExplainStep, Need, RuleInfo, Verdict } from "./verdict.ts";

export type { AddressSet, DecideConfig, ProviderSet } from "./decide_config.ts";
export { checkDecideConfig, type DecideIssue } from "./check.ts";

/** A list of rules for flows of one transport, without those whose target cannot take them. */
interface Outermost {
  readonly list: RuleList;
  readonly rules: readonly Rule[];
  /** Where the list's places are in the rules as written; undefined when nothing was left out. */
  readonly indexes: Int32Array | undefined;
}

interface Networks {
  readonly tcp: Outermost;
  readonly udp: Outermost;
}

class CompiledDecider implements Decider {
  readonly findProcessMode: "off" | "strict" | "always";
  readonly #config: DecideConfig;
  readonly #compiler: ListCompiler;
  readonly #context: MatchContext;
  readonly #main: Networks;
  readonly #special = new Map<string, Networks>();
  #rules: readonly RuleInfo[] | undefined;
  #linear: LinearDecider | undefined;

  constructor(config: DecideConfig) {
    this.#config = config;
    this.findProcessMode = config.findProcessMode;
    this.#context = new MatchContext(config.geo, config.findProcessMode);
    this.#compiler = new ListCompiler(config);
    this.#main = this.#compile(config.rules);
  }

  get rules(): readonly RuleInfo[] {
    return this.#rules ??= this.#config.rules.map(ruleInfo);
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
    this.#linear ??= new LinearDecider(this.#config);
    return this.#linear.explain(facts);
  }

  #decideByRules(facts: FlowFacts, verdict: Verdict): Need {
    const special = facts.specialRules === "" ? undefined : this.#specialRules(facts.specialRules);
    const networks = special ?? this.#main;
    const chosen = facts.network === "tcp" ? networks.tcp : networks.udp;
    const context = this.#context;
    context.load(facts);
    const place = chosen.list.first(context);
    if (place < -1) return firstNeed(-place);
    if (place < 0) {
      fillDirect(verdict);
      return "none";
    }
    const rule = chosen.rules[place]!;
    const index = chosen.indexes === undefined ? place : chosen.indexes[place]!;
    fillVerdict(verdict, context.target!, apiName(rule.type), rule.payload, special === undefined ? index : -1);
    return "none";
  }

  #specialRules(name: string): Networks | undefined {
    const rules = this.#config.subRules.get(name);
    if (rules === undefined) return undefined;
    let networks = this.#special.get(name);
    if (networks === undefined) this.#special.set(name, networks = this.#compile(rules));
    return networks;
  }

  #compile(rules: readonly Rule[]): Networks {
    const tcp = this.#compileFor(rules, false);
    const { targets } = this.#config;
    const same = rules.every((rule) => {
      const target = rule.type === "SUB-RULE" ? undefined : targets.find(rule.target);
      return target === undefined || target.pass || target.udp;
    });
    return { tcp, udp: same ? tcp : this.#compileFor(rules, true) };
  }

  #compileFor(rules: readonly Rule[], udp: boolean): Outermost {
    const { targets } = this.#config;
    const indexes: number[] = [];
    rules.forEach((rule, index) => {
      const target = targets.find(rule.target);
      const useful = target !== undefined && !target.pass && (target.udp || !udp);
      if (rule.type === "SUB-RULE" || useful) indexes.push(index);
    });
    if (indexes.length === rules.length) return { list: this.#compiler.list(rules, true), rules, indexes: undefined };
    const useful = indexes.map((index) => rules[index]!);
    return { list: this.#compiler.list(useful, true), rules: useful, indexes: Int32Array.from(indexes) };
  }
}

/**
 * Compiles the rules: hashes and sorted prefixes in place of a walk. What `checkDecideConfig` reports is passed over as mihomo does at
 * run time, but sub-rules in a circle are refused. Errors: throws for such a circle.
 */
export function compileDecider(config: DecideConfig): Decider {
  const circle = checkCircles(config)[0];
  if (circle !== undefined) throw new Error(`Cannot compile rules: ${circle.message}`);
  return new CompiledDecider(config);
}
