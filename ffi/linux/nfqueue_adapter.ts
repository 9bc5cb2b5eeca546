/**
 * Packets that iptables hands over, as an adapter with WinDivert's meaning.
 *
 * Outbound is what leaves local programs (OUTPUT), inbound what reaches them (INPUT); the loopback is seen outbound only; what weir makes is never
 * seen again. Each packet waits in the kernel for one verdict: sent back as it was it is accepted, changed it is accepted with its new
 * bytes, released it is dropped. What weir makes leaves through raw sockets. Verdicts are collected and sent when the turn is over.
 */
import type { Adapter, Capabilities } from "../../core/adapter/adapter.ts";
import { type Arena, Direction, NO_SLOT, NO_TAG, type Slot } from "../../core/adapter/arena.ts";
import {
  NFQUEUE_BATCH_PACKETS_MAX,
  NFQUEUE_MESSAGE_BYTES,
  NFQUEUE_PACKET_BYTES_MAX,
  NFQUEUE_SLOTS_RESERVED,
  SLOT_BYTES,
} from "../../core/base/limits.ts";
import type { Micros } from "../../core/base/micros.ts";
import { calcChecksums } from "../../core/filter/checksums.ts";
import type { Filter } from "../../core/filter/compile.ts";
import * as layout from "./layout.ts";
import { Descriptor, type Libc } from "./libc.ts";
import {
  CHANGED_VERDICT_HEADERS,
  createQueuedPacket,
  readPacket,
  VerdictBatch,
  writeChangedVerdict,
} from "./nfqueue_message.ts";
import { QueueRecords } from "./nfqueue_records.ts";

/** The number of the loopback device in every network namespace. */
const LOOPBACK_DEVICE = 1;

/** What weir makes carries this mark and the number of its queue: not taken for another weir's, and by others known as made. Units: bits of a mark. */
export const MARK_BASE = 0x7e17_0000;

/** What went through the queue. Units: packets. */
export interface NfqueueCounts {
  /** Handed over by the kernel, those included that were let pass at once. */
  received: number;
  /** Let pass at once: the filter does not match. */
  unmatched: number;
  /** Let pass at once: too long for the kernel to hand over whole. */
  cut: number;
  /** Sent back as they were; with other bytes; not at all. */
  accepted: number;
  changed: number;
  dropped: number;
  /** Made by weir and sent. */
  made: number;
  /** Made by weir, and the kernel did not take them. */
  refused: number;
}

/** A bound queue; `NfqueueSocket` is one. */
export interface PacketQueue {
  readonly queue: number;
  readonly descriptor: { readonly number: number; close(): void };
  /** Messages side by side, `NFQUEUE_MESSAGE_BYTES` apart. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Takes up to `count` messages; 0 or less when none are there. */
  receive(count: number): number;
  /** Units: bytes of a message that was taken. */
  lengthOf(index: number): number;
  /** Sends the first `length` bytes, which are verdicts. */
  send(bytes: Uint8Array<ArrayBuffer>, length: number): boolean;
}

/** Sends packets that weir makes; `RawSender` does. */
export interface PacketSender {
  linkDevice: number;
  send(arena: Arena, slot: Slot): boolean;
  close(): void;
}

/** The facts that a filter may ask for. One object serves for every packet. */
interface MutableAddress {
  outbound: boolean;
  loopback: boolean;
  impostor: boolean;
  ifIdx: number;
}

/** The queue with its buffers. Use it on the thread that opened it. */
export class NfqueueAdapter implements Adapter {
  readonly capabilities: Capabilities;
  readonly counts: NfqueueCounts = {
    received: 0,
    unmatched: 0,
    cut: 0,
    accepted: 0,
    changed: 0,
    dropped: 0,
    made: 0,
    refused: 0,
  };
  readonly #libc: Libc;
  readonly #socket: PacketQueue;
  readonly #sender: PacketSender;
  readonly #filter: Filter;
  readonly #wake: Descriptor;
  readonly #batch: VerdictBatch;
  readonly #address: MutableAddress = { outbound: false, loopback: false, impostor: false, ifIdx: 0 };
  readonly #packet = createQueuedPacket();
  readonly #changed = new Uint8Array(CHANGED_VERDICT_HEADERS + SLOT_BYTES);
  readonly #changedView = new DataView(this.#changed.buffer);
  readonly #pollBytes = new Uint8Array(2 * layout.Size.pollfd);
  #records = new QueueRecords(0);
  /** Packets that have no verdict yet. */
  #waitingCount = 0;
  #newest = 0;
  /** Messages that were taken from the kernel and not looked at. */
  #messageNext = 0;
  #messageCount = 0;
  readonly #flushSoon = (): void => this.#flush();
  #arena: Arena | undefined = undefined;
  #reserved = 0;
  #waiting: Promise<void> | undefined = undefined;
  #isClosed = false;

