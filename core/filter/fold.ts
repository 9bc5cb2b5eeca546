/** What the compiler knows about a test before it sees a packet. */
import { type Field, HEADER, PRESENCE_FIELDS } from "./fields.ts";
import { compareConstants, constant, RELATION, relationHolds, type TestNode } from "./syntax_tree.ts";

/** How the relation comes out for every value of the field's range, or undefined when it depends on the value. */
export function outcomeByRange(test: TestNode): boolean | undefined {
  const range = test.field.range;
  if (range === null) return undefined;
  const toLow = compareConstants(constant(range[0]), test.value);
  const toHigh = compareConstants(constant(range[1]), test.value);
  switch (test.relation) {
    case RELATION.equal:
    case RELATION.notEqual:
      if (toLow > 0 || toHigh < 0) return test.relation === RELATION.notEqual;
      return range[0] === range[1] ? test.relation === RELATION.equal : undefined;
    default: {
      const atLow = relationHolds(test.relation, toLow);
      return atLow === relationHolds(test.relation, toHigh) ? atLow : undefined;
    }
  }
}

/** The field that says whether the header of `field` is there, or undefined when it needs none. */
export function presenceOf(field: Field): Field | undefined {
  return field.header === HEADER.none ? undefined : PRESENCE_FIELDS[field.header];
}

/**
 * Replaces a test whose outcome the range decides: by that outcome, or, when the field lives in a header, by a test for the header.
 * WinDivert's rule is odd when the outcome is false: `tcp.DstPort > 65535` becomes `not tcp`, which other packets satisfy.
 */
export function foldTest(test: TestNode): TestNode | boolean {
  const outcome = outcomeByRange(test);
  if (outcome === undefined) return test;
  const field = presenceOf(test.field);
  if (field === undefined) return outcome;
  const value = { negative: false, magnitude: outcome ? 1n : 0n };
  return { kind: "test", field, index: 0, relation: RELATION.equal, value };
}
