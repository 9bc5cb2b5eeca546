/**
 * A virtual world: hosts with stacks, links with faults, one clock and one event queue.
 *
 * Everything random in it is a fork of one `Prng`, so that the seed is the world.
 */
import type { Arena } from "../../core/adapter/arena.ts";
import { TraceRing } from "../../core/adapter/trace.ts";
import { WORLD_STEPS_MAX } from "../../core/base/limits.ts";
import { type Micros, micros } from "../../core/base/micros.ts";
import { Prng } from "../../core/base/prng.ts";
import { Digest } from "./digest.ts";
import { EventQueue } from "./event_queue.ts";
import { Host, type HostSink, type HostStack, type Tamper } from "./host.ts";
import { type ChannelOptions, Link, PERFECT_CHANNEL, type Scheduler } from "./link.ts";
import { Violation } from "./violation.ts";

/** What a world may be told about one of its hosts. */
export interface HostChoices {
  readonly slotCount?: number;
  readonly checksSegments?: boolean;
  readonly tamper?: Tamper | undefined;
}

/** What a world may be told about one of its links: the same both ways, or each way apart. */
export interface LinkChoices {
  readonly forth?: Partial<ChannelOptions>;
  readonly back?: Partial<ChannelOptions>;
  /** What the devices at both ends say of themselves; larger packets never leave a stack. Units: bytes. */
  readonly deviceMtu?: number;
}

const SLOT_COUNT = 64;

/**
 * Hosts, links and the time that passes between them. Add hosts, join them, then let time pass with `runUntil`: after each event everything is
 * checked that must hold (every packet ends in one counter, segments keep to their windows, slots come back), and a `Violation` is thrown when
 * it does not. The same seed and the same calls give the same `digest`.
 */
export class World implements Scheduler {
  readonly prng: Prng;
  readonly digest = new Digest();
  readonly trace = new TraceRing();
  readonly hosts: Host[] = [];
  readonly links: Link[] = [];
  /** Looks at the world after every event; throws a `Violation` when something does not hold. */
  onStep: () => void = () => {};
  /** Events that happened. */
  steps = 0;
  #now: Micros = micros(0);
  readonly #events = new EventQueue();

  constructor(seed: number) {
    this.prng = new Prng(seed);
  }

  get now(): Micros {
    return this.#now;
  }

  /** Events that have not happened yet. */
  get planned(): number {
    return this.#events.length;
  }

  /** Plans something; what is planned for the past happens now. */
  schedule(at: Micros, run: (now: Micros) => void): void {
    this.#events.push(at < this.#now ? this.#now : at, run);
  }

  /** Adds a host with the stack that `createStack` makes over the host's arena. */
  addHost(
    name: string,
    createStack: (arena: Arena, sink: HostSink, prng: Prng) => HostStack,
    choices: HostChoices = {},
  ): Host {
    const host = new Host({
      name,
      slotCount: choices.slotCount ?? SLOT_COUNT,
      scheduler: this,
      digest: this.digest,
      trace: this.trace,
      checksSegments: choices.checksSegments ?? true,
      createStack: (arena, sink) => createStack(arena, sink, this.prng.fork(`stack-${name}`)),
      tamper: choices.tamper,
    });
    this.hosts.push(host);
    return host;
  }

  /** Joins two hosts; each reaches the other's addresses through the link. Shape: addresses as `addressKey` writes them. */
  addLink(
    a: Host,
    addressesOfA: readonly string[],
    b: Host,
    addressesOfB: readonly string[],
    choices: LinkChoices = {},
  ): Link {
    const forth = { ...PERFECT_CHANNEL, ...choices.forth };
    const back = { ...PERFECT_CHANNEL, ...choices.back };
    const deviceMtu = choices.deviceMtu ?? Math.max(forth.mtu, back.mtu);
    const link = new Link(forth, back, deviceMtu, this, this.prng.fork(`link-${a.name}-${b.name}`));
    a.addDevice(link.a, addressesOfB);
    b.addDevice(link.b, addressesOfA);
    this.links.push(link);
    return link;
  }

  /** Lets the next event happen; false when there is none. Errors: `Violation` when something that must hold does not. */
  step(): boolean {
    const event = this.#events.pop();
    if (event === undefined) return false;
    this.#now = event.at;
    this.steps++;
    if (this.steps > WORLD_STEPS_MAX) throw new Violation("liveness", `no end after ${WORLD_STEPS_MAX} events`);
    event.run(event.at);
    this.check();
    return true;
  }

  /** Lets everything happen up to a time, at most until `isDone` says so; then it is that time. */
  runUntil(at: Micros, isDone: () => boolean = () => false): void {
    while (this.#events.nextAt <= at && !isDone()) this.step();
    if (this.#now < at && !isDone()) this.#now = at;
  }

  /** What must hold between two events. */
  check(): void {
    for (const host of this.hosts) host.check();
    for (const link of this.links) {
      if (!link.lawHolds()) throw new Violation("conservation", "a link lost or made a packet");
    }
    this.onStep();
  }

  /** What must hold when everything has ended. */
  checkEmpty(): void {
    for (const host of this.hosts) host.checkEmpty();
    for (const link of this.links) {
      if (link.aToB.counts.underWay + link.bToA.counts.underWay > 0) {
        throw new Violation("cleanup", "packets are under way for ever");
      }
    }
  }
}
