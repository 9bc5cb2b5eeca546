/** What a simulation found wrong. */

/** The names of what must always hold. */
export const INVARIANTS = {
  /** A packet left a stack with a wrong checksum or length, or larger than the device takes. */
  packet: "packet",
  /** Sequence numbers: a hole in what was sent, bytes behind a FIN, an acknowledgment of what never came. */
  sequence: "sequence",
  /** More was sent than the peer's window allows, or our own window went back. */
  window: "window",
  /** An option where it may not stand, or one that says what cannot be. */
  options: "options",
  /** A byte that reached an application is not the one that was sent in its place. */
  delivery: "delivery",
  /** The end of a stream was shown before its last byte, or without one. */
  end: "end",
  /** A connection failed without a reason, or in silence. */
  failure: "failure",
  /** Something did not finish although all faults were healed. */
  liveness: "liveness",
  /** State that outlived its timers: connections, slots, deadlines. */
  cleanup: "cleanup",
  /** A packet ended in no counter, or in two. */
  conservation: "conservation",
  /** Something grew over its bound. */
  memory: "memory",
  /** The code itself was surprised. */
  exception: "exception",
} as const;

/** The name of something that must always hold. */
export type InvariantName = keyof typeof INVARIANTS;

/** Ends a run: something that must always hold did not. */
export class Violation extends Error {
  override name = "Violation";
  readonly invariant: InvariantName;

  constructor(invariant: InvariantName, message: string) {
    super(message);
    this.invariant = invariant;
  }
}
