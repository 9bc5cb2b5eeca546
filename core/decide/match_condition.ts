/** Conditions that are tested one by one, as objects: what a rule came to after compiling, and how conditions combine. */
import type { MatchContext } from "./match_context.ts";
import { Answer } from "./needs.ts";

/** Something that a flow can be tested for. */
export abstract class Condition {
  /** The order within AND and OR: cheap ones first. What comes out does not depend on it. */
  readonly cost: number;

  constructor(cost: number) {
    this.cost = cost;
  }

  /** An `Answer`, or a sum of needs. */
  abstract test(context: MatchContext): number;
}

/** Always the same answer. */
export class FixedCondition extends Condition {
  readonly #answer: number;

  constructor(answer: number) {
    super(0);
    this.#answer = answer;
  }

  test(): number {
    return this.#answer;
  }
}

/** AND. */
export class AndCondition extends Condition {
  readonly #conditions: readonly Condition[];

  /** The conditions come sorted by cost. */
  constructor(conditions: readonly Condition[]) {
    super(10);
    this.#conditions = conditions;
  }

  test(context: MatchContext): number {
    let needs = 0;
    for (let i = 0; i < this.#conditions.length; i++) {
      const answer = this.#conditions[i]!.test(context);
      if (answer === Answer.No) return Answer.No;
      if (answer !== Answer.Yes) needs |= answer;
    }
    return needs === 0 ? Answer.Yes : needs;
  }
}

/** OR. */
export class OrCondition extends Condition {
  readonly #conditions: readonly Condition[];

  /** The conditions come sorted by cost. */
  constructor(conditions: readonly Condition[]) {
    super(10);
    this.#conditions = conditions;
  }

  test(context: MatchContext): number {
    let needs = 0;
    for (let i = 0; i < this.#conditions.length; i++) {
      const answer = this.#conditions[i]!.test(context);
      if (answer === Answer.Yes) return Answer.Yes;
      needs |= answer;
    }
    return needs;
  }
}

/** NOT. */
export class NotCondition extends Condition {
  readonly #condition: Condition;

  constructor(condition: Condition) {
    super(10);
    this.#condition = condition;
  }

  test(context: MatchContext): number {
    const answer = this.#condition.test(context);
    if (answer === Answer.Yes) return Answer.No;
    return answer === Answer.No ? Answer.Yes : answer;
  }
}
