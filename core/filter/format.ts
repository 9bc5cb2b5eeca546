/** The text of a filter's normal form, character for character as WinDivertHelperFormatFilter writes it. */
import { FILTER_TEXT_CHARS_MAX } from "../base/limits.ts";
import { LAYER_NAMES } from "./layer.ts";
import type { NormalNode } from "./normal_form.ts";
import { formatIpv4Literal, formatIpv6Literal } from "./number_text.ts";
import { FILTER_MESSAGES, FilterSyntaxError } from "./syntax_error.ts";
import { RELATION, RELATION_TEXT, type TestNode } from "./syntax_tree.ts";
import { EVENTS } from "./tokens.ts";

/** What stands around a part, which decides whether it needs parentheses. */
type Around = "nothing" | "and" | "or";

function eventText(event: bigint, layer: number): string {
  for (const [name, value, layers] of EVENTS) {
    if (value === event && layers.includes(layer)) return name;
  }
  return event.toString();
}

function constantText(test: TestNode, layer: number): string {
  const { field, value: { magnitude } } = test;
  const low = magnitude & 0xffff_ffffn;
  switch (field.form) {
    case "hex":
      return `0x${(field.kind === "data" ? low : magnitude).toString(16)}`;
    case "ipv4":
      return formatIpv4Literal(magnitude);
    case "ipv6":
      return formatIpv6Literal(magnitude);
    case "layer":
      return LAYER_NAMES[Number(low)]?.toUpperCase() ?? low.toString();
    case "event":
      return eventText(low, layer);
    case "decimal":
    case "flag":
      return magnitude.toString();
  }
}

function testText(test: TestNode, layer: number): string {
  const { field, relation, value } = test;
  if (field.form === "flag" && value.magnitude <= 1n && relation <= RELATION.notEqual) {
    const positive = (relation === RELATION.equal) === (value.magnitude === 1n);
    return positive ? field.name : `not ${field.name}`;
  }
  const indexed = field.kind === "data";
  const name = indexed ? `${field.name}[${test.index}b]` : field.name;
  const sign = value.negative && !indexed ? "-" : "";
  return `${name} ${RELATION_TEXT[relation]} ${sign}${constantText(test, layer)}`;
}

class Writer {
  readonly #layer: number;
  readonly #parts: string[] = [];
  #length = 0;

  constructor(layer: number) {
    this.#layer = layer;
  }

  get text(): string {
    return this.#parts.join("");
  }

  #put(text: string): void {
    this.#length += text.length;
    if (this.#length > FILTER_TEXT_CHARS_MAX) throw new FilterSyntaxError(FILTER_MESSAGES.outOfMemory, 0);
    this.#parts.push(text);
  }

  write(node: NormalNode, around: Around): void {
    switch (node.kind) {
      case "constant":
        return this.#put(String(node.value));
      case "test":
        return this.#put(testText(node, this.#layer));
      case "and":
      case "or": {
        const enclosed = around !== "nothing" && around !== node.kind;
        if (enclosed) this.#put("(");
        this.write(node.left, node.kind);
        this.#put(` ${node.kind} `);
        this.write(node.right, node.kind);
        if (enclosed) this.#put(")");
        return;
      }
      case "choice":
        this.#put("(");
        this.write(node.condition, "nothing");
        this.#put("? ");
        this.write(node.then, "nothing");
        this.#put(": ");
        this.write(node.otherwise, "nothing");
        return this.#put(")");
    }
  }
}

/**
 * The text of a normal form.
 * Errors: `FilterSyntaxError` when it would be longer than `FILTER_TEXT_CHARS_MAX`.
 */
export function formatNormalForm(node: NormalNode, layer: number): string {
  const writer = new Writer(layer);
  writer.write(node, "nothing");
  return writer.text;
}
