/**
 * The client of an HTTP proxy: CONNECT.
 *
 * Read first: RFC 9110 section 9.3.6 (CONNECT), RFC 9112 sections 3.2.3 and 6.3, RFC 7617 (Basic).
 *
 *     client  CONNECT example.org:443 HTTP/1.1 ⏎ Host: example.org:443 ⏎ Proxy-Authorization: Basic … ⏎ ⏎ │ bytes …
 *     server  HTTP/1.1 200 Connection established ⏎ … ⏎ ⏎                                                 │ bytes …
 */
import { HTTP_ANSWER_BYTES_MAX } from "../base/limits.ts";
import { ByteQueue } from "./byte_queue.ts";
import { formatDestination } from "./destination.ts";
import { StreamState } from "./stream_state.ts";
import type { Destination, StreamTunnel, TunnelFailure } from "./tunnel.ts";

/** How the proxy is spoken to. */
export interface HttpConnectOptions {
  readonly login: { readonly user: string; readonly password: string } | undefined;
  /** More fields of the request, as the configuration has them. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

const LF = 10;
const CR = 13;

/** Names and values that cannot smuggle another line in. Source: RFC 9110 section 5. */
export function isHeader(name: string, value: string): boolean {
  // deno-lint-ignore no-control-regex -- a field's value has no control characters but the tab
  return /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) && !/[\x00-\x08\x0a-\x1f\x7f]/.test(value);
}

function base64(text: string): string {
  return btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(""));
}

function kindOf(status: number): TunnelFailure["kind"] {
  if (status === 401 || status === 403 || status === 407 || status === 451) return "prohibited";
  if (status === 504 || status === 408) return "timedOut";
  if (status === 502 || status === 503) return "hostUnreachable";
  return "failed";
}

/** One connection through an HTTP proxy. */
export class HttpConnectTunnel extends StreamState implements StreamTunnel {
  readonly #destination: Destination;
  readonly #options: HttpConnectOptions;
  readonly #received = new ByteQueue();
  #scanned = 0;
  #lineStart = 0;

  constructor(destination: Destination, options: HttpConnectOptions) {
    super("opening");
    this.#destination = destination;
    this.#options = options;
  }

  start(): void {
    const authority = formatDestination(this.#destination);
    if (!/^[\x21-\x7e]+$/.test(authority)) {
      return this.fail("failed", "Cannot use CONNECT: the destination is neither a name nor an address");
    }
    const { login, headers } = this.#options;
    const own = new Set(headers.map(([name]) => name.toLowerCase()));
    const lines = [`CONNECT ${authority} HTTP/1.1`];
    if (!own.has("host")) lines.push(`Host: ${authority}`);
    if (login !== undefined) lines.push(`Proxy-Authorization: Basic ${base64(`${login.user}:${login.password}`)}`);
    for (const [name, value] of headers) if (isHeader(name, value)) lines.push(`${name}: ${value}`);
    this.toServer.push(new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`));
  }

  write(bytes: Uint8Array): void {
    this.toServer.push(bytes);
  }

  end(): void {
    this.closeTransport();
  }

  receive(bytes: Uint8Array): void {
    if (this.state === "failed") return;
    if (this.state === "open") return this.toApplication.push(bytes);
    this.#received.push(bytes);
    const length = this.#headLength();
    if (length > 0) this.#readHead(new TextDecoder("latin1").decode(this.#received.take(length)!));
    else if (this.#received.length > HTTP_ANSWER_BYTES_MAX) {
      this.fail(
        "failed",
        `Cannot use CONNECT: the proxy's answer has more than ${HTTP_ANSWER_BYTES_MAX} bytes of headers`,
      );
    }
  }

  receiveEnd(): void {
    if (this.state === "open") this.serverDone();
    else {this.fail(
        "failed",
        `Cannot reach ${formatDestination(this.#destination)} by CONNECT: the proxy closed the connection`,
      );}
  }

  /** The bytes up to the empty line and with it; 0 while it has not come. Units: bytes. */
  #headLength(): number {
    for (; this.#scanned < this.#received.length; this.#scanned++) {
      if (this.#received.peek(this.#scanned) !== LF) continue;
      const line = this.#scanned - this.#lineStart;
      const isEmpty = line === 0 || (line === 1 && this.#received.peek(this.#lineStart) === CR);
      this.#lineStart = this.#scanned + 1;
      if (isEmpty) return this.#lineStart;
    }
    return 0;
  }

  #readHead(head: string): void {
    const status = /^HTTP\/1\.[01] (\d{3})(?: |\r?\n)/.exec(head);
    this.#scanned = 0;
    this.#lineStart = 0;
    if (status === null) return this.fail("failed", "Cannot use CONNECT: the proxy does not answer with HTTP/1");
    const code = Number(status[1]);
    if (code < 200) return this.receive(this.#received.takeAll());
    if (code >= 300) {
      const hint = code === 407 ? " (it wants a user name and password, or refuses those it got)" : "";
      const what = formatDestination(this.#destination);
      return this.fail(kindOf(code), `Cannot reach ${what} by CONNECT: the proxy answered ${code}${hint}`);
    }
    this.opened();
    this.toApplication.push(this.#received.takeAll());
  }
}
