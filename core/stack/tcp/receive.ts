/**
 * A segment arrives: RFC 9293 section 3.10.7, in its order.
 *
 * Read first: RFC 9293 sections 3.10.7.2 to 3.10.7.4, RFC 5961 sections 3 to 5, RFC 7323 section 5, RFC 3168 section 6.1.3.
 *
 * ```
 *  in SYN-SENT:   ACK → RST → SYN                                   (handshake.ts)
 *  elsewhere:     PAWS → sequence → RST → SYN → ACK → data → FIN
 * ```
 */
import type { Micros } from "../../base/micros.ts";
import type { PacketMeta } from "../../parse/packet_meta.ts";
import { seqDiff, seqLess, seqLessOrEqual } from "../../wire/seq.ts";
import * as tcp from "../../wire/tcp.ts";
import { challenge, processAck, takeWindow } from "./acknowledgment.ts";
import { earnBlind, mayResetBlind, noteBlind } from "./blind_answer.ts";
import { keepEarly, takeData, takeEarly, takeFin } from "./data.ts";
import { emitAck, emitReset } from "./emit.ts";
import { abortWith, enterTimeWait, fail, finish, raise } from "./ending.ts";
import { answerSyn, establish, segmentInSynSent } from "./handshake.ts";
import { IncomingSegment } from "./incoming_segment.ts";
import { SynFacts } from "./syn_facts.ts";
import type { Tcb } from "./tcb.ts";
import { TcpError, TcpEvent, TcpState } from "./tcp_state.ts";
import { armIdleTimer } from "./timers.ts";
import { acceptWindow } from "./window.ts";

const SEGMENT = new IncomingSegment();
const FACTS = new SynFacts();

/** A timestamp older than this says nothing. Units: µs. Source: RFC 7323 section 5.5 (24 days). */
const TS_RECENT_AGE_US_MAX = 24 * 86_400 * 1_000_000;

/** Takes one segment; what there is to send leaves later, by `transmit`. */
export function segmentArrives(
  c: Tcb,
  view: DataView,
  meta: PacketMeta,
  ecn: number,
  piece: number,
  now: Micros,
): void {
  const segment = SEGMENT;
  segment.read(view, meta, piece);
  c.segmentsIn++;
  c.lastReceivedAt = now;
  c.keepAliveProbes = 0;
  if (c.state === TcpState.Closed || c.state === TcpState.Listen) return;
  if (c.state < TcpState.Established) earnBlind(c, segment);
  if (c.state === TcpState.SynSent) {
    const isDone = segmentInSynSent(c, segment, FACTS, now);
    // Data of a SYN that crossed ours waits for the handshake. Source: RFC 9293 section 3.10.7.3 (fourth).
    if (!isDone && segment.payloadLength > 0) keepEarly(c, segment);
    if (!isDone) return;
    segment.seq = (segment.seq + 1) | 0;
    segment.flags &= ~tcp.SYN;
    takeText(c, segment, ecn, now);
    return;
  }
  if (c.state === TcpState.TimeWait) {
    segmentInTimeWait(c, segment, now);
    return;
  }
  armIdleTimer(c, now);
  if (c.state === TcpState.SynReceived && isOfAnother(c, segment)) {
    if (mayResetBlind(c)) emitReset(c, segment.ack, false, now);
    return;
  }
  if (!isAcceptable(c, segment, now)) return;
  if ((segment.flags & (tcp.RST | tcp.SYN)) !== 0) {
    if ((segment.flags & tcp.RST) !== 0) takeReset(c, segment, now);
    else takeSynInside(c, segment, now);
    return;
  }
  if ((segment.flags & tcp.ACK) === 0) return;
  if (c.state === TcpState.SynReceived) completeHandshake(c, segment, now);
  if (!processAck(c, segment, now)) return;
  noteTimestamp(c, segment, now); // only now: a guessed segment with a wild ACK must not move the peer's clock
  if (closeStep(c, now)) return;
  takeText(c, segment, ecn, now);
}

