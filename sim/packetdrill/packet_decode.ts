/** Bytes that the stack sent → the form in which scripts speak of packets, with live numbers. */
import { type IpAddress, ipFromWords } from "../../core/base/ip_address.ts";
import * as icmp from "../../core/wire/icmp.ts";
import * as ipv4 from "../../core/wire/ipv4.ts";
import * as ipv6 from "../../core/wire/ipv6.ts";
import * as tcp from "../../core/wire/tcp.ts";
import * as udp from "../../core/wire/udp.ts";
import { DESTINATION, PacketMeta, SOURCE } from "../../core/parse/packet_meta.ts";
import { parsePacket, Verify } from "../../core/parse/parse.ts";
import { DROP_REASON_NAMES, DropReason } from "../../core/parse/drop_reason.ts";
import { icmpNames } from "./icmp_names.ts";
import type { IpSpec, PacketSpec, TcpOption } from "./script.ts";

/** A packet of the stack. */
export interface LivePacket {
  readonly atUs: number;
  readonly version: 4 | 6;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly spec: PacketSpec;
  readonly payload: Uint8Array;
}

function decodeOption(view: DataView, kind: number, at: number, length: number): TcpOption {
  const data: number[] = [];
  for (let i = 2; i < length; i++) data.push(view.getUint8(at + i));
  if (kind === tcp.OPTION_MSS && length === 4) return { kind: "mss", value: view.getUint16(at + 2) };
  if (kind === tcp.OPTION_WINDOW_SCALE && length === 3) return { kind: "wscale", value: view.getUint8(at + 2) };
  if (kind === tcp.OPTION_SACK_PERMITTED && length === 2) return { kind: "sackOK" };
  if (kind === tcp.OPTION_SACK && length >= 10 && (length - 2) % 8 === 0) {
    const blocks: [number, number][] = [];
    for (let i = at + 2; i < at + length; i += 8) blocks.push([view.getUint32(i), view.getUint32(i + 4)]);
    return { kind: "sack", blocks };
  }
  if (kind === tcp.OPTION_TIMESTAMPS && length === 10) {
    const stamps = { value: view.getUint32(at + 2), echo: view.getUint32(at + 6) };
    return { kind: "timestamps", ...stamps, ignoreValue: false, absoluteEcho: false };
  }
  if (kind === 34) return { kind: "fastOpen", cookie: data, experimental: false };
  return { kind: "unknown", code: kind, data };
}

/** The options of a TCP header in their order; what is malformed shows as an unknown option. */
export function decodeOptions(view: DataView, at: number): TcpOption[] {
  const end = at + tcp.headerLength(view, at);
  const options: TcpOption[] = [];
  for (let i = at + tcp.HEADER_BYTES; i < end;) {
    const kind = view.getUint8(i);
    if (kind === tcp.OPTION_END || kind === tcp.OPTION_NOP) {
      options.push({ kind: kind === tcp.OPTION_END ? "eol" : "nop" });
      i++;
      continue;
    }
    const length = i + 1 < end ? view.getUint8(i + 1) : 0;
    if (length < 2 || i + length > end) return [...options, { kind: "unknown", code: kind, data: [] }];
    options.push(decodeOption(view, kind, i, length));
    i += length;
  }
  return options;
}

function ipOf(view: DataView, version: 4 | 6): IpSpec {
  const value = version === 4 ? ipv4.tos(view, 0) : ipv6.trafficClass(view, 0);
  const ttl = version === 4 ? ipv4.timeToLive(view, 0) : ipv6.hopLimit(view, 0);
  const flowLabel = version === 4 ? undefined : ipv6.flowLabel(view, 0);
  return { tos: { mask: 255, value, isAnyEct: false }, ttl, flowLabel };
}

function tcpSpec(view: DataView, meta: PacketMeta, ip: IpSpec): PacketSpec {
  const at = meta.transportAt;
  return {
    protocol: "tcp",
    ip,
    flags: tcp.flags(view, at),
    sequence: tcp.sequence(view, at),
    length: meta.payloadLength,
    ignoreSequence: false,
    absoluteSequence: false,
    acknowledgment: tcp.acknowledgment(view, at),
    window: tcp.window(view, at),
    urgent: tcp.urgentPointer(view, at),
    options: decodeOptions(view, at),
    ports: undefined,
  };
}

function icmpSpec(view: DataView, meta: PacketMeta, ip: IpSpec): PacketSpec {
  const at = meta.transportAt;
  const names = icmpNames(meta.version, icmp.type(view, at), icmp.code(view, at));
  const rest = icmp.restOfHeader(view, at);
  const isTooBig = names.type === "packet_too_big";
  const isEcho = names.type === "echo_reply" || names.type === "echo_request";
  const id = isEcho && rest >>> 16 !== 0 ? rest >>> 16 : undefined;
  return { protocol: "icmp", ip, ...names, mtu: isTooBig ? rest : undefined, id, quote: undefined };
}

/** Reads a whole packet. Errors: a sentence when the stack sent something that is not sound, its checksums included. */
export function decodePacket(bytes: Uint8Array, atUs: number): LivePacket | string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const meta = new PacketMeta();
  const reason = parsePacket(view, 0, bytes.length, bytes.length, Verify.All, meta);
  if (reason !== DropReason.None) return `the stack sent a packet that is not sound: ${DROP_REASON_NAMES[reason]}`;
  const w = meta.words;
  const ip = ipOf(view, meta.version);
  const isTcp = meta.protocol === tcp.PROTOCOL;
  const isUdp = meta.protocol === udp.PROTOCOL;
  const spec: PacketSpec = isTcp
    ? tcpSpec(view, meta, ip)
    : isUdp
    ? { protocol: "udp", ip, length: meta.payloadLength, ports: undefined }
    : icmpSpec(view, meta, ip);
  return {
    atUs,
    version: meta.version,
    source: ipFromWords(w[SOURCE]!, w[SOURCE + 1]!, w[SOURCE + 2]!, w[SOURCE + 3]!),
    destination: ipFromWords(w[DESTINATION]!, w[DESTINATION + 1]!, w[DESTINATION + 2]!, w[DESTINATION + 3]!),
    sourcePort: isTcp || isUdp ? meta.sourcePort : 0,
    destinationPort: isTcp || isUdp ? meta.destinationPort : 0,
    spec,
    payload: bytes.slice(meta.payloadAt, meta.payloadAt + meta.payloadLength),
  };
}
