/**
 * Opening: our SYN, theirs, both at once.
 *
 * Read first: RFC 9293 sections 3.5 and 3.10.7.3, RFC 7323 sections 2.2 and 3.2, RFC 3168 section 6.1.1, RFC 6298 section 5.7.
 */
import { TCP_MSS_MIN } from "../../base/limits.ts";
import { type Micros, NEVER } from "../../base/micros.ts";
import { seqLess, seqLessOrEqual } from "../../wire/seq.ts";
import * as ipv4 from "../../wire/ipv4.ts";
import * as ipv6 from "../../wire/ipv6.ts";
import * as tcp from "../../wire/tcp.ts";
import { initialWindow } from "./congestion.ts";
import { mayResetBlind, maySynAck, refundProven } from "./blind_answer.ts";
import { emitReset, emitSyn } from "./emit.ts";
import { fail, raise } from "./ending.ts";
import type { IncomingSegment } from "./incoming_segment.ts";
import { timestampNow } from "./outgoing_options.ts";
import { sampleRtt } from "./rto.ts";
import type { SynFacts } from "./syn_facts.ts";
import { LossTimer, type Tcb } from "./tcb.ts";
import { TcpError, TcpEvent, TcpState } from "./tcp_state.ts";
import { armIdleTimer, armSynTimer } from "./timers.ts";
import { roundToSegments, scaleFor } from "./window.ts";

/** The MSS of a peer that names none. Units: bytes. Source: RFC 9293 section 3.7.1. */
const DEFAULT_MSS_4 = 536;
const DEFAULT_MSS_6 = 1220;

/** Fits the payload of a segment to the peer's MSS, the path and the options that every segment carries. */
export function updateMss(c: Tcb): void {
  let mss = c.peerMss < c.options.mss ? c.peerMss : c.options.mss;
  const headers = tcp.HEADER_BYTES + (c.version === 4 ? ipv4.HEADER_BYTES : ipv6.HEADER_BYTES);
  if (c.pathMtu > 0 && c.pathMtu - headers < mss) mss = c.pathMtu - headers;
  if (mss < TCP_MSS_MIN) mss = TCP_MSS_MIN;
  c.sendMss = c.timestamps ? mss - 12 : mss;
}

/** What ICMP said of the path is old: it may be wider by now. Source: RFC 1191 section 6.3, RFC 8201 section 4. */
export function forgetPathMtu(c: Tcb): void {
  c.pathMtuUntil = NEVER;
  c.mayFragment = false;
  c.pathMtu = c.host.pathMtu(c);
  updateMss(c);
}

function start(c: Tcb, now: Micros): void {
  const headers = tcp.HEADER_BYTES + (c.version === 4 ? ipv4.HEADER_BYTES : ipv6.HEADER_BYTES);
  const deviceMtu = c.host.pathMtu(c);
  // What is known of the path, if anything, bounds what we send; what the peer may send is for its own path to say.
  if (deviceMtu > 0 && (c.pathMtu === 0 || deviceMtu < c.pathMtu)) c.pathMtu = deviceMtu;
  c.receiveMss = c.options.mss;
  if (deviceMtu > headers && deviceMtu - headers < c.receiveMss) c.receiveMss = deviceMtu - headers;
  c.peerMss = c.version === 4 ? DEFAULT_MSS_4 : DEFAULT_MSS_6;
  c.iss = c.host.initialSequence(c, now) | 0;
  c.sndUna = c.iss;
  c.sndNxt = (c.iss + 1) | 0;
  c.recover = c.iss;
  c.maxFlightEnd = c.iss;
  c.tsOffset = c.host.uint32() | 0;
  const most = c.options.receiveBufferBytesMax;
  const wanted = scaleFor(most > c.receiveLimit ? most : c.receiveLimit);
  c.receiveScale = c.options.windowScale >= 0 && c.options.windowScale < 15 ? c.options.windowScale : wanted;
}

/** Sends our SYN. Source: RFC 9293 section 3.10.1. */
export function openActive(c: Tcb, now: Micros): void {
  start(c, now);
  c.isActive = true;
  c.state = TcpState.SynSent;
  emitSyn(c, false, c.options.ecn ? tcp.ECE | tcp.CWR : 0, now);
  c.unackedSince = now;
  c.lastSentAt = now;
  armSynTimer(c, now);
}

/** Takes a SYN that was accepted; answers it with a SYN-ACK unless `isCookie`: then the SYN-ACK left before there was a connection. */
export function openPassive(c: Tcb, syn: SynFacts, isCookie: boolean, iss: number, now: Micros): void {
  start(c, now);
  if (isCookie) {
    c.iss = iss | 0;
    c.sndUna = c.iss;
    c.sndNxt = (c.iss + 1) | 0;
  }
  takeSyn(c, syn, now);
  c.state = TcpState.SynReceived;
  c.unackedSince = now;
  c.lastSentAt = isCookie ? NEVER : now; // when the cookie left is not known: no sample
  if (isCookie) c.rcvAdv = (c.rcvNxt + Math.min(c.receiveLimit, 0xffff)) | 0;
  else answerSyn(c, now);
  armSynTimer(c, now);
}

