/** The TCP connections of a stack: found by their four-tuple, woken by their timers, put on the ready ring when something changed. */
import type { BufferPool } from "../base/byte_ring.ts";
import { STACK_TIME_WAIT_COUNT_MAX, STACK_TIMERS_PER_POLL_MAX } from "../base/limits.ts";
import type { Micros } from "../base/micros.ts";
import { TimerQueue } from "../base/timer_queue.ts";
import { type EndpointIndex, FlowDemux, NO_ENDPOINT } from "./flow_demux.ts";
import { IdleList } from "./idle_list.ts";
import type { TcpListener } from "./listener.ts";
import { PathMtuCache } from "./path_mtu_cache.ts";
import { ReplyCredit } from "./reply_credit.ts";
import { Metric, type StackMetrics } from "./stack_metrics.ts";
import type { TcpConnection } from "./tcp/connection.ts";
import { InitialSequence } from "./tcp/isn.ts";
import type { ConnectionHost } from "./tcp/segment_output.ts";
import { TcpState } from "./tcp/tcp_state.ts";

/** Connections by index. Flows that wait for a decision have their places in the same demux. */
export class ConnectionTable implements ConnectionHost {
  readonly buffers: BufferPool;
  readonly demux: FlowDemux;
  /** Shape: indexed by place in the demux. */
  readonly connections: (TcpConnection | undefined)[] = [];
  /** Flows that wait, and handshakes under way. */
  halfOpenCount = 0;
  readonly credit: ReplyCredit;
  readonly paths: PathMtuCache;
  readonly #metrics: StackMetrics;
  readonly #uint32: () => number;
  readonly #sequences: InitialSequence;
  readonly #pathMtu: number;
  readonly #timers = new TimerQueue();
  readonly #timeWaits = new IdleList();
  /** Shape: 1 while the handshake is under way; indexed as above. */
  readonly #isHalfOpen: Uint8Array;
  readonly #isReady: Uint8Array;
  /** The listener that a connection has not left yet. Shape: indexed as above. */
  readonly #listeners: (TcpListener | undefined)[] = [];
  readonly #ready: TcpConnection[] = [];
  /** Shape: [ready connections taken from the front of the array]. */
  readonly #state = new Int32Array(1);

  constructor(capacity: number, pathMtu: number, metrics: StackMetrics, uint32: () => number, buffers: BufferPool) {
    this.credit = new ReplyCredit(metrics);
    this.paths = new PathMtuCache(uint32(), uint32());
    this.buffers = buffers;
    this.demux = new FlowDemux(uint32(), capacity);
    this.#isHalfOpen = new Uint8Array(capacity);
    this.#isReady = new Uint8Array(capacity);
    this.#pathMtu = pathMtu;
    this.#metrics = metrics;
    this.#uint32 = uint32;
    this.#sequences = new InitialSequence(uint32(), uint32());
  }

  /**
   * Puts a connection into its place, before it opens, and tells it what is known of its path. With a `listener`, nobody else hears of it
   * before it was taken there.
   */
  enter(index: EndpointIndex, connection: TcpConnection, listener: TcpListener | undefined, now: Micros): void {
    connection.id = index;
    const path = this.paths.find(connection.remoteAddress, now);
    if (path >= 0) {
      connection.pathMtu = this.paths.mtu(path);
      connection.mayFragment = this.paths.mayFragment(path);
      connection.pathMtuUntil = this.paths.until(path);
    }
    this.connections[index] = connection;
    this.#listeners[index] = listener;
    this.#metrics.add(Metric.Opened);
  }

  /** Notes that a connection's handshake is under way. */
  beginHandshake(index: EndpointIndex): void {
    this.#isHalfOpen[index] = 1;
    this.halfOpenCount++;
    const listener = this.#listeners[index];
    if (listener !== undefined) listener.halfOpenCount++;
  }

  #endHandshake(index: EndpointIndex): void {
    if (this.#isHalfOpen[index] === 0) return;
    this.#isHalfOpen[index] = 0;
    this.halfOpenCount--;
    const listener = this.#listeners[index];
    if (listener !== undefined) listener.halfOpenCount--;
  }

