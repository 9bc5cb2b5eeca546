/**
 * Whole DNS messages as values, both ways: for hijacked queries and for simulations, not for every packet.
 *
 * Read first: RFC 1035 section 4. Names are written without compression.
 */
import { DNS_RECORDS_MAX } from "../base/limits.ts";
import * as dns from "./dns.ts";

/** A question. */
export interface DnsQuestion {
  name: string;
  type: number;
}

/** An answer: four words for A (last one used) and AAAA, a name for CNAME. */
export type DnsAnswer =
  | { name: string; type: 1; ttl: number; address: readonly [number] }
  | { name: string; type: 28; ttl: number; address: readonly [number, number, number, number] }
  | { name: string; type: 5; ttl: number; target: string };

/** A message with one question, and answers of the three types that weir makes and understands. */
export interface DnsMessage {
  id: number;
  /** All bits of the flags field, the response code in the lowest four. */
  flags: number;
  question: DnsQuestion;
  answers: DnsAnswer[];
}

/** Room that any emitted name needs at most. */
const NAME_BYTES_MAX = 255;
const LABEL_BYTES_MAX = 63;

/**
 * Reads a message; answers of other types and classes are left out.
 * Errors: undefined when it is broken or has not exactly one question of class IN.
 */
export function readDnsMessage(view: DataView, at: number, length: number): DnsMessage | undefined {
  if (!dns.hasHeader(length) || dns.questionCount(view, at) !== 1) return undefined;
  const name = dns.readName(view, at, length, dns.HEADER_BYTES);
  const typeAt = dns.skipName(view, at, length, dns.HEADER_BYTES);
  if (name === undefined || typeAt < 0 || typeAt + 4 > length) return undefined;
  if (view.getUint16(at + typeAt + 2) !== dns.CLASS_IN) return undefined;
  const question = { name, type: view.getUint16(at + typeAt) };
  const answers: DnsAnswer[] = [];
  const cursor = dns.createRecordCursor();
  let next = typeAt + 4;
  const claimed = dns.answerCount(view, at);
  const count = claimed > DNS_RECORDS_MAX ? DNS_RECORDS_MAX : claimed;
  for (let i = 0; i < count; i++) {
    if (!dns.readRecord(view, at, length, next, cursor)) return undefined;
    const answer = readAnswer(view, at, length, cursor);
    if (answer !== undefined) answers.push(answer);
    next = cursor.next;
  }
  return { id: dns.id(view, at), flags: dns.flags(view, at), question, answers };
}

function readAnswer(view: DataView, at: number, length: number, cursor: dns.DnsRecordCursor): DnsAnswer | undefined {
  if (cursor.class !== dns.CLASS_IN) return undefined;
  const name = dns.readName(view, at, length, cursor.nameAt);
  if (name === undefined) return undefined;
  const data = at + cursor.dataAt;
  const ttl = cursor.ttl;
  if (cursor.type === dns.RecordType.A && cursor.dataLength === 4) {
    return { name, type: 1, ttl, address: [view.getUint32(data)] };
  }
  if (cursor.type === dns.RecordType.Aaaa && cursor.dataLength === 16) {
    const address = [
      view.getUint32(data),
      view.getUint32(data + 4),
      view.getUint32(data + 8),
      view.getUint32(data + 12),
    ] as const;
    return { name, type: 28, ttl, address };
  }
  if (cursor.type !== dns.RecordType.Cname) return undefined;
  const target = dns.readName(view, at, length, cursor.dataAt);
  return target === undefined ? undefined : { name, type: 5, ttl, target };
}

/** Writes a name in presentation form; the offset behind it, or −1 when it does not fit or is no name. */
function emitName(view: DataView, at: number, room: number, name: string): number {
  let next = at;
  let labelAt = next++;
  let size = 0;
  for (let i = 0; i < name.length; i++) {
    let code = name.charCodeAt(i);
    if (code === 0x2e) {
      if (size === 0 || labelAt >= room) return -1;
      view.setUint8(labelAt, size);
      labelAt = next++;
      size = 0;
      continue;
    }
    if (code === 0x5c) {
      const digits = name.slice(i + 1, i + 4);
      const isNumber = /^[0-9]{3}$/.test(digits);
      code = isNumber ? Number(digits) : name.charCodeAt(i + 1);
      i += isNumber ? 3 : 1;
    }
    if (++size > LABEL_BYTES_MAX || code > 255 || code !== code || next >= room) return -1;
    view.setUint8(next++, code);
  }
  if (size === 0) return name === "" && labelAt < room ? emitZero(view, labelAt) : -1;
  if (labelAt >= room || next >= room || next + 1 - at > NAME_BYTES_MAX) return -1;
  view.setUint8(labelAt, size);
  return emitZero(view, next);
}

function emitZero(view: DataView, at: number): number {
  view.setUint8(at, 0);
  return at + 1;
}

/**
 * Writes a message into `room` bytes at `at`.
 * Units: bytes written, −1 when it does not fit or a name is none.
 */
export function emitDnsMessage(view: DataView, at: number, room: number, message: DnsMessage): number {
  const end = at + room;
  if (room < dns.HEADER_BYTES || message.answers.length > DNS_RECORDS_MAX) return -1;
  view.setUint16(at, message.id);
  view.setUint16(at + 2, message.flags);
  view.setUint16(at + 4, 1);
  view.setUint16(at + 6, message.answers.length);
  view.setUint32(at + 8, 0);
  let next = emitName(view, at + dns.HEADER_BYTES, end, message.question.name);
  if (next < 0 || next + 4 > end) return -1;
  view.setUint16(next, message.question.type);
  view.setUint16(next + 2, dns.CLASS_IN);
  next += 4;
  for (const answer of message.answers) {
    next = emitAnswer(view, next, end, answer);
    if (next < 0) return -1;
  }
  return next - at;
}

function emitAnswer(view: DataView, at: number, end: number, answer: DnsAnswer): number {
  const fields = emitName(view, at, end, answer.name);
  if (fields < 0 || fields + 10 > end) return -1;
  view.setUint16(fields, answer.type);
  view.setUint16(fields + 2, dns.CLASS_IN);
  view.setUint32(fields + 4, answer.ttl);
  let next = fields + 10;
  if (answer.type === 5) {
    next = emitName(view, next, end, answer.target);
    if (next < 0) return -1;
  } else {
    for (const word of answer.address) {
      if (next + 4 > end) return -1;
      view.setUint32(next, word);
      next += 4;
    }
  }
  view.setUint16(fields + 8, next - fields - 10);
  return next;
}