/** Sends the SYN-ACK, again or for the first time; a repeated one does without ECN. Source: RFC 3168 section 6.1.1.1. */
export function answerSyn(c: Tcb, now: Micros): void {
  if (maySynAck(c)) emitSyn(c, true, c.ecn && c.retries === 0 ? tcp.ECE : 0, now);
}

/** Takes what the peer's SYN says. */
function takeSyn(c: Tcb, syn: SynFacts, now: Micros): void {
  c.irs = syn.irs;
  c.rcvNxt = (syn.irs + 1) | 0;
  c.rcvAdv = c.rcvNxt;
  c.lastAckSent = c.rcvNxt;
  c.windowScale = c.options.windowScale >= 0 && syn.windowScale >= 0;
  c.sendScale = c.windowScale ? syn.windowScale : 0;
  if (!c.windowScale) c.receiveScale = 0;
  c.sack = c.options.sack && syn.sack;
  c.timestamps = c.options.timestamps && syn.timestamps;
  if (c.timestamps) {
    c.tsRecent = syn.timestamp;
    c.tsRecentAt = now;
  }
  c.ecn = (c.options.ecn || c.options.ecnAccept) && syn.ecn;
  if (syn.mss > 0) c.peerMss = syn.mss > TCP_MSS_MIN ? syn.mss : TCP_MSS_MIN;
  c.sndWnd = syn.window;
  c.maxSndWnd = syn.window;
  c.sndWl1 = syn.irs;
  c.sndWl2 = c.sndUna;
  updateMss(c);
  const mss = c.peerMss < c.options.mss ? c.peerMss : c.options.mss;
  c.receiveLimit = roundToSegments(c.options.receiveBufferBytes, mss);
  c.cwnd = initialWindow(c.sendMss, c.options.initialWindowSegments);
}

/** Both sides know each other. A SYN that had to be repeated speaks for a full path. Source: RFC 5681 section 3.1, RFC 6298 section 5.7. */
export function establish(c: Tcb, now: Micros): void {
  c.state = c.finQueued ? TcpState.FinWait1 : TcpState.Established;
  refundProven(c);
  c.sndUna = (c.iss + 1) | 0;
  c.lossTimer = LossTimer.None;
  c.lossAt = NEVER;
  c.rtoBaseAt = NEVER;
  c.backoff = 0;
  if (c.retries > 0) {
    c.cwnd = c.sendMss;
    if (c.srttUs === 0 && c.rtoUs < 3_000_000) c.rtoUs = 3_000_000;
  } else if (c.lastSentAt !== NEVER) sampleRtt(c, now - c.lastSentAt, 1, now);
  c.retries = 0;
  c.unackedSince = c.sendRing.length > 0 ? now : NEVER;
  c.lastSentAt = NEVER;
  armIdleTimer(c, now);
  raise(c, TcpEvent.Connected | TcpEvent.Writable);
}

/** A segment in SYN-SENT. True: the handshake completed, and what the segment carries besides its SYN is to be taken. Source: RFC 9293 section 3.10.7.3. */
export function segmentInSynSent(c: Tcb, segment: IncomingSegment, facts: SynFacts, now: Micros): boolean {
  const flags = segment.flags;
  const hasAck = (flags & tcp.ACK) !== 0;
  const isGood = hasAck && seqLess(c.iss, segment.ack) && seqLessOrEqual(segment.ack, c.sndNxt);
  if (hasAck && !isGood) {
    if ((flags & tcp.RST) === 0 && mayResetBlind(c)) emitReset(c, segment.ack, false, now);
    return false;
  }
  if ((flags & tcp.RST) !== 0) {
    if (isGood) fail(c, TcpError.Refused, now);
    return false;
  }
  if ((flags & tcp.SYN) === 0) return false;
  if (c.options.timestamps && hasAck && segment.hasTimestamps && isForeignEcho(c, segment, now)) {
    if (mayResetBlind(c)) emitReset(c, segment.ack, false, now);
    return false;
  }
  facts.copy(segment);
  takeSyn(c, facts, now);
  if (!isGood) {
    c.state = TcpState.SynReceived;
    answerSyn(c, now);
    return false;
  }
  // A SYN-ACK agrees to ECN with ECE alone. Source: RFC 3168 section 6.1.1.
  c.ecn = c.options.ecn && (flags & (tcp.ECE | tcp.CWR)) === tcp.ECE;
  c.sndWl2 = segment.ack;
  establish(c, now);
  c.ackNow = true;
  return true;
}

/** True when a SYN-ACK echoes a timestamp that we did not send since our first SYN. Source: RFC 7323 section 3.2. */
function isForeignEcho(c: Tcb, segment: IncomingSegment, now: Micros): boolean {
  if (segment.tsEcr === 0) return false;
  const first = timestampNow(c, c.unackedSince);
  return seqLess(segment.tsEcr, first) || seqLess(timestampNow(c, now), segment.tsEcr);
}
