/**
 * Loss by time: what left a reordering window before something that was delivered is lost; and a probe for lost tails.
 *
 * Read first: RFC 8985 sections 6.2 and 7; RFC 6675 section 4 for the counting rule that stands in when RACK is switched off.
 */
import { type Micros, NEVER } from "../../base/micros.ts";
import { seqDiff, seqLess } from "../../wire/seq.ts";
import { SegmentMark } from "./scoreboard.ts";
import { LossTimer, Recovery, type Tcb } from "./tcb.ts";
import type { IncomingSegment } from "./incoming_segment.ts";
import { timestampNow } from "./outgoing_options.ts";

/** Source: RFC 6675 section 2. */
export const DUP_THRESH = 3;

/** The least time before a segment that was sent again counts as lost again. Units: µs. */
const RESENT_WAIT_US = 1_000;

/** True when the first was sent after the second. Source: RFC 8985 section 6.2 step 2. */
function sentAfter(at: number, end: number, otherAt: number, otherEnd: number): boolean {
  const later = (at - otherAt) | 0;
  return later > 0 || (later === 0 && seqLess(otherEnd, end));
}

/** Learns from what an ACK delivered. Source: RFC 8985 section 6.2 steps 2 to 4. */
export function updateRack(c: Tcb, segment: IncomingSegment, now: Micros): void {
  const board = c.scoreboard;
  if (board.sawReordering) {
    c.reorderingSeen = true;
    const segments = Math.ceil(board.reorderedBytes / c.sendMss);
    if (segments > c.reordering) c.reordering = segments;
  }
  if (!board.hasNewest) return;
  const rtt = ((now | 0) - board.newestSentAt) | 0;
  if (board.newestResent) {
    if (rtt < c.minRttUs) return;
    // The ACK may be of the first sending: its timestamp echo tells.
    if (c.timestamps && segment.hasTimestamps) {
      const sentAt = timestampNow(c, (now - rtt) as Micros);
      if (seqLess(segment.tsEcr, sentAt)) return;
    }
  }
  c.rackRttUs = rtt;
  if (c.hasRack && !sentAfter(board.newestSentAt, board.newestEnd, c.rackSentAt, c.rackEnd)) return;
  c.hasRack = true;
  c.rackSentAt = board.newestSentAt;
  c.rackEnd = board.newestEnd;
}

/** How much disorder is still believed. Source: RFC 8985 section 6.2 step 4. */
function reorderWindow(c: Tcb): number {
  const inRecovery = c.recovery === Recovery.Fast || c.recovery === Recovery.Loss;
  const board = c.scoreboard;
  // Bytes count too: a super-segment is one entry of the scoreboard and many segments of the network.
  const isEnough = board.sackedCount >= DUP_THRESH || board.sackedBytes >= DUP_THRESH * c.sendMss;
  if (!c.reorderingSeen && (inRecovery || isEnough)) return 0;
  const window = c.reoWndMult * c.minRttUs / 4;
  return window < c.srttUs ? window : c.srttUs;
}

/** Widens the window when a retransmission proved needless. Source: RFC 8985 section 6.2 step 4. */
export function noteDsack(c: Tcb): void {
  if (c.hasDsackRound && seqLess(c.sndUna, c.dsackRound)) return;
  c.hasDsackRound = true;
  c.dsackRound = c.sndNxt;
  c.reoWndMult++;
  c.reoWndPersist = 16;
}

/** Narrows it again after enough recoveries without needless retransmissions. */
export function noteRecoveryEnd(c: Tcb): void {
  if (c.reoWndMult > 1 && --c.reoWndPersist <= 0) c.reoWndMult = 1;
}

/**
 * Marks what is lost; answers how long to wait for the next segment that may become so, 0 for none. Units: µs.
 * Source: RFC 8985 section 6.2 step 5.
 */
export function detectLoss(c: Tcb, now: Micros): number {
  const board = c.scoreboard;
  if (!c.hasRack) return 0;
  const allowed = c.rackRttUs + reorderWindow(c);
  let wait = 0;
  for (let i = 0; i < board.count; i++) {
    const marks = board.marks(i);
    if ((marks & SegmentMark.Sacked) !== 0) continue;
    if ((marks & (SegmentMark.Lost | SegmentMark.Resent)) === SegmentMark.Lost) continue;
    const sentAt = board.sentAt(i);
    if (!sentAfter(c.rackSentAt, c.rackEnd, sentAt, board.end(i))) {
      // Segments that were sent once left in order: none behind this one is older.
      if ((marks & SegmentMark.EverResent) === 0) break;
      continue;
    }
    const elapsed = ((now | 0) - sentAt) | 0;
    // What was sent again is given a tick at least: on a path without delay it would be lost again with every ACK of the same instant.
    const isEarly = (marks & SegmentMark.EverResent) !== 0 && allowed < RESENT_WAIT_US;
    const remaining = (isEarly ? RESENT_WAIT_US : allowed) - elapsed;
    if (remaining <= 0) board.markLost(i);
    else if (remaining > wait) wait = remaining;
  }
  return Math.ceil(wait);
}

/** Marks what has three segments, or more than two segments' bytes, delivered above it. Source: RFC 6675 section 4, IsLost. */
export function countLoss(c: Tcb): void {
  const board = c.scoreboard;
  const enough = (DUP_THRESH - 1) * c.sendMss;
  let bytes = 0;
  let segments = 0;
  for (let i = board.count - 1; i >= 0; i--) {
    const marks = board.marks(i);
    if ((marks & SegmentMark.Sacked) !== 0) {
      bytes += seqDiff(board.end(i), board.start(i));
      segments++;
    } else if ((marks & SegmentMark.Lost) === 0 && (segments >= DUP_THRESH || bytes > enough)) board.markLost(i);
  }
}

/** When a tail probe should leave, never later than the timeout that it stands before; `NEVER` when none should. Source: RFC 8985 section 7.2. */
export function tailProbeAt(c: Tcb, rtoAt: Micros, now: Micros): Micros {
  const board = c.scoreboard;
  if (!c.options.rackTlp || !c.sack || c.recovery !== Recovery.Open || board.sackedBytes > 0 || c.tlpOut) return NEVER;
  if (c.backoff > 0 || c.srttUs === 0) return NEVER;
  let wait = 2 * c.srttUs;
  if (board.count === 1) wait += TAIL_PROBE_ACK_DELAY_US;
  else wait += 2_000;
  const at = now + Math.ceil(wait);
  return (at < rtoAt ? at : rtoAt) as Micros;
}

/** What a lone segment's ACK may be delayed by. Units: µs. Source: RFC 8985 section 7.2 (TLP.max_ack_delay). */
const TAIL_PROBE_ACK_DELAY_US = 200_000;

/** True while `lossAt` belongs to a timer that an ACK may move. */
export function isReorderTimer(c: Tcb): boolean {
  return c.lossTimer === LossTimer.Reorder;
}
