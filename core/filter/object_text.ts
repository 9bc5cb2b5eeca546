/**
 * WinDivert's object text: a compiled filter as printable characters, accepted wherever a filter is.
 *
 *   "@WinDiv_" version length { "_" field relation sign value… success failure }
 *
 * A number is base-32 digits, most significant first, the last one written with another 32 characters. A label is `A` (accept),
 * `X` (reject) or `L` and a number. Addresses carry four words and 64-bit fields two, lowest first; an indexed field adds index + 65,535.
 * Source: WinDivert 2.2, the text that WinDivertHelperCompileFilter returns.
 */
import { FILTER_TESTS_MAX } from "../base/limits.ts";
import { type Field, FIELDS } from "./fields.ts";
import { ACCEPT, REJECT, type Step } from "./flatten.ts";
import { FILTER_MESSAGES, FilterSyntaxError } from "./syntax_error.ts";
import { type Constant, type Relation, RELATION_TEXT } from "./syntax_tree.ts";

const MAGIC = "@WinDiv_";
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+=";
const INDEX_BIAS = 0xffff;
const WORD_MASK = 0xffff_ffffn;

/** True when the text claims to be an object and not an expression. */
export function isObjectText(source: string): boolean {
  return source.startsWith("@");
}

/** How many 32-bit words of a constant the text carries. */
function wordCount(field: Field): number {
  if (field.kind === "load128" || field.form === "ipv6") return 4;
  return field.kind === "wide" && field.name !== "priority" ? 2 : 1;
}

function writeNumber(value: number): string {
  let text = DIGITS[32 + (value & 31)]!;
  for (let rest = value >>> 5; rest !== 0; rest >>>= 5) text = DIGITS[rest & 31] + text;
  return text;
}

function writeLabel(label: number): string {
  return label === ACCEPT ? "A" : label === REJECT ? "X" : `L${writeNumber(label)}`;
}

function writeStep(step: Step): string {
  let text = `_${writeNumber(step.field.id)}${writeNumber(step.relation)}${writeNumber(step.value.negative ? 1 : 0)}`;
  for (let i = 0; i < wordCount(step.field); i++) {
    text += writeNumber(Number((step.value.magnitude >> BigInt(32 * i)) & WORD_MASK));
  }
  if (step.field.kind === "data") text += writeNumber(step.index + INDEX_BIAS);
  return text + writeLabel(step.success) + writeLabel(step.failure);
}

/** The object text of a program. WinDivert 2.2 itself counts in 8 bits and writes an empty, invalid object for 256 tests. */
export function formatObject(steps: readonly Step[]): string {
  return MAGIC + writeNumber(0) + writeNumber(steps.length) + steps.map(writeStep).join("");
}

class Reader {
  readonly #text: string;
  #at = MAGIC.length;

  constructor(text: string) {
    const nul = text.indexOf("\0");
    this.#text = nul < 0 ? text : text.slice(0, nul);
    if (!this.#text.startsWith(MAGIC)) this.fail();
  }

  fail(): never {
    throw new FilterSyntaxError(FILTER_MESSAGES.badObject, 0);
  }

  get atEnd(): boolean {
    return this.#at === this.#text.length;
  }

  character(): string {
    return this.#text[this.#at++] ?? this.fail();
  }

  /** A number of at most `digits` digits and 32 bits. */
  number(digits: number, max = 0xffff_ffff): number {
    let value = 0;
    for (let i = 0; i < digits; i++) {
      if (value > 0x7ff_ffff) this.fail();
      const digit = DIGITS.indexOf(this.character());
      if (digit < 0) this.fail();
      value = value * 32 + (digit & 31);
      if (digit >= 32) return value <= max ? value : this.fail();
    }
    return this.fail();
  }

  constant(field: Field): Constant {
    const negative = this.number(1, 1) === 1;
    let magnitude = 0n;
    for (let i = 0; i < wordCount(field); i++) magnitude |= BigInt(this.number(7)) << BigInt(32 * i);
    if (field.form === "ipv4") magnitude |= 0xffffn << 32n;
    return { negative, magnitude };
  }

  /** Labels go forward only, so every program ends. */
  label(step: number, length: number): number {
    const kind = this.character();
    if (kind === "A") return ACCEPT;
    if (kind === "X") return REJECT;
    if (kind !== "L") this.fail();
    const label = this.number(2, FILTER_TESTS_MAX);
    return label > step && label < length ? label : this.fail();
  }
}

/**
 * The program in an object text. Fields are not checked against a layer: WinDivert does that when it reaches the test.
 * Errors: `FilterSyntaxError` "Filter object is invalid".
 */
export function parseObject(source: string): Step[] {
  const reader = new Reader(source);
  reader.number(4, 0);
  const length = reader.number(2, FILTER_TESTS_MAX);
  if (length === 0) reader.fail();
  const steps: Step[] = [];
  for (let i = 0; i < length; i++) {
    if (reader.character() !== "_") reader.fail();
    const field = FIELDS[reader.number(2, FIELDS.length - 1)]!;
    const relation = reader.number(2, RELATION_TEXT.length - 1) as Relation;
    const value = reader.constant(field);
    const index = field.kind === "data" ? (reader.number(7) - INDEX_BIAS) | 0 : 0;
    const success = reader.label(i, length);
    const failure = reader.label(i, length);
    steps.push({ kind: "test", field, index, relation, value, success, failure });
  }
  if (!reader.atEnd) reader.fail();
  return steps;
}
