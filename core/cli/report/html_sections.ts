/** The parts of the page around the flows: warnings, tiles, rules, counters, captures. */
import { REPORT_CAPTURES_MAX, REPORT_RULES_MAX } from "../../base/limits.ts";
import type { ReplayCapture, ReplayCounters, ReplayResult, ReplayRule } from "../replay_result.ts";
import { dropWords } from "./drop_words.ts";
import { ruleText } from "./flow_text.ts";
import { countOf, formatBytes, formatCount, formatDurationUs, formatShare, formatTimeUs } from "./format.ts";
import { type Markup, markup } from "./markup.ts";
import { accountedFor, bytesOf, dropsByCount, timeSpan, totalOf, totalsByVerdict } from "./summary.ts";
import { visible } from "./visible.ts";
import { cutEnd } from "./width.ts";

/** Units: cells, about as wide as a letter. */
const WARNING_TEXT_CELLS_MAX = 300;

const short = (text: string) => cutEnd(visible(text), WARNING_TEXT_CELLS_MAX);

/** What the reader must know before anything else: captures that ended early, counters that do not add up. */
export function warnings(result: ReplayResult): Markup | undefined {
  const lines = result.captures.filter(({ error }) => error !== null).map(({ file, error }) =>
    markup`<li><b>${short(file)}</b> stopped at byte ${formatCount(error!.offset)}: ${
      short(error!.message)
    }. What came before counts.</li>`
  );
  const { total } = accountedFor(result.counters);
  if (total !== result.counters.received) {
    lines.unshift(
      markup`<li>The counters do not add up: ${formatCount(result.counters.received)} packets came in, ${
        formatCount(total)
      } are accounted for. This is a mistake in weir; please report it.</li>`,
    );
  }
  if (lines.length === 0) return undefined;
  const shown = lines.slice(0, REPORT_CAPTURES_MAX);
  const more = lines.length > shown.length
    ? markup`<li>… ${countOf(lines.length - shown.length, "more warning")}</li>`
    : undefined;
  return markup`<section class="warnings" aria-label="Warnings"><ul>${shown}${more}</ul></section>
`;
}

function tile(name: string, value: string, notes: string, kind = ""): Markup {
  return markup`<div class="tile ${kind}"><dt>${name}</dt><dd><b>${value}</b><span>${notes}</span></dd></div>`;
}

/** The whole replay in a few numbers. */
export function tiles(result: ReplayResult): Markup {
  const { flows, counters } = result;
  const all = totalOf(flows);
  const span = timeSpan(flows);
  const within = span === undefined ? "no time known" : `within ${formatDurationUs(span.last - span.first)}`;
  const { dropped } = accountedFor(counters);
  const verdicts = totalsByVerdict(flows).map((each) =>
    tile(
      each.key,
      formatCount(each.flows),
      `${formatShare(each.flows, all.flows)} · ${formatBytes(bytesOf(each))}`,
      `verdict key-${each.key}`,
    )
  );
  return markup`<dl class="tiles">${tile("Flows", formatCount(all.flows), within)}${verdicts}${
    tile("Payload", formatBytes(bytesOf(all)), `↑ ${formatBytes(all.upload)} ↓ ${formatBytes(all.download)}`)
  }${
    tile(
      "Packets",
      formatCount(counters.received),
      `${formatCount(dropped)} dropped`,
    )
  }</dl>${
    span === undefined
      ? undefined
      : markup`<p class="faint span">First flow ${formatTimeUs(span.first)}, last flow ${formatTimeUs(span.last)}.</p>`
  }`;
}

function ruleRow({ rule, number }: { rule: ReplayRule; number: number }, most: number): Markup {
  const width = Number((rule.hits / most * 100).toFixed(3));
  const bar =
    markup`<svg class="bar" width="100%" height="8" aria-hidden="true"><rect class="track" width="100%" height="8" rx="2"></rect><rect class="down" width="${width}%" height="8" rx="2"></rect></svg>`;
  return markup`<tr${rule.hits === 0 ? markup` class="unused"` : undefined}><td class="faint">${
    formatCount(number)
  }</td><th scope="row"><code>${
    ruleText(rule.type, rule.payload)
  }</code>${bar}</th><td class="text">${rule.proxy}</td><td>${formatCount(rule.hits)}</td></tr>`;
}