/** Steps zero and one: old duplicates by timestamp, then the window. Source: RFC 7323 section 5.3, RFC 9293 section 3.10.7.4 (first). */
function isAcceptable(c: Tcb, segment: IncomingSegment, now: Micros): boolean {
  const isReset = (segment.flags & tcp.RST) !== 0;
  const isSyn = (segment.flags & tcp.SYN) !== 0;
  if (c.timestamps && !isReset && !isSyn) {
    if (!segment.hasTimestamps) {
      if (!c.options.tolerateMissingTimestamps) return false;
    } else if (seqLess(segment.tsVal, c.tsRecent) && now - c.tsRecentAt < TS_RECENT_AGE_US_MAX) {
      c.duplicatesIn++;
      refuse(c, segment, now);
      return false;
    }
  }
  if (isReset || isSyn) return true; // judged by their own rules
  const window = acceptWindow(c);
  const ahead = seqDiff(segment.seq, c.rcvNxt);
  const length = segment.length;
  if (length === 0) {
    if (ahead >= 0 && ahead <= window) return true;
  } else if (ahead >= 0) {
    if (ahead < window || ahead === 0) return true;
  } else if (ahead + length > 0) return true;
  noteOldData(c, segment);
  refuse(c, segment, now);
  // A peer that probes our closed window may not know yet that its probe was taken: its ACK is as good as any. Without this, two sides that
  // probe each other would refuse each other's ACKs for ever.
  if (ahead === -1 && length <= 1 && (segment.flags & tcp.ACK) !== 0 && c.state >= TcpState.Established) {
    if (processAck(c, segment, now)) closeStep(c, now);
  }
  return false;
}

/** Answers a segment that is not acceptable with an ACK; empty ones only so often, or two stacks could answer each other for ever. */
function refuse(c: Tcb, segment: IncomingSegment, now: Micros): void {
  if (segment.length > 0) {
    noteBlind(c, segment);
    c.ackNow = true;
  } else challenge(c, segment, now);
}

/** What came twice is reported. Source: RFC 2883 section 4.1. */
function noteOldData(c: Tcb, segment: IncomingSegment): void {
  if (segment.payloadLength === 0) return;
  c.duplicatesIn++;
  const end = (segment.seq + segment.payloadLength) | 0;
  if (!c.sack || !c.options.dsack || seqLess(c.rcvNxt, end)) return;
  if (seqDiff(c.rcvNxt, segment.seq) > 0x2000_0000) return;
  c.dsackPending = true;
  c.dsackStart = segment.seq;
  c.dsackEnd = end;
}

/** Source: RFC 5961 section 3.2; RFC 9293 section 3.10.7.4 (second). */
function takeReset(c: Tcb, segment: IncomingSegment, now: Micros): void {
  const ahead = seqDiff(segment.seq, c.rcvNxt);
  // Of a peer that opened only what our SYN-ACK announced counts until the handshake is over.
  const window = c.state === TcpState.SynReceived && !c.isActive ? seqDiff(c.rcvAdv, c.rcvNxt) : acceptWindow(c);
  const isInside = ahead === 0 || segment.seq === c.lastAckSent || (ahead > 0 && ahead < window);
  if (!isInside) return;
  const isExact = ahead === 0 || segment.seq === c.lastAckSent;
  if (!isExact && c.options.challengeAcks && !c.options.insecureRst) {
    challenge(c, segment, now);
    return;
  }
  if (c.state === TcpState.SynReceived) {
    fail(c, c.isActive ? TcpError.Refused : TcpError.Reset, now);
    return;
  }
  // RFC 9293 tells nobody in CLOSING and LAST-ACK; but our FIN, and bytes before it, may be lost: Linux and FreeBSD tell.
  fail(c, TcpError.Reset, now);
}

/** A SYN where none belongs. Source: RFC 5961 section 4.2; RFC 9293 section 3.10.7.4 (fourth). */
function takeSynInside(c: Tcb, segment: IncomingSegment, now: Micros): void {
  if (c.state === TcpState.SynReceived && segment.seq === c.irs) {
    if ((segment.flags & tcp.ACK) === 0) {
      answerSyn(c, now);
      return;
    }
    // Both sides opened at once, and this is the answer to our SYN. Source: RFC 9293 figure 8.
    if (c.isActive && segment.ack === c.sndNxt) {
      takeWindow(c, segment, true);
      establish(c, now);
      c.ackNow = true;
      return;
    }
  }
  const ahead = seqDiff(segment.seq, c.rcvNxt);
  const isInside = ahead >= 0 && ahead < acceptWindow(c);
  if (isInside && (c.options.insecureSyn || !c.options.challengeAcks)) {
    abortWith(c, TcpError.Reset, now);
    return;
  }
  challenge(c, segment, now);
}

/** Remembers the peer's timestamp. Source: RFC 7323 section 4.3 (R2, R3). */
function noteTimestamp(c: Tcb, segment: IncomingSegment, now: Micros): void {
  if (!c.timestamps || !segment.hasTimestamps) return;
  if (seqLess(c.lastAckSent, segment.seq) || seqLess(segment.tsVal, c.tsRecent)) return;
  c.tsRecent = segment.tsVal;
  c.tsRecentAt = now;
}

/**
 * True in SYN-RECEIVED when a segment acknowledges what we never said: its sender has another connection in mind, whatever its sequence number
 * and options. Without a reset two sides that a stranger's SYN has confused would tell each other for minutes what they expect instead.
 * Source: RFC 9293 sections 3.5.2 (group 2) and 3.10.7.4 (fifth, SYN-RECEIVED).
 */
