/**
 * The part of `%{ python }%` that scripts use to look into TCP_INFO: `assert` of comparisons over `tcpi_…` names.
 *
 * Anything else in such a block is refused by name, never run: a script is input from outside.
 */
import { SCRIPT_DEPTH_MAX } from "../../core/base/limits.ts";
import { UnsupportedError } from "./script_error.ts";

/** Values of names; undefined when a name is not known. */
export type NameValues = (name: string) => number | undefined;

const TOKEN = /\s*(?:([0-9]+(?:\.[0-9]+)?)|([A-Za-z_][A-Za-z0-9_]*)|(==|!=|<=|>=|<<|>>|[-+*/%&|<>()]))/y;

/** Operators by how tightly they bind, the loosest first. Source: Python reference, section 6.17. */
const LEVELS: readonly (readonly string[])[] = [
  ["or"],
  ["and"],
  ["==", "!=", "<", "<=", ">", ">="],
  ["|"],
  ["&"],
  ["<<", ">>"],
  ["+", "-"],
  ["*", "/", "%"],
];

/** Index of the comparisons in `LEVELS`. */
const COMPARISONS = 2;

function applyOperator(operator: string, a: number, b: number): number {
  switch (operator) {
    case "or":
      return a !== 0 ? a : b;
    case "and":
      return a === 0 ? a : b;
    case "==":
      return Number(a === b);
    case "!=":
      return Number(a !== b);
    case "<":
      return Number(a < b);
    case "<=":
      return Number(a <= b);
    case ">":
      return Number(a > b);
    case ">=":
      return Number(a >= b);
    case "|":
      return a | b;
    case "&":
      return a & b;
    case "<<":
      return a << b;
    case ">>":
      return a >> b;
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
    default:
      return a % b;
  }
}

class Evaluator {
  readonly #text: string;
  readonly #line: number;
  readonly #values: NameValues;
  #at = 0;
  #depth = 0;
  #token: RegExpExecArray | null = null;

  constructor(text: string, line: number, values: NameValues) {
    this.#text = text;
    this.#line = line;
    this.#values = values;
    this.#advance();
  }

  #advance(): void {
    TOKEN.lastIndex = this.#at;
    this.#token = TOKEN.exec(this.#text);
    if (this.#token !== null) this.#at = TOKEN.lastIndex;
  }

  /** The value of the expression, and what is left behind it. */
  run(): { value: number; rest: string } {
    const value = this.#level(0);
    const left = this.#token === null ? this.#at : this.#at - this.#token[0].length;
    return { value, rest: this.#text.slice(left).trim() };
  }

  #level(level: number): number {
    if (level === LEVELS.length) return this.#operand();
    let value = this.#level(level + 1);
    for (let chained = 0;; chained++) {
      const operator = this.#token?.[2] ?? this.#token?.[3] ?? "";
      if (!LEVELS[level]!.includes(operator)) return value;
      // Python's comparisons chain (a < b < c), which nobody needs here.
      if (level === COMPARISONS && chained > 0) throw new UnsupportedError(this.#line, "a chain of comparisons");
      this.#advance();
      value = applyOperator(operator, value, this.#level(level + 1));
    }
  }

  #operand(): number {
    const token = this.#token;
    if (token === null) throw new UnsupportedError(this.#line, "this Python code");
    this.#advance();
    if (token[1] !== undefined) return Number(token[1]);
    if (token[2] === "not") return Number(this.#operand() === 0);
    if (token[2] !== undefined) {
      const value = this.#values(token[2]);
      if (value === undefined) throw new UnsupportedError(this.#line, `${token[2]} in Python code`);
      return value;
    }
    if (token[3] === "-") return -this.#operand();
    if (token[3] !== "(" || ++this.#depth > SCRIPT_DEPTH_MAX) {
      throw new UnsupportedError(this.#line, "this Python code");
    }
    const value = this.#level(0);
    if (this.#token?.[3] !== ")") throw new UnsupportedError(this.#line, "this Python code");
    this.#advance();
    return value;
  }
}

/**
 * Runs a block. Shape: the first assertion that does not hold, or undefined.
 * Errors: `UnsupportedError` for a statement or a name that is none of ours.
 */
export function runCode(text: string, line: number, values: NameValues): string | undefined {
  for (const raw of text.split(/\n|;/)) {
    const statement = raw.replace(/#.*/, "").trim();
    if (statement === "" || /^print\b/.test(statement)) continue;
    const condition = /^assert\b(.*)$/.exec(statement)?.[1];
    if (condition === undefined) throw new UnsupportedError(line, "this Python code");
    const { value, rest } = new Evaluator(condition, line, values).run();
    if (rest !== "" && !rest.startsWith(",")) throw new UnsupportedError(line, "this Python code");
    if (value === 0) return condition.split(",")[0]!.trim();
  }
  return undefined;
}
