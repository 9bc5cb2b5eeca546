/**
 * Which TCP segment is for whom: a connection, a flow that waits for its decision, a listener, or nobody.
 *
 * Read first: RFC 9293 sections 3.10.7.1 to 3.10.7.4, RFC 4987 (SYN floods), RFC 6191 (TIME-WAIT and new SYNs).
 *
 * ```
 *                         ┌─ connection ─────────────► its state machine
 *  segment ─► four-tuple ─┼─ TIME-WAIT, newer SYN ──┐
 *                         ├─ waiting flow ──────────┼─► absorbed, cancelled, or replaced
 *                         └─ unknown ─┬─ SYN ───────┴─► listener: answered │ owner: waits │ too many: cookie
 *                                     ├─ ACK of a cookie ─► as a SYN whose handshake is over
 *                                     └─ other ─► reset
 * ```
 */
import { copyBytes } from "../base/byte_ring.ts";
import { type Arena, NO_SLOT, type Slot } from "../adapter/arena.ts";
import { STACK_LISTENER_COUNT_MAX, STACK_PENDING_US } from "../base/limits.ts";
import { addMicros, type Micros, NEVER } from "../base/micros.ts";
import { DropReason } from "../parse/drop_reason.ts";
import { ACKNOWLEDGMENT, PacketMeta, SEQUENCE } from "../parse/packet_meta.ts";
import { parse, Verify } from "../parse/parse.ts";
import { seqAdd } from "../wire/seq.ts";
import * as tcp from "../wire/tcp.ts";
import type { ConnectionTable } from "./connection_table.ts";
import {
  createConnection,
  createFactsCopy,
  createFromMeta,
  createFromPending,
  createSynFacts,
  createTcpOptions,
} from "./create_connection.ts";
import { type EndpointIndex, NO_ENDPOINT } from "./flow_demux.ts";
import type { IcmpOutput, Unreachable } from "./icmp_output.ts";
import { IdleList } from "./idle_list.ts";
import type { IpOutput } from "./ip_output.ts";
import { createListener, type ListenerHost, type TcpListener } from "./listener.ts";
import { createPending, type PendingFlow, type PendingHost } from "./pending_flow.ts";
import { isFromItself, isManyReceivers } from "./receivers.ts";
import type { ResetOutput } from "./reset_output.ts";
import { Metric, type StackMetrics } from "./stack_metrics.ts";
import type { StackOptions } from "./stack_options.ts";
import { SynCookies } from "./syn_cookies.ts";
import type { TcpConnection } from "./tcp/connection.ts";
import { SynFacts } from "./tcp/syn_facts.ts";
import type { TcpOptions } from "./tcp/tcp_options.ts";
import { TcpState } from "./tcp/tcp_state.ts";
import { scaleFor } from "./tcp/window.ts";

const CONTROLS = tcp.SYN | tcp.ACK | tcp.RST | tcp.FIN;

/** Takes segments in and opens connections. */
export class TcpInput implements PendingHost, ListenerHost {
  /** Decides about flows that no listener takes; undefined: they are refused. */
  onFlow: ((pending: PendingFlow, now: Micros) => void) | undefined = undefined;
  /** Hears that a waiting flow's peer gave up, or that nobody decided in time. */
  onCancelled: ((pending: PendingFlow) => void) | undefined = undefined;
  readonly #arena: Arena;
  readonly #output: IpOutput;
  readonly #table: ConnectionTable;
  readonly #resets: ResetOutput;
  readonly #icmp: IcmpOutput;
  readonly #metrics: StackMetrics;
  readonly #options: StackOptions;
  readonly #cookies: SynCookies;
  /** Shape: indexed by place in the demux. */
  readonly #pendings: (PendingFlow | undefined)[] = [];
  readonly #pendingOrder = new IdleList();
  readonly #listeners: TcpListener[] = [];
  readonly #scratchFacts = new SynFacts();
  readonly #scratchMeta = new PacketMeta();

