/**
 * The sentence: adapter → parse → classify → decide → act.
 *
 * `poll` does what can be done now and answers when it wants to be called again. It reads no clock, awaits nothing and throws
 * nothing; what takes time leaves as a `Command` and comes back as an `Event`.
 */
import type { Command, DialEvent, Event, LookupEvent } from "./act/command.ts";
import { Action, actionOf, Actor } from "./act/act.ts";
import { applyAnswer } from "./act/apply_answer.ts";
import { Counters } from "./act/counters.ts";
import { type EmittedObserver, type TerminateOptions, Terminator } from "./act/terminate.ts";
import type { Adapter } from "./adapter/adapter.ts";
import { Arena, NO_SLOT, type Slot } from "./adapter/arena.ts";
import {
  ARENA_SLOT_COUNT,
  DUPLICATE_COUNT_MAX,
  FLOW_WAITING_COUNT_MAX,
  FRAGMENT_SLOT_COUNT_MAX,
  NAME_WAIT_CLIENT_FIRST_US,
  NAME_WAIT_US,
} from "./base/limits.ts";
import { addMicros, type Micros, micros, NEVER } from "./base/micros.ts";
import { Classifier, type ClassifierOptions, type FlowObserver } from "./classify/classifier.ts";
import type { FlowRecord } from "./classify/flow_record.ts";
import { type FlowIndex, NO_FLOW, Seen } from "./classify/flow_table.ts";
import { FragmentOutcome, Fragments } from "./classify/fragments.ts";
import type { Decider } from "./decide/decider.ts";
import { Deliberation, Stage } from "./decide/deliberation.ts";
import { DropReason } from "./parse/drop_reason.ts";
import { Fragment, PacketMeta } from "./parse/packet_meta.ts";
import { parse, Verify } from "./parse/parse.ts";
import type { Stack } from "./stack/stack.ts";
import type { TcpConnection } from "./stack/tcp/connection.ts";
import * as icmp from "./wire/icmp.ts";
import * as tcp from "./wire/tcp.ts";
import * as udp from "./wire/udp.ts";

/** Who hears of flows and their decisions: reports, logs, the API. */
export interface EngineObserver {
  flowStarted(flow: FlowIndex, record: FlowRecord, deliberation: Deliberation): void;
  flowDecided(flow: FlowIndex, record: FlowRecord, deliberation: Deliberation): void;
  flowEnded(flow: FlowIndex, record: FlowRecord, deliberation: Deliberation): void;
}

/** What an engine is made from. */
export interface EngineOptions {
  readonly adapter: Adapter;
  readonly decider: Decider;
  readonly classify: ClassifierOptions;
  readonly verify: Verify;
  /** True when a policy wants to be asked about each flow. */
  readonly hasPolicy: boolean;
  readonly observer: EngineObserver;
  /**
   * With it, flows end in our own stack: on a TUN device all that go on, where packets are diverted those that are proxied. Without it, direct
   * packets go on as they are and proxied ones are only counted.
   */
  readonly stack?: TerminateOptions;
}

/** Ports on which the client speaks first by custom, so that waiting for its first bytes costs nothing. */
function isClientFirst(port: number): boolean {
  return port === 443 || port === 80 || port === 8080 || port === 8443 || port === 853;
}

/** Slots that may wait for decisions and for fragments; the rest is for packets on their way. */
const HELD_COUNT_MAX = ARENA_SLOT_COUNT - FLOW_WAITING_COUNT_MAX;

/** What a flow waits for when an event of this kind is meant for it. */
const STAGE_OF: { readonly [kind in LookupEvent["kind"]]: Stage } = {
  resolved: Stage.Resolve,
  processFound: Stage.Process,
  policyAnswered: Stage.Policy,
};

/** The earliest deadline of a map whose deadlines ascend. */
function firstDeadline(waits: ReadonlyMap<FlowIndex, Micros>): Micros {
  if (waits.size === 0) return NEVER;
  for (const deadline of waits.values()) return deadline;
  return NEVER;
}

