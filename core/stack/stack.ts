/**
 * A TCP/IP stack that answers for every address: what a TUN device's packets end in.
 *
 * Read first: RFC 1122, RFC 8504 (requirements for hosts), RFC 9293. It reads no clock and owns no timer: `receive` and `poll` get the time, and
 * `poll` says when it wants to be called again. What changes between two polls by calls of its host (send, close) may move that time:
 * `nextDeadline()` knows.
 *
 * ```
 *  receive ─► IP: fragments ─► ICMP ─► echo, errors to their connections
 *                          ├─► UDP  ─► endpoint of the source ─► takeReadyUdp()
 *                          └─► TCP  ─► connection ─► takeReady()
 *                                      waiting flow ─► onFlow() ─► accept · refuse · unreachable · ignore
 * ```
 */
import { type Arena, NO_SLOT, type Slot } from "../adapter/arena.ts";
import { BufferPool } from "../base/byte_ring.ts";
import { BUFFER_POOL_KEPT_BYTES_MAX } from "../base/limits.ts";
import { type Micros, micros } from "../base/micros.ts";
import { DropReason } from "../parse/drop_reason.ts";
import { Fragment, PacketMeta } from "../parse/packet_meta.ts";
import { parse, Verify } from "../parse/parse.ts";
import * as icmp from "../wire/icmp.ts";
import * as ipv6 from "../wire/ipv6.ts";
import * as tcp from "../wire/tcp.ts";
import * as udp from "../wire/udp.ts";
import { ConnectionTable } from "./connection_table.ts";
import { IcmpInput } from "./icmp_input.ts";
import { IcmpOutput, Unreachable } from "./icmp_output.ts";
import { IpOutput, type PacketSink } from "./ip_output.ts";
import { IpReassembly } from "./ip_reassembly.ts";
import type { TcpListener } from "./listener.ts";
import type { PendingFlow } from "./pending_flow.ts";
import { isUnanswerable } from "./receivers.ts";
import type { ReplyCredit } from "./reply_credit.ts";
import { ResetOutput } from "./reset_output.ts";
import { Metric, StackMetrics } from "./stack_metrics.ts";
import { createStackOptions, type StackChoices, type StackOptions } from "./stack_options.ts";
import type { TcpConnection } from "./tcp/connection.ts";
import type { TcpOptions } from "./tcp/tcp_options.ts";
import { TcpInput } from "./tcp_input.ts";
import type { UdpEndpoint } from "./udp_endpoint.ts";
import { UdpTable } from "./udp_table.ts";

export type { PacketSink } from "./ip_output.ts";

/** What a stack needs of the world. */
export interface StackEnv {
  /** Secret randomness: crypto when live, a `Prng` in a simulation. Units: 0 … 2³²−1. */
  uint32(): number;
}

/** The stack. */
export class Stack {
  readonly options: StackOptions;
  readonly metrics: StackMetrics = new StackMetrics();
  readonly #arena: Arena;
  readonly #output: IpOutput;
  readonly #icmpOutput: IcmpOutput;
  readonly #icmp: IcmpInput;
  readonly #table: ConnectionTable;
  readonly #credit: ReplyCredit;
  readonly #tcp: TcpInput;
  readonly #udp: UdpTable;
  readonly #reassembly: IpReassembly;
  readonly #wholeMeta = new PacketMeta();

