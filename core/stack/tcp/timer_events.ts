/**
 * A timer of the connection has run out.
 *
 * Read first: RFC 6298 section 5, RFC 8985 section 7.3, RFC 9293 sections 3.8.3, 3.8.4 and 3.8.6.1.
 */
import type { Micros } from "../../base/micros.ts";
import { NEVER } from "../../base/micros.ts";
import { seqDiff } from "../../wire/seq.ts";
import * as tcp from "../../wire/tcp.ts";
import { emitReset, emitSegment, emitSyn } from "./emit.ts";
import { abortWith, fail, finish } from "./ending.ts";
import { answerSyn } from "./handshake.ts";
import { detectLoss } from "./rack.ts";
import { enterFast, enterLoss } from "./recovery.ts";
import { pipe, resend, sendProbe, transmit, unsentBytes } from "./send.ts";
import { LossTimer, Recovery, type Tcb } from "./tcb.ts";
import { TcpError, TcpState } from "./tcp_state.ts";
import { armSynTimer, flightBytes, isUserTimeoutOver, rearmPersist, setReorderTimer } from "./timers.ts";

/** Does what is due at `now`. */
export function runTimers(c: Tcb, now: Micros): void {
  if (c.ackAt <= now) {
    c.ackAt = NEVER;
    c.ackNow = true;
  }
  if (c.lossAt <= now) runLossTimer(c, now);
  if (c.idleAt <= now) runIdleTimer(c, now);
}

function runLossTimer(c: Tcb, now: Micros): void {
  const kind = c.lossTimer;
  c.lossTimer = LossTimer.None;
  c.lossAt = NEVER;
  if (c.state === TcpState.SynSent || c.state === TcpState.SynReceived) repeatSyn(c, now);
  else if (kind === LossTimer.Retransmit) retransmissionTimeout(c, now);
  else if (kind === LossTimer.TailProbe) tailProbe(c, now);
  else if (kind === LossTimer.Reorder) reorderTimeout(c, now);
  else if (kind === LossTimer.Persist) persistTimeout(c, now);
}

/** What the last soft error said, when there was one. Source: RFC 5461 section 4.1. */
function timeoutError(c: Tcb): TcpError {
  return c.softError === TcpError.None ? TcpError.TimedOut : c.softError;
}

function repeatSyn(c: Tcb, now: Micros): void {
  const isSent = c.state === TcpState.SynSent;
  const most = isSent ? c.options.synRetries : c.options.synAckRetries;
  if (isUserTimeoutOver(c, now) || c.retries >= most) {
    fail(c, isUserTimeoutOver(c, now) ? TcpError.UserTimeout : timeoutError(c), now);
    return;
  }
  c.retries++;
  c.backoff++;
  c.retransmits++;
  c.lastSentAt = NEVER; // no sample of a repeated SYN: Karn's rule
  // A SYN that asks for ECN may be what a middlebox drops. Source: RFC 3168 section 6.1.1.1.
  if (isSent) emitSyn(c, false, c.options.ecn && c.retries < c.options.ecnSynCount ? tcp.ECE | tcp.CWR : 0, now);
  else answerSyn(c, now);
  armSynTimer(c, now);
}

function giveUp(c: Tcb, now: Micros): boolean {
  if (isUserTimeoutOver(c, now)) {
    abortWith(c, TcpError.UserTimeout, now);
    return true;
  }
  if (c.retries < c.options.dataRetries) return false;
  abortWith(c, timeoutError(c), now);
  return true;
}

function retransmissionTimeout(c: Tcb, now: Micros): void {
  if (c.scoreboard.count === 0 || giveUp(c, now)) return;
  enterLoss(c);
  c.retries++;
  c.backoff++;
  c.rtoBaseAt = now;
  transmit(c, now);
}

/** Sends something new, or the last segment again, so that its ACK tells what is missing. Source: RFC 8985 section 7.3. */
function tailProbe(c: Tcb, now: Micros): void {
  const board = c.scoreboard;
  if (board.count === 0) return;
  const before = c.sndNxt;
  if (unsentBytes(c) > 0 && c.sndWnd > flightBytes(c)) {
    const window = c.cwnd;
    c.cwnd = pipe(c) + c.sendMss; // one segment beyond what the window allows
    transmit(c, now);
    c.cwnd = window;
  }
  c.tlpResent = c.sndNxt === before;
  if (c.tlpResent) {
    let last = board.count - 1;
    const length = seqDiff(board.end(last), board.start(last));
    if (length > c.sendMss && board.split(last, length - c.sendMss)) last++;
    resend(c, last, now);
  }
  c.tlpOut = true;
  c.tlpEnd = c.sndNxt;
  // The timeout counts from the probe. Source: RFC 8985 section 7.3.
  c.rtoBaseAt = now;
}

function reorderTimeout(c: Tcb, now: Micros): void {
  const flight = flightBytes(c);
  const before = c.scoreboard.lostBytes;
  const wait = detectLoss(c, now);
  if (c.scoreboard.lostBytes > before && (c.recovery === Recovery.Open || c.recovery === Recovery.Reduced)) {
    enterFast(c, flight);
    c.cwnd = pipe(c) + c.sendMss;
  }
  if (wait > 0) setReorderTimer(c, wait, now);
  transmit(c, now);
}

function persistTimeout(c: Tcb, now: Micros): void {
  if (unsentBytes(c) === 0 || giveUp(c, now)) return;
  sendProbe(c, now);
  if (c.scoreboard.count > 0) return;
  c.retries++;
  c.backoff++;
  rearmPersist(c, now);
}

function runIdleTimer(c: Tcb, now: Micros): void {
  c.idleAt = NEVER;
  if (c.state === TcpState.TimeWait || c.state === TcpState.FinWait2 && c.isOrphan) {
    finish(c, TcpError.None, now);
    return;
  }
  if (c.options.keepAliveUs === 0) return;
  if (flightBytes(c) > 0) {
    c.idleAt = (now + c.options.keepAliveUs) as Micros;
    return;
  }
  if (c.keepAliveProbes >= c.options.keepAliveProbes) {
    emitReset(c, c.sndNxt, true, now);
    fail(c, TcpError.TimedOut, now);
    return;
  }
  c.keepAliveProbes++;
  // A sequence number that was used already makes the peer answer. Source: RFC 9293 section 3.8.4.
  emitSegment(c, (c.sndUna - 1) | 0, 0, 0, 0, 0, now);
  c.idleAt = (now + c.options.keepAliveIntervalUs) as Micros;
}
