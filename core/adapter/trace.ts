/** The last packets of a device in words, for whoever must find out what happened: kept as bytes, written only when asked for. */
import { TRACE_PACKET_BYTES_MAX, TRACE_PACKETS_MAX } from "../base/limits.ts";
import { type Micros, micros } from "../base/micros.ts";
import type { Adapter, Capabilities } from "./adapter.ts";
import { type Arena, Frame, type Slot } from "./arena.ts";
import { packetText } from "./packet_text.ts";
import { PcapTap } from "./tap.ts";

/** A ring of packet heads with their times. */
export class TraceRing {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #at: Float64Array;
  /** Shape: for each packet, captured length, kept length, 1 when received, frame kind. */
  readonly #facts: Int32Array;
  readonly #capacity: number;
  #count = 0;

  constructor(capacity: number = TRACE_PACKETS_MAX) {
    this.#capacity = capacity;
    this.#bytes = new Uint8Array(capacity * TRACE_PACKET_BYTES_MAX);
    this.#view = new DataView(this.#bytes.buffer);
    this.#at = new Float64Array(capacity);
    this.#facts = new Int32Array(capacity * 4);
  }

  /** Packets seen, those that the ring forgot included. */
  get packets(): number {
    return this.#count;
  }

  /** Keeps a packet's head. */
  add(bytes: Uint8Array, at: number, length: number, isReceived: boolean, frame: Frame, now: Micros): void {
    const place = this.#count++ % this.#capacity;
    const kept = length < TRACE_PACKET_BYTES_MAX ? length : TRACE_PACKET_BYTES_MAX;
    const from = place * TRACE_PACKET_BYTES_MAX;
    for (let i = 0; i < kept; i++) this.#bytes[from + i] = bytes[at + i]!;
    this.#at[place] = now;
    this.#facts[4 * place] = length;
    this.#facts[4 * place + 1] = kept;
    this.#facts[4 * place + 2] = isReceived ? 1 : 0;
    this.#facts[4 * place + 3] = frame;
  }

  /** One line a packet, the oldest first: seconds, `<` received or `>` sent, what it says. */
  lines(): string[] {
    const lines: string[] = [];
    const first = this.#count > this.#capacity ? this.#count - this.#capacity : 0;
    for (let i = first; i < this.#count; i++) {
      const place = i % this.#capacity;
      const at = micros(this.#at[place]!);
      const length = this.#facts[4 * place]!;
      const isIp = this.#facts[4 * place + 3] === Frame.Ip;
      const text = isIp
        ? packetText(this.#view, place * TRACE_PACKET_BYTES_MAX, this.#facts[4 * place + 1]!, length)
        : `${length} bytes that are no IP packet`;
      const seconds = `${Math.floor(at / 1_000_000)}.${String(at % 1_000_000).padStart(6, "0")}`;
      lines.push(`${seconds} ${this.#facts[4 * place + 2] === 1 ? "<" : ">"} ${text}`);
    }
    return lines;
  }
}

/** A device that remembers its last packets. */
export class Trace implements Adapter {
  readonly ring: TraceRing;
  readonly #tap: PcapTap;

  constructor(inner: Adapter, capacity: number = TRACE_PACKETS_MAX) {
    const ring = new TraceRing(capacity);
    this.ring = ring;
    this.#tap = new PcapTap(inner, (arena, slot, isReceived, now) => {
      ring.add(arena.bytes, arena.at(slot), arena.length[slot]!, isReceived, arena.frame[slot] as Frame, now);
    });
  }

  get capabilities(): Capabilities {
    return this.#tap.capabilities;
  }

  /** When the device wants to be asked again; `NEVER` when it holds nothing back. */
  get nextDue(): Micros {
    return this.#tap.nextDue;
  }

  receive(arena: Arena, now: Micros): number {
    return this.#tap.receive(arena, now);
  }

  send(arena: Arena, slot: Slot, now: Micros): boolean {
    return this.#tap.send(arena, slot, now);
  }

  ready(): Promise<void> {
    return this.#tap.ready();
  }

  close(): void {
    this.#tap.close();
  }
}
