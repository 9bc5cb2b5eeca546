/**
 * One UDP source and all that it talks to.
 *
 * Read first: RFC 4787 sections 4.1 and 5 (endpoint-independent mapping and filtering, "full cone": whoever knows the source may send to it).
 */
import type { Micros } from "../base/micros.ts";
import type { DatagramInfo, DatagramQueue } from "./datagram_queue.ts";

/** What an endpoint needs of the table that it is in. */
export interface UdpHost {
  sendFrom(
    endpoint: UdpEndpoint,
    from: Uint32Array,
    fromPort: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    now: Micros,
  ): boolean;
  close(endpoint: UdpEndpoint): void;
}

/** A source of datagrams: an application's socket, seen from the network. */
export class UdpEndpoint {
  /** The table's own index of the endpoint; −1 once it is closed. */
  index: number;
  readonly version: 4 | 6;
  /** Shape: four words, IPv4 as ::ffff:a.b.c.d. */
  readonly remoteAddress: Uint32Array;
  readonly remotePort: number;
  /** Larger datagrams go in fragments; ICMP may lower it. Units: bytes of an IP packet. */
  mtu: number;
  /** ICMP errors that came back from the source: its socket is gone. */
  errorCount = 0;
  readonly queue: DatagramQueue;
  readonly #host: UdpHost;

  constructor(
    index: number,
    version: 4 | 6,
    remoteAddress: Uint32Array,
    remotePort: number,
    mtu: number,
    queue: DatagramQueue,
    host: UdpHost,
  ) {
    this.index = index;
    this.version = version;
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
    this.mtu = mtu;
    this.queue = queue;
    this.#host = host;
  }

  /** False once the endpoint has expired or was closed. */
  get isOpen(): boolean {
    return this.index >= 0;
  }

  /** Takes a datagram of the source out, cut to `room` bytes; −1 when there is none. Units: bytes. */
  receive(into: Uint8Array, at: number, room: number, info: DatagramInfo): number {
    return this.queue.shift(into, at, room, info);
  }

  /** Sends the source a datagram that comes from `from`, whoever that is. False: closed, too long, or the device is full. */
  send(
    from: Uint32Array,
    fromPort: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    now: Micros,
  ): boolean {
    return this.isOpen && this.#host.sendFrom(this, from, fromPort, bytes, at, length, now);
  }

  /** Forgets the source; its next datagram opens a new endpoint. */
  close(): void {
    if (this.isOpen) this.#host.close(this);
  }
}
