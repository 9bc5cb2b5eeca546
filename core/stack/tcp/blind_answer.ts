/**
 * Answers to segments that need not be the peer's: challenge ACKs, SYN-ACKs, resets of handshakes. The stack's credit pays for them, so that
 * a stranger who guesses an address pair does not get more bytes sent there than he sends himself.
 *
 * Read first: RFC 5961 sections 3 to 5 and 7.
 */
import * as ipv4 from "../../wire/ipv4.ts";
import * as ipv6 from "../../wire/ipv6.ts";
import * as tcp from "../../wire/tcp.ts";
import type { IncomingSegment } from "./incoming_segment.ts";
import { sackBytes } from "./outgoing_options.ts";
import type { Tcb } from "./tcb.ts";
import { TcpState } from "./tcp_state.ts";

const TIMESTAMPS_BYTES = 12;

function headerBytes(c: Tcb): number {
  return tcp.HEADER_BYTES + (c.version === 4 ? ipv4.HEADER_BYTES : ipv6.HEADER_BYTES);
}

/** A segment came that proves nothing. It counts as no longer than it was for sure. */
export function earnBlind(c: Tcb, segment: IncomingSegment): void {
  const credit = c.host.credit;
  if (credit === undefined) return;
  const options = segment.hasTimestamps ? TIMESTAMPS_BYTES : 0;
  credit.earn(headerBytes(c) + options + segment.payloadLength);
}

/** A segment that proves nothing is about to be answered with an ACK, unless one is due anyway. Handshakes have counted it already. */
export function noteBlind(c: Tcb, segment: IncomingSegment): void {
  if (!c.ackNow && !c.challengeNow) c.isBlindAnswer = true;
  if (c.state >= TcpState.Established) earnBlind(c, segment);
}

/** True when an ACK or reset in answer to such a segment may leave. */
export function mayAnswerBlind(c: Tcb): boolean {
  const credit = c.host.credit;
  return credit === undefined || credit.spend(headerBytes(c) + (c.timestamps ? TIMESTAMPS_BYTES : 0) + sackBytes(c));
}

/** True when a reset without options may leave. */
export function mayResetBlind(c: Tcb): boolean {
  const credit = c.host.credit;
  return credit === undefined || credit.spend(headerBytes(c));
}

/** True when a SYN-ACK may leave, whose peer has proved nothing yet. */
export function maySynAck(c: Tcb): boolean {
  const credit = c.host.credit;
  if (credit === undefined) return true;
  // "SACK permitted" takes the place of the padding before timestamps.
  const bytes = headerBytes(c) + 4 + (c.windowScale ? 4 : 0) + (c.timestamps ? TIMESTAMPS_BYTES : c.sack ? 4 : 0);
  if (!credit.spend(bytes)) return false;
  c.creditSpent += bytes;
  return true;
}

/** The peer has shown that our packets reach it: what was said to it was not said to a stranger. */
export function refundProven(c: Tcb): void {
  if (c.creditSpent > 0) c.host.credit?.earn(c.creditSpent);
  c.creditSpent = 0;
}
