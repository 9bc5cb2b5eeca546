/** What a stack counts beside the drop reasons that its `receive` answers with. */

/** What is counted. Units: packets, but where the name says otherwise. */
export const Metric = {
  /** Packets handed to the device. */
  Sent: 0,
  SentBytes: 1,
  /** Packets that the device refused. */
  DeviceFull: 2,
  /** Packets that could not be built because the arena had no slot. */
  NoSlot: 3,
  ResetsSent: 4,
  ResetsLimited: 5,
  IcmpSent: 6,
  IcmpLimited: 7,
  /** Errors that may not be sent: about errors, fragments, or to many receivers. Source: RFC 1122 section 3.2.2. */
  IcmpForbidden: 8,
  EchoReplies: 9,
  /** Units: flows. */
  PendingStarted: 10,
  PendingAccepted: 11,
  PendingRefused: 12,
  /** The peer gave up before a decision. */
  PendingCancelled: 13,
  PendingExpired: 14,
  /** Repeated SYNs and early segments of flows that wait for their decision. */
  PendingAbsorbed: 15,
  CookiesSent: 16,
  CookiesAccepted: 17,
  CookiesRefused: 18,
  /** Units: connections. */
  Opened: 19,
  Closed: 20,
  TimeWaitReused: 21,
  /** Forgotten early because others needed the room. */
  TimeWaitEvicted: 22,
  FragmentsSent: 23,
  Reassembled: 24,
  /** Units: endpoints. */
  UdpOpened: 25,
  UdpExpired: 26,
  UdpEvicted: 27,
  DatagramsIn: 28,
  DatagramsOut: 29,
  /** Answers to strangers that did not leave, as strangers had sent too little. */
  CreditLacking: 30,
} as const;
/** A value of `Metric`. */
export type Metric = (typeof Metric)[keyof typeof Metric];

const NAMES: readonly string[] = Object.keys(Metric);

/** The counters of one stack. */
export class StackMetrics {
  readonly #values = new Float64Array(NAMES.length);

  /** Counts `amount` more. */
  add(metric: Metric, amount: number = 1): void {
    this.#values[metric] = this.#values[metric]! + amount;
  }

  /** How much was counted. */
  of(metric: Metric): number {
    return this.#values[metric]!;
  }

  /** What is not zero, by name. */
  byName(): Record<string, number> {
    const named: Record<string, number> = {};
    for (let metric = 0; metric < NAMES.length; metric++) {
      const name = NAMES[metric]!;
      const value = this.#values[metric]!;
      if (value > 0) named[name[0]!.toLowerCase() + name.slice(1)] = value;
    }
    return named;
  }
}
