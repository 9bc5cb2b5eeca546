/**
 * YAML as a tree of values that know their places.
 *
 * Everything that is not a list or a table is text here; what a text must look like is the schema's business. Aliases point to the one
 * value they name, merge keys are applied, and what a hostile file could blow up is bounded.
 *
 * Read first: YAML 1.2.2 chapters 3 and 7, and the merge key of YAML 1.1 (yaml.org/type/merge.html).
 */
import { type Alias, isAlias, isMap, isScalar, isSeq, type Node, type Pair, parseDocument, type YAMLMap } from "yaml";
import { CONFIG_DEPTH_MAX, CONFIG_NODE_COUNT_MAX, CONFIG_SYNTAX_ISSUE_COUNT_MAX } from "../base/limits.ts";
import type { IssueList, Place } from "./issue.ts";
import type { SourceText } from "./source_text.ts";
import { syntaxMessage } from "./yaml_syntax.ts";

/** What every value has. */
interface Written {
  readonly source: SourceText;
  readonly offset: number;
  /** True when it, or something in it, has an anchor: then it may be there for its aliases only. */
  readonly anchored: boolean;
}

/** A text, number, flag or nothing, as written. */
export interface ScalarValue extends Written {
  readonly kind: "scalar";
  readonly text: string;
  /** How it is written; only a plain one can mean nothing, a flag or a number. */
  readonly style: "plain" | "single" | "double" | "block";
}

/** A YAML sequence. */
export interface ListValue extends Written {
  readonly kind: "list";
  readonly items: readonly Value[];
}

/** One key of a table with the place of the key itself. */
export interface TableEntry {
  readonly keyOffset: number;
  readonly value: Value;
}

/** A YAML mapping with text keys, in the order of the file. */
export interface TableValue extends Written {
  readonly kind: "table";
  readonly entries: ReadonlyMap<string, TableEntry>;
}

/** Any YAML value. */
export type Value = ScalarValue | ListValue | TableValue;

/** Where a value begins. */
export function placeOf(value: Value): Place {
  return value.source.place(value.offset);
}

/** Where a key of a table stands. */
export function placeOfKey(table: TableValue, entry: TableEntry): Place {
  return table.source.place(entry.keyOffset);
}

/** True for a value that is written as nothing: `key:`, `~`, `null`. */
export function isNothing(value: Value): boolean {
  return value.kind === "scalar" && value.style === "plain" && /^(?:|~|null|Null|NULL)$/.test(value.text);
}

/**
 * The place of one character of a scalar's text, as far as the way it is written keeps characters apart; else where the scalar begins.
 * Units: `index` in UTF-16 code units of the text.
 */
export function placeWithin(value: ScalarValue, index: number): Place {
  const { source, offset, text, style } = value;
  const quote = style === "single" ? "'" : '"';
  const from = style === "plain" ? offset : offset + 1;
  const written = style === "single" ? text.replaceAll("'", "''") : text;
  const straight = style !== "block" && source.text.startsWith(written, from) &&
    (style === "plain" || source.text[from + written.length] === quote);
  if (!straight) return source.place(offset);
  const before = text.slice(0, index);
  return source.place(from + (style === "single" ? before.replaceAll("'", "''").length : before.length));
}

/** Reads a YAML document. Errors: into `issues`; undefined when the text is not one YAML document. An empty file is an empty table. */
export function readYaml(source: SourceText, issues: IssueList): Value | undefined {
  const options = { uniqueKeys: false, prettyErrors: false, schema: "failsafe", strict: true } as const;
  const document = parseDocument(source.text, options);
  const errors = document.errors.toSorted((a, b) => a.pos[0] - b.pos[0]);
  for (const error of errors.slice(0, CONFIG_SYNTAX_ISSUE_COUNT_MAX)) {
    issues.error(source.place(Math.min(error.pos[0], source.text.length)), syntaxMessage(error));
  }
  if (errors.length > 0) return undefined;
  if (document.contents === null) return { kind: "table", source, offset: 0, anchored: false, entries: new Map() };
  return new TreeBuilder(source, issues).build(document.contents, 0, 0);
}

/** Turns the parser's nodes into values. */
class TreeBuilder {
  readonly #source: SourceText;
  readonly #issues: IssueList;
  /** What each anchor seen so far names. An anchor counts from the end of its own node on, so that no value can contain itself. */
  readonly #anchors = new Map<string, Value>();
  /** Values counted with everything in them, aliases expanded. */
  readonly #sizes = new Map<Value, number>();

  constructor(source: SourceText, issues: IssueList) {
    this.#source = source;
    this.#issues = issues;
  }

