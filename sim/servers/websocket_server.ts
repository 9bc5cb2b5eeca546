/** The server's half of a WebSocket with another server inside. Read first: RFC 6455. */
import type { OutboundCrypto } from "../../core/outbound/tunnel.ts";
import { ByteQueue } from "../../core/outbound/byte_queue.ts";
import type { ServerTunnel } from "./proxy_server.ts";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** One client; what its messages hold goes to `inner`. */
export class WebSocketServer implements ServerTunnel {
  readonly toClient: ByteQueue = new ByteQueue();
  readonly #inner: ServerTunnel;
  readonly #path: string;
  readonly #crypto: OutboundCrypto;
  readonly #received = new ByteQueue();
  #head = "";
  #isOpen = false;
  #refusal: string | undefined = undefined;

  constructor(inner: ServerTunnel, path: string, crypto: OutboundCrypto) {
    this.#inner = inner;
    this.#path = path;
    this.#crypto = crypto;
  }

  get destination() {
    return this.#inner.destination;
  }

  get network() {
    return this.#inner.network;
  }

  get toTarget(): ByteQueue {
    return this.#inner.toTarget;
  }

  get isClientDone(): boolean {
    return this.#inner.isClientDone;
  }

  get refusal(): string | undefined {
    return this.#refusal ?? this.#inner.refusal;
  }

  receive(bytes: Uint8Array): void {
    this.#received.push(bytes);
    while (this.refusal === undefined && (this.#isOpen ? this.#readFrame() : this.#readHead())) { /* a step further */ }
    this.#flush();
  }

  receiveEnd(): void {
    this.#inner.receiveEnd();
  }

  accept(): void {
    this.#inner.accept();
    this.#flush();
  }

  write(bytes: Uint8Array): void {
    this.#inner.write(bytes);
    this.#flush();
  }

  end(): boolean {
    this.#inner.end();
    this.#flush();
    this.toClient.push(Uint8Array.of(0x88, 2, 3, 0xe8));
    return true;
  }

  #flush(): void {
    for (let chunk = this.#inner.toClient.shift(); chunk !== undefined; chunk = this.#inner.toClient.shift()) {
      const head = chunk.length < 126 ? [0x82, chunk.length] : [
        0x82,
        127,
        0,
        0,
        0,
        0,
        chunk.length >>> 24,
        (chunk.length >>> 16) & 255,
        (chunk.length >>> 8) & 255,
        chunk.length & 255,
      ];
      this.toClient.push(Uint8Array.from(head));
      this.toClient.push(chunk);
    }
  }

  #readHead(): boolean {
    const byte = this.#received.take(1);
    if (byte === undefined) return false;
    this.#head += String.fromCharCode(byte[0]!);
    if (!this.#head.endsWith("\r\n\r\n")) return true;
    const key = /\r\nsec-websocket-key: ([^\r]+)\r\n/i.exec(this.#head)?.[1];
    if (key === undefined || !this.#head.startsWith(`GET ${this.#path} HTTP/1.1\r\n`)) {
      this.toClient.push(new TextEncoder().encode("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"));
      this.#refusal = "no such path";
      return false;
    }
    const digest = this.#crypto.hash("sha1", new TextEncoder().encode(key + GUID));
    const accept = btoa(String.fromCharCode(...digest));
    this.toClient.push(new TextEncoder().encode(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    ));
    this.#isOpen = true;
    const early = /\r\nsec-websocket-protocol: ([\w-]+)\r\n/i.exec(this.#head)?.[1];
    if (early !== undefined) {
      const text = atob(early.replaceAll("-", "+").replaceAll("_", "/"));
      this.#inner.receive(Uint8Array.from(text, (char) => char.charCodeAt(0)));
    }
    return true;
  }

  #readFrame(): boolean {
    const received = this.#received;
    const [first, second] = [received.peek(0), received.peek(1)];
    if (first === undefined || second === undefined) return false;
    const short = second & 127;
    const more = short === 126 ? 2 : short === 127 ? 8 : 0;
    if (received.length < 2 + more) return false;
    let length = more === 0 ? short : 0;
    for (let i = 0; i < more; i++) length = length * 256 + received.peek(2 + i)!;
    const frame = received.take(2 + more + 4 + length);
    if (frame === undefined) return false;
    const mask = frame.subarray(2 + more, 6 + more);
    const payload = frame.slice(6 + more).map((byte, i) => byte ^ mask[i & 3]!);
    const opcode = first & 15;
    if ((second & 128) === 0) this.#refusal = "a client masks";
    else if (opcode === 8) this.#inner.receiveEnd();
    else if (opcode < 8) this.#inner.receive(payload);
    return true;
  }
}
