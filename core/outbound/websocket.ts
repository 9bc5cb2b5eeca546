/**
 * The client's half of a WebSocket, as a way for other protocols: each write becomes one binary message, messages are one stream.
 *
 * Read first: RFC 6455 sections 4.1 (opening), 5.2 (frames), 5.5 (control frames).
 *
 *     FIN│RSV│opcode (1) │ MASK│length (1) │ length (0, 2 or 8) │ mask (0 or 4) │ payload
 */
import { HTTP_ANSWER_BYTES_MAX, WEBSOCKET_CONTROL_BYTES_MAX } from "../base/limits.ts";
import { ByteQueue } from "./byte_queue.ts";
import { isHeader } from "./http_connect.ts";
import { StreamState } from "./stream_state.ts";
import type { OutboundEnv, StreamTunnel } from "./tunnel.ts";

/** How the server is asked. */
export interface WebSocketOptions {
  readonly host: string;
  /** Begins with a slash. */
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Bytes that go with the request in this header, as base64url; undefined sends none. Source: v2ray transport/internet/websocket. */
  readonly earlyData: { readonly header: string; readonly bytes: Uint8Array } | undefined;
}

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const Opcode = { Continuation: 0, Text: 1, Binary: 2, Close: 8, Ping: 9, Pong: 10 } as const;
const FIN = 0x80;
const MASKED = 0x80;
const CLOSE_NORMAL = 1000;

function base64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

