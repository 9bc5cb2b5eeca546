/** A loaded policy as the engine asks it. */
import type { PolicyVerdict } from "../act/command.ts";
import { type FlowFacts, toMetadata } from "../classify/facts.ts";
import type { LoadedPolicy } from "./configured.ts";

/** How the engine asks; undefined when there is nobody to ask. */
export function askPolicyOf(
  policy: LoadedPolicy | undefined,
): ((facts: FlowFacts) => Promise<PolicyVerdict | undefined>) | undefined {
  if (policy === undefined || !policy.hasOnConnection) return undefined;
  return async (facts) => {
    const answer = await policy.ask(toMetadata(facts));
    if (answer.kind !== "verdict") return undefined;
    const effects = answer.duplicate === undefined ? undefined : { duplicate: answer.duplicate };
    return { via: answer.via, effects };
  };
}
