/**
 * A small language to say what a configuration must look like.
 *
 * A reader takes a value, reports what is wrong with it where it stands, and returns the typed thing or undefined. Readers are built
 * from readers; nothing throws, so that one pass reports every mistake.
 */
import type { IssueList, Place } from "./issue.ts";
import {
  isNothing,
  kindName,
  placeOf,
  placeOfKey,
  type ScalarValue,
  shorten,
  type TableValue,
  type Value,
} from "./yaml_tree.ts";

/** Where a reader is in the configuration, and where it reports to. */
export interface Reading {
  /** The dotted name of what is read: `dns.fake-ip-range`; "" at the top. */
  readonly name: string;
  readonly issues: IssueList;
}

/** Reads one value. Errors: reported, and undefined returned. */
export type Reader<T> = (value: Value, at: Reading) => T | undefined;

/** One key of a record: how it is read, and what stands for it when it is absent, empty or wrong. */
export interface Field<T> {
  readonly read: Reader<T>;
  readonly fallback: T;
  /** `present`: an empty key means something and is read as well. */
  readonly mode: "optional" | "required" | "present";
}

/** A value together with where it was written, for what can only be judged later. */
export interface Located<T> {
  readonly value: T;
  readonly node: Value;
  /** The dotted name of the place: `rules[3]`. */
  readonly name: string;
}

type Camel<K> = K extends `${infer A}-${infer B}` ? `${A}${Capitalize<Camel<B>>}` : K;
type Shape = Record<string, Field<unknown>>;
// deno-lint-ignore no-explicit-any -- a field of any type; `unknown` would refuse the fields of narrower ones
type AnyShape = Record<string, Field<any>>;

/** What a record with these fields reads: `kebab-case` keys become `camelCase` properties. */
export type RecordOf<S extends AnyShape> = { -readonly [K in keyof S as Camel<K>]: S[K]["fallback"] };

/** How a record treats keys that it does not read. */
export interface RecordOptions {
  /** Keys that are right but mean nothing to weir. */
  readonly known?: readonly string[];
  /** Keys that weir cannot honour although they change where traffic goes, each with what happens instead. */
  readonly unsupported?: Readonly<Record<string, string>>;
  /** True where more keys exist than are known here: only a slip of a known one is reported. */
  readonly open?: boolean;
}

/** Goes one step down: into a key, or into an item with `[index]`. */
export function within(at: Reading, step: string): Reading {
  const name = at.name === "" || step.startsWith("[") ? at.name + step : `${at.name}.${step}`;
  return { name, issues: at.issues };
}

/** Reports that something else was expected here. */
export function expected(what: string, value: Value, at: Reading, found = describe(value)): undefined {
  at.issues.error(placeOf(value), `Cannot read ${at.name || "the configuration"}: found ${found}, expected ${what}`);
  return undefined;
}

/** What was found, for messages. Not for secrets; those that hide in a URL are taken out. */
export function describe(value: Value): string {
  if (value.kind !== "scalar" || isNothing(value)) return kindName(value);
  return `"${shorten(value.text.replace(/\/\/[^/]*@/, "//…@").replace(/\?.*/s, "?…"))}"`;
}

/** Any single value, as text. */
export function text(what = "a text"): Reader<string> {
  return (value, at) => isText(value) ? value.text : expected(what, value, at, kindName(value));
}

/** A text that no message may show. */
export const secret: Reader<string> = text();

function isText(value: Value): value is ScalarValue {
  return value.kind === "scalar" && !isNothing(value);
}

/** True or false, in the words that Clash's YAML library takes. Source: YAML 1.1 bool. */
export const flag: Reader<boolean> = (value, at) => {
  const word = value.kind === "scalar" ? value.text.toLowerCase() : "";
  if (word === "true" || word === "yes" || word === "on") return true;
  if (word === "false" || word === "no" || word === "off") return false;
  return expected("true or false", value, at);
};

/** A whole number; `unit` is said in the message. */
export function integer(min: number, max: number, unit = ""): Reader<number> {
  return (value, at) => {
    const number = value.kind === "scalar" && /^[+-]?(?:\d{1,16}|0x[0-9a-fA-F]{1,13})$/.test(value.text)
      ? Number(value.text)
      : NaN;
    if (number >= min && number <= max) return number;
    return expected(`a whole number from ${min} to ${max}${unit === "" ? "" : ` (${unit})`}`, value, at);
  };
}

/** A port number. */
export const port: Reader<number> = (value, at) => {
  const number = value.kind === "scalar" && /^\d{1,5}$/.test(value.text) ? Number(value.text) : NaN;
  return number <= 65535 ? number : expected("a port from 0 to 65535", value, at);
};

/** One of some words; letter case does not matter. `aliases` are accepted and mean another word. */
export function oneOf<const T extends string>(words: readonly T[], aliases: Record<string, T> = {}): Reader<T> {
  const meaning = new Map<string, T>(words.map((word) => [word.toLowerCase(), word]));
  for (const [alias, word] of Object.entries(aliases)) meaning.set(alias, word);
  const all = [...words, ...Object.keys(aliases)];
  return (value, at) => {
    const word = isText(value) ? meaning.get(value.text.toLowerCase()) : undefined;
    if (word !== undefined) return word;
    const hint = isText(value) ? at.issues.didYouMean(value.text, all) : "";
    return expected(`one of ${all.join(", ")}${hint}`, value, at);
  };
}

