/** Packets in packetdrill notation, both those of the script and those of the stack, so that two lines can be compared by eye. */
import { ACK, CWR, ECE, FIN, PSH, RST, SYN, URG } from "../../core/wire/tcp.ts";
import type { IcmpMessage, IpSpec, PacketSpec, TcpOption, TcpSegment } from "./script.ts";

const LETTERS: readonly (readonly [number, string])[] = [
  [FIN, "F"],
  [SYN, "S"],
  [RST, "R"],
  [PSH, "P"],
  [URG, "U"],
  [ECE, "E"],
  [CWR, "W"],
  [ACK, "."],
];

const ECN_NAMES = ["noecn", "ect1", "ect0", "ce"];

/** Control bits as letters: `S.`, `P.`, `-` for none. */
export function formatFlags(flags: number): string {
  const letters = LETTERS.filter(([bit]) => (flags & bit) !== 0).map(([, letter]) => letter).join("");
  return letters === "" ? "-" : letters;
}

function hex(bytes: readonly number[]): string {
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function formatOption(option: TcpOption): string {
  switch (option.kind) {
    case "mss":
    case "wscale":
      return `${option.kind} ${option.value}`;
    case "sack":
      return `sack ${option.blocks.map(([left, right]) => `${left}:${right}`).join(" ")}`;
    case "timestamps":
      return `TS val ${option.ignoreValue ? "..." : option.value} ecr ${option.echo}${option.absoluteEcho ? "!" : ""}`;
    case "fastOpen":
      return `${option.experimental ? "FOEXP" : "FO"} ${hex(option.cookie)}`.trimEnd();
    case "unknown":
      return `unknown-${option.code} ${hex(option.data)}`.trimEnd();
    default:
      return option.kind;
  }
}

/** TCP options between angle brackets; empty when there are none. */
export function formatOptions(options: readonly TcpOption[] | undefined): string {
  if (options === undefined) return " <...>";
  return options.length === 0 ? "" : ` <${options.map(formatOption).join(",")}>`;
}

function formatIp(ip: IpSpec): string {
  const parts: string[] = [];
  if (ip.tos !== undefined) {
    const { mask, value, isAnyEct } = ip.tos;
    if (isAnyEct) parts.push("ect01");
    else if (mask === 3) parts.push(ECN_NAMES[value & 3]!);
    else parts.push(`tos 0x${value.toString(16)}`);
  }
  if (ip.ttl !== undefined) parts.push(`ttl ${ip.ttl}`);
  if (ip.flowLabel !== undefined) parts.push(`flowlabel 0x${ip.flowLabel.toString(16)}`);
  return parts.length === 0 ? "" : `(${parts.join(",")}) `;
}

function formatTcp(segment: TcpSegment): string {
  const { sequence, length, flags, acknowledgment, window, urgent } = segment;
  const range = segment.ignoreSequence
    ? `...(${length})`
    : `${sequence}:${(sequence + length) >>> 0}(${length})${segment.absoluteSequence ? "!" : ""}`;
  const ack = (flags & ACK) !== 0 || acknowledgment !== 0 ? ` ack ${acknowledgment}` : "";
  const win = window === undefined ? "" : ` win ${window}`;
  const urg = urgent === 0 ? "" : ` urg ${urgent}`;
  return `${formatFlags(flags)} ${range}${ack}${win}${urg}${formatOptions(segment.options)}`;
}

function formatIcmp(message: IcmpMessage): string {
  const code = message.code === undefined ? "" : ` ${message.code}`;
  const mtu = message.mtu === undefined ? "" : ` mtu ${message.mtu}`;
  const id = message.id === undefined ? "" : ` id ${message.id}`;
  const quote = message.quote;
  let echoed = "";
  if (quote !== undefined) {
    echoed = quote.protocol === "tcp"
      ? ` [${quote.sequence}:${(quote.sequence + quote.length) >>> 0}(${quote.length})]`
      : ` [${quote.protocol} (${quote.length})]`;
  }
  return `icmp ${message.type}${code}${mtu}${id}${echoed}`;
}

/** A packet without its direction and time: `P. 1:1001(1000) ack 1 win 257`. */
export function formatPacket(packet: PacketSpec): string {
  const ip = formatIp(packet.ip);
  const ports = packet.protocol !== "icmp" && packet.ports !== undefined
    ? `${packet.ports[0]} > ${packet.ports[1]} `
    : "";
  switch (packet.protocol) {
    case "tcp":
      return ip + ports + formatTcp(packet);
    case "udp":
      return `${ip}udp ${ports}(${packet.length})`;
    case "icmp":
      return ip + formatIcmp(packet);
  }
}

/** A time in seconds with six decimals. Units of the argument: µs. */
export function formatSeconds(us: number): string {
  return (us / 1_000_000).toFixed(6);
}
