/** UDP sockets over a stack that keeps one endpoint for each peer: a socket's port sorts what its peers send. */
import { SCRIPT_PACKETS_MAX, SLOT_BYTES } from "../../core/base/limits.ts";
import type { Micros } from "../../core/base/micros.ts";
import { DatagramInfo } from "../../core/stack/datagram_queue.ts";
import type { Stack } from "../../core/stack/stack.ts";
import { TcpError } from "../../core/stack/tcp/tcp_state.ts";
import type { UdpEndpoint } from "../../core/stack/udp_endpoint.ts";
import { wordsOf } from "./endpoints.ts";
import type { DatagramPort } from "./net_port.ts";
import type { Settings } from "./settings.ts";

/** What one port has got. */
interface Mailbox {
  readonly lengths: number[];
  /** Who sent last: `send()` answers. */
  peer: UdpEndpoint | undefined;
  errorsTold: number;
}

/** All UDP ports of a host. */
export class VirtualDatagrams {
  readonly #stack: Stack;
  readonly #settings: Settings;
  readonly #now: () => Micros;
  readonly #open = new Map<number, Mailbox>();
  readonly #info = new DatagramInfo();
  readonly #bytes = new Uint8Array(SLOT_BYTES);

  constructor(stack: Stack, settings: Settings, now: () => Micros) {
    this.#stack = stack;
    this.#settings = settings;
    this.#now = now;
  }

  /** True when a socket has the port. */
  isOpen(port: number): boolean {
    return this.#open.has(port);
  }

  /** Sorts what arrived. */
  drain(): void {
    for (let endpoint = this.#stack.takeReadyUdp(); endpoint !== undefined; endpoint = this.#stack.takeReadyUdp()) {
      for (;;) {
        const length = endpoint.receive(this.#bytes, 0, this.#bytes.length, this.#info);
        if (length < 0) break;
        const box = this.#open.get(this.#info.destinationPort);
        if (box === undefined || box.lengths.length >= SCRIPT_PACKETS_MAX) continue;
        box.lengths.push(length);
        box.peer = endpoint;
      }
    }
  }

  /** Opens a port; undefined when it is in use. */
  open(port: number): DatagramPort | undefined {
    if (this.#open.has(port)) return undefined;
    const box: Mailbox = { lengths: [], peer: undefined, errorsTold: 0 };
    this.#open.set(port, box);
    const local = wordsOf(this.#settings.local);
    return {
      receive: () => box.lengths.shift() ?? -1,
      get queuedCount() {
        return box.lengths.length;
      },
      send: (length) => {
        if (box.peer === undefined || length > this.#bytes.length) return false;
        return box.peer.send(local, port, this.#bytes.fill(0, 0, length), 0, length, this.#now());
      },
      takeError: () => {
        if ((box.peer?.errorCount ?? 0) <= box.errorsTold) return TcpError.None;
        box.errorsTold = box.peer!.errorCount;
        return TcpError.Refused;
      },
      close: () => void this.#open.delete(port),
    };
  }
}
