/** One handle of the FLOW or the SOCKET layer, whose events go into the table of owners. */
import { DIVERT_CLOSE_MS_MAX, DIVERT_EVENT_BATCHES_MAX, DIVERT_EVENT_REQUEST_COUNT } from "../../core/base/limits.ts";
import type { Micros } from "../../core/base/micros.ts";
import { usize } from "../win32/memory.ts";
import { readEndpointEvent } from "./address.ts";
import type { EventSource } from "./divert_adapter.ts";
import { DivertHandle } from "./divert_handle.ts";
import type { DivertEndpoints } from "./endpoints.ts";
import { Layer, OpenFlag, Shutdown, Size } from "./layout.ts";
import type { DivertCalls } from "./library.ts";
import { DivertReceiver } from "./receiver.ts";

/** Events have no packet, but the call wants a place for one. Units: bytes. */
const NO_PACKET_BYTES = 64;

/** What each layer is watched for: only what the table of owners understands. */
const FILTERS = {
  [Layer.Flow]: "tcp or udp",
  [Layer.Socket]:
    "(tcp or udp) and (event == BIND or event == CONNECT or event == LISTEN or event == ACCEPT or event == CLOSE)",
} as const;

/** The open handle with its requests. */
export class EventWatch implements EventSource {
  readonly #handle: DivertHandle;
  readonly #receiver: DivertReceiver;
  readonly #endpoints: DivertEndpoints;
  #isClosed = false;

  private constructor(handle: DivertHandle, receiver: DivertReceiver, endpoints: DivertEndpoints) {
    this.#handle = handle;
    this.#receiver = receiver;
    this.#endpoints = endpoints;
    receiver.start();
  }

  /** Opens a handle that only listens. Errors: `WinError`; nothing stays open then. */
  static open(calls: DivertCalls, layer: keyof typeof FILTERS, endpoints: DivertEndpoints): EventWatch {
    const flags = OpenFlag.Sniff | OpenFlag.ReceiveOnly;
    const handle = DivertHandle.open(calls, { filter: FILTERS[layer], layer, priority: 0, flags });
    try {
      const receiver = new DivertReceiver(handle, DIVERT_EVENT_REQUEST_COUNT, NO_PACKET_BYTES);
      return new EventWatch(handle, receiver, endpoints);
    } catch (error) {
      handle.close();
      throw error;
    }
  }

  get isReady(): boolean {
    return this.#receiver.isReady;
  }

  get event(): number {
    return this.#receiver.event;
  }

  rearm(): void {
    this.#receiver.rearm();
  }

  drain(now: Micros): void {
    const receiver = this.#receiver;
    for (let i = 0; i < DIVERT_EVENT_BATCHES_MAX; i++) {
      const batch = receiver.take();
      if (batch === undefined) break;
      const start = batch.addressWords.byteOffset;
      for (let index = 0; index < receiver.count; index++) {
        this.#endpoints.note(readEndpointEvent(batch.view, start + index * Size.WINDIVERT_ADDRESS), now);
      }
      receiver.recycle();
    }
    this.#endpoints.expire(now);
  }

  /** Ends listening. The event stays until `dispose`: somebody may be waiting on it. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#handle.shutdown(Shutdown.Both);
    const receiver = this.#receiver;
    for (let left = DIVERT_CLOSE_MS_MAX; left > 0 && !receiver.isEnded; left--) {
      if (receiver.take() === undefined) receiver.waitBriefly(1);
      else receiver.recycle();
    }
    if (receiver.isPending) {
      this.#handle.calls.kernel32.CancelIoEx(usize(this.#handle.value), usize(0));
      receiver.waitBriefly(1);
    }
    this.#handle.close();
  }

  /** Gives memory and events back; call it after `close`, once nobody waits on the event any more. */
  dispose(): void {
    this.#receiver.dispose();
  }
}
