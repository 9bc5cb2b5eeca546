/** Connections of weir's own to where a flow wanted to go: DIRECT. */
import { connect as connectNode } from "node:net";
import type { DialError } from "../act/command.ts";
import { formatIp, type IpAddress, parseIp, sameIp } from "../base/ip_address.ts";
import { DIAL_COUNT_MAX, DIAL_TIMEOUT_MS } from "../base/limits.ts";
import type { Duplex, ResetSocket } from "./duplex.ts";
import { NodeDuplex } from "./node_duplex.ts";

/** Why there is no connection. */
export interface DialFailure {
  readonly stream?: undefined;
  readonly failure: DialError;
  readonly message: string;
  /** True when the way to a proxy's server failed: the next try may fare better. */
  readonly isPassing?: boolean;
}

/** A connection, or why there is none. */
export type DialResult =
  | { readonly stream: Duplex; readonly failure?: undefined; readonly message?: undefined }
  | DialFailure;

/** The addresses that weir's own sockets are bound to, so that the device's routes do not catch what they send. */
export interface OwnSources {
  readonly v4: IpAddress | undefined;
  readonly v6: IpAddress | undefined;
}

const ERRORS: Readonly<Record<string, DialError>> = {
  ECONNREFUSED: "refused",
  ECONNRESET: "refused",
  ETIMEDOUT: "timedOut",
  EHOSTUNREACH: "hostUnreachable",
  ENETUNREACH: "networkUnreachable",
  EADDRNOTAVAIL: "networkUnreachable",
  EACCES: "prohibited",
  EPERM: "prohibited",
};

/** What a socket's error means to the application that asked for the connection. */
export function dialErrorOf(error: unknown): DialError {
  const code = (error as { code?: unknown } | undefined)?.code;
  return ERRORS[typeof code === "string" ? code : ""] ?? "failed";
}

