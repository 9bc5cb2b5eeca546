/** A handle of WinDivert: opened with a filter at one layer, shut down, and closed once. */
import { DIVERT_QUEUE_BYTES, DIVERT_QUEUE_PACKETS, DIVERT_QUEUE_TIME_MS } from "../../core/base/limits.ts";
import { usize } from "../win32/memory.ts";
import { WinError } from "../win32/win_error.ts";
import { Layer, type Param, Param as PARAM, type Shutdown } from "./layout.ts";
import { type DivertCalls, openError } from "./library.ts";

/** `INVALID_HANDLE_VALUE`. */
const INVALID_HANDLE = 0xffff_ffff_ffff_ffffn;

const LAYER_WORDS: Readonly<Record<Layer, string>> = {
  [Layer.Network]: "network",
  [Layer.NetworkForward]: "forward",
  [Layer.Flow]: "flow",
  [Layer.Socket]: "socket",
  [Layer.Reflect]: "reflect",
};

/** What a handle is opened with. */
export interface HandleSettings {
  readonly filter: string;
  readonly layer: Layer;
  /** Units: −30,000 … 30,000; the highest sees packets first. */
  readonly priority: number;
  /** A sum of `OpenFlag`. */
  readonly flags: number;
}

/** An open handle. */
export class DivertHandle {
  readonly calls: DivertCalls;
  #value: number;

  private constructor(calls: DivertCalls, value: number) {
    this.calls = calls;
    this.#value = value;
  }

  /** Opens a handle with the longest queue there can be. Errors: `WinError` that says what to do; nothing stays open then. */
  static open(calls: DivertCalls, settings: HandleSettings): DivertHandle {
    const { filter, layer, priority, flags } = settings;
    const text = new TextEncoder().encode(`${filter}\0`);
    const result = calls.divert.WinDivertOpen(text, layer, priority, usize(flags));
    // −1 is what it documents; when memory for the filter cannot be had it answers FALSE, which is 0.
    if (BigInt(result) === 0n || BigInt(result) === INVALID_HANDLE) {
      throw openError(LAYER_WORDS[layer], filter, calls.kernel32.GetLastError());
    }
    const handle = new DivertHandle(calls, Number(result));
    try {
      handle.setParam(PARAM.QueueLength, DIVERT_QUEUE_PACKETS);
      handle.setParam(PARAM.QueueTime, DIVERT_QUEUE_TIME_MS);
      handle.setParam(PARAM.QueueSize, DIVERT_QUEUE_BYTES);
      return handle;
    } catch (error) {
      handle.close();
      throw error;
    }
  }

  /** The value that calls take; 0 once closed, which every call refuses. */
  get value(): number {
    return this.#value;
  }

  /** Errors: `WinError`. */
  setParam(param: Param, value: number): void {
    if (this.calls.divert.WinDivertSetParam(usize(this.#value), param, usize(value)) !== 0) return;
    throw WinError.from(`set WinDivert's parameter ${param} to ${value}`, this.calls.kernel32.GetLastError());
  }

  /** Errors: `WinError`. */
  getParam(param: Param): number {
    const value = new BigUint64Array(1);
    if (this.calls.divert.WinDivertGetParam(usize(this.#value), param, value) !== 0) return Number(value[0]!);
    throw WinError.from(`read WinDivert's parameter ${param}`, this.calls.kernel32.GetLastError());
  }

  /** Lets nothing new into the queue, or nothing out; what is in the queue can still be read. A second time does nothing. */
  shutdown(how: Shutdown): void {
    if (this.#value !== 0) this.calls.divert.WinDivertShutdown(usize(this.#value), how);
  }

  /** Ends diverting at once; a second time does nothing. */
  close(): void {
    const value = this.#value;
    if (value === 0) return;
    this.#value = 0;
    this.calls.divert.WinDivertClose(usize(value));
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
