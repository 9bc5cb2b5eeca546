/**
 * Program back to tree: WinDivert's normal form is what can be read off the program, not what the user wrote.
 *
 * From the last test to the first, a test takes in the tests behind it that nobody else refers to, as long as two ends of the pair
 * meet: that makes `and`, `or`, and choices with a constant branch. What is left then is unfolded from the first test on as choices.
 */
import { ACCEPT, REJECT, type Step } from "./flatten.ts";
import type { TestNode } from "./syntax_tree.ts";

/** A node of the normal form: a filter tree, in which branches may be constant. Shared nodes are the same object. */
export type NormalNode =
  | TestNode
  | { readonly kind: "constant"; readonly value: boolean }
  | { readonly kind: "and" | "or"; readonly left: NormalNode; readonly right: NormalNode }
  | {
    readonly kind: "choice";
    readonly condition: NormalNode;
    readonly then: NormalNode;
    readonly otherwise: NormalNode;
  };

interface Slot {
  node: NormalNode;
  success: number;
  failure: number;
  /** How many other slots go to this one. WinDivert counts in 8 bits. */
  references: number;
}

const TRUE: NormalNode = { kind: "constant", value: true };
const FALSE: NormalNode = { kind: "constant", value: false };

class Normalizer {
  readonly #slots: (Slot | undefined)[];
  readonly #unfolded = new Map<number, NormalNode>();

  constructor(steps: readonly Step[]) {
    const slots = steps.map((step): Slot => {
      const { kind, field, index, relation, value, success, failure } = step;
      return { node: { kind, field, index, relation, value }, success, failure, references: 0 };
    });
    for (const slot of slots) {
      for (const label of [slot.success, slot.failure]) {
        const target = slots[label];
        if (target !== undefined) target.references = (target.references + 1) & 0xff;
      }
    }
    slots[0]!.references++;
    this.#slots = slots;
  }

  run(): NormalNode {
    for (let i = this.#slots.length - 1; i >= 0; i--) {
      let slot = this.#slots[i];
      while (slot !== undefined && slot.references !== 0) {
        this.#slots[i] = slot;
        slot = this.#absorb(slot);
      }
    }
    return this.#unfold(0);
  }

  #release(label: number): void {
    const slot = this.#slots[label];
    if (slot === undefined) return;
    slot.references = (slot.references - 1) & 0xff;
    if (slot.references === 0) this.#slots[label] = undefined;
  }

  /** The slot at `label` when nobody but one refers to it. */
  #private(label: number): Slot | undefined {
    const slot = this.#slots[label];
    return slot?.references === 1 ? slot : undefined;
  }

  /** `slot` and the slot `next` behind it as one; `released` are the labels that one reference fewer points to now. */
  #merge(slot: Slot, node: NormalNode, next: Slot, released: readonly number[]): Slot {
    const merged = { node, success: next.success, failure: next.failure, references: slot.references };
    for (const label of released) this.#release(label);
    return merged;
  }

  /** One step of taking in; undefined when there is nothing more to take. */
  #absorb(slot: Slot): Slot | undefined {
    const { node, success, failure } = slot;
    const ends = [success, failure];
    const onSuccess = this.#private(success);
    if (onSuccess?.failure === failure) {
      return this.#merge(slot, { kind: "and", left: node, right: onSuccess.node }, onSuccess, ends);
    }
    if (onSuccess?.success === failure) {
      const choice: NormalNode = { kind: "choice", condition: node, then: onSuccess.node, otherwise: TRUE };
      return this.#merge(slot, choice, onSuccess, ends);
    }
    const onFailure = this.#private(failure);
    if (onFailure?.success === success) {
      return this.#merge(slot, { kind: "or", left: node, right: onFailure.node }, onFailure, ends);
    }
    if (onFailure?.failure === success) {
      const choice: NormalNode = { kind: "choice", condition: node, then: FALSE, otherwise: onFailure.node };
      return this.#merge(slot, choice, onFailure, ends);
    }
    if (onSuccess === undefined || onFailure === undefined) return undefined;
    if (onSuccess.success !== onFailure.success || onSuccess.failure !== onFailure.failure) return undefined;
    const choice: NormalNode = { kind: "choice", condition: node, then: onSuccess.node, otherwise: onFailure.node };
    return this.#merge(slot, choice, onSuccess, [...ends, onSuccess.success, onSuccess.failure]);
  }

  #unfold(label: number): NormalNode {
    if (label === ACCEPT) return TRUE;
    if (label === REJECT) return FALSE;
    const known = this.#unfolded.get(label);
    if (known !== undefined) return known;
    const made = this.#unfoldSlot(this.#slots[label]);
    this.#unfolded.set(label, made);
    return made;
  }

  #unfoldSlot(slot: Slot | undefined): NormalNode {
    if (slot === undefined) return FALSE; // only a program that overflows WinDivert's reference counts gets here
    if (slot.success === slot.failure) return this.#unfold(slot.success);
    const then = this.#unfold(slot.success);
    const otherwise = this.#unfold(slot.failure);
    if (then === TRUE && otherwise === FALSE) return slot.node;
    return { kind: "choice", condition: slot.node, then, otherwise };
  }
}

/** The normal form of a program, as a tree. */
export function normalize(steps: readonly Step[]): NormalNode {
  return new Normalizer(steps).run();
}
