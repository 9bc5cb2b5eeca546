import { assertEquals } from "@std/assert";
import { Prng } from "../../core/base/prng.ts";
import type { FlowFacts } from "../../core/classify/facts.ts";
import { compileDecider } from "../../core/decide/compile.ts";
import type { Decider } from "../../core/decide/decider.ts";
import { LinearDecider } from "../../core/decide/linear.ts";
import type { Need, Verdict } from "../../core/decide/verdict.ts";
import { answerName, answerProcess, answerResolve, randomConfig, randomFacts } from "./random_rules.ts";
import { duplicating } from "../support/programs.ts";

const SEED = 20260714;
const CONFIG_COUNT = 2_000;
const FLOW_COUNT = 50;

function emptyVerdict(): Verdict {
  return {
    action: "drop",
    rule: "?",
    rulePayload: "?",
    target: "?",
    chains: [],
    ruleIndex: -2,
    effects: { program: duplicating(9) },
  };
}

/** Everything that happens on the way to a verdict: the needs in order, then the verdict. */
function run(decider: Decider, facts: FlowFacts, answers: Prng): { needs: Need[]; verdict: Verdict } {
  const verdict = emptyVerdict();
  const needs: Need[] = [];
  decider.prepare(facts);
  for (let turn = 0; turn < 6; turn++) {
    const need = decider.decide(facts, verdict);
    if (need === "none") return { needs, verdict };
    needs.push(need);
    if (need === "name") answerName(answers, facts);
    else if (need === "resolve") answerResolve(answers, facts);
    else answerProcess(answers, facts);
  }
  throw new Error(`no verdict after ${needs.join(", ")}`);
}

Deno.test("compileDecider() agrees with LinearDecider in verdict and needs when rules, flows and answers are random", () => {
  const prng = new Prng(SEED);
  const seen = { needs: new Map<string, number>(), rules: new Map<string, number>() };
  const count = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1);
  for (let i = 0; i < CONFIG_COUNT; i++) {
    const { fast, slow } = randomConfig(prng);
    const compiled = compileDecider(fast);
    const linear = new LinearDecider(slow);
    assertEquals(compiled.rules, linear.rules);
    for (let k = 0; k < FLOW_COUNT; k++) {
      const facts = randomFacts(prng);
      const answers = prng.uint32();
      const one = run(compiled, { ...facts }, new Prng(answers));
      const other = run(linear, { ...facts }, new Prng(answers));
      if (JSON.stringify(one) !== JSON.stringify(other)) {
        assertEquals(
          one,
          other,
          `configuration ${i}, flow ${k}: ${JSON.stringify({ facts, rules: fast.rules, mode: fast.findProcessMode })}`,
        );
      }
      one.needs.forEach((need) => count(seen.needs, need));
      count(seen.rules, one.verdict.rule);
    }
  }
  for (const need of ["name", "resolve", "process"]) {
    assertEquals((seen.needs.get(need) ?? 0) > 1_000, true, `too few needs of ${need}`);
  }
  for (
    const rule of ["", "DomainSuffix", "IPCIDR", "RuleSet", "AND", "OR", "NOT", "SubRules", "ProcessName", "Match"]
  ) {
    assertEquals((seen.rules.get(rule) ?? 0) > 100, true, `too few hits of ${rule}: ${seen.rules.get(rule)}`);
  }
});

Deno.test("explain() ends with the verdict of decide() when the facts are complete", () => {
  const prng = new Prng(SEED + 1);
  for (let i = 0; i < 400; i++) {
    const { fast } = randomConfig(prng);
    const decider = compileDecider(fast);
    for (let k = 0; k < 10; k++) {
      const facts = randomFacts(prng);
      const { verdict } = run(decider, facts, prng.fork("answers"));
      const steps = decider.explain(facts);
      const last = steps.at(-1)!;
      if (verdict.rule === "") assertEquals(last.kind, "default");
      else {
        assertEquals(last.kind, "rule");
        assertEquals([last.target, last.outcome], [verdict.target, "matched"]);
        if (verdict.rule !== "SubRules") assertEquals([last.type, last.payload], [verdict.rule, verdict.rulePayload]);
      }
      for (const step of steps) {
        assertEquals(step.why === "" || step.why.includes("undefined"), false, JSON.stringify(step));
      }
    }
  }
});