  constructor(choices: StackChoices, env: StackEnv, arena: Arena, sink: PacketSink) {
    const options = createStackOptions(choices);
    const secret = () => env.uint32();
    this.options = options;
    this.#arena = arena;
    this.#output = new IpOutput(arena, sink, options, this.metrics, secret());
    const buffers = new BufferPool(BUFFER_POOL_KEPT_BYTES_MAX, arena.rings);
    this.#table = new ConnectionTable(options.connectionCountMax, options.mtu, this.metrics, secret, buffers);
    this.#credit = this.#table.credit;
    this.#icmpOutput = new IcmpOutput(arena, this.#output, this.metrics, this.#credit, options.loopback);
    const resets = new ResetOutput(arena, this.#output, this.metrics, this.#credit, options.loopback);
    this.#tcp = new TcpInput(arena, this.#output, this.#table, resets, this.#icmpOutput, this.metrics, options);
    this.#udp = new UdpTable(this.#output, this.metrics, options.udpIdleUs, secret(), options.udpEndpointCountMax);
    this.#icmp = new IcmpInput(arena, this.#icmpOutput, this.#table, this.#udp, options);
    this.#reassembly = new IpReassembly(arena);
  }

  /**
   * Takes in a packet that was parsed into `meta` with its checksums verified; the slot stays the caller's. `tag` goes along with what the
   * packet begins: a waiting flow, a datagram. Drops: what is not for anybody here, answered or not; `None` is "consumed".
   */
  receive(slot: Slot, meta: PacketMeta, now: Micros, tag: number = -1): DropReason {
    if (meta.fragment !== Fragment.Whole) return this.#receiveFragment(slot, meta, now, tag);
    if (isUnanswerable(meta, this.options.loopback)) return DropReason.BadAddress;
    const protocol = meta.protocol;
    if (protocol === tcp.PROTOCOL) return this.#tcp.receive(slot, meta, this.#ecnOf(meta), tag, now);
    // Whoever speaks without a connection may be anybody. An echo is as long as its request and needs no credit.
    if (!isEchoRequest(meta)) this.#credit.earn(meta.ipLength);
    if (protocol === udp.PROTOCOL) return this.#receiveDatagram(meta, now, tag);
    if (protocol === (meta.version === 4 ? icmp.PROTOCOL : icmp.PROTOCOL_V6)) return this.#icmp.receive(meta, now);
    if (protocol !== ipv6.NO_NEXT_HEADER) this.#icmpOutput.unreachable(meta, Unreachable.Protocol, now);
    return DropReason.UnsupportedProtocol;
  }

  #ecnOf(meta: PacketMeta): number {
    const view = this.#arena.view;
    return meta.version === 4 ? view.getUint8(meta.ipAt + 1) & 3 : (view.getUint16(meta.ipAt) >>> 4) & 3;
  }

