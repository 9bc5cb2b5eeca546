import { assertEquals } from "@std/assert";
import { emptyFacts } from "../../core/classify/facts.ts";
import type { LoadedPolicy } from "../../core/cli/configured.ts";
import { askPolicyOf } from "../../core/cli/run_policy.ts";
import type { PolicyAnswer } from "../../core/host/policy_runner.ts";
import { duplicating, programOf } from "../support/programs.ts";

function policyOf(answer: PolicyAnswer): LoadedPolicy {
  return {
    ruleLines: [],
    hasOnConnection: true,
    ask: () => Promise.resolve(answer),
    close: () => Promise.resolve(),
  };
}

Deno.test("askPolicyOf() finds named programs, hands on spelled ones, and tells of unknown names once", async () => {
  const named = new Map([["twice", programOf({ duplicate: 2 }, "twice")]]);
  const told: string[] = [];
  const ask = async (program: (PolicyAnswer & { kind: "verdict" })["program"]) => {
    const asking = askPolicyOf(
      policyOf({ kind: "verdict", via: "a", program }),
      named,
      (message) => told.push(message),
    );
    await asking!(emptyFacts("udp"));
    return await asking!(emptyFacts("udp"));
  };
  assertEquals(await ask("twice"), { via: "a", effects: { program: named.get("twice")! } });
  const spelled = duplicating(3);
  assertEquals(await ask(spelled), { via: "a", effects: { program: spelled } });
  assertEquals(await ask(undefined), { via: "a", effects: undefined });
  assertEquals(told, []);
  assertEquals(await ask("thrice"), { via: "a", effects: undefined });
  assertEquals(told.length, 1, "it is told once, however many flows ask");
  assertEquals(told[0]!.includes('"thrice"'), true);
});

Deno.test("askPolicyOf() asks nobody when the policy does not answer for flows", async () => {
  const silent = { ...policyOf({ kind: "rules" }), hasOnConnection: false };
  assertEquals(askPolicyOf(silent, undefined, () => {}), undefined);
  assertEquals(askPolicyOf(undefined, undefined, () => {}), undefined);
  assertEquals(await askPolicyOf(policyOf({ kind: "rules" }), undefined, () => {})!(emptyFacts("tcp")), undefined);
});
