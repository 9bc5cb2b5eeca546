/** Makes Clash rule lines from method calls, and remembers where in the script each was made. It runs inside the script's worker. */
import type { PolicyRule, RuleBuilder, RuleCondition, RuleOptions, TargetOptions } from "./policy.ts";

/** Parameters after a rule's target, in Clash's order. */
type Parameters = readonly string[];

/** A rule type whose payload may hold commas: its target is the last field. Source: mihomo `parseRules`. */
const COMMA_TYPES = ["DOMAIN-REGEX", "PROCESS-NAME-REGEX", "PROCESS-PATH-REGEX", "AND", "OR", "NOT", "SUB-RULE"];

const NO_LINE = /[\u0000-\u001f\u007f\u2028\u2029]/;

function show(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : value === null ? "null" : typeof value;
}

function checkText(what: string, value: unknown, commas: boolean): string {
  if (typeof value !== "string") throw new TypeError(`Cannot make the rule: ${what} is a text, found ${show(value)}`);
  const text = value.trim();
  if (text === "") throw new TypeError(`Cannot make the rule: ${what} is empty`);
  if (NO_LINE.test(text)) throw new TypeError(`Cannot make the rule: ${what} holds a line break or control character`);
  if (!commas && text.includes(",")) {
    throw new TypeError(`Cannot make the rule: ${what} ${show(text)} holds a comma, which no rule of this type can`);
  }
  return text;
}

/** What a condition is made of. `origin` is the stack of the call that made it, for its line and column. */
interface Parts {
  readonly type: string;
  /** `undefined` for MATCH only. */
  readonly payload: string | undefined;
  readonly parameters: Parameters;
  readonly origin: string;
}

/** A rule of `createRuleBuilder`, with the stack of the call that made it. */
export class MadeRule implements PolicyRule {
  readonly text: string;
  readonly origin: string;
  constructor(text: string, origin: string) {
    this.text = text;
    this.origin = origin;
    Object.freeze(this);
  }
}

/** A condition of `createRuleBuilder`: a rule without its target. */
export class MadeCondition implements RuleCondition {
  readonly parts: Parts;
  constructor(parts: Parts) {
    this.parts = parts;
    Object.freeze(this);
  }
  direct(options?: TargetOptions): PolicyRule {
    return this.via("DIRECT", options);
  }
  reject(): PolicyRule {
    return this.via("REJECT");
  }
  drop(): PolicyRule {
    return this.via("REJECT-DROP");
  }
  pass(): PolicyRule {
    return this.via("PASS");
  }
  via(target: string, options?: TargetOptions): PolicyRule {
    const { type, payload, parameters, origin } = this.parts;
    const to = checkText("the target", target, false);
    const program = programOf(options);
    const fields = [type, ...(payload === undefined ? [] : [payload]), to, ...parameters, ...program];
    return new MadeRule(fields.join(","), origin);
  }
}

function programOf(options: unknown): Parameters {
  if (options === undefined) return [];
  if (typeof options !== "object" || options === null || Object.keys(options).some((key) => key !== "program")) {
    throw new TypeError(
      `Cannot make the rule: its options are an object such as { program: "twice" }, found ${show(options)}`,
    );
  }
  const { program } = options as TargetOptions;
  return program === undefined ? [] : [`program=${checkText("the packet program", program, false)}`];
}

/** Where the running call was made: the caller's frames come after the builder's own. */
function here(): string {
  return new Error().stack ?? "";
}

function condition(type: string, payload: string | undefined, parameters: Parameters = []): RuleCondition {
  return new MadeCondition({ type, payload, parameters, origin: here() });
}

function optionsOf(options: unknown): Parameters {
  if (options === undefined) return [];
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `Cannot make the rule: its options are an object such as { noResolve: true }, found ${show(options)}`,
    );
  }
  for (const key of Object.keys(options)) {
    if (key !== "noResolve" && key !== "src") {
      throw new TypeError(`Cannot make the rule: there is no option ${key}; there are noResolve and src`);
    }
  }
  const { noResolve, src } = options as RuleOptions;
  return [...(src === true ? ["src"] : []), ...(noResolve === true ? ["no-resolve"] : [])];
}

function inner(given: unknown): string {
  if (!(given instanceof MadeCondition)) {
    const found = given instanceof MadeRule ? "a rule that has a target already" : show(given);
    throw new TypeError(`Cannot make the rule: a condition such as r.network("tcp") is expected, found ${found}`);
  }
  const { type, payload, parameters } = given.parts;
  if (payload === undefined) throw new TypeError(`Cannot make the rule: ${type} cannot stand inside another rule`);
  return `(${[type, payload, ...parameters].join(",")})`;
}

/** A method of one text argument, and of options where the type has some. */
function text(
  type: string,
  what: string,
  withOptions = false,
): (value: string, options?: RuleOptions) => RuleCondition {
  const commas = COMMA_TYPES.includes(type);
  return (value, options) => condition(type, checkText(what, value, commas), withOptions ? optionsOf(options) : []);
}

