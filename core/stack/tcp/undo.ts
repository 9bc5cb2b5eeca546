/**
 * Takes back what was done about a loss that was none: a timeout that came too early, segments that were only late.
 *
 * Read first: RFC 5682 sections 2.1 and 3.1 (F-RTO), RFC 3522 section 3.2 (Eifel detection by timestamps), RFC 3708 section 2 (detection by
 * DSACK), RFC 4015 section 3.2 (the response), RFC 9438 section 4.9 (CUBIC's own variables).
 *
 * ```
 *  timeout ─► 1: its segment is out ─┬─ ACK of something never sent again (SACK) ───────────────► undo
 *                                    ├─ ACK of part of it: new data leaves ─► 2 ─┬─ another ACK ─► undo
 *                                    └─ duplicate, or ACK of everything           └─ duplicate ───► loss, as ever
 * ```
 */
import { seqDiff, seqLess, seqLessOrEqual } from "../../wire/seq.ts";
import { initialWindow } from "./congestion.ts";
import type { IncomingSegment } from "./incoming_segment.ts";
import { timestampNow } from "./outgoing_options.ts";
import { Recovery, type Tcb } from "./tcb.ts";
import type { Micros } from "../../base/micros.ts";

/** Remembers how things are, right before the window shrinks for a loss. */
export function armUndo(c: Tcb): void {
  c.isUndoArmed = c.options.undo;
  c.undoCwnd = c.cwnd;
  c.undoSsthresh = c.ssthresh;
  c.undoUna = c.sndUna;
  c.undoResent = 0;
  c.undoDuplicates = 0;
}

/** The reduction stands: nothing will be taken back. */
export function disarmUndo(c: Tcb): void {
  c.isUndoArmed = false;
  endForwardRto(c);
}

/** A lost segment leaves again. */
export function noteResent(c: Tcb, end: number, now: Micros): void {
  if (!c.isUndoArmed) return;
  if (c.undoResent++ > 0) return;
  c.undoTimestamp = timestampNow(c, now);
  c.undoResentEnd = end;
}

/** The peer reports a duplicate that ends at `end`. */
export function noteDuplicateReport(c: Tcb, start: number, end: number): void {
  if (!c.isUndoArmed || !seqLess(c.undoUna, end)) return;
  c.undoDuplicates += Math.ceil(seqDiff(end, start) / c.sendMss);
}

/** Begins F-RTO, when a timeout came out of the blue. */
export function startForwardRto(c: Tcb): void {
  c.frto = c.isUndoArmed ? 1 : 0;
  c.frtoEnd = c.sndNxt;
  c.frtoHolds = false;
}

/** The loss was real, or nobody can tell any more. */
export function endForwardRto(c: Tcb): void {
  c.frto = 0;
  c.frtoHolds = false;
}

/** Looks at an ACK for signs that nothing was lost; then everything is as before. `ackedBytes`: new sequence space. */
export function checkUndo(c: Tcb, segment: IncomingSegment, ackedBytes: number, isDuplicate: boolean): boolean {
  if (!c.isUndoArmed) return false;
  const isLate = isOriginalAcked(c, segment, ackedBytes) || (c.undoResent > 0 && c.undoDuplicates >= c.undoResent);
  if (!isLate && !(c.frto > 0 && isTimeoutSpurious(c, ackedBytes, isDuplicate))) return false;
  undo(c);
  return true;
}

/** The ACK of what was sent again echoes a time before that: the first sending arrived. Source: RFC 3522 section 3.2. */
function isOriginalAcked(c: Tcb, segment: IncomingSegment, ackedBytes: number): boolean {
  if (ackedBytes === 0 || c.undoResent === 0 || !c.timestamps || !segment.hasTimestamps) return false;
  if (segment.tsEcr === 0 || !seqLessOrEqual(c.undoResentEnd, c.sndUna)) return false;
  // Only the first ACK that covers it tells.
  if (seqLessOrEqual(c.undoResentEnd, (c.sndUna - ackedBytes) | 0)) return false;
  return seqLess(segment.tsEcr, c.undoTimestamp);
}

/** Source: RFC 5682 sections 2.1 and 3.1. */
function isTimeoutSpurious(c: Tcb, ackedBytes: number, isDuplicate: boolean): boolean {
  const board = c.scoreboard;
  if (c.sack && board.hasClean && seqLessOrEqual(board.cleanEnd, c.frtoEnd)) return true;
  if (ackedBytes > 0 && seqLessOrEqual(c.frtoEnd, c.sndUna)) {
    endForwardRto(c);
    return false;
  }
  if (c.frto === 1) {
    if (ackedBytes > 0) {
      c.frto = 2;
      c.frtoHolds = true;
    } else if (!c.sack && isDuplicate) endForwardRto(c);
    return false;
  }
  if (!c.sack && ackedBytes > 0) return true;
  if (isDuplicate || board.hasClean) endForwardRto(c);
  return false;
}

/** Source: RFC 4015 section 3.2: the path is as good as before, but what left it empty fills it again step by step. */
function undo(c: Tcb): void {
  const board = c.scoreboard;
  if (c.recovery === Recovery.Loss || c.recovery === Recovery.Fast) board.unmarkLost();
  const burst = initialWindow(c.sendMss, c.options.initialWindowSegments);
  const flight = seqDiff(c.sndNxt, c.sndUna) - board.sackedBytes;
  const most = flight + burst > c.undoCwnd >> 1 ? flight + burst : c.undoCwnd >> 1;
  const restored = c.recovery === Recovery.Loss && most < c.undoCwnd ? most : c.undoCwnd;
  if (c.cwnd < restored) c.cwnd = restored;
  if (c.ssthresh < c.undoSsthresh) c.ssthresh = c.undoSsthresh;
  c.congestion.restore();
  if (c.recovery !== Recovery.Reduced) c.recovery = Recovery.Open;
  c.cwrPending = false;
  c.dupAcks = 0;
  c.renoSackedBytes = 0;
  c.undoCount++;
  disarmUndo(c);
}
