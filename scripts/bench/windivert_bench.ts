/**
 * What WinDivert's packets cost on our side of the driver: the driver here answers at once from memory, so that everything else is weir's.
 * The last rows tell what the derived filter saves: packets that no rule could touch do not come at all.
 */
import { Arena, NO_SLOT } from "../../core/adapter/arena.ts";
import { DIVERT_BATCH_PACKETS_MAX } from "../../core/base/limits.ts";
import { micros } from "../../core/base/micros.ts";
import { deriveDivertFilter } from "../../core/config/divert_filter.ts";
import { loadConfig, type WeirConfig } from "../../core/config/load.ts";
import { namePolicyOf, sniffOptionsOf } from "../../core/config/sniffing.ts";
import { Engine } from "../../core/engine.ts";
import { compileFilter } from "../../core/filter/mod.ts";
import { createQuicCrypto } from "../../core/host/quic_crypto.ts";
import { Verify } from "../../core/parse/parse.ts";
import { DivertAdapter } from "../../ffi/windivert/divert_adapter.ts";
import { DivertHandle } from "../../ffi/windivert/divert_handle.ts";
import { AddressBit, Layer, Size, STATUS_PENDING } from "../../ffi/windivert/layout.ts";
import type { DivertCalls } from "../../ffi/windivert/library.ts";
import { MemoryFiles } from "../../test/config/memory_files.ts";
import { tcpPacket } from "../../test/support/packets.ts";
import type { BenchRow } from "./row.ts";

const PACKET_BYTES = 1_500;
const SECONDS = 1;
const IO_PENDING = 997;
const RULES = 'rules: ["DST-PORT,25,REJECT", "MATCH,DIRECT"]';

/** A driver whose queue is never empty, and that is done with everything at once. */
class EndlessDriver {
  readonly #batch: number;
  readonly #packets: Uint8Array;
  readonly #addresses: Uint8Array;
  readonly #memory = new Map<number, Uint8Array>();
  #isShut = false;
  #event = 0;
  sent = 0;

  constructor(batch: number) {
    this.#batch = batch;
    const packet = tcpPacket({
      source: "192.0.2.1",
      destination: "198.51.100.2",
      payload: new Array(PACKET_BYTES - 40).fill(7),
    });
    this.#packets = new Uint8Array(batch * PACKET_BYTES);
    this.#addresses = new Uint8Array(batch * Size.WINDIVERT_ADDRESS);
    for (let i = 0; i < batch; i++) {
      this.#packets.set(packet, i * PACKET_BYTES);
      this.#addresses[i * Size.WINDIVERT_ADDRESS + 10] = AddressBit.Outbound;
    }
  }

