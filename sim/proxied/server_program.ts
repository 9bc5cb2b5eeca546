/** A proxy server on a virtual host: its half of the protocol over a connection, and the target's program behind it. */
import { PROXIED_BUFFER_BYTES } from "../../core/base/limits.ts";
import type { Micros } from "../../core/base/micros.ts";
import type { Destination } from "../../core/outbound/tunnel.ts";
import { TcpError, TcpEvent } from "../../core/stack/tcp/tcp_state.ts";
import type { ServerTunnel } from "../servers/proxy_server.ts";
import type { Application, Socket } from "../world/application.ts";
import type { HostProgram, HostSocket } from "../world/host.ts";
import { OutgoingBytes } from "./outgoing_bytes.ts";

const CHUNK_BYTES = 16_384;

/** Names the program at a destination; undefined when nobody is there. */
export type FindTarget = (destination: Destination) => Application | undefined;

/** One client of the server. To the target's program it is a connection. */
export class ServerProgram implements HostProgram, Socket {
  readonly #server: ServerTunnel;
  readonly #findTarget: FindTarget;
  readonly #toClient: OutgoingBytes;
  readonly #toTarget: OutgoingBytes;
  readonly #scratch = new Uint8Array(CHUNK_BYTES);
  #socket!: HostSocket;
  #onTouched: (now: Micros) => void = () => {};
  #target: Application | undefined = undefined;
  #hasToldEnd = false;
  #isEnding = false;
  #isSendClosed = false;
  #isClosing = false;
  #isOver = false;

  constructor(server: ServerTunnel, findTarget: FindTarget) {
    this.#server = server;
    this.#findTarget = findTarget;
    this.#toClient = new OutgoingBytes(server.toClient);
    this.#toTarget = new OutgoingBytes(server.toTarget);
  }

  attach(socket: HostSocket, _isActive: boolean, _now: Micros, onTouched: (now: Micros) => void): void {
    this.#socket = socket;
    this.#onTouched = onTouched;
  }

  onEvents(events: number, now: Micros): void {
    if ((events & TcpEvent.Failed) !== 0) {
      this.#isOver = true;
      return this.#target?.onEvents(TcpEvent.Failed, now);
    }
    this.#pump(now);
    this.#target?.onEvents(events & ~TcpEvent.Connected, now);
    this.#pump(now);
  }

  /** True while the client has not said where it wants to go. */
  get isWaiting(): boolean {
    return !this.#isOver && this.#target === undefined;
  }

  /** What it holds. Units: bytes. */
  get heldBytes(): number {
    return this.#toClient.length + this.#toTarget.length;
  }

  // ── what the target's program sees ──

  get readableBytes(): number {
    return this.#toTarget.length;
  }

  get unackedBytes(): number {
    return this.#socket.unackedBytes + this.#toClient.length;
  }

  get isPeerClosed(): boolean {
    return this.#server.isClientDone && this.#toTarget.length === 0 && this.error === TcpError.None;
  }

  get error(): TcpError {
    return this.#socket.error;
  }

  send(bytes: Uint8Array, from: number, length: number, now: Micros): number {
    if (this.#isOver || this.#isEnding || this.#toClient.length >= PROXIED_BUFFER_BYTES) return 0;
    this.#server.write(bytes.slice(from, from + length));
    this.#flush(now);
    return length;
  }

  receive(into: Uint8Array, at: number, length: number, now: Micros): number {
    if (this.#toTarget.length === 0) this.#readClient(now);
    return this.#toTarget.read(into, at, length);
  }

  shutdownSend(now: Micros): void {
    if (this.#isEnding || this.#isOver) return;
    this.#isEnding = true;
    this.#server.end();
    this.#flush(now);
  }

  close(now: Micros): void {
    this.shutdownSend(now);
    this.#isClosing = true;
    this.#flush(now);
  }

  abort(now: Micros): void {
    this.#isOver = true;
    this.#socket.abort(now);
  }

  // ── the connection to the client ──

  #pump(now: Micros): void {
    if (this.#isOver) return;
    this.#readClient(now);
    this.#meetTarget(now);
    this.#flush(now);
    if (this.#server.refusal === undefined) return;
    // What a server makes of a client that it does not understand.
    this.abort(now);
    this.#target?.onEvents(TcpEvent.Failed, now);
  }

  #readClient(now: Micros): void {
    while (this.#toTarget.length < PROXIED_BUFFER_BYTES && this.#server.refusal === undefined) {
      const count = this.#socket.receive(this.#scratch, 0, CHUNK_BYTES, now);
      if (count <= 0) break;
      this.#server.receive(this.#scratch.slice(0, count));
    }
    if (this.#hasToldEnd || !this.#socket.isPeerClosed || this.#socket.readableBytes > 0) return;
    this.#hasToldEnd = true;
    this.#server.receiveEnd();
  }

  /** The client said where it wants to go: the program there gets this as its connection. */
  #meetTarget(now: Micros): void {
    const { destination } = this.#server;
    if (destination === undefined || this.#target !== undefined) return;
    this.#target = this.#findTarget(destination);
    if (this.#target === undefined) return this.abort(now);
    this.#server.accept();
    this.#target.attach(this, false, now, this.#onTouched);
  }

  #flush(now: Micros): void {
    if (this.#isOver) return;
    this.#toClient.send(this.#socket, now);
    if (this.#toClient.length > 0) return;
    if (this.#isEnding && !this.#isSendClosed) {
      this.#isSendClosed = true;
      this.#socket.shutdownSend(now);
    }
    if (!this.#isClosing) return;
    this.#isOver = true;
    this.#socket.close(now);
  }
}
