/** Conditions over the host. */
import type { DomainSet } from "./domain_set.ts";
import type { HostSet } from "./geo.ts";
import { Condition } from "./match_condition.ts";
import type { MatchContext } from "./match_context.ts";
import { Answer } from "./needs.ts";
import type { Pattern } from "./pattern.ts";
import { matchesWildcard } from "./wildcard.ts";

abstract class HostCondition extends Condition {
  abstract matches(context: MatchContext): boolean;

  test(context: MatchContext): number {
    if (context.nameComing) return Answer.Name;
    return this.matches(context) ? Answer.Yes : Answer.No;
  }
}

/** DOMAIN. */
export class DomainCondition extends HostCondition {
  readonly #name: string;

  constructor(name: string) {
    super(1);
    this.#name = name;
  }

  matches(context: MatchContext): boolean {
    return context.host === this.#name;
  }
}

/** DOMAIN-SUFFIX. */
export class SuffixCondition extends HostCondition {
  readonly #name: string;
  readonly #dotted: string;

  constructor(name: string) {
    super(1);
    this.#name = name;
    this.#dotted = "." + name;
  }

  matches(context: MatchContext): boolean {
    return context.host === this.#name || context.host.endsWith(this.#dotted);
  }
}

/** DOMAIN-KEYWORD. */
export class KeywordCondition extends HostCondition {
  readonly #keyword: string;

  constructor(keyword: string) {
    super(2);
    this.#keyword = keyword;
  }

  matches(context: MatchContext): boolean {
    return context.host.includes(this.#keyword);
  }
}

/** DOMAIN-WILDCARD. */
export class WildcardCondition extends HostCondition {
  readonly #wildcard: string;

  constructor(wildcard: string) {
    super(3);
    this.#wildcard = wildcard;
  }

  matches(context: MatchContext): boolean {
    return matchesWildcard(this.#wildcard, context.host);
  }
}

/** DOMAIN-REGEX. */
export class RegexCondition extends HostCondition {
  readonly #pattern: Pattern;

  constructor(pattern: Pattern) {
    super(5);
    this.#pattern = pattern;
  }

  matches(context: MatchContext): boolean {
    return this.#pattern.test(context.host);
  }
}

/** A set of hosts that was compiled here, so that the host need not be taken apart again. */
export class DomainSetCondition extends HostCondition {
  readonly #set: DomainSet;

  constructor(set: DomainSet) {
    super(3);
    this.#set = set;
  }

  matches(context: MatchContext): boolean {
    return this.#set.hasScan(context.scan);
  }
}

/** GEOSITE, and any other set of hosts. */
export class HostSetCondition extends HostCondition {
  readonly #set: HostSet;
  readonly #negated: boolean;

  constructor(set: HostSet, negated: boolean) {
    super(4);
    this.#set = set;
    this.#negated = negated;
  }

  matches(context: MatchContext): boolean {
    return context.host !== "" && this.#set.has(context.host) !== this.#negated;
  }
}
