/** The one block of memory that packets live in, from their arrival to their end. */
import { ARENA_SLOT_COUNT, SLOT_BYTES } from "../base/limits.ts";
import { invariant } from "../base/invariant.ts";
import type { RingRegion } from "../base/ring_region.ts";
import { sumQuickly } from "../wire/checksum.ts";
import type { PacketMemory } from "./packet_memory.ts";

/** A place in the arena: an index, 0 … slotCount−1. */
export type Slot = number;

/** No slot: nothing received, or none free. */
export const NO_SLOT: Slot = -1;

/** The tag of a packet that no device knows: one that was made here, or that was sent on. */
export const NO_TAG = -1;

/** Which way a packet goes, as far as its device says. */
export const Direction = { Unknown: 0, Inbound: 1, Outbound: 2 } as const;
/** A value of `Direction`. */
export type Direction = (typeof Direction)[keyof typeof Direction];

/** What a device says about a frame before anybody looked into it. */
export const Frame = {
  /** An IP packet starts at the slot's first byte. */
  Ip: 0,
  /** The link layer says that it carries something else, ARP for instance. */
  NotIp: 1,
  /** The link layer's own header was cut short. */
  LinkTruncated: 2,
} as const;
/** A value of `Frame`. */
export type Frame = (typeof Frame)[keyof typeof Frame];

/**
 * Slots of equal size over one buffer, with one `DataView` shared by all who read headers.
 *
 * A slot is free, filled by an adapter and waiting in arrival order, or in the engine's hands (`take` … `release`). `next` chains slots that
 * wait together (a flow's queue, a datagram's fragments); who holds a slot owns its `next`.
 */
export class Arena {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly slotCount: number;
  /** Memory for the rings of the connections that these packets belong to; undefined: they bring their own. */
  readonly rings: RingRegion | undefined;
  /** Captured bytes in the slot. */
  readonly length: Int32Array;
  /** Bytes the packet had on the wire; more than `length` only in captures with a snap length. */
  readonly wireLength: Int32Array;
  readonly direction: Uint8Array;
  readonly frame: Uint8Array;
  /** What the adapter wants to find again when the packet comes back: an address index, a record number. */
  readonly tag: Int32Array;
  /** 1 once the packet's bytes are not those that its device gave: a device that sends it back as it was computes its checksums anew. */
  readonly changed: Uint8Array;
  /** 1 when the device has checked the TCP or UDP checksum of a received packet, or leaves it unfinished as the packet never left the machine. */
  readonly vouched: Uint8Array;
  /** TCP payload bytes of each segment when the slot holds several as one packet (segmentation offload, either way); else 0. */
  readonly segmentBytes: Int32Array;
  /** The flow the packet belongs to, −1 while unknown. */
  readonly flow: Int32Array;
  readonly next: Int32Array;
  /**
   * Hears of each slot that is given back while its device's tag stands: a packet that was borrowed and not sent on has to end there too. It is
   * called before the slot is free, and must not acquire or release any.
   */
  onRelease: ((slot: Slot, tag: number) => void) | undefined = undefined;
  readonly #free: Int32Array;
  readonly #arrived: Int32Array;
  /** Shape: [free count, arrived head, arrived count]. */
  readonly #state = new Int32Array(3);

  /** Slots in a buffer of their own, or in `memory`, which must have been made for as many and which only one arena at a time may use. */
  constructor(slotCount: number = ARENA_SLOT_COUNT, memory?: PacketMemory) {
    this.slotCount = slotCount;
    this.bytes = memory?.bytes ?? new Uint8Array(slotCount * SLOT_BYTES);
    invariant(this.bytes.length >= slotCount * SLOT_BYTES, "an arena's memory holds its slots");
    this.view = new DataView(this.bytes.buffer);
    this.rings = memory?.rings;
    if (memory !== undefined) sumQuickly(this.view, memory.sums.sum);
    this.length = new Int32Array(slotCount);
    this.wireLength = new Int32Array(slotCount);
    this.direction = new Uint8Array(slotCount);
    this.frame = new Uint8Array(slotCount);
    this.tag = new Int32Array(slotCount).fill(NO_TAG);
    this.changed = new Uint8Array(slotCount);
    this.vouched = new Uint8Array(slotCount);
    this.segmentBytes = new Int32Array(slotCount);
    this.flow = new Int32Array(slotCount).fill(-1);
    this.next = new Int32Array(slotCount).fill(-1);
    this.#free = new Int32Array(slotCount);
    this.#arrived = new Int32Array(slotCount);
    for (let i = 0; i < slotCount; i++) this.#free[i] = slotCount - 1 - i;
    this.#state[0] = slotCount;
  }

  /** Slots that an adapter may fill. */
  get freeCount(): number {
    return this.#state[0]!;
  }

  /** Packets that arrived and that nobody took yet. */
  get arrivedCount(): number {
    return this.#state[2]!;
  }

  /** The packet at `index` of those that arrived and that nobody took yet, 0 the first; for wrappers that look at what came in. */
  arrivedAt(index: number): Slot {
    invariant(index >= 0 && index < this.#state[2]!, "an arrived packet has an index below the count");
    return this.#arrived[(this.#state[1]! + index) % this.slotCount]!;
  }

  /** Where a slot's bytes begin. Units: bytes from the start of the arena. */
  at(slot: Slot): number {
    return slot * SLOT_BYTES;
  }

  /** Takes a free slot, or `NO_SLOT`. The last one freed comes first, so that few pages stay warm. */
  acquire(): Slot {
    const count = this.#state[0]!;
    if (count === 0) return NO_SLOT;
    this.#state[0] = count - 1;
    const slot = this.#free[count - 1]!;
    this.direction[slot] = Direction.Unknown;
    this.frame[slot] = Frame.Ip;
    this.tag[slot] = NO_TAG;
    this.changed[slot] = 0;
    this.vouched[slot] = 0;
    this.segmentBytes[slot] = 0;
    this.flow[slot] = -1;
    this.next[slot] = NO_SLOT;
    return slot;
  }

  /** Ends what the slot's device knows of its packet: what is sent from it then was made here. */
  disown(slot: Slot): void {
    const tag = this.tag[slot]!;
    if (tag === NO_TAG) return;
    if (this.onRelease !== undefined) this.onRelease(slot, tag);
    this.tag[slot] = NO_TAG;
  }

  /** Gives a slot back. */
  release(slot: Slot): void {
    const count = this.#state[0]!;
    invariant(count < this.slotCount, "a slot is released once");
    this.disown(slot);
    this.#free[count] = slot;
    this.#state[0] = count + 1;
  }

  /** Hands an acquired and filled slot to the engine, in arrival order. */
  arrive(slot: Slot): void {
    const count = this.#state[2]!;
    invariant(count < this.slotCount, "a slot arrives once");
    this.#arrived[(this.#state[1]! + count) % this.slotCount] = slot;
    this.#state[2] = count + 1;
  }

  /** Takes the packet that arrived first, or `NO_SLOT`. */
  take(): Slot {
    const count = this.#state[2]!;
    if (count === 0) return NO_SLOT;
    const head = this.#state[1]!;
    this.#state[1] = (head + 1) % this.slotCount;
    this.#state[2] = count - 1;
    return this.#arrived[head]!;
  }
}