function isOfAnother(c: Tcb, segment: IncomingSegment): boolean {
  if ((segment.flags & (tcp.ACK | tcp.RST)) !== tcp.ACK) return false;
  return !seqLess(c.sndUna, segment.ack) || !seqLessOrEqual(segment.ack, c.sndNxt);
}

/** The ACK of our SYN. Source: RFC 9293 section 3.10.7.4 (fifth, SYN-RECEIVED). */
function completeHandshake(c: Tcb, segment: IncomingSegment, now: Micros): void {
  establish(c, now);
  if (c.reassembly.count > 0) takeEarly(c, now);
  c.sndWl1 = (segment.seq - 1) | 0;
  c.sndWl2 = segment.ack;
  takeWindow(c, segment, true);
}

/** Goes on when our FIN was acknowledged. True: nothing of the segment is left to take. */
function closeStep(c: Tcb, now: Micros): boolean {
  if (!c.finSent || c.sndUna !== c.sndNxt) return false;
  if (c.state === TcpState.FinWait1) {
    c.state = TcpState.FinWait2;
    armIdleTimer(c, now);
  } else if (c.state === TcpState.Closing) {
    enterTimeWait(c, now);
    return true;
  } else if (c.state === TcpState.LastAck) {
    finish(c, TcpError.None, now);
    return true;
  }
  return false;
}

/** Data and FIN. Source: RFC 9293 section 3.10.7.4 (seventh, eighth). */
function takeText(c: Tcb, segment: IncomingSegment, ecn: number, now: Micros): void {
  if (c.ecn) noteMarks(c, segment, ecn);
  const state = c.state;
  const mayReceive = state === TcpState.Established || state === TcpState.FinWait1 || state === TcpState.FinWait2;
  if (!mayReceive) {
    if (segment.length > 0) c.ackNow = true;
    return;
  }
  if (segment.payloadLength > 0) {
    const end = (segment.seq + segment.payloadLength) | 0;
    if (c.isOrphan && seqLess(c.rcvNxt, end)) {
      // Nobody will read it: say so. Source: RFC 9293 section 3.6.1, RFC 1122 section 4.2.2.13.
      emitReset(c, segment.ack, false, now);
      fail(c, TcpError.Reset, now);
      return;
    }
    c.dataSegmentsIn++;
    takeData(c, segment, now);
  }
  const fin = (segment.flags & tcp.FIN) !== 0;
  if (fin || c.finAhead) takeFin(c, segment, fin);
  if (!c.finReceived) return;
  closeByPeer(c, now);
}

/** The peer's FIN was reached. */
function closeByPeer(c: Tcb, now: Micros): void {
  raise(c, TcpEvent.PeerClosed | TcpEvent.Readable);
  if (c.state === TcpState.Established) c.state = TcpState.CloseWait;
  else if (c.state === TcpState.FinWait1) {
    c.state = TcpState.Closing;
  } else if (c.state === TcpState.FinWait2) {
    emitAck(c, now);
    enterTimeWait(c, now);
  }
}

/** Congestion marks, and the peer's word that it has slowed down. Source: RFC 3168 section 6.1.3. */
function noteMarks(c: Tcb, segment: IncomingSegment, ecn: number): void {
  if ((segment.flags & tcp.CWR) !== 0) c.ecnEcho = false;
  if (ecn === 3) {
    if (!c.ecnEcho) c.ackNow = true;
    c.ecnEcho = true;
  }
}

/** Late segments of a connection that is over. Source: RFC 9293 section 3.10.7.4, RFC 1337. */
function segmentInTimeWait(c: Tcb, segment: IncomingSegment, now: Micros): void {
  if ((segment.flags & tcp.RST) !== 0) {
    if (segment.seq === c.rcvNxt) finish(c, TcpError.None, now);
    return;
  }
  // Source: RFC 9293 section 3.10.7.4 (fifth): without ACK there is nothing to answer.
  if ((segment.flags & (tcp.ACK | tcp.SYN)) === 0) return;
  const isSyn = (segment.flags & tcp.SYN) !== 0;
  const hasAck = (segment.flags & tcp.ACK) !== 0;
  if (!hasAck && !(isSyn && c.options.timeWaitAnswersSyn)) return;
  const isBare = segment.length === 0 && segment.seq === c.rcvNxt && segment.ack === c.sndNxt;
  if (isBare) return;
  if ((segment.flags & tcp.FIN) !== 0) c.idleAt = (now + c.options.timeWaitUs) as Micros;
  if (segment.length > 0 && !isSyn) {
    noteBlind(c, segment);
    c.ackNow = true;
  } else challenge(c, segment, now);
}
