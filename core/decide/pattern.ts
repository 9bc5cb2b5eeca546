/**
 * Regular expressions of rules: the dialect of regexp2 (.NET) as far as rules use it, case ignored, and never in more than
 * polynomial time.
 *
 * Patterns come from rule-providers of strangers, and a backtracking engine can be made to run for years. So the built-in engine
 * gets only patterns whose cost can be bounded by looking at them; all others go to RE2, which takes linear time; a pattern that
 * is neither bounded nor known to RE2 (nested repetition around a lookahead, say) is refused.
 */
import { RE2JS } from "re2js";
import { PATTERN_CHARS_MAX, PATTERN_INSTRUCTION_COUNT_MAX, PATTERN_SUBJECT_CHARS_MAX } from "../base/limits.ts";

/** Ways through one pattern without unbounded repetition that the built-in engine may have to try. */
const WAYS_MAX = 10_000;
/** A bounded repetition up to this count is a choice; beyond, it counts as unbounded. */
const SMALL_REPEAT_MAX = 8;

/** A checked regular expression. */
export class Pattern {
  readonly source: string;
  readonly #native: RegExp | undefined;
  readonly #linear: RE2JS | undefined;

  /** Use `parsePattern`. */
  constructor(source: string, engine: RegExp | RE2JS) {
    this.source = source;
    this.#native = engine instanceof RegExp ? engine : undefined;
    this.#linear = engine instanceof RegExp ? undefined : engine;
  }

  /** True when the expression is found anywhere in the text, whatever the case. */
  test(text: string): boolean {
    const subject = text.length > PATTERN_SUBJECT_CHARS_MAX ? text.slice(0, PATTERN_SUBJECT_CHARS_MAX) : text;
    return this.#native !== undefined ? this.#native.test(subject) : this.#linear!.test(subject);
  }

  /** Which engine runs it. */
  get engine(): "native" | "re2" {
    return this.#native !== undefined ? "native" : "re2";
  }
}

/** What a look at a pattern's text tells about the cost of backtracking. */
interface Cost {
  /** Repetitions without a small bound. */
  repeats: number;
  /** Product of the choices outside repetitions. */
  ways: number;
  /** A repeated group that has a choice or a repetition inside, or anything that was not understood. */
  opaque: boolean;
  anchored: boolean;
}

interface Group {
  choice: boolean;
  branches: number;
}

/** Length of the escape at `at`, and whether both dialects mean the same by it. */
function readEscape(source: string, at: number): { length: number; known: boolean } {
  const next = source[at + 1] ?? "";
  if (next === "x") return { length: 4, known: /^[0-9a-fA-F]{2}/.test(source.slice(at + 2)) };
  if (next === "u") return { length: 6, known: /^[0-9a-fA-F]{4}/.test(source.slice(at + 2)) };
  return { length: 2, known: next !== "" && (/[dDwWsSbBtnrfv]/.test(next) || !/[A-Za-z0-9]/.test(next)) };
}

function skipClass(source: string, at: number, cost: Cost): number {
  let i = at + 1;
  if (source[i] === "^") i++;
  if (source[i] === "]") i++; // .NET takes a leading ] as itself, the built-in engine does not
  if (i > at + 1 && source[i - 1] === "]") cost.opaque = true;
  while (i < source.length && source[i] !== "]") {
    if (source[i] === "[") cost.opaque = true; // [:alpha:] and class subtraction differ
    if (source[i] !== "\\") i++;
    else {
      const escape = readEscape(source, i);
      if (!escape.known) cost.opaque = true;
      i += escape.length;
    }
  }
  return i + 1;
}

const QUANTIFIER = /^(?:[*+?]|\{[0-9]+(?:,[0-9]*)?\})[?+]?/;

/** Accounts for the quantifier after an atom; returns its length. */
function readQuantifier(rest: string, atomHasChoice: boolean, group: Group, cost: Cost): number {
  const found = QUANTIFIER.exec(rest);
  if (found === null) return 0;
  const text = found[0];
  if (atomHasChoice || (text.length > 1 && text.endsWith("+"))) cost.opaque = true;
  const bounds = /^\{([0-9]+)(,?)([0-9]*)\}/.exec(text);
  const low = bounds === null ? 0 : Number(bounds[1]);
  const high = bounds === null
    ? (text[0] === "?" ? 1 : Infinity)
    : bounds[2] === ""
    ? low
    : Number(bounds[3] || Infinity);
  if (high > SMALL_REPEAT_MAX && high !== low) cost.repeats++;
  else cost.ways *= Math.max(1, high - low + 1);
  if (high !== low) group.choice = true;
  return text.length;
}

