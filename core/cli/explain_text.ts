/** An explained flow for people: the flow, each step, and the verdict. */
import type { ExplainStep } from "../decide/verdict.ts";
import type { ExplainResult } from "./explain_result.ts";
import { destinationText, processText, ruleText, sourceText } from "./report/flow_text.ts";
import { formatCount } from "./report/format.ts";
import { type Paint, VERDICT_TINTS } from "./report/paint.ts";
import { explainLines } from "./report/terminal_explain.ts";
import { visible } from "./report/visible.ts";

/** Rules in a row that did not match, from which on only the first and last of them are shown. */
const MISSES_SHOWN_MAX = 50;
/** How many of them are shown at either end. */
const MISSES_SHOWN_EDGE = 5;

/** Shape: lines no wider than `columns`. */
export function renderExplain(result: ExplainResult, columns: number, paint: Paint): string {
  const lines = [paint(flowText(result), "bold")];
  for (const part of fold(result.steps)) {
    if ("folded" in part) lines.push(paint(`    … ${formatCount(part.folded)} rules did not match`, "dim"));
    else lines.push(...explainLines(part.shown, columns, paint));
  }
  lines.push(verdictLine(result, paint));
  return lines.join("\n") + "\n";
}

function flowText({ metadata }: ExplainResult): string {
  const from = sourceText(metadata);
  const to = destinationText(metadata);
  const process = processText(metadata);
  const way = [from, to].map((end) => end === "" ? "?" : end).join(" → ");
  return `${metadata.network} ${way}${process === "" ? "" : ` of ${process}`}`;
}

function verdictLine({ verdict, rule, rulePayload, chains, program }: ExplainResult, paint: Paint): string {
  const way = [...chains].reverse().map(visible).join(" → ");
  const by = rule === "" ? "no rule matched" : `by ${ruleText(rule, rulePayload)}`;
  const effect = program === undefined ? "" : `; ${visible(program)}`;
  return `${paint(verdict, VERDICT_TINTS[verdict], "bold")} ${way} (${by})${effect}`;
}

type Part = { readonly shown: readonly ExplainStep[] } | { readonly folded: number };

/** Cuts the steps into stretches to show and, between them, long runs of rules that did not match. */
function fold(steps: readonly ExplainStep[]): Part[] {
  const parts: Part[] = [];
  let at = 0;
  while (at < steps.length) {
    const isMiss = isMissed(steps[at]!);
    let end = at;
    while (end < steps.length && isMissed(steps[end]!) === isMiss) end++;
    const run = steps.slice(at, end);
    if (isMiss && run.length > MISSES_SHOWN_MAX) {
      parts.push({ shown: run.slice(0, MISSES_SHOWN_EDGE) });
      parts.push({ folded: run.length - 2 * MISSES_SHOWN_EDGE });
      parts.push({ shown: run.slice(-MISSES_SHOWN_EDGE) });
    } else parts.push({ shown: run });
    at = end;
  }
  return parts;
}

function isMissed(step: ExplainStep): boolean {
  return step.kind === "rule" && step.outcome === "mismatch";
}
