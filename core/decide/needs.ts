/** When a flow's facts are not enough to judge a condition: the three needs, and in which order they are asked for. */
import type { FlowFacts } from "../classify/facts.ts";
import { Lookup, ruleHost } from "../classify/facts.ts";
import type { Need } from "./verdict.ts";

/**
 * What a condition came to: `No`, `Yes`, or a sum of needs. As numbers so that the fast path needs no object.
 */
export const Answer = { No: 0, Yes: 1, Name: 2, Process: 4, Resolve: 8 } as const;

/** True for an answer that is a sum of needs. */
export function isNeed(answer: number): boolean {
  return answer > Answer.Yes;
}

/** The need to ask for first: the name comes by itself, a process lookup is cheap, a resolve costs the network. */
export function firstNeed(answer: number): Need {
  if ((answer & Answer.Name) !== 0) return "name";
  if ((answer & Answer.Process) !== 0) return "process";
  return (answer & Answer.Resolve) !== 0 ? "resolve" : "none";
}

/** True while the name is unknown or uncertain, and the flow's own bytes may still bring it. */
export function isNameComing(facts: FlowFacts): boolean {
  return facts.nameMayCome && (facts.hostAmbiguous || ruleHost(facts) === "");
}

/** True when a process rule has to wait for a lookup. Flows that weir itself opened have none. Source: mihomo tunnel.go `match`. */
export function isProcessWanted(facts: FlowFacts, mode: "off" | "strict" | "always"): boolean {
  return mode !== "off" && facts.processLookup === Lookup.NotTried && facts.type !== "Inner";
}

/** What a rule that needs the destination address, which is unknown, asks for: the name to resolve, its address, or nothing any more. */
export function addressNeed(facts: FlowFacts): number {
  if (isNameComing(facts)) return Answer.Name;
  return facts.resolveLookup === Lookup.NotTried && ruleHost(facts) !== "" ? Answer.Resolve : Answer.No;
}