  /** Makes room by forgetting the connection that has been in TIME-WAIT longest. False: there is none. */
  evictTimeWait(): boolean {
    const index = this.#timeWaits.first;
    if (index < 0) return false;
    this.#metrics.add(Metric.TimeWaitEvicted);
    this.forget(this.connections[index]!);
    return true;
  }

  /** Forgets a connection without a word to its peer. */
  forget(connection: TcpConnection): void {
    const index = connection.id;
    if (index < 0) return;
    this.#endHandshake(index);
    connection.id = NO_ENDPOINT;
    this.connections[index] = undefined;
    this.#listeners[index] = undefined;
    this.#timers.delete(index);
    this.#timeWaits.remove(index);
    this.#isReady[index] = 0;
    this.demux.remove(index);
    this.#metrics.add(Metric.Closed);
  }

  /** Resets the handshakes under way of a listener that closes. */
  abortOf(listener: TcpListener, now: Micros): void {
    if (listener.halfOpenCount === 0) return;
    for (let index = 0; index < this.connections.length; index++) {
      if (this.#listeners[index] === listener) this.connections[index]!.abort(now);
    }
  }

  /** The application has taken a connection from its listener: it hears of what happened meanwhile. */
  release(connection: TcpConnection): void {
    if (connection.id >= 0) this.#listeners[connection.id] = undefined;
    this.#pushReady(connection);
  }

  /** Runs timers that are due, so many at most. */
  poll(now: Micros): void {
    for (let left = STACK_TIMERS_PER_POLL_MAX; left > 0; left--) {
      const index = this.#timers.takeDue(now);
      if (index < 0) return;
      const connection = this.connections[index];
      if (connection === undefined) continue;
      connection.timer(now);
      if (connection.id === index) this.#timers.set(index, connection.deadline);
    }
  }

  /** When the next timer is due. */
  nextDeadline(): Micros {
    return this.#timers.next();
  }

  /** A connection with news, or undefined. */
  takeReady(): TcpConnection | undefined {
    const ready = this.#ready;
    const taken = this.#state[0]!;
    if (taken === ready.length) return undefined;
    const connection = ready[taken]!;
    this.#state[0] = taken + 1;
    if (taken + 1 === ready.length) {
      ready.length = 0;
      this.#state[0] = 0;
    } else if (taken >= 1_024 && taken * 2 > ready.length) {
      ready.splice(0, taken + 1);
      this.#state[0] = 0;
    }
    if (connection.id >= 0) this.#isReady[connection.id] = 0;
    return connection;
  }

  #pushReady(connection: TcpConnection): void {
    const index = connection.id;
    if (index >= 0) {
      if (this.#isReady[index] === 1 || this.#listeners[index] !== undefined) return;
      this.#isReady[index] = 1;
    }
    this.#ready.push(connection);
  }

  /** A connection has news: its handshake may be over. */
  eventsChanged(connection: TcpConnection): void {
    const index = connection.id;
    if (index >= 0 && this.#isHalfOpen[index] === 1 && connection.state >= TcpState.Established) {
      this.#endHandshake(index);
      const listener = this.#listeners[index];
      if (listener !== undefined) listener.established(connection);
    }
    this.#pushReady(connection);
  }

  /** A connection's timer moved. */
  deadlineChanged(connection: TcpConnection): void {
    if (connection.id >= 0) this.#timers.set(connection.id, connection.deadline);
  }

  /** A connection entered TIME-WAIT; there is room for so many. */
  timeWait(connection: TcpConnection, _now: Micros): void {
    if (connection.id < 0) return;
    this.#timeWaits.append(connection.id);
    if (this.#timeWaits.count > STACK_TIME_WAIT_COUNT_MAX) this.evictTimeWait();
  }

  /** A connection is closed for good. */
  closed(connection: TcpConnection, _now: Micros): void {
    this.forget(connection);
  }

  /** Secret randomness. */
  uint32(): number {
    return this.#uint32();
  }

  /** The first sequence number of a connection. */
  initialSequence(connection: TcpConnection, now: Micros): number {
    return this.#sequences.next(connection, now);
  }

  /** The device's MTU; what is known of what lies beyond it, `enter` has told. */
  pathMtu(_connection: TcpConnection): number {
    return this.#pathMtu;
  }
}