/** A text that `parse` understands. Errors: `what` was expected, or the sentence that `parse` gives as an Error. */
export function parsed<T>(parse: (text: string) => T | undefined, what: string): Reader<T> {
  return (value, at) => {
    const result = isText(value) ? parse(value.text) : undefined;
    return result === undefined ? expected(what, value, at) : result;
  };
}

/** A list; items that are wrong are reported and left out. */
export function list<T>(item: Reader<T>, what = "a list"): Reader<T[]> {
  return (value, at) => {
    if (value.kind !== "list") return expected(what, value, at, kindName(value));
    const items: T[] = [];
    value.items.forEach((part, index) => {
      const result = item(part, within(at, `[${index}]`));
      if (result !== undefined) items.push(result);
    });
    return items;
  };
}

/** A list, or one item that stands for a list of itself. */
export function listOrOne<T>(item: Reader<T>): Reader<T[]> {
  const many = list(item);
  return (value, at) => {
    if (value.kind === "list") return many(value, at);
    const result = item(value, at);
    return result === undefined ? undefined : [result];
  };
}

/** A table with names of the user's choice; entries that are wrong are reported and left out. */
export function mapOf<T>(entry: Reader<T>, what = "a table"): Reader<Map<string, { value: T; place: Place }>> {
  return (value, at) => {
    if (value.kind !== "table") return expected(what, value, at, kindName(value));
    const result = new Map<string, { value: T; place: Place }>();
    for (const [key, { value: part, keyOffset }] of value.entries) {
      const read = entry(part, within(at, key));
      if (read !== undefined) result.set(key, { value: read, place: value.source.place(keyOffset) });
    }
    return result;
  };
}

/** The same, with where it was written. */
export function located<T>(read: Reader<T>): Reader<Located<T>> {
  return (node, at) => {
    const value = read(node, at);
    return value === undefined ? undefined : { value, node, name: at.name };
  };
}

/** The value itself, to be read later. */
export const raw: Reader<Value> = (value) => value;

/** A key that may be absent, with what it then means. */
export function field<T>(read: Reader<T>, fallback: NoInfer<T>): Field<T> {
  return { read, fallback, mode: "optional" };
}

/** A key that may be absent and then stays undefined. */
export function optional<T>(read: Reader<T>): Field<T | undefined> {
  return { read, fallback: undefined, mode: "optional" };
}

/** A key that must be there. What it reads is undefined when it is absent or wrong, which has then been reported. */
export function required<T>(read: Reader<T>): Field<T | undefined> {
  return { read, fallback: undefined, mode: "required" };
}

/** A key that says something by being there, even if it is empty. */
export function present<T>(read: Reader<T>): Field<T | undefined> {
  return { read, fallback: undefined, mode: "present" };
}

/** A table with known keys. Never undefined for a table: keys that are absent or wrong have their fallback. */
export function record<S extends AnyShape>(shape: S, options: RecordOptions = {}): Reader<RecordOf<S>> {
  const fields = new Map(Object.entries(shape as Shape));
  return (value, at) => {
    if (value.kind !== "table") return expected("a table of keys and values", value, at, kindName(value));
    const result: Record<string, unknown> = {};
    for (const [key, { read, fallback, mode }] of fields) {
      const given = value.entries.get(key)?.value;
      const absent = given === undefined || (mode !== "present" && isNothing(given));
      if (absent && mode === "required") reportMissing(key, value, at);
      result[camelCase(key)] = (absent ? undefined : read(given, within(at, key))) ?? fallback;
    }
    reportOthers(value, fields, options, at);
    return result as RecordOf<S>;
  };
}

/** What a record reads from an empty table. */
export function fallbacks<S extends AnyShape>(shape: S): RecordOf<S> {
  const entries = Object.entries(shape as Shape).map(([key, { fallback }]) => [camelCase(key), fallback]);
  return Object.fromEntries(entries) as RecordOf<S>;
}

function reportMissing(key: string, table: TableValue, at: Reading): void {
  const entry = table.entries.get(key);
  const place = entry === undefined ? placeOf(table) : placeOfKey(table, entry);
  at.issues.error(place, `Cannot read ${at.name || "the configuration"}: the key "${key}" is missing`);
}

function reportOthers(table: TableValue, fields: ReadonlyMap<string, unknown>, options: RecordOptions, at: Reading) {
  const known = options.known ?? [];
  const unsupported = options.unsupported ?? {};
  const where = at.name === "" ? "" : ` in ${at.name}`;
  for (const [key, entry] of table.entries) {
    if (fields.has(key) || known.includes(key) || entry.value.anchored) continue;
    const place = placeOfKey(table, entry);
    if (Object.hasOwn(unsupported, key)) {
      if (!isUnset(entry.value)) {
        at.issues.warning(place, `weir does not use "${key}"${where} yet: ${unsupported[key]}`);
      }
      continue;
    }
    const names = [...fields.keys(), ...known, ...Object.keys(unsupported)];
    const hint = at.issues.didYouMean(key, names);
    if (hint === "" && options.open) continue;
    at.issues.warning(place, `unknown key "${shorten(key)}"${where}${hint}`);
  }
}

/** True for a value that asks for nothing: absent, empty, zero or false. */
function isUnset(value: Value): boolean {
  if (value.kind === "list") return value.items.length === 0;
  if (value.kind === "table") return value.entries.size === 0;
  return isNothing(value) || /^(?:|0|false)$/i.test(value.text);
}

function camelCase(key: string): string {
  return key.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
