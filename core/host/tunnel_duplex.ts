/** A proxied stream as a `Duplex`: a tunnel's state machine over the connection to its server. */
import type { DialError } from "../act/command.ts";
import { TUNNEL_OPEN_MS_MAX, TUNNEL_READ_BYTES } from "../base/limits.ts";
import type { StreamTunnel } from "../outbound/tunnel.ts";
import type { Duplex } from "./duplex.ts";

/** A proxy server does not carry a flow; the message holds no secret. */
export class TunnelError extends Error {
  override name = "TunnelError";
  readonly kind: DialError;
  /** True when the way to the server failed: the next try may fare better. */
  readonly isPassing: boolean;

  constructor(kind: DialError, message: string, isPassing: boolean = false) {
    super(message);
    this.kind = kind;
    this.isPassing = isPassing;
  }
}

/** One tunnel over one connection. */
export class TunnelDuplex implements Duplex {
  readonly #transport: Duplex;
  readonly #tunnel: StreamTunnel;
  readonly #buffer = new Uint8Array(TUNNEL_READ_BYTES);
  /** What was taken out of the tunnel for the application and did not fit. */
  #rest: Uint8Array | undefined = undefined;
  /** The sending that is under way; the next one waits for it. */
  #sending: Promise<void> = Promise.resolve();
  #hasClosedTransport = false;

  constructor(transport: Duplex, tunnel: StreamTunnel) {
    this.#transport = transport;
    this.#tunnel = tunnel;
  }

  /**
   * Opens the tunnel. Errors: `TunnelError` when the server does not want to, or says nothing for too long, or `signal` says that nobody waits any
   * more; the connection is closed then.
   */
  async open(signal?: AbortSignal): Promise<void> {
    let givenUp: TunnelError | undefined;
    const giveUp = (kind: DialError, message: string) => {
      givenUp ??= new TunnelError(kind, message);
      this.#transport.abort();
    };
    const onAbort = () => giveUp("failed", "the application gave up");
    const timer = setTimeout(
      () => giveUp("timedOut", `the proxy server did not answer in ${TUNNEL_OPEN_MS_MAX / 1000} s`),
      TUNNEL_OPEN_MS_MAX,
    );
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    try {
      this.#tunnel.start();
      await this.#flush();
      while (this.#tunnel.state === "opening") await this.#receive();
      this.#check();
    } catch (error) {
      this.#transport.abort();
      throw givenUp ?? error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
    if (givenUp !== undefined) throw givenUp;
  }

  async read(into: Uint8Array): Promise<number | null> {
    for (;;) {
      const count = this.#takeRead(into);
      if (count > 0) return count;
      this.#check();
      if (this.#tunnel.isServerDone) return null;
      await this.#receive();
    }
  }

  /** Servers seal small pieces: as many as fit are handed on at once. */
  #takeRead(into: Uint8Array): number {
    let count = 0;
    while (count < into.length) {
      const chunk = this.#rest ?? this.#tunnel.toApplication.shift();
      if (chunk === undefined) break;
      const fits = Math.min(chunk.length, into.length - count);
      into.set(fits === chunk.length ? chunk : chunk.subarray(0, fits), count);
      this.#rest = fits === chunk.length ? undefined : chunk.subarray(fits);
      count += fits;
    }
    return count;
  }

  async write(bytes: Uint8Array): Promise<number> {
    this.#check();
    this.#tunnel.write(bytes);
    await this.#flush();
    return bytes.length;
  }

  async closeWrite(): Promise<void> {
    this.#tunnel.end();
    await this.#flush();
  }

  close(): void {
    this.#transport.close();
  }

  abort(): void {
    this.#transport.abort();
  }

  #check(): void {
    const { failure } = this.#tunnel;
    if (failure !== undefined) throw new TunnelError(failure.kind, failure.message);
  }

  async #receive(): Promise<void> {
    const count = await this.#transport.read(this.#buffer);
    if (count === null) this.#tunnel.receiveEnd();
    else this.#tunnel.receive(this.#buffer.slice(0, count));
    await this.#flush();
  }

  /** Sends what the tunnel has for the server; one after another, so that pieces stay in order. */
  #flush(): Promise<void> {
    const sent = this.#sending.then(() => this.#sendAll());
    this.#sending = sent.catch(() => {});
    return sent;
  }

  async #sendAll(): Promise<void> {
    const { toServer } = this.#tunnel;
    for (let chunk = toServer.shift(); chunk !== undefined; chunk = toServer.shift()) {
      for (let at = 0; at < chunk.length;) at += await this.#transport.write(at === 0 ? chunk : chunk.subarray(at));
    }
    if (this.#tunnel.closesTransport && !this.#hasClosedTransport) {
      this.#hasClosedTransport = true;
      await this.#transport.closeWrite();
    }
  }
}
