/** What a sniffer found, and why it stopped. */
import type { SniffProtocol } from "./facts.ts";

/** How the reading of a flow's name stands. */
export const SniffState = { Pending: 0, Found: 1, None: 2 } as const;
/** A value of `SniffState`. */
export type SniffState = (typeof SniffState)[keyof typeof SniffState];

/** Why a flow has, or has not, a name. */
export const SniffReason = {
  NotYet: 0,
  Named: 1,
  /** An IP address stood where a name should. */
  Address: 2,
  /** The protocol was recognised, and its first message names nothing. */
  NoName: 3,
  /** What stood there is no host name. */
  BadName: 4,
  /** The first bytes are of no protocol that we read. */
  Unrecognised: 5,
  ServerFirst: 6,
  /** The beginning has a hole that will not be filled. */
  Hole: 7,
  TooLong: 8,
  /** All sniffers together use their memory up. */
  MemoryFull: 9,
  TooManyPackets: 10,
  Undecryptable: 11,
  /** The flow ended, or nobody could wait any longer. */
  Finished: 12,
  /** This direction carries an HTTP response: the client is the other side. */
  Response: 14,
  /** The configuration does not want this port looked into. */
  NotWanted: 13,
} as const;
/** A value of `SniffReason`. */
export type SniffReason = (typeof SniffReason)[keyof typeof SniffReason];

/** One record a sniffer fills. */
export interface SniffResult {
  /** Lower case, no final dot; "" when there is none. */
  host: string;
  /** The address that stood in place of a name, in canonical text; else "". */
  address: string;
  protocol: SniffProtocol;
  /** `host` is the outer name of a hello with an encrypted one inside; GREASE looks the same. */
  ech: boolean;
  reason: SniffReason;
}

/** An empty result. */
export function createSniffResult(): SniffResult {
  return { host: "", address: "", protocol: "", ech: false, reason: SniffReason.NotYet };
}
