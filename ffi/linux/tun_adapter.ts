/**
 * A Linux TUN device as an adapter: programs of the host on one side, weir on the other.
 *
 * Packets are read with plain calls straight into arena slots until there are none; only then a call on another thread waits for more.
 */
import type { Adapter, Capabilities } from "../../core/adapter/adapter.ts";
import { type Arena, Direction, type Slot } from "../../core/adapter/arena.ts";
import { PACKET_BYTES_MAX, TUN_BATCH_PACKETS_MAX, TUN_SLOTS_RESERVED } from "../../core/base/limits.ts";
import type { Micros } from "../../core/base/micros.ts";
import { splitDatagrams } from "./datagram_split.ts";
import * as layout from "./layout.ts";
import { addressOf, Descriptor, type Libc, type LibcCalls } from "./libc.ts";
import { gsoSize, gsoType, isVouched, OFFLOAD_HEADER_BYTES, writeSendHeader } from "./offload_header.ts";
import type { TunDevice } from "./tun_device.ts";

const WORD = 0x1_0000_0000;

/** The longest packet that may be cut into segments: what an IPv4 length field holds. */
const SEGMENTATION_BYTES_MAX = 0xffff;

/** What went through a device. Units: packets, as the device carries them. */
export interface TunCounts {
  received: number;
  sent: number;
  /** Super-packets among them. */
  receivedLarge: number;
  sentLarge: number;
  /** Packets that the kernel did not take: the device is down, or they make no sense to it. */
  refused: number;
  /** UDP super-packets that could not be split. */
  unsplit: number;
}

/** The device with its buffers. Use it on the thread that opened it. */
export class TunAdapter implements Adapter {
  readonly capabilities: Capabilities;
  readonly name: string;
  readonly counts: TunCounts = { received: 0, sent: 0, receivedLarge: 0, sentLarge: 0, refused: 0, unsplit: 0 };
  readonly #libc: Libc;
  readonly #calls: LibcCalls;
  readonly #device: TunDevice;
  readonly #wake: Descriptor;
  readonly #header = new Uint8Array(16);
  readonly #headerView = new DataView(this.#header.buffer);
  /** Two `iovec`: the header's place, which is fixed, and the packet's. Shape: [base low, base high, length, 0] twice. */
  readonly #vector = new Uint8Array(2 * layout.Size.iovec);
  readonly #vectorWords = new Uint32Array(this.#vector.buffer);
  /** The second of them. */
  readonly #packetVector = this.#vector.subarray(layout.Size.iovec);
  readonly #pollBytes = new Uint8Array(2 * layout.Size.pollfd);
  #arena: Arena | undefined = undefined;
  /** Where the arena lies, in two words. */
  #arenaLow = 0;
  #arenaHigh = 0;
  #reserved = 0;
  #waiting: Promise<void> | undefined = undefined;
  #isClosed = false;

