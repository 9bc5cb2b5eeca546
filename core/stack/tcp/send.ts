/**
 * What may be sent now, and sending it: lost segments first, then new ones, then an ACK that nobody carried.
 *
 * Read first: RFC 9293 sections 3.8.6.2.1 (silly windows) and 3.7.4 (Nagle), RFC 6675 section 5, RFC 3042, RFC 3168 section 6.1.
 */
import { TCP_BURST_SEGMENTS_MAX } from "../../base/limits.ts";
import { type Micros, NEVER } from "../../base/micros.ts";
import { seqDiff, seqLess, seqLessOrEqual } from "../../wire/seq.ts";
import * as tcp from "../../wire/tcp.ts";
import { initialWindow } from "./congestion.ts";
import { mayAnswerBlind } from "./blind_answer.ts";
import { disarmUndo, endForwardRto, noteResent } from "./undo.ts";
import { ECT0, emitAck, emitSegment } from "./emit.ts";
import { sackBytes } from "./outgoing_options.ts";
import { SegmentMark } from "./scoreboard.ts";
import { Recovery, type Tcb } from "./tcb.ts";
import { TcpState } from "./tcp_state.ts";
import { backedOffRto } from "./rto.ts";

/** Bytes that are on their way, as far as one can tell. Source: RFC 6675 section 4. */
export function pipe(c: Tcb): number {
  const board = c.scoreboard;
  return seqDiff(c.sndNxt, c.sndUna) - board.sackedBytes - board.lostBytes + board.resentBytes - c.renoSackedBytes;
}

/** Bytes that the application wrote and that were not sent once. */
export function unsentBytes(c: Tcb): number {
  return c.sendRing.length - dataInFlight(c);
}

/** Payload bytes between `sndUna` and `sndNxt`. */
function dataInFlight(c: Tcb): number {
  const flight = seqDiff(c.sndNxt, c.sndUna);
  return c.finSent && flight > 0 ? flight - 1 : flight;
}

/** True in the states in which data or a FIN may leave. */
function maySend(c: Tcb): boolean {
  const state = c.state;
  return state === TcpState.Established || state === TcpState.CloseWait || state === TcpState.FinWait1 ||
    state === TcpState.Closing || state === TcpState.LastAck;
}

/** Sends what may be sent, and an ACK if one is due and nothing carried it. */
export function transmit(c: Tcb, now: Micros): void {
  if (maySend(c)) {
    const waiting = c.scoreboard.lostBytes > c.scoreboard.resentBytes;
    if (waiting && c.frtoHolds) sendForward(c, now);
    else {
      if (waiting) resendLost(c, now);
      sendNew(c, now);
    }
  }
  if (c.ackNow || c.challengeNow) acknowledge(c, now);
  else c.isBlindAnswer = false;
}

/** F-RTO: new data tells whether what counts as lost is; without any, recovery goes on as ever. Source: RFC 5682 section 2.1 step 2b. */
function sendForward(c: Tcb, now: Micros): void {
  const before = c.sndNxt;
  sendNew(c, now);
  if (c.sndNxt !== before || seqLess(c.frtoEnd, c.sndNxt)) return;
  endForwardRto(c);
  resendLost(c, now);
}

/** Sends the ACK that is due; one that answers a stranger has to be paid for. */
function acknowledge(c: Tcb, now: Micros): void {
  const isFree = !c.isBlindAnswer;
  c.isBlindAnswer = false;
  if (isFree || mayAnswerBlind(c)) {
    emitAck(c, now);
    return;
  }
  c.ackNow = false;
  c.challengeNow = false;
}

function noteSent(c: Tcb, bytes: number, now: Micros): void {
  if (c.recovery === Recovery.Fast || c.recovery === Recovery.Reduced) c.prrOut += bytes;
  c.lastSentAt = now;
}

