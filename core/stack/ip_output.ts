/**
 * Packets on their way out: the IP header, the checksums, fragments where they are needed, the device.
 *
 * Read first: RFC 791 section 3.2 (fragmentation), RFC 6864 (identification), RFC 8200 sections 3 and 4.5, RFC 7739 (fragment ids that cannot
 * be guessed).
 */
import { type Arena, Direction, NO_SLOT, type Slot } from "../adapter/arena.ts";
import { SLOT_BYTES } from "../base/limits.ts";
import type { Micros } from "../base/micros.ts";
import { addBytes, checksum, finishSum, pseudoSum4, pseudoSum6 } from "../wire/checksum.ts";
import * as icmp from "../wire/icmp.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import * as tcp from "../wire/tcp.ts";
import * as udp from "../wire/udp.ts";
import { Metric, type StackMetrics } from "./stack_metrics.ts";
import type { ConnectionIdentity, SegmentOutput } from "./tcp/segment_output.ts";

/** Where packets go. An `Adapter` is one. */
export interface PacketSink {
  /** Sends a slot's packet; the slot stays the caller's. False: the packet is lost. */
  send(arena: Arena, slot: Slot, now: Micros): boolean;
}

/** What a device takes off our hands. */
export interface OutputOptions {
  /** Units: bytes of an IP packet. */
  readonly mtu: number;
  /** Largest packet that the device cuts into segments; 0: none. Units: bytes of an IP packet. */
  readonly segmentationBytesMax: number;
  /** True when the device fills TCP and UDP checksums. */
  readonly checksumsComputed: boolean;
  /** What 4 and 6 packets start their lives with. Units: hops. */
  readonly timeToLive: number;
}

const DONT_FRAGMENT = 0x4000;
const MORE_FRAGMENTS = 0x2000;
/** The longest headers before TCP payload: IPv6 and TCP with all its options. Units: bytes. */
const HEADERS_BYTES_MAX = ipv6.HEADER_BYTES + 60;

/** Builds IP packets around transport headers that others have written. */
export class IpOutput implements SegmentOutput {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly segmentBytesMax: number;
  readonly mtu: number;
  readonly #arena: Arena;
  readonly #sink: PacketSink;
  readonly #options: OutputOptions;
  readonly #metrics: StackMetrics;
  /** Shape: [packets with an identification so far, secret]. */
  readonly #state: Int32Array;

  constructor(arena: Arena, sink: PacketSink, options: OutputOptions, metrics: StackMetrics, secret: number) {
    this.#arena = arena;
    this.#sink = sink;
    this.#options = options;
    this.#metrics = metrics;
    this.#state = new Int32Array([0, secret | 0]);
    this.bytes = arena.bytes;
    this.view = arena.view;
    this.mtu = options.mtu;
    const room = Math.min(options.segmentationBytesMax, SLOT_BYTES, 0xffff) - HEADERS_BYTES_MAX;
    this.segmentBytesMax = room > options.mtu ? room : 0;
  }

  /** A slot to build a packet in, or `NO_SLOT`. */
  acquire(): Slot {
    const slot = this.#arena.acquire();
    if (slot === NO_SLOT) this.#metrics.add(Metric.NoSlot);
    else this.#arena.direction[slot] = Direction.Inbound;
    return slot;
  }

  /** Where what follows the IP header goes. Units: bytes from the start of the arena. */
  transportAt(slot: Slot, version: 4 | 6): number {
    return this.#arena.at(slot) + (version === 4 ? ipv4.HEADER_BYTES : ipv6.HEADER_BYTES);
  }

  /** Sends a TCP segment of a connection and releases its slot. */
  send(
    slot: Slot,
    connection: ConnectionIdentity,
    tcpLength: number,
    ecn: number,
    segmentBytes: number,
    now: Micros,
  ): void {
    this.#arena.segmentBytes[slot] = segmentBytes;
    const { version, localAddress, remoteAddress } = connection;
    this.emit(
      slot,
      version,
      localAddress,
      remoteAddress,
      tcp.PROTOCOL,
      tcpLength,
      ecn,
      connection.mayFragment ? SLOT_BYTES : 0,
      now,
    );
  }

  /**
   * Adds the IP header and the checksum to `length` bytes of `protocol`, sends them and releases the slot. What is longer than `fragmentMtu`
   * goes in fragments; 0 forbids them. Shape: `from` and `to` are four words. False: the device or the arena was full.
   */
  emit(
    slot: Slot,
    version: 4 | 6,
    from: Uint32Array,
    to: Uint32Array,
    protocol: number,
    length: number,
    tos: number,
    fragmentMtu: number,
    now: Micros,
  ): boolean {
    const arena = this.#arena;
    const at = arena.at(slot);
    const total = length + (version === 4 ? ipv4.HEADER_BYTES : ipv6.HEADER_BYTES);
    if (version === 4) this.#header4(at, from[3]!, to[3]!, protocol, total, tos, fragmentMtu > 0);
    else this.#header6(at, from, to, protocol, length, tos);
    this.#sum(at, version, protocol, length, fragmentMtu);
    arena.length[slot] = total;
    arena.wireLength[slot] = total;
    return this.sendBuilt(slot, fragmentMtu > 0 ? fragmentMtu : SLOT_BYTES, now);
  }

  /** Sends a packet that is whole, in fragments when it is longer than `mtu`, and releases its slot. */
  sendBuilt(slot: Slot, mtu: number, now: Micros): boolean {
    const arena = this.#arena;
    const sent = arena.length[slot]! <= mtu ? this.#hand(slot, now) : this.#sendFragments(slot, mtu, now);
    arena.release(slot);
    return sent;
  }

