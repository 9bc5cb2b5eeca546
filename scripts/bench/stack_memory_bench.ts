/** Two TCP connections back to back in memory: what the state machine, its copies and its checksums cost. */
import { BufferPool } from "../../core/base/byte_ring.ts";
import { type Micros, micros } from "../../core/base/micros.ts";
import { Arena, type Slot } from "../../core/adapter/arena.ts";
import { createPacketMemory } from "../../core/adapter/packet_memory.ts";
import { BUFFER_POOL_KEPT_BYTES_MAX } from "../../core/base/limits.ts";
import { PacketMeta } from "../../core/parse/packet_meta.ts";
import { parsePacket, Verify } from "../../core/parse/parse.ts";
import { TcpConnection } from "../../core/stack/tcp/connection.ts";
import type { ConnectionHost, ConnectionIdentity, SegmentOutput } from "../../core/stack/tcp/segment_output.ts";
import { SynFacts } from "../../core/stack/tcp/syn_facts.ts";
import { DEFAULT_TCP_OPTIONS, type TcpOptions } from "../../core/stack/tcp/tcp_options.ts";
import { addBytes, checksum, finishSum, pseudoSum4 } from "../../core/wire/checksum.ts";
import { cpuSeconds, heapBytes } from "./process_cost.ts";
import type { BenchRow } from "./row.ts";

const LOCAL = [0, 0, 0xffff, 0x0a000001];
const REMOTE = [0, 0, 0xffff, 0x0a000002];
const IP_BYTES = 20;
/** The memory of live devices, used by one measurement after the other. */
const PACKETS = createPacketMemory(1_024);
const QUEUE_SLOTS = 1_024;
/** Packets that one end makes before the other looks: what an adapter hands over at once. */
const BATCH = 16;

/** One end: builds whole IPv4 packets in the shared arena and queues them for the other end. */
class End implements SegmentOutput, ConnectionHost {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly segmentBytesMax = 0;
  readonly queue = new Int32Array(QUEUE_SLOTS);
  readonly buffers: BufferPool;
  readonly meta = new PacketMeta();
  readonly arena: Arena;
  head = 0;
  count = 0;
  packets = 0;
  #seed = 1;

  constructor(arena: Arena) {
    this.arena = arena;
    this.buffers = new BufferPool(BUFFER_POOL_KEPT_BYTES_MAX, arena.rings);
    this.bytes = arena.bytes;
    this.view = arena.view;
  }

  acquire(): Slot {
    return this.arena.acquire();
  }
  transportAt(slot: Slot): number {
    return this.arena.at(slot) + IP_BYTES;
  }
  send(slot: Slot, connection: ConnectionIdentity, length: number, ecn: number): void {
    const at = this.arena.at(slot);
    const view = this.view;
    view.setUint16(at, 0x4500 | ecn);
    view.setUint16(at + 2, IP_BYTES + length);
    view.setUint32(at + 4, 0x4000);
    view.setUint16(at + 8, 0x4006);
    view.setUint16(at + 10, 0);
    view.setUint32(at + 12, connection.localAddress[3]!);
    view.setUint32(at + 16, connection.remoteAddress[3]!);
    view.setUint16(at + 10, checksum(view, at, IP_BYTES));
    const sum = addBytes(pseudoSum4(view, at, 6, length), view, at + IP_BYTES, length);
    view.setUint16(at + IP_BYTES + 16, finishSum(sum));
    this.arena.length[slot] = IP_BYTES + length;
    this.queue[(this.head + this.count) % QUEUE_SLOTS] = slot;
    this.count++;
    this.packets++;
  }
  eventsChanged(): void {}
  deadlineChanged(): void {}
  timeWait(): void {}
  closed(): void {}
  uint32(): number {
    this.#seed = (Math.imul(this.#seed, 1664525) + 1013904223) >>> 0;
    return this.#seed;
  }
  initialSequence(): number {
    return this.uint32();
  }
  pathMtu(): number {
    return 0;
  }

  /** Hands every queued packet to `to`; returns how many. */
  deliver(to: TcpConnection, host: End, now: Micros): number {
    const count = this.count;
    for (let i = 0; i < count; i++) {
      const slot = this.queue[this.head]!;
      this.head = (this.head + 1) % QUEUE_SLOTS;
      this.count--;
      const at = this.arena.at(slot);
      const length = this.arena.length[slot]!;
      if (parsePacket(this.view, at, length, length, Verify.All, host.meta) !== 0) throw new Error("a bad packet");
      if (to.state === 0) {
        const facts = new SynFacts();
        facts.read(this.view, host.meta);
        to.openPassive(facts, now);
      } else to.segment(this.view, host.meta, this.view.getUint8(at + 1) & 3, 0, now);
      this.arena.release(slot);
    }
    return count;
  }
}

function createPair(arena: Arena, a: End, b: End, options: Partial<TcpOptions>): [TcpConnection, TcpConnection] {
  arena.view.setUint8(0, 0);
  const all = { ...DEFAULT_TCP_OPTIONS, ...options };
  return [
    new TcpConnection(a, a, 4, LOCAL, 1000, REMOTE, 2000, all),
    new TcpConnection(b, b, 4, REMOTE, 2000, LOCAL, 1000, all),
  ];
}

