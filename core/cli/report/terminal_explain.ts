/** The steps of an explanation, indented under their flow. */
import type { ExplainOutcome, ExplainStep } from "../../decide/verdict.ts";
import { outcomeText, stepText, stepWhy } from "./flow_text.ts";
import { countOf } from "./format.ts";
import type { Paint, Tint } from "./paint.ts";
import { wrap } from "./width.ts";

/** Steps of one flow that are listed: the first ones and, because it decides, the last. */
const STEPS_MAX = 60;

const INDENT = "    ";

const MARKS: Readonly<Record<ExplainOutcome, readonly [mark: string, tint: Tint]>> = {
  matched: ["✓", "green"],
  mismatch: ["·", "dim"],
  skipped: ["·", "dim"],
  unknown: ["?", "yellow"],
  targetMissing: ["!", "yellow"],
  targetPass: ["↷", "yellow"],
  targetCannotUdp: ["↷", "yellow"],
};

/** Lines of an explanation, none wider than `room`. */
export function explainLines(steps: readonly ExplainStep[], room: number, paint: Paint): string[] {
  const lines: string[] = [];
  const first = steps.length <= STEPS_MAX ? steps : steps.slice(0, STEPS_MAX - 1);
  for (const step of first) lines.push(...stepLines(step, room, paint));
  if (first.length < steps.length) {
    lines.push(paint(`${INDENT}… ${countOf(steps.length - STEPS_MAX, "more step")}`, "dim"));
    lines.push(...stepLines(steps.at(-1)!, room, paint));
  }
  return lines;
}

function stepLines(step: ExplainStep, room: number, paint: Paint): string[] {
  const [mark, tint] = MARKS[step.outcome];
  const why = stepWhy(step);
  const text = `${stepText(step)}: ${outcomeText(step.outcome)}${why === "" ? "" : ` (${why})`}`;
  const wrapped = wrap(text, room - INDENT.length - 2);
  return wrapped.map((line, i) => `${INDENT}${paint(`${i === 0 ? mark : " "} ${line}`, tint)}`);
}
