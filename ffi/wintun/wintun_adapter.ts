/**
 * A Wintun session as the engine sees it.
 *
 * Read first: wintun.h of Wintun 0.14, core/adapter/adapter.ts.
 *
 * The ring's head moves in order only, so that a packet is copied and given back at once. Every call of the session is a plain one on this
 * thread: the session cannot end while somebody reads it. What waits aside waits on handles of our own, which outlive the session.
 */
import type { Adapter, Capabilities } from "../../core/adapter/adapter.ts";
import { type Arena, Direction, type Slot } from "../../core/adapter/arena.ts";
import {
  SLOT_BYTES,
  TUN_BATCH_PACKETS_MAX,
  TUN_SLOTS_RESERVED,
  WINTUN_FULL_ARENA_WAIT_MS,
} from "../../core/base/limits.ts";
import type { Micros } from "../../core/base/micros.ts";
import * as ipv4 from "../../core/wire/ipv4.ts";
import * as ipv6 from "../../core/wire/ipv6.ts";
import {
  createEvent,
  duplicateHandle,
  type Handle,
  INFINITE,
  type Kernel32Calls,
  WAIT_FAILED,
} from "../win32/kernel32.ts";
import { addressOf, usize } from "../win32/memory.ts";
import { describeWinCode, WinCode } from "../win32/win_error.ts";
import { PACKET_BYTES_MAX, type WintunCalls } from "./wintun.ts";

/** What went through a session. Units: packets. */
export interface WintunCounts {
  received: number;
  sent: number;
  /** Received ones that no slot holds. */
  unfit: number;
  /** Packets that were not sent because the driver's ring was full. */
  full: number;
  /** Packets that were not sent because the driver would not take them: no IP, or longer than an IP packet. */
  refused: number;
}

/** What a session needs of the outside. */
export interface WintunSession {
  readonly wintun: WintunCalls;
  readonly kernel32: Kernel32Calls;
  /** The session's number; the adapter ends it. */
  readonly session: bigint;
  readonly name: string;
  /** Units: bytes of an IP packet. */
  readonly mtu: number;
  /** Called once, when nothing waits any more and no call will follow. */
  readonly onReleased: () => void;
}

/** The session with its buffers. Use it on the thread that opened it. */
export class WintunAdapter implements Adapter {
  readonly capabilities: Capabilities;
  readonly counts: WintunCounts = { received: 0, sent: 0, unfit: 0, full: 0, refused: 0 };
  readonly #wintun: WintunCalls;
  readonly #kernel32: Kernel32Calls;
  readonly #session: bigint;
  readonly #name: string;
  readonly #onReleased: () => void;
  readonly #readEvent: Handle;
  readonly #quitEvent: Handle;
  readonly #handles: BigUint64Array<ArrayBuffer>;
  readonly #size = new Uint32Array(1);
  #arena: Arena | undefined = undefined;
  #arenaBase = 0;
  #reserved = 0;
  #isDrained = true;
  /** The code that ended the session; 0 while it lives. */
  #lostCode = 0;
  #waiting: Promise<void> | undefined = undefined;
  #isClosed = false;

  /** Errors: `WinError` when the events cannot be made; the session is the caller's still. */
  constructor(options: WintunSession) {
    this.#wintun = options.wintun;
    this.#kernel32 = options.kernel32;
    this.#session = options.session;
    this.#name = options.name;
    this.#onReleased = options.onReleased;
    this.capabilities = { kind: "tun", mtu: options.mtu, batch: TUN_BATCH_PACKETS_MAX, checksumsVouched: false };
    const event = options.wintun.WintunGetReadWaitEvent(options.session);
    this.#readEvent = duplicateHandle(options.kernel32, event, `wait for packets of ${options.name}`);
    try {
      this.#quitEvent = createEvent(options.kernel32, true);
    } catch (error) {
      this.#readEvent.close();
      throw error;
    }
    this.#handles = new BigUint64Array([BigInt(this.#readEvent.value), BigInt(this.#quitEvent.value)]);
  }

