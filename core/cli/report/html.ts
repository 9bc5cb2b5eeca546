/**
 * The report as one self-contained HTML page: it loads nothing, and its Content-Security-Policy allows nothing but its own style
 * and script, by their hashes. The same result gives the same page, byte for byte.
 *
 * Source: W3C Content Security Policy Level 3, sections 2.3.1 (hash sources) and 6.1 (directives).
 */
import { createHash } from "node:crypto";
import { REPORT_FLOWS_MAX } from "../../base/limits.ts";
import type { ReplayFlow, ReplayResult } from "../replay_result.ts";
import { barTable, timeChart } from "./charts.ts";
import { hostText, processText, ruleText, VERDICTS } from "./flow_text.ts";
import script from "./flow_table.client.js" with { type: "text" };
import { countOf, formatCount } from "./format.ts";
import { pageData } from "./html_data.ts";
import { captureSection, counterSection, ruleSection, tiles, warnings } from "./html_sections.ts";
import { jsonIsland, type Markup, markup, trusted } from "./markup.ts";
import pageStyle from "./report.css" with { type: "text" };
import tableStyle from "./tables.css" with { type: "text" };
import { topTotals } from "./summary.ts";
import { visible } from "./visible.ts";

/** Groups with a bar of their own. */
const BARS_MAX = 10;

/** A wave over a weir. */
const ICON = "data:image/svg+xml," + encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0f5c6e"/>' +
    '<path d="M5 11c4-5 7-5 11 0s7 5 11 0M5 19c4-5 7-5 11 0s7 5 11 0" fill="none" stroke="#fff" stroke-width="3" ' +
    'stroke-linecap="round"/></svg>',
);

/** What the page is called, and what it says about when it was made; without `generated` it says nothing about that. */
export interface ReportOptions {
  readonly title: string;
  readonly generated?: string;
}

// The page's own rules come last: they hold those for phones and paper, which narrow the others.
const style = `${tableStyle}\n${pageStyle}`;

function hashSource(text: string): string {
  return `'sha256-${createHash("sha256").update(text, "utf8").digest("base64")}'`;
}

function bars(flows: readonly ReplayFlow[]): Markup {
  const byRule = topTotals(flows, (flow) => ruleText(flow.rule, flow.rulePayload), BARS_MAX);
  const byHost = topTotals(flows, (flow) => hostText(flow.metadata), BARS_MAX);
  const byProcess = topTotals(flows, (flow) => processText(flow.metadata), BARS_MAX);
  return markup`<div class="panels">
<section class="panel" id="bytes-by-rule">${barTable("Bytes by rule", "rule", byRule, "no rule")}</section>
<section class="panel" id="bytes-by-host">${barTable("Bytes by host", "host", byHost, "no address")}</section>
<section class="panel" id="bytes-by-process">${
    barTable("Bytes by process", "process", byProcess, "unknown process")
  }</section>
</div>`;
}

function timeSection(flows: readonly ReplayFlow[]): Markup | undefined {
  const chart = timeChart(flows);
  if (chart === undefined) return undefined;
  const legend = VERDICTS.map((verdict) => markup`<li class="key-${verdict}">${verdict}</li>`);
  return markup`<section class="panel" id="flows-over-time"><h2>Flows over time <small>UTC, by verdict</small></h2>
<ul class="legend">${legend}</ul>
${chart}</section>`;
}

function flowSection(flows: readonly ReplayFlow[]): Markup {
  const cut = flows.length <= REPORT_FLOWS_MAX
    ? undefined
    : markup`<p class="note">This table holds the first ${formatCount(REPORT_FLOWS_MAX)} of ${
      countOf(flows.length, "flow")
    }; the pictures count all of them, and --json has them all.</p>`;
  const chips = VERDICTS.map((verdict) =>
    markup`<button type="button" class="chip key-${verdict}" data-verdict="${verdict}" aria-pressed="false">${verdict}</button>`
  );
  return markup`<section class="panel" id="flows"><h2>Flows</h2>${cut}
<noscript><p class="note">This table needs JavaScript. The page's script is part of this file and loads nothing.</p></noscript>
<div class="tools"><label class="search"><span class="unseen">Search the flows</span><input type="search" id="search" placeholder="Search host, address, process, rule … (all words must occur)" autocomplete="off" spellcheck="false" /></label>
<div class="chips" role="group" aria-label="Verdicts that are shown">${chips}<button type="button" class="chip only" id="only" hidden="hidden"></button></div></div>
<div class="scroll"><table class="flows"><caption><span class="unseen">Flows. The heads' buttons sort.</span> <output id="shown"></output></caption><thead></thead><tbody></tbody></table></div>
<nav class="pages" aria-label="Pages of the table"><button type="button" id="previous">← Previous</button> <span id="page"></span> <button type="button" id="next">Next →</button></nav>
</section>`;
}

/** Renders the page. Every text of the result is made visible and escaped. */
export function renderReport(result: ReplayResult, options: ReportOptions): string {
  const csp = [
    "default-src 'none'",
    `style-src ${hashSource(style)}`,
    `script-src ${hashSource(script)}`,
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  const { flows } = result;
  const page = markup`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8" />
<meta http-equiv="Content-Security-Policy" content="${trusted(csp)}" />
<meta name="viewport" content="width=device-width, initial-scale=1" />
<meta name="color-scheme" content="light dark" />
<meta name="referrer" content="no-referrer" />
<title>${options.title} · weir replay</title>
<link rel="icon" href="${trusted(ICON)}" />
<style>${trusted(style)}</style>
</head>
<body>
<header><p class="brand"><img src="${trusted(ICON)}" alt="" width="22" height="22" /> weir replay</p>
<h1>${options.title}</h1>${
    options.generated === undefined ? undefined : markup`<p class="faint">${options.generated}</p>`
  }</header>
<main>
${warnings(result)}${tiles(result)}
${timeSection(flows)}
${bars(flows)}
${flowSection(flows)}
<div class="panels wide">${ruleSection(result.rules)}${counterSection(result.counters)}</div>
${captureSection(result.captures)}
</main>
<script type="application/json" id="data">${jsonIsland({ title: visible(options.title), ...pageData(flows) })}</script>
<script>${trusted(script)}</script>
</body>
</html>
`;
  return page.html;
}
