/** A host of a virtual world: devices, an arena, and a stack between them; every packet ends in one counter. */
import { Counters } from "../../core/act/counters.ts";
import { Arena, Frame, NO_SLOT, type Slot } from "../../core/adapter/arena.ts";
import type { TraceRing } from "../../core/adapter/trace.ts";
import { type Micros, NEVER } from "../../core/base/micros.ts";
import { DropReason } from "../../core/parse/drop_reason.ts";
import { DESTINATION, PacketMeta } from "../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../core/parse/parse.ts";
import type { Socket } from "./application.ts";
import type { Digest } from "./digest.ts";
import type { LinkEnd, Scheduler } from "./link.ts";
import { PieceWatch } from "./piece_watch.ts";
import { SegmentChecker } from "./segment_checker.ts";
import { Violation } from "./violation.ts";

/** A connection as its host sees it. */
export interface HostSocket extends Socket {
  takeEvents(): number;
}

/** What a host needs of a program with a connection; `Application` is one. */
export interface HostProgram {
  /** Gets its connection; the handshake of an active one is still to come. `onTouched`: to be called when the program used it without being told to. */
  attach(socket: HostSocket, isActive: boolean, now: Micros, onTouched: (now: Micros) => void): void;
  /** Hears what changed. Shape: bits of `TcpEvent`. */
  onEvents(events: number, now: Micros): void;
}

/** What a host needs of a stack; `Stack` is one. */
export interface HostStack {
  receive(slot: Slot, meta: PacketMeta, now: Micros): DropReason;
  poll(now: Micros): Micros;
  takeReady(): HostSocket | undefined;
}

/** Where a stack's packets go. */
export interface HostSink {
  send(arena: Arena, slot: Slot, now: Micros): boolean;
}

/** Spoils packets between a stack and its checkers, for canaries. False swallows the packet. */
export type Tamper = (arena: Arena, slot: Slot) => boolean;

/** What a host is made from. */
export interface HostOptions {
  readonly name: string;
  readonly slotCount: number;
  readonly scheduler: Scheduler;
  readonly digest: Digest;
  readonly trace: TraceRing;
  /** False when somebody else forges packets, which a checker cannot tell from the peer's. */
  readonly checksSegments: boolean;
  readonly createStack: (arena: Arena, sink: HostSink) => HostStack;
  readonly tamper?: Tamper | undefined;
}

/** One host. */
export class Host implements HostSink {
  readonly name: string;
  readonly arena: Arena;
  readonly stack: HostStack;
  readonly counters: Counters = new Counters();
  readonly applications = new Map<HostSocket, HostProgram>();
  /** The last deadline that the stack gave. */
  deadline: Micros = NEVER;
  /** Hears of connections that became ready and have no program. */
  onStray: (socket: HostSocket, now: Micros) => void = () => {};
  packetsSent = 0;
  readonly #options: HostOptions;
  readonly #routes = new Map<string, LinkEnd>();
  readonly #ends: LinkEnd[] = [];
  readonly #meta = new PacketMeta();
  readonly #sentMeta = new PacketMeta();
  readonly #checker: SegmentChecker | undefined;
  readonly #pieces = new PieceWatch();
  /** When the earliest planned look at the stack's timers is. */
  #plannedAt: Micros = NEVER;

  constructor(options: HostOptions) {
    this.#options = options;
    this.name = options.name;
    this.arena = new Arena(options.slotCount);
    this.#checker = options.checksSegments ? new SegmentChecker(options.name) : undefined;
    this.stack = options.createStack(this.arena, this);
  }

  /** Joins a device; what goes to one of `addresses` leaves through it. Shape: addresses as `addressKey` writes them. */
  addDevice(end: LinkEnd, addresses: readonly string[]): void {
    this.#ends.push(end);
    for (const address of addresses) this.#routes.set(address, end);
    end.onArrival = (now) => this.wake(now);
  }

  /** Gives a connection to a program; `isActive` when this host opened it, so that its handshake is still to come. */
  attach(socket: HostSocket, application: HostProgram, isActive: boolean, now: Micros): void {
    this.applications.set(socket, application);
    application.attach(socket, isActive, now, (then) => this.touch(then));
    this.touch(now);
  }

  /** Takes in what the devices have. */
  wake(now: Micros): void {
    for (const end of this.#ends) end.receive(this.arena, now);
    for (let slot = this.arena.take(); slot !== NO_SLOT; slot = this.arena.take()) this.#step(slot, now);
    this.touch(now);
  }

  #step(slot: Slot, now: Micros): void {
    const { arena } = this;
    const meta = this.#meta;
    this.counters.receive();
    let reason = parse(arena, slot, Verify.All, meta);
    this.#note(slot, true, now);
    if (reason === DropReason.None) {
      this.#checkReceived(slot, meta);
      reason = this.stack.receive(slot, meta, now);
    }
    arena.release(slot);
    if (reason === DropReason.None) this.counters.consume();
    else this.counters.drop(reason);
  }

