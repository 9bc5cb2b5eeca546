/**
 * The transmission control block: every variable of one connection, and nothing that acts on them.
 *
 * Read first: RFC 9293 section 3.3.1. Sequence numbers and timestamps are signed 32-bit numbers; core/wire/seq.ts compares them.
 *
 * ```
 *        sndUna            sndNxt        sndUna+sndWnd            rcvRead        rcvNxt            rcvAdv
 *  ────────┬─────────────────┬────────────────┬──────    ───────────┬──────────────┬─────────────────┬──────
 *   acked  │ in flight       │ may be sent    │           taken     │ readable     │ may be received │
 *  ────────┴─────────────────┴────────────────┴──────    ───────────┴──────────────┴─────────────────┴──────
 * ```
 */
import { ByteRing } from "../../base/byte_ring.ts";
import { type Micros, NEVER } from "../../base/micros.ts";
import type { CongestionControl } from "./congestion.ts";
import { Cubic } from "./cubic.ts";
import { Reassembly } from "./reassembly.ts";
import { Reno } from "./reno.ts";
import { Scoreboard } from "./scoreboard.ts";
import type { ConnectionHost, ConnectionIdentity, SegmentOutput } from "./segment_output.ts";
import type { TcpOptions } from "./tcp_options.ts";
import { TcpError, TcpState } from "./tcp_state.ts";

/** What the one timer of sent data waits for. */
export const LossTimer = {
  None: 0,
  /** Source: RFC 6298. */
  Retransmit: 1,
  /** Source: RFC 8985 section 7. */
  TailProbe: 2,
  /** Source: RFC 8985 section 6.2 step 5. */
  Reorder: 3,
  /** Source: RFC 9293 section 3.8.6.1. */
  Persist: 4,
} as const;
/** A value of `LossTimer`. */
export type LossTimer = (typeof LossTimer)[keyof typeof LossTimer];

/** What the sender thinks of the path. */
export const Recovery = {
  Open: 0,
  /** ECN asked for less; nothing is lost. */
  Reduced: 1,
  /** Source: RFC 6675 section 5. */
  Fast: 2,
  /** After a retransmission timeout. */
  Loss: 3,
} as const;
/** A value of `Recovery`. */
export type Recovery = (typeof Recovery)[keyof typeof Recovery];

/** The variables of one connection. */
export class Tcb implements ConnectionIdentity {
  id = -1;
  readonly version: 4 | 6;
  readonly localAddress: Uint32Array = new Uint32Array(4);
  readonly remoteAddress: Uint32Array = new Uint32Array(4);
  readonly localPort: number;
  readonly remotePort: number;
  readonly options: TcpOptions;
  readonly host: ConnectionHost;
  readonly output: SegmentOutput;

  state: TcpState = TcpState.Closed;
  error: TcpError = TcpError.None;
  /** The last soft ICMP error, reported when the connection times out. */
  softError: TcpError = TcpError.None;
  events = 0;
  /** It was opened by our SYN. */
  isActive = false;
  /** The application called `close()`: nobody reads. */
  isOrphan = false;
  deadline: Micros = NEVER;

  // ── sending ──
  readonly sendRing: ByteRing;
  readonly scoreboard: Scoreboard = new Scoreboard();
  iss = 0;
  sndUna = 0;
  sndNxt = 0;
  /** Units: bytes, scaled. */
  sndWnd = 0;
  sndWl1 = 0;
  sndWl2 = 0;
  /** The largest window seen. Source: RFC 9293 section 3.8.6.2.1. */
  maxSndWnd = 0;
  sendScale = 0;
  /** Most payload of a segment, options taken off. Units: bytes. */
  sendMss = 536;
  /** What the peer's SYN said, or the default. Units: bytes. */
  peerMss = 536;
  /** Units: bytes of an IP packet; 0: not known. */
  pathMtu = 0;
  /** When a path MTU that ICMP brought about is forgotten. Source: RFC 1191 section 6.3. */
  pathMtuUntil: Micros = NEVER;
  /** The path is narrower than any MTU that we go down to: routers may cut our packets. */
  mayFragment = false;
  sendLimit = 0;
  /** `send()` accepted less than it was given. */
  wantsRoom = false;
  finQueued = false;
  finSent = false;
  /** A byte beyond the window was sent as a probe. */
  probeSent = false;
  /** When the oldest data began to wait for its acknowledgment. */
  unackedSince: Micros = NEVER;
  lastSentAt: Micros = NEVER;

  // ── congestion and loss ──
  readonly congestion: CongestionControl;
  cwnd = 0;
  ssthresh = 0x7fff_ffff;
  recovery: Recovery = Recovery.Open;
  /** Recovery ends when this is acknowledged. */
  recover = 0;
  dupAcks = 0;
  /** Without SACK: bytes that duplicate ACKs say have left the network. */
  renoSackedBytes = 0;
  /** The window limited what was sent since the last ACK. */
  cwndLimited = false;
  /** Most in flight since `maxFlightEnd` was acknowledged. Source: RFC 7661 section 4.2 (pipeACK). */
  maxFlight = 0;
  maxFlightEnd = 0;
  // Source: RFC 6937 section 3.
  prrDelivered = 0;
  prrOut = 0;
  prrFlight = 1;

