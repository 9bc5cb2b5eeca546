/**
 * Segments on their way out: header, options and payload are written straight into a slot.
 *
 * Read first: RFC 9293 section 3.1.
 */
import { NO_SLOT } from "../../adapter/arena.ts";
import { type Micros, NEVER } from "../../base/micros.ts";
import * as tcp from "../../wire/tcp.ts";
import { writeOptions, writeSynOptions } from "./outgoing_options.ts";
import { seqDiff } from "../../wire/seq.ts";
import type { Tcb } from "./tcb.ts";
import { announceWindow } from "./window.ts";

/** ECN-capable transport, codepoint ECT(0). Source: RFC 3168 section 5. */
export const ECT0 = 2;

function writeHeader(c: Tcb, view: DataView, at: number, seq: number, flags: number, window: number): void {
  view.setUint16(at, c.localPort);
  view.setUint16(at + 2, c.remotePort);
  view.setInt32(at + 4, seq);
  view.setInt32(at + 8, (flags & tcp.ACK) !== 0 ? c.rcvNxt : 0);
  view.setUint8(at + 13, flags);
  view.setUint16(at + 14, window);
  view.setUint32(at + 16, 0);
}

/** What an ACK that left makes unnecessary. */
function noteAckSent(c: Tcb): void {
  c.ackNow = false;
  c.challengeNow = false;
  c.ackPending = 0;
  c.ackPendingBytes = 0;
  c.ackAt = NEVER;
  c.lastAckSent = c.rcvNxt;
  c.dsackPending = false;
}

/**
 * Sends `length` bytes of the send ring that begin at `seq`, with ACK and the connection's options. False: there was no slot.
 * `segmentBytes`: into what the device shall cut it, 0 when it is one segment.
 */
export function emitSegment(
  c: Tcb,
  seq: number,
  length: number,
  flags: number,
  ecn: number,
  segmentBytes: number,
  now: Micros,
): boolean {
  const output = c.output;
  const slot = output.acquire();
  if (slot === NO_SLOT) return false;
  const view = output.view;
  const at = output.transportAt(slot, c.version);
  const echo = c.ecnEcho ? tcp.ECE : 0;
  writeHeader(c, view, at, seq, flags | tcp.ACK | echo, announceWindow(c, false));
  const headerBytes = tcp.HEADER_BYTES + writeOptions(c, view, at + tcp.HEADER_BYTES, now);
  view.setUint8(at + 12, (headerBytes >>> 2) << 4);
  if (length > 0) {
    c.sendRing.peek(seqDiff(seq, c.sndUna), output.bytes, at + headerBytes, length);
    c.dataSegmentsOut++;
    c.bytesOut += length;
  }
  c.segmentsOut++;
  noteAckSent(c);
  output.send(slot, c, headerBytes + length, ecn, segmentBytes, now);
  return true;
}

/** Sends an ACK without data. */
export function emitAck(c: Tcb, now: Micros): boolean {
  if (c.options.finWithEveryAck && c.ackNow && c.finSent && c.sndUna !== c.sndNxt) {
    return emitSegment(c, (c.sndNxt - 1) | 0, 0, tcp.FIN, 0, 0, now);
  }
  return emitSegment(c, c.sndNxt, 0, 0, 0, 0, now);
}

/** Sends a SYN or SYN-ACK with its options. */
export function emitSyn(c: Tcb, isAnswer: boolean, ecnFlags: number, now: Micros): boolean {
  const output = c.output;
  const slot = output.acquire();
  if (slot === NO_SLOT) return false;
  const view = output.view;
  const at = output.transportAt(slot, c.version);
  const flags = tcp.SYN | (isAnswer ? tcp.ACK : 0) | ecnFlags;
  writeHeader(c, view, at, c.iss, flags, announceWindow(c, true));
  const headerBytes = tcp.HEADER_BYTES + writeSynOptions(c, view, at + tcp.HEADER_BYTES, isAnswer, now);
  view.setUint8(at + 12, (headerBytes >>> 2) << 4);
  c.segmentsOut++;
  if (isAnswer) noteAckSent(c);
  output.send(slot, c, headerBytes, 0, 0, now);
  return true;
}

/** Sends a reset. With `withAck` it acknowledges what was received. Source: RFC 9293 section 3.5.2. */
export function emitReset(c: Tcb, seq: number, withAck: boolean, now: Micros): void {
  const output = c.output;
  const slot = output.acquire();
  if (slot === NO_SLOT) return;
  const view = output.view;
  const at = output.transportAt(slot, c.version);
  writeHeader(c, view, at, seq, tcp.RST | (withAck ? tcp.ACK : 0), 0);
  let headerBytes = tcp.HEADER_BYTES;
  if (withAck && c.timestamps) {
    // A reset of a connection with timestamps carries them. Source: RFC 7323 section 3.2.
    c.dsackPending = false;
    headerBytes += writeOptions(c, view, at + tcp.HEADER_BYTES, now);
  }
  view.setUint8(at + 12, (headerBytes >>> 2) << 4);
  c.segmentsOut++;
  output.send(slot, c, headerBytes, 0, 0, now);
}
