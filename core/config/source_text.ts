/** A text file as its user sees it: lines and columns. */
import type { Place } from "./issue.ts";

/** One file's text and where its lines begin. */
export class SourceText {
  readonly file: string;
  readonly text: string;
  #lineStarts: number[] | undefined;

  constructor(file: string, text: string) {
    this.file = file;
    this.text = text;
  }

  /** The place of a character. Units: `offset` in UTF-16 code units from the start of the text. */
  place(offset: number): Place {
    const starts = this.#lineStarts ??= lineStarts(this.text);
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return { file: this.file, line: low + 1, column: offset - starts[low]! + 1 };
  }
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

/**
 * Decodes a file that must be UTF-8; a byte order mark is dropped.
 * Errors: the text before the first byte that is not UTF-8.
 */
export function decodeUtf8(bytes: Uint8Array): { text: string } | { textBefore: string } {
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    return { textBefore: decodePrefix(bytes, longestGoodPrefix(bytes)) ?? "" };
  }
}

/** Decodes the first bytes; a character that is cut in two at the end is left out. Errors: undefined for what is not UTF-8. */
function decodePrefix(bytes: Uint8Array, length: number): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, length), { stream: true });
  } catch {
    return undefined;
  }
}

function longestGoodPrefix(bytes: Uint8Array): number {
  let low = 0;
  let high = bytes.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (decodePrefix(bytes, middle) !== undefined) low = middle;
    else high = middle - 1;
  }
  return low;
}
