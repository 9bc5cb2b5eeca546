/**
 * weir's speeder between a host of a virtual world and its link, as it stands between a system and its network card.
 *
 * ```
 *  host ──► HostSide ──► engine (divert, program net-speeder) ──► link
 *  host ◄── HostSide ◄── engine                               ◄── link
 * ```
 */
import type { Adapter, Capabilities } from "../../core/adapter/adapter.ts";
import { type Arena, Direction, NO_SLOT, type Slot } from "../../core/adapter/arena.ts";
import { WORLD_INBOX_PACKETS_MAX } from "../../core/base/limits.ts";
import type { Micros } from "../../core/base/micros.ts";
import { createSpeederEngine } from "../../core/cli/speeder_engine.ts";
import type { PacketProgram } from "../../core/decide/packet_program.ts";
import type { Engine } from "../../core/engine.ts";
import { LinkEnd, type Scheduler } from "../world/link.ts";

/** The device that the host sees: what it sends goes into the box. */
class HostSide extends LinkEnd {
  readonly #box: SpeederBox;

  constructor(mtu: number, box: SpeederBox) {
    super(mtu);
    this.#box = box;
  }

  override send(arena: Arena, slot: Slot, now: Micros): boolean {
    const at = arena.at(slot);
    return this.#box.take(arena.bytes.slice(at, at + arena.length[slot]!), now);
  }
}

/** A speeder in a virtual world, and what it sent onto the wire. */
export class SpeederBox implements Adapter {
  readonly capabilities: Capabilities;
  readonly engine: Engine;
  /** What the host's device is. */
  readonly hostSide: LinkEnd;
  /** What left on the link. Units: bytes of IP packets, packets. */
  wireBytes = 0;
  wirePackets = 0;
  readonly #link: LinkEnd;
  readonly #scheduler: Scheduler;
  readonly #outgoing: Uint8Array[] = [];
  #isPlanned = false;

  /** `link` is the host's end of its link. */
  constructor(link: LinkEnd, mtu: number, program: PacketProgram, scheduler: Scheduler, secret: number) {
    this.capabilities = { kind: "divert", mtu, batch: WORLD_INBOX_PACKETS_MAX, checksumsVouched: false };
    this.#link = link;
    this.#scheduler = scheduler;
    this.hostSide = new HostSide(mtu, this);
    link.onArrival = () => this.#plan();
    this.engine = createSpeederEngine(this, program, secret);
  }

  /** Takes a packet that the host sends; false when too many wait. */
  take(packet: Uint8Array, _now: Micros): boolean {
    if (this.#outgoing.length >= WORLD_INBOX_PACKETS_MAX) return false;
    this.#outgoing.push(packet);
    this.#plan();
    return true;
  }

  /** The engine runs after what the host is doing now. */
  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    this.#scheduler.schedule(this.#scheduler.now, (now) => {
      this.#isPlanned = false;
      this.engine.poll(now, WORLD_INBOX_PACKETS_MAX);
      if (this.#outgoing.length > 0 || this.#link.waiting > 0) this.#plan();
    });
  }

  receive(arena: Arena, now: Micros): number {
    const before = arena.arrivedCount;
    let count = this.#link.receive(arena, now);
    for (let i = before; i < arena.arrivedCount; i++) arena.direction[arena.arrivedAt(i)] = Direction.Inbound;
    while (this.#outgoing.length > 0) {
      const slot = arena.acquire();
      if (slot === NO_SLOT) break;
      const packet = this.#outgoing.shift()!;
      arena.bytes.set(packet, arena.at(slot));
      arena.length[slot] = packet.length;
      arena.wireLength[slot] = packet.length;
      arena.direction[slot] = Direction.Outbound;
      arena.arrive(slot);
      count++;
    }
    return count;
  }

  send(arena: Arena, slot: Slot, now: Micros): boolean {
    const at = arena.at(slot);
    const length = arena.length[slot]!;
    if (arena.direction[slot] === Direction.Inbound) {
      return this.hostSide.arrive(arena.bytes.slice(at, at + length), now);
    }
    this.wireBytes += length;
    this.wirePackets++;
    return this.#link.send(arena, slot, now);
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}
}