/** A method of one regular expression. Clash's ignore case, so a `RegExp` may have no flag but `i`. */
function regex(type: string): (value: string | RegExp) => RuleCondition {
  return (value) => {
    if (value instanceof RegExp && !/^i?$/.test(value.flags)) {
      throw new TypeError(`Cannot make the rule: only the flag i is known, found /${value.source}/${value.flags}`);
    }
    return condition(type, checkText("the pattern", value instanceof RegExp ? value.source : value, true));
  };
}

/** A method of numbers and ranges, which Clash joins with `/`. Units: `max` is the largest number there is. */
function ranges(type: string, what: string, max: number): (...values: (number | string)[]) => RuleCondition {
  return (...values) => {
    if (values.length === 0) throw new TypeError(`Cannot make the rule: expected at least one ${what}`);
    for (const value of values) {
      const ends = typeof value === "number"
        ? [value]
        : /^\d+([-/]\d+)*$/.test(String(value))
        ? String(value).split(/[-/]/).map(Number)
        : [-1];
      if (
        typeof value !== "number" && typeof value !== "string" ||
        ends.some((end) => !Number.isInteger(end) || end < 0 || end > max)
      ) {
        throw new TypeError(
          `Cannot make the rule: a ${what} is a number from 0 to ${max} or a range "8-9", found ${
            typeof value === "number" ? value : show(value)
          }`,
        );
      }
    }
    return condition(type, values.join("/"));
  };
}

/** A method of several names, which Clash joins with `/`. */
function names(type: string, what: string): (...values: string[]) => RuleCondition {
  return (...values) => {
    if (values.length === 0) throw new TypeError(`Cannot make the rule: expected at least one ${what}`);
    return condition(type, values.map((value) => checkText(`the ${what}`, value, false)).join("/"));
  };
}

function logic(type: string): (...conditions: RuleCondition[]) => RuleCondition {
  return (...conditions) => {
    if (conditions.length === 0) throw new TypeError("Cannot make the rule: expected at least one condition");
    return condition(type, `(${conditions.map(inner).join(",")})`);
  };
}

function asn(type: string, withOptions: boolean): (value: number | string, options?: RuleOptions) => RuleCondition {
  return (value, options) => {
    const number = String(value).replace(/^AS/i, "");
    if (!/^\d{1,10}$/.test(number) || Number(number) > 0xffff_ffff) {
      throw new TypeError(
        `Cannot make the rule: an autonomous system is a number such as 13335, found ${
          typeof value === "number" ? value : show(value)
        }`,
      );
    }
    return condition(type, number, withOptions ? optionsOf(options) : []);
  };
}

/**
 * The builder that `rules` is given.
 * Errors: each method throws a `TypeError` on what no rule of its type can hold.
 */
export function createRuleBuilder(): RuleBuilder {
  return Object.freeze({
    domain: text("DOMAIN", "the name"),
    domainSuffix: text("DOMAIN-SUFFIX", "the suffix"),
    domainKeyword: text("DOMAIN-KEYWORD", "the keyword"),
    domainRegex: regex("DOMAIN-REGEX"),
    domainWildcard: text("DOMAIN-WILDCARD", "the pattern"),
    geosite: text("GEOSITE", "the code"),
    geoip: text("GEOIP", "the code", true),
    srcGeoip: text("SRC-GEOIP", "the code"),
    ipAsn: asn("IP-ASN", true),
    srcIpAsn: asn("SRC-IP-ASN", false),
    ipCidr: text("IP-CIDR", "the network", true),
    ipCidr6: text("IP-CIDR6", "the network", true),
    srcIpCidr: text("SRC-IP-CIDR", "the network"),
    ipSuffix: text("IP-SUFFIX", "the suffix", true),
    srcIpSuffix: text("SRC-IP-SUFFIX", "the suffix"),
    srcPort: ranges("SRC-PORT", "port", 65_535),
    dstPort: ranges("DST-PORT", "port", 65_535),
    inPort: ranges("IN-PORT", "port", 65_535),
    dscp: ranges("DSCP", "code point", 63),
    processName: text("PROCESS-NAME", "the name"),
    processPath: text("PROCESS-PATH", "the path"),
    processNameRegex: regex("PROCESS-NAME-REGEX"),
    processPathRegex: regex("PROCESS-PATH-REGEX"),
    processNameWildcard: text("PROCESS-NAME-WILDCARD", "the pattern"),
    processPathWildcard: text("PROCESS-PATH-WILDCARD", "the pattern"),
    network(name: string) {
      if (name !== "tcp" && name !== "udp") {
        throw new TypeError(`Cannot make the rule: a network is "tcp" or "udp", found ${show(name)}`);
      }
      return condition("NETWORK", name);
    },
    uid: ranges("UID", "user number", 0xffff_ffff),
    inType: names("IN-TYPE", "type"),
    inUser: names("IN-USER", "user"),
    inName: names("IN-NAME", "name"),
    ruleSet: text("RULE-SET", "the name", true),
    and: logic("AND"),
    or: logic("OR"),
    not: (only: RuleCondition) => condition("NOT", `(${inner(only)})`),
    subRule: (only: RuleCondition, name: string) =>
      new MadeRule(`SUB-RULE,${inner(only)},${checkText("the list", name, false)}`, here()),
    match: () => condition("MATCH", undefined),
  });
}
