/**
 * Datagrams of applications through host sockets and back: one socket for each source, so that every peer sees one address of it.
 *
 * Read first: RFC 4787 sections 4.1 (endpoint-independent mapping) and 5 (endpoint-independent filtering: anybody may answer).
 */
import { createSocket, type Socket } from "node:dgram";
import { formatIp, type IpAddress, parseIp } from "../base/ip_address.ts";
import { UDP_RELAY_SOCKET_COUNT_MAX, UDP_RELAY_WAITING_COUNT_MAX } from "../base/limits.ts";
import type { Micros } from "../base/micros.ts";

/** A source as the relay sees it; `UdpEndpoint` is one. */
export interface UdpSource {
  readonly isOpen: boolean;
  /** Sends the source a datagram that comes from `from`. Shape: four words, IPv4 as ::ffff:a.b.c.d. */
  send(from: Uint32Array, fromPort: number, bytes: Uint8Array, at: number, length: number, now: Micros): boolean;
}

/** What the relay needs of the program around it. */
export interface UdpRelayHost {
  now(): Micros;
  touched(): void;
  /** The address that our sockets of a version are bound to; undefined leaves it to the system. */
  sourceFor(version: 4 | 6): IpAddress | undefined;
}

/** What became of datagrams. Units: datagrams, sockets. */
export interface UdpRelayCounts {
  sent: number;
  received: number;
  /** The host's socket did not take it, or none could be opened, or too many waited for it. */
  failed: number;
  /** The device did not take it. */
  undelivered: number;
  /** Sockets closed early to make room. */
  evicted: number;
}

/** One socket, and what waits for its turn: sends that run side by side would overtake each other. */
interface Mapping {
  readonly socket: Socket;
  readonly source: UdpSource;
  readonly version: 4 | 6;
  /** False until the socket is bound, and while a datagram is on its way into it. */
  isIdle: boolean;
  readonly waiting: { readonly bytes: Uint8Array; readonly address: string; readonly port: number }[];
}

/** All sources' sockets. */
export class UdpRelay {
  readonly counts: UdpRelayCounts = { sent: 0, received: 0, failed: 0, undelivered: 0, evicted: 0 };
  readonly #host: UdpRelayHost;
  readonly #v4 = new Map<UdpSource, Mapping>();
  readonly #v6 = new Map<UdpSource, Mapping>();

  constructor(host: UdpRelayHost) {
    this.#host = host;
  }

  /** Sockets that are open. */
  get socketCount(): number {
    return this.#v4.size + this.#v6.size;
  }

  /** Sends a source's datagram to where it wants to go. The bytes are copied. */
  send(source: UdpSource, bytes: Uint8Array, destination: IpAddress, port: number): void {
    const mapping = this.#mapping(source, destination.version);
    if (mapping.waiting.length >= UDP_RELAY_WAITING_COUNT_MAX) {
      this.counts.failed++;
      return;
    }
    mapping.waiting.push({ bytes: bytes.slice(), address: formatIp(destination), port });
    if (mapping.isIdle) this.#transmit(mapping);
  }

  /** A source is gone: its sockets are closed. */
  forget(source: UdpSource): void {
    for (const mapping of [this.#v4.get(source), this.#v6.get(source)]) if (mapping !== undefined) this.#close(mapping);
  }

  close(): void {
    for (const mapping of [...this.#v4.values(), ...this.#v6.values()]) this.#close(mapping);
  }

  #mapping(source: UdpSource, version: 4 | 6): Mapping {
    const known = (version === 4 ? this.#v4 : this.#v6).get(source);
    if (known !== undefined) return known;
    if (this.socketCount >= UDP_RELAY_SOCKET_COUNT_MAX) this.#evict();
    return this.#open(source, version);
  }

  #evict(): void {
    for (const mapping of this.#v4.size > 0 ? this.#v4.values() : this.#v6.values()) {
      this.counts.evicted++;
      return this.#close(mapping);
    }
  }

  #open(source: UdpSource, version: 4 | 6): Mapping {
    const socket = version === 4 ? createSocket("udp4") : createSocket({ type: "udp6", ipv6Only: true });
    const mapping: Mapping = { socket, source, version, isIdle: false, waiting: [] };
    (version === 4 ? this.#v4 : this.#v6).set(source, mapping);
    socket.on("error", () => this.#close(mapping));
    socket.on("message", (bytes, from) => this.#deliver(mapping, bytes, from.address, from.port));
    socket.on("listening", () => this.#transmit(mapping));
    const own = this.#host.sourceFor(version);
    socket.bind({ port: 0, address: own === undefined ? (version === 4 ? "0.0.0.0" : "::") : formatIp(own) });
    return mapping;
  }

  /** Sends what waits, one after the other. */
  #transmit(mapping: Mapping): void {
    const next = mapping.waiting.shift();
    mapping.isIdle = next === undefined;
    if (next === undefined) return;
    const done = (error: Error | null) => {
      if (error === null) this.counts.sent++;
      else this.counts.failed++;
      this.#transmit(mapping);
    };
    try {
      mapping.socket.send(next.bytes, next.port, next.address, done);
    } catch (error) {
      // The socket was closed meanwhile, or the destination has port 0.
      done(error as Error);
    }
  }

  #deliver(mapping: Mapping, bytes: Uint8Array, address: string, port: number): void {
    this.counts.received++;
    const from = parseIp(address);
    if (from === undefined || !mapping.source.isOpen) return this.#close(mapping);
    const words = new Uint32Array([from.w0, from.w1, from.w2, from.w3]);
    if (!mapping.source.send(words, port, bytes, 0, bytes.length, this.#host.now())) this.counts.undelivered++;
    this.#host.touched();
  }

  #close(mapping: Mapping): void {
    const map = mapping.version === 4 ? this.#v4 : this.#v6;
    if (map.get(mapping.source) !== mapping) return;
    map.delete(mapping.source);
    this.counts.failed += mapping.waiting.splice(0).length;
    mapping.socket.close();
  }
}
