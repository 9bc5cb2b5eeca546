/** Links of a virtual world: two directions, each with a rate, a queue, a delay and faults; each end is an adapter. */
import type { Adapter, Capabilities } from "../../core/adapter/adapter.ts";
import { type Arena, NO_SLOT, type Slot } from "../../core/adapter/arena.ts";
import { type FaultOptions, FaultPlan, NO_FAULTS, PPM } from "../../core/adapter/fault_plan.ts";
import { WORLD_INBOX_PACKETS_MAX } from "../../core/base/limits.ts";
import { addMicros, type Micros, micros } from "../../core/base/micros.ts";
import type { Prng } from "../../core/base/prng.ts";
import { markCongestion, tooBigAnswer } from "./path_messages.ts";
import { cutPacket } from "./router_fragments.ts";

/** Plans what happens later. */
export interface Scheduler {
  readonly now: Micros;
  schedule(at: Micros, run: (now: Micros) => void): void;
}

/** What one direction of a link is like. Units: in the names; `faults.delayUs` is the link's own delay. */
export interface ChannelOptions {
  /** 0 takes no time for any packet. Units: bits per second. */
  readonly rateBps: number;
  /** Packets that wait for the line; the last one that comes is dropped. */
  readonly queuePacketsMax: number;
  /** Largest IP packet. Units: bytes. */
  readonly mtu: number;
  /** Says "packet too big" by ICMP; false swallows such packets, like a badly run firewall. */
  readonly answersTooBig: boolean;
  /** Odds that a packet that allows it is marked instead of queued quietly. Source: RFC 3168. */
  readonly markPpm: number;
  readonly faults: FaultOptions;
}

/** A fast, perfect link. */
export const PERFECT_CHANNEL: ChannelOptions = {
  rateBps: 0,
  queuePacketsMax: 1_000,
  mtu: 1_500,
  answersTooBig: true,
  markPpm: 0,
  faults: NO_FAULTS,
};

/** Where every packet ends: offered + duplicated = delivered + lost + overflowed + tooBig + cut + underWay. Units: packets. */
export interface ChannelCounts {
  /** Of a packet that was too long and came through in pieces, each piece. */
  offered: number;
  /** Packets that were too long and came through in pieces. */
  inPieces: number;
  duplicated: number;
  delivered: number;
  lost: number;
  /** The queue, or the inbox at the far end, was full. */
  overflowed: number;
  tooBig: number;
  /** Sent into a partition. */
  cut: number;
  underWay: number;
  corrupted: number;
  marked: number;
}

/** One direction of a link. */
export class Channel {
  options: ChannelOptions;
  /** False while the link is cut. */
  isUp = true;
  readonly counts: ChannelCounts = {
    offered: 0,
    inPieces: 0,
    duplicated: 0,
    delivered: 0,
    lost: 0,
    overflowed: 0,
    tooBig: 0,
    cut: 0,
    underWay: 0,
    corrupted: 0,
    marked: 0,
  };
  readonly #scheduler: Scheduler;
  readonly #prng: Prng;
  readonly #plan: FaultPlan;
  /** The far end's inbox; false when it is full. */
  readonly #arrive: (packet: Uint8Array, now: Micros) => boolean;
  /** Back to the sender. */
  readonly #answer: (packet: Uint8Array, now: Micros) => void;
  #lineFreeAt: Micros = micros(0);
  #queued = 0;

  constructor(
    options: ChannelOptions,
    scheduler: Scheduler,
    prng: Prng,
    arrive: (packet: Uint8Array, now: Micros) => boolean,
    answer: (packet: Uint8Array, now: Micros) => void,
  ) {
    this.options = options;
    this.#scheduler = scheduler;
    this.#prng = prng.fork("marks");
    this.#plan = new FaultPlan(options.faults, prng.fork("faults"));
    this.#arrive = arrive;
    this.#answer = answer;
  }

  /** Changes what the direction is like from now on; packets under way keep their fate. */
  change(options: Partial<ChannelOptions>): void {
    this.options = { ...this.options, ...options };
    this.#plan.options = this.options.faults;
  }