function base64Url(bytes: Uint8Array): string {
  return base64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** One connection. */
export class WebSocketTunnel extends StreamState implements StreamTunnel {
  readonly #options: WebSocketOptions;
  readonly #env: OutboundEnv;
  readonly #received = new ByteQueue();
  #accept = "";
  #scanned = 0;
  #hasClosed = false;
  /** Bytes of the data frame under way that have not come yet. */
  #left = 0;

  constructor(options: WebSocketOptions, env: OutboundEnv) {
    super("opening");
    this.#options = options;
    this.#env = env;
  }

  start(): void {
    const { host, path, headers, earlyData } = this.#options;
    const { crypto } = this.#env;
    const key = base64(this.#env.randomBytes(16));
    this.#accept = base64(crypto.hash("sha1", new TextEncoder().encode(key + GUID)));
    const fields: [string, string][] = [["Upgrade", "websocket"], ["Connection", "Upgrade"]];
    fields.push(["Sec-WebSocket-Version", "13"], ["Sec-WebSocket-Key", key]);
    const own = new Map(headers.map(([name, value]) => [name.toLowerCase(), value]));
    if (earlyData !== undefined) fields.push([earlyData.header, base64Url(earlyData.bytes)]);
    for (const [name, value] of headers) if (name.toLowerCase() !== "host") fields.push([name, value]);
    const lines = [`GET ${path} HTTP/1.1`, `Host: ${own.get("host") ?? host}`];
    for (const [name, value] of fields) if (isHeader(name, value)) lines.push(`${name}: ${value}`);
    if (!lines.every((line) => /^[\x20-\x7e\u0080-\u{10ffff}]*$/u.test(line)) || /\s/.test(path)) {
      return this.fail("failed", "Cannot open a WebSocket: path or host hold characters that no request may hold");
    }
    this.toServer.push(new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`));
  }

  write(bytes: Uint8Array): void {
    this.toServer.push(this.#frame(Opcode.Binary, bytes));
  }

  /**
   * A WebSocket has no halves, and servers that are told Close end both at once: so nothing is said, and what the server still sends arrives.
   * Protocols inside that can tell the end (VMess) do it themselves.
   */
  end(): void {}

  /** Answers the server's Close. */
  #close(): void {
    if (this.#hasClosed || this.state !== "open") return;
    this.#hasClosed = true;
    this.toServer.push(this.#frame(Opcode.Close, Uint8Array.of(CLOSE_NORMAL >>> 8, CLOSE_NORMAL & 0xff)));
  }

  /** Source: RFC 6455 section 5.3: a client masks. */
  #frame(opcode: number, payload: Uint8Array): Uint8Array {
    const length = payload.length;
    const lengthBytes = length < 126 ? 0 : length <= 0xffff ? 2 : 8;
    const at = 2 + lengthBytes + 4;
    const frame = new Uint8Array(at + length);
    frame[0] = FIN | opcode;
    frame[1] = MASKED | (lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127);
    const view = new DataView(frame.buffer);
    if (lengthBytes === 2) view.setUint16(2, length);
    else if (lengthBytes === 8) view.setBigUint64(2, BigInt(length));
    const mask = this.#env.randomBytes(4);
    frame.set(mask, at - 4);
    for (let i = 0; i < length; i++) frame[at + i] = payload[i]! ^ mask[i & 3]!;
    return frame;
  }

  receive(bytes: Uint8Array): void {
    if (this.state === "failed" || this.isServerDone) return;
    this.#received.push(bytes);
    if (this.state === "opening") this.#readHead();
    while (this.state === "open" && !this.isServerDone && this.#readFrame()) { /* the next one */ }
  }

  receiveEnd(): void {
    if (this.state === "opening") this.fail("failed", "Cannot open a WebSocket: the server closed the connection");
    else this.serverDone();
  }

  #readHead(): void {
    const received = this.#received;
    for (; this.#scanned + 3 < received.length; this.#scanned++) {
      const isEnd = received.peek(this.#scanned) === 13 && received.peek(this.#scanned + 1) === 10 &&
        received.peek(this.#scanned + 2) === 13 && received.peek(this.#scanned + 3) === 10;
      if (isEnd) return this.#judge(new TextDecoder("latin1").decode(received.take(this.#scanned + 4)!));
    }
    if (received.length > HTTP_ANSWER_BYTES_MAX) {
      this.fail("failed", `Cannot open a WebSocket: the server's answer has more than ${HTTP_ANSWER_BYTES_MAX} bytes`);
    }
  }

  #judge(head: string): void {
    const status = /^HTTP\/1\.1 (\d{3})/.exec(head)?.[1];
    if (status !== "101") {
      const answer = status === undefined ? "something else than HTTP/1.1" : status;
      return this.fail(
        "failed",
        `Cannot open a WebSocket: the server answered ${answer}, expected 101; is the path right?`,
      );
    }
    const accept = /\r\nsec-websocket-accept:[ \t]*([^\r]*?)[ \t]*\r\n/i.exec(head)?.[1];
    if (accept !== this.#accept) {
      return this.fail("failed", "Cannot open a WebSocket: the server answered another request");
    }
    this.opened();
  }

  /** True when a frame was read. */
  #readFrame(): boolean {
    const received = this.#received;
    if (this.#left > 0) return this.#passOn();
    const [first, second] = [received.peek(0), received.peek(1)];
    if (first === undefined || second === undefined) return false;
    const short = second & 0x7f;
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    if (received.length < 2 + lengthBytes) return false;
    let length = lengthBytes === 0 ? short : 0;
    for (let i = 0; i < lengthBytes; i++) length = length * 256 + received.peek(2 + i)!;
    const opcode = first & 0x0f;
    if (
      (first & 0x70) !== 0 || (second & MASKED) !== 0 || !Number.isSafeInteger(length) ||
      (opcode >= Opcode.Close && length > WEBSOCKET_CONTROL_BYTES_MAX)
    ) {
      this.fail("failed", "Cannot go on with the WebSocket: the server sent a frame that no server may send");
      return false;
    }
    if (opcode < Opcode.Close) return this.#readData(2 + lengthBytes, length);
    const frame = received.take(2 + lengthBytes + length);
    if (frame === undefined) return false;
    this.#control(opcode, frame.subarray(2 + lengthBytes));
    return true;
  }

  /** Bytes of a data frame are handed on as they come, however long the frame is. True when some were. */
  #readData(headBytes: number, length: number): boolean {
    this.#received.take(headBytes);
    this.#left = length;
    return this.#passOn();
  }

  #passOn(): boolean {
    const count = Math.min(this.#left, this.#received.length);
    this.toApplication.push(this.#received.take(count)!);
    this.#left -= count;
    return this.#left === 0;
  }

  #control(opcode: number, payload: Uint8Array): void {
    if (opcode === Opcode.Ping) this.toServer.push(this.#frame(Opcode.Pong, payload));
    else if (opcode === Opcode.Close) {
      this.#close();
      this.serverDone();
      this.closeTransport();
    }
  }
}
