/**
 * WinDivert as an adapter: packets are borrowed from the system in batches, and go back in batches.
 *
 * Several reads wait in the driver while we work; a batch is split into slots as the engine takes them in. A packet that goes back unchanged does so
 * byte for byte under its own address. What is sent is collected and handed over when the event loop's turn ends or the batch is full.
 *
 * Read first: WinDivert 2.2 documentation section 5.
 */
import type { Adapter, Capabilities } from "../../core/adapter/adapter.ts";
import { type Arena, Direction, NO_TAG, type Slot } from "../../core/adapter/arena.ts";
import {
  DIVERT_CLOSE_MS_MAX,
  DIVERT_RECEIVE_PACKETS_MAX,
  DIVERT_REQUEST_BYTES,
  DIVERT_REQUEST_COUNT,
  PACKET_BYTES_MAX,
  TUN_SLOTS_RESERVED,
} from "../../core/base/limits.ts";
import { invariant } from "../../core/base/invariant.ts";
import type { Micros } from "../../core/base/micros.ts";
import { createEvent, type Handle, INFINITE, WAIT_FAILED } from "../win32/kernel32.ts";
import { usize } from "../win32/memory.ts";
import type { DivertHandle } from "./divert_handle.ts";
import { DivertInterfaces } from "./interfaces.ts";
import { AddressBit, CHECKSUM_BITS, Shutdown } from "./layout.ts";
import { ADDRESS_WORDS, type OverlappedBuffer } from "./overlapped.ts";
import { DivertReceiver } from "./receiver.ts";
import { DivertSender, type SendCounts } from "./sender.ts";

/** Where an address's bits begin in its third word, which is Layer │ Event │ bits │ reserved. */
const BITS_SHIFT = 16;
const IPV4_HEADER_BYTES = 20;
const IPV6_HEADER_BYTES = 40;

/** What went through the device. Units: packets. */
export interface DivertCounts extends SendCounts {
  received: number;
  /** Went back under the address that they came with. */
  returned: number;
  /** Made here. */
  made: number;
  /** Bytes in a batch that are no IP packet: the rest of that batch is lost. */
  unreadable: number;
  /** Could not be sent: no IP packet, or every send buffer was the driver's. */
  refused: number;
  /** Made for a local address of which no packet was ever seen, so that nobody knows its interface. */
  unrouted: number;
}

/** Something else that reports while the adapter waits: flow and socket events. */
export interface EventSource {
  /** Takes in what is there. */
  drain(now: Micros): void;
  readonly isReady: boolean;
  /** The event that says when there is more; 0 when there will be none. */
  readonly event: number;
  /** Takes back a signal that came late. */
  rearm(): void;
  /** Ends it; `event` stays valid until `dispose`. */
  close(): void;
  dispose(): void;
}

/** The device with its buffers. Use it on the thread that made it. */
export class DivertAdapter implements Adapter {
  readonly capabilities: Capabilities;
  readonly #handle: DivertHandle;
  readonly #receiver: DivertReceiver;
  readonly #sender: DivertSender;
  readonly #events: readonly EventSource[];
  readonly #interfaces = new DivertInterfaces();
  readonly #quit: Handle;
  readonly #waited: BigUint64Array<ArrayBuffer>;
  readonly #made = new Uint32Array(ADDRESS_WORDS);
  readonly #counts = { received: 0, returned: 0, made: 0, unreadable: 0, refused: 0, unrouted: 0 };
  readonly #flushLater = (): void => this.#flushAtTurnsEnd();
  #arena: Arena | undefined = undefined;
  /** The address of each slot's packet, and under which tag. */
  #addresses = new Uint32Array(0);
  #tags = new Int32Array(0);
  #generation = 0;
  #generationMax = 0;
  #reserved = 0;
  /** How far the batch in hand has been split. */
  #offset = 0;
  #index = 0;
  #isFlushDue = false;
  #waiting: Promise<void> | undefined = undefined;
  #isClosed = false;