  // ── what to go back to when the last reduction proves needless ──
  isUndoArmed = false;
  undoCwnd = 0;
  undoSsthresh = 0;
  /** Where the reduction found `sndUna`. */
  undoUna = 0;
  /** Segments sent again since, and how many of them the peer reported as duplicates. */
  undoResent = 0;
  undoDuplicates = 0;
  /** The first of them: its timestamp and its end. */
  undoTimestamp = 0;
  undoResentEnd = 0;
  /** Steps of F-RTO: 0 off, 1 the timeout's segment is out, 2 new data is out. Source: RFC 5682 section 2.1. */
  frto = 0;
  frtoEnd = 0;
  /** F-RTO wants new data to leave before what counts as lost. */
  frtoHolds = false;

  // ── HyStart++ (RFC 9406 section 4.2) ──
  hystartEnd = 0;
  hystartSamples = 0;
  hystartMinUs = 0;
  hystartLastMinUs = 0;
  /** Rounds of conservative slow start; −1 outside of it. */
  cssRounds = -1;
  cssBaselineUs = 0;

  // ── round trips ──
  srttUs = 0;
  rttvarUs = 0;
  minRttUs = 0;
  minRttAt: Micros = NEVER;
  rtoUs = 0;
  backoff = 0;
  /** Retransmissions in a row without progress. */
  retries = 0;

  // ── RACK ──
  hasRack = false;
  rackSentAt = 0;
  rackEnd = 0;
  rackRttUs = 0;
  reorderingSeen = false;
  /** The farthest that a segment was overtaken, as far as known. Units: segments. */
  reordering = 3;
  reoWndMult = 1;
  reoWndPersist = 16;
  /** DSACKs until this is acknowledged count once. */
  dsackRound = 0;
  hasDsackRound = false;
  /** A tail probe is out: acknowledged when `tlpEnd` is. */
  tlpOut = false;
  tlpEnd = 0;
  tlpResent = false;
  /** What the last ACK said about duplicates. */
  dsackSeen = false;

  // ── ECN ──
  ecn = false;
  /** A mark came in: say so until CWR comes. */
  ecnEcho = false;
  /** Tell the peer that the window was reduced. */
  cwrPending = false;

  // ── receiving ──
  readonly receiveRing: ByteRing;
  readonly reassembly: Reassembly = new Reassembly();
  irs = 0;
  rcvNxt = 0;
  /** Right edge of the window we announced. */
  rcvAdv = 0;
  receiveScale = 0;
  /** Units: bytes. */
  receiveMss = 536;
  receiveLimit = 0;
  finReceived = false;
  /** A FIN arrived ahead of a hole. */
  finAhead = false;
  finAheadAt = 0;
  /** The last window we announced was 0. */
  zeroAnnounced = false;
  // Auto-tuning.
  tuneStartAt: Micros = NEVER;
  tuneMark = 0;
  tuneCopied = 0;
  receiveRttUs = 0;

  // ── acknowledging ──
  ackNow = false;
  /** An ACK for a segment that may be forged: without a FIN. */
  challengeNow = false;
  /** Segments received since the last ACK. */
  ackPending = 0;
  ackPendingBytes = 0;
  quickAcks = 0;
  /** The most payload that a segment of the peer had. */
  largestPiece = 0;
  lastAckSent = 0;
  challengeStartAt: Micros = NEVER;
  challengeCount = 0;
  invalidAckAt: Micros = NEVER;

  // ── options agreed on ──
  sack = false;
  timestamps = false;
  windowScale = false;
  tsOffset = 0;
  tsRecent = 0;
  tsRecentAt: Micros = NEVER;
  /** A DSACK to report. */
  dsackPending = false;
  dsackStart = 0;
  dsackEnd = 0;

  // ── timers ──
  lossTimer: LossTimer = LossTimer.None;
  lossAt: Micros = NEVER;
  /** The retransmission timeout counts from here. */
  rtoBaseAt: Micros = NEVER;
  ackAt: Micros = NEVER;
  /** Keep-alive, FIN-WAIT-2 and TIME-WAIT. */
  idleAt: Micros = NEVER;
  keepAliveProbes = 0;
  lastReceivedAt: Micros = NEVER;

  /** What the ACK that is due answers came from somebody who need not be the peer. */
  isBlindAnswer = false;
  /** Credit that our SYN-ACKs used up before the peer had proved itself. Units: bytes. */
  creditSpent = 0;

  // ── counters ──
  segmentsIn = 0;
  segmentsOut = 0;
  dataSegmentsIn = 0;
  dataSegmentsOut = 0;
  bytesIn = 0;
  bytesOut = 0;
  bytesAcked = 0;
  bytesResent = 0;
  retransmits = 0;
  /** Reductions of the window that proved needless and were taken back. */
  undoCount = 0;
  duplicatesIn = 0;

  constructor(
    host: ConnectionHost,
    output: SegmentOutput,
    version: 4 | 6,
    localAddress: ArrayLike<number>,
    localPort: number,
    remoteAddress: ArrayLike<number>,
    remotePort: number,
    options: TcpOptions,
  ) {
    this.host = host;
    this.output = output;
    this.version = version;
    this.localAddress.set(localAddress);
    this.remoteAddress.set(remoteAddress);
    this.localPort = localPort;
    this.remotePort = remotePort;
    this.options = options;
    this.sendRing = new ByteRing(host.buffers);
    this.receiveRing = new ByteRing(host.buffers);
    this.congestion = options.congestion === "cubic" ? new Cubic() : new Reno();
    this.sendLimit = options.sendBufferBytes;
    this.receiveLimit = options.receiveBufferBytes;
    this.rtoUs = options.rtoInitialUs;
    this.quickAcks = options.quickAckSegments;
  }
}

/** True in the states in which data may flow in some direction or be confirmed. */
export function isSynchronized(state: TcpState): boolean {
  return state >= TcpState.Established;
}
