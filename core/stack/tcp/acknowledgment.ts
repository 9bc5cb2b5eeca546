/**
 * The ACK field of a segment in the synchronized states.
 *
 * Read first: RFC 9293 section 3.10.7.4 (fifth), RFC 5961 section 5, RFC 2018 section 5, RFC 2883, RFC 7323 section 4.
 */
import { SECOND_US } from "../../base/micros.ts";
import { type Micros, NEVER } from "../../base/micros.ts";
import { seqDiff, seqLess, seqLessOrEqual } from "../../wire/seq.ts";
import * as tcp from "../../wire/tcp.ts";
import { raise } from "./ending.ts";
import type { IncomingSegment } from "./incoming_segment.ts";
import { timestampNow } from "./outgoing_options.ts";
import { forgetPathMtu } from "./handshake.ts";
import { noteBlind } from "./blind_answer.ts";
import { noteHystartRtt } from "./hystart.ts";
import { noteDsack } from "./rack.ts";
import { noteDuplicateReport } from "./undo.ts";
import { onAcknowledged } from "./recovery.ts";
import { sampleRtt } from "./rto.ts";
import { LossTimer, type Tcb } from "./tcb.ts";
import { TcpEvent } from "./tcp_state.ts";

/** Answers a segment that may be forged with an ACK, a few in a second at most. Source: RFC 5961 sections 3, 4, 5 and 7. */
export function challenge(c: Tcb, segment: IncomingSegment, now: Micros): void {
  if (c.challengeStartAt === NEVER || now - c.challengeStartAt >= SECOND_US) {
    c.challengeStartAt = now;
    c.challengeCount = 0;
  }
  if (c.challengeCount >= c.options.challengeAcksPerSecond) return;
  c.challengeCount++;
  noteBlind(c, segment);
  c.challengeNow = true;
}

/** Takes the acknowledgment and the window of a segment. False: the segment must be dropped. */
export function processAck(c: Tcb, segment: IncomingSegment, now: Micros): boolean {
  const ack = segment.ack;
  const most = c.probeSent ? (c.sndNxt + 1) | 0 : c.sndNxt;
  if (seqLess(most, ack)) {
    // It acknowledges what was never sent.
    challenge(c, segment, now);
    return false;
  }
  if (seqLess(ack, c.sndUna)) {
    if (c.options.challengeAcks && seqLess(ack, (c.sndUna - c.maxSndWnd) | 0)) {
      challenge(c, segment, now);
      return false;
    }
    takeOldAck(c, segment, now);
    return true;
  }
  if (c.lossTimer === LossTimer.Persist) {
    // A peer that answers probes is alive, however long its window stays closed. Source: RFC 9293 section 3.8.6.1.
    c.retries = 0;
    if (c.unackedSince !== NEVER) c.unackedSince = now;
  }
  const isDuplicate = isDuplicateAck(c, segment);
  const priorFlight = seqDiff(c.sndNxt, c.sndUna);
  const board = c.scoreboard;
  const acked = seqDiff(ack, c.sndUna);
  board.startReport();
  if (seqLess(c.sndNxt, ack)) c.sndNxt = ack; // the probe byte
  if (acked > 0) advance(c, ack, acked, now);
  c.dsackSeen = false;
  if (c.sack && segment.sackCount > 0) processSack(c, segment);
  takeWindow(c, segment, acked > 0);
  if (acked === 0 && priorFlight === 0) return true;
  sample(c, segment, acked, priorFlight, now);
  onAcknowledged(c, segment, acked, priorFlight, isDuplicate, now);
  return true;
}

/** An ACK that was overtaken still tells what has arrived. */
function takeOldAck(c: Tcb, segment: IncomingSegment, now: Micros): void {
  if (!c.sack || segment.sackCount === 0 || c.sndUna === c.sndNxt) return;
  c.scoreboard.startReport();
  c.dsackSeen = false;
  processSack(c, segment);
  onAcknowledged(c, segment, 0, seqDiff(c.sndNxt, c.sndUna), false, now);
}

/** Source: RFC 5681 section 2, duplicate acknowledgment. */
function isDuplicateAck(c: Tcb, segment: IncomingSegment): boolean {
  return segment.ack === c.sndUna && segment.payloadLength === 0 && (segment.flags & (tcp.SYN | tcp.FIN)) === 0 &&
    c.sndNxt !== c.sndUna && segment.window * (1 << c.sendScale) === c.sndWnd;
}

