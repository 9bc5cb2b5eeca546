/** The border of the rule engine: what the engine asks of it. `CompiledDecider` and `LinearDecider` implement it. */
import type { FlowFacts } from "../classify/facts.ts";
import type { ExplainStep, Need, RuleInfo, Verdict } from "./verdict.ts";

/**
 * Decides flows by rules, in exactly this order: mode, rules one after the other with at most one resolve and one process lookup
 * per flow, targets that are PASS, missing or unable to carry UDP passed over, DIRECT at the end.
 *
 * Deciding is pure over the facts: when it answers with a need, the caller fills the facts in (or marks the lookup failed) and
 * asks again from the start.
 */
export interface Decider {
  /** Every rule of the main list, in order, for counters and reports. */
  readonly rules: readonly RuleInfo[];
  /** When process lookups may happen. Source: Clash `find-process-mode`. */
  readonly findProcessMode: "off" | "strict" | "always";
  /** Applies the hosts table and turns a host that is an IP literal into the destination address. Called once per flow, before anything else. */
  prepare(facts: FlowFacts): void;
  /**
   * Decides, or says what is needed first: `name` while `facts.nameMayCome` and a rule reads the host and it is unknown or
   * ambiguous; `resolve` before a rule that reads the destination address of a host without one; `process` before a rule that reads the process
   * and `processLookup` is `NotTried`.
   */
  decide(facts: FlowFacts, verdict: Verdict): Need;
  /** Fills the verdict for a target that a policy named. False when the target is missing, PASS, or cannot carry the flow's network. */
  decideTarget(target: string, facts: FlowFacts, verdict: Verdict): boolean;
  /** Decides by the slow path and tells each step. The facts must be complete: no need can be answered. */
  explain(facts: FlowFacts): ExplainStep[];
}
