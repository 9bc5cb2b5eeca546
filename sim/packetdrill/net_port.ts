/** The stack as sockets see it: what `core/stack` offers, reduced to what POSIX calls need. */
import type { Micros } from "../../core/base/micros.ts";
import type { TcpInfo } from "../../core/stack/tcp/info.ts";
import type { TcpOptions } from "../../core/stack/tcp/tcp_options.ts";
import type { TcpError, TcpState } from "../../core/stack/tcp/tcp_state.ts";

/** One TCP connection. `TcpConnection` is one. */
export interface StreamConnection {
  readonly state: TcpState;
  readonly error: TcpError;
  readonly localPort: number;
  readonly remotePort: number;
  readonly readableBytes: number;
  readonly writableBytes: number;
  readonly isPeerClosed: boolean;
  send(bytes: Uint8Array, from: number, length: number, now: Micros): number;
  receive(into: Uint8Array, at: number, length: number, now: Micros): number;
  shutdownSend(now: Micros): void;
  close(now: Micros): void;
  abort(now: Micros): void;
  info(out: TcpInfo): void;
}

/** Where connections that the script opens arrive. */
export interface StreamListener {
  /** A connection whose handshake is complete, or undefined. */
  accept(): StreamConnection | undefined;
  readonly acceptableCount: number;
  /** Connections to come use these. */
  configure(options: TcpOptions): void;
  close(now: Micros): void;
}

/** A UDP socket's place. */
export interface DatagramPort {
  /** Length of the next datagram, taken from the queue; −1 when there is none. Units: bytes. */
  receive(): number;
  readonly queuedCount: number;
  /** False: the peer is not known yet, or the datagram is too long. */
  send(length: number, now: Micros): boolean;
  /** What ICMP said since the last question, or none. */
  takeError(): TcpError;
  close(): void;
}

/** What can be changed about a connection that is there. */
export type LiveOption =
  | "nagle"
  | "keepAlive"
  | "userTimeout"
  | "receiveBuffer"
  | "sendBuffer"
  | "tos"
  | "ttl"
  | "cork";

/** Opens and adjusts connections. */
export interface NetPort {
  /** Undefined: the pair of ports is in use. `openTimeoutUs`: how long opening may take, 0 for no bound of its own. */
  connect(
    localPort: number,
    remotePort: number,
    options: TcpOptions,
    openTimeoutUs: number,
    now: Micros,
  ): StreamConnection | undefined;
  listen(port: number, backlog: number, options: TcpOptions, now: Micros): StreamListener | undefined;
  /** Undefined: the port is in use. */
  datagram(localPort: number): DatagramPort | undefined;
  /** Changes a connection that is there; false when it cannot. */
  adjust(connection: StreamConnection, options: TcpOptions, what: LiveOption, now: Micros): boolean;
  /** A local port that nobody uses. */
  ephemeralPort(): number;
}