/** Sends lost segments again, as far as the congestion window goes. */
function resendLost(c: Tcb, now: Micros): void {
  const board = c.scoreboard;
  let index = board.nextLost(0);
  for (let sent = 0; index >= 0 && sent < TCP_BURST_SEGMENTS_MAX; sent++) {
    const room = c.cwnd - pipe(c);
    const length = prepareResend(c, index);
    if (room < length && pipe(c) > 0) return;
    if (!resend(c, index, now)) return;
    index = board.nextLost(index + 1);
  }
}

/** Cuts or joins the segment at `index` to what one segment may carry; returns its length in sequence space. */
function prepareResend(c: Tcb, index: number): number {
  const board = c.scoreboard;
  const most = c.sendMss - sackBytes(c);
  let length = seqDiff(board.end(index), board.start(index));
  const fin = (board.marks(index) & SegmentMark.Fin) !== 0 ? 1 : 0;
  if (length - fin > most) {
    if (board.split(index, most)) length = most;
    return length;
  }
  const same = board.marks(index) & ~SegmentMark.Fin & ~SegmentMark.EverResent;
  while (index + 1 < board.count) {
    const marks = board.marks(index + 1) & ~SegmentMark.Fin & ~SegmentMark.EverResent;
    const more = seqDiff(board.end(index + 1), board.start(index + 1));
    const moreFin = (board.marks(index + 1) & SegmentMark.Fin) !== 0 ? 1 : 0;
    if (marks !== same || length + more - moreFin > most) break;
    board.join(index);
    length += more;
  }
  return length;
}

/** Sends the segment at `index` again, which `prepareResend` has fitted. */
export function resend(c: Tcb, index: number, now: Micros): boolean {
  const board = c.scoreboard;
  const length = prepareResend(c, index);
  const start = board.start(index);
  const hasFin = (board.marks(index) & SegmentMark.Fin) !== 0;
  const payload = hasFin ? length - 1 : length;
  const isLast = seqDiff(start, c.sndUna) + payload === c.sendRing.length;
  const flags = (hasFin ? tcp.FIN : 0) | (isLast && payload > 0 ? tcp.PSH : 0);
  if (!emitSegment(c, start, payload, flags, 0, 0, now)) return false;
  board.markResent(index, now);
  noteResent(c, board.end(index), now);
  c.retransmits++;
  c.bytesResent += payload;
  noteSent(c, length, now);
  if (c.rtoBaseAt === NEVER || index === 0) c.rtoBaseAt = now;
  return true;
}

/** Sends data that was never sent, and the FIN. */
function sendNew(c: Tcb, now: Micros): void {
  const nothing = seqDiff(c.sndNxt, c.sndUna) === 0;
  if (nothing && c.lastSentAt !== NEVER && c.options.slowStartAfterIdle) restartAfterIdle(c, now);
  const before = c.sndNxt;
  let limited = false;
  for (let sent = 0; sent < TCP_BURST_SEGMENTS_MAX; sent++) {
    if (c.scoreboard.isFull) break;
    const unsent = unsentBytes(c);
    if (unsent === 0 && (!c.finQueued || c.finSent)) break;
    const length = lengthToSend(c, unsent);
    if (length < 0) {
      limited = length === CWND_LIMITED;
      break;
    }
    if (!sendFresh(c, length, unsent, now)) break;
  }
  if (c.sndNxt !== before || limited) noteUse(c, limited);
}

/** Remembers how much of the congestion window was used. Source: RFC 7661 section 4.2. */
function noteUse(c: Tcb, limited: boolean): void {
  const flight = seqDiff(c.sndNxt, c.sndUna);
  const isNewRound = !seqLess(c.sndUna, c.maxFlightEnd);
  if (!isNewRound && !limited && (c.cwndLimited || flight <= c.maxFlight)) return;
  c.cwndLimited = limited;
  c.maxFlight = flight;
  c.maxFlightEnd = c.sndNxt;
}

/** The answer of `lengthToSend` when the congestion window is the reason. */
const CWND_LIMITED = -2;

