/** What the worker of a policy takes from this folder; the worker gets it linked in, under the name `weir:/core/policy/runtime.ts`. */
export { describe, readAnswer, readRules } from "./answer.ts";
export { readDnsAnswer } from "./dns_answer.ts";
export { createRuleBuilder } from "./rule_builder.ts";
