/** Takes from the stack's packets the one that a script expects: coalesced or cut, where the script thinks in other sizes. */
import { seqAdd } from "../../core/wire/seq.ts";
import { FIN, PSH, SYN } from "../../core/wire/tcp.ts";
import { sameIp } from "../../core/base/ip_address.ts";
import type { Flow } from "./flow.ts";
import { formatOptions } from "./format.ts";
import type { LivePacket } from "./packet_decode.ts";
import type { PacketSpec, TcpSegment } from "./script.ts";
import { streamByte } from "./sockets.ts";

/** True when the stack sent this packet on this flow, or is answering its remote end with ICMP. */
export function belongsTo(live: LivePacket, flow: Flow): boolean {
  if (!sameIp(live.destination, flow.ends.remote) || !sameIp(live.source, flow.ends.local)) return false;
  if (live.spec.protocol === "icmp") return true;
  return live.sourcePort === flow.ends.localPort && live.destinationPort === flow.ends.remotePort;
}

function canFollow(first: TcpSegment, total: number, next: TcpSegment): boolean {
  const kept = ~(PSH | FIN);
  return next.length > 0 && (first.flags & kept) === (next.flags & kept) && (first.flags & (FIN | SYN)) === 0 &&
    next.sequence === seqAdd(first.sequence, total) && next.acknowledgment === first.acknowledgment &&
    next.window === first.window && formatOptions(next.options) === formatOptions(first.options);
}

/** `packet` and `next` as one, if the second goes on where the first ends; as a device does that takes super-segments. */
export function coalesce(packet: LivePacket, next: LivePacket): LivePacket | undefined {
  const a = packet.spec;
  const b = next.spec;
  if (a.protocol !== "tcp" || b.protocol !== "tcp" || !canFollow(a, a.length, b)) return undefined;
  const payload = new Uint8Array(packet.payload.length + next.payload.length);
  payload.set(packet.payload);
  payload.set(next.payload, packet.payload.length);
  return { ...packet, spec: { ...a, flags: a.flags | b.flags, length: a.length + b.length }, payload };
}

/** The first `length` bytes of a super-segment as a segment of its own, and the rest. */
export function cut(packet: LivePacket, length: number): readonly [LivePacket, LivePacket] | undefined {
  const whole = packet.spec;
  if (whole.protocol !== "tcp" || length <= 0 || length >= whole.length) return undefined;
  const head = { ...whole, flags: whole.flags & ~(PSH | FIN), length };
  const tail = { ...whole, sequence: seqAdd(whole.sequence, length), length: whole.length - length };
  return [
    { ...packet, spec: head, payload: packet.payload.slice(0, length) },
    { ...packet, spec: tail, payload: packet.payload.slice(length) },
  ];
}

/** The first byte of a live segment that is not the one written there, as a sentence. */
export function wrongPayload(live: LivePacket, flow: Flow): string | undefined {
  if (live.spec.protocol !== "tcp" || (live.spec.flags & SYN) !== 0) return undefined;
  const first = (live.spec.sequence - flow.localInitial - 1) | 0;
  if (first < 0) return undefined; // a keep-alive probe repeats a byte that is already acknowledged
  for (let i = 0; i < live.payload.length; i++) {
    if (live.payload[i] !== streamByte(first + i)) {
      return `byte ${first + i} of the stream left the stack as another one`;
    }
  }
  return undefined;
}

/** Bytes of payload that a script expects in one packet. */
export function expectedLength(packet: PacketSpec): number {
  return packet.protocol === "icmp" ? 0 : packet.length;
}
