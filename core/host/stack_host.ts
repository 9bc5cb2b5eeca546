/** The stack's connections and datagrams on one side, host sockets on the other. */
import { ipFromWords } from "../base/ip_address.ts";
import { PACKET_BYTES_MAX, RELAY_SWEEP_US } from "../base/limits.ts";
import { addMicros, type Micros, NEVER } from "../base/micros.ts";
import { DatagramInfo } from "../stack/datagram_queue.ts";
import { Unreachable } from "../stack/icmp_output.ts";
import type { PendingFlow } from "../stack/pending_flow.ts";
import type { Stack } from "../stack/stack.ts";
import type { TcpConnection } from "../stack/tcp/connection.ts";
import { TcpEvent, TcpState } from "../stack/tcp/tcp_state.ts";
import type { UdpEndpoint } from "../stack/udp_endpoint.ts";
import type { DialError } from "../act/command.ts";
import type { Dialer, DialResult } from "./dial.ts";
import type { DatagramRoute, FarSide } from "./far_side.ts";
import type { OriginalPeer } from "./udp_outbound.ts";
import type { Duplex } from "./duplex.ts";
import { Relay, type RelayEnd } from "./relay.ts";
import { type StackLoop, TcpConn } from "./tcp_conn.ts";
import { UdpRelay } from "./udp_relay.ts";

/** How a TCP flow ended. `cancelled`: the application gave up before the far side was there. */
export interface FlowEnd {
  readonly end: RelayEnd | DialError | "cancelled";
  /** Why there was no connection; empty when there was one. */
  readonly message: string;
  /** Units: bytes. */
  readonly upload: number;
  readonly download: number;
}

/** A flow that waits for its far side: what is done once that is there, or is not. */
export interface WaitingFlow {
  dial(): Promise<DialResult>;
  /** Answers the application; undefined when it has given up. A promise where the system's own TCP answers. */
  accept(): TcpConnection | undefined | Promise<Duplex | undefined>;
  fail(error: DialError): void;
}

const ICMP_OF: { readonly [error in DialError]: Unreachable | undefined } = {
  refused: undefined,
  failed: undefined,
  hostUnreachable: Unreachable.Host,
  timedOut: Unreachable.Host,
  networkUnreachable: Unreachable.Network,
  prohibited: Unreachable.Prohibited,
};

function ended(end: FlowEnd["end"], message: string): FlowEnd {
  return { end, message, upload: 0, download: 0 };
}

/** Connections of the stack, by their relays. */
export class StackHost {
  readonly udp: UdpRelay;
  readonly #farSide: FarSide | undefined;
  readonly #stack: Stack;
  readonly #dialer: Dialer;
  readonly #loop: StackLoop;
  readonly #conns = new Map<TcpConnection, TcpConn>();
  readonly #dialing = new Map<PendingFlow, AbortController>();
  readonly #relays = new Set<Relay>();
  readonly #datagram = new Uint8Array(PACKET_BYTES_MAX);
  readonly #info = new DatagramInfo();
  #nextSweep: Micros = NEVER;

  constructor(stack: Stack, dialer: Dialer, loop: StackLoop, farSide?: FarSide) {
    this.#farSide = farSide;
    this.#stack = stack;
    this.#dialer = dialer;
    this.#loop = loop;
    this.udp = new UdpRelay({
      now: () => loop.now(),
      touched: () => loop.touched(),
      sourceFor: (version) => dialer.sourceFor(version),
    });
    stack.onUdpClosed = (endpoint) => {
      this.udp.forget(endpoint);
      farSide?.udp.forget(endpoint);
    };
  }

  /** Makes this the owner of the stack's new flows, where no engine is: each goes to where it wanted to go. */
  takeFlows(onEnd: (pending: PendingFlow, end: FlowEnd) => void): void {
    this.#stack.onFlow = (pending) => void this.carryPending(pending).then((end) => onEnd(pending, end));
    this.#stack.onCancelled = (pending) => this.#dialing.get(pending)?.abort();
  }

  /** TCP flows that are relayed. */
  get relayCount(): number {
    return this.#relays.size;
  }

  /** Sockets that wait for news of their connections. */
  get connCount(): number {
    return this.#conns.size;
  }