  constructor(libc: Libc, socket: PacketQueue, sender: PacketSender, filter: Filter, mtu: number) {
    this.#libc = libc;
    this.#socket = socket;
    this.#sender = sender;
    this.#filter = filter;
    this.#batch = new VerdictBatch(socket.queue);
    // The kernel completes the checksums of what it hands over, and checks again what comes back to it.
    this.capabilities = {
      kind: "divert",
      mtu: Math.min(mtu, NFQUEUE_PACKET_BYTES_MAX),
      batch: NFQUEUE_BATCH_PACKETS_MAX,
      checksumsVouched: true,
    };
    const { eventfd } = libc.calls;
    this.#wake = new Descriptor(libc, libc.check(eventfd(0, layout.O_NONBLOCK | layout.O_CLOEXEC), "make an eventfd"));
    const poll = new Int32Array(this.#pollBytes.buffer);
    poll[0] = socket.descriptor.number;
    poll[1] = layout.POLLIN;
    poll[2] = this.#wake.number;
    poll[3] = layout.POLLIN;
  }

  receive(arena: Arena, _now: Micros): number {
    if (arena !== this.#arena) this.#bind(arena);
    this.#flush();
    let count = 0;
    for (let left = NFQUEUE_BATCH_PACKETS_MAX; left > 0; left--) {
      if (arena.freeCount <= this.#reserved) break;
      if (this.#messageNext >= this.#messageCount && !this.#refill()) break;
      count += this.#take(arena, this.#messageNext++);
    }
    this.#flush();
    return count;
  }

  #refill(): boolean {
    this.#messageNext = 0;
    const count = this.#socket.receive(NFQUEUE_BATCH_PACKETS_MAX);
    this.#messageCount = count > 0 ? count : 0;
    return count > 0;
  }

  /** Units: packets that arrived in the arena, 0 or 1. */
  #take(arena: Arena, index: number): number {
    const { view, bytes } = this.#socket;
    const packet = this.#packet;
    if (!readPacket(view, index * NFQUEUE_MESSAGE_BYTES, this.#socket.lengthOf(index), packet)) return 0;
    const { payloadAt, payloadLength, packetId } = packet;
    const isOutbound = packet.hook === layout.NF_INET_LOCAL_OUT;
    const device = isOutbound ? packet.outDevice : packet.inDevice;
    this.counts.received++;
    this.#newest = packetId;
    this.#waitingCount++;
    this.#learnDevice(view, payloadAt, payloadLength, device, isOutbound);
    if (packet.wireLength > payloadLength || payloadLength === 0) {
      this.counts.cut++;
      this.#judge(packetId, layout.NF_ACCEPT);
      return 0;
    }
    this.#address.outbound = isOutbound;
    this.#address.loopback = device === LOOPBACK_DEVICE;
    this.#address.impostor = packet.mark >>> 16 === MARK_BASE >>> 16;
    this.#address.ifIdx = device;
    if (!this.#filter.matchesAt(bytes, payloadAt, payloadLength, this.#address)) {
      this.counts.unmatched++;
      this.#judge(packetId, layout.NF_ACCEPT);
      return 0;
    }
    const way = isOutbound ? Direction.Outbound : Direction.Inbound;
    const tag = this.#records.add(packetId, way);
    const slot = tag === NO_TAG ? NO_SLOT : arena.acquire();
    if (slot === NO_SLOT) {
      this.counts.dropped++;
      return this.#judge(packetId, layout.NF_DROP);
    }
    arena.bytes.set(bytes.subarray(payloadAt, payloadAt + payloadLength), arena.at(slot));
    arena.length[slot] = payloadLength;
    arena.wireLength[slot] = payloadLength;
    arena.direction[slot] = way;
    arena.tag[slot] = tag;
    arena.arrive(slot);
    return 1;
  }

  /** Link-local addresses mean something on one device only. */
  #learnDevice(view: DataView, at: number, length: number, device: number, isOutbound: boolean): void {
    if (device === LOOPBACK_DEVICE || length < 40 || view.getUint8(at) >>> 4 !== 6) return;
    if ((view.getUint16(at + (isOutbound ? 24 : 8)) & 0xffc0) === 0xfe80) this.#sender.linkDevice = device;
  }

  /** Adds a verdict to those that are sent next. */
  #judge(packetId: number, verdict: number): 0 {
    if (this.#batch.isFull) this.#flush();
    if (this.#batch.count === 0) queueMicrotask(this.#flushSoon);
    this.#batch.add(packetId, verdict);
    this.#waitingCount--;
    return 0;
  }

  #flush(): void {
    if (this.#batch.count === 0 || this.#socket.descriptor.number < 0) return;
    this.#socket.send(this.#batch.bytes, this.#batch.take(this.#waitingCount === 0));
  }

  send(arena: Arena, slot: Slot, _now: Micros): boolean {
    if (arena !== this.#arena) this.#bind(arena);
    const record = this.#records.find(arena.tag[slot]!);
    arena.tag[slot] = NO_TAG;
    if (record >= 0) {
      const packetId = this.#records.packetId(record);
      const way = this.#records.way(record);
      this.#records.remove(record);
      if (arena.direction[slot] === way) return this.#sendBack(arena, slot, packetId);
      // It goes the other way now: for the kernel it is another packet.
      this.#judge(packetId, layout.NF_DROP);
      fillChecksums(arena, slot);
    } else if (arena.changed[slot] !== 0) fillChecksums(arena, slot);
    const sent = this.#sender.send(arena, slot);
    if (sent) this.counts.made++;
    else this.counts.refused++;
    return sent;
  }

  #sendBack(arena: Arena, slot: Slot, packetId: number): boolean {
    if (arena.changed[slot] === 0) {
      this.counts.accepted++;
      this.#judge(packetId, layout.NF_ACCEPT);
      return true;
    }
    const at = arena.at(slot);
    const length = arena.length[slot]!;
    fillChecksums(arena, slot);
    const bytes = writeChangedVerdict(this.#changedView, this.#socket.queue, packetId, length);
    this.#changed.set(arena.bytes.subarray(at, at + length), CHANGED_VERDICT_HEADERS);
    // Verdicts on packets before this one must not overtake it.
    this.#flush();
    this.#waitingCount--;
    this.counts.changed++;
    return this.#socket.send(this.#changed, bytes);
  }

  #released(tag: number): void {
    const record = this.#records.find(tag);
    if (record < 0) return;
    const packetId = this.#records.packetId(record);
    this.#records.remove(record);
    this.counts.dropped++;
    this.#judge(packetId, layout.NF_DROP);
  }

  /** Errors: rejects once the queue is closed. */
  ready(): Promise<void> {
    this.#flush();
    if (this.#messageNext < this.#messageCount) return Promise.resolve();
    this.#waiting ??= this.#wait();
    return this.#waiting;
  }

  async #wait(): Promise<void> {
    try {
      while (!this.#isClosed) {
        await this.#libc.calls.pollAside(this.#pollBytes, 2n, -1);
        const events = new Int16Array(this.#pollBytes.buffer);
        if (this.#isClosed || (events[3]! & layout.POLLNVAL) !== 0) break;
        if ((events[3]! & (layout.POLLIN | layout.POLLERR)) !== 0) return;
      }
      throw new Error(this.#isClosed ? "the queue is closed" : "Cannot read from the packet queue: it is gone");
    } finally {
      this.#waiting = undefined;
      if (this.#isClosed) this.#release();
    }
  }

  /** Lets everything pass that still waits, and ends. Take the rules away before. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#arena !== undefined) this.#arena.onRelease = undefined;
    this.#flush();
    const everything = this.#batch.acceptAll(this.#newest);
    this.#socket.send(everything, everything.length);
    this.#sender.close();
    if (this.#waiting === undefined) this.#release();
    else this.#libc.calls.write(this.#wake.number, new Uint8Array(new Uint32Array([1, 0]).buffer), 8n);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Descriptors are closed only when nobody waits on them: their numbers may belong to others a moment later. */
  #release(): void {
    this.#socket.descriptor.close();
    this.#wake.close();
  }

  #bind(arena: Arena): void {
    this.#arena = arena;
    this.#records = new QueueRecords(arena.slotCount);
    this.#reserved = Math.min(NFQUEUE_SLOTS_RESERVED, arena.slotCount >> 3);
    arena.onRelease = (_slot, tag) => this.#released(tag);
  }
}

function fillChecksums(arena: Arena, slot: Slot): void {
  const at = arena.at(slot);
  calcChecksums(arena.bytes.subarray(at, at + arena.length[slot]!));
}