function firstFlow(waits: ReadonlyMap<FlowIndex, Micros>): FlowIndex {
  for (const flow of waits.keys()) return flow;
  return NO_FLOW;
}

/** The pipeline and its state. */
export class Engine implements FlowObserver, EmittedObserver {
  readonly arena: Arena = new Arena();
  readonly counters: Counters = new Counters();
  readonly classifier: Classifier;
  /** Requests that the host takes out and answers with `handle`. */
  readonly commands: Command[] = [];
  readonly #options: EngineOptions;
  readonly #actor: Actor;
  readonly #terminator: Terminator | undefined;
  readonly #fragments = new Fragments();
  readonly #meta = new PacketMeta();
  readonly #emittedMeta = new PacketMeta();
  readonly #deliberations: (Deliberation | undefined)[];
  /** Flow of each id that waits for an event. */
  readonly #awaited = new Map<number, FlowIndex>();
  /** Flows that wait for their names with their deadlines, which ascend: all waits in one map are equally long. */
  readonly #shortWaits = new Map<FlowIndex, Micros>();
  readonly #longWaits = new Map<FlowIndex, Micros>();
  /** Shape: [time of the call that is under way]. */
  readonly #clock = new Float64Array(1);

  constructor(options: EngineOptions) {
    this.#options = options;
    this.classifier = new Classifier(options.classify, this);
    this.#actor = new Actor(this.arena, options.adapter, this.counters);
    const { stack, adapter } = options;
    if (stack !== undefined) {
      this.#terminator = new Terminator(stack, this.arena, adapter, this.counters, this.commands, this);
    }
    this.#deliberations = new Array<Deliberation | undefined>(this.classifier.table.capacity).fill(undefined);
  }

  /** Takes in and carries on up to `budget` packets; answers when it wants to be called again at the latest. */
  poll(now: Micros, budget: number): Micros {
    this.#clock[0] = now;
    this.#expire(now);
    this.#options.adapter.receive(this.arena, now);
    for (let left = budget; left > 0; left--) {
      const slot = this.arena.take();
      if (slot === NO_SLOT) break;
      this.counters.receive();
      this.#step(slot, now);
    }
    return this.deadline();
  }

  /** The stack that flows end in, if there is one. */
  get stack(): Stack | undefined {
    return this.#terminator?.stack;
  }

  /** The connection of a flow that the stack terminates; undefined before its handshake may go on, and after the flow has ended. */
  connectionOf(flow: number): TcpConnection | undefined {
    return this.#terminator?.connectionOf(flow);
  }

  #step(slot: Slot, now: Micros): void {
    const meta = this.#meta;
    const reason = parse(this.arena, slot, this.#options.verify, meta);
    if (reason !== DropReason.None) this.#actor.drop(slot, reason);
    else if (meta.fragment !== Fragment.Whole) this.#gather(slot, now);
    else if (meta.protocol === tcp.PROTOCOL || meta.protocol === udp.PROTOCOL) this.#carry(slot, slot, 1, now);
    else this.#carryOther(slot, now);
  }

  /** Packets that belong to no flow: ICMP goes on, or into the stack; what a TUN device has nobody to hand on to is dropped. */
  #carryOther(slot: Slot, now: Micros): void {
    const protocol = this.#meta.protocol;
    if (this.#isStackHere()) return this.#terminator!.carry(slot, slot, this.#meta, NO_FLOW, now);
    const known = protocol === icmp.PROTOCOL || protocol === icmp.PROTOCOL_V6;
    if (known || this.#options.adapter.capabilities.kind === "divert") this.#actor.forward(slot, 1, now);
    else this.#actor.drop(slot, DropReason.UnsupportedProtocol);
  }

  /** True where every packet ends in the stack, as this end is the network. */
  #isStackHere(): boolean {
    return this.#terminator !== undefined && this.#options.adapter.capabilities.kind === "tun";
  }

