/** The public API of a policy script: `import { definePolicy } from "weir"`. */
export { definePolicy } from "./define_policy.ts";
export type { DnsMode, Metadata, SniffProtocol } from "../classify/facts.ts";
export type {
  ConnectionAnswer,
  DnsQuestion,
  DnsQuestionAnswer,
  Duration,
  PacketStep,
  Policy,
  PolicyRule,
  Rate,
  RuleBuilder,
  RuleCondition,
  RuleOptions,
  TargetOptions,
} from "./policy.ts";
