/** An answer from outside becomes facts of its flow, and steps of its explanation. */
import { RESOLVED_ADDRESS_COUNT_MAX } from "../base/limits.ts";
import { type FlowFacts, Lookup } from "../classify/facts.ts";
import type { Decider } from "../decide/decider.ts";
import type { Deliberation } from "../decide/deliberation.ts";
import type { LookupEvent } from "./command.ts";

/** Writes an answer into the facts and the deliberation of the flow that waited for it. */
export function applyAnswer(event: LookupEvent, facts: FlowFacts, deliberation: Deliberation, decider: Decider): void {
  if (event.kind === "processFound") {
    facts.processLookup = event.owner === undefined ? Lookup.Failed : Lookup.Done;
    if (event.owner !== undefined) {
      facts.process = event.owner.name;
      facts.processPath = event.owner.path;
      facts.processId = event.owner.processId;
      facts.user = event.owner.user;
      facts.uid = event.owner.uid;
    }
    deliberation.noteLookup("process", facts.process, event.owner !== undefined, event.costUs);
  } else if (event.kind === "resolved") {
    const address = event.addresses.length > RESOLVED_ADDRESS_COUNT_MAX ? undefined : event.addresses[0];
    facts.resolveLookup = address === undefined ? Lookup.Failed : Lookup.Done;
    if (address !== undefined) facts.destinationIp = address;
    deliberation.noteLookup("resolve", facts.host, address !== undefined, event.costUs);
  } else deliberation.answerPolicy(event.verdict?.via, event.verdict?.effects, facts, decider);
}