/** How much of `unsent` bytes goes into the next segment; negative: nothing now. */
function lengthToSend(c: Tcb, unsent: number): number {
  if (unsent === 0) return 0; // a FIN alone
  const mss = c.sendMss - sackBytes(c);
  const flight = seqDiff(c.sndNxt, c.sndUna);
  const window = c.sndWnd - flight;
  const most = segmentMost(c, mss);
  let length = unsent < most ? unsent : most;
  if (length > window) length = window;
  const room = c.cwnd - pipe(c);
  if (length > room) {
    // Half segments for the sake of the congestion window are of no use to anybody.
    length = length > mss ? Math.floor(room / mss) * mss : 0;
    if (room < mss && room < unsent) {
      if (pipe(c) > 0) return CWND_LIMITED;
      length = unsent < mss ? unsent : mss;
      if (length > window) length = window;
    }
  }
  if (length <= 0) return -1;
  if (length >= mss) return length === unsent ? length : Math.floor(length / mss) * mss;
  if (length < unsent) {
    // The window cuts it. Source: RFC 9293 section 3.8.6.2.1 (3), Fs = 1/2.
    return 2 * length >= c.maxSndWnd ? length : -1;
  }
  const held = c.options.nagle && flight > 0 && !c.finQueued;
  return held ? -1 : length;
}

/** The most payload that one slot may carry: one segment, or several when the device cuts them. */
function segmentMost(c: Tcb, mss: number): number {
  const most = c.output.segmentBytesMax;
  return most > mss ? Math.floor(most / mss) * mss : mss;
}

function sendFresh(c: Tcb, length: number, unsent: number, now: Micros): boolean {
  const takesAll = length === unsent;
  const fin = takesAll && c.finQueued && !c.finSent;
  let flags = takesAll && length > 0 ? tcp.PSH : 0;
  if (fin) flags |= tcp.FIN;
  if (c.cwrPending && length > 0) flags |= tcp.CWR;
  const mss = c.sendMss - sackBytes(c);
  const pieces = length > mss ? mss : 0;
  if (!emitSegment(c, c.sndNxt, length, flags, c.ecn && length > 0 ? ECT0 : 0, pieces, now)) return false;
  if (length > 0) c.cwrPending = false;
  const end = (c.sndNxt + length + (fin ? 1 : 0)) | 0;
  c.scoreboard.append(c.sndNxt, end, now, fin ? SegmentMark.Fin : 0);
  if (seqLessOrEqual(c.sndNxt, c.sndUna)) {
    c.rtoBaseAt = now;
    c.unackedSince = now;
  }
  c.sndNxt = end;
  if (fin) c.finSent = true;
  c.probeSent = false;
  noteSent(c, length + (fin ? 1 : 0), now);
  return true;
}

/** After silence the window says nothing about the path any more. Source: RFC 5681 section 4.1. */
function restartAfterIdle(c: Tcb, now: Micros): void {
  const idle = now - c.lastSentAt;
  if (idle <= backedOffRto(c)) return;
  disarmUndo(c);
  const restart = initialWindow(c.sendMss, c.options.initialWindowSegments);
  if (c.cwnd > restart) c.cwnd = restart;
  c.congestion.idled(idle);
  c.lastSentAt = now;
}

/**
 * Sends one byte that the window does not allow, or what it does allow but not enough to be worth it. The byte counts as sent only when the
 * peer acknowledges it. Source: RFC 9293 sections 3.8.6.1 and 3.8.6.2.1 (override timeout).
 */
export function sendProbe(c: Tcb, now: Micros): void {
  const unsent = unsentBytes(c);
  const window = c.sndWnd - seqDiff(c.sndNxt, c.sndUna);
  if (unsent === 0) return;
  if (window > 0) {
    const mss = c.sendMss - sackBytes(c);
    let length = unsent < mss ? unsent : mss;
    if (length > window) length = window;
    sendFresh(c, length, unsent, now);
    return;
  }
  if (!c.options.probeWithData) {
    emitSegment(c, (c.sndUna - 1) | 0, 0, 0, 0, 0, now);
    return;
  }
  if (emitSegment(c, c.sndNxt, 1, unsent === 1 ? tcp.PSH : 0, 0, 0, now)) c.probeSent = true;
  if (c.unackedSince === NEVER) c.unackedSince = now;
}
