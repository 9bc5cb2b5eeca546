/** The public API of a policy script: `import { definePolicy } from "weir"`. */
export { definePolicy } from "./define_policy.ts";
export type { DnsMode, Metadata, SniffProtocol } from "../classify/facts.ts";
export type {
  ConnectionAnswer,
  DnsQuestion,
  Policy,
  PolicyRule,
  RuleBuilder,
  RuleCondition,
  RuleOptions,
} from "./policy.ts";
