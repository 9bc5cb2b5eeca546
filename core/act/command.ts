/** What leaves the engine because it takes time, and what comes back. */
import type { IpAddress } from "../base/ip_address.ts";
import type { FlowFacts } from "../classify/facts.ts";
import type { PacketEffects, Verdict } from "../decide/verdict.ts";

/** A request of the engine. `flow` is the flow's id, which is never used twice; the answer is an event of the matching kind. */
export type Command =
  | { readonly kind: "resolve"; readonly flow: number; readonly host: string }
  | { readonly kind: "findProcess"; readonly flow: number; readonly facts: FlowFacts }
  | { readonly kind: "askPolicy"; readonly flow: number; readonly facts: FlowFacts }
  | DialCommand
  | CancelDialCommand;

/**
 * Carry a flow that our stack terminates: open the way that the verdict names. A TCP flow's SYN waits meanwhile; after "dialed" the engine's
 * `takeConnection` has its connection. A UDP flow's datagrams wait at their endpoint with the flow's id as their tag, and need no "dialed".
 */
export interface DialCommand {
  readonly kind: "dial";
  readonly flow: number;
  readonly facts: FlowFacts;
  readonly verdict: Verdict;
}

/** Nobody waits for what "dial" opens any more: its application gave up. There is no answer, and "dial" needs none any more either. */
export interface CancelDialCommand {
  readonly kind: "cancelDial";
  readonly flow: number;
}

/** Why a flow could not be carried: what its application gets to see. `failed` is anything else, and looks like `refused`. */
export type DialError = "refused" | "hostUnreachable" | "networkUnreachable" | "timedOut" | "prohibited" | "failed";

/** What an owner lookup found. Empty strings where it knows no more. */
export interface ProcessOwner {
  readonly name: string;
  readonly path: string;
  readonly processId: number;
  readonly user: string;
  readonly uid: number | undefined;
  /** The Windows services that the process runs, separated by commas; absent for other programs. */
  readonly service?: string;
  /** True for weir itself: its own flows are let through untouched. */
  readonly isSelf?: boolean;
}

/** What a policy said of a flow. `via` undefined: only effects, the rules choose the target. */
export interface PolicyVerdict {
  readonly via: string | undefined;
  readonly effects: PacketEffects | undefined;
}

/** An answer to a command. An answer for a flow that has ended is ignored. `costUs` is how long the lookup took. */
export type Event = LookupEvent | DialEvent;

/** An answer to "dial". */
export type DialEvent =
  | { readonly kind: "dialed"; readonly flow: number }
  | { readonly kind: "dialFailed"; readonly flow: number; readonly error: DialError };

/** An answer that a flow's decision waits for. */
export type LookupEvent =
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
