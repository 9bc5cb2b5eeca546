/** The report in the terminal: flows, rules, counters, captures. One string, made from the result alone. */
import type { ReplayFlow, ReplayResult } from "../replay_result.ts";
import { destinationText, processText, ruleText, sourceText, verdictText } from "./flow_text.ts";
import { countOf, formatBytes, formatCount, formatDurationUs, formatOffsetUs, parseTimeUs } from "./format.ts";
import { explainLines } from "./terminal_explain.ts";
import { playLines, playSummaryLines } from "./terminal_play.ts";
import { captureLines, counterLines, ruleLines } from "./terminal_sections.ts";
import { type Column, GAP, layOut, type TableLayout } from "./terminal_table.ts";
import { type Paint, painter, VERDICT_TINTS } from "./paint.ts";
import { bytesOf, timeSpan, totalOf, totalsByVerdict } from "./summary.ts";
import { wrap } from "./width.ts";

/** Flows that are listed; the JSON and the page have all of them. */
const FLOW_ROWS_MAX = 200;

/** Narrower terminals are treated as this wide. Units: cells. */
const COLUMNS_MIN = 40;

/** How a result is shown. Units: `columns` in cells. */
export interface TerminalOptions {
  readonly columns: number;
  readonly color: boolean;
  /** Lists under each flow the steps of its explanation. */
  readonly explain: boolean;
}

const COLUMNS: readonly (Column & { readonly name: string })[] = [
  { name: "start", head: "Start", align: "right", cut: "end", widthMin: 0, weight: 1, dropRank: 4 },
  { name: "network", head: "Net", align: "left", cut: "end", widthMin: 3, weight: 1, dropRank: 2 },
  { name: "process", head: "Process", align: "left", cut: "end", widthMin: 8, weight: 1, dropRank: 3 },
  { name: "source", head: "Source", align: "left", cut: "middle", widthMin: 17, weight: 1, dropRank: 6 },
  { name: "destination", head: "Destination", align: "left", cut: "middle", widthMin: 18, weight: 1.6, dropRank: 0 },
  { name: "rule", head: "Rule", align: "left", cut: "middle", widthMin: 12, weight: 1.2, dropRank: 1 },
  { name: "verdict", head: "Verdict", align: "left", cut: "end", widthMin: 11, weight: 1, dropRank: 0 },
  { name: "packets", head: "Pkts", align: "right", cut: "end", widthMin: 0, weight: 1, dropRank: 5 },
  { name: "upload", head: "Up", align: "right", cut: "end", widthMin: 0, weight: 1, dropRank: 0 },
  { name: "download", head: "Down", align: "right", cut: "end", widthMin: 0, weight: 1, dropRank: 0 },
];

/** Renders a replay for people; ends with a newline. Every text of the result is made `visible()` first. */
export function renderReplay(result: ReplayResult, options: TerminalOptions): string {
  const paint = painter(options.color);
  const room = Math.max(COLUMNS_MIN, Math.floor(options.columns) || COLUMNS_MIN);
  const sections = [
    flowLines(result.flows, room, options.explain, paint),
    verdictLines(result.flows, room, paint),
    playSummaryLines(result.flows, room, paint),
    ruleLines(result.rules, room, paint),
    counterLines(result.counters, room, paint),
    captureLines(result.captures, room, paint),
  ];
  return sections.filter((lines) => lines.length > 0).map((lines) => lines.join("\n") + "\n").join("\n");
}

function flowCells(flow: ReplayFlow, firstUs: number): string[] {
  return [
    Number.isNaN(parseTimeUs(flow.start)) ? "" : formatOffsetUs(parseTimeUs(flow.start) - firstUs),
    flow.metadata.network,
    processText(flow.metadata),
    sourceText(flow.metadata),
    destinationText(flow.metadata),
    ruleText(flow.rule, flow.rulePayload),
    verdictText(flow),
    formatCount(flow.packets),
    formatBytes(flow.upload),
    formatBytes(flow.download),
  ];
}

function flowLines(flows: readonly ReplayFlow[], room: number, explain: boolean, paint: Paint): string[] {
  if (flows.length === 0) return [paint("No flows: no packet of TCP or UDP was read.", "dim")];
  const shown = flows.slice(0, FLOW_ROWS_MAX);
  const firstUs = timeSpan(flows)?.first ?? 0;
  const table = layOut(COLUMNS, shown.map((flow) => flowCells(flow, firstUs)), room);
  const lines = [paint(table.head.join(GAP).trimEnd(), "bold")];
  shown.forEach((flow, at) => {
    lines.push(paintRow(table, at, flow, paint));
    if (flow.play !== undefined) lines.push(...playLines(flow.play, room, paint));
    if (explain) lines.push(...explainLines(flow.explain ?? [], room, paint));
  });
  if (flows.length > shown.length) {
    const more = countOf(flows.length - shown.length, "more flow");
    lines.push(...wrap(`… ${more} (use --json or --report)`, room).map((line) => paint(line, "dim")));
  }
  if (table.hidden.length > 0) {
    const names = table.hidden.join(", ").toLowerCase();
    lines.push(...wrap(`Left out at ${room} columns: ${names}.`, room).map((line) => paint(line, "dim")));
  }
  return lines;
}

function paintRow(table: TableLayout, row: number, flow: ReplayFlow, paint: Paint): string {
  const tint = VERDICT_TINTS[flow.verdict];
  const cells = table.rows[row]!.map((cell, i) => {
    switch (COLUMNS[table.columns[i]!]!.name) {
      case "destination":
        return paint(cell, "bold");
      case "verdict":
        return paint(cell, tint);
      case "start":
      case "source":
        return paint(cell, "dim");
      default:
        return cell;
    }
  });
  return cells.join(GAP).trimEnd();
}

function verdictLines(flows: readonly ReplayFlow[], room: number, paint: Paint): string[] {
  if (flows.length === 0) return [];
  const total = totalOf(flows);
  const span = timeSpan(flows);
  const over = span === undefined || span.last === span.first
    ? ""
    : ` within ${formatDurationUs(span.last - span.first)}`;
  const head = `${countOf(total.flows, "flow")}${over}: ${formatBytes(total.upload)} up, ${
    formatBytes(total.download)
  } down`;
  const lines = wrap(head, room).map((line) => paint(line, "bold"));
  for (const each of totalsByVerdict(flows)) {
    if (each.flows === 0) continue;
    const name = paint(each.key.padEnd(7), VERDICT_TINTS[each.key]);
    lines.push(`  ${name} ${formatCount(each.flows).padStart(7)}  ${formatBytes(bytesOf(each)).padStart(8)}`);
  }
  return lines;
}
