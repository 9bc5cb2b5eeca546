/**
 * Packets in packetdrill notation: `< [ect0] P. 1:1001(1000) ack 1 win 257 <nop,nop,TS val 1 ecr 2>`.
 *
 * Source: google/packetdrill syntax.md, `packet_spec`; the FreeBSD dialect adds ttl, hlim, class, dscp, `...(0)` and `0:0(0)!`.
 */
import { ACK, CWR, ECE, FIN, PSH, RST, SYN, URG } from "../../core/wire/tcp.ts";
import { readTcpOptions } from "./parse_option.ts";
import { ANY_IP, type IcmpQuote, type IpSpec, type PacketSpec, type TosSpec } from "./script.ts";
import type { TokenReader } from "./token_reader.ts";

const UINT32_MAX = 0xffffffff;

const FLAG_LETTERS: Readonly<Record<string, number>> = {
  F: FIN,
  S: SYN,
  R: RST,
  P: PSH,
  ".": ACK,
  U: URG,
  E: ECE,
  W: CWR,
  C: CWR,
};

/** ECN marks of the IP header. Source: RFC 3168 section 5. */
const ECN_MARKS: Readonly<Record<string, number>> = { noecn: 0, ect1: 1, ect0: 2, ce: 3 };

/** Differentiated services code points by name. Source: RFC 2474, RFC 2597, RFC 3246, RFC 5865, RFC 8622. */
const CODE_POINTS: Readonly<Record<string, number>> = {
  ...Object.fromEntries([0, 1, 2, 3, 4, 5, 6, 7].map((n) => [`cs${n}`, n << 3])),
  ...Object.fromEntries(
    [1, 2, 3, 4].flatMap((n) => [1, 2, 3].map((drop) => [`af${n}${drop}`, (n << 3) | (drop << 1)])),
  ),
  ef: 46,
  le: 1,
};

const ECN_MASK = 3;

function mergeTos(reader: TokenReader, have: TosSpec | undefined, more: TosSpec): TosSpec {
  if (have === undefined) return more;
  if ((have.mask & more.mask) !== 0) reader.fail("this part of the TOS byte is already given");
  return { mask: have.mask | more.mask, value: have.value | more.value, isAnyEct: have.isAnyEct || more.isAnyEct };
}

function ecnMark(reader: TokenReader, name: string): TosSpec | undefined {
  if (name === "ect01") return { mask: ECN_MASK, value: 2, isAnyEct: true };
  const mark = ECN_MARKS[name];
  if (mark === undefined) return undefined;
  if (reader.is("(")) reader.fail("an ECN mark has no argument");
  return { mask: ECN_MASK, value: mark, isAnyEct: false };
}

function readIpItem(reader: TokenReader, have: IpSpec): IpSpec {
  const name = reader.word("an IP header field");
  const mark = ecnMark(reader, name);
  if (mark !== undefined) return { ...have, tos: mergeTos(reader, have.tos, mark) };
  switch (name) {
    case "ttl":
    case "hlim":
      return { ...have, ttl: reader.integer("a hop count", 255) };
    case "tos":
    case "class": {
      const value = reader.integer("a TOS byte", 255);
      return { ...have, tos: mergeTos(reader, have.tos, { mask: 255, value, isAnyEct: false }) };
    }
    case "ecn": {
      const named = ecnMark(reader, reader.word("an ECN mark"));
      if (named === undefined) reader.fail("expected noecn, ect0, ect1, ect01 or ce");
      return { ...have, tos: mergeTos(reader, have.tos, named!) };
    }
    case "dscp": {
      const point = reader.isKind("word") ? CODE_POINTS[reader.next().text] : reader.integer("a code point", 63);
      if (point === undefined) reader.fail("expected a code point: cs0 … cs7, af11 … af43, ef, le or a number");
      return { ...have, tos: mergeTos(reader, have.tos, { mask: 0xfc, value: point! << 2, isAnyEct: false }) };
    }
    case "flowlabel":
      return { ...have, flowLabel: reader.integer("a flow label", 0xfffff) };
    default:
      return reader.fail(`the IP header field ${JSON.stringify(name)} is unknown`);
  }
}

/** Reads `(ect0, ttl 64)` or `[ce]`, if it stands there. */
function readIp(reader: TokenReader): IpSpec {
  const close = reader.take("(") ? ")" : reader.take("[") ? "]" : "";
  if (close === "") return ANY_IP;
  let ip = readIpItem(reader, ANY_IP);
  while (reader.take(",")) ip = readIpItem(reader, ip);
  reader.expect(close, "after the IP header fields");
  return ip;
}

function readPorts(reader: TokenReader): readonly [number, number] | undefined {
  if (!reader.isKind("integer") || !reader.is(">", 1)) return undefined;
  const from = reader.integer("a port", 0xffff);
  reader.expect(">", "between ports");
  return [from, reader.integer("a port", 0xffff)];
}

