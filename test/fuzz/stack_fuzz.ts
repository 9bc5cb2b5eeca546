/** Any bytes at a stack with listeners, waiting flows, connections and UDP sources: no throw, no growth, no amplification. */
import { STACK_CREDIT_BYTES } from "../../core/base/limits.ts";
import { micros } from "../../core/base/micros.ts";
import { Prng } from "../../core/base/prng.ts";
import { DROP_REASON_NAMES } from "../../core/parse/drop_reason.ts";
import { PacketMeta } from "../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../core/parse/parse.ts";
import type { PendingFlow } from "../../core/stack/pending_flow.ts";
import type { TcpConnection } from "../../core/stack/tcp/connection.ts";
import { ipv4Packet, ipv6Packet, tcpPacket, tcpSegment, udpPacket } from "../support/packets.ts";
import { Peer, StackWorld, SYN_OPTIONS } from "../support/stack_world.ts";

const SIX = { source: "2001:db8:0:0:0:0:0:1", destination: "2001:db8:0:0:0:0:0:2" };
const TIMESTAMPS = [1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0];
/** An ICMP error is so much longer than what it is about, at most. Units: bytes. */
const ICMP_OVERHEAD = 48;

/** Packets that a stack has something to say to, as seeds of worse ones. */
function seeds(peers: readonly Peer[]): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (const ends of [{}, SIX]) {
    for (const destinationPort of [80, 443]) {
      for (const flags of ["S", "A", "PA", "FA", "R", "RA", "SA", "FS", "U"]) {
        const tcpOptions = flags === "S" ? SYN_OPTIONS : TIMESTAMPS;
        found.push(tcpPacket({ ...ends, destinationPort, flags, tcpOptions, payload: flags === "PA" ? "data" : "" }));
      }
    }
    found.push(udpPacket({ ...ends, payload: "datagram" }));
    found.push(udpPacket({ ...ends, payload: "x".repeat(1_300) }));
  }
  for (const { choices, sequence, acknowledgment } of peers) {
    for (const flags of ["A", "PA", "FA", "R", "S"]) {
      const numbers = { ...choices, sequence, acknowledgment };
      found.push(tcpPacket({ ...numbers, flags, payload: flags === "PA" ? "0123456789" : "" }));
    }
    const quoted = [...ipv4Packet(tcpSegment({ sequence: acknowledgment - 5 }).slice(0, 8), { protocol: 6 })];
    found.push(ipv4Packet([3, 4, 0, 0, 0, 0, 5, 0, ...quoted], { protocol: 1 }));
    found.push(ipv4Packet([3, 3, 0, 0, 0, 0, 0, 0, ...quoted], { protocol: 1 }));
  }
  found.push(ipv4Packet([8, 0, 0, 0, 1, 2, 3, 4, 5, 6], { protocol: 1 }));
  found.push(ipv6Packet([128, 0, 0, 0, 1, 2, 3, 4, 5, 6], { ...SIX, protocol: 58 }));
  found.push(ipv4Packet(tcpSegment({ flags: "S" }), { protocol: 6, more: true, totalLength: 44 }));
  found.push(ipv4Packet(new Array(64).fill(1), { protocol: 17, offset: 64, more: true }));
  found.push(ipv6Packet([6, 0, 0, 1, 0, 0, 0, 5, ...tcpSegment({ flags: "S", payload: "xxxx" })], { protocol: 44 }));
  found.push(ipv6Packet([6, 0, 1, 4, 0, 0, 0, 0, ...tcpSegment({ flags: "S" })], { protocol: 0 }));
  found.push(ipv4Packet([1, 2, 3, 4, 5, 6, 7, 8], { protocol: 132 }));
  return found;
}

function mutate(seed: Uint8Array, prng: Prng): Uint8Array {
  if (prng.chance(1, 50)) return Uint8Array.from({ length: prng.below(120) }, () => prng.below(256));
  const packet = seed.slice(0, prng.chance(1, 10) ? prng.below(seed.length + 1) : seed.length);
  const count = prng.below(4);
  for (let i = 0; i < count && packet.length > 0; i++) {
    const at = prng.below(packet.length);
    packet[at] = prng.chance(1, 3) ? packet[at]! ^ (1 << prng.below(8)) : prng.below(256);
  }
  return packet;
}

/** What an owner may do with a waiting flow. */
function decide(pending: PendingFlow, prng: Prng, now: PendingFlow["startedAt"]): void {
  const choice = prng.below(5);
  if (choice === 0) pending.accept(now);
  else if (choice === 1) pending.refuse(now);
  else if (choice === 2) pending.unreachable(prng.below(6) as 0, now);
  else if (choice === 3) pending.ignore();
}

