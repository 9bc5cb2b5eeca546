/** Mutated packets through a whole engine: worlds of a few thousand packets, each with its own options, drawn from its seed. */
import type { Adapter, Capabilities } from "../../core/adapter/adapter.ts";
import { type Arena, Frame, NO_SLOT, type Slot } from "../../core/adapter/arena.ts";
import { parseIp } from "../../core/base/ip_address.ts";
import { PACKET_BYTES_MAX } from "../../core/base/limits.ts";
import { type Micros, micros } from "../../core/base/micros.ts";
import type { Prng } from "../../core/base/prng.ts";
import { createSniffOptions } from "../../core/classify/sniffer.ts";
import type { VerdictAction } from "../../core/decide/verdict.ts";
import { Engine } from "../../core/engine.ts";
import { createQuicCrypto } from "../../core/host/quic_crypto.ts";
import { Verify } from "../../core/parse/parse.ts";
import { ScriptedDecider } from "../support/engine_world.ts";
import { ipv4Packet, ipv6Packet, tcpPacket, udpDatagram, udpPacket } from "../support/packets.ts";
import { mutateBytes, pick } from "./mutate.ts";
import { duplicating } from "../support/programs.ts";

/** Packets that belong together, in order: a capture's, or a built conversation's. */
export type Conversation = readonly Uint8Array[];

class FuzzAdapter implements Adapter {
  readonly capabilities: Capabilities;
  readonly #prng: Prng;
  next: Uint8Array | undefined = undefined;

  constructor(kind: "tun" | "divert", prng: Prng) {
    this.capabilities = { kind, mtu: 1500, batch: 1, checksumsVouched: true };
    this.#prng = prng;
  }

