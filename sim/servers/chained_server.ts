/** A server that is reached through another one: what the outer one carries to it is what its own clients say. */
import { formatDestination } from "../../core/outbound/destination.ts";
import type { ByteQueue } from "../../core/outbound/byte_queue.ts";
import type { Destination } from "../../core/outbound/tunnel.ts";
import type { ServerTunnel } from "./proxy_server.ts";

/** Two servers as one. The outer one must be asked for the place where the inner one is. */
export class ChainedServer implements ServerTunnel {
  readonly #outer: ServerTunnel;
  readonly #inner: ServerTunnel;
  readonly #innerPlace: string;
  #isReached = false;
  #hasToldEnd = false;
  #refusal: string | undefined = undefined;

  constructor(outer: ServerTunnel, inner: ServerTunnel, innerPlace: Destination) {
    this.#outer = outer;
    this.#inner = inner;
    this.#innerPlace = formatDestination(innerPlace);
  }

  get destination() {
    return this.#inner.destination;
  }

  get network() {
    return this.#inner.network;
  }

  get toClient(): ByteQueue {
    return this.#outer.toClient;
  }

  get toTarget(): ByteQueue {
    return this.#inner.toTarget;
  }

  get isClientDone(): boolean {
    return this.#inner.isClientDone;
  }

  get refusal(): string | undefined {
    return this.#refusal ?? this.#outer.refusal ?? this.#inner.refusal;
  }

  receive(bytes: Uint8Array): void {
    this.#outer.receive(bytes);
    this.#settle();
  }

  receiveEnd(): void {
    this.#outer.receiveEnd();
    this.#settle();
  }

  accept(): void {
    this.#inner.accept();
    this.#settle();
  }

  write(bytes: Uint8Array): void {
    this.#inner.write(bytes);
    this.#settle();
  }

  end(): boolean {
    const closes = this.#inner.end();
    this.#settle();
    return closes && this.#outer.end();
  }

  #settle(): void {
    const { destination } = this.#outer;
    if (destination === undefined) return;
    if (!this.#isReached) {
      this.#isReached = true;
      const asked = formatDestination(destination);
      if (asked !== this.#innerPlace) this.#refusal ??= `nobody listens at ${asked}`;
      this.#outer.accept();
    }
    const { toTarget } = this.#outer;
    for (let chunk = toTarget.shift(); chunk !== undefined; chunk = toTarget.shift()) this.#inner.receive(chunk);
    if (this.#outer.isClientDone && !this.#hasToldEnd) {
      this.#hasToldEnd = true;
      this.#inner.receiveEnd();
    }
    const { toClient } = this.#inner;
    for (let chunk = toClient.shift(); chunk !== undefined; chunk = toClient.shift()) this.#outer.write(chunk);
  }
}
