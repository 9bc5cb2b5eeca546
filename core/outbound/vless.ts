/**
 * The client of a VLESS server. It has no cipher of its own: TLS around it is the caller's business.
 *
 * Read first: XTLS, "VLESS protocol", https://xtls.github.io/development/protocols/vless.html
 *
 *     client  00 uuid (16) n addons (n) command (1) port and address │ bytes …
 *     server  00 n addons (n)                                        │ bytes …
 *     UDP     command 2, and both ways: length (2) payload           one destination for each connection
 */
import { ByteQueue } from "./byte_queue.ts";
import { writePortAddress } from "./port_address.ts";
import { StreamState } from "./stream_state.ts";
import type { DatagramTunnel, Destination, StreamTunnel, TunnelledDatagram } from "./tunnel.ts";

const VERSION = 0;
const COMMAND_TCP = 1;
const COMMAND_UDP = 2;
const LENGTH_BYTES = 2;
const PAYLOAD_BYTES_MAX = 0xffff;

/** One stream, or the stream below datagrams. */
export class VlessTunnel extends StreamState implements StreamTunnel {
  readonly #uuid: Uint8Array;
  readonly #destination: Destination;
  readonly #command: number;
  readonly #received = new ByteQueue();
  #isAnswered = false;

  constructor(uuid: Uint8Array, destination: Destination, network: "tcp" | "udp" = "tcp") {
    super("open");
    this.#uuid = uuid;
    this.#destination = destination;
    this.#command = network === "tcp" ? COMMAND_TCP : COMMAND_UDP;
  }

  start(): void {
    const destination = writePortAddress(this.#destination);
    if (destination === undefined) {
      return this.fail("failed", "Cannot use VLESS: the destination is neither a name nor an address");
    }
    this.toServer.push(Uint8Array.of(VERSION, ...this.#uuid, 0, this.#command, ...destination));
  }

  write(bytes: Uint8Array): void {
    this.toServer.push(bytes);
  }

  end(): void {
    this.closeTransport();
  }

  receive(bytes: Uint8Array): void {
    if (this.state === "failed") return;
    if (this.#isAnswered) return this.toApplication.push(bytes);
    const received = this.#received;
    received.push(bytes);
    const [version, addons] = [received.peek(0), received.peek(1)];
    if (version !== undefined && version !== VERSION) {
      return this.fail("failed", `Cannot speak VLESS: the server answered with version ${version}`);
    }
    if (addons === undefined || received.take(2 + addons) === undefined) return;
    this.#isAnswered = true;
    this.toApplication.push(received.takeAll());
  }

  /** A server that does not know the UUID closes without a word. */
  receiveEnd(): void {
    if (this.#isAnswered) this.serverDone();
    else {this.fail(
        "prohibited",
        "Cannot use the VLESS server: it closed the connection without an answer; does it know the UUID?",
      );}
  }
}

/** Datagrams to one destination, each behind its length; the stream below is a VLESS or VMess tunnel's. */
export class LengthDatagrams implements DatagramTunnel {
  readonly #stream: StreamTunnel;
  readonly #destination: Destination;
  readonly #received = new ByteQueue();
  readonly #datagrams: Uint8Array[] = [];

  constructor(stream: StreamTunnel, destination: Destination) {
    this.#stream = stream;
    this.#destination = destination;
  }

  get state() {
    return this.#stream.state;
  }

  get failure() {
    return this.#stream.failure;
  }

  get toServer() {
    return this.#stream.toServer;
  }

  start(): void {
    this.#stream.start();
  }

  send(_destination: Destination, payload: Uint8Array): boolean {
    if (payload.length > PAYLOAD_BYTES_MAX) return false;
    const framed = new Uint8Array(LENGTH_BYTES + payload.length);
    framed[0] = payload.length >>> 8;
    framed[1] = payload.length & 0xff;
    framed.set(payload, LENGTH_BYTES);
    this.#stream.write(framed);
    return true;
  }

  receive(bytes: Uint8Array): void {
    this.#stream.receive(bytes);
    for (let chunk = this.#stream.toApplication.shift(); chunk !== undefined;) {
      this.#received.push(chunk);
      chunk = this.#stream.toApplication.shift();
    }
    for (;;) {
      const [high, low] = [this.#received.peek(0), this.#received.peek(1)];
      if (high === undefined || low === undefined) return;
      const framed = this.#received.take(LENGTH_BYTES + (high << 8 | low));
      if (framed === undefined) return;
      this.#datagrams.push(framed.subarray(LENGTH_BYTES));
    }
  }

  receiveEnd(): void {
    this.#stream.receiveEnd();
  }

  take(): TunnelledDatagram | undefined {
    const payload = this.#datagrams.shift();
    return payload && { source: this.#destination, payload };
  }
}