  constructor(
    arena: Arena,
    output: IpOutput,
    table: ConnectionTable,
    resets: ResetOutput,
    icmp: IcmpOutput,
    metrics: StackMetrics,
    options: StackOptions,
  ) {
    this.#arena = arena;
    this.#output = output;
    this.#table = table;
    this.#resets = resets;
    this.#icmp = icmp;
    this.#metrics = metrics;
    this.#options = options;
    this.#cookies = new SynCookies(() => table.uint32());
  }

  /** Flows that wait for a decision. */
  get pendingCount(): number {
    return this.#pendingOrder.count;
  }

  /** Takes a segment in. `ecn` are the two ECN bits of the IP header; `tag` goes along with a new flow. */
  receive(slot: Slot, meta: PacketMeta, ecn: number, tag: number, now: Micros): DropReason {
    if (isManyReceivers(meta) || isFromItself(meta)) return DropReason.BadAddress;
    const index = this.#table.demux.find(meta);
    if (index === NO_ENDPOINT) return this.#receiveUnknown(meta, tag, now);
    const connection = this.#table.connections[index];
    if (connection === undefined) return this.#receivePending(this.#pendings[index]!, meta, tag, now);
    if (connection.state === TcpState.TimeWait && this.#isReuse(connection, meta, now)) {
      this.#metrics.add(Metric.TimeWaitReused);
      this.#table.forget(connection);
      this.#table.demux.find(meta);
      return this.#receiveUnknown(meta, tag, now);
    }
    connection.segment(this.#arena.view, meta, ecn, this.#arena.segmentBytes[slot]!, now);
    return DropReason.None;
  }

  /** A SYN that also ends may begin anew only where a listener takes it. */
  #isReuse(connection: TcpConnection, meta: PacketMeta, now: Micros): boolean {
    if (!connection.isReusedBy(this.#arena.view, meta, now)) return false;
    return (meta.flags & tcp.FIN) === 0 || this.#findListener(meta) !== undefined;
  }

  /** A segment whose tuple the demux has just looked for and not found. */
  #receiveUnknown(meta: PacketMeta, tag: number, now: Micros): DropReason {
    this.#table.credit.earn(meta.ipLength);
    const controls = meta.flags & CONTROLS;
    if (controls === tcp.SYN) return this.#receiveSyn(meta, tag, now);
    if ((controls & tcp.RST) !== 0) return DropReason.NoConnection;
    if ((controls & tcp.ACK) === 0) {
      // No honest peer joins SYN and FIN; a listener takes the SYN, and has no use for a FIN alone. Source: RFC 9293 section 3.10.7.2.
      const isListening = this.#findListener(meta) !== undefined;
      const hasSyn = (controls & tcp.SYN) !== 0;
      if (isListening && hasSyn) return this.#receiveSyn(meta, tag, now);
      if (isListening || (hasSyn && this.onFlow !== undefined)) return DropReason.NoConnection;
    }
    if ((controls & (tcp.SYN | tcp.ACK)) === tcp.ACK && this.#cookies.isActive(now)) {
      const facts = this.#scratchFacts;
      if (this.#cookies.check(this.#arena.view, meta, facts, now)) return this.#receiveCookie(meta, tag, now);
      this.#metrics.add(Metric.CookiesRefused);
    }
    this.#resets.resetStray(meta, now);
    return DropReason.NoConnection;
  }

  #receiveSyn(meta: PacketMeta, tag: number, now: Micros): DropReason {
    const listener = this.#findListener(meta);
    if (listener === undefined && this.onFlow === undefined) {
      this.#resets.resetStray(meta, now);
      return DropReason.NoConnection;
    }
    if (listener !== undefined && listener.isFull) return DropReason.BacklogFull;
    const isFlood = this.#table.halfOpenCount >= this.#options.halfOpenCountMax ||
      (listener !== undefined && listener.isHalfOpenFull);
    if (this.#options.synCookies === "always" || (isFlood && this.#options.synCookies === "flood")) {
      this.#sendCookie(meta, listener, now);
      return DropReason.None;
    }
    if (isFlood) return DropReason.BacklogFull;
    const index = this.#addPlace(meta);
    if (index === NO_ENDPOINT) return DropReason.BacklogFull;
    const facts = createSynFacts(this.#arena.view, meta);
    if (listener === undefined) this.#startPending(index, meta, facts, tag, false, now);
    else {
      const connection = this.#createConnection(meta, listener.options);
      this.#table.enter(index, connection, listener, now);
      this.#table.beginHandshake(index);
      connection.openPassive(facts, now);
    }
    return DropReason.None;
  }

  /** A place for the tuple that the demux has just looked for; the oldest TIME-WAIT makes room. */
  #addPlace(meta: PacketMeta): EndpointIndex {
    const demux = this.#table.demux;
    if (demux.count === demux.capacity && this.#table.evictTimeWait()) demux.find(meta);
    return demux.add();
  }

  #sendCookie(meta: PacketMeta, listener: TcpListener | undefined, now: Micros): void {
    const own = this.#options.tcp;
    const facts = this.#scratchFacts;
    facts.read(this.#arena.view, meta);
    const chosen = listener?.options?.windowScale ?? own.windowScale;
    const scale = chosen < 15 ? chosen : scaleFor(Math.max(own.receiveBufferBytes, own.receiveBufferBytesMax));
    facts.sack &&= own.sack;
    facts.timestamps &&= own.timestamps;
    if (scale < 0) facts.windowScale = -1;
    const cookie = this.#cookies.make(meta, facts, now);
    const mss = Math.min(own.mss, this.#options.mtu - (meta.version === 4 ? 40 : 60));
    // Our clock begins anywhere; its lowest bit remembers ECN, as Linux has it, for the sequence number has no room.
    const mayMark = (listener?.options?.ecn ?? own.ecn) || (listener?.options?.ecnAccept ?? own.ecnAccept);
    facts.ecn &&= facts.timestamps && mayMark;
    const timestamp = ((this.#table.uint32() & ~1) | (facts.ecn ? 1 : 0)) >>> 0;
    this.#resets.cookie(meta, facts, cookie, mss, scale, own.receiveBufferBytes, timestamp, now);
  }

  /** An ACK brought a cookie back: the flow goes on as if its SYN had been kept. */
  #receiveCookie(meta: PacketMeta, tag: number, now: Micros): DropReason {
    const listener = this.#findListener(meta);
    if (listener === undefined && this.onFlow === undefined) return DropReason.NoConnection;
    if (listener !== undefined && listener.isFull) return DropReason.BacklogFull;
    this.#table.demux.find(meta);
    const index = this.#addPlace(meta);
    if (index === NO_ENDPOINT) return DropReason.BacklogFull;
    this.#metrics.add(Metric.CookiesAccepted);
    const facts = createFactsCopy(this.#scratchFacts);
    if (listener === undefined) {
      this.#startPending(index, meta, facts, tag, true, now);
      return DropReason.None;
    }
    const connection = this.#createConnection(meta, listener.options);
    this.#table.enter(index, connection, listener, now);
    this.#table.beginHandshake(index);
    this.#completeCookie(connection, facts, meta, now);
    return DropReason.None;
  }

  /** Opens a connection whose SYN-ACK was a cookie, with the ACK in `meta` that brought it back. */
  #completeCookie(connection: TcpConnection, facts: SynFacts, meta: PacketMeta, now: Micros): void {
    const view = this.#arena.view;
    connection.openCookie(facts, seqAdd(meta.words[ACKNOWLEDGMENT]!, -1), now);
    // Nobody knows when the SYN-ACK left, so that there is no round trip to measure.
    connection.lastSentAt = NEVER;
    if (connection.timestamps) {
      const echoed = view.getInt32(tcp.findOption(view, meta.transportAt, tcp.OPTION_TIMESTAMPS) + 6);
      connection.tsOffset = (connection.tsOffset + echoed - connection.timestampAt(now)) | 0;
    }
    connection.segment(view, meta, 0, 0, now);
  }

  #findListener(meta: PacketMeta): TcpListener | undefined {
    for (let i = 0; i < this.#listeners.length; i++) if (this.#listeners[i]!.matches(meta)) return this.#listeners[i];
    return undefined;
  }

  #createConnection(meta: PacketMeta, choices: Partial<TcpOptions> | undefined): TcpConnection {
    const options = createTcpOptions(this.#options.tcp, choices);
    return createFromMeta(this.#table, this.#output, meta, options);
  }

  // ── flows that wait for their owner ──

  #startPending(
    index: EndpointIndex,
    meta: PacketMeta,
    facts: SynFacts,
    tag: number,
    isEstablished: boolean,
    now: Micros,
  ): void {
    const { view, bytes } = this.#arena;
    const pending = createPending(index, view, bytes, meta, tag, facts, isEstablished, this, now);
    this.#pendings[index] = pending;
    this.#pendingOrder.append(index);
    this.#table.halfOpenCount++;
    this.#metrics.add(Metric.PendingStarted);
    this.onFlow!(pending, now);
  }

  /** A repeated SYN, a reset, or a segment too early, for a flow that waits. */
  #receivePending(pending: PendingFlow, meta: PacketMeta, tag: number, now: Micros): DropReason {
    this.#table.credit.earn(meta.ipLength);
    const sequence = meta.words[SEQUENCE]! | 0;
    const expected = seqAdd(pending.syn.irs, 1) | 0;
    const controls = meta.flags & CONTROLS;
    if ((controls & tcp.RST) !== 0) {
      if (sequence !== expected) return DropReason.None;
      this.#metrics.add(Metric.PendingCancelled);
      this.#cancel(pending);
      return DropReason.None;
    }
    if (controls === tcp.SYN && sequence !== pending.syn.irs) {
      // The peer has begun anew on the same ports.
      this.#metrics.add(Metric.PendingCancelled);
      this.#cancel(pending);
      this.#table.demux.find(meta);
      return this.#receiveSyn(meta, tag, now);
    }
    this.#metrics.add(Metric.PendingAbsorbed);
    return DropReason.None;
  }

  #cancel(pending: PendingFlow): void {
    this.#endPending(pending);
    if (this.onCancelled !== undefined) this.onCancelled(pending);
  }

  /** Takes a waiting flow out of the demux. */
  #endPending(pending: PendingFlow): void {
    this.#table.demux.remove(this.#detach(pending));
  }

  /** Ends the waiting; the flow keeps its place in the demux. */
  #detach(pending: PendingFlow): EndpointIndex {
    const index = pending.index;
    pending.index = NO_ENDPOINT;
    this.#pendings[index] = undefined;
    this.#pendingOrder.remove(index);
    this.#table.halfOpenCount--;
    return index;
  }