/** Everything before `ack` has arrived. */
function advance(c: Tcb, ack: number, acked: number, now: Micros): void {
  c.scoreboard.acknowledge(ack);
  c.probeSent = false;
  const isFin = c.finSent && ack === c.sndNxt;
  const bytes = isFin ? acked - 1 : acked;
  c.bytesAcked += bytes;
  if (bytes > 0) c.sendRing.drop(bytes < c.sendRing.length ? bytes : c.sendRing.length);
  c.sndUna = ack;
  c.backoff = 0;
  c.retries = 0;
  c.rtoBaseAt = now;
  c.softError = 0;
  c.unackedSince = c.sendRing.length > 0 || c.sndNxt !== ack ? now : NEVER;
  if (c.sendRing.length === 0) c.sendRing.release();
  if (c.pathMtuUntil <= now) forgetPathMtu(c);
  if (c.wantsRoom && c.sendRing.length * 2 <= c.sendLimit) {
    c.wantsRoom = false;
    raise(c, TcpEvent.Writable);
  }
}

/**
 * Takes the peer's window from a segment that is not older than the last one that told it, or that acknowledges something new: the window
 * counts from its ACK. Source: RFC 9293 section 3.10.7.4.
 */
export function takeWindow(c: Tcb, segment: IncomingSegment, isProgress: boolean): void {
  const isNewer = isProgress || seqLess(c.sndWl1, segment.seq) ||
    (c.sndWl1 === segment.seq && seqLessOrEqual(c.sndWl2, segment.ack));
  if (!isNewer) return;
  const window = (segment.flags & tcp.SYN) !== 0 ? segment.window : segment.window * (1 << c.sendScale);
  c.sndWnd = window;
  c.sndWl1 = segment.seq;
  c.sndWl2 = segment.ack;
  if (window > c.maxSndWnd) c.maxSndWnd = window;
}

/** Takes the SACK ranges in order of sequence number; the first may tell of a duplicate. */
function processSack(c: Tcb, segment: IncomingSegment): void {
  const ranges = segment.sack;
  let first = 0;
  if (isDsack(c, segment)) {
    c.dsackSeen = true;
    noteDsack(c);
    noteDuplicateReport(c, ranges[0]!, ranges[1]!);
    first = 1;
  }
  sortRanges(ranges, first, segment.sackCount);
  for (let i = first; i < segment.sackCount; i++) {
    const start = ranges[2 * i]!;
    const end = ranges[2 * i + 1]!;
    const isValid = seqLess(start, end) && seqLess(c.sndUna, end) && seqLessOrEqual(end, c.sndNxt) &&
      seqLessOrEqual(c.sndUna, start);
    if (isValid) c.scoreboard.sack(start, end, c.sendMss);
  }
}

/** True when the first range reports a duplicate: below the ACK, or inside the second range. Source: RFC 2883 section 4. */
function isDsack(c: Tcb, segment: IncomingSegment): boolean {
  const ranges = segment.sack;
  const start = ranges[0]!;
  const end = ranges[1]!;
  if (!seqLess(start, end)) return false;
  if (seqLessOrEqual(end, segment.ack)) return seqDiff(c.sndUna, start) < 0x4000_0000;
  return segment.sackCount > 1 && seqLessOrEqual(ranges[2]!, start) && seqLessOrEqual(end, ranges[3]!);
}

function sortRanges(ranges: Int32Array, from: number, count: number): void {
  for (let i = from + 1; i < count; i++) {
    for (let j = i; j > from && seqLess(ranges[2 * j]!, ranges[2 * j - 2]!); j--) {
      const start = ranges[2 * j]!;
      const end = ranges[2 * j + 1]!;
      ranges[2 * j] = ranges[2 * j - 2]!;
      ranges[2 * j + 1] = ranges[2 * j - 1]!;
      ranges[2 * j - 2] = start;
      ranges[2 * j - 1] = end;
    }
  }
}

/** Measures the round trip: by when a segment left that was sent once, else by the timestamp that came back. Source: RFC 6298 section 3. */
function sample(c: Tcb, segment: IncomingSegment, acked: number, flight: number, now: Micros): void {
  const board = c.scoreboard;
  if (board.hasClean && !board.resentAcked) {
    const rtt = ((now | 0) - board.cleanSentAt) | 0;
    if (rtt >= 0) {
      sampleRtt(c, rtt, flight, now);
      noteHystartRtt(c, rtt);
    }
    return;
  }
  if (acked === 0 || !c.timestamps || !segment.hasTimestamps || segment.tsEcr === 0) return;
  const ticks = seqDiff(timestampNow(c, now), segment.tsEcr);
  if (ticks < 0) return;
  const tickUs = 1_000_000 / c.options.timestampHz;
  const rtt = ticks * tickUs;
  if (rtt <= c.options.rtoMaxUs) sampleRtt(c, rtt > 0 ? rtt : tickUs, flight, now);
}
