/** Reads what a script's functions returned. It runs inside the script's worker, and once more outside on what came out. */
import {
  POLICY_DUPLICATE_MAX,
  POLICY_RULE_LENGTH_MAX,
  POLICY_RULES_MAX,
  POLICY_TARGET_LENGTH_MAX,
} from "../base/limits.ts";
import { MadeCondition, MadeRule } from "./rule_builder.ts";

/** An answer that makes sense. `via` undefined lets the rules choose the target. */
export interface ReadAnswer {
  readonly via: string | undefined;
  readonly duplicate: number | undefined;
}

const NO_NAME = /[\u0000-\u001f\u007f\u2028\u2029,]/;

/** Names a value for people, in a few words. */
export function describe(value: unknown): string {
  if (value === null) return "null";
  if (typeof value === "string") {
    return value.length > 60 ? `a text of ${value.length} characters` : JSON.stringify(value);
  }
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value === "bigint") return "a bigint";
  if (Array.isArray(value)) return "a list";
  if (value instanceof MadeRule) return "a rule";
  return typeof value === "object" ? "an object" : value === undefined ? "undefined" : `a ${typeof value}`;
}

function badVia(via: unknown): string | undefined {
  if (typeof via !== "string") return `via is the name of a target, found ${describe(via)}`;
  if (via.trim() === "") return "the name of the target is empty";
  if (via.length > POLICY_TARGET_LENGTH_MAX || NO_NAME.test(via)) return `no target can be called ${describe(via)}`;
  return undefined;
}

function badDuplicate(duplicate: unknown): string | undefined {
  if (Number.isInteger(duplicate) && (duplicate as number) >= 1 && (duplicate as number) <= POLICY_DUPLICATE_MAX) {
    return undefined;
  }
  return `duplicate is a whole number from 1 to ${POLICY_DUPLICATE_MAX}, found ${describe(duplicate)}`;
}

/** Reads what `onConnection` returned. Shape: the answer, or one sentence about what is wrong with it. */
export function readAnswer(value: unknown): ReadAnswer | string {
  if (value === undefined) return { via: undefined, duplicate: undefined };
  if (typeof value === "string") return badVia(value) ?? { via: value.trim(), duplicate: undefined };
  if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof MadeRule) {
    return `expected a target's name, { via, duplicate } or undefined, found ${describe(value)}`;
  }
  for (const key of Object.keys(value)) {
    if (key !== "via" && key !== "duplicate") {
      return `there is no ${describe(key)} in an answer; there are via and duplicate`;
    }
  }
  const { via, duplicate } = value as { via?: unknown; duplicate?: unknown };
  const bad = (via === undefined ? undefined : badVia(via)) ??
    (duplicate === undefined ? undefined : badDuplicate(duplicate));
  return bad ?? { via: (via as string | undefined)?.trim(), duplicate: duplicate as number | undefined };
}

/** A rule line with the stack of the call that made it; "" for a line that was written out. */
export type ReadRule = readonly [text: string, origin: string];

/** Reads what `rules` returned. Shape: the rules, or one sentence about the first that is none, with the stack of where it was made. */
export function readRules(value: unknown): ReadRule[] | { readonly message: string; readonly origin: string } {
  if (!Array.isArray(value)) return { message: `rules returns a list of rules, found ${describe(value)}`, origin: "" };
  if (value.length > POLICY_RULES_MAX) {
    return {
      message: `${value.length} rules are too many, ${POLICY_RULES_MAX} are allowed; use a rule-provider`,
      origin: "",
    };
  }
  const rules: ReadRule[] = [];
  for (let index = 0; index < value.length; index++) {
    const rule: unknown = value[index];
    const [line, origin] = rule instanceof MadeRule ? [rule.text, rule.origin] : [rule, ""];
    if (rule instanceof MadeCondition) {
      return {
        message: 'the rule has no target; add .direct(), .via("name"), .reject() or .drop()',
        origin: rule.parts.origin,
      };
    }
    if (typeof line !== "string") {
      return { message: `rule ${index + 1} is no rule: found ${describe(line)}`, origin: "" };
    }
    if (line.length > POLICY_RULE_LENGTH_MAX) return { message: `rule ${index + 1} is too long`, origin };
    rules.push([line, origin]);
  }
  return rules;
}
