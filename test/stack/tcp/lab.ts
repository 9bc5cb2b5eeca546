/** Two ends of a TCP connection and the wire between them, without IP and without a stack. */
import { BufferPool } from "../../../core/base/byte_ring.ts";
import { type Micros, micros, NEVER } from "../../../core/base/micros.ts";
import { Prng } from "../../../core/base/prng.ts";
import { ACKNOWLEDGMENT, PacketMeta, SEQUENCE } from "../../../core/parse/packet_meta.ts";
import { TcpConnection } from "../../../core/stack/tcp/connection.ts";
import type { ConnectionHost, ConnectionIdentity, SegmentOutput } from "../../../core/stack/tcp/segment_output.ts";
import { SynFacts } from "../../../core/stack/tcp/syn_facts.ts";
import { DEFAULT_TCP_OPTIONS, type TcpOptions } from "../../../core/stack/tcp/tcp_options.ts";

const SLOT = 65_600;
const SLOTS = 8;

/** A segment as it left: the TCP header, options and payload. */
export interface Sent {
  readonly bytes: Uint8Array;
  readonly ecn: number;
  readonly segmentBytes: number;
  readonly at: Micros;
}

/** One end: its connection, its memory, and what it sent. */
export class End implements SegmentOutput, ConnectionHost {
  readonly buffers: BufferPool = new BufferPool();
  readonly bytes: Uint8Array = new Uint8Array(SLOT * SLOTS);
  readonly view: DataView = new DataView(this.bytes.buffer);
  readonly sent: Sent[] = [];
  readonly connection: TcpConnection;
  readonly #meta = new PacketMeta();
  readonly #prng: Prng;
  segmentBytesMax = 0;
  iss = 0;
  mtu = 0;
  /** Calls of each kind. */
  readonly calls: Record<string, number> = { events: 0, timeWait: 0, closed: 0 };
  /** When true, slots have run out. */
  starved = false;
  onSend: ((sent: Sent) => void) | undefined;

  constructor(
    seed: number,
    options: Partial<TcpOptions> = {},
    version: 4 | 6 = 4,
    ports: [number, number] = [1000, 2000],
  ) {
    this.#prng = new Prng(seed);
    this.iss = this.#prng.uint32();
    const words = version === 4 ? [0, 0, 0xffff, 0x0a000001] : [0x20010db8, 0, 0, 1];
    this.connection = new TcpConnection(this, this, version, words, ports[0], words, ports[1], {
      ...DEFAULT_TCP_OPTIONS,
      ...options,
    });
  }

  acquire(): number {
    return this.starved ? -1 : 0;
  }
  transportAt(slot: number, version: 4 | 6): number {
    return slot * SLOT + (version === 4 ? 20 : 40);
  }
  send(
    slot: number,
    connection: ConnectionIdentity,
    length: number,
    ecn: number,
    segmentBytes: number,
    now: Micros,
  ): void {
    const at = this.transportAt(slot, connection.version);
    const sent = { bytes: this.bytes.slice(at, at + length), ecn, segmentBytes, at: now };
    if (this.onSend) this.onSend(sent);
    else this.sent.push(sent);
  }
  eventsChanged(): void {
    this.calls["events"]!++;
  }
  deadlineChanged(): void {}
  timeWait(): void {
    this.calls["timeWait"]!++;
  }
  closed(): void {
    this.calls["closed"]!++;
  }
  uint32(): number {
    return this.#prng.uint32();
  }
  initialSequence(): number {
    return this.iss;
  }
  pathMtu(): number {
    return this.mtu;
  }

  /** Parses bytes of a segment into the shared record, as the parse stage would. */
  place(bytes: Uint8Array): PacketMeta {
    const at = SLOT + 40;
    this.bytes.set(bytes, at);
    const meta = this.#meta;
    const header = (this.view.getUint8(at + 12) >>> 4) * 4;
    meta.transportAt = at;
    meta.sourcePort = this.view.getUint16(at);
    meta.destinationPort = this.view.getUint16(at + 2);
    meta.words[SEQUENCE] = this.view.getUint32(at + 4);
    meta.words[ACKNOWLEDGMENT] = this.view.getUint32(at + 8);
    meta.flags = this.view.getUint8(at + 13);
    meta.payloadAt = at + header;
    meta.payloadLength = bytes.length - header;
    return meta;
  }

  /** Gives a segment to the connection; a SYN to a closed one opens it. */
  deliver(bytes: Uint8Array, ecn: number, now: Micros, pieceBytes = 0): void {
    const meta = this.place(bytes);
    if (this.connection.state === 0 && (meta.flags & 0x17) === 0x02) {
      const facts = new SynFacts();
      facts.read(this.view, meta);
      this.connection.openPassive(facts, now);
      return;
    }
    this.connection.segment(this.view, meta, ecn, pieceBytes, now);
  }
}

