/**
 * DNS messages in and out, by the library `dns-packet`.
 *
 * Read first: RFC 1035 section 4 (messages), RFC 6891 (EDNS), RFC 7871 (client subnet), RFC 2181 section 8 (TTL).
 */
import { Buffer } from "node:buffer";
import type { IpAddress } from "../base/ip_address.ts";
import { formatIp, parseIp } from "../base/ip_address.ts";
import { DNS_NAME_LENGTH_MAX, DNS_UDP_BYTES_DEFAULT, DNS_UDP_BYTES_MAX } from "../base/limits.ts";
import {
  decode,
  encode,
  type Packet,
  type PacketOption,
  type PacketQuestion,
  type PacketRecord,
} from "./codec/dns_packet.ts";

/** What is asked for. `name` is lower-case, without a dot at its end. */
export interface Question {
  readonly name: string;
  /** As in the zone files: `A`, `AAAA`, `HTTPS`, `TXT`, … or `UNKNOWN_9999` for what has no name here. */
  readonly type: string;
}

/** A question with what its asker can take. */
export interface Query {
  readonly id: number;
  readonly question: Question;
  readonly wantsRecursion: boolean;
  /** The longest answer in one datagram. Units: bytes. */
  readonly udpBytes: number;
  readonly hasEdns: boolean;
}

/** Return codes that weir gives or looks at. Source: RFC 1035 section 4.1.1. */
export const Rcode = {
  Success: "NOERROR",
  FormatError: "FORMERR",
  ServerFailure: "SERVFAIL",
  NameError: "NXDOMAIN",
  NotImplemented: "NOTIMP",
  Refused: "REFUSED",
} as const;
/** A value of `Rcode`. */
export type Rcode = (typeof Rcode)[keyof typeof Rcode];

/** One record of an answer. Units: `ttl` seconds. */
export type DnsRecord = PacketRecord;

/** What a name server, a cache or weir itself says to a question. */
export interface DnsAnswer {
  readonly rcode: string;
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
}

const FLAG_RESPONSE = 0x8000;
const FLAG_TRUNCATED = 0x0200;
const FLAG_RECURSION_DESIRED = 0x0100;
const FLAG_RECURSION_AVAILABLE = 0x0080;
const RCODES: Readonly<Record<string, number>> = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
};

/** An answer without records. */
export function emptyAnswer(rcode: Rcode): DnsAnswer {
  return { rcode, answers: [], authorities: [] };
}

/** An answer of addresses. Units: `ttl` seconds. */
export function addressAnswer(name: string, addresses: readonly IpAddress[], ttl: number): DnsAnswer {
  const answers = addresses.map((address): DnsRecord => ({
    name,
    type: address.version === 4 ? "A" : "AAAA",
    ttl,
    class: "IN",
    data: formatIp(address),
  }));
  return { rcode: Rcode.Success, answers, authorities: [] };
}

/** The addresses of an answer, in its order. */
export function addressesOf({ answers }: DnsAnswer): IpAddress[] {
  return answers.flatMap(({ type, data }) => {
    const address = (type === "A" || type === "AAAA") && typeof data === "string" ? parseIp(data) : undefined;
    return address === undefined ? [] : [address];
  });
}

/** Types whose names the library does not know. Source: RFC 9460 section 14.1. */
const NAMES_OF_TYPES: Readonly<Record<string, string>> = { UNKNOWN_64: "SVCB", UNKNOWN_65: "HTTPS" };
const TYPES_OF_NAMES: Readonly<Record<string, string>> = { SVCB: "UNKNOWN_64", HTTPS: "UNKNOWN_65" };

/** A question as the library writes it. */
function packetQuestion({ name, type }: Question): PacketQuestion {
  return { name: name === "" ? "." : name, type: TYPES_OF_NAMES[type] ?? type };
}

