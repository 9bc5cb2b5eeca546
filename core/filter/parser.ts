/**
 * Tokens to tree.
 *
 *   filter := conjunct { "or" filter }          conjunct := argument { "and" argument }
 *   argument := "(" filter ")" | "(" filter "?" filter ":" filter ")" | test
 *   test := { "not" } field [ relation [ "-" ] number ]        field := name | name "[" [ "-" ] number [ "b" ] "]"
 *
 * A mistake inside parentheses is looked at again by the level outside, which may blame another token. WinDivert's message is
 * the outermost one, so a level that fails returns undefined and leaves the last word to the level around it.
 */
import { FILTER_DEPTH_MAX, PACKET_BYTES_MAX } from "../base/limits.ts";
import type { Field } from "./fields.ts";
import { FILTER_MESSAGES, FilterSyntaxError } from "./syntax_error.ts";
import { type Constant, type FilterNode, OPPOSITE, RELATION } from "./syntax_tree.ts";
import type { Token, TokenKind } from "./tokens.ts";

const INDEX_MAX = 0xffff;

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #fault: FilterSyntaxError | undefined;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  parse(): FilterNode {
    const tree = this.#filter(FILTER_DEPTH_MAX, false);
    if (tree !== undefined && this.#token.kind !== "end") this.#blame(FILTER_MESSAGES.parse);
    else if (tree !== undefined && this.#fault === undefined) return tree;
    throw this.#fault ?? new FilterSyntaxError(FILTER_MESSAGES.parse, 0);
  }

  get #token(): Token {
    return this.#tokens[this.#at]!;
  }

  #blame(message: string): undefined {
    this.#fault = new FilterSyntaxError(message, this.#token.position);
    return undefined;
  }

  #take(kind: TokenKind): boolean {
    if (this.#token.kind !== kind) return false;
    this.#at++;
    return true;
  }

  /** `conjunct` is true below the outermost level of a parenthesis; WinDivert counts that as a level of depth too. */
  #filter(depth: number, conjunct: boolean): FilterNode | undefined {
    if (depth < 0) return this.#blame(FILTER_MESSAGES.tooDeep);
    let node = conjunct ? this.#argument(depth - 1) : this.#filter(depth - 1, true);
    while (node !== undefined) {
      const kind = this.#token.kind;
      if (kind !== "and" && kind !== "or") return node;
      this.#at++;
      const right: FilterNode | undefined = kind === "and" ? this.#argument(depth - 1) : this.#filter(depth - 1, true);
      if (right === undefined) return undefined;
      node = { kind, left: node, right };
    }
    return undefined;
  }

  #argument(depth: number): FilterNode | undefined {
    if (depth < 0) return this.#blame(FILTER_MESSAGES.tooDeep);
    if (!this.#take("(")) return this.#test();
    const inner = this.#filter(depth - 1, false);
    if (this.#take(")")) return inner;
    if (!this.#take("?")) return this.#blame(FILTER_MESSAGES.parse);
    const then = this.#filter(depth - 1, false);
    if (then === undefined) return undefined;
    if (!this.#take(":")) return this.#blame(FILTER_MESSAGES.parse);
    const otherwise = this.#filter(depth - 1, false);
    if (otherwise === undefined) return undefined;
    if (!this.#take(")")) return this.#blame(FILTER_MESSAGES.parse);
    // A faulty condition does not stop WinDivert here (it crashes later); `parse` reports the fault that was left.
    return inner === undefined ? then : { kind: "choice", condition: inner, then, otherwise };
  }

  #test(): FilterNode | undefined {
    let inverted = false;
    while (this.#take("not")) inverted = !inverted;
    const field = this.#token.field;
    if (field === undefined) return this.#blame(FILTER_MESSAGES.parse);
    this.#at++;
    const index = field.kind === "data" ? this.#index(field) : 0;
    if (index === undefined) return undefined;
    let relation = this.#token.relation;
    let value: Constant | undefined = { negative: false, magnitude: 0n };
    if (relation === undefined) {
      relation = RELATION.notEqual; // a field alone: is it anything but zero?
    } else {
      this.#at++;
      value = this.#constant();
      if (value === undefined) return undefined;
    }
    return { kind: "test", field, index, relation: inverted ? OPPOSITE[relation]! : relation, value };
  }

  #constant(): Constant | undefined {
    const negative = this.#take("-");
    const magnitude = this.#token.value;
    if (magnitude === undefined) return this.#blame(FILTER_MESSAGES.parse);
    this.#at++;
    return { negative, magnitude };
  }

  /** `[index]` in bytes: the number counts elements of the field's width unless a `b` follows it. */
  #index(field: Field): number | undefined {
    if (!this.#take("[")) return this.#blame(FILTER_MESSAGES.parse);
    const fromEnd = this.#take("-");
    const value = this.#token.value;
    if (value === undefined) return this.#blame(FILTER_MESSAGES.parse);
    if (value > BigInt(PACKET_BYTES_MAX)) return this.#blame(FILTER_MESSAGES.indexOutOfBounds);
    this.#at++;
    const bytes = Number(value) * (this.#take("bytes") ? 1 : field.width);
    const outside = fromEnd ? bytes > INDEX_MAX || bytes < field.width : bytes > INDEX_MAX - field.width;
    if (outside) return this.#blame(FILTER_MESSAGES.indexOutOfBounds);
    if (!this.#take("]")) return this.#blame(FILTER_MESSAGES.parse);
    return fromEnd ? -bytes : bytes;
  }
}

/**
 * The tree of a tokenized filter.
 * Errors: `FilterSyntaxError`.
 */
export function parseTokens(tokens: readonly Token[]): FilterNode {
  return new Parser(tokens).parse();
}
