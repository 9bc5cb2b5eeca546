/** What a replay plays its flows against, beside the engine. */
import type { Arena, Slot } from "../../core/adapter/arena.ts";
import type { Micros } from "../../core/base/micros.ts";
import type { FlowFacts } from "../../core/classify/facts.ts";
import type { ReplayPlay } from "../../core/cli/replay_result.ts";
import type { VerdictAction } from "../../core/decide/verdict.ts";

/** How a proxied flow would go out. */
export interface FlowWay {
  /** From the proxy that carries the flow to the group that the rule names. */
  readonly chains: readonly string[];
  readonly facts: FlowFacts;
}

/** `see` each packet, `packet` once its flow is known, `decided`, `ended`. */
export interface FlowPlays {
  /** Looks at a packet that comes in, before anybody knows its flow. */
  see(arena: Arena, slot: Slot, now: Micros): void;
  /** A TCP flow began; its verdict is not known. */
  started(flow: number): void;
  /** The packet seen last belongs to this flow. */
  packet(flow: number): void;
  decided(flow: number, action: VerdictAction, way?: FlowWay): void;
  /** No more packets will come. */
  ended(flow: number): void;
  /** What came of a flow; undefined when it was not for playing. */
  resultOf(flow: number): ReplayPlay | undefined;
}
