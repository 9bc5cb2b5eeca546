/**
 * The receive window: how much may come, what we say about it, and when it is worth a segment of its own.
 *
 * Read first: RFC 9293 sections 3.8.6.2.2 (silly windows) and 3.8.6.2.3, RFC 7323 section 2.
 */
import { TCP_BUFFER_BYTES_MAX } from "../../base/limits.ts";
import { type Micros, NEVER } from "../../base/micros.ts";
import { seqDiff, seqLess } from "../../wire/seq.ts";
import type { Tcb } from "./tcb.ts";

const FIELD_MAX = 0xffff;

/** Room for bytes that were not announced yet, those announced included. Units: bytes. */
export function freeSpace(c: Tcb): number {
  const space = c.receiveLimit - c.receiveRing.length;
  return space > 0 ? space : 0;
}

/** What a segment must lie in to be acceptable: what was announced, or more when there is room. Units: bytes. */
export function acceptWindow(c: Tcb): number {
  const announced = seqDiff(c.rcvAdv, c.rcvNxt);
  const space = freeSpace(c);
  return announced > space ? announced : space;
}

/** The window to announce now. Units: bytes. Source: RFC 9293 section 3.8.6.2.2. */
function windowToAnnounce(c: Tcb): number {
  let space = freeSpace(c);
  if (space < (c.receiveLimit >> 2) && space < c.receiveMss) space = 0;
  const announced = seqDiff(c.rcvAdv, c.rcvNxt);
  if (space < announced) space = announced;
  const most = FIELD_MAX << c.receiveScale;
  return space < most ? space : most;
}

/** The window field of the next segment, and notes that it was announced. */
export function announceWindow(c: Tcb, isSyn: boolean): number {
  if (isSyn) {
    const space = freeSpace(c);
    const field = space < FIELD_MAX ? space : FIELD_MAX;
    const edge = (c.rcvNxt + field) | 0;
    if (seqLess(c.rcvAdv, edge)) c.rcvAdv = edge;
    return field;
  }
  // Rounded up: rounding down would take back what was announced. But many small segments, each rounded up, must not give away
  // more than one unit beyond the buffer: then the edge moves back by less than a unit. Source: RFC 7323 section 2.4.
  const unit = (1 << c.receiveScale) - 1;
  const wanted = windowToAnnounce(c);
  let field = (wanted + unit) >>> c.receiveScale;
  if (field << c.receiveScale > freeSpace(c) + unit) field = wanted >>> c.receiveScale;
  if (field > FIELD_MAX) field = FIELD_MAX;
  const edge = (c.rcvNxt + (field << c.receiveScale)) | 0;
  if (seqLess(c.rcvAdv, edge)) c.rcvAdv = edge;
  c.zeroAnnounced = field === 0;
  return field;
}

/** True when the application has read enough for the peer to be told. Source: RFC 9293 section 3.8.6.2.2, with FreeBSD's measures. */
export function isUpdateDue(c: Tcb): boolean {
  const window = windowToAnnounce(c);
  const announced = seqDiff(c.rcvAdv, c.rcvNxt);
  const gain = window - announced;
  if (gain <= 0 || (announced >>> c.receiveScale) >= (window >>> c.receiveScale)) return false;
  if (c.zeroAnnounced) return true;
  const limit = c.receiveLimit;
  if (2 * gain >= limit) return true;
  if (gain < 2 * c.receiveMss) return false;
  return gain >= (limit >> 2) || window <= (limit >> 3) || limit <= 8 * c.receiveMss;
}

/** Chooses our shift so that the largest buffer can be announced. Source: RFC 7323 section 2.3. */
export function scaleFor(receiveBytesMax: number): number {
  let scale = 0;
  while (scale < 14 && (FIELD_MAX << scale) < receiveBytesMax) scale++;
  return scale;
}

/** Rounds a buffer up to whole segments, as FreeBSD does, so that the last segment of a full window is not cut. */
export function roundToSegments(bytes: number, mss: number): number {
  const rounded = Math.ceil(bytes / mss) * mss;
  return rounded < TCP_BUFFER_BYTES_MAX ? rounded : TCP_BUFFER_BYTES_MAX;
}

/**
 * Grows the receive buffer while the application reads as fast as data comes: it should hold twice what is read in a round trip.
 * Called with the bytes that the application just took.
 */
export function tuneReceiveBuffer(c: Tcb, bytes: number, now: Micros): void {
  if (c.receiveLimit >= c.options.receiveBufferBytesMax) return;
  c.tuneCopied += bytes;
  if (c.tuneStartAt === NEVER) {
    c.tuneStartAt = now;
    c.tuneMark = c.rcvAdv;
    return;
  }
  // A whole window came: that takes a round trip at least.
  if (seqLess(c.rcvNxt, c.tuneMark) && c.srttUs === 0) return;
  const round = c.srttUs > 0 ? c.srttUs : now - c.tuneStartAt;
  if (now - c.tuneStartAt < round) return;
  const wanted = 2 * c.tuneCopied + 16 * c.receiveMss;
  if (wanted > c.receiveLimit && now - c.tuneStartAt <= 2 * round) {
    const most = c.options.receiveBufferBytesMax;
    const grown = wanted < 4 * c.receiveLimit ? wanted : 4 * c.receiveLimit;
    c.receiveLimit = roundToSegments(grown < most ? grown : most, c.receiveMss);
    if (c.receiveLimit > (FIELD_MAX << c.receiveScale)) c.receiveLimit = FIELD_MAX << c.receiveScale;
  }
  c.tuneStartAt = now;
  c.tuneMark = c.rcvAdv;
  c.tuneCopied = 0;
}
