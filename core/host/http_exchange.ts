/** One request and its answer over a stream of ours: what DNS over HTTPS and health checks need. Read first: RFC 9112 sections 3 to 7. */
import { HTTP_ANSWER_BYTES_MAX } from "../base/limits.ts";
import type { Duplex } from "./duplex.ts";
import { StreamReader, writeAll } from "./stream_reader.ts";

/** A request. */
export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "POST";
  /** Host and port as in a URL. */
  readonly authority: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body?: Uint8Array;
}

/** What a server answered. */
export interface HttpAnswer {
  readonly status: number;
  /** By lower-case names; of several the last counts. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
  /** False when the stream cannot carry another request. */
  readonly isReusable: boolean;
}

/** Requests over one stream, one after the other. */
export class HttpStream {
  readonly #stream: Duplex;
  readonly #reader: StreamReader;

  constructor(stream: Duplex) {
    this.#stream = stream;
    this.#reader = new StreamReader(stream);
  }

  close(): void {
    this.#stream.close();
  }

  abort(): void {
    this.#stream.abort();
  }

  /** Asks. Errors: an Error when the stream breaks or the answer makes no sense or is too long. Units: `bodyBytesMax` bytes. */
  async request(request: HttpRequest, bodyBytesMax: number): Promise<HttpAnswer> {
    const { method, authority, path, headers, body } = request;
    const lines = [
      `${method} ${path} HTTP/1.1`,
      `Host: ${authority}`,
      ...headers.map(([name, value]) => `${name}: ${value}`),
    ];
    if (body !== undefined) lines.push(`Content-Length: ${body.length}`);
    const head = new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`);
    const whole = new Uint8Array(head.length + (body?.length ?? 0));
    whole.set(head);
    if (body !== undefined) whole.set(body, head.length);
    await writeAll(this.#stream, whole);
    return await this.#read(method, bodyBytesMax);
  }

  async #read(method: HttpRequest["method"], bodyBytesMax: number): Promise<HttpAnswer> {
    for (;;) {
      const first = await this.#reader.line(HTTP_ANSWER_BYTES_MAX);
      const match = /^HTTP\/1\.([01]) (\d{3})/.exec(first ?? "");
      if (match === null) throw new Error("the server does not answer with HTTP/1");
      const headers = await this.#headers();
      const status = Number(match[2]);
      if (status < 200) continue;
      const isBodyless = method === "HEAD" || status === 204 || status === 304;
      const body = isBodyless ? new Uint8Array(0) : await this.#body(headers, bodyBytesMax);
      if (body === undefined) throw new Error(`the answer was cut short or has more than ${bodyBytesMax} bytes`);
      const isDelimited = isBodyless || headers.has("content-length") || headers.has("transfer-encoding");
      const isReusable = isDelimited && match[1] === "1" && headers.get("connection")?.toLowerCase() !== "close";
      return { status, headers, body, isReusable };
    }
  }

  async #headers(): Promise<Map<string, string>> {
    const headers = new Map<string, string>();
    for (let left = HTTP_ANSWER_BYTES_MAX;;) {
      const line = await this.#reader.line(left);
      if (line === undefined) {
        throw new Error(`the answer was cut short or has more than ${HTTP_ANSWER_BYTES_MAX} bytes of headers`);
      }
      if (line === "") return headers;
      left -= line.length;
      const colon = line.indexOf(":");
      if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
    }
  }

  async #body(headers: ReadonlyMap<string, string>, bytesMax: number): Promise<Uint8Array | undefined> {
    if (headers.get("transfer-encoding")?.toLowerCase() === "chunked") return await this.#chunks(bytesMax);
    const length = headers.get("content-length");
    if (length === undefined) return await this.#reader.rest(bytesMax);
    return /^\d{1,15}$/.test(length) && Number(length) <= bytesMax
      ? await this.#reader.take(Number(length))
      : undefined;
  }

  async #chunks(bytesMax: number): Promise<Uint8Array | undefined> {
    const chunks: Uint8Array[] = [];
    for (let total = 0;;) {
      const size = /^([0-9a-f]{1,8})(?:;|\s*$)/i.exec(await this.#reader.line(HTTP_ANSWER_BYTES_MAX) ?? "")?.[1];
      if (size === undefined) return undefined;
      const length = Number.parseInt(size, 16);
      total += length;
      if (total > bytesMax) return undefined;
      if (length === 0) break;
      const chunk = await this.#reader.take(length);
      if (chunk === undefined || await this.#reader.line(2) !== "") return undefined;
      chunks.push(chunk);
    }
    await this.#headers();
    const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    let at = 0;
    for (const chunk of chunks) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    return whole;
  }
}