/** Length of what opens a group at `at`, `(?:` for one; 0 when only RE2 may know it. */
function readGroupOpen(source: string, at: number): number {
  if (source[at + 1] !== "?") return 1;
  return /^\(\?(?:[:=!]|<[=!]|<[A-Za-z][A-Za-z0-9]*>)/.exec(source.slice(at))?.[0].length ?? 0;
}

function measure(source: string): Cost {
  const cost: Cost = { repeats: 0, ways: 1, opaque: false, anchored: source.startsWith("^") };
  const open: Group[] = [{ choice: false, branches: 1 }];
  let i = 0;
  while (i < source.length && !cost.opaque) {
    const character = source[i]!;
    let atomHasChoice = false;
    if (character === "(") {
      const length = readGroupOpen(source, i);
      if (length === 0) cost.opaque = true;
      open.push({ choice: false, branches: 1 });
      i += length;
      continue;
    } else if (character === ")") {
      const closed = open.length > 1 ? open.pop()! : undefined;
      if (closed === undefined) cost.opaque = true;
      else {
        atomHasChoice = closed.choice;
        cost.ways *= closed.branches;
        if (closed.choice) open.at(-1)!.choice = true;
      }
      i++;
    } else if (character === "|") {
      open.at(-1)!.branches++;
      open.at(-1)!.choice = true;
      if (open.length === 1) cost.anchored = false;
      i++;
      continue;
    } else if (character === "[") {
      i = skipClass(source, i, cost);
    } else if (character === "\\") {
      const escape = readEscape(source, i);
      if (!escape.known) cost.opaque = true;
      i += escape.length;
    } else i++;
    i += readQuantifier(source.slice(i, i + 24), atomHasChoice, open.at(-1)!, cost);
  }
  cost.ways *= open[0]!.branches;
  return cost;
}

function isCheap(cost: Cost): boolean {
  return !cost.opaque && cost.ways <= WAYS_MAX && cost.repeats <= (cost.anchored ? 2 : 1);
}

/** The anchors of .NET that the built-in engine takes for letters, in its own words. A leading `(?i)` says what holds anyway. */
function translate(source: string): string {
  return source.replace(/^\(\?i\)/, "").replace(/\\[\s\S]/g, (escape) => {
    if (escape === "\\A") return "^";
    return escape === "\\z" || escape === "\\Z" ? "$" : escape;
  });
}

function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/^Invalid regular expression: [\s\S]*: /, "").replace(/^error parsing regexp: /, "");
}

function compileNative(source: string): RegExp | string {
  try {
    const compiled = new RegExp(source, "i");
    compiled.test("a"); // the engine compiles late, and finds late that a pattern is too large
    return compiled;
  } catch (error) {
    return reason(error);
  }
}

function compileLinear(source: string): RE2JS | string {
  try {
    const program = RE2JS.compile(source, RE2JS.CASE_INSENSITIVE);
    if (program.programSize() <= PATTERN_INSTRUCTION_COUNT_MAX) return program;
    return `it takes ${program.programSize()} instructions, ${PATTERN_INSTRUCTION_COUNT_MAX} are allowed`;
  } catch (error) {
    return reason(error);
  }
}

/** Checks a regular expression and chooses its engine. Errors: the reason as a string. */
export function parsePattern(source: string): Pattern | string {
  if (source.length > PATTERN_CHARS_MAX) {
    return `regular expression of ${source.length} characters, ${PATTERN_CHARS_MAX} are allowed`;
  }
  const portable = translate(source);
  const cheap = isCheap(measure(portable));
  const native = compileNative(portable);
  if (cheap && typeof native !== "string") return new Pattern(source, native);
  const linear = compileLinear(source);
  if (typeof linear !== "string") return new Pattern(source, linear);
  if (typeof native === "string") return `invalid regular expression: ${linear}`;
  return `regular expression that could run without end, and RE2 cannot take it over: ${linear}`;
}
