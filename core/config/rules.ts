/** Rule lines of a configuration: read one by one, then checked against everything they name. */
import { parseRule, PROGRAM, type RuleSyntaxError } from "../decide/parse_rule.ts";
import type { Rule } from "../decide/rule.ts";
import type { IssueList, Place } from "./issue.ts";
import type { Located } from "./schema.ts";
import { oneLine, placeOf, placeWithin, shorten } from "./yaml_tree.ts";

/** A rule as written, in a configuration or by a policy script. */
export interface RuleLine {
  readonly text: string;
  /** What messages call it: `rules[3]`. */
  readonly name: string;
  /** Where a character of it stands. Units: `offset` in UTF-16 code units of the text. */
  place(offset: number): Place;
}

/** A rule and the line that it was read from. */
export interface PlacedRule {
  readonly rule: Rule;
  readonly line: RuleLine;
}

/** Everything that a rule may name. */
export interface RuleNames {
  /** Proxies, groups and builtins. */
  readonly targets: ReadonlySet<string>;
  readonly subRules: ReadonlySet<string>;
  readonly providers: ReadonlySet<string>;
  /** Packet programs. */
  readonly programs: ReadonlySet<string>;
}

/** The lines of a list in a configuration. */
export function ruleLines(lines: readonly Located<string>[]): RuleLine[] {
  return lines.map(({ value: text, node, name }) => ({
    text,
    name: shorten(name),
    place: (offset) => node.kind === "scalar" ? placeWithin(node, offset) : placeOf(node),
  }));
}

/** Reads rule lines; each mistake is reported at the field that has it. */
export function parseRules(lines: readonly RuleLine[], issues: IssueList): PlacedRule[] {
  const placed: PlacedRule[] = [];
  for (const line of lines) {
    const result = parseRule(line.text);
    if ("error" in result) {
      issues.error(line.place(result.error.offset), `Cannot read ${line.name}: ${sentence(result.error)}`);
      continue;
    }
    const { rule, warning } = result;
    if (warning !== undefined) issues.warning(line.place(warning.offset), `${line.name}: ${sentence(warning)}`);
    placed.push({ rule, line });
  }
  return placed;
}

function sentence(error: RuleSyntaxError): string {
  return oneLine(error.message) + (error.expected === undefined ? "" : `, expected ${oneLine(error.expected)}`);
}

/** Where a rule writes a name: its target is the last field that reads so, a name inside a condition the first. */
export function placeOfName(placed: PlacedRule, name: string, side: "first" | "last"): Place {
  const fields: { text: string; at: number }[] = [];
  for (const { 0: text, index: at } of placed.line.text.matchAll(/[^,()]+/g)) {
    fields.push({ text: text.trim(), at: at + text.length - text.trimStart().length });
  }
  const holds = (field: { text: string }) => field.text === name;
  const field = side === "first" ? fields.slice(1).find(holds) : fields.findLast(holds);
  return placed.line.place(field === undefined ? 0 : field.at);
}

/** Calls `visit` with a rule and with every condition inside it. */
export function visitConditions(rule: Rule, visit: (condition: Rule) => void): void {
  visit(rule);
  if (rule.type === "SUB-RULE") visitConditions(rule.condition, visit);
  if (rule.type === "AND" || rule.type === "OR" || rule.type === "NOT") {
    for (const condition of rule.conditions) visitConditions(condition, visit);
  }
}

/** Reports every name in the rules that nothing answers to; returns the rules without such a name. */
export function checkRuleNames(rules: readonly PlacedRule[], names: RuleNames, issues: IssueList): PlacedRule[] {
  return rules.filter((placed) => {
    const { target, type } = placed.rule;
    let fine = true;
    const check = (name: string, what: string, known: ReadonlySet<string>, side: "first" | "last") => {
      if (known.has(name)) return;
      fine = false;
      reportUnknown(placed, name, what, known, side, issues);
    };
    if (type === "SUB-RULE") check(target, "sub-rule", names.subRules, "last");
    else check(target, "proxy or group", names.targets, "last");
    const { program } = placed.rule;
    if (program !== undefined && !names.programs.has(program)) {
      fine = false;
      reportProgram(placed, program, names.programs, issues);
    }
    visitConditions(placed.rule, (condition) => {
      if (condition.type === "RULE-SET") check(condition.payload, "rule-provider", names.providers, "first");
    });
    return fine;
  });
}

function reportProgram(
  { line }: PlacedRule,
  name: string,
  known: ReadonlySet<string>,
  issues: IssueList,
): void {
  const hint = issues.didYouMean(name, [...known]);
  const expected = `the name of a packet program under weir.programs${hint}`;
  const at = line.text.lastIndexOf(PROGRAM) + PROGRAM.length;
  issues.error(line.place(at), `Cannot read ${line.name}: found "${shorten(name)}", expected ${expected}`);
}

function reportUnknown(
  placed: PlacedRule,
  name: string,
  what: string,
  known: ReadonlySet<string>,
  side: "first" | "last",
  issues: IssueList,
): void {
  const hint = issues.didYouMean(name, [...known]);
  const message = `Cannot read ${placed.line.name}: found "${shorten(name)}", expected the name of a ${what}${hint}`;
  issues.error(placeOfName(placed, name, side), message);
}
