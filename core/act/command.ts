/** What leaves the engine because it takes time, and what comes back. */
import type { IpAddress } from "../base/ip_address.ts";
import type { FlowFacts } from "../classify/facts.ts";
import type { PacketEffects } from "../decide/verdict.ts";

/** A request of the engine. `flow` is the flow's id, which is never used twice; the answer is an event of the matching kind. */
export type Command =
  | { readonly kind: "resolve"; readonly flow: number; readonly host: string }
  | { readonly kind: "findProcess"; readonly flow: number; readonly facts: FlowFacts }
  | { readonly kind: "askPolicy"; readonly flow: number; readonly facts: FlowFacts };

/** What an owner lookup found. Empty strings where it knows no more. */
export interface ProcessOwner {
  readonly name: string;
  readonly path: string;
  readonly processId: number;
  readonly user: string;
  readonly uid: number | undefined;
}

/** What a policy said of a flow. `via` undefined: only effects, the rules choose the target. */
export interface PolicyVerdict {
  readonly via: string | undefined;
  readonly effects: PacketEffects | undefined;
}

/** An answer to a command. An answer for a flow that has ended is ignored. `costUs` is how long the lookup took. */
export type Event =
  | {
    readonly kind: "resolved";
    readonly flow: number;
    readonly addresses: readonly IpAddress[];
    readonly costUs: number;
  }
  | {
    readonly kind: "processFound";
    readonly flow: number;
    readonly owner: ProcessOwner | undefined;
    readonly costUs: number;
  }
  | { readonly kind: "policyAnswered"; readonly flow: number; readonly verdict: PolicyVerdict | undefined };
