/** Rule lines of a configuration: read one by one, then checked against everything they name. */
import { parseRule, type RuleSyntaxError } from "../decide/parse_rule.ts";
import type { Rule } from "../decide/rule.ts";
import type { Place } from "./issue.ts";
import type { Located, Reading } from "./schema.ts";
import { within } from "./schema.ts";
import { placeOf, placeWithin, shorten, type Value } from "./yaml_tree.ts";

/** A rule and where it is written. `name` is its place in the configuration: `rules[3]`. */
export interface PlacedRule {
  readonly rule: Rule;
  readonly text: string;
  readonly node: Value;
  readonly name: string;
}

/** Everything that a rule may name. */
export interface RuleNames {
  /** Proxies, groups and builtins. */
  readonly targets: ReadonlySet<string>;
  readonly subRules: ReadonlySet<string>;
  readonly providers: ReadonlySet<string>;
}

/** Reads rule lines; each mistake is reported at the field that has it. */
export function parseRules(lines: readonly Located<string>[], at: Reading): PlacedRule[] {
  const placed: PlacedRule[] = [];
  lines.forEach(({ value: text, node }, index) => {
    const { name } = within(at, `[${index}]`);
    const result = parseRule(text);
    if ("error" in result) {
      at.issues.error(placeIn(node, result.error.offset), `Cannot read ${name}: ${sentence(result.error)}`);
      return;
    }
    const { rule, warning } = result;
    if (warning !== undefined) at.issues.warning(placeIn(node, warning.offset), `${name}: ${sentence(warning)}`);
    placed.push({ rule, text, node, name });
  });
  return placed;
}

function sentence(error: RuleSyntaxError): string {
  return shorten(error.message) + (error.expected === undefined ? "" : `, expected ${shorten(error.expected)}`);
}

/** The place of a character of a rule. */
function placeIn(node: Value, offset: number): Place {
  return node.kind === "scalar" ? placeWithin(node, offset) : placeOf(node);
}

/** Where a rule writes a name: its target is the last field that reads so, a name inside a condition the first. */
export function placeOfName(placed: PlacedRule, name: string, side: "first" | "last"): Place {
  const fields: { text: string; at: number }[] = [];
  for (const { 0: text, index: at } of placed.text.matchAll(/[^,()]+/g)) {
    fields.push({ text: text.trim(), at: at + text.length - text.trimStart().length });
  }
  const holds = (field: { text: string }) => field.text === name;
  const field = side === "first" ? fields.slice(1).find(holds) : fields.findLast(holds);
  return field === undefined ? placeIn(placed.node, 0) : placeIn(placed.node, field.at);
}

/** Calls `visit` with a rule and with every condition inside it. */
export function visitConditions(rule: Rule, visit: (condition: Rule) => void): void {
  visit(rule);
  if (rule.type === "SUB-RULE") visitConditions(rule.condition, visit);
  if (rule.type === "AND" || rule.type === "OR" || rule.type === "NOT") {
    for (const condition of rule.conditions) visitConditions(condition, visit);
  }
}

/** Reports every name in the rules that nothing answers to. */
export function checkRuleNames(rules: readonly PlacedRule[], names: RuleNames, at: Reading): void {
  for (const placed of rules) {
    const { target, type } = placed.rule;
    if (type === "SUB-RULE") {
      if (!names.subRules.has(target)) unknown(placed, target, "sub-rule", names.subRules, "last", at);
    } else if (!names.targets.has(target)) {
      unknown(placed, target, "proxy or group", names.targets, "last", at);
    }
    visitConditions(placed.rule, (condition) => {
      if (condition.type !== "RULE-SET" || names.providers.has(condition.payload)) return;
      unknown(placed, condition.payload, "rule-provider", names.providers, "first", at);
    });
  }
}

function unknown(
  placed: PlacedRule,
  name: string,
  what: string,
  known: ReadonlySet<string>,
  side: "first" | "last",
  at: Reading,
): void {
  const hint = at.issues.didYouMean(name, [...known]);
  const message = `Cannot read ${placed.name}: found "${shorten(name)}", expected the name of a ${what}${hint}`;
  at.issues.error(placeOfName(placed, name, side), message);
}

/** Reports lists of sub-rules that lead back to themselves, naming the circle. */
export function checkSubRuleCircles(lists: ReadonlyMap<string, readonly PlacedRule[]>, at: Reading): void {
  const finished = new Set<string>();
  for (const name of lists.keys()) walk(name, [], lists, finished, at);
}

function walk(
  name: string,
  path: readonly string[],
  lists: ReadonlyMap<string, readonly PlacedRule[]>,
  finished: Set<string>,
  at: Reading,
): void {
  if (finished.has(name)) return;
  const here = [...path, name];
  for (const placed of lists.get(name) ?? []) {
    const { type, target } = placed.rule;
    if (type !== "SUB-RULE") continue;
    const from = here.indexOf(target);
    if (from < 0) walk(target, here, lists, finished, at);
    else {
      const circle = [...here.slice(from), target].map((step) => `"${shorten(step)}"`).join(" → ");
      at.issues.error(
        placeOfName(placed, target, "last"),
        `Cannot read ${placed.name}: the sub-rules form a circle: ${circle}`,
      );
    }
  }
  finished.add(name);
}