  #checkReceived(slot: Slot, meta: PacketMeta): void {
    const checker = this.#checker;
    if (checker === undefined) return;
    checker.received(this.arena, slot, meta);
    const whole = this.#pieces.take(this.arena, slot, meta);
    if (whole !== undefined) checker.received(this.#pieces.arena, whole, this.#pieces.meta);
  }

  /** After anything that a stack may have noticed: due timers run, programs hear of what changed, the next timer is planned. */
  touch(now: Micros): void {
    for (let round = 0;; round++) {
      this.deadline = this.stack.poll(now);
      const isQuiet = !this.#tellPrograms(now);
      if (isQuiet && this.deadline > now) break;
      if (round > 1_000) throw new Violation("liveness", `${this.name} asks to be polled at once for ever`);
    }
    if (this.deadline === NEVER || this.deadline >= this.#plannedAt) return;
    const at = this.deadline;
    this.#plannedAt = at;
    this.#options.scheduler.schedule(at, (then) => {
      if (this.#plannedAt === at) this.#plannedAt = NEVER;
      this.touch(then);
    });
  }

  /** Hands events on; true when there were any. */
  #tellPrograms(now: Micros): boolean {
    let count = 0;
    for (let socket = this.stack.takeReady(); socket !== undefined; socket = this.stack.takeReady()) {
      const events = socket.takeEvents();
      const application = this.applications.get(socket);
      if (application === undefined) this.onStray(socket, now);
      else application.onEvents(events, now);
      count++;
    }
    return count > 0;
  }

  /** A packet leaves the stack: it must be sound, whatever happens to it later. */
  send(arena: Arena, slot: Slot, now: Micros): boolean {
    const meta = this.#sentMeta;
    if (this.#options.tamper !== undefined && !this.#options.tamper(arena, slot)) return true;
    this.packetsSent++;
    this.#note(slot, false, now);
    const reason = parse(arena, slot, Verify.All, meta);
    if (reason !== DropReason.None) {
      throw new Violation("packet", `${this.name} sent a packet that parse refuses for reason ${reason}`);
    }
    if (meta.ipLength !== arena.length[slot]) {
      throw new Violation("packet", `${this.name} sent ${arena.length[slot]} bytes as a packet of ${meta.ipLength}`);
    }
    const end = this.#routes.get(addressKey(meta.version, meta.words, DESTINATION));
    // A packet to nowhere is lost: an answer to a forged source.
    if (end === undefined) return true;
    if (meta.ipLength > end.capabilities.mtu) {
      throw new Violation("packet", `${this.name} sent ${meta.ipLength} bytes over an MTU of ${end.capabilities.mtu}`);
    }
    this.#checker?.sent(arena, slot, meta);
    return end.send(arena, slot, now);
  }

  #note(slot: Slot, isReceived: boolean, now: Micros): void {
    const { arena } = this;
    const { digest, trace } = this.#options;
    const at = arena.at(slot);
    const length = arena.length[slot]!;
    digest.addTime(now);
    digest.add(isReceived ? length : ~length);
    // The transport header is what tells packets apart.
    for (let i = 20; i + 4 <= length && i < 60; i += 4) digest.add(arena.view.getInt32(at + i));
    trace.add(arena.bytes, at, length, isReceived, Frame.Ip, now);
  }

  /** What must hold between two events. */
  check(): void {
    if (!this.counters.lawHolds()) throw new Violation("conservation", `${this.name}: received ≠ consumed + dropped`);
    if (this.counters.queued !== 0) throw new Violation("conservation", `${this.name} keeps packets between events`);
  }

  /** What must hold when everything has ended. */
  checkEmpty(): void {
    const { arena } = this;
    if (arena.freeCount !== arena.slotCount) {
      throw new Violation("cleanup", `${this.name} keeps ${arena.slotCount - arena.freeCount} slots for ever`);
    }
    const deadline = this.stack.poll(this.#options.scheduler.now);
    if (deadline !== NEVER) throw new Violation("cleanup", `${this.name} has a timer at ${deadline} for nobody`);
  }
}

/** An address in words as a key. */
export function addressKey(version: number, words: ArrayLike<number>, at: number): string {
  return `${version} ${words[at]} ${words[at + 1]} ${words[at + 2]} ${words[at + 3]}`;
}
