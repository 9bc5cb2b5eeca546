/** Packets on their way back: collected into batches, each handed to the driver with one call. */
import { DIVERT_BATCH_PACKETS_MAX, DIVERT_SEND_BUFFER_COUNT, DIVERT_SEND_BYTES } from "../../core/base/limits.ts";
import { usize } from "../win32/memory.ts";
import { WinCode } from "../win32/win_error.ts";
import type { DivertHandle } from "./divert_handle.ts";
import { Size } from "./layout.ts";
import { ADDRESS_WORDS, OverlappedBuffer } from "./overlapped.ts";

/** What became of sent packets. Units: packets, but for batches. */
export interface SendCounts {
  /** Handed to the driver. */
  submitted: number;
  batches: number;
  /** Batches of which single packets were not taken: the driver went on with the others. */
  partialBatches: number;
  /** Packets of batches that the driver gave up; some of them may have gone out. */
  uncertain: number;
}

/** Codes that WinDivertSendEx gives for a batch that it gave up. Source: WinDivert 2.2 sys/windivert.c; every other code is of single packets. */
const HARD_CODES: ReadonlySet<number> = new Set([
  WinCode.InvalidParameter,
  WinCode.InvalidHandle,
  WinCode.InsufficientBuffer,
  WinCode.NoData,
  WinCode.OperationAborted,
  WinCode.NotEnoughMemory,
]);

/** Buffers are filled, handed over, and filled again once the driver is done with them. */
export class DivertSender {
  readonly counts: SendCounts = { submitted: 0, batches: 0, partialBatches: 0, uncertain: 0 };
  readonly #handle: DivertHandle;
  readonly #buffers: OverlappedBuffer[] = [];
  readonly #packetCounts = new Int32Array(DIVERT_SEND_BUFFER_COUNT);
  /** Shape: buffers `#head` … `#head + #pendingCount − 1` are the driver's, the next one is being filled. */
  #head = 0;
  #pendingCount = 0;
  #count = 0;
  #used = 0;

  /** Errors: `WinError` when there is no memory. */
  constructor(handle: DivertHandle) {
    this.#handle = handle;
    try {
      for (let i = 0; i < DIVERT_SEND_BUFFER_COUNT; i++) {
        this.#buffers.push(new OverlappedBuffer(handle.calls.kernel32, DIVERT_SEND_BYTES));
      }
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** Packets that are collected and not handed over yet. */
  get waitingCount(): number {
    return this.#count;
  }

  /**
   * Adds a packet with its address, which are copied. False: every buffer is the driver's, the packet is lost.
   *
   * `addressBits` stand in place of those of the address itself.
   */
  add(
    bytes: Uint8Array,
    at: number,
    length: number,
    address: Uint32Array,
    addressAt: number,
    addressBits: number,
  ): boolean {
    if (this.#count === DIVERT_BATCH_PACKETS_MAX || this.#used + length > DIVERT_SEND_BYTES) this.flush();
    if (this.#pendingCount === DIVERT_SEND_BUFFER_COUNT) this.reap();
    if (this.#pendingCount === DIVERT_SEND_BUFFER_COUNT) return false;
    const buffer = this.#buffers[(this.#head + this.#pendingCount) % DIVERT_SEND_BUFFER_COUNT]!;
    buffer.bytes.set(bytes.subarray(at, at + length), buffer.packetsAt + this.#used);
    const words = buffer.addressWords;
    const to = this.#count * ADDRESS_WORDS;
    for (let i = 0; i < ADDRESS_WORDS; i++) words[to + i] = address[addressAt + i]!;
    words[to + 2] = addressBits;
    this.#count++;
    this.#used += length;
    return true;
  }

  /** Hands over what is collected. */
  flush(): void {
    if (this.#count === 0) return;
    const calls = this.#handle.calls;
    const index = (this.#head + this.#pendingCount) % DIVERT_SEND_BUFFER_COUNT;
    const buffer = this.#buffers[index]!;
    const count = this.#count;
    const used = this.#used;
    this.#count = 0;
    this.#used = 0;
    buffer.prepare();
    const isDone = calls.divert.WinDivertSendEx(
      usize(this.#handle.value),
      usize(buffer.packetsPlace),
      used,
      usize(0),
      usize(0),
      usize(buffer.addressesPlace),
      count * Size.WINDIVERT_ADDRESS,
      usize(buffer.overlappedPlace),
    ) !== 0;
    const code = isDone ? WinCode.IoPending : calls.kernel32.GetLastError();
    this.counts.batches++;
    this.counts.submitted += count;
    if (code !== WinCode.IoPending) return this.#noteError(code, count);
    buffer.started();
    this.#packetCounts[index] = count;
    this.#pendingCount++;
  }

  /** Takes back buffers that the driver is done with. */
  reap(): void {
    while (this.#pendingCount > 0) {
      const buffer = this.#buffers[this.#head]!;
      if (!buffer.isDone) return;
      const length = buffer.finish(this.#handle.value);
      if (length < 0) this.#noteError(this.#handle.calls.kernel32.GetLastError(), this.#packetCounts[this.#head]!);
      this.#head = (this.#head + 1) % DIVERT_SEND_BUFFER_COUNT;
      this.#pendingCount--;
    }
  }

  /** Packets of a batch that failed are not sent again: which of them went out is unknown, and a copy too many confuses more than a loss. */
  #noteError(code: number, count: number): void {
    if (HARD_CODES.has(code)) this.counts.uncertain += count;
    else this.counts.partialBatches++;
  }

  /** True while the driver has a buffer. */
  get isPending(): boolean {
    return this.#pendingCount > 0;
  }

  /** Waits a little for the driver, for the moments of closing only. Units: ms. */
  waitBriefly(milliseconds: number): void {
    if (this.#pendingCount > 0) this.#buffers[this.#head]!.waitBriefly(milliseconds);
  }

  /** Gives memory and events back. */
  dispose(): void {
    for (const buffer of this.#buffers) buffer.dispose();
  }
}