  /** Sends a packet, which is the channel's from now on. */
  send(packet: Uint8Array, now: Micros): void {
    const { counts, options } = this;
    const plan = this.#plan;
    counts.offered++;
    if (!this.isUp) return void counts.cut++;
    if (packet.length > options.mtu) {
      const pieces = cutPacket(packet, options.mtu);
      if (pieces !== undefined) {
        counts.offered--;
        counts.inPieces++;
        for (const piece of pieces) this.send(piece, now);
        return;
      }
      counts.tooBig++;
      const answer = options.answersTooBig ? tooBigAnswer(packet, options.mtu) : undefined;
      if (answer !== undefined) this.#answer(answer, now);
      return;
    }
    plan.draw();
    if (plan.isLost) return void counts.lost++;
    if (this.#queued >= options.queuePacketsMax) return void counts.overflowed++;
    if (options.markPpm > 0 && this.#prng.chance(options.markPpm, PPM) && markCongestion(packet)) counts.marked++;
    const leavesAt = this.#occupyLine(packet.length, now);
    if (plan.isDuplicated) {
      counts.duplicated++;
      this.#carry(packet.slice(), plan.due(leavesAt));
    }
    if (plan.isCorrupted) {
      counts.corrupted++;
      plan.corrupt(packet, 0, packet.length);
    }
    this.#carry(packet, plan.due(leavesAt));
  }

  /** Waits in the queue for the packets before, then takes its time on the line. */
  #occupyLine(length: number, now: Micros): Micros {
    const rate = this.options.rateBps;
    if (rate === 0) return now;
    const begins = this.#lineFreeAt > now ? this.#lineFreeAt : now;
    this.#lineFreeAt = addMicros(begins, Math.ceil(length * 8_000_000 / rate));
    this.#queued++;
    this.#scheduler.schedule(this.#lineFreeAt, () => void this.#queued--);
    return this.#lineFreeAt;
  }

  #carry(packet: Uint8Array, due: Micros): void {
    this.counts.underWay++;
    this.#scheduler.schedule(due, (now) => {
      this.counts.underWay--;
      if (this.#arrive(packet, now)) this.counts.delivered++;
      else this.counts.overflowed++;
    });
  }

  /** True when no packet vanished and none ended twice. */
  lawHolds(): boolean {
    const { offered, duplicated, delivered, lost, overflowed, tooBig, cut, underWay } = this.counts;
    return underWay >= 0 && offered + duplicated === delivered + lost + overflowed + tooBig + cut + underWay;
  }
}

/** One end of a link, as a device. */
export class LinkEnd implements Adapter {
  readonly capabilities: Capabilities;
  /** Called when a packet came into the inbox: whoever owns the device wants to receive now. */
  onArrival: (now: Micros) => void = () => {};
  readonly #inbox: Uint8Array[] = [];
  #channel: Channel | undefined = undefined;

  constructor(mtu: number) {
    this.capabilities = { kind: "tun", mtu, batch: WORLD_INBOX_PACKETS_MAX, checksumsVouched: false };
  }

  /** The direction that leads away from here. */
  get channel(): Channel {
    if (this.#channel === undefined) throw new TypeError("Cannot use a link's end: it is not connected");
    return this.#channel;
  }

  /** Packets that wait to be received. */
  get waiting(): number {
    return this.#inbox.length;
  }

  /** Joins the end to the direction that leads away from it. */
  connect(channel: Channel): void {
    this.#channel = channel;
  }

  /** Puts a packet into the inbox; false when it is full. */
  arrive(packet: Uint8Array, now: Micros): boolean {
    if (this.#inbox.length >= WORLD_INBOX_PACKETS_MAX) return false;
    this.#inbox.push(packet);
    this.onArrival(now);
    return true;
  }

  receive(arena: Arena, _now: Micros): number {
    let count = 0;
    while (this.#inbox.length > 0) {
      const slot = arena.acquire();
      if (slot === NO_SLOT) break;
      const packet = this.#inbox.shift()!;
      arena.bytes.set(packet, arena.at(slot));
      arena.length[slot] = packet.length;
      arena.wireLength[slot] = packet.length;
      arena.arrive(slot);
      count++;
    }
    return count;
  }

  send(arena: Arena, slot: Slot, now: Micros): boolean {
    const at = arena.at(slot);
    this.channel.send(arena.bytes.slice(at, at + arena.length[slot]!), now);
    return true;
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.#inbox.length = 0;
  }
}

/** Two ends and the two directions between them. */
export class Link {
  readonly a: LinkEnd;
  readonly b: LinkEnd;
  readonly aToB: Channel;
  readonly bToA: Channel;

  constructor(forth: ChannelOptions, back: ChannelOptions, deviceMtu: number, scheduler: Scheduler, prng: Prng) {
    const a = new LinkEnd(deviceMtu);
    const b = new LinkEnd(deviceMtu);
    this.a = a;
    this.b = b;
    const soon = (end: LinkEnd) => (packet: Uint8Array, now: Micros) =>
      scheduler.schedule(now, (at) => void end.arrive(packet, at));
    this.aToB = new Channel(forth, scheduler, prng.fork("a-b"), (packet, now) => b.arrive(packet, now), soon(a));
    this.bToA = new Channel(back, scheduler, prng.fork("b-a"), (packet, now) => a.arrive(packet, now), soon(b));
    a.connect(this.aToB);
    b.connect(this.bToA);
  }

  /** Cuts the link: what is sent from now on is lost; what is under way arrives. */
  partition(): void {
    this.aToB.isUp = false;
    this.bToA.isUp = false;
  }

  /** Ends a partition. */
  rejoin(): void {
    this.aToB.isUp = true;
    this.bToA.isUp = true;
  }

  /** Takes all faults away; rate, delay and MTU stay. */
  heal(): void {
    this.rejoin();
    for (const channel of [this.aToB, this.bToA]) {
      const { delayUs } = channel.options.faults;
      channel.change({ faults: { ...NO_FAULTS, delayUs }, answersTooBig: true });
    }
  }

  /** True when no packet vanished on either way. */
  lawHolds(): boolean {
    return this.aToB.lawHolds() && this.bToA.lawHolds();
  }
}
