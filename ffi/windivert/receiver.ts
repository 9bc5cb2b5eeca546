/** Read requests in flight: a ring of them, completed in the order in which they were made. */
import { DIVERT_BATCH_PACKETS_MAX, DIVERT_ERROR_COUNT_MAX } from "../../core/base/limits.ts";
import { usize } from "../win32/memory.ts";
import { WinCode, WinError } from "../win32/win_error.ts";
import type { DivertHandle } from "./divert_handle.ts";
import { Size } from "./layout.ts";
import { OverlappedBuffer } from "./overlapped.ts";

/**
 * The driver serves requests first come, first served, and packets as well; so order is kept by looking only at the request that was made first,
 * although a later one may be seen to finish before it.
 */
export class DivertReceiver {
  readonly #handle: DivertHandle;
  readonly #requests: OverlappedBuffer[];
  #head = 0;
  #issuedCount = 0;
  #errorCount = 0;
  #isEnded = false;
  #failure: WinError | undefined = undefined;
  /** The batch in hand: the first request's, once its result was taken. */
  #isTaken = false;
  #length = 0;
  #count = 0;
  /** Packets that did not fit their request: they were longer than any packet can be. */
  truncatedCount = 0;
  /** Requests that failed. */
  failedCount = 0;

  /** Errors: `WinError` when there is no memory. */
  constructor(handle: DivertHandle, requestCount: number, packetBytes: number) {
    this.#handle = handle;
    this.#requests = [];
    try {
      for (let i = 0; i < requestCount; i++) {
        this.#requests.push(new OverlappedBuffer(handle.calls.kernel32, packetBytes));
      }
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** Makes all requests. */
  start(): void {
    for (let i = 0; i < this.#requests.length; i++) this.#issue();
  }

  /** Why nothing more will come: an error of the driver, or undefined as long as it may, and after a shutdown. */
  get failure(): WinError | undefined {
    return this.#failure;
  }

  /** True when nothing more will come. */
  get isEnded(): boolean {
    return this.#issuedCount === 0;
  }

  /** The event that says when the first request is done; 0 when there is none. */
  get event(): number {
    return this.#issuedCount === 0 ? 0 : this.#requests[this.#head]!.event.value;
  }

  /** True when `take` would give a batch, or would have to look at an error. */
  get isReady(): boolean {
    return this.#issuedCount > 0 && this.#requests[this.#head]!.isDone;
  }

  /** The first request's memory when it is done with something in it; it stays the caller's until `recycle`. */
  take(): OverlappedBuffer | undefined {
    while (this.isReady) {
      const request = this.#requests[this.#head]!;
      if (this.#isTaken) return request;
      const length = request.finish(this.#handle.value);
      if (length >= 0) {
        this.#errorCount = 0;
        this.#isTaken = true;
        this.#length = length;
        this.#count = Math.min(
          DIVERT_BATCH_PACKETS_MAX,
          Math.floor(request.addressLength / Size.WINDIVERT_ADDRESS),
        );
        return request;
      }
      this.#noteError(this.#handle.calls.kernel32.GetLastError());
      this.recycle();
    }
    return undefined;
  }

  /** Bytes of the packets in the request that `take` gave. */
  get length(): number {
    return this.#length;
  }

  /** Addresses in it. */
  get count(): number {
    return this.#count;
  }

  /** Gives the request back to the driver, behind all others. */
  recycle(): void {
    this.#isTaken = false;
    this.#head = (this.#head + 1) % this.#requests.length;
    this.#issuedCount--;
    this.#issue();
  }

  #noteError(code: number): void {
    if (code === WinCode.InsufficientBuffer) {
      this.truncatedCount++;
      return;
    }
    if (code === WinCode.NoData || code === WinCode.OperationAborted) this.#isEnded = true;
    else this.#fail(code);
  }

  #fail(code: number): void {
    this.failedCount++;
    this.#errorCount++;
    if (this.#errorCount < DIVERT_ERROR_COUNT_MAX) return;
    this.#isEnded = true;
    this.#failure ??= WinError.from("read from WinDivert", code);
  }

  /** Makes one more request; a driver that was shut down and whose queue is empty takes none. */
  #issue(): void {
    const calls = this.#handle.calls;
    while (!this.#isEnded) {
      const request = this.#requests[(this.#head + this.#issuedCount) % this.#requests.length]!;
      request.prepare();
      request.addressLength = DIVERT_BATCH_PACKETS_MAX * Size.WINDIVERT_ADDRESS;
      const isDone = calls.divert.WinDivertRecvEx(
        usize(this.#handle.value),
        usize(request.packetsPlace),
        request.packetBytesMax,
        usize(0),
        usize(0),
        usize(request.addressesPlace),
        usize(request.addressLengthPlace),
        usize(request.overlappedPlace),
      ) !== 0;
      const code = isDone ? WinCode.IoPending : calls.kernel32.GetLastError();
      if (code === WinCode.IoPending) {
        request.started();
        this.#issuedCount++;
        return;
      }
      this.#noteError(code);
    }
  }

  /** Takes back a signal that came late, of an operation whose result was taken already. */
  rearm(): void {
    if (this.#issuedCount > 0) this.#requests[this.#head]!.rearm();
  }

  /** Waits a little for the first request, for the moments of closing only. Units: ms. */
  waitBriefly(milliseconds: number): void {
    if (this.#issuedCount > 0) this.#requests[this.#head]!.waitBriefly(milliseconds);
  }

  /** True while the system may write into some request. */
  get isPending(): boolean {
    return this.#requests.some((request) => !request.isDone);
  }

  /** Gives memory and events back; call it once nobody waits on an event any more. */
  dispose(): void {
    for (const request of this.#requests) request.dispose();
  }
}
