/**
 * Options of our segments.
 *
 * Read first: RFC 9293 section 3.2, RFC 7323 sections 2.2 and 3.2, RFC 2018 section 3, RFC 2883 section 4.
 */
import type { Micros } from "../../base/micros.ts";
import { seqLess } from "../../wire/seq.ts";
import * as tcp from "../../wire/tcp.ts";
import type { Tcb } from "./tcb.ts";
import { OptionOrder } from "./tcp_options.ts";

const NOP = tcp.OPTION_NOP;
const TIMESTAMPS_HEAD = (NOP << 24) | (NOP << 16) | (tcp.OPTION_TIMESTAMPS << 8) | 10;

/** Our timestamp clock. Units: ticks of `timestampHz`, modulo 2³², as a signed number. */
export function timestampNow(c: Tcb, now: Micros): number {
  return (Math.floor(now * c.options.timestampHz / 1_000_000) + c.tsOffset) | 0;
}

/** SACK ranges that the next segment will carry. */
export function sackRangeCount(c: Tcb): number {
  if (!c.sack) return 0;
  const count = c.reassembly.count + (c.dsackPending ? 1 : 0);
  const most = c.timestamps ? 3 : 4;
  return count < most ? count : most;
}

/** Length of the SACK option of the next segment with its padding. Units: bytes. */
export function sackBytes(c: Tcb): number {
  const count = sackRangeCount(c);
  return count === 0 ? 0 : 4 + 8 * count;
}

/** Writes the options of a segment that is no SYN; returns their length. */
export function writeOptions(c: Tcb, view: DataView, at: number, now: Micros): number {
  let next = at;
  if (c.timestamps) {
    view.setInt32(next, TIMESTAMPS_HEAD);
    view.setInt32(next + 4, timestampNow(c, now));
    view.setInt32(next + 8, c.tsRecent);
    next += 12;
  }
  const count = sackRangeCount(c);
  if (count > 0) next = writeSack(c, view, next, count);
  return next - at;
}

/** Writes `count` ranges: a duplicate first, then what arrived last. Source: RFC 2883 section 4, RFC 2018 section 4. */
function writeSack(c: Tcb, view: DataView, at: number, count: number): number {
  view.setInt32(at, (NOP << 24) | (NOP << 16) | (tcp.OPTION_SACK << 8) | (2 + 8 * count));
  let next = at + 4;
  let left = count;
  if (c.dsackPending) {
    view.setInt32(next, c.dsackStart);
    view.setInt32(next + 4, c.dsackEnd);
    next += 8;
    left--;
    // A duplicate inside a stretch ahead of the hole is followed by that stretch. Source: RFC 2883 section 4.
    if (left > 0 && seqLess(c.rcvNxt, c.dsackEnd)) {
      const around = c.reassembly.overlapping(c.dsackStart, c.dsackEnd);
      if (around >= 0) c.reassembly.touch(around);
    }
  }
  let before = Number.MAX_SAFE_INTEGER;
  for (; left > 0; left--) {
    const index = c.reassembly.mostRecent(before);
    if (index < 0) break;
    view.setInt32(next, c.reassembly.start(index));
    view.setInt32(next + 4, c.reassembly.end(index));
    before = c.reassembly.stamp(index);
    next += 8;
  }
  return next;
}

/** Writes the options of a SYN; returns their length. A SYN-ACK carries what the peer's SYN allowed, a first SYN what we want. */
export function writeSynOptions(c: Tcb, view: DataView, at: number, isAnswer: boolean, now: Micros): number {
  // A SYN that stays unanswered may be dropped for its options by something on the path.
  const isBare = !isAnswer && c.options.synOptionRetries > 0 && c.retries > c.options.synOptionRetries;
  const scale = isAnswer ? c.windowScale : !isBare && c.options.windowScale >= 0;
  const sack = isAnswer ? c.sack : !isBare && c.options.sack;
  const timestamps = isAnswer ? c.timestamps : !isBare && c.options.timestamps;
  view.setUint16(at, (tcp.OPTION_MSS << 8) | 4);
  view.setUint16(at + 2, c.receiveMss);
  const next = at + 4;
  return c.options.optionOrder === OptionOrder.Linux
    ? writeLinuxOrder(c, view, at, next, scale, sack, timestamps, now)
    : writeBsdOrder(c, view, at, next, scale, sack, timestamps, now);
}

/** mss, nop, wscale, sackOK, TS; each aligned by NOPs before it, the end filled with EOL. */
function writeBsdOrder(
  c: Tcb,
  view: DataView,
  at: number,
  from: number,
  scale: boolean,
  sack: boolean,
  timestamps: boolean,
  now: Micros,
): number {
  let next = from;
  if (scale) next = writeScale(c, view, next);
  if (sack) {
    view.setUint16(next, (tcp.OPTION_SACK_PERMITTED << 8) | 2);
    next += 2;
  }
  if (timestamps) {
    while (((next - at) & 3) !== 2) view.setUint8(next++, NOP);
    next = writeTimestamps(c, view, next, now);
  }
  while (((next - at) & 3) !== 0) view.setUint8(next++, tcp.OPTION_END);
  return next - at;
}

/** mss, sackOK, TS, nop, wscale; a missing neighbour is made up for by two NOPs. */
function writeLinuxOrder(
  c: Tcb,
  view: DataView,
  at: number,
  from: number,
  scale: boolean,
  sack: boolean,
  timestamps: boolean,
  now: Micros,
): number {
  let next = from;
  if (timestamps || sack) {
    view.setUint16(next, sack ? (tcp.OPTION_SACK_PERMITTED << 8) | 2 : (NOP << 8) | NOP);
    if (timestamps) next = writeTimestamps(c, view, next + 2, now);
    else {
      view.setUint16(next, (NOP << 8) | NOP);
      view.setUint16(next + 2, (tcp.OPTION_SACK_PERMITTED << 8) | 2);
      next += 4;
    }
  }
  if (scale) next = writeScale(c, view, next);
  return next - at;
}

function writeScale(c: Tcb, view: DataView, at: number): number {
  view.setInt32(at, (NOP << 24) | (tcp.OPTION_WINDOW_SCALE << 16) | (3 << 8) | c.receiveScale);
  return at + 4;
}

function writeTimestamps(c: Tcb, view: DataView, at: number, now: Micros): number {
  view.setUint16(at, (tcp.OPTION_TIMESTAMPS << 8) | 10);
  view.setInt32(at + 2, timestampNow(c, now));
  view.setInt32(at + 6, c.tsRecent);
  return at + 10;
}
