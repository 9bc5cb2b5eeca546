/** The whole path of a packet in memory: parse, classify, the flow's decision, the stack, an application; and what it leaves on the heap. */
import { CabledEngine } from "./cabled_engine.ts";
import { collect, cpuSeconds, heapBytes } from "./process_cost.ts";
import type { BenchRow } from "./row.ts";

const STEADY_PACKETS = 10_000_000;
/** Few enough that nothing is collected meanwhile. */
const FRESH_PACKETS = 30_000;
const ROUNDS = 5;
const CHUNK_BYTES = 65_536;

/** One connection that is kept busy both ways. */
class Busy {
  readonly cabled: CabledEngine;
  bytes = 0;
  readonly #ends;
  readonly #chunk = new Uint8Array(CHUNK_BYTES).map((_, i) => i);
  readonly #into = new Uint8Array(CHUNK_BYTES);

  constructor(cabled: CabledEngine) {
    this.cabled = cabled;
    const program = cabled.programs.connect(cabled.now);
    this.#ends = [program, cabled.accept(program)];
  }

  /** Carries at least so many packets. */
  carry(packets: number): void {
    const { cabled } = this;
    const end = cabled.packets + packets;
    while (cabled.packets < end) {
      for (let i = 0; i < 2; i++) {
        const connection = this.#ends[i]!;
        connection.send(this.#chunk, 0, CHUNK_BYTES, cabled.now);
        for (let read = 1; read > 0; this.bytes += read) {
          read = connection.receive(this.#into, 0, CHUNK_BYTES, cabled.now);
        }
      }
      cabled.step();
    }
  }
}

/** Bytes of new objects a packet, while nothing is collected: the least of several measurements, as timers of the runtime make objects too. */
function freshBytes(busy: Busy): number {
  let least = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    collect();
    const before = Deno.memoryUsage().heapUsed;
    const packets = busy.cabled.packets;
    busy.carry(FRESH_PACKETS);
    least = Math.min(least, (Deno.memoryUsage().heapUsed - before) / (busy.cabled.packets - packets));
  }
  return least;
}

/** Measures. */
export async function bench(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const mtu of [1_500, 9_000]) {
    const busy = new Busy(await CabledEngine.make(mtu));
    busy.carry(300_000);
    const what = `programs' stack, cable, engine and stack in memory, both ways at once, MTU ${mtu}`;
    const [bytes, packets] = [busy.bytes, busy.cabled.packets];
    const heap = heapBytes();
    const start = cpuSeconds();
    busy.carry(mtu === 1_500 ? STEADY_PACKETS : STEADY_PACKETS / 10);
    const seconds = cpuSeconds() - start;
    const growth = heapBytes() - heap;
    const carried = busy.cabled.packets - packets;
    const count = carried.toLocaleString("en-US");
    rows.push({ what, value: (busy.bytes - bytes) * 8 / seconds / 1e9, unit: "Gbit/s a core" });
    rows.push({ what: "the same", value: carried / seconds, unit: "packets/s" });
    rows.push({
      what: `heap growth over ${count} packets`,
      value: growth,
      unit: "bytes",
      aim: "≤ 1 a packet",
      met: growth <= carried,
    });
    rows.push({ what: "new objects of the same", value: freshBytes(busy), unit: "bytes/packet" });
  }
  return rows;
}