  receive(arena: Arena, _now: Micros): number {
    if (this.#isClosed || this.#lostCode !== 0) return 0;
    if (arena !== this.#arena) this.#bind(arena);
    const wintun = this.#wintun;
    let count = 0;
    this.#isDrained = false;
    while (count < TUN_BATCH_PACKETS_MAX && arena.freeCount > this.#reserved) {
      const packet = wintun.WintunReceivePacket(this.#session, this.#size);
      if (packet === 0n) {
        const code = this.#kernel32.GetLastError();
        this.#isDrained = true;
        if (code !== WinCode.NoMoreItems) this.#lost(code);
        break;
      }
      const length = this.#size[0]!;
      const fits = length > 0 && length <= SLOT_BYTES;
      if (!fits) {
        wintun.WintunReleaseReceivePacket(this.#session, packet);
        this.counts.unfit++;
        continue;
      }
      const slot = arena.acquire();
      this.#kernel32.RtlMoveMemory(usize(this.#arenaBase + arena.at(slot)), packet, usize(length));
      wintun.WintunReleaseReceivePacket(this.#session, packet);
      arena.length[slot] = length;
      arena.wireLength[slot] = length;
      arena.direction[slot] = Direction.Outbound;
      arena.arrive(slot);
      this.counts.received++;
      count++;
    }
    return count;
  }

  send(arena: Arena, slot: Slot, _now: Micros): boolean {
    if (this.#isClosed || this.#lostCode !== 0) return false;
    if (arena !== this.#arena) this.#bind(arena);
    const at = arena.at(slot);
    const length = arena.length[slot]!;
    if (!isIpPacket(arena.view, at, length)) {
      this.counts.refused++;
      return false;
    }
    const packet = this.#wintun.WintunAllocateSendPacket(this.#session, length);
    if (packet === 0n) {
      const code = this.#kernel32.GetLastError();
      if (code === WinCode.BufferOverflow) this.counts.full++;
      else this.#lost(code);
      return false;
    }
    this.#kernel32.RtlMoveMemory(packet, usize(this.#arenaBase + at), usize(length));
    this.#wintun.WintunSendPacket(this.#session, packet);
    this.counts.sent++;
    return true;
  }

  #lost(code: number): void {
    this.#lostCode = code === 0 ? WinCode.GenFailure : code;
  }

  /** Errors: rejects once the adapter is gone or closed. */
  ready(): Promise<void> {
    const ended = this.#ended();
    if (ended !== undefined) return Promise.reject(ended);
    this.#waiting ??= this.#wait();
    return this.#waiting;
  }

  async #wait(): Promise<void> {
    try {
      // The event tells of packets that come to an empty ring; while the arena was the limit, nobody will tell.
      const timeoutMs = this.#isDrained ? INFINITE : WINTUN_FULL_ARENA_WAIT_MS;
      const answer = await this.#kernel32.waitForMultipleObjectsAside(2, this.#handles, 0, timeoutMs);
      const ended = this.#ended();
      if (ended !== undefined) throw ended;
      if (answer === WAIT_FAILED) throw new Error(`Cannot wait for packets of ${this.#name}: Windows refused`);
    } finally {
      this.#waiting = undefined;
      if (this.#isClosed) this.#release();
    }
  }

  /** Why there is nothing to wait for any more; undefined while there is. */
  #ended(): Error | undefined {
    if (this.#isClosed) return new Error("the device is closed");
    if (this.#lostCode === 0) return undefined;
    const reason = this.#lostCode === WinCode.HandleEof
      ? "the adapter is gone: it was removed or disabled"
      : `${describeWinCode(this.#lostCode)} (error ${this.#lostCode})`;
    return new Error(`Cannot read from ${this.#name}: ${reason}`);
  }

  /** Ends the session at once, and what waits with it. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#wintun.WintunEndSession(this.#session);
    if (this.#waiting === undefined) this.#release();
    else this.#kernel32.SetEvent(usize(this.#quitEvent.value));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Handles are closed only when nobody waits on them: their numbers may belong to others a moment later. */
  #release(): void {
    if (this.#quitEvent.value === 0) return;
    this.#readEvent.close();
    this.#quitEvent.close();
    this.#onReleased();
  }

  /** The arena's memory never moves while the arena is held. */
  #bind(arena: Arena): void {
    this.#arena = arena;
    this.#arenaBase = addressOf(arena.bytes);
    this.#reserved = Math.min(TUN_SLOTS_RESERVED, arena.slotCount >> 3);
  }
}

/** What the driver takes. Source: wintun.c of Wintun 0.14, which discards anything else. */
function isIpPacket(view: DataView, at: number, length: number): boolean {
  if (length > PACKET_BYTES_MAX || length < ipv4.HEADER_BYTES) return false;
  const version = view.getUint8(at) >>> 4;
  return version === 4 || (version === 6 && length >= ipv6.HEADER_BYTES);
}
