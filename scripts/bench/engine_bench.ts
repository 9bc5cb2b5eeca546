/** How many packets per second the pipeline carries: parse alone, parse and classify, the whole engine with a cached decision. */
import type { Adapter, Capabilities } from "../../core/adapter/adapter.ts";
import { Arena, NO_SLOT, type Slot } from "../../core/adapter/arena.ts";
import { type Micros, micros } from "../../core/base/micros.ts";
import { createSniffOptions } from "../../core/classify/sniffer.ts";
import { FlowTable } from "../../core/classify/flow_table.ts";
import type { Decider } from "../../core/decide/decider.ts";
import { loadConfig } from "../../core/config/load.ts";
import { Engine } from "../../core/engine.ts";
import { HostConfigFiles } from "../../core/host/config_files.ts";
import { createQuicCrypto } from "../../core/host/quic_crypto.ts";
import { PacketMeta } from "../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../core/parse/parse.ts";
import * as ipv4 from "../../core/wire/ipv4.ts";
import * as tcp from "../../core/wire/tcp.ts";
import type { BenchRow } from "./row.ts";

const PACKET_BYTES = 1500;
const FLOW_COUNT = 1000;
const ROUND_PACKETS = 500_000;
const ROUNDS = 5;
/** Few enough that nothing is collected meanwhile. */
const GROWTH_PACKETS = 64_000;

/** Writes a 1,500-byte TCP packet of one of `FLOW_COUNT` flows. */
function writePacket(view: DataView, at: number, flow: number): void {
  ipv4.emit(view, at, {
    tos: 0,
    totalLength: PACKET_BYTES,
    identification: 0,
    dontFragment: true,
    moreFragments: false,
    fragmentOffset: 0,
    timeToLive: 64,
    protocol: tcp.PROTOCOL,
    source: 0xc0000201,
    destination: (0xc6336400 + (flow & 255)) >>> 0,
  });
  tcp.emit(view, at + ipv4.HEADER_BYTES, {
    sourcePort: 20000 + flow,
    destinationPort: 443,
    sequence: 1,
    acknowledgment: 1,
    flags: tcp.ACK,
    window: 65535,
    urgentPointer: 0,
  });
}

/** Copies prepared packets into slots, one flow after the other, as a driver's ring would be copied out. */
class LoopAdapter implements Adapter {
  readonly capabilities: Capabilities = { kind: "divert", mtu: 65535, batch: 64, checksumsVouched: true };
  readonly #packets = new Uint8Array(FLOW_COUNT * PACKET_BYTES);
  readonly #views: Uint8Array[] = [];
  #next = 0;

  constructor() {
    const view = new DataView(this.#packets.buffer);
    for (let flow = 0; flow < FLOW_COUNT; flow++) {
      writePacket(view, flow * PACKET_BYTES, flow);
      this.#views.push(this.#packets.subarray(flow * PACKET_BYTES, (flow + 1) * PACKET_BYTES));
    }
  }

  receive(arena: Arena, _now: Micros): number {
    for (let i = 0; i < 64; i++) {
      const slot = arena.acquire();
      if (slot === NO_SLOT) return i;
      arena.bytes.set(this.#views[this.#next]!, arena.at(slot));
      this.#next = this.#next + 1 === FLOW_COUNT ? 0 : this.#next + 1;
      arena.length[slot] = PACKET_BYTES;
      arena.wireLength[slot] = PACKET_BYTES;
      arena.arrive(slot);
    }
    return 64;
  }

  send(_arena: Arena, _slot: Slot, _now: Micros): boolean {
    return true;
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}
}

function best(work: (packets: number) => void): number {
  let rate = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    work(ROUND_PACKETS);
    rate = Math.max(rate, ROUND_PACKETS / (performance.now() - start) * 1000);
  }
  return Math.round(rate);
}

function benchParse(verify: Verify): number {
  const arena = new Arena(64);
  const slots: Slot[] = [];
  for (let flow = 0; flow < 64; flow++) {
    const slot = arena.acquire();
    writePacket(arena.view, arena.at(slot), flow);
    arena.length[slot] = PACKET_BYTES;
    arena.wireLength[slot] = PACKET_BYTES;
    slots.push(slot);
  }
  const meta = new PacketMeta();
  return best((packets) => {
    for (let i = 0; i < packets; i++) parse(arena, slots[i & 63]!, verify, meta);
  });
}

function benchLookup(): number {
  const arena = new Arena(64);
  const table = new FlowTable(1);
  const meta = new PacketMeta();
  const slots: Slot[] = [];
  for (let flow = 0; flow < 64; flow++) {
    const slot = arena.acquire();
    writePacket(arena.view, arena.at(slot), flow * 15);
    arena.length[slot] = PACKET_BYTES;
    arena.wireLength[slot] = PACKET_BYTES;
    parse(arena, slot, Verify.None, meta);
    table.create(meta, false, micros(0));
    slots.push(slot);
  }
  return best((packets) => {
    for (let i = 0; i < packets; i++) {
      parse(arena, slots[i & 63]!, Verify.None, meta);
      table.touch(table.find(meta), micros(i));
    }
  });
}

/** An engine whose flows are all decided, and its growth of the heap. */
function benchEngine(decider: Decider): { rate: number; heapBytesPerPacket: number } {
  const engine = new Engine({
    adapter: new LoopAdapter(),
    decider,
    classify: {
      type: "Redir",
      sniff: { ...createSniffOptions(), enabled: false },
      names: { wantsSniff: () => false, prefersSniffed: () => false, accepts: () => true },
      crypto: createQuicCrypto(),
      secret: 1,
    },
    verify: Verify.None,
    hasPolicy: false,
    observer: { flowStarted: () => {}, flowDecided: () => {}, flowEnded: () => {} },
  });
  let now = 0;
  const carry = (packets: number) => {
    for (let i = 0; i < packets; i += 64) engine.poll(micros(now += 64), 64);
  };
  carry(ROUND_PACKETS);
  const rate = best(carry);
  return { rate, heapBytesPerPacket: heapGrowth(carry) };
}

/** Bytes of new objects a packet, while nothing is collected. Units: the least of five measurements; NaN without --expose-gc. */
function heapGrowth(carry: (packets: number) => void): number {
  const collect = (globalThis as { gc?: () => void }).gc;
  if (collect === undefined) return NaN;
  let least = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    collect();
    const before = Deno.memoryUsage().heapUsed;
    carry(GROWTH_PACKETS);
    least = Math.min(least, (Deno.memoryUsage().heapUsed - before) / GROWTH_PACKETS);
  }
  return least;
}

/** The data plane. Units: packets per second of 1,500 bytes on one core, best of five rounds. */
export async function bench(): Promise<BenchRow[]> {
  const { config } = await loadConfig(undefined, new HostConfigFiles());
  const { rate, heapBytesPerPacket } = benchEngine(config!.decider);
  const unit = "packets/s";
  return [
    { what: "parse, 1,500-byte packets", value: benchParse(Verify.None), unit },
    { what: "parse with checksums", value: benchParse(Verify.All), unit },
    { what: "parse and flow lookup", value: benchLookup(), unit },
    { what: "copy, parse, classify, cached decision, send", value: rate, unit, aim: "≥ 1,000,000", met: rate >= 1e6 },
    { what: "new objects of the same, polls of 64 packets", value: heapBytesPerPacket, unit: "bytes/packet" },
  ];
}