  #receiveDatagram(meta: PacketMeta, now: Micros, tag: number): DropReason {
    if (this.options.udp) return this.#udp.receive(this.#arena.bytes, meta, tag, now);
    this.#icmpOutput.unreachable(meta, Unreachable.Port, now);
    return DropReason.PortUnreachable;
  }

  /** Keeps a fragment's copy; the last one brings the whole datagram. */
  #receiveFragment(slot: Slot, meta: PacketMeta, now: Micros, tag: number): DropReason {
    const reason = this.#reassembly.add(slot, meta, now);
    if (reason !== DropReason.None) return reason;
    const whole = this.#reassembly.takeWhole();
    if (whole === NO_SLOT) return DropReason.None;
    this.metrics.add(Metric.Reassembled);
    let verdict: DropReason = parse(this.#arena, whole, Verify.All, this.#wholeMeta);
    if (verdict === DropReason.None) verdict = this.receive(whole, this.#wholeMeta, now, tag);
    this.#arena.release(whole);
    return verdict;
  }

  /** Gives up datagrams whose pieces did not all come, and tells their senders. */
  #expireFragments(now: Micros): void {
    for (let first = this.#reassembly.expire(now); first !== NO_SLOT; first = this.#reassembly.expire(now)) {
      if (parse(this.#arena, first, Verify.None, this.#wholeMeta) === DropReason.None) {
        this.#icmpOutput.reassemblyExceeded(this.#wholeMeta, now);
      }
      this.#arena.release(first);
    }
  }

  /** Runs what is due, so much at most; answers when it wants to be called again at the latest. */
  poll(now: Micros): Micros {
    this.#table.poll(now);
    this.#tcp.expire(now);
    this.#udp.expire(now);
    this.#expireFragments(now);
    return this.nextDeadline();
  }

  /** When `poll` is due. */
  nextDeadline(): Micros {
    const first = Math.min(this.#table.nextDeadline(), this.#tcp.nextExpiry());
    return micros(Math.min(first, this.#udp.nextExpiry(), this.#reassembly.nextExpiry()));
  }

  // ── TCP ──

  /** Who decides what becomes of a new flow's SYN; it is not answered before. Undefined: flows without a listener are reset. */
  set onFlow(owner: ((pending: PendingFlow, now: Micros) => void) | undefined) {
    this.#tcp.onFlow = owner;
  }

  /** Who hears that a waiting flow is over: its peer gave up, or nobody decided in time. */
  set onCancelled(owner: ((pending: PendingFlow) => void) | undefined) {
    this.#tcp.onCancelled = owner;
  }

  /** A connection with news for its application (`takeEvents()`), or undefined. */
  takeReady(): TcpConnection | undefined {
    return this.#table.takeReady();
  }

  /** Opens a connection. Undefined: the four-tuple is in use, or the table is full. Shape: four words an address. */
  connect(
    version: 4 | 6,
    local: Uint32Array,
    localPort: number,
    remote: Uint32Array,
    remotePort: number,
    now: Micros,
    options?: Partial<TcpOptions>,
  ): TcpConnection | undefined {
    return this.#tcp.connect(version, local, localPort, remote, remotePort, options, now);
  }

  /** Takes connections to an address (undefined: any) and a port (0: any). Undefined: there are too many listeners. */
  listen(
    address: Uint32Array | undefined,
    port: number,
    backlog: number,
    options?: Partial<TcpOptions>,
  ): TcpListener | undefined {
    return this.#tcp.listen(address, port, backlog, options);
  }

  /** Forgets a connection without a word to its peer. */
  discard(connection: TcpConnection): void {
    connection.sendRing.release();
    connection.receiveRing.release();
    this.#table.forget(connection);
  }

  // ── UDP ──

  /** A UDP source whose datagrams wait, or undefined. Take all of them: it comes again only with a new one. */
  takeReadyUdp(): UdpEndpoint | undefined {
    return this.#udp.takeReady();
  }

  /** The endpoint of a UDP source, if there is one. Shape: four words. */
  udpEndpoint(remote: Uint32Array, remotePort: number): UdpEndpoint | undefined {
    return this.#udp.find(remote, remotePort);
  }

  /** Who hears of UDP endpoints that are gone. */
  set onUdpClosed(owner: ((endpoint: UdpEndpoint) => void) | undefined) {
    this.#udp.onClosed = owner;
  }

  // ── ICMP ──

  /** Who gets echo requests when `options.echo` is "hand": called with the packet, whose bytes stay valid for the call. */
  set onEcho(owner: ((meta: PacketMeta, now: Micros) => void) | undefined) {
    this.#icmp.onEcho = owner;
  }

  /** Sends the echo reply to a request that was handed on, within the call or from a copy of its packet. */
  answerEcho(meta: PacketMeta, now: Micros): boolean {
    return this.#icmpOutput.echo(meta, now);
  }

  /** Tells a packet's sender that it cannot go on. False: rules or the rate forbid it. */
  unreachable(meta: PacketMeta, why: Unreachable, now: Micros): boolean {
    return this.#icmpOutput.unreachable(meta, why, now);
  }

  // ── what there is ──

  /** Connections and waiting flows. */
  get connectionCount(): number {
    return this.#table.demux.count;
  }
  /** Waiting flows and handshakes under way. */
  get halfOpenCount(): number {
    return this.#table.halfOpenCount;
  }
  /** Flows that wait for a decision. */
  get pendingCount(): number {
    return this.#tcp.pendingCount;
  }
  /** UDP sources. */
  get udpCount(): number {
    return this.#udp.count;
  }
  /** Memory in rings of connections and UDP queues. Units: bytes. */
  get bufferedBytes(): number {
    return this.#table.buffers.lentBytes + this.#udp.queuedBytes;
  }
}

function isEchoRequest(meta: PacketMeta): boolean {
  if (meta.version === 4) return meta.protocol === icmp.PROTOCOL && meta.sourcePort === icmp.ECHO_REQUEST;
  return meta.protocol === icmp.PROTOCOL_V6 && meta.sourcePort === icmp.ECHO_REQUEST_V6;
}
