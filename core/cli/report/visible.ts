/**
 * Text from captures, made harmless: every character that could steer a terminal or reorder a line is written out.
 *
 * Host names, process paths and capture errors come from the outside. An escape sequence in one could recolour, erase or answer on
 * behalf of the terminal; a bidirectional override could show `evil.example` as another name; invisible characters could make two
 * names look alike. All of them become visible escapes: `\x1b`, `\u202e`, `\u{e0041}`.
 * Source: Unicode Standard, chapter 23 (special areas and format characters); UAX 9, section 2; ECMA-48, section 5.3.
 */

/** Longest text that is shown from one field. Units: UTF-16 code units. */
const FIELD_UNITS_MAX = 2048;

/** Combining marks kept on one character; more of them would grow over the neighbouring lines. */
const MARKS_MAX = 3;

// Cc controls, Cf format characters (bidi, zero width, tags), Cs lone surrogates, Co private use, Cn unassigned, Zl and Zp line ends,
// variation selectors, and the letters that Unicode calls default-ignorable (Hangul fillers and the like): all of them unseen or unknown.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;
// A space that is not the plain one: looks like it, matches nothing.
const ODD_SPACE = /(?! )\p{Zs}/gu;
// The empty braille pattern is a space in disguise.
const BLANK = /\u2800/g;
// Marks with nothing to stand on, and marks beyond what any script needs.
const LOOSE_MARK = /(^|[ \\])(\p{M})/gu;
const PILED_MARKS = new RegExp(`(\\p{M}{${MARKS_MAX}})(\\p{M}+)`, "gu");

// Conjoining Korean letters: a leading, a vowel and perhaps a trailing one make one wide character. Others pile up, and no two
// terminals agree on the width of a pile.
const JAMO = /([\u1100-\u115e][\u1161-\u1175][\u11a8-\u11c2]?)|[\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]/g;

function escapeOf(character: string): string {
  const code = character.codePointAt(0)!;
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
  if (code < 0x10000) return `\\u${code.toString(16).padStart(4, "0")}`;
  return `\\u{${code.toString(16)}}`;
}

/** One line of text with nothing in it that a terminal or a browser would act on; cut at 2,048 code units. */
export function visible(text: string): string {
  return visibleUpTo(text, FIELD_UNITS_MAX);
}

/** As `visible()`, cut at `unitsMax`. Units: UTF-16 code units. */
export function visibleUpTo(text: string, unitsMax: number): string {
  // Most text is printable ASCII; the test for it is much cheaper than the property classes.
  if (text.length <= unitsMax && /^[\x20-\x7e]*$/.test(text)) return text;
  const cut = text.length > unitsMax ? `${text.slice(0, unitsMax)}…` : text;
  return cut
    .replace(UNSEEN, escapeOf)
    .replace(ODD_SPACE, escapeOf)
    .replace(BLANK, escapeOf)
    .replace(JAMO, (letters: string, syllable: string | undefined) => syllable ?? escapeOf(letters))
    .replace(PILED_MARKS, (_, kept: string, more: string) => kept + [...more].map(escapeOf).join(""))
    .replace(LOOSE_MARK, (_, before: string, mark: string) => before + escapeOf(mark));
}
