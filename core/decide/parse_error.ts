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

/** Edit distance with adjacent swaps, for short names. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        next[j] = Math.min(next[j]!, before[j - 2]! + 1);
      }
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
}

/** The known name that the written one was most likely meant to be, or undefined. */
export function nearestName(written: string, known: Iterable<string>): string | undefined {
  if (written.length > 64) return undefined;
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(written.length / 3)) + 1;
  for (const name of known) {
    if (Math.abs(name.length - written.length) >= bestDistance) continue;
    const each = distance(written, name);
    if (each < bestDistance) {
      best = name;
      bestDistance = each;
    }
  }
  return best;
}