  constructor(libc: Libc, device: TunDevice, mtu: number) {
    this.#libc = libc;
    this.#calls = libc.calls;
    this.#device = device;
    this.name = device.name;
    this.capabilities = {
      kind: "tun",
      mtu,
      batch: TUN_BATCH_PACKETS_MAX,
      checksumsVouched: false,
      checksumsComputed: device.hasHeader,
      ...(device.segmentsTcp ? { segmentationBytesMax: SEGMENTATION_BYTES_MAX } : {}),
    };
    this.#wake = new Descriptor(
      libc,
      libc.check(this.#calls.eventfd(0, layout.O_NONBLOCK | layout.O_CLOEXEC), "make an eventfd"),
    );
    const header = addressOf(this.#header);
    this.#vectorWords[0] = header % WORD;
    this.#vectorWords[1] = header / WORD;
    this.#vectorWords[2] = OFFLOAD_HEADER_BYTES;
    const poll = new Int32Array(this.#pollBytes.buffer);
    poll[0] = device.descriptor.number;
    poll[1] = layout.POLLIN;
    poll[2] = this.#wake.number;
    poll[3] = layout.POLLIN;
  }

  receive(arena: Arena, _now: Micros): number {
    if (arena !== this.#arena) this.#bind(arena);
    let count = 0;
    while (count < TUN_BATCH_PACKETS_MAX && arena.freeCount > this.#reserved) {
      const slot = arena.acquire();
      const length = this.#read(arena.at(slot));
      if (length <= 0) {
        arena.release(slot);
        break;
      }
      arena.length[slot] = length;
      arena.wireLength[slot] = length;
      arena.direction[slot] = Direction.Outbound;
      this.counts.received++;
      count += this.#device.hasHeader ? this.#arriveWithHeader(arena, slot) : this.#arrive(arena, slot);
    }
    return count;
  }

  #arrive(arena: Arena, slot: Slot): number {
    arena.arrive(slot);
    return 1;
  }

  #arriveWithHeader(arena: Arena, slot: Slot): number {
    const type = gsoType(this.#headerView);
    arena.vouched[slot] = isVouched(this.#headerView) ? 1 : 0;
    if (type === layout.GSO_NONE) return this.#arrive(arena, slot);
    this.counts.receivedLarge++;
    if (type !== layout.GSO_UDP_L4) {
      arena.segmentBytes[slot] = gsoSize(this.#headerView);
      return this.#arrive(arena, slot);
    }
    const count = splitDatagrams(arena, slot, gsoSize(this.#headerView));
    if (count === 0) {
      this.counts.unsplit++;
      arena.release(slot);
    }
    return count;
  }

  send(arena: Arena, slot: Slot, _now: Micros): boolean {
    if (arena !== this.#arena) this.#bind(arena);
    const at = arena.at(slot);
    const length = arena.length[slot]!;
    const fd = this.#device.descriptor.number;
    this.#pointAt(at, length);
    let written: number;
    if (this.#device.hasHeader) {
      const segmentBytes = arena.segmentBytes[slot]!;
      writeSendHeader(this.#headerView, arena.view, at, length, segmentBytes);
      written = this.#calls.writev(fd, this.#vector, 2);
      if (segmentBytes !== 0) this.counts.sentLarge++;
    } else written = this.#calls.writev(fd, this.#packetVector, 1);
    if (written < 0) {
      this.counts.refused++;
      return false;
    }
    this.counts.sent++;
    return true;
  }

  /** Errors: rejects once the device is gone or closed. */
  ready(): Promise<void> {
    this.#waiting ??= this.#wait();
    return this.#waiting;
  }

  async #wait(): Promise<void> {
    try {
      while (!this.#isClosed) {
        await this.#calls.pollAside(this.#pollBytes, 2n, -1);
        const events = new Int16Array(this.#pollBytes.buffer);
        if (this.#isClosed) break;
        if ((events[3]! & (layout.POLLERR | layout.POLLNVAL)) !== 0) break;
        if ((events[3]! & layout.POLLIN) !== 0) return;
      }
      throw new Error(this.#isClosed ? "the device is closed" : `Cannot read from ${this.name}: the device is gone`);
    } finally {
      this.#waiting = undefined;
      if (this.#isClosed) this.#release();
    }
  }

  /** Ends what waits; the kernel takes the device away with its addresses and routes. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#waiting === undefined) this.#release();
    else this.#calls.write(this.#wake.number, new Uint8Array(new Uint32Array([1, 0]).buffer), 8n);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Descriptors are closed only when nobody waits on them: their numbers may belong to others a moment later. */
  #release(): void {
    this.#device.descriptor.close();
    this.#wake.close();
  }

  /** Units: bytes of the packet, 0 or less when there is none. */
  #read(at: number): number {
    const fd = this.#device.descriptor.number;
    this.#pointAt(at, PACKET_BYTES_MAX);
    if (!this.#device.hasHeader) return this.#calls.readv(fd, this.#packetVector, 1);
    return this.#calls.readv(fd, this.#vector, 2) - OFFLOAD_HEADER_BYTES;
  }

  /** Lets the second vector point into the arena. */
  #pointAt(at: number, length: number): void {
    const words = this.#vectorWords;
    const low = this.#arenaLow + at;
    words[4] = low;
    words[5] = low < WORD ? this.#arenaHigh : this.#arenaHigh + 1;
    words[6] = length;
  }

  /** The arena's memory never moves while the arena is held. */
  #bind(arena: Arena): void {
    this.#arena = arena;
    const base = addressOf(arena.bytes);
    this.#arenaLow = base % WORD;
    this.#arenaHigh = Math.floor(base / WORD);
    this.#reserved = Math.min(TUN_SLOTS_RESERVED, arena.slotCount >> 3);
  }
}