  receive(arena: Arena): number {
    const packet = this.next;
    if (packet === undefined) return 0;
    const slot = arena.acquire();
    if (slot === NO_SLOT) return 0;
    this.next = undefined;
    arena.bytes.set(packet, arena.at(slot));
    arena.length[slot] = packet.length;
    arena.wireLength[slot] = packet.length + (this.#prng.chance(1, 20) ? this.#prng.below(2000) : 0);
    if (this.#prng.chance(1, 200)) arena.frame[slot] = this.#prng.chance(1, 2) ? Frame.NotIp : Frame.LinkTruncated;
    arena.arrive(slot);
    return 1;
  }

  send(arena: Arena, slot: Slot, _now: Micros): boolean {
    if (arena.length[slot]! > PACKET_BYTES_MAX) throw new Error("a packet that leaves is longer than any packet");
    return !this.#prng.chance(1, 50);
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}
}

/** Conversations made here, for those who have no captures. */
export function builtConversations(): Conversation[] {
  const http = "GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n";
  const back = { source: "198.51.100.2", destination: "192.0.2.1", destinationPort: 50000 };
  const six = { source: "2001:db8:0:0:0:0:0:1", destination: "2001:db8:0:0:0:0:0:2" };
  const stream = (port: number, ip: object, payload: string): Conversation => [
    tcpPacket({ ...ip, destinationPort: port, flags: "S", sequence: 0xffffffff }),
    tcpPacket({ ...back, sourcePort: port, flags: "SA", sequence: 900, acknowledgment: 0 }),
    ...[...payload].map((letter, i) =>
      tcpPacket({ ...ip, destinationPort: port, flags: "PA", sequence: i, acknowledgment: 901, payload: letter })
    ),
    tcpPacket({ ...back, sourcePort: port, flags: "FA", sequence: 901, acknowledgment: payload.length }),
    tcpPacket({ ...ip, destinationPort: port, flags: "FA", sequence: payload.length, acknowledgment: 902 }),
  ];
  const datagram = udpDatagram({ payload: "x".repeat(120) });
  const pieces = [0, 32, 64, 96].map((offset) =>
    ipv4Packet(datagram.slice(offset, offset + 32), { id: 7, offset, more: offset < 96 })
  );
  const sixPieces = [0, 32, 64, 96].map((offset) =>
    ipv6Packet([
      17,
      0,
      offset >> 8,
      (offset & 0xf8) | (offset < 96 ? 1 : 0),
      0,
      0,
      0,
      9,
      ...datagram.slice(offset, offset + 32),
    ], {
      ...six,
      protocol: 44,
    })
  );
  const dns = [
    0,
    1,
    0x81,
    0x80,
    0,
    1,
    0,
    1,
    0,
    0,
    0,
    0,
    1,
    97,
    0,
    0,
    1,
    0,
    1,
    0xc0,
    12,
    0,
    1,
    0,
    1,
    0,
    0,
    0,
    60,
    0,
    4,
    203,
    0,
    113,
    9,
  ];
  return [
    stream(80, {}, http),
    stream(443, six, "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03"),
    stream(1080, {}, "\x05\x01\x00\x05\x01\x00\x03\x09localhost\x00\x50"),
    stream(53, {}, "\x00\x23" + String.fromCharCode(...dns)),
    pieces,
    sixPieces,
    Array.from({ length: 40 }, () => udpPacket({ ...back, sourcePort: 53, payload: dns })),
    Array.from({ length: 200 }, (_, i) => tcpPacket({ flags: "S", sourcePort: 1024 + i })),
    Array.from(
      { length: 200 },
      (_, i) => ipv4Packet([1, 2, 3, 4, 5, 6, 7, 8], { id: i >> 2, offset: 8 + 16 * (i & 3), more: true }),
    ),
    Array.from({ length: 10 }, (_, i) => ipv4Packet([i, 0, 0, 0, 0, 0, 0, 0, 69, 0, 0, 20], { protocol: 1 })),
    Array.from({ length: 10 }, (_, i) => ipv6Packet([128 + i, 0, 0, 0, 0, 0, 0, 0], { ...six, protocol: 58 })),
  ];
}

/** What a world came to. */
export interface WorldReport {
  packets: number;
  flows: number;
  /** The longest that one packet took. Units: ms. */
  slowest: number;
  dropped: Record<string, number>;
}

const ACTIONS: readonly VerdictAction[] = ["direct", "proxy", "reject", "drop"];

/** One engine and the packets it is given; every step is checked. Errors: whatever the engine does wrong. */
export class FuzzWorld {
  /** The packets so far, for whoever wants to keep them. */
  readonly given: Uint8Array[] = [];
  readonly report: WorldReport = { packets: 0, flows: 0, slowest: 0, dropped: {} };
  readonly #prng: Prng;
  readonly #adapter: FuzzAdapter;
  readonly #decider = new ScriptedDecider();
  readonly #engine: Engine;
  readonly #clock: () => number;
  #now = 0;
  #ended = 0;

  /** `clock` measures how long a step takes. Units: ms. */
  constructor(prng: Prng, clock: () => number) {
    this.#prng = prng;
    this.#clock = clock;
    this.#adapter = new FuzzAdapter(prng.chance(1, 2) ? "tun" : "divert", prng);
    for (const need of ["name", "process", "resolve"] as const) {
      if (prng.chance(1, 2)) this.#decider.script.wants.push(need);
    }
    const sniffed = prng.chance(1, 2);
    this.#engine = new Engine({
      adapter: this.#adapter,
      decider: this.#decider,
      classify: {
        type: "Tun",
        sniff: createSniffOptions(),
        names: { wantsSniff: () => true, prefersSniffed: () => sniffed, accepts: () => true },
        crypto: createQuicCrypto(),
        secret: prng.uint32(),
      },
      verify: prng.chance(1, 5) ? Verify.All : Verify.None,
      hasPolicy: prng.chance(1, 3),
      observer: { flowStarted: () => this.report.flows++, flowDecided: () => {}, flowEnded: () => this.#ended++ },
    });
  }

  /** Lets one packet in, lets time go by, answers some of what the engine asks. */
  give(packet: Uint8Array): void {
    const engine = this.#engine;
    this.given.push(packet);
    this.report.packets++;
    this.#now += this.#prng.chance(1, 400) ? this.#prng.below(400_000_000) : this.#prng.below(20_000);
    if (this.#prng.chance(1, 8)) this.#decider.script.action = pick(this.#prng, ACTIONS);
    this.#adapter.next = packet;
    const start = this.#clock();
    engine.poll(micros(this.#now), 4);
    this.#answer(7, 8);
    this.report.slowest = Math.max(this.report.slowest, this.#clock() - start);
    this.#check();
    if (this.#adapter.next !== undefined) throw new Error("the arena had no room for a packet");
  }

  /** Ends the world: nothing may be left. */
  finish(): void {
    const engine = this.#engine;
    for (let round = 0; round < 4; round++) {
      engine.finish(micros(this.#now));
      this.#answer(1, 1);
    }
    engine.endFlows();
    this.#check();
    if (engine.counters.queued !== 0) throw new Error("packets are left behind");
    if (engine.arena.freeCount !== engine.arena.slotCount) throw new Error("slots are left behind");
    if (engine.classifier.table.count !== 0 || this.#ended !== this.report.flows) {
      throw new Error("flows are left behind");
    }
    this.report.dropped = engine.counters.droppedByName();
  }

  #answer(numerator: number, denominator: number): void {
    const engine = this.#engine;
    for (let round = 0; engine.commands.length > 0; round++) {
      if (round > 4000) throw new Error("the engine asks without end");
      const { kind, flow } = engine.commands.shift()!;
      if (!this.#prng.chance(numerator, denominator)) continue;
      const now = micros(this.#now);
      if (kind === "findProcess") engine.handle({ kind: "processFound", flow, owner: undefined, costUs: 0 }, now);
      else if (kind === "askPolicy") engine.handle({ kind: "policyAnswered", flow, verdict: this.#verdict() }, now);
      else engine.handle({ kind: "resolved", flow, addresses: [parseIp("203.0.113.5")!], costUs: 1 }, now);
    }
  }

  #verdict() {
    const via = this.#prng.chance(1, 2) ? "nowhere" : undefined;
    return this.#prng.chance(1, 2) ? undefined : { via, effects: { program: duplicating(this.#prng.between(1, 9)) } };
  }

  #check(): void {
    const { counters, arena } = this.#engine;
    if (!counters.lawHolds()) throw new Error("the conservation law is broken");
    if (counters.queued !== arena.slotCount - arena.freeCount) throw new Error("slots held and packets queued differ");
  }
}

/** Gives a world `count` packets from a few conversations at a time, in order but for some, whole but for some. */
export function runWorld(world: FuzzWorld, prng: Prng, conversations: readonly Conversation[], count: number): void {
  const live = Array.from({ length: prng.between(1, 4) }, () => ({ list: pick(prng, conversations), at: 0 }));
  const damage = prng.between(1, 8);
  for (let i = 0; i < count; i++) {
    const turn = pick(prng, live);
    if (turn.at >= turn.list.length) {
      turn.list = pick(prng, conversations);
      turn.at = prng.chance(1, 4) ? prng.below(turn.list.length) : 0;
    }
    const at = prng.chance(1, 10) ? prng.below(turn.list.length) : turn.at++;
    const packet = turn.list[at]!;
    const isWhole = prng.chance(damage, 10);
    world.give(isWhole ? packet : mutateBytes(prng, packet, pick(prng, turn.list), PACKET_BYTES_MAX));
  }
  world.finish();
}
