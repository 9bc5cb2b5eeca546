/** One tunnel inside another: VMess in WebSocket, datagrams in VLESS in WebSocket. */
import type { ByteQueue } from "./byte_queue.ts";
import type {
  DatagramTunnel,
  Destination,
  StreamTunnel,
  TunnelFailure,
  TunnelledDatagram,
  TunnelState,
} from "./tunnel.ts";

/** `inner` speaks to its server through `outer`; the host sees one tunnel. */
export class LayeredTunnel implements StreamTunnel {
  readonly #outer: StreamTunnel;
  readonly #inner: StreamTunnel;
  #isInnerStarted: boolean;
  #hasToldEnd = false;
  #hasToldServerEnd = false;

  /** `isInnerStarted`: what opens the inner one was taken from it already, to go with what opens the outer one. */
  constructor(outer: StreamTunnel, inner: StreamTunnel, isInnerStarted = false) {
    this.#outer = outer;
    this.#inner = inner;
    this.#isInnerStarted = isInnerStarted;
  }

  get state(): TunnelState {
    if (this.#outer.state === "failed" || this.#inner.state === "failed") return "failed";
    return this.#outer.state === "open" ? this.#inner.state : "opening";
  }

  get failure(): TunnelFailure | undefined {
    return this.#outer.failure ?? this.#inner.failure;
  }

  get toServer(): ByteQueue {
    return this.#outer.toServer;
  }

  get toApplication(): ByteQueue {
    return this.#inner.toApplication;
  }

  get isServerDone(): boolean {
    return this.#inner.isServerDone;
  }

  get closesTransport(): boolean {
    return this.#outer.closesTransport;
  }

  start(): void {
    this.#outer.start();
    this.#settle();
  }

  write(bytes: Uint8Array): void {
    this.#inner.write(bytes);
    this.#settle();
  }

  end(): void {
    this.#inner.end();
    this.#settle();
  }

  receive(bytes: Uint8Array): void {
    this.#outer.receive(bytes);
    this.#settle();
  }

  receiveEnd(): void {
    this.#outer.receiveEnd();
    this.#settle();
  }

  /** Carries over what one layer has for the other. */
  #settle(): void {
    const [outer, inner] = [this.#outer, this.#inner];
    if (outer.state !== "open") return;
    if (!this.#isInnerStarted) {
      this.#isInnerStarted = true;
      inner.start();
    }
    for (let chunk = outer.toApplication.shift(); chunk !== undefined; chunk = outer.toApplication.shift()) {
      inner.receive(chunk);
    }
    if (outer.isServerDone && !this.#hasToldServerEnd) {
      this.#hasToldServerEnd = true;
      inner.receiveEnd();
    }
    for (let chunk = inner.toServer.shift(); chunk !== undefined; chunk = inner.toServer.shift()) outer.write(chunk);
    if (inner.closesTransport && !this.#hasToldEnd) {
      this.#hasToldEnd = true;
      outer.end();
    }
  }
}

/** Datagrams over a stream that itself lies in another tunnel. */
export class LayeredDatagrams implements DatagramTunnel {
  readonly #outer: StreamTunnel;
  readonly #inner: DatagramTunnel;
  #isInnerStarted = false;

  constructor(outer: StreamTunnel, inner: DatagramTunnel) {
    this.#outer = outer;
    this.#inner = inner;
  }

  get state(): TunnelState {
    if (this.#outer.state === "failed" || this.#inner.state === "failed") return "failed";
    return this.#outer.state === "open" ? this.#inner.state : "opening";
  }

  get failure(): TunnelFailure | undefined {
    return this.#outer.failure ?? this.#inner.failure;
  }

  get toServer(): ByteQueue {
    return this.#outer.toServer;
  }

  start(): void {
    this.#outer.start();
    this.#settle();
  }

  send(destination: Destination, payload: Uint8Array): boolean {
    const isTaken = this.#inner.send(destination, payload);
    this.#settle();
    return isTaken;
  }

  receive(bytes: Uint8Array): void {
    this.#outer.receive(bytes);
    this.#settle();
  }

  receiveEnd(): void {
    this.#outer.receiveEnd();
    this.#inner.receiveEnd();
  }

  take(): TunnelledDatagram | undefined {
    return this.#inner.take();
  }

  #settle(): void {
    const [outer, inner] = [this.#outer, this.#inner];
    if (outer.state !== "open") return;
    if (!this.#isInnerStarted) {
      this.#isInnerStarted = true;
      inner.start();
    }
    for (let chunk = outer.toApplication.shift(); chunk !== undefined; chunk = outer.toApplication.shift()) {
      inner.receive(chunk);
    }
    if (outer.isServerDone) inner.receiveEnd();
    for (let chunk = inner.toServer.shift(); chunk !== undefined; chunk = inner.toServer.shift()) outer.write(chunk);
  }
}
