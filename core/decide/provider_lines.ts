/**
 * Takes the text of a rule-provider apart into entries.
 *
 * Nearly every file has the form `payload:` and one `- 'entry'` a line, up to hundreds of thousands of them; that form is read
 * straight from the characters. Anything else goes through the YAML parser, which is a hundred times slower and knows everything.
 * Source: mihomo rules/provider/provider.go `rulesParse`.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { PROVIDER_SLOW_CHARS_MAX } from "../base/limits.ts";

/** Called for every entry: `text[from…to)`, and where it stands in the file. Both from 1. */
export type EntrySink = (text: string, from: number, to: number, line: number, column: number) => void;

/** Called for every mistake of the file itself. */
export type LineIssue = (line: number, column: number, message: string) => void;

const DASH = 0x2d;
const HASH = 0x23;
const SINGLE = 0x27;
const DOUBLE = 0x22;
const BACKSLASH = 0x5c;

function skipSpaces(text: string, from: number, to: number): number {
  let at = from;
  while (at < to && text.charCodeAt(at) <= 0x20) at++;
  return at;
}

function trimEnd(text: string, from: number, to: number): number {
  let at = to;
  while (at > from && text.charCodeAt(at - 1) <= 0x20) at--;
  return at;
}

/** One entry a line; lines that begin with `#` or `//` are comments. */
export function readTextLines(text: string, entry: EntrySink): void {
  let line = 1;
  for (let at = text.charCodeAt(0) === 0xfeff ? 1 : 0; at < text.length; line++) {
    const newline = text.indexOf("\n", at);
    const end = newline < 0 ? text.length : newline;
    const from = skipSpaces(text, at, end);
    const to = trimEnd(text, from, end);
    const comment = text.charCodeAt(from) === HASH || text.startsWith("//", from);
    if (to > from && !comment) entry(text, from, to, line, from - at + 1);
    at = end + 1;
  }
}

/** True when nothing but a comment follows a value. */
function endsLine(text: string, at: number, end: number): boolean {
  const next = skipSpaces(text, at, end);
  return next === end || (next > at && text.charCodeAt(next) === HASH);
}

/** Characters that give an unquoted value another meaning than itself, at its beginning. */
const INDICATORS = "-?:,[]{}#&*!|>'\"%@`";

/**
 * Where the value that begins at `from` ends, quotes excluded; -1 when only the YAML parser can tell.
 */
function valueEnd(text: string, from: number, end: number): number {
  const quote = text.charCodeAt(from);
  if (quote === SINGLE || quote === DOUBLE) {
    for (let i = from + 1; i < end; i++) {
      const code = text.charCodeAt(i);
      if (code === BACKSLASH && quote === DOUBLE) return -1;
      if (code === quote) return endsLine(text, i + 1, end) ? i : -1;
    }
    return -1;
  }
  if (INDICATORS.includes(text[from]!) || /^(?:~|null)(?:\s|$)/i.test(text.slice(from, Math.min(end, from + 5)))) {
    return -1;
  }
  for (let i = from; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x3a && (i + 1 === end || text.charCodeAt(i + 1) <= 0x20)) return -1;
    if (code === HASH && text.charCodeAt(i - 1) <= 0x20) return trimEnd(text, from, i);
  }
  return end;
}

/** Reads the usual form. False as soon as something else is met; entries read so far have to be forgotten then. */
function readUsualYaml(text: string, entry: EntrySink): boolean {
  let headed = false;
  let line = 0;
  let indent = -1;
  for (let at = text.charCodeAt(0) === 0xfeff ? 1 : 0; at < text.length;) {
    line++;
    const begin = at;
    const newline = text.indexOf("\n", at);
    const lineEnd = newline < 0 ? text.length : newline;
    at = lineEnd + 1;
    const first = skipSpaces(text, begin, lineEnd);
    if (first === lineEnd || text.charCodeAt(first) === HASH) continue;
    const end = trimEnd(text, first, lineEnd);
    if (!headed) {
      if (first !== begin || !/^(payload|rules)\s*:\s*(#.*)?$/.test(text.slice(first, end))) return false;
      headed = true;
      continue;
    }
    if (indent < 0) indent = first - begin;
    if (first - begin !== indent || text.charCodeAt(first) !== DASH || text.charCodeAt(first + 1) !== 0x20) {
      return false;
    }
    if (text.slice(begin, end).includes("\t")) return false;
    const from = skipSpaces(text, first + 1, end);
    const to = valueEnd(text, from, end);
    if (to < 0) return false;
    const quoted = text.charCodeAt(from) === SINGLE || text.charCodeAt(from) === DOUBLE ? 1 : 0;
    if (to > from + quoted) entry(text, from + quoted, to, line, from + quoted - begin + 1);
  }
  return headed;
}

function readSlowYaml(text: string, entry: EntrySink, issue: LineIssue): void {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, logLevel: "silent" });
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  for (const error of document.errors) {
    const { line, column } = place(error.pos[0]);
    issue(line, column, error.message.split("\n")[0]!.replace(/ at line .*$/, ""));
  }
  const root = document.contents;
  const list = isMap(root) ? root.get("payload", true) ?? root.get("rules", true) : undefined;
  if (list === undefined || list === null) return issue(1, 1, "file must have a `payload` field");
  if (isScalar(list) && list.value === null) return; // `payload:` and nothing below it
  if (!isSeq(list)) {
    const { line, column } = place((list as Node).range?.[0] ?? 0);
    return issue(line, column, "`payload` must be a list");
  }
  for (const item of list.items as (Node | null)[]) {
    const offset = item?.range?.[0] ?? 0;
    const { line, column } = place(offset);
    if (!isScalar(item)) {
      const what = isAlias(item) ? "an alias; a value that begins with * needs quotes" : "not text";
      issue(line, column, `list entry is ${what}`);
    } else if (item.value !== null && item.value !== "") {
      const value = typeof item.value === "string" ? item.value : item.source ?? String(item.value);
      const quoted = text[offset] === "'" || text[offset] === '"' ? 1 : 0;
      entry(value, 0, value.length, line, column + quoted);
    }
  }
}

/** Reads the list under `payload:` (or `rules:`). `restart` is called when entries given so far are to be forgotten. */
export function readYamlEntries(text: string, entry: EntrySink, issue: LineIssue, restart: () => void): void {
  if (readUsualYaml(text, entry)) return;
  restart();
  if (text.length > PROVIDER_SLOW_CHARS_MAX) {
    return issue(1, 1, `file of ${text.length} characters is not in the form "payload:" and one "- entry" a line`);
  }
  try {
    readSlowYaml(text, entry, issue);
  } catch (error) {
    issue(1, 1, `cannot read YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
}
