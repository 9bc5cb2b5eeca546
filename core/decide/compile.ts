/** Makes a decider out of a configuration. */
import type { DecideConfig } from "./decide_config.ts";
import type { Decider } from "./decider.ts";
import { LinearDecider } from "./linear.ts";

export type { AddressSet, DecideConfig, ProviderSet } from "./decide_config.ts";
export { checkDecideConfig, type DecideIssue } from "./check.ts";

/** Compiles the rules. */
export function compileDecider(config: DecideConfig): Decider {
  return new LinearDecider(config);
}