  /** Keeps a fragment until its datagram is whole, then carries the datagram as one packet and its fragments with it. */
  #gather(slot: Slot, now: Micros): void {
    const fragments = this.#fragments;
    if (this.#heldCount() > HELD_COUNT_MAX) return this.#actor.drop(slot, DropReason.QueueFull);
    switch (fragments.add(this.arena, slot, this.#meta, now)) {
      case FragmentOutcome.Held:
        return;
      case FragmentOutcome.Duplicate:
        return this.#actor.drop(slot, DropReason.FragmentDuplicate);
      case FragmentOutcome.Full:
        this.#dropChain(fragments.take(), DropReason.FragmentTableFull);
        return this.#gather(slot, now);
      case FragmentOutcome.TooMany:
        return this.#actor.drop(slot, DropReason.FragmentTableFull);
      case FragmentOutcome.Overlap:
        this.#actor.drop(slot, DropReason.FragmentOverlap);
        return this.#dropChain(fragments.take(), DropReason.FragmentOverlap);
      default:
        return this.#carryDatagram(fragments.take(), now);
    }
  }

  #carryDatagram(head: Slot, now: Micros): void {
    const whole = this.arena.acquire();
    if (whole === NO_SLOT) return this.#dropChain(head, DropReason.QueueFull);
    const meta = this.#meta;
    if (this.#fragments.assemble(this.arena, head, whole) === 0) {
      this.arena.release(whole);
      return this.#dropChain(head, DropReason.FragmentMalformed);
    }
    const reason = parse(this.arena, whole, this.#options.verify, meta);
    if (reason !== DropReason.None) this.#dropChain(head, reason);
    else if (meta.protocol === tcp.PROTOCOL || meta.protocol === udp.PROTOCOL) {
      let count = 0;
      for (let slot = head; slot !== NO_SLOT; slot = this.arena.next[slot]!) count++;
      this.#carry(whole, head, count, now);
    } else if (this.#isStackHere()) this.#terminator!.carry(whole, head, meta, NO_FLOW, now);
    else {
      for (let slot = head; slot !== NO_SLOT;) {
        const next = this.arena.next[slot]!;
        this.#carryOther(slot, now);
        slot = next;
      }
    }
    this.arena.release(whole);
  }

  #dropChain(head: Slot, reason: DropReason): void {
    for (let slot = head; slot !== NO_SLOT;) {
      const next = this.arena.next[slot]!;
      this.#actor.drop(slot, reason);
      slot = next;
    }
  }

  /** Carries a whole packet or datagram, read from `whole`, whose `count` packets are chained from `head`. */
  #carry(whole: Slot, head: Slot, count: number, now: Micros): void {
    const meta = this.#meta;
    const flow = this.classifier.classify(this.arena, whole, meta, count, now);
    const table = this.classifier.table;
    const fromSource = this.classifier.fromSource;
    if (table.action[flow] === Action.Terminate) return this.#terminate(flow, whole, head, now);
    if (table.action[flow] === Action.Undecided) {
      if (this.#isOpenedEarly(flow)) {
        this.#terminate(flow, whole, head, now);
        return this.#deliberate(flow, now);
      }
      if (this.#isFull(flow)) return this.#dropChain(head, DropReason.QueueFull);
      this.#enqueue(flow, head);
      this.#deliberate(flow, now);
      this.#makeRoom(now);
      return;
    }
    const copies = table.copies[flow]!;
    for (let slot = head; slot !== NO_SLOT;) {
      const next = this.arena.next[slot]!;
      this.arena.flow[slot] = flow;
      this.#actor.act(table.action[flow]!, slot, meta, fromSource, copies, now);
      slot = next;
    }
  }

  #terminate(flow: FlowIndex, whole: Slot, head: Slot, now: Micros): void {
    this.#terminator!.carry(whole, head, this.#meta, this.classifier.records[flow]!.id, now);
  }

