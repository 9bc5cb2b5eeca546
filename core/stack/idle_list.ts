/** Owners (small integers) in order of when they were last put at the end: the first one is the one that has been there longest. */

const NONE = -1;
const SIZE_MIN = 64;

function createLinks(length: number, old: Int32Array | undefined): Int32Array {
  const links = new Int32Array(length).fill(NONE);
  if (old !== undefined) links.set(old);
  return links;
}

/** A doubly linked list in typed arrays. All its owners wait equally long, so that the first is always the next to be due. */
export class IdleList {
  #before: Int32Array = createLinks(SIZE_MIN, undefined);
  #after: Int32Array = createLinks(SIZE_MIN, undefined);
  #isIn: Uint8Array = new Uint8Array(SIZE_MIN);
  /** Shape: [first, last, owners]. */
  readonly #state = new Int32Array([NONE, NONE, 0]);

  /** Owners in the list. */
  get count(): number {
    return this.#state[2]!;
  }

  /** The owner that has been in the list longest, or −1. */
  get first(): number {
    return this.#state[0]!;
  }

  /** True when the owner is in the list. */
  has(owner: number): boolean {
    return owner < this.#isIn.length && this.#isIn[owner] === 1;
  }

  /** Puts an owner at the end, from wherever it was. */
  append(owner: number): void {
    if (owner >= this.#isIn.length) this.#grow(owner);
    if (this.#state[1] === owner) return;
    this.remove(owner);
    const last = this.#state[1]!;
    this.#before[owner] = last;
    this.#after[owner] = NONE;
    if (last === NONE) this.#state[0] = owner;
    else this.#after[last] = owner;
    this.#state[1] = owner;
    this.#state[2] = this.#state[2]! + 1;
    this.#isIn[owner] = 1;
  }

  /** Takes an owner out; nothing happens when it is not in. */
  remove(owner: number): void {
    if (!this.has(owner)) return;
    const before = this.#before[owner]!;
    const after = this.#after[owner]!;
    if (before === NONE) this.#state[0] = after;
    else this.#after[before] = after;
    if (after === NONE) this.#state[1] = before;
    else this.#before[after] = before;
    this.#state[2] = this.#state[2]! - 1;
    this.#isIn[owner] = 0;
  }

  #grow(owner: number): void {
    let size = this.#isIn.length;
    while (size <= owner) size *= 2;
    this.#before = createLinks(size, this.#before);
    this.#after = createLinks(size, this.#after);
    this.#isIn = createFlags(size, this.#isIn);
  }
}

function createFlags(length: number, old: Uint8Array): Uint8Array {
  const flags = new Uint8Array(length);
  flags.set(old);
  return flags;
}
