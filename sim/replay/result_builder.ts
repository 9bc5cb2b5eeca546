/** Listens to the engine during a replay and makes the result document from what it heard. */
import { formatTimestamp } from "../../core/base/timestamp.ts";
import type { Counters } from "../../core/act/counters.ts";
import type { ProgramRunner } from "../../core/act/program_runner.ts";
import type { FlowFacts } from "../../core/classify/facts.ts";
import { toMetadata } from "../../core/classify/facts.ts";
import type { FlowRecord } from "../../core/classify/flow_record.ts";
import type { FlowIndex, FlowTable } from "../../core/classify/flow_table.ts";
import type {
  ReplayCapture,
  ReplayFlow,
  ReplayProgram,
  ReplayResult,
  ReplayRule,
} from "../../core/cli/replay_result.ts";
import type { Decider } from "../../core/decide/decider.ts";
import type { Deliberation } from "../../core/decide/deliberation.ts";
import { programText } from "../../core/decide/packet_program.ts";
import type { ExplainStep, VerdictAction } from "../../core/decide/verdict.ts";
import type { EngineObserver } from "../../core/engine.ts";
import type { FlowPlays } from "./flow_plays.ts";

interface FlowEntry {
  readonly facts: FlowFacts;
  readonly start: number;
  action: VerdictAction;
  rule: string;
  rulePayload: string;
  chains: readonly string[];
  host: string | undefined;
  program: string | undefined;
  explain: ExplainStep[] | undefined;
  packets: number;
  upload: number;
  download: number;
}

/** Gathers flows and hits; `build` makes the document. */
export class ResultBuilder implements EngineObserver {
  readonly #table: () => FlowTable;
  readonly #decider: Decider;
  readonly #explain: boolean;
  readonly #onStart: (facts: FlowFacts) => void;
  readonly #play: FlowPlays | undefined;
  readonly #entries: FlowEntry[] = [];
  readonly #hits: Float64Array;
  /** Units: µs since the Unix epoch, of the packet that is being replayed. */
  timestampUs = 0;

  /** `onStart` may add what the capture knows of a new flow before it is decided; `play` plays those that end in a stack. */
  constructor(
    decider: Decider,
    explain: boolean,
    table: () => FlowTable,
    onStart: (facts: FlowFacts) => void,
    play?: FlowPlays,
  ) {
    this.#play = play;
    this.#decider = decider;
    this.#explain = explain;
    this.#table = table;
    this.#onStart = onStart;
    this.#hits = new Float64Array(decider.rules.length);
  }

  flowStarted(_flow: FlowIndex, record: FlowRecord): void {
    this.#onStart(record.facts);
    if (record.facts.network === "tcp") this.#play?.started(record.id);
    this.#entries[record.id] = {
      facts: record.facts,
      start: this.timestampUs,
      action: "direct",
      rule: "",
      rulePayload: "",
      chains: ["DIRECT"],
      host: undefined,
      program: undefined,
      explain: undefined,
      packets: 0,
      upload: 0,
      download: 0,
    };
  }

  flowDecided(_flow: FlowIndex, record: FlowRecord, deliberation: Deliberation): void {
    const entry = this.#entries[record.id]!;
    const verdict = deliberation.verdict;
    entry.action = verdict.action;
    entry.rule = verdict.rule;
    entry.rulePayload = verdict.rulePayload;
    entry.chains = verdict.chains;
    entry.host = deliberation.host;
    entry.program = verdict.effects && programText(verdict.effects.program);
    if (verdict.ruleIndex >= 0) this.#hits[verdict.ruleIndex] = this.#hits[verdict.ruleIndex]! + 1;
    this.#play?.decided(record.id, verdict.action, { chains: verdict.chains, facts: record.facts });
    if (this.#explain) entry.explain = deliberation.explain(record.facts, this.#decider);
  }

  flowEnded(flow: FlowIndex, record: FlowRecord): void {
    const entry = this.#entries[record.id]!;
    const table = this.#table();
    this.#play?.ended(record.id);
    entry.packets = table.packets[flow]!;
    entry.upload = table.upload[flow]!;
    entry.download = table.download[flow]!;
  }

  /** Flows so far. */
  get flowCount(): number {
    return this.#entries.length;
  }

  /** What is said of a flow beside its packets in an output capture. */
  describe(id: number): string {
    const entry = this.#entries[id];
    if (entry === undefined) return "";
    const rule = entry.rule === ""
      ? "no rule"
      : entry.rulePayload === ""
      ? entry.rule
      : `${entry.rule},${entry.rulePayload}`;
    const program = entry.program === undefined ? "" : `, ${entry.program}`;
    return `weir: ${entry.action} by ${rule} via ${entry.chains.join(" < ")}${program}`;
  }

  #flow(entry: FlowEntry, id: number): ReplayFlow {
    const play = this.#play?.resultOf(id);
    const metadata = toMetadata(entry.facts);
    if (entry.host !== undefined) metadata.host = entry.host;
    return {
      metadata,
      rule: entry.rule,
      rulePayload: entry.rulePayload,
      chains: [...entry.chains],
      verdict: entry.action,
      packets: entry.packets,
      upload: entry.upload,
      download: entry.download,
      start: formatTimestamp(entry.start),
      ...(entry.explain === undefined ? {} : { explain: entry.explain }),
      ...(play === undefined ? {} : { play }),
      ...(entry.program === undefined ? {} : { program: entry.program }),
    };
  }

  #rules(): ReplayRule[] {
    return this.#decider.rules.map((rule, index) => ({
      type: rule.type,
      payload: rule.payload,
      proxy: rule.proxy,
      hits: this.#hits[index]!,
    }));
  }

  /** The document; call it once every flow has ended. */
  build(captures: ReplayCapture[], counters: Counters, programs: ReturnType<ProgramRunner["results"]>): ReplayResult {
    return {
      schema: "weir.replay/1",
      captures,
      counters: {
        received: counters.received,
        delivered: counters.delivered,
        consumed: counters.consumed,
        queued: counters.queued,
        dropped: counters.droppedByName(),
      },
      flows: this.#entries.map((entry, id) => this.#flow(entry, id)),
      rules: this.#rules(),
      ...(programs.length === 0 ? {} : { programs: programs.map(programResult) }),
    };
  }
}

function programResult({ program, counts }: ReturnType<ProgramRunner["results"]>[number]): ReplayProgram {
  const { packets, copies, dropped, corrupted, held, reordered, overflowed } = counts;
  const text = programText({ ...program, name: "" });
  return { name: program.name, text, packets, copies, dropped, corrupted, held, reordered, overflowed };
}
