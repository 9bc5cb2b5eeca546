/** A filter as a tree, before any simplification. */
import type { Field } from "./fields.ts";

/** Comparison signs, by WinDivert's test numbers. */
export const RELATION = { equal: 0, notEqual: 1, below: 2, atMost: 3, above: 4, atLeast: 5 } as const;

/** One of the values of `RELATION`. */
export type Relation = typeof RELATION[keyof typeof RELATION];

/** The sign that holds exactly when the other does not, by relation number. */
export const OPPOSITE: readonly Relation[] = [
  RELATION.notEqual,
  RELATION.equal,
  RELATION.atLeast,
  RELATION.above,
  RELATION.atMost,
  RELATION.below,
];

/** How the normal form writes a relation, by its number. */
export const RELATION_TEXT: readonly string[] = ["=", "!=", "<", "<=", ">", ">="];

/** A constant of up to 128 bits. WinDivert keeps the sign apart, so `-0` exists and is below 0. */
export interface Constant {
  readonly negative: boolean;
  readonly magnitude: bigint;
}

/** `field relation value`; `index` is the byte offset of an indexed field, negative from the end, else 0. */
export interface TestNode {
  readonly kind: "test";
  readonly field: Field;
  readonly index: number;
  readonly relation: Relation;
  readonly value: Constant;
}

/** Both or either. */
export interface JunctionNode {
  readonly kind: "and" | "or";
  readonly left: FilterNode;
  readonly right: FilterNode;
}

/** `(condition? then: otherwise)`. */
export interface ChoiceNode {
  readonly kind: "choice";
  readonly condition: FilterNode;
  readonly then: FilterNode;
  readonly otherwise: FilterNode;
}

/** A filter or a part of one. */
export type FilterNode = TestNode | JunctionNode | ChoiceNode;

/** The order of two signed constants: negative, zero or positive. */
export function compareConstants(a: Constant, b: Constant): number {
  if (a.negative !== b.negative) return a.negative ? -1 : 1;
  if (a.magnitude === b.magnitude) return 0;
  return (a.magnitude < b.magnitude) === a.negative ? 1 : -1;
}

/** A constant from a signed number. */
export function constant(value: bigint): Constant {
  return value < 0n ? { negative: true, magnitude: -value } : { negative: false, magnitude: value };
}

/** True when a comparison that came out as `order` satisfies the relation. */
export function relationHolds(relation: Relation, order: number): boolean {
  switch (relation) {
    case RELATION.equal:
      return order === 0;
    case RELATION.notEqual:
      return order !== 0;
    case RELATION.below:
      return order < 0;
    case RELATION.atMost:
      return order <= 0;
    case RELATION.above:
      return order > 0;
    case RELATION.atLeast:
      return order >= 0;
  }
}
