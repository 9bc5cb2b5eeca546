/** YAML syntax errors in words of our own: the parser's may quote the file, and a file may hold secrets. */
import type { ErrorCode } from "yaml";

/** What each kind of syntax error means to the person who wrote the file. */
const MESSAGES: Partial<Record<ErrorCode, string>> = {
  ALIAS_PROPS: "found an anchor or tag before an alias, expected the alias alone",
  BAD_ALIAS: "found a bad alias or anchor, expected a name of letters and digits after * or &",
  BAD_COLLECTION_TYPE: "found a tag that does not fit the value after it",
  BAD_DIRECTIVE: "found a bad % directive, expected %YAML or %TAG; a text that begins with % must be quoted",
  BAD_DQ_ESCAPE:
    "found an unknown escape in a \"…\" text, expected \\\\ for a backslash; in '…' a backslash stands for itself",
  BAD_INDENT:
    "found bad indentation, expected items of one list or table to begin in the same column and brackets to close",
  BAD_PROP_ORDER: "found an anchor or tag in the wrong place, expected it directly before its value",
  BAD_SCALAR_START: "found a character that no unquoted text may begin with, expected the text in quotes",
  BLOCK_AS_IMPLICIT_KEY: 'found a second ": " in one line, expected one key in a line or the text in quotes',
  BLOCK_IN_FLOW: "found an indented list or table inside [ ] or { }, expected the bracketed form throughout",
  DUPLICATE_KEY: "found a key twice, expected it once",
  KEY_OVER_1024_CHARS: "found a key of more than 1024 characters, expected a shorter one",
  MISSING_CHAR: "a character is missing here, expected a closing quote or bracket, a comma, a colon or a space",
  MULTILINE_IMPLICIT_KEY: "found a key that goes over several lines, expected it in one line followed by a colon",
  MULTIPLE_ANCHORS: "found two anchors on one value, expected one",
  MULTIPLE_DOCS: 'found a second YAML document after "---", expected one document in the file',
  MULTIPLE_TAGS: "found two tags on one value, expected one",
  NON_STRING_KEY: "found a key that is not a text, expected a name",
  RESOURCE_EXHAUSTION: "lists and tables are nested too deeply to be read",
  TAB_AS_INDENT: "found a tab as indentation, expected spaces",
  TAG_RESOLVE_FAILED: "found an unknown tag",
  UNEXPECTED_TOKEN: "found something that cannot stand here in YAML; a text with special characters must be quoted",
};

/** The sentence for one syntax error. */
export function syntaxMessage(error: { code: ErrorCode }): string {
  return `the file is not valid YAML: ${MESSAGES[error.code] ?? "the text cannot be read"}`;
}