  #isOpenedEarly(flow: FlowIndex): boolean {
    return this.#terminator !== undefined && this.#terminator.isOpenedEarly(this.classifier.records[flow]!.id);
  }

  /** A flow whose lookup is under way cannot be decided early: what does not fit its queue, or all queues, is lost. */
  #isFull(flow: FlowIndex): boolean {
    return this.#heldCount() > HELD_COUNT_MAX ||
      (this.#deliberations[flow]!.stage > Stage.Name &&
        this.classifier.table.waitingCount[flow]! >= FLOW_WAITING_COUNT_MAX);
  }

  /** Slots that wait here, the packet in hand included. */
  #heldCount(): number {
    return this.arena.slotCount - this.arena.freeCount - this.arena.arrivedCount;
  }

  /** Leaves fragments their share of the slots: flows that have waited longest for their names go on without. */
  #makeRoom(now: Micros): void {
    while (this.#heldCount() - this.#fragments.heldCount > HELD_COUNT_MAX - FRAGMENT_SLOT_COUNT_MAX) {
      const short = firstDeadline(this.#shortWaits) - NAME_WAIT_US;
      const long = firstDeadline(this.#longWaits) - NAME_WAIT_CLIENT_FIRST_US;
      const flow = firstFlow(short < long ? this.#shortWaits : this.#longWaits);
      if (flow === NO_FLOW) return;
      this.#giveUpName(flow, now);
    }
  }

  #enqueue(flow: FlowIndex, head: Slot): void {
    const table = this.classifier.table;
    const tail = table.waitingTail[flow]!;
    if (tail === NO_SLOT) table.waitingHead[flow] = head;
    else this.arena.next[tail] = head;
    for (let slot = head; slot !== NO_SLOT; slot = this.arena.next[slot]!) {
      this.arena.flow[slot] = flow;
      table.waitingTail[flow] = slot;
      table.waitingCount[flow] = table.waitingCount[flow]! + 1;
    }
  }

  /** Goes on with a flow's decision; a queue that is full, or a flow that is closing, is decided with what is known. */
  #deliberate(flow: FlowIndex, now: Micros): void {
    const record = this.classifier.records[flow]!;
    const deliberation = this.#deliberations[flow]!;
    const waited = deliberation.stage;
    // Lookups under way are not asked for twice; a name that came lets a waiting flow go on.
    if (waited > Stage.Name) return;
    let stage = deliberation.advance(record.facts, this.#options.decider);
    if (stage === Stage.Name && this.#mustDecide(flow)) {
      this.classifier.stopSniffing(record);
      stage = deliberation.advance(record.facts, this.#options.decider);
    }
    if (stage === Stage.Name) {
      if (waited !== Stage.Name) this.#awaitName(flow, record, now);
      if (record.facts.network === "tcp" && this.#isStackHere()) this.#openEarly(flow, record, now);
      return;
    }
    if (stage === Stage.Decided) this.#commit(flow, record, deliberation, now);
    else if (stage !== waited) this.#request(flow, record, stage);
  }

  #mustDecide(flow: FlowIndex): boolean {
    const table = this.classifier.table;
    return table.waitingCount[flow]! >= FLOW_WAITING_COUNT_MAX || (table.seen[flow]! & Seen.Reset) !== 0;
  }

  #awaitName(flow: FlowIndex, record: FlowRecord, now: Micros): void {
    if (isClientFirst(record.facts.destinationPort)) {
      this.#longWaits.set(flow, addMicros(now, NAME_WAIT_CLIENT_FIRST_US));
    } else this.#shortWaits.set(flow, addMicros(now, NAME_WAIT_US));
  }

  /** Only a connection brings a TCP flow's first bytes: the stack answers before the flow is decided. */
  #openEarly(flow: FlowIndex, record: FlowRecord, now: Micros): void {
    const terminator = this.#terminator!;
    if (terminator.isOpenedEarly(record.id)) return;
    terminator.openEarly(flow, record.id, record.facts);
    this.#actOnWaiting(flow, Action.Terminate, now);
  }

  #request(flow: FlowIndex, record: FlowRecord, stage: Stage): void {
    const facts = record.facts;
    this.#stopWaiting(flow);
    this.#awaited.set(record.id, flow);
    if (stage === Stage.Process) this.commands.push({ kind: "findProcess", flow: record.id, facts });
    else if (stage === Stage.Policy) this.commands.push({ kind: "askPolicy", flow: record.id, facts });
    else this.commands.push({ kind: "resolve", flow: record.id, host: facts.host });
  }

  #commit(flow: FlowIndex, record: FlowRecord, deliberation: Deliberation, now: Micros): void {
    const table = this.classifier.table;
    this.#stopWaiting(flow);
    this.#awaited.delete(record.id);
    const action = actionOf(deliberation.verdict.action);
    table.action[flow] = this.#endsInStack(action) ? Action.Terminate : action;
    table.copies[flow] = Math.min(deliberation.verdict.effects?.duplicate ?? 1, DUPLICATE_COUNT_MAX);
    deliberation.noteHost(record.facts);
    this.#options.observer.flowDecided(flow, record, deliberation);
    if (table.action[flow] === Action.Terminate) {
      this.#terminator!.decided(flow, record.id, record.facts, deliberation.verdict);
    } else if (this.#isOpenedEarly(flow)) this.#terminator!.refused(record.id, action === Action.Drop, now);
    this.#actOnWaiting(flow, table.action[flow]!, now);
  }

  /** On a TUN device whatever goes on ends in the stack; what was diverted and is direct goes on as it is. */
  #endsInStack(action: Action): boolean {
    return this.#terminator !== undefined &&
      (action === Action.Proxy || (action === Action.Direct && this.#isStackHere()));
  }

  /** Ends the packets that waited for a flow's decision. */
  #actOnWaiting(flow: FlowIndex, action: number, now: Micros): void {
    const table = this.classifier.table;
    const copies = table.copies[flow]!;
    let slot = table.waitingHead[flow]!;
    table.waitingHead[flow] = NO_SLOT;
    table.waitingTail[flow] = NO_SLOT;
    table.waitingCount[flow] = 0;
    while (slot !== NO_SLOT) {
      const next = this.arena.next[slot]!;
      // The packet was whole and sound when it came in; only a later fragment has no ports to tell its direction by.
      const readable = parse(this.arena, slot, Verify.None, this.#meta) === DropReason.None;
      if (action === Action.Terminate) {
        this.arena.next[slot] = NO_SLOT;
        this.#terminate(flow, slot, slot, now);
      } else {
        const fromSource = readable && this.#meta.fragment !== Fragment.Later && table.isFromSource(flow, this.#meta);
        this.#actor.act(action, slot, this.#meta, fromSource, copies, now);
      }
      slot = next;
    }
  }

  /** Takes the answer to a command. */
  handle(event: Event, now: Micros): void {
    this.#clock[0] = now;
    if (event.kind === "dialed" || event.kind === "dialFailed") return this.#handleDial(event, now);
    const flow = this.#awaited.get(event.flow);
    if (flow === undefined || this.#deliberations[flow]!.stage !== STAGE_OF[event.kind]) return;
    this.#awaited.delete(event.flow);
    const facts = this.classifier.records[flow]!.facts;
    const deliberation = this.#deliberations[flow]!;
    applyAnswer(event, facts, deliberation, this.#options.decider);
    if (deliberation.stage === Stage.Decided) this.#commit(flow, this.classifier.records[flow]!, deliberation, now);
    else {
      deliberation.stage = Stage.New;
      this.#deliberate(flow, now);
    }
  }

  #handleDial(event: DialEvent, now: Micros): void {
    const refused = this.#terminator === undefined ? NO_FLOW : this.#terminator.handle(event, now);
    if (refused !== NO_FLOW) this.classifier.table.action[refused] = Action.Reject;
  }

  /** A packet of the stack belongs to its flow as well: it counts there, and may bring names and ends. */
  packetEmitted(slot: Slot, now: Micros): void {
    const meta = this.#emittedMeta;
    if (parse(this.arena, slot, Verify.None, meta) !== DropReason.None || meta.fragment !== Fragment.Whole) return;
    if (meta.protocol !== tcp.PROTOCOL && meta.protocol !== udp.PROTOCOL) return;
    if (this.classifier.table.find(meta) === NO_FLOW) return;
    this.arena.flow[slot] = this.classifier.classify(this.arena, slot, meta, 1, now);
  }

  /** Ends everything: what waits is decided with what is known, what is incomplete is given up, every flow ends. */
  finish(now: Micros): void {
    this.#expireFragments(NEVER);
    for (const flow of this.#shortWaits.keys()) this.#giveUpName(flow, now);
    for (const flow of this.#longWaits.keys()) this.#giveUpName(flow, now);
  }

  /** Ends every flow that is left; call it once no command is under way. */
  endFlows(): void {
    const records = this.classifier.records;
    for (let flow = 0; flow < records.length; flow++) if (records[flow] !== undefined) this.classifier.end(flow);
  }

  #giveUpName(flow: FlowIndex, now: Micros): void {
    this.#stopWaiting(flow);
    this.classifier.stopSniffing(this.classifier.records[flow]!);
    this.#deliberate(flow, now);
  }

  #expire(now: Micros): void {
    if (this.#terminator !== undefined) this.#terminator.stack.poll(now);
    this.#expireFragments(now);
    this.#expireWaits(this.#shortWaits, now);
    this.#expireWaits(this.#longWaits, now);
    for (let flow = this.classifier.table.expired(now); flow >= 0; flow = this.classifier.table.expired(now)) {
      this.classifier.end(flow);
    }
  }

  #expireWaits(waits: Map<FlowIndex, Micros>, now: Micros): void {
    while (waits.size > 0 && firstDeadline(waits) <= now) this.#giveUpName(firstFlow(waits), now);
  }

  #stopWaiting(flow: FlowIndex): void {
    this.#shortWaits.delete(flow);
    this.#longWaits.delete(flow);
  }

  #expireFragments(now: Micros): void {
    while (this.#fragments.heldCount > 0 && this.#fragments.expired(now)) {
      this.#dropChain(this.#fragments.take(), DropReason.FragmentTimeout);
    }
  }

  /** When `poll` wants to be called at the latest; the host's own calls to connections may have moved it since the last poll. */
  deadline(): Micros {
    let next: number = this.classifier.table.nextExpiry();
    next = Math.min(next, firstDeadline(this.#shortWaits), firstDeadline(this.#longWaits));
    if (this.#terminator !== undefined) next = Math.min(next, this.#terminator.stack.nextDeadline());
    return micros(Math.min(next, this.#fragments.nextExpiry()));
  }

  /** A flow came into the table. */
  flowStarted(flow: FlowIndex, record: FlowRecord): void {
    const deliberation = new Deliberation(this.#options.hasPolicy);
    this.#deliberations[flow] = deliberation;
    this.#options.observer.flowStarted(flow, record, deliberation);
  }

  /** A flow leaves the table: it is decided with what is known; what then still waits for a lookup has nowhere to go. */
  flowEnding(flow: FlowIndex, record: FlowRecord): void {
    const table = this.classifier.table;
    const deliberation = this.#deliberations[flow]!;
    if (deliberation.stage <= Stage.Name) this.#deliberate(flow, micros(this.#clock[0]!));
    this.#stopWaiting(flow);
    this.#awaited.delete(record.id);
    this.#dropChain(table.waitingHead[flow]!, DropReason.FlowEnded);
    table.waitingHead[flow] = NO_SLOT;
    if (this.#terminator !== undefined) this.#terminator.ended(record.id, micros(this.#clock[0]!));
    this.#options.observer.flowEnded(flow, record, deliberation);
    this.#deliberations[flow] = undefined;
  }
}
