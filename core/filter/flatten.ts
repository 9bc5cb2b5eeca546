/** Tree to WinDivert's program: tests in order, each with the number of the test to go on with when it holds and when it does not. */
import { FILTER_TESTS_MAX } from "../base/limits.ts";
import { FIELDS } from "./fields.ts";
import { foldTest } from "./fold.ts";
import { FILTER_MESSAGES, FilterSyntaxError } from "./syntax_error.ts";
import { type FilterNode, RELATION, type TestNode } from "./syntax_tree.ts";

/** Where a test goes to end with a match. Source: WinDivert 2.2 `WINDIVERT_FILTER_RESULT_ACCEPT`. */
export const ACCEPT = 0x7ffe;
/** Where a test goes to end without a match. Source: WinDivert 2.2 `WINDIVERT_FILTER_RESULT_REJECT`. */
export const REJECT = 0x7fff;

/** One test of a program. `success` and `failure` are later tests' numbers, or `ACCEPT` or `REJECT`. */
export interface Step extends TestNode {
  readonly success: number;
  readonly failure: number;
}

/** Steps are made last first, because each must know where it goes; `#made` holds them in that order. */
class Flattener {
  readonly #made: Step[] = [];

  program(tree: FilterNode): Step[] {
    const entry = this.#flatten(tree, ACCEPT, REJECT);
    if (entry === ACCEPT || entry === REJECT) {
      const value = { negative: false, magnitude: 0n };
      return [{
        kind: "test",
        field: FIELDS[0]!,
        index: 0,
        relation: RELATION.equal,
        value,
        success: entry,
        failure: entry,
      }];
    }
    const forward = (label: number) => label === ACCEPT || label === REJECT ? label : entry - label;
    const steps: Step[] = [];
    for (let i = entry; i >= 0; i--) {
      const step = this.#made[i]!;
      steps.push({ ...step, success: forward(step.success), failure: forward(step.failure) });
    }
    return steps;
  }

  #flatten(node: FilterNode, success: number, failure: number): number {
    switch (node.kind) {
      case "and":
        return this.#flatten(node.left, this.#flatten(node.right, success, failure), failure);
      case "or":
        return this.#flatten(node.left, success, this.#flatten(node.right, success, failure));
      case "choice": {
        const otherwise = this.#flatten(node.otherwise, success, failure);
        const then = this.#flatten(node.then, success, failure);
        return this.#flatten(node.condition, then, otherwise);
      }
      case "test": {
        const folded = foldTest(node);
        if (typeof folded === "boolean") return folded ? success : failure;
        if (this.#made.length >= FILTER_TESTS_MAX) throw new FilterSyntaxError(FILTER_MESSAGES.tooLong, 0);
        return this.#made.push({ ...folded, success, failure }) - 1;
      }
    }
  }
}

/**
 * The program of a tree.
 * Errors: `FilterSyntaxError` when it has more than 256 tests.
 */
export function flatten(tree: FilterNode): Step[] {
  return new Flattener().program(tree);
}
