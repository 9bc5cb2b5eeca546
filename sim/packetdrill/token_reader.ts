/** A cursor over tokens, with the errors that a reader of scripts wants to see. */
import { SCRIPT_DEPTH_MAX } from "../../core/base/limits.ts";
import type { Token, TokenKind } from "./lexer.ts";
import { ScriptSyntaxError, UnsupportedError } from "./script_error.ts";

function nameOf(token: Token): string {
  if (token.kind === "end") return "the end of the script";
  const text = token.kind === "option" ? `--${token.text}` : token.text;
  return text.length > 40 ? `${JSON.stringify(text.slice(0, 40))}…` : JSON.stringify(text);
}

/** Reads tokens one after the other. Errors: `ScriptSyntaxError` with line and column of the token that does not fit. */
export class TokenReader {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  /** The token to come, or one further on. */
  peek(ahead: number = 0): Token {
    return this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)]!;
  }

  /** Takes the next token, whatever it is. */
  next(): Token {
    const token = this.peek();
    if (this.#at < this.#tokens.length - 1) this.#at++;
    return token;
  }

  /** The token taken last. */
  last(): Token {
    return this.#tokens[Math.max(0, this.#at - 1)]!;
  }

  /** True when the next token is this punctuation or word. */
  is(text: string, ahead: number = 0): boolean {
    const token = this.peek(ahead);
    return token.text === text && (token.kind === "punctuation" || token.kind === "word");
  }

  /** True when the next token is of this kind. */
  isKind(kind: TokenKind, ahead: number = 0): boolean {
    return this.peek(ahead).kind === kind;
  }

  /** Takes the next token if it is this punctuation or word. */
  take(text: string): boolean {
    if (!this.is(text)) return false;
    this.next();
    return true;
  }

  /** Takes the next token, which must be this punctuation or word. */
  expect(text: string, where: string): void {
    if (!this.take(text)) this.fail(`expected ${JSON.stringify(text)} ${where}, found ${nameOf(this.peek())}`);
  }

  /** Takes a word. */
  word(what: string): string {
    if (!this.isKind("word")) this.fail(`expected ${what}, found ${nameOf(this.peek())}`);
    return this.next().text;
  }

  /** Takes a whole number, decimal or hexadecimal. */
  integer(what: string, max: number, min: number = 0): number {
    const token = this.peek();
    const negative = token.text === "-" && token.kind === "punctuation";
    const digits = negative ? this.peek(1) : token;
    if (digits.kind !== "integer" && digits.kind !== "hex") this.fail(`expected ${what}, found ${nameOf(token)}`);
    const value = negative ? -Number(digits.text) : Number(digits.text);
    if (!(value >= min && value <= max)) this.fail(`${what} must be ${min} to ${max}, found ${value}`);
    this.next();
    if (negative) this.next();
    return value;
  }

  /** Ends the reading at the next token. */
  fail(message: string): never {
    const { line, column } = this.peek();
    throw new ScriptSyntaxError(line, column, message);
  }

  /** Ends the reading because of something that is packetdrill but not ours. */
  unsupported(reason: string): never {
    throw new UnsupportedError(this.peek().line, reason);
  }

  /** Runs `read` one bracket deeper. */
  nested<T>(read: () => T): T {
    if (++this.#depth > SCRIPT_DEPTH_MAX) this.fail(`brackets are nested deeper than ${SCRIPT_DEPTH_MAX}`);
    const result = read();
    this.#depth--;
    return result;
  }
}
