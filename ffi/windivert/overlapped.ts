/** The memory of one operation that goes on while we do something else: its OVERLAPPED, the packets' addresses, the packets. */
import { DIVERT_BATCH_PACKETS_MAX } from "../../core/base/limits.ts";
import { createEvent, type Handle, type Kernel32Calls } from "../win32/kernel32.ts";
import { addressOf, usize } from "../win32/memory.ts";
import { OVERLAPPED_EVENT_OFFSET, Size, STATUS_PENDING } from "./layout.ts";

const ADDRESS_LENGTH_OFFSET = Size.OVERLAPPED;
const ADDRESSES_OFFSET = 64;
const PACKETS_OFFSET = (ADDRESSES_OFFSET + DIVERT_BATCH_PACKETS_MAX * Size.WINDIVERT_ADDRESS + 63) & ~63;

/** Words of an address. */
export const ADDRESS_WORDS = Size.WINDIVERT_ADDRESS / 4;

/** Memory that the system may still write into although its handle is closed. It is never given back, which is better than the alternative. */
const abandoned: OverlappedBuffer[] = [];

/**
 * One block of memory, which is neither moved nor freed while the operation is under way.
 *
 * Shape: OVERLAPPED │ length of the addresses u32 │ addresses, 80 bytes each │ packets, back to back.
 */
export class OverlappedBuffer {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  /** The addresses as words: packet `i` begins at `i * ADDRESS_WORDS`. */
  readonly addressWords: Uint32Array;
  readonly event: Handle;
  readonly packetBytesMax: number;
  /** Where the packets begin in `bytes`. */
  readonly packetsAt = PACKETS_OFFSET;
  readonly #kernel32: Kernel32Calls;
  readonly #base: number;
  readonly #transferred = new Uint32Array(1);
  #isPending = false;

  /** Errors: `WinError` when Windows gives no event. */
  constructor(kernel32: Kernel32Calls, packetBytesMax: number) {
    this.#kernel32 = kernel32;
    this.packetBytesMax = packetBytesMax;
    const memory = new ArrayBuffer(PACKETS_OFFSET + packetBytesMax);
    this.bytes = new Uint8Array(memory);
    this.view = new DataView(memory);
    this.addressWords = new Uint32Array(memory, ADDRESSES_OFFSET, DIVERT_BATCH_PACKETS_MAX * ADDRESS_WORDS);
    this.#base = addressOf(this.bytes);
    this.event = createEvent(kernel32, true);
  }

  get overlappedPlace(): number {
    return this.#base;
  }

  get addressesPlace(): number {
    return this.#base + ADDRESSES_OFFSET;
  }

  get addressLengthPlace(): number {
    return this.#base + ADDRESS_LENGTH_OFFSET;
  }

  get packetsPlace(): number {
    return this.#base + PACKETS_OFFSET;
  }

  /** Length of the address array: given before receiving, told after. Units: bytes. */
  get addressLength(): number {
    return this.view.getUint32(ADDRESS_LENGTH_OFFSET, true);
  }

  set addressLength(length: number) {
    this.view.setUint32(ADDRESS_LENGTH_OFFSET, length, true);
  }

  /** Call before an operation. */
  prepare(): void {
    this.#kernel32.ResetEvent(usize(this.event.value));
    this.view.setUint32(0, STATUS_PENDING, true);
    for (let at = 4; at < OVERLAPPED_EVENT_OFFSET; at += 4) this.view.setUint32(at, 0, true);
    this.view.setUint32(OVERLAPPED_EVENT_OFFSET, this.event.value, true);
    this.view.setUint32(OVERLAPPED_EVENT_OFFSET + 4, 0, true);
  }

  /** The operation was taken: from now on the memory is the system's until `isDone`. */
  started(): void {
    this.#isPending = true;
  }

  /** True between `started` and `finish`. */
  get isPending(): boolean {
    return this.#isPending;
  }

  /** True once the system has finished, or when nothing was started. A look into memory, no call. */
  get isDone(): boolean {
    return !this.#isPending || this.view.getUint32(0, true) !== STATUS_PENDING;
  }

  /** Takes the result of an operation that is done. Shape: bytes transferred, or −1 with the code to be read at once. */
  finish(handle: number): number {
    this.#isPending = false;
    const { GetOverlappedResult } = this.#kernel32;
    if (GetOverlappedResult(usize(handle), usize(this.#base), this.#transferred, 0) === 0) return -1;
    return this.#transferred[0]!;
  }

  /** Takes back a signal that belongs to an operation before this one; whoever waits looks at `isDone` again after it. */
  rearm(): void {
    if (!this.isDone) this.#kernel32.ResetEvent(usize(this.event.value));
  }

  /** Waits on this thread, for the moments of closing only. Units: ms. */
  waitBriefly(milliseconds: number): void {
    if (!this.isDone) this.#kernel32.WaitForSingleObject(usize(this.event.value), milliseconds);
  }

  /** Gives the event back, and the memory to the garbage collector unless the system may still write into it. */
  dispose(): void {
    this.event.close();
    if (!this.isDone) abandoned.push(this);
  }
}