/** Decodes without throwing: the library does for what makes no sense. */
function decodePacket(bytes: Uint8Array): Packet | undefined {
  try {
    return decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch {
    return undefined;
  }
}

function questionOf(packet: Packet): Question | undefined {
  const [question, ...more] = packet.questions ?? [];
  if (question === undefined || more.length > 0 || question.name.length > DNS_NAME_LENGTH_MAX) return undefined;
  if (question.class !== undefined && question.class !== "IN") return undefined;
  return { name: question.name.toLowerCase().replace(/\.$/, ""), type: NAMES_OF_TYPES[question.type] ?? question.type };
}

/** Reads a question. Undefined when it is none: weir answers nothing then. */
export function readQuery(bytes: Uint8Array): Query | undefined {
  const packet = decodePacket(bytes);
  if (packet === undefined || packet.type !== "query" || packet.opcode !== "QUERY") return undefined;
  const question = questionOf(packet);
  if (question === undefined) return undefined;
  const opt = packet.additionals?.find(({ type }) => type === "OPT");
  const udpBytes = Math.min(
    Math.max(opt?.udpPayloadSize ?? DNS_UDP_BYTES_DEFAULT, DNS_UDP_BYTES_DEFAULT),
    DNS_UDP_BYTES_MAX,
  );
  return {
    id: packet.id ?? 0,
    question,
    wantsRecursion: packet.flag_rd === true,
    udpBytes,
    hasEdns: opt !== undefined,
  };
}

/** The id of a message; undefined when it is too short to have one. */
export function messageId(bytes: Uint8Array): number | undefined {
  return bytes.length < 12 ? undefined : (bytes[0]! << 8) | bytes[1]!;
}

/** True for an answer that did not fit its datagram. */
export function isTruncated(bytes: Uint8Array): boolean {
  return bytes.length > 2 && (bytes[2]! & 0x02) !== 0;
}

/** Part of the network that the asker is in, for servers that answer by place. Source: RFC 7871. */
export interface ClientSubnet {
  readonly address: IpAddress;
  readonly bits: number;
}

/** Writes a question for a name server. */
export function writeQuery(id: number, question: Question, subnet?: ClientSubnet): Uint8Array {
  const options: PacketOption[] = subnet === undefined ? [] : [{
    code: "CLIENT_SUBNET",
    ip: formatIp(subnet.address),
    family: subnet.address.version === 4 ? 1 : 2,
    sourcePrefixLength: subnet.bits,
    scopePrefixLength: 0,
  }];
  const opt: PacketRecord = { type: "OPT", name: ".", udpPayloadSize: DNS_UDP_BYTES_MAX, flags: 0, options };
  return encode({
    type: "query",
    id,
    flags: FLAG_RECURSION_DESIRED,
    questions: [packetQuestion(question)],
    additionals: [opt],
  });
}

/** Reads a name server's answer. Undefined when it is none, or one to another question. */
export function readAnswer(bytes: Uint8Array, asked: Question): DnsAnswer | undefined {
  const packet = decodePacket(bytes);
  if (packet === undefined || packet.type !== "response") return undefined;
  const question = questionOf(packet);
  if (question === undefined || question.name !== asked.name || question.type !== asked.type) return undefined;
  return {
    rcode: packet.rcode ?? Rcode.ServerFailure,
    answers: packet.answers ?? [],
    authorities: packet.authorities ?? [],
  };
}

/** Records as they are sent: a TTL that is not older than what is left of it. */
function withTtl(records: readonly DnsRecord[], ageSeconds: number, ttl: number | undefined): DnsRecord[] {
  return records.filter(({ type }) => type !== "OPT").map((record) => ({
    ...record,
    ttl: ttl ?? Math.max((record.ttl ?? 0) - ageSeconds, 1),
  }));
}

/** How an answer is written. */
export interface WriteOptions {
  /** How long the answer has been in the cache. Units: s. */
  readonly ageSeconds?: number;
  /** Takes the place of every TTL. Units: s. */
  readonly ttl?: number;
  /** Longest message; beyond it, it is cut and says so. Units: bytes. */
  readonly bytesMax: number;
}

/** Writes an answer to a question. */
export function writeAnswer(
  query: Query,
  answer: DnsAnswer,
  { ageSeconds = 0, ttl, bytesMax }: WriteOptions,
): Uint8Array {
  const recursion = query.wantsRecursion ? FLAG_RECURSION_DESIRED : 0;
  const flags = FLAG_RECURSION_AVAILABLE | recursion | (RCODES[answer.rcode] ?? RCODES.SERVFAIL!);
  const opt: PacketRecord[] = query.hasEdns
    ? [{ type: "OPT", name: ".", udpPayloadSize: DNS_UDP_BYTES_MAX, flags: 0, options: [] }]
    : [];
  const packet: Packet = {
    type: "response",
    id: query.id,
    flags,
    questions: [packetQuestion(query.question)],
    answers: withTtl(answer.answers, ageSeconds, ttl),
    authorities: withTtl(answer.authorities, ageSeconds, ttl),
    additionals: opt,
  };
  const whole = encodePacket(packet);
  if (whole !== undefined && whole.length <= bytesMax) return whole;
  return encode({ ...packet, flags: flags | FLAG_TRUNCATED, answers: [], authorities: [] });
}

/** The library cannot write every record that it can read. */
function encodePacket(packet: Packet): Uint8Array | undefined {
  try {
    return encode(packet);
  } catch {
    return undefined;
  }
}

/** Answers a message that cannot be read, as far as its first bytes allow. Undefined for one that asks nothing. */
export function writeFormatError(bytes: Uint8Array): Uint8Array | undefined {
  const id = messageId(bytes);
  if (id === undefined || (bytes[2]! & (FLAG_RESPONSE >>> 8)) !== 0) return undefined;
  const header = new Uint8Array(12);
  header[0] = id >>> 8;
  header[1] = id & 0xff;
  header[2] = 0x80;
  header[3] = 0x80 | RCODES.FORMERR!;
  return header;
}
