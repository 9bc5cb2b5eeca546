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
 * Errors: the offset of the first byte that is not UTF-8, and what stands before it.
 */
export function decodeUtf8(bytes: Uint8Array): { text: string } | { badByte: number; before: string } {
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch {
    return firstBadByte(bytes);
  }
}

function firstBadByte(bytes: Uint8Array): { badByte: number; before: string } {
  let low = 0; // everything before `low` decodes, or ends within a character that may still be completed
  let high = bytes.length;
  const decodes = (end: number) => {
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, end), { stream: true });
      return true;
    } catch {
      return false;
    }
  };
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (decodes(middle)) low = middle;
    else high = middle - 1;
  }
  return { badByte: low, before: new TextDecoder().decode(bytes.subarray(0, low), { stream: true }) };
}
