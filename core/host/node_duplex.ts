/** A socket of `node:net` as a duplex stream: the kind that can be bound to one of this machine's addresses. */
import type { Socket } from "node:net";
import { RELAY_BUFFER_BYTES_MAX } from "../base/limits.ts";
import type { Duplex, ResetSocket } from "./duplex.ts";

/** Bytes come as the socket gives them and wait here, in order, until they are read; the socket pauses when too many wait. */
export class NodeDuplex implements Duplex {
  readonly #socket: Socket;
  readonly #reset: ResetSocket | undefined;
  readonly #chunks: Uint8Array[] = [];
  #firstAt = 0;
  #waitingBytes = 0;
  #isEnded = false;
  #error: Error | undefined = undefined;
  #wakeReader: (() => void) | undefined = undefined;
  #wakeWriter: (() => void) | undefined = undefined;

  constructor(socket: Socket, reset?: ResetSocket) {
    this.#socket = socket;
    this.#reset = reset;
    socket.on("data", (chunk: Uint8Array) => this.#take(chunk));
    socket.on("end", () => this.#finish(undefined));
    socket.on("close", () => this.#finish(undefined));
    socket.on("error", (error) => this.#finish(error));
    socket.on("drain", () => this.#wake());
  }

  async whenReadable(): Promise<void> {
    while (this.#chunks.length === 0 && this.#error === undefined && !this.#isEnded) {
      await new Promise<void>((resolve) => this.#wakeReader = resolve);
    }
  }

  async read(into: Uint8Array): Promise<number | null> {
    while (this.#chunks.length === 0) {
      if (this.#error !== undefined) throw this.#error;
      if (this.#isEnded) return null;
      await new Promise<void>((resolve) => this.#wakeReader = resolve);
    }
    let read = 0;
    while (this.#chunks.length > 0 && read < into.length) {
      const chunk = this.#chunks[0]!;
      const part = chunk.subarray(this.#firstAt, this.#firstAt + into.length - read);
      into.set(part, read);
      read += part.length;
      this.#firstAt += part.length;
      if (this.#firstAt < chunk.length) break;
      this.#chunks.shift();
      this.#firstAt = 0;
    }
    this.#waitingBytes -= read;
    if (this.#waitingBytes === 0 && this.#socket.isPaused()) this.#socket.resume();
    return read;
  }

  async write(bytes: Uint8Array): Promise<number> {
    if (this.#error !== undefined) throw this.#error;
    // The socket keeps what it is given; the caller will use its buffer again.
    const taken = this.#socket.write(bytes.slice());
    if (!taken) await new Promise<void>((resolve) => this.#wakeWriter = resolve);
    if (this.#error !== undefined) throw this.#error;
    if (this.#socket.destroyed) throw new Deno.errors.BrokenPipe("the socket is closed");
    return bytes.length;
  }

  closeWrite(): Promise<void> {
    this.#socket.end();
    return Promise.resolve();
  }

  /** What was written still goes out. */
  close(): void {
    this.#socket.destroySoon();
  }

  abort(): void {
    const socket = this.#socket;
    // Deno 2.7 has no reset of its own.
    if (typeof socket.resetAndDestroy === "function") return void socket.resetAndDestroy();
    const { localAddress, localPort, remoteAddress, remotePort } = socket;
    if (localAddress !== undefined && remoteAddress !== undefined) {
      this.#reset?.({ hostname: localAddress, port: localPort! }, { hostname: remoteAddress, port: remotePort! });
    }
    socket.destroy();
  }

  #take(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#waitingBytes += chunk.length;
    if (this.#waitingBytes >= RELAY_BUFFER_BYTES_MAX) this.#socket.pause();
    this.#wake();
  }

  #finish(error: Error | undefined): void {
    this.#isEnded = true;
    this.#error ??= error;
    this.#wake();
  }

  #wake(): void {
    this.#wakeReader?.();
    this.#wakeReader = undefined;
    this.#wakeWriter?.();
    this.#wakeWriter = undefined;
  }
}