/** How a wire treats segments. Units: odds of 1,000, µs. */
export interface WireFaults {
  loss?: number;
  duplicate?: number;
  reorder?: number;
  delayUs?: number;
  jitterUs?: number;
  /** Units: bytes a second; 0 is no limit. */
  rate?: number;
  queueBytes?: number;
  /** Marks instead of nothing when the queue is half full. */
  mark?: boolean;
}

interface Flying {
  at: number;
  order: number;
  to: End;
  bytes: Uint8Array;
  ecn: number;
}

/** Two ends, a wire with faults, virtual time. */
export class Pair {
  readonly a: End;
  readonly b: End;
  now: Micros = micros(1_000_000);
  readonly #flying: Flying[] = [];
  readonly #faults: WireFaults;
  readonly #prng: Prng;
  readonly #busy = new Map<End, number>();
  #order = 0;
  delivered = 0;
  lost = 0;

  constructor(seed: number, faults: WireFaults = {}, a: Partial<TcpOptions> = {}, b: Partial<TcpOptions> = {}) {
    this.#prng = new Prng(seed).fork("wire");
    this.#faults = faults;
    this.a = new End(seed * 2 + 1, a, 4, [1000, 2000]);
    this.b = new End(seed * 2 + 2, b, 4, [2000, 1000]);
    this.a.onSend = (sent) => this.#carry(this.b, sent);
    this.b.onSend = (sent) => this.#carry(this.a, sent);
  }

  #carry(to: End, sent: Sent): void {
    for (const piece of cut(sent)) this.#fly(to, piece, sent.ecn);
    if (this.#faults.duplicate && this.#prng.chance(this.#faults.duplicate, 1000)) this.#fly(to, sent.bytes, sent.ecn);
  }

  #fly(to: End, bytes: Uint8Array, ecn: number): void {
    const faults = this.#faults;
    if (faults.loss && this.#prng.chance(faults.loss, 1000)) {
      this.lost++;
      return;
    }
    let at: number = this.now;
    let marked = ecn;
    if (faults.rate) {
      const free = Math.max(this.#busy.get(to) ?? 0, this.now);
      const queued = (free - this.now) * faults.rate / 1e6;
      const room = faults.queueBytes ?? 100_000;
      if (queued > room) {
        this.lost++;
        return;
      }
      if (faults.mark && ecn !== 0 && queued > room / 2) marked = 3;
      at = free + (bytes.length + 40) * 1e6 / faults.rate;
      this.#busy.set(to, at);
    }
    at += faults.delayUs ?? 10_000;
    if (faults.jitterUs) at += this.#prng.below(faults.jitterUs);
    if (faults.reorder && this.#prng.chance(faults.reorder, 1000)) at += (faults.delayUs ?? 10_000) / 2;
    this.#flying.push({ at, order: this.#order++, to, bytes, ecn: marked });
  }

  /** Does the next thing that happens; false when nothing will. */
  step(until: number = Infinity): boolean {
    let next: Flying | undefined;
    for (const each of this.#flying) {
      if (!next || each.at < next.at || (each.at === next.at && each.order < next.order)) next = each;
    }
    const timer = Math.min(this.a.connection.deadline, this.b.connection.deadline);
    const at = Math.min(next?.at ?? Infinity, timer);
    if (at === Infinity || at >= NEVER || at > until) {
      if (until !== Infinity) this.now = micros(Math.max(this.now, until));
      return false;
    }
    if (at > this.now) this.now = micros(Math.ceil(at));
    if (next && next.at <= timer) {
      this.#flying.splice(this.#flying.indexOf(next), 1);
      this.delivered++;
      next.to.deliver(next.bytes, next.ecn, this.now);
      return true;
    }
    for (const end of [this.a, this.b]) if (end.connection.deadline <= this.now) end.connection.timer(this.now);
    return true;
  }

  /** Lets time pass. */
  run(durationUs: number): void {
    const until = this.now + durationUs;
    while (this.step(until));
  }

  /** The handshake, begun by `a`. */
  connect(): void {
    this.a.connection.openActive(this.now);
  }
}

/** What a device would make of a super-segment. */
function cut(sent: Sent): Uint8Array[] {
  if (sent.segmentBytes === 0) return [sent.bytes];
  const header = (sent.bytes[12]! >>> 4) * 4;
  const pieces: Uint8Array[] = [];
  for (let at = header; at < sent.bytes.length; at += sent.segmentBytes) {
    const end = Math.min(sent.bytes.length, at + sent.segmentBytes);
    const piece = new Uint8Array(header + end - at);
    piece.set(sent.bytes.subarray(0, header));
    piece.set(sent.bytes.subarray(at, end), header);
    const view = new DataView(piece.buffer);
    view.setUint32(4, view.getUint32(4) + at - header);
    if (end < sent.bytes.length) piece[13] = piece[13]! & ~0x09;
    if (at > header) piece[13] = piece[13]! & ~0x80;
    pieces.push(piece);
  }
  return pieces;
}
