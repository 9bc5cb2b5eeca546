/** A stack whose packets are kept, and a peer that speaks to it in bytes of its own. */
import { Arena, type Slot } from "../../core/adapter/arena.ts";
import { type Micros, micros } from "../../core/base/micros.ts";
import { Prng } from "../../core/base/prng.ts";
import { DROP_REASON_NAMES } from "../../core/parse/drop_reason.ts";
import { PacketMeta } from "../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../core/parse/parse.ts";
import { type PacketSink, Stack } from "../../core/stack/stack.ts";
import type { StackChoices } from "../../core/stack/stack_options.ts";
import type { TcpConnection } from "../../core/stack/tcp/connection.ts";
import { tcpPacket, type TransportChoices } from "./packets.ts";

/** The words of a dotted IPv4 address, or of an IPv6 one in eight full groups. */
export function words(text: string): Uint32Array {
  if (text.includes(":")) {
    const groups = text.split(":").map((group) => parseInt(group, 16));
    return new Uint32Array([0, 2, 4, 6].map((i) => (groups[i]! << 16) | groups[i + 1]!));
  }
  const [a, b, c, d] = text.split(".").map(Number) as [number, number, number, number];
  return new Uint32Array([0, 0, 0xffff, (a << 24) | (b << 16) | (c << 8) | d]);
}

/** The numbers of a TCP packet that the stack sent, read by hand. */
export interface SentSegment {
  readonly version: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly acknowledgment: number;
  /** Letters of F S R P A U. */
  readonly flags: string;
  readonly window: number;
  readonly options: number[];
  readonly payload: string;
  readonly bytes: number;
}

/** Reads a packet as TCP. */
export function readSegment(packet: Uint8Array): SentSegment {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const version = packet[0]! >> 4;
  const at = version === 4 ? (packet[0]! & 15) * 4 : 40;
  const end = at + (packet[at + 12]! >> 4) * 4;
  const flags = [..."FSRPAU"].filter((_, bit) => (packet[at + 13]! & (1 << bit)) !== 0).join("");
  return {
    version,
    sourcePort: view.getUint16(at),
    destinationPort: view.getUint16(at + 2),
    sequence: view.getUint32(at + 4),
    acknowledgment: view.getUint32(at + 8),
    flags,
    window: view.getUint16(at + 14),
    options: [...packet.slice(at + 20, end)],
    payload: new TextDecoder().decode(packet.slice(end)),
    bytes: packet.length,
  };
}

/** A stack, what it sent, and the time. */
export class StackWorld implements PacketSink {
  readonly arena: Arena;
  readonly stack: Stack;
  /** Packets that the stack sent and that nobody looked at yet. */
  readonly sent: Uint8Array[] = [];
  now: Micros = micros(1_000_000);
  isFull = false;
  /** False counts what is sent and keeps nothing. */
  keeps = true;
  bytesIn = 0;
  bytesOut = 0;
  packetsOut = 0;
  readonly #meta = new PacketMeta();

  constructor(choices: StackChoices = {}, slotCount = 64) {
    this.arena = new Arena(slotCount);
    this.stack = new Stack(choices, new Prng(7), this.arena, this);
  }

  send(arena: Arena, slot: Slot, _now: Micros): boolean {
    if (this.isFull) return false;
    this.packetsOut++;
    this.bytesOut += arena.length[slot]!;
    if (this.keeps) this.sent.push(arena.bytes.slice(arena.at(slot), arena.at(slot) + arena.length[slot]!));
    return true;
  }

  /** Gives the stack a packet; the drop reason by name, "none" when it was consumed. */
  give(packet: Uint8Array, tag = -1): string {
    const { arena } = this;
    const slot = arena.acquire();
    if (slot < 0) throw new Error("the arena is empty");
    arena.bytes.set(packet, arena.at(slot));
    arena.length[slot] = packet.length;
    arena.wireLength[slot] = packet.length;
    this.bytesIn += packet.length;
    let reason = parse(arena, slot, Verify.All, this.#meta);
    if (reason === 0) reason = this.stack.receive(slot, this.#meta, this.now, tag);
    arena.release(slot);
    return DROP_REASON_NAMES[reason]!;
  }

  /** Lets time pass, running what falls due meanwhile. */
  pass(us: number): void {
    const end = this.now + us;
    for (;;) {
      const deadline = this.stack.poll(this.now);
      if (deadline > end) break;
      this.now = micros(Math.max(deadline, this.now));
    }
    this.now = micros(end);
  }

  /** Takes the next packet that was sent, after checking its checksums. Errors: when there is none, or it is unsound. */
  take(): Uint8Array {
    const packet = this.sent.shift();
    if (packet === undefined) throw new Error("nothing was sent");
    const arena = new Arena(1);
    const slot = arena.acquire();
    arena.bytes.set(packet);
    arena.length[slot] = packet.length;
    arena.wireLength[slot] = packet.length;
    const reason = parse(arena, slot, Verify.All, new PacketMeta());
    if (reason !== 0) throw new Error(`an unsound packet was sent: ${DROP_REASON_NAMES[reason]}`);
    return packet;
  }

  /** Takes the next packet as a segment. */
  takeSegment(): SentSegment {
    return readSegment(this.take());
  }
}

/** Window scale 7, SACK and MSS 1460, as options of a SYN. */
export const SYN_OPTIONS = [2, 4, 5, 180, 1, 3, 3, 7, 4, 2, 1, 1];

/** One end of a TCP connection with the stack, which keeps its own numbers. */
export class Peer {
  readonly world: StackWorld;
  readonly choices: TransportChoices;
  sequence: number;
  acknowledgment = 0;

  constructor(world: StackWorld, choices: TransportChoices = {}) {
    this.world = world;
    this.choices = choices;
    this.sequence = choices.sequence ?? 1_000;
  }

  /** Sends a segment with the present numbers. */
  send(flags: string, payload = "", more: TransportChoices = {}): string {
    const { sequence, acknowledgment } = this;
    const packet = tcpPacket({ ...this.choices, sequence, acknowledgment, flags, payload, ...more });
    this.sequence = (sequence + payload.length + (/[SF]/.test(flags) ? 1 : 0)) >>> 0;
    return this.world.give(packet, more.id ?? -1);
  }

  /** Takes the stack's next segment and notes what it says. */
  take(): SentSegment {
    const segment = this.world.takeSegment();
    const length = segment.payload.length + (/[SF]/.test(segment.flags) ? 1 : 0);
    this.acknowledgment = (segment.sequence + length) >>> 0;
    return segment;
  }

  /** Completes a handshake after the stack's SYN-ACK. */
  acknowledgeSyn(): SentSegment {
    const synAck = this.take();
    this.send("A");
    return synAck;
  }
}

/** Text that a connection has received. */
export function receiveText(connection: TcpConnection, now: Micros): string {
  const into = new Uint8Array(65_536);
  const length = connection.receive(into, 0, into.length, now);
  return new TextDecoder().decode(into.slice(0, length));
}

/** Sends text over a connection; how much was accepted. Units: bytes. */
export function sendText(connection: TcpConnection, text: string, now: Micros): number {
  const bytes = new TextEncoder().encode(text);
  return connection.send(bytes, 0, bytes.length, now);
}
