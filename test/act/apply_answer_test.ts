import { assertEquals } from "@std/assert";
import { applyAnswer } from "../../core/act/apply_answer.ts";
import { parseIp } from "../../core/base/ip_address.ts";
import { emptyFacts, Lookup } from "../../core/classify/facts.ts";
import { Deliberation } from "../../core/decide/deliberation.ts";
import { ScriptedDecider } from "../support/engine_world.ts";

Deno.test("applyAnswer() writes what a lookup brought, or that it failed", () => {
  const facts = emptyFacts("tcp");
  const deliberation = new Deliberation(true);
  const decider = new ScriptedDecider();
  const address = parseIp("192.0.2.7")!;
  applyAnswer({ kind: "resolved", flow: 1, addresses: [address], costUs: 5 }, facts, deliberation, decider);
  assertEquals([facts.destinationIp, facts.resolveLookup], [address, Lookup.Done]);
  applyAnswer({ kind: "resolved", flow: 1, addresses: [], costUs: 5 }, facts, deliberation, decider);
  assertEquals([facts.destinationIp, facts.resolveLookup], [address, Lookup.Failed]);
  const owner = { name: "a.exe", path: "/a.exe", processId: 4, user: "u", uid: 9 };
  applyAnswer({ kind: "processFound", flow: 1, owner, costUs: 6 }, facts, deliberation, decider);
  assertEquals([facts.process, facts.processPath, facts.processId, facts.user, facts.uid], Object.values(owner));
  applyAnswer({ kind: "processFound", flow: 1, owner: undefined, costUs: 6 }, facts, deliberation, decider);
  assertEquals(facts.processLookup, Lookup.Failed);
  assertEquals(deliberation.steps.map((step) => [step.type, step.outcome]), [
    ["resolve", "matched"],
    ["resolve", "unknown"],
    ["process", "matched"],
    ["process", "unknown"],
  ]);
});

Deno.test("applyAnswer() lets a policy choose the target, or leave it to the rules", () => {
  const decider = new ScriptedDecider();
  decider.script.policyTargets["office"] = "proxy";
  for (const [via, action] of [["office", "proxy"], [undefined, "direct"], ["nowhere", "direct"]] as const) {
    const deliberation = new Deliberation(true);
    const verdict = { via, effects: undefined };
    applyAnswer({ kind: "policyAnswered", flow: 1, verdict }, emptyFacts("tcp"), deliberation, decider);
    assertEquals([deliberation.policyDone, deliberation.verdict.action], [true, action]);
  }
});