  #hand(slot: Slot, now: Micros): boolean {
    const sent = this.#sink.send(this.#arena, slot, now);
    if (sent) {
      this.#metrics.add(Metric.Sent);
      this.#metrics.add(Metric.SentBytes, this.#arena.length[slot]!);
    } else this.#metrics.add(Metric.DeviceFull);
    return sent;
  }

  #header4(
    at: number,
    from: number,
    to: number,
    protocol: number,
    total: number,
    tos: number,
    mayFragment: boolean,
  ): void {
    const view = this.view;
    view.setUint16(at, 0x4500 | tos);
    view.setUint16(at + 2, total);
    // A packet that cannot be fragmented needs no identification. Source: RFC 6864 section 4.1.
    view.setUint32(at + 4, mayFragment ? (this.#identification(from ^ to) & 0xffff) << 16 : DONT_FRAGMENT);
    view.setUint16(at + 8, (this.#options.timeToLive << 8) | protocol);
    view.setUint16(at + 10, 0);
    view.setUint32(at + 12, from);
    view.setUint32(at + 16, to);
    view.setUint16(at + 10, checksum(view, at, ipv4.HEADER_BYTES));
  }

  #header6(at: number, from: Uint32Array, to: Uint32Array, protocol: number, length: number, tos: number): void {
    const view = this.view;
    view.setUint32(at, (6 << 28) | (tos << 20));
    view.setUint16(at + 4, length);
    view.setUint16(at + 6, (protocol << 8) | this.#options.timeToLive);
    for (let word = 0; word < 4; word++) {
      view.setUint32(at + 8 + (word << 2), from[word]!);
      view.setUint32(at + 24 + (word << 2), to[word]!);
    }
  }

  /** Counts up from a secret place for each pair of addresses. Source: RFC 7739 section 5.3. */
  #identification(pair: number): number {
    const count = this.#state[0]! + 1;
    this.#state[0] = count;
    let hash = Math.imul(pair ^ this.#state[1]!, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35);
    return (hash ^ (hash >>> 13)) + count;
  }

  #sum(at: number, version: 4 | 6, protocol: number, length: number, fragmentMtu: number): void {
    const view = this.view;
    const transportAt = at + (version === 4 ? ipv4.HEADER_BYTES : ipv6.HEADER_BYTES);
    const isIcmp4 = version === 4 && protocol === icmp.PROTOCOL;
    if (this.#options.checksumsComputed && isLeftToDevice(protocol, transportAt - at + length, fragmentMtu)) return;
    const field = transportAt + (protocol === tcp.PROTOCOL ? 16 : protocol === udp.PROTOCOL ? 6 : 2);
    view.setUint16(field, 0);
    let sum = 0;
    if (version === 6) sum = pseudoSum6(view, at, protocol, length);
    else if (!isIcmp4) sum = pseudoSum4(view, at, protocol, length);
    const result = finishSum(addBytes(sum, view, transportAt, length));
    view.setUint16(field, result === 0 && protocol === udp.PROTOCOL ? 0xffff : result);
  }

  #sendFragments(slot: Slot, mtu: number, now: Micros): boolean {
    const arena = this.#arena;
    const at = arena.at(slot);
    const version = this.view.getUint8(at) >>> 4;
    const headers = version === 4 ? ipv4.HEADER_BYTES : ipv6.HEADER_BYTES;
    const extra = version === 4 ? 0 : ipv6.FRAGMENT_BYTES;
    const payload = arena.length[slot]! - headers;
    const step = (mtu - headers - extra) & ~7;
    const id = version === 4 ? 0 : this.#identification(this.view.getUint32(at + 36));
    for (let offset = 0; offset < payload; offset += step) {
      const part = this.acquire();
      if (part === NO_SLOT) return false;
      const length = payload - offset < step ? payload - offset : step;
      const partAt = arena.at(part);
      arena.bytes.copyWithin(partAt, at, at + headers);
      arena.bytes.copyWithin(partAt + headers + extra, at + headers + offset, at + headers + offset + length);
      if (version === 4) this.#markFragment4(partAt, length, offset, offset + length < payload);
      else this.#markFragment6(partAt, length, offset, offset + length < payload, id);
      arena.length[part] = headers + extra + length;
      arena.wireLength[part] = headers + extra + length;
      const sent = this.#hand(part, now);
      arena.release(part);
      if (!sent) return false;
      this.#metrics.add(Metric.FragmentsSent);
    }
    return true;
  }

  #markFragment4(at: number, length: number, offset: number, more: boolean): void {
    const view = this.view;
    view.setUint16(at + 2, ipv4.HEADER_BYTES + length);
    view.setUint16(at + 6, (more ? MORE_FRAGMENTS : 0) | (offset >>> 3));
    view.setUint16(at + 10, 0);
    view.setUint16(at + 10, checksum(view, at, ipv4.HEADER_BYTES));
  }

  #markFragment6(at: number, length: number, offset: number, more: boolean, id: number): void {
    const view = this.view;
    const next = at + ipv6.HEADER_BYTES;
    view.setUint16(at + 4, ipv6.FRAGMENT_BYTES + length);
    view.setUint16(next, view.getUint8(at + 6) << 8);
    view.setUint8(at + 6, ipv6.FRAGMENT);
    view.setUint16(next + 2, offset | (more ? 1 : 0));
    view.setUint32(next + 4, id);
  }
}

/** The device sums whole packets and super-segments, but no datagram that leaves in pieces. */
function isLeftToDevice(protocol: number, total: number, fragmentMtu: number): boolean {
  return protocol === tcp.PROTOCOL || (protocol === udp.PROTOCOL && total <= fragmentMtu);
}
