/** A whole engine and, at the other end of a cable in memory, a stack that plays the programs of the host. */
import type { Adapter, Capabilities } from "../../core/adapter/adapter.ts";
import { Arena, NO_SLOT, type Slot } from "../../core/adapter/arena.ts";
import { createPacketMemory } from "../../core/adapter/packet_memory.ts";
import { ARENA_SLOT_COUNT } from "../../core/base/limits.ts";
import { type Micros, micros } from "../../core/base/micros.ts";
import { Prng } from "../../core/base/prng.ts";
import { loadConfig } from "../../core/config/load.ts";
import type { ClassifierOptions } from "../../core/classify/classifier.ts";
import { createSniffOptions } from "../../core/classify/sniffer.ts";
import { Engine, type EngineOptions } from "../../core/engine.ts";
import { HostConfigFiles } from "../../core/host/config_files.ts";
import { createQuicCrypto } from "../../core/host/quic_crypto.ts";
import { DropReason } from "../../core/parse/drop_reason.ts";
import { PacketMeta } from "../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../core/parse/parse.ts";
import { Stack } from "../../core/stack/stack.ts";
import type { TcpConnection } from "../../core/stack/tcp/connection.ts";

/** Packets that one end hands over at once. */
const BATCH = 64;

/** Both ends of a cable over one arena: a packet that is sent is copied once, as a device would. */
export class Cable implements Adapter {
  readonly capabilities: Capabilities;
  readonly arena: Arena;
  /** Packets that went over it. */
  packets = 0;
  readonly #queue: Int32Array;
  #head = 0;
  #count = 0;

  constructor(arena: Arena, mtu: number) {
    this.arena = arena;
    this.capabilities = { kind: "tun", mtu, batch: BATCH, checksumsVouched: false };
    this.#queue = new Int32Array(arena.slotCount);
  }

  /** Packets under way. */
  get count(): number {
    return this.#count;
  }

  /** Takes the first packet, or `NO_SLOT`. */
  take(): Slot {
    if (this.#count === 0) return NO_SLOT;
    const slot = this.#queue[this.#head]!;
    this.#head = (this.#head + 1) % this.#queue.length;
    this.#count--;
    return slot;
  }

  receive(arena: Arena, _now: Micros): number {
    let count = 0;
    for (; count < BATCH && this.#count > 0; count++) arena.arrive(this.take());
    return count;
  }

  send(arena: Arena, slot: Slot, _now: Micros): boolean {
    const copy = arena.acquire();
    if (copy === NO_SLOT) return false;
    const from = arena.at(slot);
    arena.bytes.copyWithin(arena.at(copy), from, from + arena.length[slot]!);
    arena.length[copy] = arena.length[slot]!;
    arena.wireLength[copy] = arena.length[slot]!;
    this.#queue[(this.#head + this.#count) % this.#queue.length] = copy;
    this.#count++;
    this.packets++;
    return true;
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}
}

/** How flows are classified here: nobody waits for names. */
export function createClassify(): ClassifierOptions {
  return {
    type: "Tun",
    sniff: { ...createSniffOptions(), enabled: false },
    names: { wantsSniff: () => false, prefersSniffed: () => false, accepts: () => true },
    crypto: createQuicCrypto(),
    secret: 1,
  };
}

/** Hears nothing. */
export const NO_OBSERVER: EngineOptions["observer"] = {
  flowStarted: () => {},
  flowDecided: () => {},
  flowEnded: () => {},
};

/** The programs' side of a cable. */
export class Programs {
  readonly stack: Stack;
  readonly #arrives: Cable;
  readonly #meta = new PacketMeta();
  #port = 1_024;
  #host = 0x0a000000;

  /** What arrives comes by one cable, what is sent goes by another. */
  constructor(arena: Arena, arrives: Cable, leaves: Cable) {
    this.stack = new Stack(
      { mtu: leaves.capabilities.mtu, tcp: { batchAckSegmentsMax: 44 } },
      new Prng(3),
      arena,
      leaves,
    );
    this.#arrives = arrives;
  }

  /** Opens a connection to port 443 somewhere. */
  connect(now: Micros): TcpConnection {
    if (this.#port === 65_535) this.#host++;
    this.#port = this.#port === 65_535 ? 1_024 : this.#port + 1;
    const local = new Uint32Array([0, 0, 0xffff, this.#host]);
    const remote = new Uint32Array([0, 0, 0xffff, 0xc6336401]);
    return this.stack.connect(4, local, this.#port, remote, 443, now)!;
  }

  /** Takes in what arrived; returns how many packets. */
  poll(now: Micros): number {
    const { arena } = this.#arrives;
    let count = 0;
    for (let slot = this.#arrives.take(); slot !== NO_SLOT; slot = this.#arrives.take(), count++) {
      if (parse(arena, slot, Verify.All, this.#meta) === DropReason.None) this.stack.receive(slot, this.#meta, now);
      arena.release(slot);
    }
    this.stack.poll(now);
    return count;
  }
}

/** The programs, the cables and an engine that finds every flow's far side at once. Everything happens within `step`. */
export class CabledEngine {
  readonly arena: Arena = new Arena(ARENA_SLOT_COUNT, createPacketMemory(ARENA_SLOT_COUNT));
  readonly engine: Engine;
  readonly programs: Programs;
  readonly #in: Cable;
  readonly #out: Cable;
  now: Micros = micros(1_000_000);

  private constructor(decider: EngineOptions["decider"], mtu: number) {
    this.#in = new Cable(this.arena, mtu);
    this.#out = new Cable(this.arena, mtu);
    const prng = new Prng(4);
    this.engine = new Engine({
      adapter: joined(this.#in, this.#out),
      arena: this.arena,
      decider,
      classify: createClassify(),
      verify: Verify.All,
      hasPolicy: false,
      observer: NO_OBSERVER,
      stack: { env: { uint32: () => prng.uint32() } },
    });
    this.programs = new Programs(this.arena, this.#out, this.#in);
  }

  /** With the rules of an empty configuration. */
  static async make(mtu: number): Promise<CabledEngine> {
    const { config } = await loadConfig(undefined, new HostConfigFiles());
    return new CabledEngine(config!.decider, mtu);
  }

  /** Packets that went both ways. */
  get packets(): number {
    return this.#in.packets + this.#out.packets;
  }

  /** Lets 50 µs pass and both sides do what there is to do. */
  step(): void {
    const now = micros(this.now + 50);
    this.now = now;
    this.engine.poll(now, BATCH);
    for (let command = this.engine.commands.shift(); command !== undefined; command = this.engine.commands.shift()) {
      if (command.kind === "dial") this.engine.handle({ kind: "dialed", flow: command.flow }, now);
    }
    this.programs.poll(now);
  }

  /** The engine's end of a program's connection that has just been opened. */
  accept(connection: TcpConnection): TcpConnection {
    for (let i = 0; i < 10; i++) this.step();
    const stack = this.engine.stack!;
    for (let ready = stack.takeReady(); ready !== undefined; ready = stack.takeReady()) {
      if (ready.remotePort === connection.localPort) return ready;
    }
    throw new Error("Cannot measure: the connection was not accepted");
  }
}

/** The engine's end: one cable brings, the other takes. */
export function joined(arrives: Cable, leaves: Cable): Adapter {
  return {
    capabilities: arrives.capabilities,
    receive: (arena, now) => arrives.receive(arena, now),
    send: (arena, slot, now) => leaves.send(arena, slot, now),
    ready: () => Promise.resolve(),
    close: () => {},
  };
}
