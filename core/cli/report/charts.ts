/**
 * The pictures of the page, as SVG text.
 *
 * Across, everything is in percent and down in pixels: a picture fills its place at any width, and its letters keep their size.
 */
import type { ReplayFlow } from "../replay_result.ts";
import { bisectRight, scaleLinear, scaleUtc, stack } from "./d3.ts";
import { VERDICTS } from "./flow_text.ts";
import { countOf, formatBytes, formatCount, formatTimeUs, parseTimeUs } from "./format.ts";
import { type Markup, markup } from "./markup.ts";
import { bytesOf, timeSpan, type TopTotals, type Total } from "./summary.ts";

/** Slots of time that are aimed at; round times make it a few more or less. */
const SLOTS_WANTED = 60;

/** A shorter span of time is drawn as this one. Units: ms, the grain of the scale. */
const SPAN_MS_MIN = 50;

/** Units: pixels. */
const PLOT_HEIGHT = 190;
const PLOT_TOP = 14;
const AXIS_HEIGHT = 24;

/** Room at the left for the numbers of flows. Units: percent of the width. */
const LABEL_PERCENT = 3.2;

const percent = (value: number) => `${Number(value.toFixed(3))}%`;
const pixels = (value: number) => Number(value.toFixed(2));

interface Slot {
  /** Units: ms since 1970. */
  from: number;
  until: number;
  counts: Record<string, number>;
  flows: number;
}

function slotsOf(flows: readonly ReplayFlow[], edges: readonly number[]): Slot[] {
  const slots = edges.slice(0, -1).map((from, i): Slot => ({
    from,
    until: edges[i + 1]!,
    counts: Object.fromEntries(VERDICTS.map((verdict) => [verdict, 0])),
    flows: 0,
  }));
  for (const flow of flows) {
    const at = parseTimeUs(flow.start) / 1000;
    const slot = slots[bisectRight(edges as number[], at) - 1];
    if (slot === undefined || slot.counts[flow.verdict] === undefined) continue;
    slot.counts[flow.verdict]!++;
    slot.flows++;
  }
  return slots;
}

function tickLabel(at: Date, stepMs: number): string {
  const text = at.toISOString();
  if (stepMs >= 86_400_000) return text.slice(0, 10);
  if (stepMs >= 60_000) return text.slice(11, 16);
  return stepMs >= 1000 ? text.slice(11, 19) : text.slice(14, 23);
}

function slotTitle(slot: Slot): string {
  const cut = slot.until - slot.from >= 1000 ? 19 : 23;
  const [from, until] = [slot.from, slot.until].map((ms) => formatTimeUs(ms * 1000).slice(11, cut));
  const parts = VERDICTS.filter((verdict) => slot.counts[verdict]! > 0)
    .map((verdict) => `${formatCount(slot.counts[verdict]!)} ${verdict}`);
  return `${from} to ${until}: ${countOf(slot.flows, "flow")}${parts.length === 0 ? "" : ` (${parts.join(", ")})`}`;
}

