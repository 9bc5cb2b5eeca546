/**
 * What an acknowledgment means for the congestion window, and what counts as lost.
 *
 * Read first: RFC 5681 section 3.2, RFC 6582 section 3.2, RFC 6675 section 5, RFC 6937 section 3, RFC 3168 section 6.1.2.
 *
 * ```
 *          ECE                    loss                       everything acknowledged up to `recover`
 *  Open ─────────► Reduced ─────────────► Fast ──────────────────────────────────────────────► Open
 *    └──────────────────── loss ──────────►┘          timeout (from anywhere) ──► Loss ───────► Open
 * ```
 */
import type { Micros } from "../../base/micros.ts";
import { seqDiff, seqLess } from "../../wire/seq.ts";
import * as tcp from "../../wire/tcp.ts";
import type { IncomingSegment } from "./incoming_segment.ts";
import { countLoss, detectLoss, DUP_THRESH, noteRecoveryEnd, updateRack } from "./rack.ts";
import { SegmentMark } from "./scoreboard.ts";
import { pipe } from "./send.ts";
import { armUndo, checkUndo, disarmUndo, endForwardRto, startForwardRto } from "./undo.ts";
import { hystartGrowth } from "./hystart.ts";
import { LossTimer, Recovery, type Tcb } from "./tcb.ts";
import { clearReorderTimer, setReorderTimer } from "./timers.ts";

/** Takes the news of one acceptable ACK: `ackedBytes` of sequence space are new, `priorFlight` was in flight before it. */
export function onAcknowledged(
  c: Tcb,
  segment: IncomingSegment,
  ackedBytes: number,
  priorFlight: number,
  isDuplicate: boolean,
  now: Micros,
): void {
  const board = c.scoreboard;
  let delivered = board.deliveredBytes;
  if (!c.sack) delivered = countDuplicates(c, ackedBytes, isDuplicate, delivered);
  if (c.isUndoArmed) checkUndo(c, segment, ackedBytes, isDuplicate);
  if (c.recovery !== Recovery.Open && !seqLess(c.sndUna, c.recover) && ackedBytes > 0) endRecovery(c);
  const lostBefore = board.lostBytes - board.resentBytes;
  if (c.sack) findLosses(c, segment, now);
  else findLossesWithoutSack(c, ackedBytes);
  const isLossNew = board.lostBytes - board.resentBytes > lostBefore;
  if (isLossNew && (c.recovery === Recovery.Open || c.recovery === Recovery.Reduced)) enterFast(c, priorFlight);
  else if (c.ecn && (segment.flags & tcp.ECE) !== 0 && c.recovery === Recovery.Open) {
    disarmUndo(c); // the network itself asked for less
    reduceWindow(c, priorFlight);
    c.recovery = Recovery.Reduced;
  }
  checkTailProbe(c, priorFlight);
  if (c.recovery === Recovery.Fast || c.recovery === Recovery.Reduced) {
    proportionalRate(c, delivered, ackedBytes > 0 && !isLossNew);
  } else if (ackedBytes > 0) grow(c, delivered, now);
}

function grow(c: Tcb, deliveredBytes: number, now: Micros): void {
  const slow = c.cwnd < c.ssthresh;
  // A window that was not used says nothing about the path. Source: RFC 7661 section 4.
  if (!c.cwndLimited && !(slow && c.cwnd < 2 * c.maxFlight) && c.recovery !== Recovery.Loss) return;
  const bytes = slow ? hystartGrowth(c, deliveredBytes) : deliveredBytes;
  c.congestion.increase(c, bytes, now);
}

/** Without SACK, each duplicate ACK stands for a segment that left the network. Returns bytes delivered. Source: RFC 6582 section 3.2. */
function countDuplicates(c: Tcb, ackedBytes: number, isDuplicate: boolean, delivered: number): number {
  if (isDuplicate) {
    c.dupAcks++;
    const most = seqDiff(c.sndNxt, c.sndUna) - c.scoreboard.lostBytes;
    if (c.renoSackedBytes + c.sendMss > most) return 0;
    c.renoSackedBytes += c.sendMss;
    return c.sendMss;
  }
  if (ackedBytes === 0) return 0;
  c.dupAcks = 0;
  const hadSeen = c.renoSackedBytes;
  if (c.recovery !== Recovery.Fast) c.renoSackedBytes = 0;
  else {
    const left = hadSeen - (ackedBytes - c.sendMss);
    c.renoSackedBytes = left > 0 ? (left < hadSeen ? left : hadSeen) : 0;
  }
  const already = hadSeen - c.renoSackedBytes;
  return delivered > already ? delivered - already : 0;
}

function findLosses(c: Tcb, segment: IncomingSegment, now: Micros): void {
  const board = c.scoreboard;
  updateRack(c, segment, now);
  if (board.sackedBytes === 0 && board.lostBytes === 0 && c.lossTimer !== LossTimer.Reorder) return;
  if (!c.options.rackTlp) {
    countLoss(c);
    return;
  }
  const wait = detectLoss(c, now);
  if (wait > 0) setReorderTimer(c, wait, now);
  else clearReorderTimer(c);
}

