/** One flow's way to its verdict: what it waits for, and what comes next. */
import type { FlowFacts } from "../classify/facts.ts";
import { Lookup, ruleHost } from "../classify/facts.ts";
import type { Decider } from "./decider.ts";
import type { ExplainOutcome, ExplainStep, PacketEffects, Verdict } from "./verdict.ts";

/** What a flow waits for. */
export const Stage = { New: 0, Name: 1, Process: 2, Policy: 3, Resolve: 4, Decided: 5 } as const;
/** A value of `Stage`. */
export type Stage = (typeof Stage)[keyof typeof Stage];

/** What stands for a rule where a flow is this program's own. */
export const OWN_RULE = "Own";

/** The state of one flow's decision. */
export class Deliberation {
  stage: Stage = Stage.New;
  /** True once a policy was asked, or there is none to ask. */
  policyDone: boolean;
  /** What lookups cost and what the policy said, for explanations. */
  readonly steps: ExplainStep[] = [];
  #wantedName = false;
  /** The name the rules saw; undefined when they did not look and none was there. */
  host: string | undefined = undefined;
  /** Effects that a policy wants whatever the rules decide. */
  effects: PacketEffects | undefined = undefined;
  readonly verdict: Verdict = {
    action: "direct",
    rule: "",
    rulePayload: "",
    target: "DIRECT",
    chains: [],
    ruleIndex: -1,
    effects: undefined,
  };

  constructor(hasPolicy: boolean) {
    this.policyDone = !hasPolicy;
  }

  /** Goes on as far as the facts allow; the answer is what the flow waits for now, or `Decided`. */
  advance(facts: FlowFacts, decider: Decider): Stage {
    if (this.stage === Stage.Decided) return this.stage;
    if (this.stage === Stage.New) decider.prepare(facts);
    if (!this.policyDone) {
      if (facts.nameMayCome && (ruleHost(facts) === "" || facts.hostAmbiguous)) return this.#wait(Stage.Name);
      const wantsProcess = decider.findProcessMode !== "off" && facts.processLookup === Lookup.NotTried;
      return this.#wait(wantsProcess ? Stage.Process : Stage.Policy);
    }
    switch (decider.decide(facts, this.verdict)) {
      case "name":
        return this.#wait(Stage.Name);
      case "resolve":
        return this.#wait(Stage.Resolve);
      case "process":
        return this.#wait(Stage.Process);
      default:
        if (this.effects !== undefined) this.verdict.effects = this.effects;
        return this.#wait(Stage.Decided);
    }
  }

  /** Takes a policy's target; a target that is missing or cannot carry the flow leaves the decision to the rules. */
  answerPolicy(
    target: string | undefined,
    effects: PacketEffects | undefined,
    facts: FlowFacts,
    decider: Decider,
  ): void {
    this.policyDone = true;
    this.effects = effects;
    if (target === undefined) return this.#notePolicy("", "mismatch", "the policy leaves the decision to the rules");
    if (!decider.decideTarget(target, facts, this.verdict)) {
      return this.#notePolicy(target, "targetMissing", "the target is missing, PASS, or cannot carry the flow");
    }
    this.#notePolicy(target, "matched", "the policy chose the target");
    this.verdict.rule = "Policy";
    this.verdict.rulePayload = "onConnection";
    this.verdict.ruleIndex = -1;
    this.verdict.effects = effects;
    this.stage = Stage.Decided;
  }

  /** The flow is this program's own: it goes on untouched, whatever rules and policy would say. */
  decideOwn(): void {
    this.decideUntouched(OWN_RULE, "the flow is weir's own: it is let through, and no rule and no policy is asked");
  }

  /** The flow goes on untouched, whatever was decided before. */
  decideUntouched(rule: string, why: string): void {
    const verdict = this.verdict;
    verdict.action = "direct";
    verdict.rule = rule;
    verdict.rulePayload = "";
    verdict.target = "DIRECT";
    verdict.chains = ["DIRECT"];
    verdict.ruleIndex = -1;
    verdict.effects = undefined;
    this.policyDone = true;
    this.steps.push({ kind: "rule", type: rule, payload: "", target: "DIRECT", outcome: "matched", why });
    this.stage = Stage.Decided;
  }

  #notePolicy(target: string, outcome: ExplainOutcome, why: string): void {
    this.steps.push({ kind: "policy", type: "Policy", payload: "onConnection", target, outcome, why });
  }

  /** The whole explanation: what the policy said, then the rules' own steps with what their lookups cost. */
  explain(facts: FlowFacts, decider: Decider): ExplainStep[] {
    const policy = this.steps.filter((step) => step.kind === "policy");
    if (this.verdict.rule === "Policy" || this.verdict.rule === OWN_RULE) return this.steps;
    const lookups = this.steps.filter((step) => step.kind === "lookup");
    const rules = decider.explain(facts).map((step) => {
      const made = step.kind === "lookup" ? lookups.find((lookup) => lookup.type === step.type) : undefined;
      return made?.costUs === undefined ? step : { ...step, costUs: made.costUs };
    });
    return [...policy, ...rules];
  }

  /** Keeps the name that the decision was made with. A name that comes later changes nothing any more. */
  noteHost(facts: FlowFacts): void {
    const host = ruleHost(facts);
    if (host !== "" || this.#wantedName) this.host = host;
  }

  /** Keeps what a lookup brought, for explanations. Units: `costUs` µs. */
  noteLookup(type: "resolve" | "process", payload: string, found: boolean, costUs: number): void {
    const why = found ? "found" : "nothing was found";
    this.steps.push({ kind: "lookup", type, payload, target: "", outcome: found ? "matched" : "unknown", why, costUs });
  }

  #wait(stage: Stage): Stage {
    if (stage === Stage.Name) this.#wantedName = true;
    this.stage = stage;
    return stage;
  }
}
