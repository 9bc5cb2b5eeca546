/** A script's inbound packet → bytes for the stack, on the flow that it belongs to. */
import { ACK, PROTOCOL as TCP, SYN } from "../../core/wire/tcp.ts";
import { PROTOCOL as UDP } from "../../core/wire/udp.ts";
import type { Flow } from "./flow.ts";
import { icmpNumbers } from "./icmp_names.ts";
import { icmpBytes, optionsBytes, quotedBytes, tcpBytes, udpBytes } from "./packet_bytes.ts";
import { MismatchError, UnsupportedError } from "./script_error.ts";
import type { IcmpMessage, PacketSpec, TcpSegment } from "./script.ts";
import { streamByte } from "./sockets.ts";

/** The bytes of the stream that stand at these sequence numbers: each place has its own, however segments overlap. */
function payloadOf(segment: TcpSegment, flow: Flow): Uint8Array {
  const bytes = new Uint8Array(segment.length);
  const first = (segment.flags & SYN) !== 0 ? segment.sequence - flow.remoteInitial : segment.sequence - 1;
  for (let i = 0; i < bytes.length; i++) bytes[i] = streamByte((first + i) | 0);
  return bytes;
}

function icmpOf(message: IcmpMessage, flow: Flow, line: number): Uint8Array {
  const { version } = flow.ends;
  const numbers = icmpNumbers(version, message.type, message.code);
  if (numbers === undefined) {
    throw new UnsupportedError(line, `ICMP ${message.type} ${message.code ?? ""}`.trimEnd());
  }
  const rest = message.mtu ?? ((message.id ?? 0) << 16) >>> 0;
  if (!numbers.isError) return icmpBytes(numbers.type, numbers.code, rest, new Uint8Array(0), flow.ends, message.ip);
  const quote = message.quote ?? { protocol: "tcp", sequence: 0, length: 0 };
  if (quote.protocol === "raw") throw new UnsupportedError(line, "an ICMP error about a raw packet");
  const body = quote.protocol === "udp"
    ? quotedBytes(UDP, 0, quote.length, flow.ends)
    : quotedBytes(TCP, flow.localToLive(quote.sequence, false), quote.length, flow.ends);
  return icmpBytes(numbers.type, numbers.code, rest, body, flow.ends, message.ip);
}

/** The packet as it goes onto the wire. Errors: `MismatchError` when its options cannot stand in a TCP header. */
export function inboundBytes(packet: PacketSpec, flow: Flow, isPassive: boolean, line: number): Uint8Array {
  if (packet.protocol === "udp") return udpBytes(packet.length, flow.ends, packet.ip);
  if (packet.protocol === "icmp") return icmpOf(packet, flow, line);
  flow.learnInbound(packet, isPassive);
  const live = flow.toLive(packet);
  const options = optionsBytes(live.options ?? []);
  if (options === undefined) {
    throw new MismatchError(line, "the TCP options must fill whole 32-bit words, up to 40 bytes: add nop or eol");
  }
  return tcpBytes(live, options, payloadOf(packet, flow), flow.ends);
}

/** True for a segment that opens a connection. */
export function isOpening(packet: PacketSpec): boolean {
  return packet.protocol === "tcp" && (packet.flags & (SYN | ACK)) === SYN;
}
