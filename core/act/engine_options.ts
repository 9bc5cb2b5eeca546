/** What an engine is made from, and who hears of what it does. */
import type { Adapter } from "../adapter/adapter.ts";
import type { Arena } from "../adapter/arena.ts";
import type { ClassifierOptions } from "../classify/classifier.ts";
import type { FlowRecord } from "../classify/flow_record.ts";
import type { FlowIndex } from "../classify/flow_table.ts";
import type { Decider } from "../decide/decider.ts";
import type { Deliberation } from "../decide/deliberation.ts";
import type { PacketProgram } from "../decide/packet_program.ts";
import type { Verify } from "../parse/parse.ts";
import type { TerminateOptions } from "./terminate.ts";
import type { TranslateOptions } from "./translate_options.ts";

/** Who hears of flows and their decisions: reports, logs, the API. */
export interface EngineObserver {
  flowStarted(flow: FlowIndex, record: FlowRecord, deliberation: Deliberation): void;
  flowDecided(flow: FlowIndex, record: FlowRecord, deliberation: Deliberation): void;
  flowEnded(flow: FlowIndex, record: FlowRecord, deliberation: Deliberation): void;
}

/** What an engine is made from. */
export interface EngineOptions {
  readonly adapter: Adapter;
  /** Where packets live; without it, the engine makes an ordinary one. */
  readonly arena?: Arena;
  readonly decider: Decider;
  readonly classify: ClassifierOptions;
  readonly verify: Verify;
  /** True when a policy wants to be asked about each flow. */
  readonly hasPolicy: boolean;
  readonly observer: EngineObserver;
  /**
   * With it, flows end in our own stack: on a TUN device all that go on, where packets are diverted those that are proxied. Without it, direct
   * packets go on as they are and proxied ones are only counted.
   */
  readonly stack?: TerminateOptions;
  /** With it, and with `stack`, TCP flows do not end in our stack: they are rewritten to listeners of ours. */
  readonly translate?: TranslateOptions | undefined;
  /** True where this program's own flows come by as well: each new flow's process is asked for first, and what is ours goes on untouched. */
  readonly looksUpOwn?: boolean;
  /** Goes over direct packets that belong to no flow: ICMP, and protocols without ports. Those of flows have their rule's program. */
  readonly programOfOthers?: PacketProgram | undefined;
}
