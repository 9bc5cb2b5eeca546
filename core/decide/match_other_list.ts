/** Conditions that ask other lists: rule-providers and sub-rules. */
import { RULE_DEPTH_MAX } from "../base/limits.ts";
import { Condition } from "./match_condition.ts";
import type { MatchContext } from "./match_context.ts";
import type { RuleList } from "./match_list.ts";
import { Answer } from "./needs.ts";
import { isUsable } from "./outcome.ts";

/** RULE-SET: the provider's own condition, with the ends swapped (`src`) and without lookups (`src`, `no-resolve`) as asked. */
export class ProviderCondition extends Condition {
  readonly #inner: Condition;
  readonly #src: boolean;
  readonly #noResolve: boolean;

  constructor(inner: Condition, src: boolean, noResolve: boolean) {
    super(inner.cost);
    this.#inner = inner;
    this.#src = src;
    this.#noResolve = noResolve || src;
  }

  test(context: MatchContext): number {
    const swapped = context.swapped;
    const noResolve = context.noResolve;
    context.swapped = this.#src ? !swapped : swapped;
    context.noResolve = noResolve || this.#noResolve;
    const answer = this.#inner.test(context);
    context.swapped = swapped;
    context.noResolve = noResolve;
    return answer;
  }
}

/** A rule-provider of rules: whether any of them matches. */
export class ClassicalCondition extends Condition {
  readonly #list: RuleList;

  constructor(list: RuleList) {
    super(9);
    this.#list = list;
  }

  test(context: MatchContext): number {
    return this.#list.any(context);
  }
}

/** SUB-RULE: when its condition holds, the first hit of another list, which leaves its target in the context. */
export class SubRuleCondition extends Condition {
  readonly #condition: Condition;
  readonly #list: RuleList | undefined;
  readonly #outermost: boolean;

  /** In the outermost list a hit whose target is no use counts as none. */
  constructor(condition: Condition, list: RuleList | undefined, outermost: boolean) {
    super(11);
    this.#condition = condition;
    this.#list = list;
    this.#outermost = outermost;
  }

  test(context: MatchContext): number {
    const answer = this.#condition.test(context);
    if (answer !== Answer.Yes) return answer;
    const list = this.#list;
    if (list === undefined || context.depth >= RULE_DEPTH_MAX) return Answer.No;
    context.depth++;
    const found = list.first(context);
    context.depth--;
    if (found < -1) return -found;
    if (found < 0) return Answer.No;
    return !this.#outermost || isUsable(context.target, context.facts) ? Answer.Yes : Answer.No;
  }
}