function findLossesWithoutSack(c: Tcb, ackedBytes: number): void {
  const board = c.scoreboard;
  if (board.count === 0) return;
  if (c.recovery === Recovery.Fast) {
    // A partial acknowledgment: the next hole is lost too. Source: RFC 6582 section 3.2 step 3.
    if (ackedBytes > 0) markHeadLost(c);
    return;
  }
  if (c.recovery === Recovery.Loss || c.dupAcks !== DUP_THRESH) return;
  // Duplicates of what a timeout sent again must not start another recovery. Source: RFC 6582 section 4.
  if (c.retransmits > 0 && !seqLess(c.recover, c.sndUna) && c.recover !== 0) return;
  markHeadLost(c);
}

function markHeadLost(c: Tcb): void {
  const marks = c.scoreboard.marks(0);
  if ((marks & SegmentMark.Lost) === 0) c.scoreboard.markLost(0);
}

/** Starts fast recovery. Source: RFC 6675 section 5 step 4. */
export function enterFast(c: Tcb, flight: number): void {
  if (c.recovery === Recovery.Open) {
    armUndo(c);
    reduceWindow(c, flight);
  }
  c.recovery = Recovery.Fast;
  c.recover = c.sndNxt;
  c.tlpOut = false;
}

/** Halves, or what the algorithm has for it; says so to a peer that talks ECN. */
function reduceWindow(c: Tcb, flight: number): void {
  c.ssthresh = c.congestion.reduced(c, flight);
  c.recover = c.sndNxt;
  c.prrDelivered = 0;
  c.prrOut = 0;
  c.prrFlight = flight > 0 ? flight : 1;
  if (c.ecn) c.cwrPending = true;
}

function endRecovery(c: Tcb): void {
  if (c.recovery !== Recovery.Loss) {
    if (c.cwnd > c.ssthresh || c.recovery === Recovery.Fast) c.cwnd = c.ssthresh;
    noteRecoveryEnd(c);
  }
  endForwardRto(c);
  c.recovery = Recovery.Open;
  c.dupAcks = 0;
  c.renoSackedBytes = 0;
}

/** Sends in proportion to what arrives, so that the window shrinks to the threshold in a round trip. Source: RFC 6937 section 3.1. */
function proportionalRate(c: Tcb, delivered: number, isSafe: boolean): void {
  c.prrDelivered += delivered;
  const inFlight = pipe(c);
  let count = 0;
  if (inFlight > c.ssthresh) {
    count = Math.ceil(c.prrDelivered * c.ssthresh / c.prrFlight) - c.prrOut;
  } else {
    const owed = c.prrDelivered - c.prrOut;
    let most = owed > delivered ? owed : delivered;
    if (isSafe) most += c.sendMss;
    count = c.ssthresh - inFlight < most ? c.ssthresh - inFlight : most;
  }
  // The first retransmission always leaves.
  const least = c.prrOut === 0 && c.recovery === Recovery.Fast ? c.sendMss : 0;
  if (count < least) count = least;
  c.cwnd = inFlight + count;
  if (c.cwnd < c.sendMss) c.cwnd = c.sendMss;
}

/** A tail probe that repaired a loss hid it from everybody: the window still has to pay. Source: RFC 8985 section 7.4. */
function checkTailProbe(c: Tcb, priorFlight: number): void {
  if (!c.tlpOut || seqLess(c.sndUna, c.tlpEnd)) return;
  const isOver = !c.tlpResent || c.dsackSeen;
  if (isOver) {
    c.tlpOut = false;
    return;
  }
  if (!seqLess(c.tlpEnd, c.sndUna)) return;
  c.tlpOut = false;
  if (c.recovery !== Recovery.Open) return;
  reduceWindow(c, priorFlight);
  c.cwnd = c.ssthresh;
}

/** A retransmission timeout: everything counts as lost, and slow start begins again. Source: RFC 5681 section 3.1 equation 4, RFC 6675 section 5.1. */
export function enterLoss(c: Tcb): void {
  const board = c.scoreboard;
  const flight = seqDiff(c.sndNxt, c.sndUna);
  // A peer that has what it acknowledged selectively would have acknowledged it wholly by now. Source: RFC 2018 section 8.
  if (board.count > 0 && (board.marks(0) & SegmentMark.Sacked) !== 0) board.forgetSacks();
  if (c.recovery !== Recovery.Loss || c.retries === 0) {
    const before = pipe(c);
    if (c.recovery === Recovery.Fast) disarmUndo(c);
    else armUndo(c);
    c.ssthresh = c.congestion.reduced(c, before > 0 && before < flight ? before : flight);
    if (c.ecn) c.cwrPending = true;
  }
  c.congestion.timedOut(c);
  c.cwnd = c.sendMss;
  board.markAllLost();
  c.renoSackedBytes = 0;
  c.dupAcks = 0;
  c.recovery = Recovery.Loss;
  c.recover = c.sndNxt;
  c.tlpOut = false;
  startForwardRto(c);
}