/** The rules in their order with their hits; when there are too many, those without a hit are only counted. */
export function ruleSection(rules: readonly ReplayRule[]): Markup | undefined {
  if (rules.length === 0) return undefined;
  const numbered = rules.map((rule, at) => ({ rule, number: at + 1 }));
  const wanted = rules.length <= REPORT_RULES_MAX ? numbered : numbered.filter(({ rule }) => rule.hits > 0);
  const shown = wanted.slice(0, REPORT_RULES_MAX);
  const most = shown.reduce((max, { rule }) => Math.max(max, rule.hits), 1);
  const unused = rules.filter(({ hits }) => hits === 0).length;
  const notes = [
    shown.length < wanted.length ? `${countOf(wanted.length - shown.length, "more rule")} with hits.` : "",
    unused > 0 ? `${countOf(unused, "rule")} of ${formatCount(rules.length)} without a hit.` : "",
  ].filter((note) => note !== "").join(" ");
  return markup`<section class="panel" id="rules"><div class="scroll tall"><table class="rules"><caption>Rules, in their order</caption><thead><tr><th scope="col">No</th><th scope="col">Rule</th><th scope="col">Target</th><th scope="col">Hits</th></tr></thead><tbody>${
    shown.map((each) => ruleRow(each, most))
  }</tbody></table></div>${notes === "" ? undefined : markup`<p class="note">${notes}</p>`}</section>
`;
}

/** Where every packet went, as a sum, and why packets were dropped. */
export function counterSection(counters: ReplayCounters): Markup {
  const { dropped, total } = accountedFor(counters);
  const holds = total === counters.received;
  const drops = dropsByCount(counters).map(([reason, count]) =>
    markup`<tr><th scope="row">${dropWords(visible(reason))} <code class="faint">${reason}</code></th><td>${
      formatCount(count)
    }</td></tr>`
  );
  const row = (name: string, count: number) =>
    markup`<tr><th scope="row">${name}</th><td>${formatCount(count)}</td></tr>`;
  return markup`<section class="panel" id="counters"><table class="counters"><caption>Packets: every one ends in exactly one place</caption><tbody>${
    row("delivered", counters.delivered)
  }${row("+ consumed", counters.consumed)}${row("+ queued", counters.queued)}${
    row("+ dropped", dropped)
  }</tbody><tfoot><tr><th scope="row">${holds ? "= received" : "≠ received"}</th><td>${
    formatCount(counters.received)
  }</td></tr></tfoot></table>${
    drops.length === 0
      ? undefined
      : markup`<table class="counters" id="drops"><caption>Why packets were dropped</caption><tbody>${drops}</tbody></table>`
  }</section>
`;
}

/** The captures that were read. */
export function captureSection(captures: readonly ReplayCapture[]): Markup | undefined {
  if (captures.length === 0) return undefined;
  const rows = captures.slice(0, REPORT_CAPTURES_MAX).map((capture) =>
    markup`<tr><th scope="row">${capture.file}</th><td class="text">${
      capture.format ?? "no capture"
    }</td><td class="text">${capture.linkTypes.join(", ")}</td><td>${formatCount(capture.packets)}</td><td>${
      formatBytes(capture.bytes)
    }</td><td class="text">${
      capture.error === null ? "read to its end" : `stopped at byte ${formatCount(capture.error.offset)}`
    }</td></tr>`
  );
  const more = captures.length - rows.length;
  return markup`<section class="panel" id="captures"><div class="scroll tall"><table class="captures"><caption>Captures</caption><thead><tr><th scope="col">File</th><th scope="col" class="text">Format</th><th scope="col" class="text">Link types</th><th scope="col">Packets</th><th scope="col">Bytes</th><th scope="col" class="text">State</th></tr></thead><tbody>${rows}</tbody></table></div>${
    more > 0 ? markup`<p class="note">${countOf(more, "more capture")}.</p>` : undefined
  }</section>`;
}
