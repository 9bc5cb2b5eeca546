/** What a decision is, and how it is explained. */
import type { PacketProgram } from "./packet_program.ts";

/** What becomes of a flow. `pass` never leaves the decider: it means "go on with the next rule". */
export type VerdictAction = "direct" | "proxy" | "reject" | "drop";

/** What is done to a flow's packets on their way. */
export interface PacketEffects {
  readonly program: PacketProgram;
}

/** The outcome of deciding one flow. One record is reused by the caller; the decider fills it in. */
export interface Verdict {
  action: VerdictAction;
  /** API name of the rule that hit (`DomainSuffix`, `Match`, …), "Policy" for a script, "" when none did. */
  rule: string;
  rulePayload: string;
  /** The target named by the rule or the policy. */
  target: string;
  /** From the proxy that carries the flow (first) to the group the rule names (last). Source: Clash `chains`. */
  chains: readonly string[];
  /** Index into `Decider.rules` for the hit counter; -1 when no rule hit. A hit inside a sub-rule counts for the outer rule. */
  ruleIndex: number;
  effects: PacketEffects | undefined;
}

/** What deciding cannot go on without. `none`: the verdict is there. */
export type Need = "none" | "name" | "resolve" | "process";

/** Why a rule did not hit, or what happened when it did. */
export type ExplainOutcome =
  | "matched"
  | "mismatch"
  | "unknown"
  | "targetMissing"
  | "targetPass"
  | "targetCannotUdp"
  | "skipped";

/** One line of an explanation: a rule that was tried, or a lookup that was made. */
export interface ExplainStep {
  readonly kind: "rule" | "lookup" | "hosts" | "policy" | "default";
  /** API name of the rule's type; for a lookup "resolve" or "process". */
  readonly type: string;
  readonly payload: string;
  readonly target: string;
  readonly outcome: ExplainOutcome;
  /** One sentence for people: what was compared with what, or what the lookup brought and cost. */
  readonly why: string;
  /** Units: µs; only for lookups whose cost was measured. */
  readonly costUs?: number;
}

/** One rule as the API and the report list it. Source: Clash REST API `GET /rules`. */
export interface RuleInfo {
  readonly type: string;
  readonly payload: string;
  readonly proxy: string;
}
