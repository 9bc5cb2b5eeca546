/** Names for what a connection is, why it failed and what changed about it. */

/** The states of a connection. Source: RFC 9293 section 3.3.2. */
export const TcpState = {
  Closed: 0,
  Listen: 1,
  SynSent: 2,
  SynReceived: 3,
  Established: 4,
  FinWait1: 5,
  FinWait2: 6,
  CloseWait: 7,
  Closing: 8,
  LastAck: 9,
  TimeWait: 10,
} as const;
/** A value of `TcpState`. */
export type TcpState = (typeof TcpState)[keyof typeof TcpState];

/** The states' names as reports show them. Shape: indexed by the state. */
export const TCP_STATE_NAMES: readonly string[] = [
  "CLOSED",
  "LISTEN",
  "SYN-SENT",
  "SYN-RECEIVED",
  "ESTABLISHED",
  "FIN-WAIT-1",
  "FIN-WAIT-2",
  "CLOSE-WAIT",
  "CLOSING",
  "LAST-ACK",
  "TIME-WAIT",
];

/** Why a connection ended before its time. */
export const TcpError = {
  None: 0,
  /** A reset answered our SYN. */
  Refused: 1,
  /** The peer reset the connection. */
  Reset: 2,
  /** Retransmissions or keep-alive probes stayed unanswered. */
  TimedOut: 3,
  /** ICMP said that the peer cannot be reached. */
  Unreachable: 4,
  /** Data stayed unacknowledged for longer than the user timeout. Source: RFC 5482. */
  UserTimeout: 5,
  /** The application aborted. */
  Aborted: 6,
} as const;
/** A value of `TcpError`. */
export type TcpError = (typeof TcpError)[keyof typeof TcpError];

/** What changed about a connection, as bits; `takeEvents()` answers with those set since its last call. */
export const TcpEvent = {
  /** Bytes can be received. */
  Readable: 1,
  /** Room to send appeared after `send()` had accepted less than it was given. */
  Writable: 2,
  /** The peer's FIN was reached: after the readable bytes nothing comes. */
  PeerClosed: 4,
  /** The handshake completed. */
  Connected: 8,
  /** CLOSED or TIME-WAIT was reached. */
  Closed: 16,
  /** `error` is set. */
  Failed: 32,
} as const;

/** What an ICMP message says about a connection. */
export const IcmpKind = {
  /** Network or host unreachable, time exceeded, source route failed: may pass. Source: RFC 5461, RFC 9293 section 3.9.2.2. */
  Soft: 0,
  /** Protocol or port unreachable, administratively prohibited: ends a connection that is being opened. */
  Hard: 1,
  /** Ends a connection that is being opened as unreachable, not as refused: time exceeded, host unreachable where that is wanted. */
  Unreached: 3,
  /** The packet was larger than a link's MTU. Source: RFC 1191, RFC 8201. */
  TooBig: 2,
} as const;
/** A value of `IcmpKind`. */
export type IcmpKind = (typeof IcmpKind)[keyof typeof IcmpKind];
