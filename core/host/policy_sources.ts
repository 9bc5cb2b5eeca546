/** The files of weir that go into a policy's worker, as text: raw imports are what an executable carries without being told. */
import ipAddress from "../base/ip_address.ts" with { type: "text" };
import limits from "../base/limits.ts" with { type: "text" };
import programSteps from "../decide/program_steps.ts" with { type: "text" };
import answer from "../policy/answer.ts" with { type: "text" };
import definePolicy from "../policy/define_policy.ts" with { type: "text" };
import dnsAnswer from "../policy/dns_answer.ts" with { type: "text" };
import mod from "../policy/mod.ts" with { type: "text" };
import ruleBuilder from "../policy/rule_builder.ts" with { type: "text" };
import runtime from "../policy/runtime.ts" with { type: "text" };
import worker from "./policy_worker.ts" with { type: "text" };
import { stripTypes } from "./policy_strip.ts";

/** What `import … from "weir"` leads to. */
export const PUBLIC_MODULE = "weir:/core/policy/mod.ts";

/** What the worker's own code takes from `core/policy`. */
export const RUNTIME_MODULE = "weir:/core/policy/runtime.ts";

/** weir's own modules that are linked with the user's, by their URL. */
export const OWN_SOURCES: ReadonlyMap<string, string> = new Map([
  ["weir:/core/base/ip_address.ts", ipAddress],
  ["weir:/core/base/limits.ts", limits],
  ["weir:/core/decide/program_steps.ts", programSteps],
  ["weir:/core/policy/answer.ts", answer],
  ["weir:/core/policy/define_policy.ts", definePolicy],
  ["weir:/core/policy/dns_answer.ts", dnsAnswer],
  [PUBLIC_MODULE, mod],
  ["weir:/core/policy/rule_builder.ts", ruleBuilder],
  [RUNTIME_MODULE, runtime],
]);

let workerUrl = "";

/** The module that a policy's worker starts with. */
export function policyWorkerUrl(): string {
  if (workerUrl === "") workerUrl = `data:text/javascript;charset=utf-8,${encodeURIComponent(stripTypes(worker))}`;
  return workerUrl;
}
