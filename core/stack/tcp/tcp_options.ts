/** What can be chosen about a connection, with defaults. */
import { MILLISECOND_US, SECOND_US } from "../../base/micros.ts";

/** Order and padding of options in a SYN: they tell stacks apart, so they can be chosen. */
export const OptionOrder = {
  /** mss, nop, wscale, sackOK, TS: as FreeBSD. */
  FreeBsd: 0,
  /** mss, sackOK, TS, nop, wscale: as Linux. */
  Linux: 1,
} as const;
/** A value of `OptionOrder`. */
export type OptionOrder = (typeof OptionOrder)[keyof typeof OptionOrder];

/** Everything that can be chosen about a connection. Units: in the names; `Us` is µs, `Bytes` bytes, 0 switches a time off. */
export interface TcpOptions {
  /** Largest payload we announce and send; the path MTU may lower it. */
  mss: number;
  /** Our shift, 0 … 14; −1 leaves the option out. Source: RFC 7323 section 2. */
  windowScale: number;
  sack: boolean;
  timestamps: boolean;
  /** Ask for ECN in our SYN, and accept it in the peer's. Source: RFC 3168. */
  ecn: boolean;
  /** Accept ECN when the peer asks for it, although we do not ask. */
  ecnAccept: boolean;
  /** SYNs that ask for ECN before one that does not. Source: RFC 3168 section 6.1.1.1. */
  ecnSynCount: number;
  /** Source: RFC 896; false is TCP_NODELAY. */
  nagle: boolean;
  /** 0 acknowledges every segment. Source: RFC 9293 section 3.8.6.3. */
  delayedAckUs: number;
  /** An ACK waits for a second segment of any size (FreeBSD), or for more than one full segment's bytes (Linux). */
  delayedAckByBytes: boolean;
  /**
   * Segments that came in one batch of the device, and that one ACK may answer when the batch is done: they are then taken as if the device had
   * joined them. 2 answers every second one at once. Source: RFC 9293 section 3.8.6.3.
   */
  batchAckSegmentsMax: number;
  /** Segments at the start (and after idling) that are acknowledged at once, so that the peer's window opens quickly. */
  quickAckSegments: number;
  congestion: "cubic" | "reno";
  /** Source: RFC 6928. */
  initialWindowSegments: number;
  sendBufferBytes: number;
  receiveBufferBytes: number;
  /** Auto-tuning grows the receive buffer up to this; equal to `receiveBufferBytes` when it shall not. */
  receiveBufferBytesMax: number;
  /** The send buffer grows up to this. */
  sendBufferBytesMax: number;
  /** Idle time before the first probe. */
  keepAliveUs: number;
  keepAliveIntervalUs: number;
  keepAliveProbes: number;
  /** Source: RFC 5482. */
  userTimeoutUs: number;
  timeWaitUs: number;
  /** How long FIN-WAIT-2 lasts after the application closed and nobody reads. */
  finWait2Us: number;
  /** Source: RFC 5961. */
  challengeAcks: boolean;
  /** A reset anywhere in the window ends the connection, as RFC 793 had it. */
  insecureRst: boolean;
  /** A SYN in the window resets the connection, as RFC 793 had it. */
  insecureSyn: boolean;
  /** Take segments without the timestamps that were agreed on. RFC 7323 section 3.2 says to drop them. */
  tolerateMissingTimestamps: boolean;
  /** Challenge ACKs of one connection in a second. */
  challengeAcksPerSecond: number;
  /** Source: RFC 8985. */
  rackTlp: boolean;
  rtoInitialUs: number;
  /** RFC 6298 section 2.4 says 1 s; what the Internet runs on is 200 ms. */
  rtoMinUs: number;
  rtoMaxUs: number;
  /** Added to every timeout of a SYN but the first, as FreeBSD does. */
  synBackoffSlopUs: number;
  /** A SYN repeated more often than this has no options but the MSS; 0 never drops them. */
  synOptionRetries: number;
  synRetries: number;
  synAckRetries: number;
  dataRetries: number;
  optionOrder: OptionOrder;
  /** A restart after an idle RTO falls back to the initial window. Source: RFC 5681 section 4.1. */
  slowStartAfterIdle: boolean;
  /** A closed window is probed with a byte of data, as RFC 9293 section 3.8.6.1 has it; else with an empty old segment, as Linux does. */
  probeWithData: boolean;
  /** While our FIN is not acknowledged, every ACK without data carries it again, as FreeBSD does. */
  finWithEveryAck: boolean;
  /** TIME-WAIT answers a SYN that may not reuse it with a challenge ACK; FreeBSD stays silent. Source: RFC 5961 section 4.2. */
  timeWaitAnswersSyn: boolean;
  /** Answer duplicate segments with DSACK. Source: RFC 2883. */
  dsack: boolean;
  /** Find out that a timeout or a retransmission was needless, and take its consequences back. Source: RFC 5682, RFC 3522, RFC 3708, RFC 4015. */
  undo: boolean;
  /** Leave the first slow start when round trips grow, before anything is lost. Source: RFC 9406. */
  hystart: boolean;
  /** ICMP may end a connection that is being opened; established ones it never ends. Source: RFC 5927 section 5.2. */
  icmpEndsOpening: boolean;
  /** Units: timestamp clock ticks a second. */
  timestampHz: number;
}

/** What a connection uses where nothing else is said. */
export const DEFAULT_TCP_OPTIONS: Readonly<TcpOptions> = {
  mss: 1460,
  windowScale: 8,
  sack: true,
  timestamps: true,
  ecn: false,
  ecnAccept: true,
  ecnSynCount: 2,
  nagle: true,
  delayedAckUs: 40 * MILLISECOND_US,
  delayedAckByBytes: false,
  batchAckSegmentsMax: 2,
  quickAckSegments: 16,
  congestion: "cubic",
  initialWindowSegments: 10,
  sendBufferBytes: 256 * 1024,
  sendBufferBytesMax: 4 * 1_048_576,
  receiveBufferBytes: 256 * 1024,
  receiveBufferBytesMax: 6 * 1_048_576,
  keepAliveUs: 0,
  keepAliveIntervalUs: 75 * SECOND_US,
  keepAliveProbes: 9,
  userTimeoutUs: 0,
  timeWaitUs: 60 * SECOND_US,
  finWait2Us: 60 * SECOND_US,
  challengeAcks: true,
  insecureRst: false,
  insecureSyn: false,
  tolerateMissingTimestamps: false,
  challengeAcksPerSecond: 10,
  rackTlp: true,
  rtoInitialUs: SECOND_US,
  rtoMinUs: 200 * MILLISECOND_US,
  rtoMaxUs: 60 * SECOND_US,
  synBackoffSlopUs: 0,
  synOptionRetries: 0,
  synRetries: 6,
  synAckRetries: 5,
  dataRetries: 15,
  optionOrder: OptionOrder.FreeBsd,
  slowStartAfterIdle: true,
  probeWithData: true,
  finWithEveryAck: false,
  timeWaitAnswersSyn: true,
  dsack: true,
  undo: true,
  hystart: true,
  icmpEndsOpening: true,
  timestampHz: 1_000,
};
