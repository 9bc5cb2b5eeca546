/** What is wrong with a rule line, and where. */

/** One mistake. Units: `offset` and `length` in characters of the text that was parsed, from 0. */
export interface RuleSyntaxError {
  readonly message: string;
  readonly offset: number;
  readonly length: number;
  /** What would have been right here. */
  readonly expected?: string;
}

/** A piece of a rule line, without the spaces around it. `at` is where `text` begins in the line. */
export interface Field {
  readonly text: string;
  readonly at: number;
}

/** Makes the mistake of a field. */
export function fieldError(field: Field, message: string, expected?: string): RuleSyntaxError {
  const place = { message, offset: field.at, length: field.text.length };
  return expected === undefined ? place : { ...place, expected };
}

/** The piece of `text` from `from` to `to`, trimmed. */
export function fieldOf(text: string, from: number, to: number): Field {
  let start = from;
  let end = to;
  while (start < end && text.charCodeAt(start) <= 0x20) start++;
  while (end > start && text.charCodeAt(end - 1) <= 0x20) end--;
  return { text: text.slice(start, end), at: start };
}
