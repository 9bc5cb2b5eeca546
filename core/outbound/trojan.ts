/**
 * The client of a Trojan server. TLS around it is the caller's business, and its only secrecy.
 *
 * Read first: "The Trojan Protocol", https://trojan-gfw.github.io/trojan/protocol
 *
 *     client  SHA-224 of the password in hex (56) CR LF command (1) destination CR LF │ bytes …
 *     server                                                                          │ bytes …
 *     UDP     command 3, and both ways: destination length (2) CR LF payload
 */
import { ByteQueue } from "./byte_queue.ts";
import { destinationLength, readDestination, writeDestination } from "./destination.ts";
import { StreamState } from "./stream_state.ts";
import type { DatagramTunnel, Destination, OutboundCrypto, StreamTunnel, TunnelledDatagram } from "./tunnel.ts";

const CR = 13;
const LF = 10;
const COMMAND_CONNECT = 1;
const COMMAND_UDP = 3;
/** Units: bytes. Source: trojan's own servers refuse more than fits their buffer of 8 KiB. */
const PAYLOAD_BYTES_MAX = 8_192;

/** The password as the server is told it. Shape: 56 characters as bytes. */
export function trojanKey(password: string, crypto: OutboundCrypto): Uint8Array {
  const digest = crypto.hash("sha224", new TextEncoder().encode(password));
  return new TextEncoder().encode(Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join(""));
}

/** The request; undefined when the destination is neither a name nor an address. */
function writeRequest(key: Uint8Array, command: number, destination: Destination): Uint8Array | undefined {
  const written = writeDestination(destination);
  return written && Uint8Array.of(...key, CR, LF, command, ...written, CR, LF);
}

/** One stream. */
export class TrojanTunnel extends StreamState implements StreamTunnel {
  readonly #key: Uint8Array;
  readonly #destination: Destination;

  constructor(key: Uint8Array, destination: Destination) {
    super("open");
    this.#key = key;
    this.#destination = destination;
  }

  start(): void {
    const request = writeRequest(this.#key, COMMAND_CONNECT, this.#destination);
    if (request === undefined) {
      return this.fail("failed", "Cannot use Trojan: the destination is neither a name nor an address");
    }
    this.toServer.push(request);
  }

  write(bytes: Uint8Array): void {
    this.toServer.push(bytes);
  }

  end(): void {
    this.closeTransport();
  }

  receive(bytes: Uint8Array): void {
    this.toApplication.push(bytes);
  }

  receiveEnd(): void {
    this.serverDone();
  }
}

/** Datagrams over one stream, each with its own destination. */
export class TrojanDatagrams extends StreamState implements DatagramTunnel {
  readonly #key: Uint8Array;
  readonly #first: Destination;
  readonly #received = new ByteQueue();
  readonly #datagrams: TunnelledDatagram[] = [];

  /** `first` is the destination that the request names; servers look at those of the datagrams. */
  constructor(key: Uint8Array, first: Destination) {
    super("open");
    this.#key = key;
    this.#first = first;
  }

  start(): void {
    const request = writeRequest(this.#key, COMMAND_UDP, this.#first);
    if (request === undefined) {
      return this.fail("failed", "Cannot use Trojan: the destination is neither a name nor an address");
    }
    this.toServer.push(request);
  }

  send(destination: Destination, payload: Uint8Array): boolean {
    const written = writeDestination(destination);
    if (written === undefined || payload.length > PAYLOAD_BYTES_MAX) return false;
    const framed = new Uint8Array(written.length + 4 + payload.length);
    framed.set(written);
    framed.set([payload.length >>> 8, payload.length & 0xff, CR, LF], written.length);
    framed.set(payload, written.length + 4);
    this.toServer.push(framed);
    return true;
  }

  receive(bytes: Uint8Array): void {
    if (this.state === "failed") return;
    this.#received.push(bytes);
    while (this.#readOne()) { /* the next one */ }
  }

  receiveEnd(): void {
    this.fail("failed", "Cannot go on with Trojan: the server closed the connection");
  }

  take(): TunnelledDatagram | undefined {
    return this.#datagrams.shift();
  }

  /** True when a datagram was read. */
  #readOne(): boolean {
    const received = this.#received;
    const head = destinationLength(received.peek(0), received.peek(1));
    if (head < 0) this.fail("failed", "Cannot go on with Trojan: the server sent a datagram without an address");
    if (head <= 0) return false;
    const [high, low] = [received.peek(head), received.peek(head + 1)];
    if (high === undefined || low === undefined) return false;
    const length = high << 8 | low;
    const framed = received.take(head + 4 + length);
    if (framed === undefined) return false;
    const { destination } = readDestination(framed)!;
    this.#datagrams.push({ source: destination, payload: framed.subarray(head + 4) });
    return true;
  }
}
