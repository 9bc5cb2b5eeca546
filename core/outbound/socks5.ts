/**
 * The client of a SOCKS 5 proxy.
 *
 * Read first: RFC 1928 (protocol), RFC 1929 (user name and password).
 *
 *     client  05 n methods[n]            │ 01 u user[u] p password[p] │ 05 command 00 destination          │ bytes …
 *     server  05 method                  │ 01 00                      │ 05 reply   00 bound address        │ bytes …
 *             FF: none will do           │ else: refused              │ 00: granted
 */
import { ByteQueue } from "./byte_queue.ts";
import { destinationLength, formatDestination, readDestination, writeDestination } from "./destination.ts";
import { StreamState } from "./stream_state.ts";
import type { DatagramCodec, Destination, StreamTunnel, TunnelFailure, TunnelledDatagram } from "./tunnel.ts";

const VERSION = 5;
const METHOD_NONE = 0;
const METHOD_PASSWORD = 2;
const PASSWORD_VERSION = 1;
const CREDENTIAL_BYTES_MAX = 255;

/** What is asked of the server. */
export const Socks5Command = { Connect: 1, UdpAssociate: 3 } as const;
/** A value of `Socks5Command`. */
export type Socks5Command = (typeof Socks5Command)[keyof typeof Socks5Command];

/** Who we are to the server. Neither is longer than 255 bytes in UTF-8. */
export interface Socks5Login {
  readonly user: string;
  readonly password: string;
}

/** Why the server does not do it. Source: RFC 1928 section 6. */
const REPLIES: readonly (readonly [TunnelFailure["kind"], string])[] = [
  ["failed", "granted"],
  ["failed", "general failure of the server"],
  ["prohibited", "not allowed by its rules"],
  ["networkUnreachable", "network unreachable"],
  ["hostUnreachable", "host unreachable"],
  ["refused", "connection refused"],
  ["timedOut", "TTL expired"],
  ["failed", "command not supported"],
  ["failed", "address type not supported"],
];

/** Text as bytes; undefined when it is too long for the protocol. */
export function credentialBytes(text: string): Uint8Array | undefined {
  const bytes = new TextEncoder().encode(text);
  return bytes.length <= CREDENTIAL_BYTES_MAX ? bytes : undefined;
}

/** One connection to a SOCKS 5 server: CONNECT carries a stream, UDP ASSOCIATE keeps an association alive. */
export class Socks5Tunnel extends StreamState implements StreamTunnel {
  readonly #command: Socks5Command;
  readonly #destination: Destination;
  readonly #login: Socks5Login | undefined;
  readonly #received = new ByteQueue();
  #step: "method" | "login" | "reply" | "stream" = "method";
  #bound: Destination | undefined = undefined;

  constructor(command: Socks5Command, destination: Destination, login: Socks5Login | undefined) {
    super("opening");
    this.#command = command;
    this.#destination = destination;
    this.#login = login;
  }

  /** The address that the server answered with: where datagrams go after UDP ASSOCIATE. */
  get bound(): Destination | undefined {
    return this.#bound;
  }

  start(): void {
    const methods = this.#login === undefined ? [METHOD_NONE] : [METHOD_NONE, METHOD_PASSWORD];
    this.toServer.push(Uint8Array.of(VERSION, methods.length, ...methods));
  }

  write(bytes: Uint8Array): void {
    this.toServer.push(bytes);
  }

  end(): void {
    this.closeTransport();
  }

