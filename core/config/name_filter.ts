/** Filters over the names of proxies: regular expressions, several separated by backticks. Source: mihomo outboundgroup/groupbase.go. */
import { parsePattern, type Pattern } from "../decide/pattern.ts";
import { expected, type Reader } from "./schema.ts";

/** What a filter lets through: a name in which any of the expressions is found. */
export interface NameFilter {
  readonly patterns: readonly Pattern[];
}

/** Reads a filter. */
export const nameFilter: Reader<NameFilter> = (value, at) => {
  if (value.kind !== "scalar") return expected("a regular expression", value, at);
  const patterns: Pattern[] = [];
  for (const part of value.text.split("`")) {
    const pattern = parsePattern(part);
    if (typeof pattern === "string") return expected(`a regular expression; ${pattern}`, value, at);
    patterns.push(pattern);
  }
  return { patterns };
};

/** True when one of the filter's expressions is found in the name. */
export function filterMatches(filter: NameFilter, name: string): boolean {
  return filter.patterns.some((pattern) => pattern.test(name));
}

/** The names that a filter lets through, in the order of its expressions. No filter lets all through. */
export function filterNames(filter: NameFilter | undefined, names: readonly string[]): string[] {
  if (filter === undefined) return [...names];
  const found = new Set<string>();
  for (const pattern of filter.patterns) {
    for (const name of names) if (pattern.test(name)) found.add(name);
  }
  return [...found];
}