  /** Takes over the handle and the events, which `close` closes. Errors: `WinError` when there is no memory; they stay the caller's then. */
  constructor(handle: DivertHandle, mtu: number, events: readonly EventSource[] = []) {
    this.#handle = handle;
    this.#events = events;
    this.#waited = new BigUint64Array(2 + events.length);
    this.capabilities = {
      kind: "divert",
      mtu,
      batch: DIVERT_RECEIVE_PACKETS_MAX,
      checksumsVouched: true,
      checksumsComputed: true,
    };
    using rescue = new DisposableStack();
    this.#quit = rescue.use(createEvent(handle.calls.kernel32, true));
    this.#receiver = new DivertReceiver(handle, DIVERT_REQUEST_COUNT, DIVERT_REQUEST_BYTES);
    rescue.defer(() => this.#receiver.dispose());
    this.#sender = new DivertSender(handle);
    this.#receiver.start();
    rescue.move();
  }

  /** What went through so far. */
  get counts(): DivertCounts {
    return { ...this.#counts, ...this.#sender.counts };
  }

  receive(arena: Arena, now: Micros): number {
    if (arena !== this.#arena) this.#bind(arena);
    this.#sender.reap();
    for (let i = 0; i < this.#events.length; i++) this.#events[i]!.drain(now);
    let count = 0;
    while (count < DIVERT_RECEIVE_PACKETS_MAX && arena.freeCount > this.#reserved) {
      const batch = this.#receiver.take();
      if (batch === undefined) break;
      if (this.#takePacket(arena, batch)) count++;
      if (this.#index >= this.#receiver.count) this.#nextBatch();
    }
    return count;
  }

  #nextBatch(): void {
    this.#offset = 0;
    this.#index = 0;
    this.#receiver.recycle();
  }

  /** Copies the batch's next packet into a slot. False when there is none: the batch ends there. */
  #takePacket(arena: Arena, batch: OverlappedBuffer): boolean {
    const length = this.#packetLength(batch);
    if (length === 0) {
      this.#counts.unreadable += this.#receiver.count - this.#index;
      this.#index = this.#receiver.count;
      return false;
    }
    const from = batch.packetsAt + this.#offset;
    const slot = arena.acquire();
    const at = arena.at(slot);
    arena.bytes.set(batch.bytes.subarray(from, from + length), at);
    arena.length[slot] = length;
    arena.wireLength[slot] = length;
    const words = batch.addressWords;
    const wordAt = this.#index * ADDRESS_WORDS;
    const row = slot * ADDRESS_WORDS;
    for (let i = 0; i < ADDRESS_WORDS; i++) this.#addresses[row + i] = words[wordAt + i]!;
    const bits = words[wordAt + 2]! >>> BITS_SHIFT;
    const isOutbound = (bits & AddressBit.Outbound) !== 0;
    arena.direction[slot] = isOutbound ? Direction.Outbound : Direction.Inbound;
    this.#mark(arena, slot);
    if (length >= IPV4_HEADER_BYTES) this.#learn(arena, at, length, bits, words[wordAt + 4]!, words[wordAt + 5]!);
    this.#offset += length;
    this.#index++;
    this.#counts.received++;
    arena.arrive(slot);
    return true;
  }

  /** A tag names the slot and which of its packets: an address is never used for a packet that came later. */
  #mark(arena: Arena, slot: Slot): void {
    this.#generation = this.#generation === this.#generationMax ? 0 : this.#generation + 1;
    const tag = this.#generation * arena.slotCount + slot;
    arena.tag[slot] = tag;
    this.#tags[slot] = tag;
  }

  #learn(arena: Arena, at: number, length: number, bits: number, ifIdx: number, subIfIdx: number): void {
    if (arena.view.getUint8(at) >>> 4 === 6 && length < IPV6_HEADER_BYTES) return;
    const isLoopback = (bits & AddressBit.Loopback) !== 0;
    const isOutbound = (bits & AddressBit.Outbound) !== 0;
    this.#interfaces.learn(arena.view, at, isOutbound, ifIdx, subIfIdx, isLoopback);
    if (isLoopback) this.#interfaces.learn(arena.view, at, !isOutbound, ifIdx, subIfIdx, true);
  }

  /** Length of the batch's next packet, by its IP header; the last one has what is left when its header does not say. 0: it cannot be told. */
  #packetLength(batch: OverlappedBuffer): number {
    const left = this.#receiver.length - this.#offset;
    if (this.#index >= this.#receiver.count || left <= 0) return 0;
    const length = ipLength(batch.view, batch.packetsAt + this.#offset, left);
    if (length > 0) return length;
    return this.#index === this.#receiver.count - 1 && left <= PACKET_BYTES_MAX ? left : 0;
  }

  send(arena: Arena, slot: Slot, _now: Micros): boolean {
    if (arena !== this.#arena) this.#bind(arena);
    const at = arena.at(slot);
    const length = ipLength(arena.view, at, arena.length[slot]!);
    if (length === 0 || this.#isClosed) return this.#refuse();
    const tag = arena.tag[slot]!;
    arena.tag[slot] = NO_TAG;
    const row = tag < 0 ? 0 : tag % arena.slotCount;
    if (tag < 0 || this.#tags[row] !== tag) return this.#sendMade(arena, slot, at, length);
    this.#tags[row] = NO_TAG;
    const addressAt = row * ADDRESS_WORDS;
    const word = this.#addresses[addressAt + 2]!;
    const bits = arena.changed[slot] === 0 ? word : word & ~(CHECKSUM_BITS << BITS_SHIFT);
    if (!this.#add(arena, at, length, this.#addresses, addressAt, bits)) return false;
    this.#counts.returned++;
    return true;
  }

  /** A packet that no address belongs to: it goes out, or in through the interface on which its receiver lives. */
  #sendMade(arena: Arena, slot: Slot, at: number, length: number): boolean {
    const isInbound = arena.direction[slot] === Direction.Inbound;
    if (!this.#interfaces.find(arena.view, at, !isInbound) && isInbound) {
      this.#counts.unrouted++;
      return false;
    }
    const isLoopback = this.#interfaces.isLoopback(arena.view, at);
    let bits = isInbound && !isLoopback ? 0 : AddressBit.Outbound;
    if (isLoopback) bits |= AddressBit.Loopback;
    if (arena.view.getUint8(at) >>> 4 === 6) bits |= AddressBit.Ipv6;
    this.#made[4] = this.#interfaces.ifIdx;
    this.#made[5] = this.#interfaces.subIfIdx;
    if (!this.#add(arena, at, length, this.#made, 0, bits << BITS_SHIFT)) return false;
    this.#counts.made++;
    return true;
  }

  #add(arena: Arena, at: number, length: number, addresses: Uint32Array, addressAt: number, bits: number): boolean {
    if (!this.#sender.add(arena.bytes, at, length, addresses, addressAt, bits)) return this.#refuse();
    if (!this.#isFlushDue) {
      this.#isFlushDue = true;
      queueMicrotask(this.#flushLater);
    }
    return true;
  }

  #refuse(): boolean {
    this.#counts.refused++;
    return false;
  }

  /** Whoever sent, the engine's poll or a socket's callback: once it is done, what was collected goes. */
  #flushAtTurnsEnd(): void {
    this.#isFlushDue = false;
    if (!this.#isClosed) this.#sender.flush();
  }

  /** Errors: rejects once the device is gone or closed. */
  ready(): Promise<void> {
    this.#waiting ??= this.#wait();
    return this.#waiting;
  }

  async #wait(): Promise<void> {
    try {
      // Whatever comes of it, it comes after `ready` has noted that somebody waits.
      await Promise.resolve();
      while (!this.#isClosed) {
        if (this.#receiver.isEnded) {
          throw this.#receiver.failure ?? new Error("Cannot read from WinDivert: the handle was shut down");
        }
        if (this.#isReady) return;
        this.#receiver.rearm();
        for (const source of this.#events) source.rearm();
        if (this.#isReady) continue;
        const count = this.#fillWaited();
        const { waitForMultipleObjectsAside } = this.#handle.calls.kernel32;
        const answer = await waitForMultipleObjectsAside(count, this.#waited, 0, INFINITE);
        if (answer === WAIT_FAILED && !this.#isClosed) {
          throw new Error("Cannot wait for WinDivert: its events are gone");
        }
      }
      throw new Error("the device is closed");
    } finally {
      this.#waiting = undefined;
      if (this.#isClosed) this.#dispose();
    }
  }

  get #isReady(): boolean {
    return this.#receiver.isReady || this.#events.some((source) => source.isReady);
  }

  /** Gathers the events to wait for: quitting, packets, flows and sockets. */
  #fillWaited(): number {
    let count = 0;
    this.#waited[count++] = BigInt(this.#quit.value);
    this.#waited[count++] = BigInt(this.#receiver.event);
    for (const { event } of this.#events) if (event !== 0) this.#waited[count++] = BigInt(event);
    return count;
  }

  /**
   * Ends diverting without losing what the driver had queued for us: nothing new is queued, the rest goes back untouched, then the handle closes.
   * At that point no read is under way any more, so that nothing can race with it.
   */
  close(): void {
    if (this.#isClosed) return;
    this.#sender.flush();
    this.#isClosed = true;
    this.#handle.shutdown(Shutdown.Receive);
    const deadline = { left: DIVERT_CLOSE_MS_MAX };
    this.#returnQueued(deadline);
    this.#sender.flush();
    for (; this.#sender.isPending && deadline.left > 0; deadline.left--) {
      this.#sender.waitBriefly(1);
      this.#sender.reap();
    }
    this.#handle.shutdown(Shutdown.Both);
    if (this.#receiver.isPending || this.#sender.isPending) {
      this.#handle.calls.kernel32.CancelIoEx(usize(this.#handle.value), usize(0));
      this.#receiver.waitBriefly(1);
      this.#sender.waitBriefly(1);
    }
    this.#handle.close();
    for (const source of this.#events) source.close();
    this.#handle.calls.kernel32.SetEvent(usize(this.#quit.value));
    if (this.#waiting === undefined) this.#dispose();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #returnQueued(deadline: { left: number }): void {
    const receiver = this.#receiver;
    while (!receiver.isEnded) {
      const batch = receiver.take();
      if (batch === undefined) {
        if (receiver.isEnded) return;
        if (deadline.left-- <= 0) return;
        receiver.waitBriefly(1);
        continue;
      }
      for (let length = this.#packetLength(batch); length > 0; length = this.#packetLength(batch)) {
        const words = batch.addressWords;
        const wordAt = this.#index * ADDRESS_WORDS;
        const from = batch.packetsAt + this.#offset;
        while (!this.#sender.add(batch.bytes, from, length, words, wordAt, words[wordAt + 2]!)) {
          if (deadline.left-- <= 0) return;
          this.#sender.waitBriefly(1);
        }
        this.#offset += length;
        this.#index++;
      }
      this.#nextBatch();
    }
  }

  /** Events are closed only when nobody waits on them: their numbers may belong to others a moment later. */
  #dispose(): void {
    this.#receiver.dispose();
    this.#sender.dispose();
    for (const source of this.#events) source.dispose();
    this.#quit.close();
  }

  #bind(arena: Arena): void {
    invariant(this.#arena === undefined, "a diverting device serves one arena");
    this.#arena = arena;
    this.#addresses = new Uint32Array(arena.slotCount * ADDRESS_WORDS);
    this.#tags = new Int32Array(arena.slotCount).fill(NO_TAG);
    this.#generationMax = Math.floor(0x7fff_ffff / arena.slotCount) - 1;
    this.#reserved = Math.min(TUN_SLOTS_RESERVED, arena.slotCount >> 3);
  }
}

/** Length of an IP packet by its header. Units: bytes; 0 when the header is not there, or says less or more than there can be. */
function ipLength(view: DataView, at: number, left: number): number {
  if (left < IPV4_HEADER_BYTES) return 0;
  const version = view.getUint8(at) >>> 4;
  if (version === 4) {
    const length = view.getUint16(at + 2);
    return length >= IPV4_HEADER_BYTES && length <= left ? length : 0;
  }
  if (version !== 6 || left < IPV6_HEADER_BYTES) return 0;
  const length = IPV6_HEADER_BYTES + view.getUint16(at + 4);
  return length <= left ? length : 0;
}
