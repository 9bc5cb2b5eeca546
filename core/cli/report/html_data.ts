/** The flows as the page's script reads them: rows of a few short arrays, texts made harmless, nothing said twice. */
import type { Metadata } from "../../classify/facts.ts";
import type { ExplainStep } from "../../decide/verdict.ts";
import { REPORT_FLOWS_MAX, REPORT_STEPS_MAX, REPORT_STEPS_PER_FLOW_MAX } from "../../base/limits.ts";
import type { ReplayFlow } from "../replay_result.ts";
import {
  chainText,
  destinationText,
  hostText,
  outcomeText,
  playText,
  processText,
  ruleText,
  sourceText,
  stepText,
  stepWhy,
} from "./flow_text.ts";
import { visible } from "./visible.ts";

/** One flow. Shape: the order of `flow_table.client.js`'s COLUMNS, then way, host, details and indices into `PageData.steps`. */
type Row = [
  start: string,
  network: string,
  process: string,
  source: string,
  destination: string,
  rule: string,
  verdict: string,
  packets: number,
  upload: number,
  download: number,
  way: string,
  host: string,
  details: (string | number)[],
  steps: number[],
];

/** Everything that the script gets. */
export interface PageData {
  /** Names of the details. A flow's details are pairs: an index into these, and a text. */
  names: string[];
  /** Steps of explanations, each one kept once: outcome, its words, what was looked at, why. */
  steps: [outcome: string, words: string, about: string, why: string][];
  flows: Row[];
}

/** What the details call the play of a flow against the stack. */
const PLAY_NAME = "stack";

function detailText(value: Metadata[keyof Metadata]): string {
  if (value === null || value === "" || value === "0" || value === 0 || value === false) return "";
  return visible(Array.isArray(value) ? value.join(", ") : String(value));
}

class StepPool {
  readonly steps: PageData["steps"] = [];
  readonly #indices = new Map<string, number>();
  #used = 0;

  /** Indices of a flow's steps; the first ones and the last when there are too many. */
  add(explain: readonly ExplainStep[]): number[] {
    const kept = explain.length <= REPORT_STEPS_PER_FLOW_MAX
      ? explain
      : [...explain.slice(0, REPORT_STEPS_PER_FLOW_MAX - 1), explain.at(-1)!];
    if (this.#used + kept.length > REPORT_STEPS_MAX) return [];
    this.#used += kept.length;
    return kept.map((step) => this.#index(step));
  }

  #index(step: ExplainStep): number {
    const entry: PageData["steps"][number] = [
      visible(step.outcome),
      outcomeText(step.outcome),
      stepText(step),
      stepWhy(step),
    ];
    const key = JSON.stringify(entry);
    let index = this.#indices.get(key);
    if (index === undefined) {
      index = this.steps.push(entry) - 1;
      this.#indices.set(key, index);
    }
    return index;
  }
}

/** Packs the first `REPORT_FLOWS_MAX` flows. */
export function pageData(flows: readonly ReplayFlow[]): PageData {
  const pool = new StepPool();
  const names: string[] = [];
  const rows = flows.slice(0, REPORT_FLOWS_MAX).map((flow): Row => {
    const details: (string | number)[] = [];
    for (const [name, value] of Object.entries(flow.metadata) as [keyof Metadata, Metadata[keyof Metadata]][]) {
      const text = detailText(value);
      if (text === "") continue;
      if (!names.includes(name)) names.push(name);
      details.push(names.indexOf(name), text);
    }
    if (flow.play !== undefined) {
      if (!names.includes(PLAY_NAME)) names.push(PLAY_NAME);
      details.push(names.indexOf(PLAY_NAME), playText(flow.play));
    }
    return [
      visible(flow.start),
      visible(flow.metadata.network),
      processText(flow.metadata),
      sourceText(flow.metadata),
      destinationText(flow.metadata),
      ruleText(flow.rule, flow.rulePayload),
      visible(flow.verdict),
      flow.packets,
      flow.upload,
      flow.download,
      chainText(flow),
      hostText(flow.metadata),
      details,
      pool.add(flow.explain ?? []),
    ];
  });
  return { names, steps: pool.steps, flows: rows };
}