  #at(place: number, length: number): Uint8Array {
    let bytes = this.#memory.get(place);
    if (bytes === undefined) {
      const pointer = Deno.UnsafePointer.create(BigInt(place))!;
      bytes = new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, length));
      this.#memory.set(place, bytes);
    }
    return bytes;
  }

  #finish(overlapped: number, length: number): number {
    const bytes = this.#at(overlapped, Size.OVERLAPPED);
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, 8);
    words[2] = length;
    words[0] = 0;
    return 0;
  }

  get calls(): DivertCalls {
    const divert = {
      WinDivertOpen: () => 4n,
      WinDivertSetParam: () => 1,
      WinDivertShutdown: () => {
        this.#isShut = true;
        return 1;
      },
      WinDivertClose: () => 1,
      WinDivertRecvEx: (...args: number[]) => {
        if (this.#isShut) return 0;
        this.#at(args[1]!, args[2]!).set(this.#packets);
        this.#at(args[5]!, DIVERT_BATCH_PACKETS_MAX * Size.WINDIVERT_ADDRESS).set(this.#addresses);
        const length = this.#at(args[6]!, 4);
        new DataView(length.buffer).setUint32(0, this.#batch * Size.WINDIVERT_ADDRESS, true);
        return this.#finish(args[7]!, this.#packets.length);
      },
      WinDivertSendEx: (...args: number[]) => {
        this.sent += args[6]! / Size.WINDIVERT_ADDRESS;
        return this.#finish(args[7]!, args[2]!);
      },
    };
    const kernel32 = {
      GetLastError: () => this.#isShut ? 232 : IO_PENDING,
      CreateEventW: () => BigInt(this.#event += 4),
      SetEvent: () => 1,
      ResetEvent: () => 1,
      CloseHandle: () => 1,
      WaitForSingleObject: () => 0,
      GetOverlappedResult: (_handle: number, place: number, transferred: Uint32Array) => {
        const bytes = this.#at(place, Size.OVERLAPPED);
        const words = new Uint32Array(bytes.buffer, bytes.byteOffset, 8);
        transferred[0] = words[2]!;
        return words[0] === STATUS_PENDING ? 0 : 1;
      },
    };
    return { divert, kernel32 } as unknown as DivertCalls;
  }
}

function openOver(driver: EndlessDriver): DivertAdapter {
  const handle = DivertHandle.open(driver.calls, { filter: "true", layer: Layer.Network, priority: 0, flags: 0 });
  return new DivertAdapter(handle, PACKET_BYTES);
}

/** Runs `turn` for a second. Shape: packets a second. */
async function rate(driver: EndlessDriver, turn: () => void): Promise<number> {
  const measure = async (seconds: number) => {
    const from = driver.sent;
    const start = performance.now();
    for (let now = start; now < start + seconds * 1000; now = performance.now()) {
      for (let i = 0; i < 32; i++) turn();
      await Promise.resolve();
    }
    return (driver.sent - from) / ((performance.now() - start) / 1000);
  };
  await measure(SECONDS / 2);
  return await measure(SECONDS);
}

async function adapterRow(batch: number): Promise<BenchRow> {
  const driver = new EndlessDriver(batch);
  const adapter = openOver(driver);
  const arena = new Arena();
  const now = micros(0);
  const value = await rate(driver, () => {
    adapter.receive(arena, now);
    for (let slot = arena.take(); slot !== NO_SLOT; slot = arena.take()) {
      adapter.send(arena, slot, now);
      arena.release(slot);
    }
  });
  adapter.close();
  return { what: `in and out unchanged, ${PACKET_BYTES} bytes, batches of ${batch}`, value, unit: "packets/s" };
}

async function engineRow(config: WeirConfig): Promise<BenchRow> {
  const driver = new EndlessDriver(DIVERT_BATCH_PACKETS_MAX);
  const adapter = openOver(driver);
  const engine = new Engine({
    adapter,
    decider: config.decider,
    classify: {
      type: "Tun",
      sniff: sniffOptionsOf(config.sniffer),
      names: namePolicyOf(config.sniffer),
      crypto: createQuicCrypto(),
      secret: 1,
    },
    verify: Verify.None,
    hasPolicy: false,
    observer: { flowStarted() {}, flowDecided() {}, flowEnded() {} },
  });
  let now = 1;
  const packets = await rate(driver, () => engine.poll(micros(now++), DIVERT_BATCH_PACKETS_MAX));
  adapter.close();
  return { what: "a packet of an untouched flow, without the derived filter", value: 1e6 / packets, unit: "µs" };
}

/** Measures. */
export async function bench(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const batch of [1, 32, DIVERT_BATCH_PACKETS_MAX]) rows.push(await adapterRow(batch));
  const { config } = await loadConfig("c.yaml", new MemoryFiles({ "c.yaml": RULES }));
  rows.push(await engineRow(config!));
  const start = performance.now();
  const { filter } = deriveDivertFilter(config!, { hasPolicy: false });
  rows.push({ what: "to derive a filter", value: performance.now() - start, unit: "ms" });
  const compiled = compileFilter(filter, "network");
  const packet = tcpPacket({ source: "192.0.2.1", destination: "198.51.100.2" });
  const address = { outbound: true };
  let taken = 0;
  const count = 2_000_000;
  for (let i = 0; i < 100_000; i++) if (compiled.matches(packet, address)) taken++;
  const from = performance.now();
  for (let i = 0; i < count; i++) if (compiled.matches(packet, address)) taken++;
  const value = (performance.now() - from) * 1000 / count;
  rows.push({
    what: `the same with it: the kernel's test of the filter, done here (${taken} taken)`,
    value,
    unit: "µs",
  });
  return rows;
}
