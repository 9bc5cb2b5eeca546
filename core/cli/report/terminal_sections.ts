/** What stands under the flows: rules with their hits, counters with the conservation law, captures with their errors. */
import type { ReplayCapture, ReplayCounters, ReplayRule } from "../replay_result.ts";
import { dropWords } from "./drop_words.ts";
import { ruleText } from "./flow_text.ts";
import { countOf, formatBytes, formatCount } from "./format.ts";
import type { Paint } from "./paint.ts";
import { accountedFor, dropsByCount } from "./summary.ts";
import { type Column, GAP, layOut } from "./terminal_table.ts";
import { visible } from "./visible.ts";
import { cutEnd, wrap } from "./width.ts";

/** Rules that are listed, and among them those that nothing hit. */
const RULE_ROWS_MAX = 50;
const UNUSED_RULE_ROWS_MAX = 12;

const CAPTURE_ROWS_MAX = 50;

const BAR_CELLS = 12;

/** Units: cells. */
const MESSAGE_CELLS_MAX = 400;

const RULE_COLUMNS: readonly Column[] = [
  { head: "No", align: "right", cut: "end", widthMin: 4, weight: 1, dropRank: 2 },
  { head: "Rule", align: "left", cut: "middle", widthMin: 16, weight: 1, dropRank: 0 },
  { head: "Target", align: "left", cut: "end", widthMin: 6, weight: 1, dropRank: 0 },
  { head: "Hits", align: "right", cut: "end", widthMin: 4, weight: 1, dropRank: 0 },
  { head: "", align: "left", cut: "end", widthMin: BAR_CELLS, weight: 1, dropRank: 3 },
];

const CAPTURE_COLUMNS: readonly Column[] = [
  { head: "Capture", align: "left", cut: "middle", widthMin: 16, weight: 1, dropRank: 0 },
  { head: "Format", align: "left", cut: "end", widthMin: 4, weight: 1, dropRank: 2 },
  { head: "Link types", align: "left", cut: "end", widthMin: 8, weight: 1, dropRank: 3 },
  { head: "Packets", align: "right", cut: "end", widthMin: 7, weight: 1, dropRank: 0 },
  { head: "Bytes", align: "right", cut: "end", widthMin: 7, weight: 1, dropRank: 0 },
];

function tableLines(columns: readonly Column[], rows: readonly string[][], room: number, paint: Paint) {
  const table = layOut(columns, rows, room);
  return {
    head: paint(table.head.join(GAP).trimEnd(), "bold"),
    rows: table.rows.map((row) => row.join(GAP).trimEnd()),
  };
}

/** The rules in their order; those without a hit are folded when there are many. */
export function ruleLines(rules: readonly ReplayRule[], room: number, paint: Paint): string[] {
  if (rules.length === 0) return [];
  const unused = rules.filter(({ hits }) => hits === 0).length;
  const fold = unused > UNUSED_RULE_ROWS_MAX;
  const numbered = rules.map((rule, at) => ({ rule, number: at + 1 }));
  const wanted = numbered.filter(({ rule }) => rule.hits > 0 || !fold);
  const shown = wanted.slice(0, RULE_ROWS_MAX);
  const most = Math.max(1, ...shown.map(({ rule }) => rule.hits));
  const lines: string[] = [];
  if (shown.length > 0) {
    const cells = shown.map(({ rule, number }) => [
      formatCount(number),
      ruleText(rule.type, rule.payload),
      visible(rule.proxy),
      formatCount(rule.hits),
      // Any hit at all shows at least one cell.
      "█".repeat(rule.hits === 0 ? 0 : Math.max(1, Math.round(rule.hits / most * BAR_CELLS))),
    ]);
    const table = tableLines(RULE_COLUMNS, cells, room, paint);
    lines.push(table.head, ...table.rows.map((row, at) => shown[at]!.rule.hits === 0 ? paint(row, "dim") : row));
  }
  if (wanted.length > shown.length) {
    lines.push(paint(`… ${countOf(wanted.length - shown.length, "more rule")} with hits`, "dim"));
  }
  if (fold) lines.push(paint(`… ${countOf(unused, "rule")} without a hit`, "dim"));
  return lines;
}

/** received = delivered + consumed + queued + dropped, whether that is so, and why packets were dropped. */
export function counterLines(counters: ReplayCounters, room: number, paint: Paint): string[] {
  const { dropped, total } = accountedFor(counters);
  const { received, delivered, consumed, queued } = counters;
  const law = `${countOf(received, "packet")} received = ${formatCount(delivered)} delivered + ${
    formatCount(consumed)
  } consumed + ${formatCount(queued)} queued + ${formatCount(dropped)} dropped`;
  const lines = wrap(law, room).map((line) => paint(line, "bold"));
  if (total !== received) {
    const wrong = `The counters do not add up: ${countOf(Math.abs(received - total), "packet")} ${
      total < received ? "vanished" : "too many"
    }. This is a mistake in weir; please report it.`;
    lines.push(...wrap(wrong, room).map((line) => paint(line, "red", "bold")));
  }
  const drops = dropsByCount(counters);
  const width = Math.max(0, ...drops.map(([, count]) => formatCount(count).length));
  for (const [reason, count] of drops) {
    const name = visible(reason);
    const wrapped = wrap(`${dropWords(name)} [${name}]`, room - width - 4);
    wrapped.forEach((line, i) => lines.push(`  ${(i === 0 ? formatCount(count) : "").padStart(width)}  ${line}`));
  }
  return lines;
}

/** The captures that were read, and under each what ended its reading. */
export function captureLines(captures: readonly ReplayCapture[], room: number, paint: Paint): string[] {
  if (captures.length === 0) return [];
  // A capture with an error is never the one that is left out.
  const failed = captures.filter(({ error }) => error !== null);
  const shown = captures.length <= CAPTURE_ROWS_MAX
    ? captures
    : [...failed, ...captures.filter(({ error }) => error === null)].slice(0, CAPTURE_ROWS_MAX);
  const cells = shown.map((capture) => [
    visible(capture.file),
    visible(capture.format ?? "no capture"),
    capture.linkTypes.map(visible).join(", "),
    formatCount(capture.packets),
    formatBytes(capture.bytes),
  ]);
  const table = tableLines(CAPTURE_COLUMNS, cells, room, paint);
  const lines = [table.head];
  shown.forEach((capture, at) => {
    lines.push(table.rows[at]!);
    if (capture.error === null) return;
    const { message, offset } = capture.error;
    const text = `Stopped at byte ${formatCount(offset)}: ${
      cutEnd(visible(message), MESSAGE_CELLS_MAX)
    }. What came before counts.`;
    for (const line of wrap(text, room - 2)) lines.push(`  ${paint(line, "red")}`);
  });
  if (captures.length > shown.length) {
    lines.push(paint(`… ${countOf(captures.length - shown.length, "more capture")}`, "dim"));
  }
  return lines;
}
