/** `weir explain --filter`: what a divert device would be asked for, and why each part of that is there. */
import { FILTER_TESTS_MAX } from "../base/limits.ts";
import type { DivertFilter } from "../config/divert_filter.ts";
import type { Paint } from "./report/paint.ts";
import { visible } from "./report/visible.ts";

/** The whole document: schema `weir.explain-filter/1` of the command line's JSON. */
export interface ExplainFilterResult extends DivertFilter {
  readonly schema: "weir.explain-filter/1";
  /** Tests that WinDivert allows. */
  readonly testCountMax: number;
}

/** The document of a derived filter. */
export function explainFilterResult(derived: DivertFilter): ExplainFilterResult {
  return { schema: "weir.explain-filter/1", ...derived, testCountMax: FILTER_TESTS_MAX };
}

/** Breaks a text between words into lines of at most `columns`, all but the first indented. */
function wrap(text: string, columns: number, indent: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    const room = columns - (lines.length === 0 ? 0 : indent.length);
    if (longer.length <= room || line === "") line = longer;
    else {
      lines.push(line);
      line = word;
    }
  }
  lines.push(line);
  return lines.map((each, i) => i === 0 ? each : indent + each);
}

/** Shape: lines no wider than `columns` where the filter's words allow it. */
export function renderExplainFilter(result: ExplainFilterResult, columns: number, paint: Paint): string {
  const { filter, testCount, testCountMax, isWidened, parts } = result;
  const lines = [paint(wrap(visible(filter), columns, "  ").join("\n"), "bold")];
  if (filter === "false") lines.push("Nothing is diverted: the rules leave every flow alone.");
  else lines.push(paint(`${testCount} of ${testCountMax} tests${isWidened ? ", wider than the rules" : ""}`, "dim"));
  parts.forEach(({ text, why }, i) => {
    lines.push("");
    if (parts.length > 1) lines.push(...wrap(`${i + 1}. ${visible(text)}`, columns, "   "));
    for (const reason of why) lines.push(...wrap(`   ${visible(reason)}`, columns, "     "));
  });
  return lines.join("\n") + "\n";
}
