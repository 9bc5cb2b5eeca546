/**
 * Payload on its way in: to its place in the receive ring, whether the bytes before it are there or not.
 *
 * Read first: RFC 9293 sections 3.10.7.4 (seventh) and 3.8.6.3 (delayed ACKs), RFC 5681 section 4.2, RFC 2883 section 4.
 */
import { type Micros, NEVER } from "../../base/micros.ts";
import { seqDiff, seqLess, seqLessOrEqual } from "../../wire/seq.ts";
import { raise } from "./ending.ts";
import type { IncomingSegment } from "./incoming_segment.ts";
import type { Tcb } from "./tcb.ts";
import { TcpEvent, TcpState } from "./tcp_state.ts";
import { acceptWindow } from "./window.ts";
import * as tcp from "../../wire/tcp.ts";

/** Takes the payload of an acceptable segment, as far as it is new and inside the window. */
export function takeData(c: Tcb, segment: IncomingSegment, now: Micros): void {
  let from = segment.seq;
  let to = (from + segment.payloadLength) | 0;
  let at = segment.payloadAt;
  noteDuplicate(c, from, to);
  const old = seqDiff(c.rcvNxt, from);
  if (old > 0) {
    c.ackNow = true;
    if (old >= segment.payloadLength) return;
    from = c.rcvNxt;
    at += old;
  }
  const edge = (c.rcvNxt + acceptWindow(c)) | 0;
  if (seqLess(edge, to)) {
    to = edge;
    segment.flags &= ~tcp.FIN;
    c.ackNow = true;
  }
  if (c.finAhead && seqLess(c.finAheadAt, to)) to = c.finAheadAt;
  const length = seqDiff(to, from);
  if (length <= 0) return;
  if (from === c.rcvNxt) takeInOrder(c, segment, at, length, now);
  else takeAhead(c, from, to, at, length);
}

function takeInOrder(c: Tcb, segment: IncomingSegment, at: number, length: number, now: Micros): void {
  const ring = c.receiveRing;
  const offset = ring.length;
  ring.reserve(offset + length);
  ring.store(offset, c.output.bytes, at, length);
  let next = (c.rcvNxt + length) | 0;
  if (c.reassembly.count > 0) {
    // A segment that fills a hole, or part of it, is acknowledged at once. Source: RFC 5681 section 4.2.
    c.ackNow = true;
    next = c.reassembly.take(next);
  }
  ring.advance(seqDiff(next, c.rcvNxt));
  c.bytesIn += seqDiff(next, c.rcvNxt);
  c.rcvNxt = next;
  raise(c, TcpEvent.Readable);
  delayAck(c, segment, length, now);
}

function takeAhead(c: Tcb, from: number, to: number, at: number, length: number): void {
  c.ackNow = true;
  if (!c.reassembly.add(from, to)) return;
  const offset = c.receiveRing.length + seqDiff(from, c.rcvNxt);
  c.receiveRing.reserve(offset + length);
  c.receiveRing.store(offset, c.output.bytes, at, length);
}

/** Keeps the data of a SYN that was answered, until the handshake is over. */
export function keepEarly(c: Tcb, segment: IncomingSegment): void {
  if (c.state !== TcpState.SynReceived) return;
  const window = acceptWindow(c);
  const length = segment.payloadLength < window ? segment.payloadLength : window;
  takeAhead(c, c.rcvNxt, (c.rcvNxt + length) | 0, segment.payloadAt, length);
  c.ackNow = false;
}

/** Takes in what `keepEarly` kept. */
export function takeEarly(c: Tcb, now: Micros): void {
  const next = c.reassembly.take(c.rcvNxt);
  const count = seqDiff(next, c.rcvNxt);
  if (count <= 0) return;
  c.receiveRing.advance(count);
  c.bytesIn += count;
  c.rcvNxt = next;
  c.ackPending++;
  c.ackAt = (now + c.options.delayedAckUs) as Micros;
  raise(c, TcpEvent.Readable);
}

/** Notes what the next ACK reports as received twice: the part below what is complete, else a part that lies ahead already. */
function noteDuplicate(c: Tcb, from: number, to: number): void {
  if (seqLess(from, c.rcvNxt)) {
    c.duplicatesIn++;
    if (!c.sack || !c.options.dsack) return;
    c.dsackPending = true;
    c.dsackStart = from;
    c.dsackEnd = seqLess(to, c.rcvNxt) ? to : c.rcvNxt;
    return;
  }
  if (c.reassembly.count === 0) return;
  const index = c.reassembly.overlapping(from, to);
  if (index < 0) return;
  c.duplicatesIn++;
  if (!c.sack || !c.options.dsack) return;
  const start = c.reassembly.start(index);
  const end = c.reassembly.end(index);
  c.dsackPending = true;
  c.dsackStart = seqLess(from, start) ? start : from;
  c.dsackEnd = seqLess(end, to) ? end : to;
}

/** Acknowledges every second segment at once and others a little later. Source: RFC 9293 section 3.8.6.3. */
function delayAck(c: Tcb, segment: IncomingSegment, length: number, now: Micros): void {
  const pieces = segment.pieces;
  let piece = pieces > 1 ? Math.ceil(segment.payloadLength / pieces) : segment.payloadLength;
  // Joined by a device that does not say how: the peer most likely sends what it asks for.
  if (piece > c.receiveMss) piece = c.peerMss < c.receiveMss ? c.peerMss : c.receiveMss;
  if (piece > c.largestPiece) c.largestPiece = piece;
  c.ackPending += pieces;
  c.ackPendingBytes += length;
  if (c.quickAcks > 0) {
    c.quickAcks -= pieces;
    c.ackNow = true;
    return;
  }
  const enough = c.options.delayedAckByBytes
    ? c.ackPendingBytes > (c.largestPiece > 536 ? c.largestPiece : 536)
    : c.ackPending >= 2;
  const most = c.options.batchAckSegmentsMax;
  if (c.options.delayedAckUs === 0 || (enough && (most <= 2 || c.ackPending >= most))) c.ackNow = true;
  // When the stack is polled next: the device's batch is done then.
  else if (enough) c.ackAt = now;
  else if (c.ackAt === NEVER) c.ackAt = (now + c.options.delayedAckUs) as Micros;
}

/** Takes a FIN, now or when the bytes before it are there. Source: RFC 9293 section 3.10.7.4 (eighth). */
export function takeFin(c: Tcb, segment: IncomingSegment, isFin: boolean): void {
  if (isFin) {
    const at = (segment.seq + segment.payloadLength) | 0;
    c.ackNow = true;
    if (seqLess(c.rcvNxt, at)) {
      // The first FIN ahead of a hole holds; it never lies below bytes that were kept.
      const last = c.reassembly.count > 0 ? c.reassembly.end(c.reassembly.count - 1) : c.rcvNxt;
      if (c.finAhead || seqLess(at, last)) return;
      c.finAhead = true;
      c.finAheadAt = at;
      return;
    }
    if (at !== c.rcvNxt) return;
  } else if (!seqLessOrEqual(c.finAheadAt, c.rcvNxt)) return;
  c.finAhead = false;
  c.finReceived = true;
  c.rcvNxt = (c.rcvNxt + 1) | 0;
  c.ackNow = true;
}
