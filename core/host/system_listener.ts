/**
 * Listeners of ours in the system's own TCP, to which flows are rewritten: who connects is found again by the tuple that the system sees.
 */
import type { TranslateListeners, TunListener } from "../act/translate_options.ts";
import { formatIp, type IpAddress, ipFromWords, type IpPrefix, parseIp } from "../base/ip_address.ts";
import { NAT_ACCEPT_TIMEOUT_MS, NAT_ACCEPTED_WAITING_MAX } from "../base/limits.ts";

/** What a listener asks about the connections that it accepts. */
export interface AcceptedFlows {
  /** The id of the flow that a connection belongs to; −1 when it is nobody's. */
  flowOf(remote: IpAddress, remotePort: number, local: IpAddress, localPort: number): number;
  /** True while a flow's connection may still be accepted or goes on. */
  isOpen(flow: number): boolean;
}

/** Opens a listener. It may be opened elsewhere than where this thread is: where the device is. */
export type Listen = (address: string) => Deno.TcpListener;

/** How often those that wait are looked after. Units: ms. */
const SWEEP_MS = 1_000;

interface Waiting {
  readonly until: number;
  readonly resolve: (conn: Deno.TcpConn | undefined) => void;
}

/** Another address of the device's network than its own; undefined when the prefix has room for none. */
export function peerOf({ address, bits }: IpPrefix): IpAddress | undefined {
  const width = address.version === 4 ? 32 : 128;
  const hostBits = width - bits;
  if (hostBits < 1) return undefined;
  const last = address.w3;
  const mask = hostBits >= 32 ? 0xffff_ffff : (2 ** hostBits - 1) >>> 0;
  const host = (last & mask) >>> 0;
  // Of an IPv4 network neither the first nor the last address is a host's, unless it has only two.
  const least = address.version === 4 && hostBits > 1 ? 1 : 0;
  const most = address.version === 4 && hostBits > 1 ? mask - 1 : mask;
  const next = host + 1 <= most ? host + 1 : host - 1;
  if (next < least || next === host) return undefined;
  return ipFromWords(address.w0, address.w1, address.w2, ((last & ~mask) | next) >>> 0);
}

/** Opens listeners on a TUN device's addresses, one a version. Errors: an Error when no address can have one. */
export function openTunListeners(addresses: readonly IpPrefix[], listen: Listen): SystemListener {
  const opened: Deno.TcpListener[] = [];
  const open = (version: 4 | 6): TunListener | undefined => {
    const prefix = addresses.find(({ address }) => address.version === version);
    const peer = prefix === undefined ? undefined : peerOf(prefix);
    if (prefix === undefined || peer === undefined) return undefined;
    const listener = listenOn(formatIp(prefix.address), listen);
    opened.push(listener);
    return { address: prefix.address, peer, port: listener.addr.port };
  };
  try {
    const listeners: TranslateListeners = { way: "tun", v4: open(4), v6: open(6) };
    if (opened.length > 0) return new SystemListener(listeners, opened);
  } catch (error) {
    for (const listener of opened) listener.close();
    throw error;
  }
  throw new Error(
    "Cannot use the system's TCP: the device has no address with room for a second one beside it; " +
      "give it one like 198.18.0.1/30 with --address",
  );
}

/** Opens listeners on all addresses of this machine, for packets that are diverted. */
export function openReflectListeners(listen: Listen): SystemListener {
  const v4 = listenOn("0.0.0.0", listen);
  let v6: Deno.TcpListener | undefined;
  try {
    v6 = listenOn("::", listen);
  } catch {
    // A machine without IPv6 has no such flows either.
  }
  const listeners: TranslateListeners = {
    way: "reflect",
    v4: { port: v4.addr.port },
    v6: v6 === undefined ? undefined : { port: v6.addr.port },
  };
  return new SystemListener(listeners, v6 === undefined ? [v4] : [v4, v6]);
}

function listenOn(address: string, listen: Listen): Deno.TcpListener {
  try {
    return listen(address);
  } catch (error) {
    throw new Error(`Cannot listen on ${address} for the system's TCP: ${(error as Error).message}`);
  }
}

/** Accepts connections and hands each to the flow that it belongs to. */
export class SystemListener {
  readonly listeners: TranslateListeners;
  /** Connections that belonged to no flow, or that nobody asked for. */
  foreign = 0;
  readonly #sockets: readonly Deno.TcpListener[];
  readonly #accepted = new Map<number, Deno.TcpConn>();
  readonly #waiting = new Map<number, Waiting>();
  #flows: AcceptedFlows | undefined = undefined;
  #sweep: ReturnType<typeof setInterval> | undefined = undefined;
  #isClosed = false;

  constructor(listeners: TranslateListeners, sockets: readonly Deno.TcpListener[]) {
    this.listeners = listeners;
    this.#sockets = sockets;
  }

  /** Begins to accept. */
  start(flows: AcceptedFlows): void {
    this.#flows = flows;
    for (const socket of this.#sockets) void this.#acceptFrom(socket);
    this.#sweep = setInterval(() => this.#look(), SWEEP_MS);
  }

  /** The connection of a flow, once it is accepted; undefined when its application has given up, or takes too long. */
  accepted(flow: number): Promise<Deno.TcpConn | undefined> {
    const conn = this.#accepted.get(flow);
    if (conn !== undefined) {
      this.#accepted.delete(flow);
      return Promise.resolve(conn);
    }
    const until = performance.now() + NAT_ACCEPT_TIMEOUT_MS;
    return new Promise((resolve) => this.#waiting.set(flow, { until, resolve }));
  }

  async #acceptFrom(socket: Deno.TcpListener): Promise<void> {
    for (;;) {
      let conn: Deno.TcpConn;
      try {
        conn = await socket.accept();
      } catch (error) {
        if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return;
        // The connection broke before it was accepted, or there are too many files open: both pass.
        await new Promise((resolve) => setTimeout(resolve, 1));
        continue;
      }
      this.#take(conn);
    }
  }

  #take(conn: Deno.TcpConn): void {
    const flow = this.#flowOf(conn);
    const waiting = this.#waiting.get(flow);
    if (waiting !== undefined) {
      this.#waiting.delete(flow);
      conn.setNoDelay(true);
      return waiting.resolve(conn);
    }
    if (flow < 0 || this.#accepted.has(flow) || this.#accepted.size >= NAT_ACCEPTED_WAITING_MAX) {
      this.foreign++;
      return conn.close();
    }
    conn.setNoDelay(true);
    this.#accepted.set(flow, conn);
  }

  #flowOf({ remoteAddr, localAddr }: Deno.TcpConn): number {
    const remote = parseIp(remoteAddr.hostname);
    const local = parseIp(localAddr.hostname);
    if (remote === undefined || local === undefined) return -1;
    return this.#flows!.flowOf(remote, remoteAddr.port, local, localAddr.port);
  }

  #look(): void {
    const now = performance.now();
    for (const [flow, { until, resolve }] of this.#waiting) {
      if (now < until && this.#flows!.isOpen(flow)) continue;
      this.#waiting.delete(flow);
      resolve(undefined);
    }
    for (const [flow, conn] of this.#accepted) {
      if (this.#flows!.isOpen(flow)) continue;
      this.#accepted.delete(flow);
      this.foreign++;
      conn.close();
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#sweep);
    for (const socket of this.#sockets) socket.close();
    for (const conn of this.#accepted.values()) conn.close();
    for (const { resolve } of this.#waiting.values()) resolve(undefined);
    this.#accepted.clear();
    this.#waiting.clear();
  }
}
