/** A stream as a socket of this machine, for what wants a socket: bytes go through a pair of them. */
import { DenoDuplex } from "./dial.ts";
import type { Duplex } from "./duplex.ts";
import { Relay } from "./relay.ts";
import { monotonicClock } from "./run_loop.ts";

const LOOPBACK = "127.0.0.1";

/** The connection from that port of this machine; anybody else's is closed. */
async function acceptFrom(listener: Deno.TcpListener, port: number | undefined): Promise<Deno.TcpConn> {
  for (;;) {
    const conn = await listener.accept();
    if (conn.remoteAddr.port === port) return conn;
    conn.close();
  }
}

/** Waits for one connection, which becomes a stream's other end. */
export class Detour {
  readonly #transport: Duplex;
  readonly #listener = Deno.listen({ hostname: LOOPBACK, port: 0 });
  #relay: Relay | undefined = undefined;
  #hasEnded = false;
  #isClosed = false;

  constructor(transport: Duplex) {
    this.#transport = transport;
  }

  /** Where to connect to. */
  get address(): { readonly hostname: string; readonly port: number } {
    return { hostname: LOOPBACK, port: this.#listener.addr.port };
  }

  /** Takes the connection that comes from `port`, and carries bytes from then on. */
  async accept(port: number | undefined): Promise<void> {
    const conn = await acceptFrom(this.#listener, port);
    this.#listener.close();
    const transport = this.#transport;
    const far: Duplex = {
      read: (into) => transport.read(into),
      write: (bytes) => transport.write(bytes),
      closeWrite: () => this.#end(),
      close: () => transport.close(),
      abort: () => transport.abort(),
    };
    this.#relay = new Relay(new DenoDuplex(conn, undefined), far, monotonicClock);
    void this.#relay.run();
  }

  /** What was written has gone: that is one half's end, or both halves'. */
  #end(): Promise<void> {
    this.#hasEnded = true;
    if (!this.#isClosed) return this.#transport.closeWrite();
    this.#transport.close();
    return Promise.resolve();
  }

  /** The socket was closed: the stream is, once it has got everything. */
  close(): void {
    this.#isClosed = true;
    if (this.#hasEnded) this.#transport.close();
  }

  /** Ends the stream at once. */
  abort(): void {
    if (this.#relay === undefined) this.#listener.close();
    this.#relay?.abort();
    this.#transport.abort();
  }
}

/** What lies over the socket of a detour; ending it ends the stream. */
export class DetouredDuplex implements Duplex {
  readonly #over: Duplex;
  readonly #detour: Detour;
  readonly #closesHalf: boolean;

  /** `closesHalf`: false where what lies over the socket cannot close one half; then `closeWrite` does nothing. */
  constructor(over: Duplex, detour: Detour, closesHalf: boolean) {
    this.#over = over;
    this.#detour = detour;
    this.#closesHalf = closesHalf;
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#over.read(into);
  }

  write(bytes: Uint8Array): Promise<number> {
    return this.#over.write(bytes);
  }

  closeWrite(): Promise<void> {
    return this.#closesHalf ? this.#over.closeWrite() : Promise.resolve();
  }

  close(): void {
    this.#over.close();
    this.#detour.close();
  }

  abort(): void {
    this.#over.abort();
    this.#detour.abort();
  }
}
