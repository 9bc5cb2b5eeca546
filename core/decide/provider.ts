/** Rule-providers: lists of names, prefixes or rules, from a file or from the configuration itself. */
import { PROVIDER_CHARS_MAX, PROVIDER_ISSUE_COUNT_MAX } from "../base/limits.ts";
import { type IpPrefix, parseIp, parsePrefix } from "../base/ip_address.ts";
import type { ProviderSet } from "./decide_config.ts";
import { DomainSet } from "./domain_set.ts";
import { PrefixSet } from "./prefix_forest.ts";
import { parseClassicalLine } from "./parse_rule.ts";
import { readTextLines, readYamlEntries } from "./provider_lines.ts";
import type { Rule } from "./rule.ts";

export type { ProviderSet } from "./decide_config.ts";

/** What the entries of a provider are. */
export type ProviderBehavior = ProviderSet["behavior"];

/** How a provider's file is written. */
export type ProviderFormat = "yaml" | "text";

/** A mistake in a provider's file. Units: `line` and `column` from 1, in characters. */
export interface ProviderIssue {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** Collects entries; the mistake of a bad one is returned, and it is left out. `offset` counts from the entry's beginning. */
interface Builder {
  add(text: string, from: number, to: number): { readonly message: string; readonly offset: number } | undefined;
  build(): ProviderSet;
}

function quote(text: string, from: number, to: number): string {
  return JSON.stringify(text.slice(from, Math.min(to, from + 80)));
}

function buildDomains(): Builder {
  const hosts = new DomainSet();
  return {
    add(text, from, to) {
      if (hosts.add(text, from, to)) return undefined;
      return { message: `invalid domain: ${quote(text, from, to)}`, offset: 0 };
    },
    build() {
      hosts.trim();
      return { behavior: "domain", count: hosts.count, hosts };
    },
  };
}

function buildPrefixes(): Builder {
  const prefixes: IpPrefix[] = [];
  return {
    add(text, from, to) {
      const entry = text.slice(from, to);
      const prefix = parsePrefix(entry);
      if (prefix !== undefined) prefixes.push(prefix);
      else {
        const address = parseIp(entry);
        if (address === undefined) return { message: `invalid ipcidr: ${quote(text, from, to)}`, offset: 0 };
        prefixes.push({ address, bits: address.version === 4 ? 32 : 128 });
      }
      return undefined;
    },
    build: () => ({ behavior: "ipcidr", count: prefixes.length, addresses: new PrefixSet(prefixes) }),
  };
}

function buildRules(): Builder {
  const rules: Rule[] = [];
  return {
    add(text, from, to) {
      const result = parseClassicalLine(text.slice(from, to));
      if ("rule" in result) {
        rules.push(result.rule);
        return undefined;
      }
      const { message, offset, expected } = result.error;
      return { message: expected === undefined ? message : `${message}; expected ${expected}`, offset };
    },
    build: () => ({ behavior: "classical", count: rules.length, rules }),
  };
}

function builderOf(behavior: ProviderBehavior): Builder {
  switch (behavior) {
    case "domain":
      return buildDomains();
    case "ipcidr":
      return buildPrefixes();
    case "classical":
      return buildRules();
  }
}

/** Keeps the first mistakes and counts the rest. */
class Issues {
  readonly list: ProviderIssue[] = [];
  #more = 0;

  add(line: number, column: number, message: string): void {
    if (this.list.length < PROVIDER_ISSUE_COUNT_MAX) this.list.push({ line, column, message });
    else this.#more++;
  }

  finish(): ProviderIssue[] {
    const last = this.list.at(-1);
    if (this.#more > 0 && last !== undefined) {
      this.list.push({ ...last, message: `and ${this.#more} more mistakes` });
      this.#more = 0;
    }
    return this.list;
  }
}

/** Reads a provider's file. Bad entries are reported, good ones kept; never throws. */
export function parseProvider(
  behavior: ProviderBehavior,
  format: ProviderFormat,
  text: string,
): { set: ProviderSet; issues: ProviderIssue[] } {
  let builder = builderOf(behavior);
  let issues = new Issues();
  if (text.length > PROVIDER_CHARS_MAX) {
    issues.add(1, 1, `file of ${text.length} characters, ${PROVIDER_CHARS_MAX} are allowed`);
    return { set: builder.build(), issues: issues.finish() };
  }
  const entry = (source: string, from: number, to: number, line: number, column: number) => {
    const wrong = builder.add(source, from, to);
    if (wrong !== undefined) issues.add(line, column + wrong.offset, wrong.message);
  };
  if (format === "text") readTextLines(text, entry);
  else {
    readYamlEntries(text, entry, (line, column, message) => issues.add(line, column, message), () => {
      builder = builderOf(behavior);
      issues = new Issues();
    });
  }
  return { set: builder.build(), issues: issues.finish() };
}

/** Reads the entries of an inline provider. Units: `index` from 0 in `entries`, `offset` in characters of that entry. */
export function parseProviderEntries(
  behavior: ProviderBehavior,
  entries: readonly string[],
): { set: ProviderSet; issues: { index: number; offset: number; message: string }[] } {
  const builder = builderOf(behavior);
  const issues: { index: number; offset: number; message: string }[] = [];
  entries.forEach((entry, index) => {
    if (entry === "") return;
    const wrong = builder.add(entry, 0, entry.length);
    if (wrong !== undefined) issues.push({ index, offset: wrong.offset, message: wrong.message });
  });
  return { set: builder.build(), issues };
}