function readFlags(reader: TokenReader): number {
  if (reader.take("-")) return 0;
  let letters = "";
  while (reader.isKind("word") || reader.is(".")) letters += reader.next().text;
  if (letters === "") {
    if (reader.isKind("float")) reader.unsupported("the ACE counter of accurate ECN");
    reader.fail("expected TCP flags such as S, S., ., P., F., R");
  }
  let flags = 0;
  for (const letter of letters) {
    const bit = FLAG_LETTERS[letter];
    if (letter === "A") reader.unsupported("the AE flag of accurate ECN");
    if (bit === undefined) reader.fail(`${JSON.stringify(letter)} in ${JSON.stringify(letters)} is no TCP flag`);
    flags |= bit!;
  }
  return flags;
}

interface Range {
  readonly sequence: number;
  readonly length: number;
  readonly ignoreSequence: boolean;
  readonly absoluteSequence: boolean;
}

/** Reads `1:1001(1000)`, `0:0(0)!` or `...(0)`. */
function readRange(reader: TokenReader): Range {
  const ignoreSequence = reader.isKind("ellipsis");
  if (ignoreSequence) {
    reader.next();
    reader.expect("(", "after ...");
    const length = reader.integer("a payload length", 0xffff);
    reader.expect(")", "after the payload length");
    return { sequence: 0, length, ignoreSequence, absoluteSequence: false };
  }
  const sequence = reader.integer("a sequence number", UINT32_MAX);
  reader.expect(":", "in the sequence numbers");
  const end = reader.integer("the sequence number after the payload", UINT32_MAX);
  reader.expect("(", "before the payload length");
  const length = reader.integer("a payload length", 0xffff);
  if ((sequence + length) >>> 0 !== end) reader.fail(`${sequence}:${end} does not span ${length} bytes`);
  reader.expect(")", "after the payload length");
  return { sequence, length, ignoreSequence, absoluteSequence: reader.take("!") };
}

function readTcp(reader: TokenReader, ip: IpSpec, isOut: boolean): PacketSpec {
  const ports = readPorts(reader);
  const flags = readFlags(reader);
  const range = readRange(reader);
  const acknowledgment = reader.take("ack") ? reader.integer("an acknowledgment number", UINT32_MAX) : 0;
  const window = reader.take("win") ? reader.integer("a window", 0xffff) : undefined;
  const urgent = reader.take("urg") ? reader.integer("an urgent pointer", 0xffff) : 0;
  const options = reader.take("<") ? readTcpOptions(reader) : [];
  if (options === undefined && !isOut) reader.fail("<...> stands for any options of an outbound packet only");
  if (reader.take("/")) reader.unsupported("TCP in UDP");
  return { protocol: "tcp", ip, flags, ...range, acknowledgment, window, urgent, options, ports };
}

function readUdp(reader: TokenReader, ip: IpSpec): PacketSpec {
  const ports = readPorts(reader);
  reader.expect("(", "after udp");
  const length = reader.integer("a payload length", 65_507);
  reader.expect(")", "after the payload length");
  return { protocol: "udp", ip, length, ports };
}

function readQuote(reader: TokenReader): IcmpQuote | undefined {
  if (!reader.take("[")) return undefined;
  let quote: IcmpQuote;
  if (reader.is("udp") || reader.is("raw")) {
    const protocol = reader.next().text === "udp" ? "udp" : "raw";
    reader.expect("(", `after ${protocol}`);
    quote = { protocol, length: reader.integer("a payload length", 65_507) };
    reader.expect(")", "after the payload length");
  } else if (reader.is("sctp") || reader.is("udplite")) {
    return reader.unsupported(reader.peek().text.toUpperCase());
  } else {
    const { sequence, length } = readRange(reader);
    quote = { protocol: "tcp", sequence, length };
  }
  if (reader.take("/")) reader.unsupported("TCP in UDP");
  reader.expect("]", "after what ICMP quotes");
  return quote;
}

function readIcmp(reader: TokenReader, ip: IpSpec): PacketSpec {
  const type = reader.word("an ICMP type");
  const hasCode = reader.isKind("word") && !reader.is("mtu") && !reader.is("id");
  const code = hasCode ? reader.next().text : undefined;
  const mtu = reader.take("mtu") ? reader.integer("an MTU", UINT32_MAX) : undefined;
  const id = reader.take("id") ? reader.integer("an identifier", 0xffff) : undefined;
  return { protocol: "icmp", ip, type, code, mtu, id, quote: readQuote(reader) };
}

const OTHER_PROTOCOLS = new Set(["sctp", "udplite", "gre", "mpls", "ipv4", "ipv6", "encap", "psp", "vxlan"]);

/** Reads a packet after its `<` or `>`. */
export function readPacket(reader: TokenReader, isOut: boolean): PacketSpec {
  const first = reader.peek().text;
  if (reader.isKind("word") && OTHER_PROTOCOLS.has(first)) return reader.unsupported(first.toUpperCase());
  const ip = readIp(reader);
  if (reader.take("udp")) return readUdp(reader, ip);
  if (reader.take("icmp")) return readIcmp(reader, ip);
  const word = reader.peek().text;
  if (reader.isKind("word") && OTHER_PROTOCOLS.has(word)) return reader.unsupported(word.toUpperCase());
  return readTcp(reader, ip, isOut);
}
