/**
 * Reads rule lines: `TYPE,payload,target[,parameters]`.
 *
 * Source: mihomo config/config.go `parseRules`, rules/logic/logic.go, rules/provider/classical_strategy.go. Everything that mihomo takes
 * means the same here. Wider: spaces anywhere around a field, types in any case (also inside logic rules), parentheses inside
 * regular expressions. Narrower, where mihomo goes wrong in silence: an AND or OR without any condition, text between conditions,
 * numbers that do not fit a port.
 */
import { RULE_CHARS_MAX } from "../base/limits.ts";
import { type LogicType, parseConditions } from "./parse_logic.ts";
import { nearestName } from "../base/nearest.ts";
import { type Field, fieldError, fieldOf, type RuleSyntaxError } from "./parse_error.ts";
import { makeRule, type RuleParams } from "./parse_payload.ts";
import type { Rule, RuleType } from "./rule.ts";
import { RULE_TYPE_SYNONYMS, RULE_TYPES } from "./rule.ts";

export type { RuleSyntaxError } from "./parse_error.ts";

/** A rule line that was read. `warning` is a mistake that mihomo passes over in silence, such as an unknown parameter. */
export interface ParsedRule {
  readonly rule: Rule;
  readonly warning?: RuleSyntaxError;
}

/** What became of a rule line. */
export type RuleResult = ParsedRule | { readonly error: RuleSyntaxError };

type Made = Rule | RuleSyntaxError;

const NO_PARAMS: RuleParams = { src: false, noResolve: false };
const WITH_PARAMS: ReadonlySet<RuleType> = new Set(["GEOIP", "IP-ASN", "IP-CIDR", "IP-SUFFIX", "RULE-SET"]);
const TYPE_NAMES: readonly string[] = [...Object.keys(RULE_TYPES), ...Object.keys(RULE_TYPE_SYNONYMS)];
const TYPES: ReadonlyMap<string, RuleType> = new Map(
  TYPE_NAMES.map((name) => [name, RULE_TYPE_SYNONYMS[name] ?? name as RuleType]),
);

/** True for the types whose payload may contain commas: the target is then the last field, and there are no parameters. */
function takesCommas(type: RuleType): boolean {
  const form = RULE_TYPES[type].form;
  return form === "logic" || form === "regex";
}

function readType(field: Field): RuleType | RuleSyntaxError {
  const name = field.text.toUpperCase();
  const type = TYPES.get(name);
  if (type !== undefined) return type;
  if (name === "") return fieldError(field, "missing rule type", "TYPE,payload,target");
  const near = nearestName(name, TYPE_NAMES);
  return fieldError(field, `unsupported rule type: ${field.text}`, near ?? "DOMAIN-SUFFIX, IP-CIDR, MATCH, …");
}

/** Cuts `text` from `from` to `to` at its commas. */
function splitFields(text: string, from: number, to: number): Field[] {
  const fields: Field[] = [];
  let start = from;
  for (;;) {
    const comma = text.indexOf(",", start);
    const end = comma < 0 || comma >= to ? to : comma;
    fields.push(fieldOf(text, start, end));
    if (end === to) return fields;
    start = end + 1;
  }
}

/** The payload of a type that takes commas, with the spaces around them gone as mihomo shows it. */
function joinFields(fields: readonly Field[], from: number): Field {
  return { text: fields.map((field) => field.text).join(","), at: fields[0]?.at ?? from };
}

/** What introduces the name of a packet program after a rule's target. mihomo ignores it, where it takes parameters at all. */
export const PROGRAM = "program=";

/** What stands after a rule's target. */
interface ReadParams {
  readonly params: RuleParams;
  readonly program?: Field;
  readonly warning?: RuleSyntaxError;
}

function isProgram(field: Field): boolean {
  return field.text.startsWith(PROGRAM);
}