function errorWithCode(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

/** What a handshake of TLS says that did not end in time. */
export const HANDSHAKE_LATE = "the handshake takes too long";

/** A socket of Deno's own, which cannot be bound but is faster. */
export class DenoDuplex implements Duplex {
  readonly #conn: Deno.TcpConn | Deno.TlsConn;
  readonly #reset: ResetSocket | undefined;
  #isOpen = true;

  constructor(conn: Deno.TcpConn | Deno.TlsConn, reset: ResetSocket | undefined) {
    this.#conn = conn;
    this.#reset = reset;
  }

  /**
   * Speaks TLS over this socket from now on; only what it answers with is to be used then. Errors: rejects when the handshake fails or the
   * certificate does not convince; the socket is closed then.
   */
  async secure(options: Deno.StartTlsOptions, handshakeMsMax: number): Promise<DenoDuplex> {
    this.#isOpen = false;
    const secured = await Deno.startTls(this.#conn as Deno.TcpConn, options);
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      secured.close();
    }, handshakeMsMax);
    try {
      await secured.handshake();
    } catch (error) {
      if (isLate) throw new Error(HANDSHAKE_LATE);
      secured.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
    return new DenoDuplex(secured, this.#reset);
  }

  read(into: Uint8Array): Promise<number | null> {
    return this.#conn.read(into);
  }

  write(bytes: Uint8Array): Promise<number> {
    return this.#conn.write(bytes);
  }

  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#conn.close();
  }

  /** Deno alone would only close, which looks as if all had been said. */
  abort(): void {
    if (!this.#isOpen) return;
    this.#reset?.(this.#conn.localAddr, this.#conn.remoteAddr);
    this.close();
  }
}

function connectDeno(address: IpAddress, port: number, reset: ResetSocket | undefined): Promise<Duplex> {
  return Deno.connect({ hostname: formatIp(address), port }).then((conn) => {
    conn.setNoDelay(true);
    return new DenoDuplex(conn, reset);
  });
}

function connectBound(
  address: IpAddress,
  port: number,
  source: IpAddress,
  reset: ResetSocket | undefined,
): Promise<Duplex> {
  const options = { host: formatIp(address), port, localAddress: formatIp(source), allowHalfOpen: true, noDelay: true };
  return new Promise((resolve, reject) => {
    const socket = connectNode(options);
    socket.once("error", reject);
    socket.once("connect", () => resolve(new NodeDuplex(socket, reset)));
  });
}

/** The first address of a version that an interface has. Errors: an Error when it has none. */
export function addressOn(name: string, version: 4 | 6): IpAddress {
  const family = version === 4 ? "IPv4" : "IPv6";
  for (const found of Deno.networkInterfaces()) {
    // What is only good on the link leads nowhere else.
    if (found.name !== name || found.family !== family || found.address.startsWith("fe80")) continue;
    const address = parseIp(found.address);
    if (address !== undefined) return address;
  }
  throw errorWithCode("EADDRNOTAVAIL", `Cannot leave by ${name}: it has no IPv${version} address`);
}

/** Opens host connections: so many at once, each within its time. */
export class Dialer {
  #sources: OwnSources;
  readonly #reset: ResetSocket | undefined;
  #dialing = 0;

  constructor(sources: OwnSources = { v4: undefined, v6: undefined }, reset?: ResetSocket) {
    this.#sources = sources;
    this.#reset = reset;
  }

  /** Binds the sockets from now on to other addresses; those that are open stay as they are. */
  use(sources: OwnSources): void {
    this.#sources = sources;
  }

  /** The address for our sockets of a version; undefined leaves it to the system. */
  sourceFor(version: 4 | 6): IpAddress | undefined {
    return version === 4 ? this.#sources.v4 : this.#sources.v6;
  }

  /** True for a flow that one of our own sockets sends: it came back through the device, and dialing it again would never end. */
  isOwn(source: IpAddress): boolean {
    const own = this.sourceFor(source.version);
    return own !== undefined && sameIp(own, source);
  }

  /**
   * Connects. Never rejects. `signal` ends the attempt when the application has given up. `through` names the interface that the connection is to
   * leave by: it is bound to the address of that interface.
   */
  async dial(address: IpAddress, port: number, signal?: AbortSignal, through?: string): Promise<DialResult> {
    if (this.#dialing >= DIAL_COUNT_MAX) {
      return { failure: "failed", message: `${DIAL_COUNT_MAX} connections are being established already` };
    }
    this.#dialing++;
    try {
      const source = through === undefined ? this.sourceFor(address.version) : addressOn(through, address.version);
      return { stream: await this.#connect(address, port, source, signal) };
    } catch (error) {
      return { failure: dialErrorOf(error), message: error instanceof Error ? error.message : String(error) };
    } finally {
      this.#dialing--;
    }
  }

  /** Neither kind of socket can be told to stop connecting: one that comes too late is closed. */
  #connect(
    address: IpAddress,
    port: number,
    source: IpAddress | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Duplex> {
    const attempt = source === undefined
      ? connectDeno(address, port, this.#reset)
      : connectBound(address, port, source, this.#reset);
    return new Promise((resolve, reject) => {
      let isSettled = false;
      const settle = (act: () => void) => {
        if (isSettled) return;
        isSettled = true;
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        act();
      };
      const fail = (code: string, message: string) => settle(() => reject(errorWithCode(code, message)));
      const timer = setTimeout(() => fail("ETIMEDOUT", `no answer in ${DIAL_TIMEOUT_MS / 1000} s`), DIAL_TIMEOUT_MS);
      const onAbort = () => fail("ECANCELED", "the application gave up");
      signal?.addEventListener("abort", onAbort, { once: true });
      if (signal?.aborted === true) onAbort();
      attempt.then(
        (stream) => isSettled ? stream.abort() : settle(() => resolve(stream)),
        (error) => settle(() => reject(error)),
      );
    });
  }
}