  /** A connection of the stack as a socket. */
  conn(connection: TcpConnection): TcpConn {
    const known = this.#conns.get(connection);
    if (known !== undefined) return known;
    const conn = new TcpConn(connection, this.#loop);
    // One that has ended while its far side was dialed has no news left to tell: nothing would take it out again.
    if (connection.id >= 0 && connection.state !== TcpState.TimeWait) this.#conns.set(connection, conn);
    return conn;
  }

  /** Connects to where a flow of the stack's own `onFlow` goes. Never rejects. */
  async carryPending(pending: PendingFlow): Promise<FlowEnd> {
    const giveUp = new AbortController();
    this.#dialing.set(pending, giveUp);
    const [w0, w1, w2, w3] = pending.localAddress;
    const address = ipFromWords(w0!, w1!, w2!, w3!);
    return await this.carry({
      dial: () => this.#dialer.dial(address, pending.localPort, giveUp.signal),
      accept: () => {
        this.#dialing.delete(pending);
        return pending.accept(this.#loop.now());
      },
      fail: (error) => {
        this.#dialing.delete(pending);
        const why = ICMP_OF[error];
        if (why === undefined) pending.refuse(this.#loop.now());
        else pending.unreachable(why, this.#loop.now());
      },
    });
  }

  /** Connects to where a waiting flow goes, answers its application as that turns out, and relays. Never rejects. */
  async carry(flow: WaitingFlow): Promise<FlowEnd> {
    const result = await flow.dial();
    if (result.stream === undefined) {
      flow.fail(result.failure);
      this.#loop.touched();
      return ended(result.failure, result.message);
    }
    const accepted = flow.accept();
    this.#loop.touched();
    const near = accepted instanceof Promise ? await accepted : accepted && this.conn(accepted);
    if (near === undefined) {
      result.stream.abort();
      return ended("cancelled", "the application gave up");
    }
    const relay = new Relay(near, result.stream, () => this.#loop.now());
    this.#relays.add(relay);
    if (this.#nextSweep === NEVER) this.#nextSweep = addMicros(this.#loop.now(), RELAY_SWEEP_US);
    const end = await relay.run();
    this.#relays.delete(relay);
    return { end, message: "", upload: relay.upload, download: relay.download };
  }

  /** Wakes whom the stack has news for. `routeOf` says which way a datagram's flow (its tag) goes; undefined: it goes nowhere. */
  drain(now: Micros, routeOf: (tag: number) => DatagramRoute | undefined): void {
    for (let ready = this.#stack.takeReady(); ready !== undefined; ready = this.#stack.takeReady()) {
      const conn = this.#conns.get(ready);
      if ((ready.takeEvents() & (TcpEvent.Closed | TcpEvent.Failed)) !== 0) this.#conns.delete(ready);
      conn?.wake();
    }
    for (let ready = this.#stack.takeReadyUdp(); ready !== undefined; ready = this.#stack.takeReadyUdp()) {
      this.#drainDatagrams(ready, routeOf);
    }
    if (now >= this.#nextSweep) this.#sweep(now);
  }

  #drainDatagrams(endpoint: UdpEndpoint, routeOf: (tag: number) => DatagramRoute | undefined): void {
    const bytes = this.#datagram;
    const info = this.#info;
    for (let length = 0; (length = endpoint.receive(bytes, 0, bytes.length, info)) >= 0;) {
      const route = routeOf(info.tag);
      if (route === undefined) continue;
      const [w0, w1, w2, w3] = info.destination;
      const peer = { address: ipFromWords(w0!, w1!, w2!, w3!), port: info.destinationPort };
      this.#sendDatagram(endpoint, route, peer, bytes.subarray(0, length));
    }
  }

  #sendDatagram(endpoint: UdpEndpoint, route: DatagramRoute, peer: OriginalPeer, payload: Uint8Array): void {
    if (route.kind === "plain") this.udp.send(endpoint, payload, peer.address, peer.port);
    else if (route.kind === "channel") this.#farSide?.udp.send(endpoint, route.chain, route.destination, peer, payload);
    else this.#farSide?.answerDns(endpoint, payload, peer, () => this.#loop.touched());
  }

  #sweep(now: Micros): void {
    for (const relay of this.#relays) relay.expire(now);
    this.#nextSweep = this.#relays.size === 0 ? NEVER : addMicros(now, RELAY_SWEEP_US);
  }

  /** Breaks off everything. */
  close(): void {
    for (const giveUp of this.#dialing.values()) giveUp.abort();
    for (const relay of this.#relays) relay.abort();
    this.udp.close();
  }
}