function readParams(type: RuleType, fields: readonly Field[]): ReadParams {
  let program: Field | undefined;
  let src = false;
  let noResolve = false;
  let warning: RuleSyntaxError | undefined;
  for (const field of fields) {
    if (field.text === "") continue;
    if (isProgram(field)) program = field;
    else if (field.text === "src" && WITH_PARAMS.has(type)) src = true;
    else if (field.text === "no-resolve" && WITH_PARAMS.has(type)) noResolve = true;
    else if (field.text === "no-resolve" || field.text === "src") {
      warning ??= fieldError(field, `${field.text} means nothing in a ${type} rule`);
    } else {
      const near = nearestName(field.text, ["no-resolve", "src"]) ?? "no-resolve or src";
      warning ??= fieldError(field, `unknown parameter ${field.text}`, near);
    }
  }
  const params = { src, noResolve: noResolve || src };
  return { params, ...(program === undefined ? {} : { program }), ...(warning === undefined ? {} : { warning }) };
}

/** Adds the program that a field names. Errors: returned, when it names none. */
function withProgram(rule: Made, field: Field | undefined): Made {
  if (field === undefined || "message" in rule) return rule;
  const program = field.text.slice(PROGRAM.length).trim();
  if (program === "") return fieldError(field, "missing name of a packet program", "program=NAME");
  if (rule.type !== "SUB-RULE") return { ...rule, program };
  return fieldError(field, "a SUB-RULE has no packet program of its own", "program=NAME at the rules of its list");
}

function usage(type: RuleType, target: boolean): string {
  const { form, example } = RULE_TYPES[type];
  if (form === "none") return `${type},TARGET`;
  return target ? `${type},${example},${type === "SUB-RULE" ? "sub-rule-name" : "TARGET"}` : `${type},${example}`;
}

function suspicious(rule: Rule, field: Field): RuleSyntaxError | undefined {
  if (rule.type === "DOMAIN-SUFFIX" && rule.payload.startsWith(".")) {
    return fieldError(field, "a suffix with a dot in front never matches", rule.payload.replace(/^\.+/, ""));
  }
  return undefined;
}

function finish(rule: Made, warning?: RuleSyntaxError): RuleResult {
  if ("message" in rule) return { error: rule };
  return warning === undefined ? { rule } : { rule, warning };
}

/** Builds a logic rule or a SUB-RULE from its payload. `depth` counts the logic rules around it. */
function buildLogic(type: LogicType, text: string, payloadField: Field, target: string, depth: number): Made {
  const from = payloadField.at;
  const to = from + payloadField.text.length;
  const conditions = parseConditions(type, text, from, to, parseCondition, depth);
  if (!Array.isArray(conditions)) return conditions;
  if (type === "SUB-RULE") {
    const payload = joinFields(splitFields(text, from, to), from).text;
    return { type, payload, target, condition: conditions[0]! };
  }
  const shown = conditions.map((each) => `(${RULE_TYPES[each.type].api},${each.payload})`);
  const payload = type === "NOT" ? `(!${shown[0]!})` : `(${shown.join(type === "AND" ? " && " : " || ")})`;
  return { type, payload, target, conditions };
}

function buildSimple(type: RuleType, payload: Field, target: string, params: RuleParams): Made {
  if (payload.text === "") return fieldError(payload, `missing subsequent parameters: ${type}`, usage(type, true));
  return makeRule(type, payload, target, params);
}

/** Reads what stands between a condition's parentheses: `TYPE,payload[,parameters]`. `depth` counts the logic rules around it. */
function parseCondition(text: string, from: number, to: number, depth: number): Made {
  const whole = fieldOf(text, from, to);
  const comma = text.indexOf(",", from);
  if (comma < 0 || comma >= to) {
    return fieldError(whole, `[${whole.text}] format is error`, "TYPE,payload");
  }
  const typeField = fieldOf(text, from, comma);
  const type = readType(typeField);
  if (typeof type !== "string") return type;
  if (type === "MATCH" || type === "SUB-RULE") {
    return fieldError(typeField, `unsupported rule type [${type}] on logic rule`);
  }
  if (type === "AND" || type === "OR" || type === "NOT") {
    return buildLogic(type, text, fieldOf(text, comma + 1, to), "", depth);
  }
  const fields = splitFields(text, comma + 1, to);
  if (takesCommas(type)) return buildSimple(type, joinFields(fields, comma + 1), "", NO_PARAMS);
  return buildSimple(type, fields[0]!, "", readParams(type, fields.slice(1)).params);
}