/** Moves `total` bytes one way; returns seconds, packets and heap growth. */
function transfer(mss: number, total: number): { seconds: number; packets: number; growth: number } {
  const arena = new Arena(1024, PACKETS);
  const a = new End(arena);
  const b = new End(arena);
  const [from, to] = createPair(arena, a, b, { mss, sendBufferBytes: 1 << 20, receiveBufferBytes: 1 << 20 });
  let now = micros(1_000_000);
  from.openActive(now);
  const chunk = new Uint8Array(65_536).map((_, i) => i);
  const into = new Uint8Array(65_536);
  let written = 0;
  let read = 0;
  const step = () => {
    while (written < total) {
      const wanted = total - written < chunk.length ? total - written : chunk.length;
      const count = from.send(chunk, 0, wanted, now);
      if (count <= 0) break;
      written += count;
      if (a.count >= BATCH) break;
    }
    a.deliver(to, b, now);
    for (let count = to.receive(into, 0, into.length, now); count > 0;) {
      read += count;
      count = to.receive(into, 0, into.length, now);
    }
    b.deliver(from, a, now);
    now = micros(now + 50);
    if (from.deadline <= now) from.timer(now);
    if (to.deadline <= now) to.timer(now);
  };
  while (read < Math.min(total / 4, 1e8)) step(); // warm
  const base = heapBytes();
  const before = read;
  const packets = a.packets + b.packets;
  const start = cpuSeconds();
  while (read < total) step();
  const seconds = cpuSeconds() - start;
  const moved = (read - before) / total;
  return { seconds: seconds / moved, packets: a.packets + b.packets - packets, growth: heapBytes() - base };
}

/** Opens and closes connections one after another; returns how many in a second of processor time. */
function connectionRate(count: number): number {
  const arena = new Arena(64);
  let now = micros(1_000_000);
  const a = new End(arena);
  const b = new End(arena);
  const request = new Uint8Array(100);
  const into = new Uint8Array(1000);
  const start = cpuSeconds();
  for (let i = 0; i < count; i++) {
    const [client, server] = createPair(arena, a, b, {});
    client.openActive(now);
    while (a.deliver(server, b, now) + b.deliver(client, a, now) > 0);
    client.send(request, 0, 100, now);
    while (a.deliver(server, b, now) + b.deliver(client, a, now) > 0);
    server.receive(into, 0, 1000, now);
    server.send(into, 0, 1000, now);
    server.close(now);
    while (b.deliver(client, a, now) + a.deliver(server, b, now) > 0);
    client.receive(into, 0, 1000, now);
    client.close(now);
    while (a.deliver(server, b, now) + b.deliver(client, a, now) > 0);
    now = micros(now + 100);
  }
  return count / (cpuSeconds() - start);
}

/** Heap of one end of an established connection that carried something and is silent now. Units: bytes. */
function idleBytes(count: number): number {
  const arena = new Arena(64);
  const now = micros(1_000_000);
  const a = new End(arena);
  const b = new End(arena);
  const options: TcpOptions = { ...DEFAULT_TCP_OPTIONS };
  const kept: TcpConnection[] = [];
  const into = new Uint8Array(1000);
  const open = () => {
    const client = new TcpConnection(a, a, 4, LOCAL, 1000, REMOTE, 2000, options);
    const server = new TcpConnection(b, b, 4, REMOTE, 2000, LOCAL, 1000, options);
    client.openActive(now);
    while (a.deliver(server, b, now) + b.deliver(client, a, now) > 0);
    client.send(into, 0, 500, now);
    while (a.deliver(server, b, now) + b.deliver(client, a, now) > 0);
    server.receive(into, 0, 1000, now);
    kept.push(client, server);
  };
  for (let i = 0; i < 100; i++) open();
  const base = heapBytes();
  for (let i = 0; i < count; i++) open();
  return (heapBytes() - base) / (2 * count);
}

/** Measures. */
export function bench(): BenchRow[] {
  const rows: BenchRow[] = [];
  for (const mss of [1460, 8960]) {
    const total = mss === 1460 ? 400e6 : 1600e6;
    const { seconds, packets, growth } = transfer(mss, total);
    const rate = total * 8 / seconds / 1e9;
    const what = `TCP in memory, both ends, checksums made and verified, MTU ${mss + 40}`;
    rows.push({
      what,
      value: rate,
      unit: "Gbit/s a core",
      ...(mss === 8960 ? { aim: "≥ 10", met: rate >= 10 } : {}),
    });
    rows.push({
      what: `${what}, heap growth`,
      value: growth / packets,
      unit: "bytes/packet",
      aim: "≤ 1",
      met: growth / packets <= 1,
    });
  }
  connectionRate(2_000);
  const opened = connectionRate(20_000);
  rows.push({
    what: "TCP connections opened, used and closed, in memory",
    value: opened,
    unit: "1/s",
    aim: "≥ 20,000",
    met: opened >= 20_000,
  });
  const idle = idleBytes(5_000);
  rows.push({
    what: "memory of an idle TCP connection",
    value: idle,
    unit: "bytes",
    aim: "≤ 4,096",
    met: idle <= 4_096,
  });
  return rows;
}
