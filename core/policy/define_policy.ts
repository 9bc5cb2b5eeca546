/** The one function that a policy script calls. It runs inside the script's worker. */
import type { Policy } from "./policy.ts";

const KEYS = ["rules", "onConnection", "onDns"];

/**
 * Checks a policy and hands it back, so that the editor knows what its functions are given: `export default definePolicy({ … })`.
 * Errors: `TypeError` when the policy has a part that does not exist or is of the wrong kind.
 */
export function definePolicy(policy: Policy): Policy {
  const given: unknown = policy;
  if (typeof given !== "object" || given === null) {
    throw new TypeError(
      `Cannot define the policy: expected an object, found ${given === null ? "null" : typeof given}`,
    );
  }
  for (const key of Object.keys(given)) {
    if (!KEYS.includes(key)) {
      throw new TypeError(`Cannot define the policy: there is no ${key}; its parts are ${KEYS.join(", ")}`);
    }
  }
  const { rules, onConnection, onDns } = given as Record<string, unknown>;
  if (rules !== undefined && typeof rules !== "function" && !Array.isArray(rules)) {
    throw new TypeError(`Cannot define the policy: rules is a function or a list, found ${typeof rules}`);
  }
  for (const [name, part] of [["onConnection", onConnection], ["onDns", onDns]] as const) {
    if (part !== undefined && typeof part !== "function") {
      throw new TypeError(`Cannot define the policy: ${name} is a function, found ${typeof part}`);
    }
  }
  return policy;
}
