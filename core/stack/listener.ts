/** Somebody who takes connections to an address and a port, or to all of them, and answers their SYNs at once. */
import type { Micros } from "../base/micros.ts";
import { DESTINATION, type PacketMeta } from "../parse/packet_meta.ts";
import type { TcpConnection } from "./tcp/connection.ts";
import type { TcpOptions } from "./tcp/tcp_options.ts";

/** What a listener needs of the table that it is in. */
export interface ListenerHost {
  /** The application has taken a connection: it is told of what happens from now on. */
  connectionTaken(connection: TcpConnection): void;
  closeListener(listener: TcpListener, now: Micros): void;
}

/** A listening socket. */
export class TcpListener {
  /** Shape: four words; undefined takes connections to any address. */
  readonly address: Uint32Array | undefined;
  /** 0 takes connections to any port. */
  readonly port: number;
  /** Connections that may wait for `accept()`, handshakes under way included. */
  readonly backlog: number;
  /** Laid over the stack's own options for each connection. */
  options: Partial<TcpOptions> | undefined;
  isOpen = true;
  /** Handshakes under way. */
  halfOpenCount = 0;
  readonly #host: ListenerHost;
  readonly #established: TcpConnection[] = [];

  constructor(
    host: ListenerHost,
    address: Uint32Array | undefined,
    port: number,
    backlog: number,
    options: Partial<TcpOptions> | undefined,
  ) {
    this.#host = host;
    this.address = address;
    this.port = port;
    this.backlog = backlog;
    this.options = options;
  }

  /** Connections that wait for `accept()`. */
  get waitingCount(): number {
    return this.#established.length;
  }

  /** True when no more connection may wait. Source: Linux `sk_acceptq_is_full` compares with "more than". */
  get isFull(): boolean {
    return this.#established.length > this.backlog;
  }

  /** True when the handshakes under way, once complete, fill it: further SYNs get cookies or nothing. */
  get isHalfOpenFull(): boolean {
    return this.#established.length + this.halfOpenCount > this.backlog;
  }

  /** True when the packet is for this listener. */
  matches(meta: PacketMeta): boolean {
    if (this.port !== 0 && this.port !== meta.destinationPort) return false;
    const address = this.address;
    if (address === undefined) return true;
    for (let word = 0; word < 4; word++) if (address[word] !== meta.words[DESTINATION + word]) return false;
    return true;
  }

  /** The connection that has waited longest, or undefined. */
  accept(): TcpConnection | undefined {
    const connection = this.#established.shift();
    if (connection !== undefined) this.#host.connectionTaken(connection);
    return connection;
  }

  /** A handshake is complete. */
  established(connection: TcpConnection): void {
    this.#established.push(connection);
  }

  /** Takes no more; connections that nobody took are reset by the stack. */
  close(now: Micros): void {
    if (this.isOpen) this.#host.closeListener(this, now);
  }
}

/** A listener on an address (undefined: any) and a port (0: any). */
export function createListener(
  host: ListenerHost,
  address: Uint32Array | undefined,
  port: number,
  backlog: number,
  options: Partial<TcpOptions> | undefined,
): TcpListener {
  return new TcpListener(host, address, port, backlog, options);
}
