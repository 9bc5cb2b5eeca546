/** Takes the payload of AND, OR, NOT and SUB-RULE apart: parentheses around conditions, and conditions around conditions. */
import { RULE_DEPTH_MAX } from "../base/limits.ts";
import { fieldError, fieldOf, type RuleSyntaxError } from "./parse_error.ts";
import type { Rule } from "./rule.ts";

/** The rule types whose payload is made of conditions. */
export type LogicType = "AND" | "OR" | "NOT" | "SUB-RULE";

/** Reads what stands between one condition's parentheses. */
export type ConditionParser = (text: string, from: number, to: number, depth: number) => Rule | RuleSyntaxError;

/** A rule type with spaces around it is shorter than this; no need to look further for its comma. */
const TYPE_CHARS_MAX = 40;
const OPEN = 0x28;
const CLOSE = 0x29;

/** True when the condition that opens at `at` holds a regular expression, whose own escapes and classes hide parentheses. */
function holdsRegex(text: string, at: number, to: number): boolean {
  const start = text.slice(at + 1, Math.min(to, at + 1 + TYPE_CHARS_MAX));
  return /^\s*[A-Z-]+-REGEX\s*,/i.test(start);
}

/** Where the parenthesis at `at` is closed, counting all of them, or -1. */
function closeOfPlain(text: string, at: number, to: number): number {
  let depth = 0;
  for (let i = at; i < to; i++) {
    const code = text.charCodeAt(i);
    if (code === OPEN) depth++;
    else if (code === CLOSE && --depth === 0) return i;
  }
  return -1;
}

/** As `closeOfPlain`, passing over escaped parentheses and those in classes. */
function closeOfRegex(text: string, at: number, to: number): number {
  let depth = 0;
  let inClass = false;
  for (let i = at; i < to; i++) {
    const character = text[i];
    if (character === "\\") i++;
    else if (inClass) inClass = character !== "]";
    else if (character === "[") inClass = true;
    else if (character === "(") depth++;
    else if (character === ")" && --depth === 0) return i;
  }
  return -1;
}

/** Where the group at `at` is closed, looking into conditions so that regular expressions count for themselves only; or -1. */
function closeOf(text: string, at: number, to: number, depth: number): number {
  if (depth > 4 * RULE_DEPTH_MAX) return -1;
  if (holdsRegex(text, at, to)) {
    const close = closeOfRegex(text, at, to);
    return close >= 0 ? close : closeOfPlain(text, at, to);
  }
  for (let i = at + 1; i < to; i++) {
    const code = text.charCodeAt(i);
    if (code === CLOSE) return i;
    if (code !== OPEN) continue;
    const close = closeOf(text, i, to, depth + 1);
    if (close < 0) return -1;
    i = close;
  }
  return -1;
}

function wrongCount(type: LogicType, text: string, from: number, to: number): RuleSyntaxError {
  const place = fieldOf(text, from, to);
  if (type === "NOT") return fieldError(place, "not rule must contain one rule", "((TYPE,payload))");
  if (type === "SUB-RULE") return fieldError(place, "Sub-Rule rule must contain one rule", "(TYPE,payload)");
  return fieldError(place, `${type} rule must contain a rule`, "((TYPE,payload),(TYPE,payload))");
}

/**
 * Reads the conditions in `text[from…to)`: `((A,x),(B,y))`, or without the outer pair where mihomo takes it so; for SUB-RULE `(A,x)`.
 * Errors: returned.
 */
export function parseConditions(
  type: LogicType,
  text: string,
  from: number,
  to: number,
  parse: ConditionParser,
  depth = 0,
): Rule[] | RuleSyntaxError {
  const place = fieldOf(text, from, to);
  if (depth >= RULE_DEPTH_MAX) return fieldError(place, `logic rules deeper than ${RULE_DEPTH_MAX}`);
  if (text.charCodeAt(from) !== OPEN || text.charCodeAt(to - 1) !== CLOSE) {
    return fieldError(place, "payload format error", type === "SUB-RULE" ? "(TYPE,payload)" : "((TYPE,payload),…)");
  }
  let start = from;
  let end = to;
  if (type !== "SUB-RULE" && closeOf(text, from, to, 0) === to - 1) {
    start++;
    end--;
  }
  const found: Rule[] = [];
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code <= 0x20 || code === 0x2c) continue;
    if (code !== OPEN) {
      if (found.length === 0 && start > from) return wrongCount(type, text, from, to);
      const what = code === CLOSE ? "missing '('" : `unexpected text ${JSON.stringify(text.slice(i, i + 12))}`;
      return { message: what, offset: i, length: 1, expected: "(TYPE,payload)" };
    }
    const close = closeOf(text, i, end, 0);
    if (close < 0) return { message: "format error is missing )", offset: i, length: end - i, expected: ")" };
    const rule = parse(text, i + 1, close, depth + 1);
    if ("message" in rule) return rule;
    found.push(rule);
    i = close;
  }
  const single = type === "NOT" || type === "SUB-RULE";
  return found.length === 0 || (single && found.length > 1) ? wrongCount(type, text, from, to) : found;
}
