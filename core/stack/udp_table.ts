/** UDP endpoints by source, their queues and their idle times. */
import { BufferPool, copyBytes } from "../base/byte_ring.ts";
import { NO_SLOT } from "../adapter/arena.ts";
import {
  STACK_UDP_ENDPOINT_COUNT_MAX,
  STACK_UDP_QUEUE_BYTES_MAX,
  STACK_UDP_QUEUE_BYTES_TOTAL_MAX,
} from "../base/limits.ts";
import { addMicros, type Micros, NEVER } from "../base/micros.ts";
import { DropReason } from "../parse/drop_reason.ts";
import { DESTINATION, type PacketMeta, SOURCE } from "../parse/packet_meta.ts";
import * as udp from "../wire/udp.ts";
import { DatagramQueue } from "./datagram_queue.ts";
import { type EndpointIndex, FlowDemux, NO_ENDPOINT } from "./flow_demux.ts";
import { IdleList } from "./idle_list.ts";
import type { IpOutput } from "./ip_output.ts";
import { Metric, type StackMetrics } from "./stack_metrics.ts";
import { UdpEndpoint, type UdpHost } from "./udp_endpoint.ts";

/** Longest payload: 65,535 less the headers of IPv4 and UDP. Units: bytes. */
const PAYLOAD_BYTES_MAX = 0xffff - 28;

function createEndpoint(
  index: EndpointIndex,
  meta: PacketMeta,
  mtu: number,
  pool: BufferPool,
  host: UdpHost,
): UdpEndpoint {
  const remote = meta.words.slice(SOURCE, SOURCE + 4);
  const queue = new DatagramQueue(pool, STACK_UDP_QUEUE_BYTES_MAX);
  return new UdpEndpoint(index, meta.version, remote, meta.sourcePort, mtu, queue, host);
}

/** All UDP endpoints of a stack. */
export class UdpTable implements UdpHost {
  /** Hears of endpoints that expired, made room or were closed. */
  onClosed: ((endpoint: UdpEndpoint) => void) | undefined = undefined;
  readonly #demux: FlowDemux;
  readonly #endpoints: (UdpEndpoint | undefined)[] = [];
  readonly #output: IpOutput;
  readonly #metrics: StackMetrics;
  readonly #idleUs: number;
  readonly #pool = new BufferPool();
  /** In order of their last datagram, either way. */
  readonly #idle = new IdleList();
  readonly #lastActive: Float64Array;
  /** Those whose queue is not empty, in order of when it was not any more. */
  readonly #ready = new IdleList();

  constructor(output: IpOutput, metrics: StackMetrics, idleUs: number, secret: number, countMax: number) {
    this.#output = output;
    this.#metrics = metrics;
    this.#idleUs = idleUs;
    const capacity = Math.min(countMax, STACK_UDP_ENDPOINT_COUNT_MAX);
    this.#demux = new FlowDemux(secret, capacity);
    this.#lastActive = new Float64Array(capacity);
  }

  /** Endpoints there are. */
  get count(): number {
    return this.#demux.count;
  }

  /** Memory that queued datagrams hold. Units: bytes. */
  get queuedBytes(): number {
    return this.#pool.lentBytes;
  }

  /** Queues a datagram at its source's endpoint, which it opens. Drops: `QueueFull`. */
  receive(bytes: Uint8Array, meta: PacketMeta, tag: number, now: Micros): DropReason {
    const found = this.#demux.findSource(meta);
    const endpoint = found === NO_ENDPOINT ? this.#open(meta) : this.#endpoints[found]!;
    const index = endpoint.index;
    this.#touch(index, now);
    if (this.#pool.lentBytes > STACK_UDP_QUEUE_BYTES_TOTAL_MAX) return DropReason.QueueFull;
    const { payloadAt, payloadLength, words, destinationPort } = meta;
    if (!endpoint.queue.push(bytes, payloadAt, payloadLength, words, DESTINATION, destinationPort, tag)) {
      return DropReason.QueueFull;
    }
    this.#metrics.add(Metric.DatagramsIn);
    if (!this.#ready.has(index)) this.#ready.append(index);
    return DropReason.None;
  }

  /** An endpoint whose datagrams wait, or undefined. It comes again when a new one arrives: take all of them. */
  takeReady(): UdpEndpoint | undefined {
    const index = this.#ready.first;
    if (index < 0) return undefined;
    this.#ready.remove(index);
    return this.#endpoints[index];
  }

  /** The endpoint of a source, if there is one. Shape: four words. */
  find(remote: Uint32Array, remotePort: number): UdpEndpoint | undefined {
    const index = this.#demux.findPair(undefined, 0, remote, remotePort);
    return index === NO_ENDPOINT ? undefined : this.#endpoints[index];
  }

  #open(meta: PacketMeta): UdpEndpoint {
    if (this.#demux.count === this.#demux.capacity) {
      this.#metrics.add(Metric.UdpEvicted);
      this.close(this.#endpoints[this.#idle.first]!);
      this.#demux.findSource(meta);
    }
    const index = this.#demux.add();
    const endpoint = createEndpoint(index, meta, this.#output.mtu, this.#pool, this);
    this.#endpoints[index] = endpoint;
    this.#metrics.add(Metric.UdpOpened);
    return endpoint;
  }

  #touch(index: EndpointIndex, now: Micros): void {
    this.#lastActive[index] = now;
    this.#idle.append(index);
  }

  /** Sends an endpoint's source a datagram. */
  sendFrom(
    endpoint: UdpEndpoint,
    from: Uint32Array,
    fromPort: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    now: Micros,
  ): boolean {
    if (length > PAYLOAD_BYTES_MAX) return false;
    const slot = this.#output.acquire();
    if (slot === NO_SLOT) return false;
    const { version, remoteAddress, remotePort } = endpoint;
    const view = this.#output.view;
    const transportAt = this.#output.transportAt(slot, version);
    view.setUint16(transportAt, fromPort);
    view.setUint16(transportAt + 2, remotePort);
    view.setUint16(transportAt + 4, udp.HEADER_BYTES + length);
    copyBytes(bytes, at, this.#output.bytes, transportAt + udp.HEADER_BYTES, length);
    this.#touch(endpoint.index, now);
    this.#metrics.add(Metric.DatagramsOut);
    const whole = udp.HEADER_BYTES + length;
    return this.#output.emit(slot, version, from, remoteAddress, udp.PROTOCOL, whole, 0, endpoint.mtu, now);
  }

  /** Forgets an endpoint and what waits at it. */
  close(endpoint: UdpEndpoint): void {
    const index = endpoint.index;
    if (index < 0) return;
    endpoint.index = NO_ENDPOINT;
    endpoint.queue.release();
    this.#endpoints[index] = undefined;
    this.#demux.remove(index);
    this.#idle.remove(index);
    this.#ready.remove(index);
    if (this.onClosed !== undefined) this.onClosed(endpoint);
  }

  /** Closes endpoints that were idle for too long. */
  expire(now: Micros): void {
    for (let index = this.#idle.first; index >= 0; index = this.#idle.first) {
      if (this.#lastActive[index]! + this.#idleUs > now) return;
      this.#metrics.add(Metric.UdpExpired);
      this.close(this.#endpoints[index]!);
    }
  }

  /** When the next endpoint expires. */
  nextExpiry(): Micros {
    const index = this.#idle.first;
    return index < 0 ? NEVER : addMicros(this.#lastActive[index]! as Micros, this.#idleUs);
  }
}
