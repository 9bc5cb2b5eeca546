/** Reads what a script's functions returned. It runs inside the script's worker, and once more outside on what came out. */
import { POLICY_RULE_LENGTH_MAX, POLICY_RULES_MAX, POLICY_TARGET_LENGTH_MAX } from "../base/limits.ts";
import { pathText, type PlainStep, plainSteps, readSteps, STEP_KEYS } from "../decide/program_steps.ts";
import { MadeCondition, MadeRule } from "./rule_builder.ts";

/** An answer that makes sense. `via` undefined lets the rules choose the target; `program` is a name, or its steps. */
export interface ReadAnswer {
  readonly via: string | undefined;
  readonly program: string | readonly PlainStep[] | undefined;
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

/** Reads a program's name or its steps. Errors: one sentence. `key` is what the answer calls it; "" for steps in the answer itself. */
function readProgram(value: unknown, key: string): { readonly program: ReadAnswer["program"] } | string {
  if (typeof value === "string") {
    const name = value.trim();
    if (name !== "" && name.length <= POLICY_TARGET_LENGTH_MAX && !NO_NAME.test(name)) return { program: name };
    return `no packet program can be called ${describe(value)}`;
  }
  if (typeof value !== "object" || value === null) {
    return `${key} is the name of a packet program, a step or a list of steps, found ${describe(value)}`;
  }
  const steps = readSteps(value);
  if (Array.isArray(steps)) return { program: plainSteps(steps) };
  const where = pathText(steps.path);
  const place = key === "" ? where : where === "" ? key : where.startsWith("[") ? key + where : `${key}.${where}`;
  return place === "" ? steps.message : `${place}: ${steps.message}`;
}

/** Reads what `onConnection` returned. Shape: the answer, or one sentence about what is wrong with it. */
export function readAnswer(value: unknown): ReadAnswer | string {
  if (value === undefined) return { via: undefined, program: undefined };
  if (typeof value === "string") return badVia(value) ?? { via: value.trim(), program: undefined };
  if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof MadeRule) {
    return `expected a target's name, { via, program, duplicate, … } or undefined, found ${describe(value)}`;
  }
  const step: Record<string, unknown> = {};
  let via: unknown;
  let program: unknown;
  for (const key of Object.keys(value)) {
    const part = (value as Record<string, unknown>)[key];
    if (key === "via") via = part;
    else if (key === "program") program = part;
    else if (!STEP_KEYS.includes(key)) {
      return `there is no ${describe(key)} in an answer; there are via, program, ${STEP_KEYS.join(", ")}`;
    } else if (part !== undefined) step[key] = part;
  }
  const isSpelled = Object.keys(step).length > 0;
  const bad = via === undefined ? undefined : badVia(via);
  if (bad !== undefined) return bad;
  if (isSpelled && program !== undefined) return "an answer has either a program or the keys of one step, not both";
  const given = isSpelled ? step : program;
  const read = given === undefined ? { program: undefined } : readProgram(given, isSpelled ? "" : "program");
  if (typeof read === "string") return read;
  return { via: (via as string | undefined)?.trim(), program: read.program };
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
