/** A connection of our own stack with the shape of `Deno.Conn`, so that Deno programs can use it as a socket. */
import { formatIp, ipFromWords } from "../base/ip_address.ts";
import type { Micros } from "../base/micros.ts";
import type { TcpConnection } from "../stack/tcp/connection.ts";
import { TcpError, TcpState } from "../stack/tcp/tcp_state.ts";
import type { Duplex } from "./duplex.ts";

/** What a connection needs of the loop that its stack runs in. */
export interface StackLoop {
  now(): Micros;
  /** Something was given to the stack: its timers may have moved. */
  touched(): void;
}

function netAddr(words: Uint32Array, port: number): Deno.NetAddr {
  const ip = ipFromWords(words[0]!, words[1]!, words[2]!, words[3]!);
  return { transport: "tcp", hostname: formatIp(ip), port };
}

/** The error that Deno's own sockets would throw. */
function errorOf(error: TcpError): Error {
  switch (error) {
    case TcpError.Refused:
      return new Deno.errors.ConnectionRefused("Connection refused");
    case TcpError.Reset:
      return new Deno.errors.ConnectionReset("Connection reset by peer");
    case TcpError.Aborted:
      return new Deno.errors.ConnectionAborted("Connection aborted");
    case TcpError.Unreachable:
      return Object.assign(new Deno.errors.NotConnected("Network is unreachable"), { code: "ENETUNREACH" });
    default:
      return new Deno.errors.TimedOut("Connection timed out");
  }
}

/** One end of a connection. Call `wake` whenever the connection has events. */
export class TcpConn implements Duplex, Deno.Conn<Deno.NetAddr> {
  readonly localAddr: Deno.NetAddr;
  readonly remoteAddr: Deno.NetAddr;
  /** The connection below. */
  readonly connection: TcpConnection;
  readonly #loop: StackLoop;
  #isClosed = false;
  #wakeWaiters: (() => void) | undefined = undefined;
  #changed: Promise<void> | undefined = undefined;
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | undefined = undefined;
  #writable: WritableStream<Uint8Array<ArrayBufferLike>> | undefined = undefined;

  constructor(connection: TcpConnection, loop: StackLoop) {
    this.connection = connection;
    this.#loop = loop;
    this.localAddr = netAddr(connection.localAddress, connection.localPort);
    this.remoteAddr = netAddr(connection.remoteAddress, connection.remotePort);
  }

  /** Lets reads and writes that wait look again. */
  wake(): void {
    const wake = this.#wakeWaiters;
    this.#wakeWaiters = undefined;
    this.#changed = undefined;
    wake?.();
  }

  /** All that wait, wait for the same promise. */
  #change(): Promise<void> {
    this.#changed ??= new Promise((resolve) => this.#wakeWaiters = resolve);
    return this.#changed;
  }

  /** Resolves when the handshake is done. Errors: rejects as `Deno.connect` would. */
  async connected(): Promise<void> {
    while (this.connection.state === TcpState.SynSent || this.connection.state === TcpState.SynReceived) {
      this.#throwIfClosed();
      await this.#change();
    }
    this.#throwIfFailed();
  }

  async whenReadable(): Promise<void> {
    const { connection } = this;
    while (
      !this.#isClosed && connection.readableBytes === 0 && connection.error === TcpError.None &&
      !connection.isPeerClosed && connection.state !== TcpState.Closed
    ) await this.#change();
  }

  async read(into: Uint8Array): Promise<number | null> {
    if (into.length === 0) return 0;
    while (true) {
      this.#throwIfClosed();
      const read = this.connection.receive(into, 0, into.length, this.#loop.now());
      if (read > 0) {
        this.#loop.touched();
        return read;
      }
      // A stream that was torn is no stream that ended, whatever came before the tear.
      this.#throwIfFailed();
      if (this.connection.isPeerClosed) return null;
      if (this.connection.state === TcpState.Closed) return null;
      await this.#change();
    }
  }

  async write(bytes: Uint8Array): Promise<number> {
    if (bytes.length === 0) return 0;
    while (true) {
      this.#throwIfClosed();
      const accepted = this.connection.send(bytes, 0, bytes.length, this.#loop.now());
      if (accepted > 0) {
        this.#loop.touched();
        return accepted;
      }
      if (accepted < 0) {
        this.#throwIfFailed();
        throw new Deno.errors.BrokenPipe("Broken pipe");
      }
      await this.#change();
    }
  }

  closeWrite(): Promise<void> {
    this.#throwIfClosed();
    this.connection.shutdownSend(this.#loop.now());
    this.#loop.touched();
    return Promise.resolve();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.connection.close(this.#loop.now());
    this.#loop.touched();
    this.wake();
  }

  abort(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.connection.abort(this.#loop.now());
    this.#loop.touched();
    this.wake();
  }

  /** The loop keeps the process alive, not the connection. */
  ref(): void {}
  unref(): void {}

  [Symbol.dispose](): void {
    this.close();
  }

  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    this.#readable ??= new ReadableStream({
      type: "bytes",
      autoAllocateChunkSize: 65_536,
      pull: async (controller) => {
        const request = (controller as ReadableByteStreamController).byobRequest!;
        const view = request.view!;
        const read = await this.read(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
        if (read === null) controller.close();
        request.respond(read ?? 0);
      },
      cancel: () => this.close(),
    });
    return this.#readable;
  }

  get writable(): WritableStream<Uint8Array<ArrayBufferLike>> {
    this.#writable ??= new WritableStream({
      write: async (chunk) => {
        for (let at = 0; at < chunk.length;) at += await this.write(chunk.subarray(at));
      },
      close: () => this.closeWrite(),
      abort: () => this.abort(),
    });
    return this.#writable;
  }

  #throwIfClosed(): void {
    if (this.#isClosed) throw new Deno.errors.BadResource("Bad resource ID");
  }

  #throwIfFailed(): void {
    if (this.connection.error !== TcpError.None) throw errorOf(this.connection.error);
  }
}
