/** What packet programs did, beside what the engine's counters say of the packets themselves. */

/** Units: packets. A packet that several steps touch counts in each. */
export class ProgramCounts {
  /** Packets that went into a program. */
  packets = 0;
  /** Copies that were sent, or handed to the stack. */
  copies = 0;
  /** Copies that were not made: the ceiling was reached, or no slot was free. */
  copiesUnmade = 0;
  /** Copies that a later step dropped, or that did not fit. */
  copiesLost = 0;
  /** Packets that an adaptive step did not copy, as no loss was seen. */
  quiet = 0;
  dropped = 0;
  corrupted = 0;
  /** Packets that were held back for a time. */
  held = 0;
  reordered = 0;
  /** Packets that a throttle's queue, or the room for held packets, had no place for. */
  overflowed = 0;
}