  receive(bytes: Uint8Array): void {
    if (this.state === "failed") return;
    if (this.#step === "stream") return this.toApplication.push(bytes);
    this.#received.push(bytes);
    while (this.#advance()) { /* a step further */ }
  }

  receiveEnd(): void {
    if (this.state === "open") this.serverDone();
    else this.fail("failed", `Cannot reach ${this.#what()} by SOCKS 5: the server closed the connection`);
  }

  #what(): string {
    return formatDestination(this.#destination);
  }

  /** True when a step was taken. */
  #advance(): boolean {
    if (this.state === "failed") return false;
    if (this.#step === "method") return this.#readMethod();
    if (this.#step === "login") return this.#readLogin();
    return this.#step === "reply" && this.#readReply();
  }

  #readMethod(): boolean {
    const answer = this.#received.take(2);
    if (answer === undefined) return false;
    if (answer[0] !== VERSION) {
      this.fail("failed", `Cannot speak SOCKS 5: the server answered with version ${answer[0]}`);
    } else if (answer[1] === METHOD_NONE) this.#ask();
    else if (answer[1] === METHOD_PASSWORD && this.#login !== undefined) this.#sendLogin(this.#login);
    else {
      const wants = this.#login === undefined
        ? "it wants a user name and password, or another login"
        : "it wants another login";
      this.fail("prohibited", `Cannot use the SOCKS 5 server: ${wants}`);
    }
    return true;
  }

  #sendLogin({ user, password }: Socks5Login): void {
    const [name, secret] = [credentialBytes(user), credentialBytes(password)];
    if (name === undefined || secret === undefined) {
      return this.fail("prohibited", "Cannot log in by SOCKS 5: user name and password have at most 255 bytes");
    }
    this.toServer.push(Uint8Array.of(PASSWORD_VERSION, name.length, ...name, secret.length, ...secret));
    this.#step = "login";
  }

  #readLogin(): boolean {
    const answer = this.#received.take(2);
    if (answer === undefined) return false;
    if (answer[1] !== 0) this.fail("prohibited", "Cannot use the SOCKS 5 server: it refuses the user name or password");
    else this.#ask();
    return true;
  }

  #ask(): void {
    const destination = writeDestination(this.#destination);
    if (destination === undefined) {
      return this.fail("failed", `Cannot reach ${this.#what()} by SOCKS 5: it is neither a name nor an address`);
    }
    this.toServer.push(Uint8Array.of(VERSION, this.#command, 0, ...destination));
    this.#step = "reply";
  }

  #readReply(): boolean {
    const received = this.#received;
    const [version, reply] = [received.peek(0), received.peek(1)];
    if (version === undefined || reply === undefined) return false;
    if (version !== VERSION) {
      this.fail("failed", `Cannot speak SOCKS 5: the server answered with version ${version}`);
      return true;
    }
    if (reply !== 0) {
      const [kind, why] = REPLIES[reply] ?? ["failed", `reply ${reply}`];
      this.fail(kind, `Cannot reach ${this.#what()} by SOCKS 5: ${why}`);
      return true;
    }
    const length = destinationLength(received.peek(3), received.peek(4));
    if (length < 0) this.fail("failed", "Cannot speak SOCKS 5: the server answered with an unknown type of address");
    if (length <= 0) return length < 0;
    const answer = received.take(3 + length);
    if (answer === undefined) return false;
    this.#bound = readDestination(answer, 3)!.destination;
    this.#step = "stream";
    this.opened();
    this.toApplication.push(received.takeAll());
    return true;
  }
}

/**
 * Datagrams of a UDP association. Fragments are not put together: hardly a server sends them, and RFC 1928 lets one drop them.
 *
 *     00 00 fragment(1) destination payload
 */
export class Socks5Datagrams implements DatagramCodec {
  seal(destination: Destination, payload: Uint8Array): Uint8Array | undefined {
    const written = writeDestination(destination);
    if (written === undefined) return undefined;
    const bytes = new Uint8Array(3 + written.length + payload.length);
    bytes.set(written, 3);
    bytes.set(payload, 3 + written.length);
    return bytes;
  }

  open(datagram: Uint8Array): TunnelledDatagram | undefined {
    if (datagram[2] !== 0) return undefined;
    const read = readDestination(datagram, 3);
    if (read === undefined) return undefined;
    return { source: read.destination, payload: datagram.subarray(3 + read.length) };
  }
}