  build(node: Node | null, offset: number, depth: number): Value {
    if (node === null) return this.#scalar(offset, "", "plain");
    const at = node.range?.[0] ?? offset;
    if (isAlias(node)) return this.#alias(node, at);
    const value = this.#unnamed(node, at, depth);
    const anchor = (node as { anchor?: string }).anchor;
    if (anchor === undefined) return value;
    const named = { ...value, anchored: true };
    this.#sizes.set(named, this.#sizes.get(value) ?? 1);
    this.#anchors.set(anchor, named);
    return named;
  }

  #unnamed(node: Node, at: number, depth: number): Value {
    if (isScalar(node)) {
      const style = node.type === "QUOTE_SINGLE"
        ? "single"
        : node.type === "QUOTE_DOUBLE"
        ? "double"
        : node.type === "PLAIN" || node.type === undefined
        ? "plain"
        : "block";
      return this.#scalar(at, String(node.value ?? ""), style);
    }
    if (depth >= CONFIG_DEPTH_MAX) {
      return this.#broken(at, `lists and tables are nested too deeply, expected at most ${CONFIG_DEPTH_MAX} levels`);
    }
    if (isSeq(node)) {
      const items = node.items.map((item) => this.build(item as Node | null, at, depth + 1));
      const anchored = items.some((item) => item.anchored);
      return this.#counted({ kind: "list", source: this.#source, offset: at, anchored, items }, items);
    }
    if (isMap(node)) return this.#table(node, at, depth);
    return this.#broken(at, "found a YAML node of unknown kind, expected a text, a list or a table");
  }

  #table(node: YAMLMap, at: number, depth: number): Value {
    const entries = new Map<string, TableEntry>();
    const merged: Value[] = [];
    for (const pair of node.items as Pair<Node | null, Node | null>[]) {
      const keyOffset = pair.key?.range?.[0] ?? at;
      const value = this.build(pair.value, pair.key?.range?.[1] ?? at, depth + 1);
      const key = pair.key === null ? this.#scalar(keyOffset, "", "plain") : this.build(pair.key, keyOffset, depth + 1);
      if (key.kind !== "scalar") {
        this.#issues.error(this.#source.place(keyOffset), `found a ${key.kind} as a key, expected a name`);
      } else if (key.text === "<<" && key.style === "plain") {
        merged.push(...(value.kind === "list" ? value.items : [value]));
      } else {
        const first = entries.get(key.text);
        if (first === undefined) entries.set(key.text, { keyOffset, value });
        else this.#twice(key.text, keyOffset, first.keyOffset);
      }
    }
    for (const table of merged) {
      if (table.kind === "table") table.entries.forEach((entry, key) => entries.has(key) || entries.set(key, entry));
      else {this.#issues.error(
          placeOf(table),
          `found ${kindName(table)} after "<<", expected a table or a list of tables`,
        );}
    }
    const parts = Array.from(entries.values(), (entry) => entry.value);
    const anchored = parts.some((part) => part.anchored);
    return this.#counted({ kind: "table", source: this.#source, offset: at, anchored, entries }, parts);
  }

  #twice(key: string, offset: number, first: number): void {
    const { line } = this.#source.place(first);
    this.#issues.error(this.#source.place(offset), `the key "${shorten(key)}" is given twice, first in line ${line}`);
  }

  #alias(node: Alias, at: number): Value {
    const value = this.#anchors.get(node.source);
    if (value !== undefined) return value;
    const name = shorten(node.source);
    return this.#broken(at, `found the alias *${name}, expected an anchor &${name} that ends before it`);
  }

  #scalar(offset: number, text: string, style: ScalarValue["style"]): ScalarValue {
    return { kind: "scalar", source: this.#source, offset, anchored: false, text, style };
  }

  #broken(offset: number, message: string): Value {
    this.#issues.error(this.#source.place(offset), message);
    return this.#scalar(offset, "", "plain");
  }

  #counted(value: Value, parts: readonly Value[]): Value {
    let size = 1;
    for (const part of parts) size += this.#sizes.get(part) ?? 1;
    if (size > CONFIG_NODE_COUNT_MAX) {
      const message = `found more than ${CONFIG_NODE_COUNT_MAX} values once aliases are expanded, expected fewer`;
      return this.#broken(value.offset, message);
    }
    this.#sizes.set(value, size);
    return value;
  }
}

/** What a value is, for messages. */
export function kindName(value: Value): string {
  if (isNothing(value)) return "nothing";
  return value.kind === "scalar" ? "a single value" : `a ${value.kind}`;
}

/** Longest text that a message repeats. Units: UTF-16 code units. */
const SHOWN_LENGTH_MAX = 80;

/** A text fit for a message: one line, not too long. */
export function shorten(text: string, lengthMax: number = SHOWN_LENGTH_MAX): string {
  const line = text.slice(0, lengthMax + 1).replace(/[\p{Cc}\u2028\u2029]/gu, " ");
  return line.length <= lengthMax ? line : `${line.slice(0, lengthMax - 1)}…`;
}

/** Somebody else's message, in one line of bearable length. */
export function oneLine(message: string): string {
  return shorten(message, 400);
}