/** Flows over time, stacked by verdict; undefined when no flow has a time. */
export function timeChart(flows: readonly ReplayFlow[]): Markup | undefined {
  const span = timeSpan(flows);
  if (span === undefined) return undefined;
  const first = Math.floor(span.first / 1000);
  const last = Math.max(Math.floor(span.last / 1000) + 1, first + SPAN_MS_MIN);
  const time = scaleUtc().domain([first, last]).nice(SLOTS_WANTED).range([LABEL_PERCENT, 100]);
  const [begin, end] = time.domain().map(Number) as [number, number];
  const edges = [...new Set([begin, ...time.ticks(SLOTS_WANTED).map(Number), end])].sort((a, b) => a - b);
  const slots = slotsOf(flows, edges);
  const most = slots.reduce((max, slot) => Math.max(max, slot.flows), 1);
  const height = scaleLinear().domain([0, most]).nice(4).range([PLOT_TOP + PLOT_HEIGHT, PLOT_TOP]);
  const series = stack<unknown, Slot, string>().keys(VERDICTS).value((slot, key) => slot.counts[key]!)(slots);
  const bars = series.map((layer) =>
    markup`<g class="fill-${layer.key}">${
      layer.map(([low, high], i) => {
        if (high === low) return undefined;
        const left = time(slots[i]!.from);
        const width = (time(slots[i]!.until) - left) * 0.86;
        return markup`<rect x="${percent(left)}" width="${percent(width)}" y="${pixels(height(high))}" height="${
          pixels(height(low) - height(high))
        }"></rect>`;
      })
    }</g>`
  );
  const levels = height.ticks(4).filter((level) => Number.isInteger(level) && level > 0);
  return markup`<svg class="time" width="100%" height="${
    PLOT_TOP + PLOT_HEIGHT + AXIS_HEIGHT
  }" role="img" aria-label="${chartLabel(flows.length, slots)}">${
    levels.map((level) =>
      markup`<line class="grid" x1="0" x2="100%" y1="${pixels(height(level))}" y2="${pixels(height(level))}"></line>`
    )
  }${bars}${
    levels.map((level) =>
      markup`<text class="level" x="0" y="${pixels(height(level) - 4)}">${formatCount(level)}</text>`
    )
  }<line class="axis" x1="0" x2="100%" y1="${PLOT_TOP + PLOT_HEIGHT}" y2="${PLOT_TOP + PLOT_HEIGHT}"></line>${
    timeTicks(time)
  }${
    slots.filter((slot) => slot.flows > 0).map((slot) =>
      markup`<rect class="slot" x="${percent(time(slot.from))}" width="${
        percent(time(slot.until) - time(slot.from))
      }" y="${PLOT_TOP}" height="${PLOT_HEIGHT}" data-from="${formatTimeUs(slot.from * 1000)}" data-until="${
        formatTimeUs(slot.until * 1000)
      }"><title>${slotTitle(slot)}</title></rect>`
    )
  }</svg>`;
}

function timeTicks(time: ReturnType<typeof scaleUtc<number>>): Markup[] {
  const ticks = time.ticks(8);
  const step = ticks.length > 1 ? Number(ticks[1]) - Number(ticks[0]) : 1000;
  // On a phone only every n-th label is shown.
  const major = Math.ceil(ticks.length / 5);
  return ticks.map((tick, i) => {
    const at = time(tick);
    // Labels at the very edges lean inwards, so that they are not cut off.
    const anchor = at < 3 ? "start" : at > 97 ? "end" : "middle";
    return markup`<text class="tick${i % major === 0 ? "" : " minor"}" x="${percent(at)}" y="${
      PLOT_TOP + PLOT_HEIGHT + 17
    }" text-anchor="${anchor}">${tickLabel(tick, step)}</text>`;
  });
}

function chartLabel(flows: number, slots: readonly Slot[]): string {
  const busiest = slots.reduce((most, slot) => slot.flows > most.flows ? slot : most);
  return `${countOf(flows, "flow")} over time, stacked by verdict. Busiest: ${slotTitle(busiest)}`;
}

/** A table of bars: bytes of the largest groups, and of the others together. `field` is what a click filters the flows by. */
export function barTable(caption: string, field: string, totals: TopTotals, unnamed: string): Markup {
  const rows: { label: string; find: string | undefined; total: Total }[] = totals.top.map((total) => ({
    label: total.key === "" ? unnamed : total.key,
    find: total.key,
    total,
  }));
  if (totals.other.groups > 0) {
    rows.push({ label: countOf(totals.other.groups, "other"), find: undefined, total: totals.other });
  }
  const most = rows.reduce((max, { total }) => Math.max(max, bytesOf(total)), 1);
  const body = rows.map(({ label, find, total }) => {
    const down = total.download / most * 100;
    const up = total.upload / most * 100;
    const about = `${label}: ${formatBytes(total.download)} down, ${formatBytes(total.upload)} up, ${
      countOf(total.flows, "flow")
    }`;
    const name = find === undefined
      ? markup`<span class="name">${label}</span>`
      : markup`<button type="button" class="name" data-field="${field}" data-value="${find}" title="${about}">${label}</button>`;
    return markup`<tr${
      find === undefined ? markup` class="other"` : undefined
    }><th scope="row">${name}<svg class="bar" width="100%" height="8" role="img" aria-label="${about}"><title>${about}</title><rect class="track" width="100%" height="8" rx="2"></rect><rect class="down" width="${
      percent(down)
    }" height="8" rx="2"></rect><rect class="up" x="${percent(down)}" width="${
      percent(up)
    }" height="8" rx="2"></rect></svg></th><td>${formatBytes(bytesOf(total))}</td><td class="faint">${
      formatCount(total.flows)
    }</td></tr>`;
  });
  return markup`<table class="bars"><caption>${caption}</caption><thead><tr><th scope="col"><span class="key-down">down</span> <span class="key-up">up</span></th><th scope="col">Bytes</th><th scope="col">Flows</th></tr></thead><tbody>${body}</tbody></table>`;
}
