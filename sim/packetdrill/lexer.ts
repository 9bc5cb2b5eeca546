/**
 * Text of a packetdrill script → tokens.
 *
 * Source: the token rules of google/packetdrill (syntax.md of 2019) and of the FreeBSD dialect (`#ifdef`, `...(0)`, `0:0(0)!`).
 */
import { SCRIPT_BYTES_MAX, SCRIPT_TOKENS_MAX } from "../../core/base/limits.ts";
import { ScriptSyntaxError } from "./script_error.ts";

/** What a token is. A `word` may begin with a digit: a Fast Open cookie in hexadecimal does. */
export type TokenKind =
  | "word"
  | "integer"
  | "hex"
  | "float"
  | "string"
  | "command"
  | "code"
  | "option"
  | "ellipsis"
  | "punctuation"
  | "end";

/** One token. `text` is without its quotes; of an option it is the name, with `value` beside it. */
export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly value: string | undefined;
  readonly line: number;
  readonly column: number;
  /** Where the token begins and ends in the script. Units: UTF-16 code units. */
  readonly from: number;
  readonly to: number;
}

const SPACE = /(?:[ \t\r\n]+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)+/y;
const OPTION = /--([A-Za-z0-9_]+)(?:[ \t]*=[ \t]*("[^"\n]*"|[^\s]*))?/y;
const RULES: readonly (readonly [TokenKind, RegExp])[] = [
  ["ellipsis", /\.\.\./y],
  ["code", /%\{([\s\S]*?)\}%/y],
  ["command", /`([^`]*)`/y],
  ["string", /"([^"\n]*)"/y],
  ["hex", /0x[0-9a-fA-F]+(?![A-Za-z0-9_])/y],
  ["float", /[0-9]*\.[0-9]+/y],
  ["integer", /[0-9]+(?![A-Za-z0-9_])/y],
  ["word", /(?:EXP|exp)-(?:FO|AccECN0|AccECN1|TARR|tarr)|[A-Za-z0-9_]+/y],
  ["punctuation", /[-+*~<>()[\]{}:,.=|/!?&^]/y],
];

/** Takes a script apart. Errors: `ScriptSyntaxError` at the first character that begins no token. */
export class Lexer {
  readonly #source: string;
  readonly #defines: ReadonlySet<string>;
  readonly #tokens: Token[] = [];
  #at = 0;
  #line = 1;
  #lineStart = 0;
  /** Where the `#ifdef` that is open stands, 0 outside of one. */
  #ifdefLine = 0;

  constructor(source: string, defines: ReadonlySet<string>) {
    this.#source = source;
    this.#defines = defines;
  }

  /** All tokens, the last one of kind `end`. */
  tokens(): readonly Token[] {
    if (this.#source.length > SCRIPT_BYTES_MAX) {
      throw new ScriptSyntaxError(1, 1, `the script is longer than ${SCRIPT_BYTES_MAX} characters`);
    }
    for (this.#skipSpace(); this.#at < this.#source.length; this.#skipSpace()) {
      if (this.#directive()) continue;
      this.#next();
      if (this.#tokens.length > SCRIPT_TOKENS_MAX) this.#fail(`the script has more than ${SCRIPT_TOKENS_MAX} tokens`);
    }
    if (this.#ifdefLine > 0) this.#fail(`the #ifdef of line ${this.#ifdefLine} has no #endif`);
    this.#push("end", "", undefined, this.#at);
    return this.#tokens;
  }

  #fail(message: string): never {
    throw new ScriptSyntaxError(this.#line, this.#at - this.#lineStart + 1, message);
  }

  /** Moves on to `to`, counting lines. */
  #moveTo(to: number): void {
    for (let i = this.#source.indexOf("\n", this.#at); i >= 0 && i < to; i = this.#source.indexOf("\n", i + 1)) {
      this.#line++;
      this.#lineStart = i + 1;
    }
    this.#at = to;
  }

  #match(rule: RegExp): RegExpExecArray | null {
    rule.lastIndex = this.#at;
    return rule.exec(this.#source);
  }

  #skipSpace(): void {
    const found = this.#match(SPACE);
    if (found !== null) this.#moveTo(SPACE.lastIndex);
  }

  #push(kind: TokenKind, text: string, value: string | undefined, to: number): void {
    const column = this.#at - this.#lineStart + 1;
    this.#tokens.push({ kind, text, value, line: this.#line, column, from: this.#at, to });
    this.#moveTo(to);
  }

  /** `#ifdef NAME … #endif`: a part that counts only where NAME is defined. */
  #directive(): boolean {
    if (this.#source[this.#at] !== "#") return false;
    const found = this.#match(/#(ifdef[ \t\n]+([A-Za-z][A-Za-z0-9_]*)|endif)/y);
    if (found === null) this.#fail("expected #ifdef NAME or #endif after #");
    const end = this.#at + found[0].length;
    if (found[2] === undefined) {
      if (this.#ifdefLine === 0) this.#fail("this #endif has no #ifdef");
      this.#ifdefLine = 0;
      this.#moveTo(end);
      return true;
    }
    if (this.#ifdefLine > 0) this.#fail(`the #ifdef of line ${this.#ifdefLine} is still open`);
    this.#ifdefLine = this.#line;
    this.#moveTo(end);
    if (this.#defines.has(found[2])) return true;
    const close = this.#source.indexOf("#endif", end);
    if (close < 0) this.#fail(`the #ifdef of line ${this.#ifdefLine} has no #endif`);
    this.#moveTo(close);
    return true;
  }

  #next(): void {
    const option = this.#match(OPTION);
    if (option !== null) {
      const value = option[2]?.replace(/^"(.*)"$/, "$1");
      return this.#push("option", option[1]!, value, this.#at + option[0].length);
    }
    for (const [kind, rule] of RULES) {
      const found = this.#match(rule);
      if (found !== null) return this.#push(kind, found[1] ?? found[0], undefined, this.#at + found[0].length);
    }
    const character = this.#source[this.#at]!;
    if (character === "`" || character === '"' || this.#source.startsWith("%{", this.#at)) {
      this.#fail(`what ${character === "%" ? "%{" : character} opens is never closed`);
    }
    this.#fail(`${JSON.stringify(character)} begins nothing that packetdrill knows`);
  }
}