function parseCommaRule(type: RuleType, text: string, all: readonly Field[]): RuleResult {
  const last = all.at(-1)!;
  const program = isProgram(last) ? last : undefined;
  const fields = program === undefined ? all : all.slice(0, -1);
  const target = fields.at(-1)!;
  const note = program === undefined
    ? undefined
    : fieldError(program, `Clash does not take a program in a ${type} rule; weir does`);
  if (fields.length < 3 || target.text === "") {
    return { error: fieldError(target, `missing target: ${type} takes a payload and a target`, usage(type, true)) };
  }
  if (type === "AND" || type === "OR" || type === "NOT" || type === "SUB-RULE") {
    const before = fields.at(-2)!;
    const payload = fieldOf(text, fields[1]!.at, before.at + before.text.length);
    return finish(withProgram(buildLogic(type, text, payload, target.text, 0), program), note);
  }
  return finish(
    withProgram(buildSimple(type, joinFields(fields.slice(1, -1), 0), target.text, NO_PARAMS), program),
    note,
  );
}

/** Reads one rule line. Errors: returned, with the place in `text`. */
export function parseRule(text: string): RuleResult {
  if (text.length > RULE_CHARS_MAX) {
    const message = `rule of ${text.length} characters, ${RULE_CHARS_MAX} are allowed`;
    return { error: { message, offset: 0, length: text.length } };
  }
  const fields = splitFields(text, 0, text.length);
  const type = readType(fields[0]!);
  if (typeof type !== "string") return { error: type };
  if (takesCommas(type)) return parseCommaRule(type, text, fields);
  const target = fields[type === "MATCH" ? 1 : 2];
  if (target === undefined || target.text === "") {
    const place = target ?? { text: text.slice(fields[0]!.at), at: fields[0]!.at };
    return { error: fieldError(place, `missing target in a ${type} rule`, usage(type, true)) };
  }
  if (type === "MATCH") {
    return finish(withProgram({ type, payload: "", target: target.text }, fields.slice(2).findLast(isProgram)));
  }
  const { params, program, warning } = readParams(type, fields.slice(3));
  const rule = withProgram(buildSimple(type, fields[1]!, target.text, params), program);
  return finish(rule, warning ?? ("message" in rule ? undefined : suspicious(rule, fields[1]!)));
}

/** Reads one line of a classical rule-provider: `TYPE,payload[,parameters]`, without a target. Errors: returned. */
export function parseClassicalLine(text: string): RuleResult {
  if (text.length > RULE_CHARS_MAX) {
    const message = `rule of ${text.length} characters, ${RULE_CHARS_MAX} are allowed`;
    return { error: { message, offset: 0, length: text.length } };
  }
  const comma = text.indexOf(",");
  const typeField = fieldOf(text, 0, comma < 0 ? text.length : comma);
  const type = readType(typeField);
  if (typeof type !== "string") return { error: type };
  if (type === "MATCH" || type === "RULE-SET" || type === "SUB-RULE") {
    return { error: fieldError(typeField, `unsupported rule type on classical rule-set: ${type}`) };
  }
  if (comma < 0) return { error: fieldError(typeField, `missing subsequent parameters: ${type}`, usage(type, false)) };
  if (type === "AND" || type === "OR" || type === "NOT") {
    return finish(buildLogic(type, text, fieldOf(text, comma + 1, text.length), "", 0));
  }
  const fields = splitFields(text, comma + 1, text.length);
  if (takesCommas(type)) return finish(buildSimple(type, joinFields(fields, comma + 1), "", NO_PARAMS));
  const { params, warning } = readParams(type, fields.slice(1));
  const rule = buildSimple(type, fields[0]!, "", params);
  return finish(rule, warning ?? ("message" in rule ? undefined : suspicious(rule, fields[0]!)));
}