  /** Answers the SYN of a waiting flow. */
  acceptPending(
    pending: PendingFlow,
    choices: Partial<TcpOptions> | undefined,
    now: Micros,
  ): TcpConnection | undefined {
    if (!pending.isPending) return undefined;
    const index = this.#detach(pending);
    const options = createTcpOptions(this.#options.tcp, choices);
    const connection = createFromPending(this.#table, this.#output, pending, options);
    this.#metrics.add(Metric.PendingAccepted);
    this.#table.enter(index, connection, undefined, now);
    this.#table.beginHandshake(index);
    if (!pending.isEstablished) {
      connection.openPassive(pending.syn, now);
      return connection;
    }
    const slot = this.#restore(pending);
    if (slot === NO_SLOT) {
      this.#table.forget(connection);
      return undefined;
    }
    this.#completeCookie(connection, pending.syn, this.#scratchMeta, now);
    this.#arena.release(slot);
    return connection;
  }

  /** Answers the SYN of a waiting flow with a reset. */
  refusePending(pending: PendingFlow, now: Micros): void {
    if (!pending.isPending) return;
    this.#endPending(pending);
    this.#metrics.add(Metric.PendingRefused);
    const slot = this.#restore(pending);
    if (slot === NO_SLOT) return;
    this.#resets.reset(this.#scratchMeta, now);
    this.#arena.release(slot);
  }

  /** Answers the SYN of a waiting flow with an ICMP error; a handshake that is over can only be reset. */
  unreachablePending(pending: PendingFlow, why: Unreachable, now: Micros): void {
    if (pending.isEstablished) return this.refusePending(pending, now);
    if (!pending.isPending) return;
    this.#endPending(pending);
    this.#metrics.add(Metric.PendingRefused);
    const slot = this.#restore(pending);
    if (slot === NO_SLOT) return;
    this.#icmp.unreachable(this.#scratchMeta, why, now);
    this.#arena.release(slot);
  }

  /** Forgets a waiting flow silently. */
  ignorePending(pending: PendingFlow): void {
    if (pending.isPending) this.#endPending(pending);
  }

  /** Puts a waiting flow's headers into a slot again, read into the scratch meta. */
  #restore(pending: PendingFlow): Slot {
    const slot = this.#output.acquire();
    if (slot === NO_SLOT) return slot;
    const arena = this.#arena;
    const length = pending.packet.length;
    copyBytes(pending.packet, 0, arena.bytes, arena.at(slot), length);
    arena.length[slot] = length;
    arena.wireLength[slot] = length;
    parse(arena, slot, Verify.None, this.#scratchMeta);
    return slot;
  }

  /** Gives up flows that nobody decided. */
  expire(now: Micros): void {
    for (let index = this.#pendingOrder.first; index >= 0; index = this.#pendingOrder.first) {
      const pending = this.#pendings[index]!;
      if (pending.startedAt + STACK_PENDING_US > now) return;
      this.#metrics.add(Metric.PendingExpired);
      this.#cancel(pending);
    }
  }

  /** When the next flow is given up. */
  nextExpiry(): Micros {
    const index = this.#pendingOrder.first;
    return index < 0 ? NEVER : addMicros(this.#pendings[index]!.startedAt, STACK_PENDING_US);
  }

  // ── opening ──

  /** Opens a connection to a peer, or undefined when the pair of addresses is in use or the table is full. */
  connect(
    version: 4 | 6,
    local: Uint32Array,
    localPort: number,
    remote: Uint32Array,
    remotePort: number,
    choices: Partial<TcpOptions> | undefined,
    now: Micros,
  ): TcpConnection | undefined {
    const demux = this.#table.demux;
    const found = demux.findPair(local, localPort, remote, remotePort);
    if (found !== NO_ENDPOINT) {
      const old = this.#table.connections[found];
      if (old === undefined || old.state !== TcpState.TimeWait) return undefined;
      this.#table.forget(old);
    }
    if (demux.count === demux.capacity) this.#table.evictTimeWait();
    demux.findPair(local, localPort, remote, remotePort);
    const index = demux.add();
    if (index === NO_ENDPOINT) return undefined;
    const options = createTcpOptions(this.#options.tcp, choices);
    const table = this.#table;
    const output = this.#output;
    const connection = createConnection(table, output, version, local, localPort, remote, remotePort, options);
    this.#table.enter(index, connection, undefined, now);
    connection.openActive(now);
    return connection;
  }

  /** Answers SYNs to an address (undefined: any) and a port (0: any). Undefined: there are too many listeners. */
  listen(
    address: Uint32Array | undefined,
    port: number,
    backlog: number,
    options: Partial<TcpOptions> | undefined,
  ): TcpListener | undefined {
    if (this.#listeners.length >= STACK_LISTENER_COUNT_MAX) return undefined;
    const listener = createListener(this, address, port, backlog, options);
    this.#listeners.push(listener);
    return listener;
  }

  /** Hears that a connection left its listener. */
  connectionTaken(connection: TcpConnection): void {
    this.#table.release(connection);
  }

  /** Ends a listener; connections that nobody took, and handshakes under way, are reset. Source: POSIX close() of a listening socket. */
  closeListener(listener: TcpListener, now: Micros): void {
    listener.isOpen = false;
    this.#listeners.splice(this.#listeners.indexOf(listener), 1);
    for (let each = listener.accept(); each !== undefined; each = listener.accept()) each.abort(now);
    this.#table.abortOf(listener, now);
  }
}
