/**
 * What weir does with a proxied flow, on a virtual host: it holds the application's SYN back, dials the proxy, opens the tunnel, then takes the flow
 * in and carries bytes, ends and breaks from one connection to the other.
 *
 *     application ══ near ══ relay ── client's machine ── relay ══ far ══ proxy
 */
import { PROXIED_BUFFER_BYTES } from "../../core/base/limits.ts";
import type { Micros } from "../../core/base/micros.ts";
import type { StreamTunnel } from "../../core/outbound/tunnel.ts";
import type { PendingFlow } from "../../core/stack/pending_flow.ts";
import type { TcpOptions } from "../../core/stack/tcp/tcp_options.ts";
import { TcpError, TcpEvent } from "../../core/stack/tcp/tcp_state.ts";
import type { Host, HostProgram, HostSocket } from "../world/host.ts";
import { OutgoingBytes } from "./outgoing_bytes.ts";

const CHUNK_BYTES = 16_384;

/** One of the relay's two connections. */
class RelayEnd implements HostProgram {
  socket: HostSocket | undefined = undefined;
  isConnected = false;
  hasFailed = false;
  /** The peer's end was handed on. */
  hasToldEnd = false;
  /** Our end was sent. */
  isSendClosed = false;
  readonly #onEvents: (now: Micros) => void;

  constructor(onEvents: (now: Micros) => void) {
    this.#onEvents = onEvents;
  }

  attach(socket: HostSocket, isActive: boolean): void {
    this.socket = socket;
    this.isConnected = !isActive;
  }

  onEvents(events: number, now: Micros): void {
    if ((events & TcpEvent.Connected) !== 0) this.isConnected = true;
    if ((events & TcpEvent.Failed) !== 0) this.hasFailed = true;
    this.#onEvents(now);
  }

  abort(now: Micros): void {
    if (!this.hasFailed) this.socket?.abort(now);
  }
}

/** One flow. Dial `far` and attach it; the rest happens by itself. */
export class RelayProgram {
  readonly far: RelayEnd;
  isOver = false;
  readonly #near: RelayEnd;
  readonly #host: Host;
  readonly #pending: PendingFlow;
  readonly #options: Partial<TcpOptions>;
  readonly #tunnel: StreamTunnel;
  readonly #up: OutgoingBytes;
  readonly #down: OutgoingBytes;
  readonly #scratch = new Uint8Array(CHUNK_BYTES);
  #isStarted = false;

  /** `options`: those of the connection to the application. */
  constructor(host: Host, pending: PendingFlow, options: Partial<TcpOptions>, tunnel: StreamTunnel) {
    this.#host = host;
    this.#pending = pending;
    this.#options = options;
    this.#tunnel = tunnel;
    this.#up = new OutgoingBytes(tunnel.toServer);
    this.#down = new OutgoingBytes(tunnel.toApplication);
    this.#near = new RelayEnd((now) => this.pump(now));
    this.far = new RelayEnd((now) => this.pump(now));
  }

  /** What it holds. Units: bytes. */
  get heldBytes(): number {
    return this.#up.length + this.#down.length;
  }

  /** Why one of the connections broke, also after the relay had left the rest of it to the stack. */
  get error(): TcpError {
    const error = this.far.socket?.error ?? TcpError.None;
    return error !== TcpError.None ? error : this.#near.socket?.error ?? TcpError.None;
  }

  /** Ends both connections at once. */
  abort(now: Micros): void {
    if (this.isOver) return;
    this.isOver = true;
    this.far.abort(now);
    if (this.#near.socket === undefined) this.#pending.refuse(now);
    else this.#near.abort(now);
  }

  /** Carries everything as far as it goes now. */
  pump(now: Micros): void {
    if (this.isOver) return;
    const [near, far, tunnel] = [this.#near, this.far, this.#tunnel];
    if (near.hasFailed || far.hasFailed || tunnel.state === "failed") return this.abort(now);
    if (!far.isConnected) return;
    if (!this.#isStarted) {
      this.#isStarted = true;
      tunnel.start();
    }
    while (this.#step(now)) { /* as long as anything moves */ }
    const isRefused = near.socket === undefined && far.hasToldEnd;
    // A protocol without halves ends both at once: what comes after that cannot be carried any more.
    const isStranded = far.isSendClosed && this.#up.length > 0;
    if (tunnel.failure !== undefined || isRefused || isStranded) return this.abort(now);
    // Not every protocol ends the connection with the stream; when both halves are over, weir does.
    if (near.hasToldEnd && near.isSendClosed && this.#up.length === 0) this.#finish(now);
  }

  #step(now: Micros): boolean {
    let hasMoved = this.#readFar(now);
    hasMoved = this.#up.send(this.far.socket!, now) || hasMoved;
    hasMoved = this.#endFar(now) || hasMoved;
    if (this.#tunnel.state !== "open") return hasMoved;
    if (this.#near.socket === undefined && !this.#takeIn(now)) return false;
    hasMoved = this.#readNear(now) || hasMoved;
    hasMoved = this.#down.send(this.#near.socket!, now) || hasMoved;
    return this.#endNear(now) || hasMoved;
  }

  /** The proxy is ready: the application's SYN is answered. False when the application has given up. */
  #takeIn(now: Micros): boolean {
    const connection = this.#pending.accept(now, this.#options);
    if (connection === undefined) {
      this.abort(now);
      return false;
    }
    this.#near.attach(connection, false);
    this.#host.applications.set(connection, this.#near);
    return true;
  }

  #readFar(now: Micros): boolean {
    const [far, tunnel] = [this.far, this.#tunnel];
    const socket = far.socket!;
    let hasMoved = false;
    while (this.#down.length < PROXIED_BUFFER_BYTES && tunnel.state !== "failed") {
      const count = socket.receive(this.#scratch, 0, CHUNK_BYTES, now);
      if (count <= 0) break;
      tunnel.receive(this.#scratch.slice(0, count));
      hasMoved = true;
    }
    if (!far.hasToldEnd && socket.isPeerClosed && socket.readableBytes === 0) {
      far.hasToldEnd = true;
      tunnel.receiveEnd();
      hasMoved = true;
    }
    return hasMoved;
  }

  #endFar(now: Micros): boolean {
    const { far } = this;
    if (far.isSendClosed || !this.#tunnel.closesTransport || this.#up.length > 0) return false;
    far.isSendClosed = true;
    far.socket!.shutdownSend(now);
    return true;
  }

  #readNear(now: Micros): boolean {
    const [near, tunnel] = [this.#near, this.#tunnel];
    const socket = near.socket!;
    let hasMoved = false;
    while (this.#up.length < PROXIED_BUFFER_BYTES) {
      const count = socket.receive(this.#scratch, 0, CHUNK_BYTES, now);
      if (count <= 0) break;
      tunnel.write(this.#scratch.slice(0, count));
      hasMoved = true;
    }
    if (!near.hasToldEnd && socket.isPeerClosed && socket.readableBytes === 0) {
      near.hasToldEnd = true;
      tunnel.end();
      hasMoved = true;
    }
    return hasMoved;
  }

  #endNear(now: Micros): boolean {
    const near = this.#near;
    if (near.isSendClosed || !this.#tunnel.isServerDone || this.#down.length > 0) return false;
    near.isSendClosed = true;
    near.socket!.shutdownSend(now);
    return true;
  }

  #finish(now: Micros): void {
    this.isOver = true;
    this.#near.socket!.close(now);
    this.far.socket!.close(now);
  }
}
