/** Fitting text into terminal cells: how wide it is, and cutting it without splitting a character. */
import stringWidth from "npm:string-width@9.0.0";

/** The sign that something was cut off. One cell wide. */
export const ELLIPSIS = "…";

const SEGMENTER = new Intl.Segmenter("en", { granularity: "grapheme" });

/** Cells that `text` takes in a terminal. Source: UAX 11 (East Asian Width), by the npm library string-width. */
export function widthOf(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  return stringWidth(text);
}

/** A character wider than this is none that anybody writes: it is cut between its code points. Units: cells. */
const CHARACTER_CELLS_MAX = 4;

function graphemes(text: string): string[] {
  const characters: string[] = [];
  for (const { segment } of SEGMENTER.segment(text)) {
    if (segment.length > CHARACTER_CELLS_MAX && widthOf(segment) > CHARACTER_CELLS_MAX) characters.push(...segment);
    else characters.push(segment);
  }
  return characters;
}

/** As many leading characters as fit into `cells`. */
function takeCells(characters: readonly string[], cells: number): string {
  let taken = "";
  let used = 0;
  for (const character of characters) {
    used += widthOf(character);
    if (used > cells) break;
    taken += character;
  }
  return taken;
}

/** `text` in at most `cells` cells; what does not fit is cut off at the end. */
export function cutEnd(text: string, cells: number): string {
  if (widthOf(text) <= cells) return text;
  if (cells <= 0) return "";
  return takeCells(graphemes(text), cells - 1).trimEnd() + ELLIPSIS;
}

/** `text` in at most `cells` cells; what does not fit is cut out of the middle, so that both ends can be told. */
export function cutMiddle(text: string, cells: number): string {
  if (widthOf(text) <= cells) return text;
  if (cells < 4) return cutEnd(text, cells);
  const characters = graphemes(text);
  const tailCells = Math.ceil((cells - 1) / 2);
  const head = takeCells(characters, cells - 1 - tailCells);
  let tail = "";
  for (let i = characters.length - 1, used = 0; i >= 0; i--) {
    used += widthOf(characters[i]!);
    if (used > tailCells) break;
    tail = characters[i]! + tail;
  }
  return head + ELLIPSIS + tail;
}

/** `text` filled up with spaces to `cells`; a longer one stays as it is. */
export function padTo(text: string, cells: number, align: "left" | "right" = "left"): string {
  const fill = " ".repeat(Math.max(0, cells - widthOf(text)));
  return align === "left" ? text + fill : fill + text;
}

/** `text` in lines of at most `cells`, broken between words, and inside a word only when it alone is too long. */
export function wrap(text: string, cells: number): string[] {
  const room = Math.max(8, cells);
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const joined = line === "" ? word : `${line} ${word}`;
    if (widthOf(joined) <= room) {
      line = joined;
      continue;
    }
    if (line !== "") lines.push(line);
    line = word;
    while (widthOf(line) > room) {
      const head = takeCells(graphemes(line), room);
      lines.push(head);
      line = line.slice(head.length);
    }
  }
  if (line !== "" || lines.length === 0) lines.push(line);
  return lines;
}
