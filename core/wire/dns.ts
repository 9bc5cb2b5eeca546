/**
 * DNS messages: a reader that goes through any bytes, and an emitter for queries and simple answers.
 *
 * Read first: RFC 1035 section 4 (messages), section 4.1.4 (compression); RFC 3596 (AAAA); RFC 6891 section 6.1.1 (OPT is a record);
 * RFC 2181 section 8 (a TTL with its top bit set is 0).
 *
 *      0               16              32              48              64              80            96
 *     ┌───────────────┬───────────────┬───────────────┬───────────────┬───────────────┬─────────────┐
 *     │ id            │ flags         │ questions     │ answers       │ authorities   │ additionals │
 *     └───────────────┴───────────────┴───────────────┴───────────────┴───────────────┴─────────────┘
 *     question: name, type 16, class 16     record: name, type 16, class 16, TTL 32, length 16, data
 *     flags: QR 1 │ opcode 4 │ AA 1 │ TC 1 │ RD 1 │ RA 1 │ Z 3 │ rcode 4
 */
import { DNS_POINTERS_MAX } from "../base/limits.ts";

/** Length of the message header. Units: bytes. */
export const HEADER_BYTES = 12;

/** Record types by number. Source: IANA "Resource Record (RR) TYPEs". */
export const RecordType = { A: 1, Cname: 5, Ptr: 12, Aaaa: 28, Opt: 41, Svcb: 64, Https: 65 } as const;

/** The Internet class. */
export const CLASS_IN = 1;

/** Bits of the flags field. */
export const Flags = {
  Response: 0x8000,
  Truncated: 0x0200,
  RecursionDesired: 0x0100,
  RecursionAvailable: 0x0080,
} as const;

const NAME_BYTES_MAX = 255;
const LABEL_BYTES_MAX = 63;
const DOT = 0x2e;
const BACKSLASH = 0x5c;

/** The identifier. */
export function id(view: DataView, at: number): number {
  return view.getUint16(at);
}

/** All flag bits. */
export function flags(view: DataView, at: number): number {
  return view.getUint16(at + 2);
}

/** The kind of query: 0 is a plain one. */
export function opcode(view: DataView, at: number): number {
  return (view.getUint16(at + 2) >>> 11) & 15;
}

/** The response code: 0 is success. */
export function rcode(view: DataView, at: number): number {
  return view.getUint16(at + 2) & 15;
}

/** How many questions the header claims. */
export function questionCount(view: DataView, at: number): number {
  return view.getUint16(at + 4);
}

/** How many answer records the header claims. */
export function answerCount(view: DataView, at: number): number {
  return view.getUint16(at + 6);
}

/** True when there is room for a header; the counts in it may still lie. */
export function hasHeader(length: number): boolean {
  return length >= HEADER_BYTES;
}

/** Goes over the name at `offset`. Units: bytes from the message's beginning; −1 when it is broken. */
export function skipName(view: DataView, at: number, length: number, offset: number): number {
  let next = offset;
  while (next < length) {
    const size = view.getUint8(at + next);
    if (size === 0) return next + 1;
    if (size >= 0xc0) return next + 2 <= length ? next + 2 : -1;
    if (size > LABEL_BYTES_MAX) return -1;
    next += 1 + size;
  }
  return -1;
}

/**
 * Reads the name at `offset` in presentation form: lower case, no final dot, "" for the root; odd bytes are escaped as \DDD, dots in labels as "\.".
 * Errors: undefined when it is broken: a pointer that does not point back, a label or a name too long, a missing end.
 */
export function readName(view: DataView, at: number, length: number, offset: number): string | undefined {
  let text = "";
  let next = offset;
  let floor = offset;
  let pointers = 0;
  let bytes = 1;
  while (next < length) {
    const size = view.getUint8(at + next);
    if (size === 0) return text;
    if (size >= 0xc0) {
      if (next + 2 > length || ++pointers > DNS_POINTERS_MAX) return undefined;
      const to = view.getUint16(at + next) & 0x3fff;
      if (to >= floor || to < HEADER_BYTES) return undefined; // only backwards: so it ends
      next = to;
      floor = to;
      continue;
    }
    bytes += 1 + size;
    if (size > LABEL_BYTES_MAX || bytes > NAME_BYTES_MAX || next + 1 + size > length) return undefined;
    if (text !== "") text += ".";
    text += labelText(view, at + next + 1, size);
    next += 1 + size;
  }
  return undefined;
}

function labelText(view: DataView, at: number, length: number): string {
  let text = "";
  for (let i = 0; i < length; i++) {
    const byte = view.getUint8(at + i);
    if (byte >= 0x41 && byte <= 0x5a) text += String.fromCharCode(byte | 0x20);
    else if (byte === DOT || byte === BACKSLASH) text += "\\" + String.fromCharCode(byte);
    else if (byte > 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else text += "\\" + (byte < 10 ? "00" : byte < 100 ? "0" : "") + byte;
  }
  return text;
}

/** One record under a cursor. Offsets count from the message's beginning. */
export interface DnsRecordCursor {
  nameAt: number;
  type: number;
  class: number;
  /** Units: seconds. */
  ttl: number;
  dataAt: number;
  dataLength: number;
  /** Where the next record begins. */
  next: number;
}

/** A cursor to hand to `readRecord`. */
export function createRecordCursor(): DnsRecordCursor {
  return { nameAt: 0, type: 0, class: 0, ttl: 0, dataAt: 0, dataLength: 0, next: 0 };
}

/** Reads the record at `offset`; false when it is not whole. */
export function readRecord(
  view: DataView,
  at: number,
  length: number,
  offset: number,
  out: DnsRecordCursor,
): boolean {
  const fields = skipName(view, at, length, offset);
  if (fields < 0 || fields + 10 > length) return false;
  out.nameAt = offset;
  out.type = view.getUint16(at + fields);
  out.class = view.getUint16(at + fields + 2);
  const ttl = view.getUint32(at + fields + 4);
  out.ttl = ttl > 0x7fff_ffff ? 0 : ttl;
  out.dataLength = view.getUint16(at + fields + 8);
  out.dataAt = fields + 10;
  out.next = out.dataAt + out.dataLength;
  return out.next <= length;
}
