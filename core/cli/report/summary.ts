/** What a report counts over all flows: totals by verdict, sums by a key, and flows in slots of time. */
import type { VerdictAction } from "../../decide/verdict.ts";
import type { ReplayCounters, ReplayFlow } from "../replay_result.ts";
import { VERDICTS } from "./flow_text.ts";
import { parseTimeUs } from "./format.ts";

/** Flows and bytes of one group. */
export interface Total {
  key: string;
  flows: number;
  /** Units: payload bytes. */
  upload: number;
  download: number;
}

function emptyTotal(key: string): Total {
  return { key, flows: 0, upload: 0, download: 0 };
}

function addFlow(total: Total, flow: ReplayFlow): void {
  total.flows++;
  total.upload += flow.upload;
  total.download += flow.download;
}

/** Both directions together. Units: payload bytes. */
export function bytesOf(each: { readonly upload: number; readonly download: number }): number {
  return each.upload + each.download;
}

/** One total for each verdict, in the order of `VERDICTS`, empty ones included. */
export function totalsByVerdict(flows: readonly ReplayFlow[]): (Total & { key: VerdictAction })[] {
  const totals = VERDICTS.map((verdict) => ({ ...emptyTotal(verdict), key: verdict as VerdictAction }));
  for (const flow of flows) {
    const total = totals.find(({ key }) => key === flow.verdict);
    if (total !== undefined) addFlow(total, flow);
  }
  return totals;
}

/** The sum over all flows. */
export function totalOf(flows: readonly ReplayFlow[]): Total {
  const total = emptyTotal("");
  for (const flow of flows) addFlow(total, flow);
  return total;
}

/** The largest groups by bytes (then flows, then key), and what the others come to together. */
export interface TopTotals {
  top: Total[];
  /** Shape: `key` is "", `groups` how many groups it stands for. */
  other: Total & { groups: number };
}

/** Sums flows by a key and keeps the `count` largest groups apart. */
export function topTotals(flows: readonly ReplayFlow[], keyOf: (flow: ReplayFlow) => string, count: number): TopTotals {
  const totals = new Map<string, Total>();
  for (const flow of flows) {
    const key = keyOf(flow);
    let total = totals.get(key);
    if (total === undefined) totals.set(key, total = emptyTotal(key));
    addFlow(total, flow);
  }
  const sorted = [...totals.values()].sort((a, b) =>
    bytesOf(b) - bytesOf(a) || b.flows - a.flows || (a.key < b.key ? -1 : 1)
  );
  // One group left over is shown by its own name rather than as "1 other".
  const kept = sorted.length === count + 1 ? count + 1 : count;
  const other = { ...emptyTotal(""), groups: Math.max(0, sorted.length - kept) };
  for (const each of sorted.slice(kept)) {
    other.flows += each.flows;
    other.upload += each.upload;
    other.download += each.download;
  }
  return { top: sorted.slice(0, kept), other };
}

/** The sum of the right side of the conservation law: what the packets' ends add up to. Units: packets. */
export function accountedFor(counters: ReplayCounters): { dropped: number; total: number } {
  const dropped = Object.values(counters.dropped).reduce((sum, count) => sum + count, 0);
  return { dropped, total: counters.delivered + counters.consumed + counters.queued + dropped };
}

/** Drop reasons that occurred, most frequent first. */
export function dropsByCount(counters: ReplayCounters): [reason: string, count: number][] {
  return Object.entries(counters.dropped)
    .filter(([, count]) => count > 0)
    .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
}

/** First and last start of a flow; undefined when no flow has a readable one. Units: µs since 1970. */
export function timeSpan(flows: readonly ReplayFlow[]): { first: number; last: number } | undefined {
  let first = Infinity;
  let last = -Infinity;
  for (const flow of flows) {
    const at = parseTimeUs(flow.start);
    if (Number.isNaN(at)) continue;
    first = Math.min(first, at);
    last = Math.max(last, at);
  }
  return first <= last ? { first, last } : undefined;
}
