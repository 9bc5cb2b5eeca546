/** The result of explaining one flow: schema `weir.explain/1` of the command line's JSON. */
import type { Metadata } from "../classify/facts.ts";
import type { ExplainStep, VerdictAction } from "../decide/verdict.ts";

/** The whole document. */
export interface ExplainResult {
  schema: "weir.explain/1";
  /** The facts after all lookups. */
  metadata: Metadata;
  verdict: VerdictAction;
  rule: string;
  rulePayload: string;
  chains: readonly string[];
  /** What the rule's or the policy's packet program does; only when there is one. */
  program?: string;
  steps: readonly ExplainStep[];
}