class StackFuzz {
  readonly world = new StackWorld({ connectionCountMax: 1_024, halfOpenCountMax: 256, udpEndpointCountMax: 256 });
  readonly prng: Prng;
  readonly peers: Peer[] = [];
  readonly connections: TcpConnection[] = [];
  readonly outcomes = new Map<string, number>();
  readonly #meta = new PacketMeta();
  readonly #into = new Uint8Array(4_096);

  constructor(seed: number) {
    this.prng = new Prng(seed);
    const { world, prng } = this;
    const listener = world.stack.listen(undefined, 80, 64)!;
    for (const [i, ends] of [{}, {}, SIX].entries()) {
      const peer = new Peer(world, { ...ends, destinationPort: 80, sourcePort: 100 + i });
      peer.send("S", "", { tcpOptions: SYN_OPTIONS });
      peer.acknowledgeSyn();
      this.peers.push(peer);
      this.connections.push(listener.accept()!);
    }
    world.stack.onFlow = (pending, now) => decide(pending, prng, now);
    world.bytesIn = 0;
    world.bytesOut = 0;
    world.keeps = false;
  }

  /** Gives the stack one packet whose checksums nobody looks at, so that most get through to it. */
  give(packet: Uint8Array): void {
    const { world } = this;
    const slot = world.arena.acquire();
    if (slot < 0) throw new Error("slots do not come back");
    world.arena.bytes.set(packet, world.arena.at(slot));
    world.arena.length[slot] = packet.length;
    world.arena.wireLength[slot] = packet.length;
    world.bytesIn += packet.length;
    let reason = parse(world.arena, slot, Verify.None, this.#meta);
    if (reason === 0) reason = world.stack.receive(slot, this.#meta, world.now);
    world.arena.release(slot);
    const name = DROP_REASON_NAMES[reason]!;
    this.outcomes.set(name, (this.outcomes.get(name) ?? 0) + 1);
  }

  /** Takes what arrived, as an application would. */
  drain(): void {
    const { stack } = this.world;
    for (let c = stack.takeReady(); c !== undefined; c = stack.takeReady()) {
      c.takeEvents();
      while (c.receive(this.#into, 0, this.#into.length, this.world.now) > 0);
      if (c.isPeerClosed) c.close(this.world.now);
    }
    for (let u = stack.takeReadyUdp(); u !== undefined; u = stack.takeReadyUdp()) u.queue.release();
  }
}

/** How a run went, all of it. Units: bytes and packets. */
export interface StackFuzzReport {
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly packetsOut: number;
  /** Packets by drop reason, "none" for those that were consumed. */
  readonly outcomes: ReadonlyMap<string, number>;
}

function check(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}

/**
 * Gives a stack `count` mutated packets: half of them while time stands still, so that every answer has its question, half with timers
 * running. `onPacket` is called before each. Errors: when an answer is longer than it may be, something grows beyond its bound, or something is left at the end.
 */
export function fuzzStack(seed: number, count: number, onPacket: () => void = () => {}): StackFuzzReport {
  const fuzz = new StackFuzz(seed);
  const { world, prng } = fuzz;
  const { stack } = world;
  const corpus = seeds(fuzz.peers);
  const draw = () => mutate(corpus[prng.below(corpus.length)]!, prng);
  const checkBytes = () => {
    check(world.bytesOut <= world.bytesIn + STACK_CREDIT_BYTES, "more was answered than asked, and than the allowance");
  };
  for (let i = 0; i < count / 2; i++) {
    onPacket();
    const packet = draw();
    const before = world.bytesOut;
    fuzz.give(packet);
    check(world.bytesOut - before <= packet.length + ICMP_OVERHEAD, `packet ${i} was answered with more than it is`);
    checkBytes();
    if (i % 64 === 0) fuzz.drain();
    world.now = micros(world.now + 20);
  }
  for (let i = 0; i < count / 2; i++) {
    fuzz.give(draw());
    if (i % 64 === 0) fuzz.drain();
    onPacket();
    world.pass(20_000);
    checkBytes();
    const isBounded = stack.connectionCount <= 1_024 && stack.halfOpenCount <= 256 && stack.udpCount <= 256;
    check(isBounded && stack.bufferedBytes < 64 << 20, `packet ${i} made something grow`);
  }
  fuzz.drain();
  world.pass(1_000_000_000);
  const left = [stack.pendingCount, stack.halfOpenCount, stack.udpCount];
  check(left.every((each) => each === 0), `left at the end: ${left}`);
  check(world.arena.freeCount === world.arena.slotCount, "slots are left behind");
  checkBytes();
  const { bytesIn, bytesOut, packetsOut } = world;
  return { bytesIn, bytesOut, packetsOut, outcomes: fuzz.outcomes };
}
