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
import type { EngineObserver, EngineOptions } from "./act/engine_options.ts";
import { FlowEnds } from "./act/flow_ends.ts";
import { FragmentGate } from "./act/fragment_gate.ts";
import { NameWaits } from "./act/name_waits.ts";
import { NO_PROGRAM, ProgramDevice, ProgramRunner, type StackEntrance } from "./act/program_runner.ts";
import type { EmittedObserver } from "./act/terminate.ts";
import type { TranslatedObserver, Translator } from "./act/translate.ts";
import { isMidway, leaveAlone } from "./act/untouched.ts";
import { Arena, NO_SLOT, NO_TAG, type Slot } from "./adapter/arena.ts";
import { ARENA_SLOT_COUNT, FLOW_WAITING_COUNT_MAX, FRAGMENT_SLOT_COUNT_MAX } from "./base/limits.ts";
import { type Micros, micros, NEVER } from "./base/micros.ts";
import { Prng } from "./base/prng.ts";
import { Classifier, type FlowObserver } from "./classify/classifier.ts";
import { Lookup } from "./classify/facts.ts";
import type { FlowRecord } from "./classify/flow_record.ts";
import { type FlowIndex, NO_FLOW, Seen } from "./classify/flow_table.ts";
import { Deliberation, Stage } from "./decide/deliberation.ts";
import { DropReason } from "./parse/drop_reason.ts";
import { Fragment, PacketMeta } from "./parse/packet_meta.ts";
import { parse, Verify } from "./parse/parse.ts";
import type { Stack } from "./stack/stack.ts";
import type { TcpConnection } from "./stack/tcp/connection.ts";
import * as icmp from "./wire/icmp.ts";
import * as tcp from "./wire/tcp.ts";
import * as udp from "./wire/udp.ts";

export type { EngineObserver, EngineOptions };

/** Slots that may wait for decisions and for fragments; the rest is for packets on their way. */
const HELD_COUNT_MAX = ARENA_SLOT_COUNT - FLOW_WAITING_COUNT_MAX;

/** What a flow waits for when an event of this kind is meant for it. */
const STAGE_OF: { readonly [kind in LookupEvent["kind"]]: Stage } = {
  resolved: Stage.Resolve,
  processFound: Stage.Process,
  policyAnswered: Stage.Policy,
};

/** The pipeline and its state. */
export class Engine implements FlowObserver, EmittedObserver, TranslatedObserver, StackEntrance {
  readonly arena: Arena;
  readonly counters: Counters = new Counters();
  readonly classifier: Classifier;
  /** Requests that the host takes out and answers with `handle`. */
  readonly commands: Command[] = [];
  /** What is done to packets on their way, by rule or policy. */
  readonly programs: ProgramRunner;
  readonly #options: EngineOptions;
  readonly #otherProgram: number;
  readonly #actor: Actor;
  readonly #ends: FlowEnds | undefined;
  readonly #fragments: FragmentGate;
  readonly #meta = new PacketMeta();
  readonly #emittedMeta = new PacketMeta();
  readonly #enteringMeta = new PacketMeta();
  readonly #deliberations: (Deliberation | undefined)[];
  /** Flow of each id that waits for an event. */
  readonly #awaited = new Map<number, FlowIndex>();
  readonly #nameWaits = new NameWaits();
  /** Shape: [time of the call that is under way]. */
  readonly #clock = new Float64Array(1);

  constructor(options: EngineOptions) {
    this.#options = options;
    this.arena = options.arena ?? new Arena();
    this.classifier = new Classifier(options.classify, this);
    const prng = new Prng(options.classify.secret).fork("programs");
    this.programs = new ProgramRunner(this.arena, options.adapter, this.counters, this, prng);
    this.#otherProgram = this.programs.idOf(options.programOfOthers);
    this.#actor = new Actor(this.arena, options.adapter, this.counters, this.programs);
    this.#fragments = new FragmentGate(this.arena, this.#actor);
    const { stack, adapter } = options;
    if (stack !== undefined) {
      const device = new ProgramDevice(adapter, this.programs, this.classifier.table.program);
      const { arena, counters, commands } = this;
      this.#ends = new FlowEnds(stack, options.translate, arena, device, adapter, counters, commands, this);
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
    this.programs.poll(now);
    return this.deadline();
  }

  /** The stack that flows end in, if there is one. */
  get stack(): Stack | undefined {
    return this.#ends?.terminator.stack;
  }

  /** The rewritten connections, where TCP flows end in the system's own TCP. */
  get translator(): Translator | undefined {
    return this.#ends?.translator;
  }

  /** Hands over the connection of a flow that the stack terminates; undefined before its handshake may go on, after the flow has ended, and twice. */
  takeConnection(flow: number): TcpConnection | undefined {
    return this.#ends?.terminator.takeConnection(flow);
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
    if (this.#isStackHere()) return this.#ends!.terminator.carry(slot, slot, this.#meta, NO_FLOW, now);
    const known = protocol === icmp.PROTOCOL || protocol === icmp.PROTOCOL_V6;
    if (known || this.#options.adapter.capabilities.kind === "divert") {
      this.#actor.forward(slot, this.#otherProgram, false, now);
    } else this.#actor.drop(slot, DropReason.UnsupportedProtocol);
  }

  /** True where every packet ends in the stack, as this end is the network. */
  #isStackHere(): boolean {
    return this.#ends !== undefined && this.#ends.isNetwork;
  }

  /** Keeps a fragment until its datagram is whole, then carries the datagram as one packet and its fragments with it. */
  #gather(slot: Slot, now: Micros): void {
    if (this.#heldCount() > HELD_COUNT_MAX) return this.#actor.drop(slot, DropReason.QueueFull);
    const head = this.#fragments.add(slot, this.#meta, now);
    if (head !== NO_SLOT) this.#carryDatagram(head, now);
  }

  #carryDatagram(head: Slot, now: Micros): void {
    const whole = this.#fragments.assemble(head);
    if (whole === NO_SLOT) return;
    const meta = this.#meta;
    const reason = parse(this.arena, whole, this.#options.verify, meta);
    if (reason !== DropReason.None) this.#fragments.dropChain(head, reason);
    else if (meta.protocol === tcp.PROTOCOL || meta.protocol === udp.PROTOCOL) {
      let count = 0;
      for (let slot = head; slot !== NO_SLOT; slot = this.arena.next[slot]!) count++;
      this.#carry(whole, head, count, now);
    } else if (this.#isStackHere()) this.#ends!.terminator.carry(whole, head, meta, NO_FLOW, now);
    else {
      for (let slot = head; slot !== NO_SLOT;) {
        const next = this.arena.next[slot]!;
        this.#carryOther(slot, now);
        slot = next;
      }
    }
    // Its tag was the first fragment's, which has gone its own way.
    this.arena.tag[whole] = NO_TAG;
    this.arena.release(whole);
  }

  /** Carries a whole packet or datagram, read from `whole`, whose `count` packets are chained from `head`. */
  #carry(whole: Slot, head: Slot, count: number, now: Micros): void {
    const meta = this.#meta;
    const translator = this.translator;
    if (translator !== undefined && translator.isFromListener(whole, meta)) {
      return translator.carryBack(whole, head, meta, now);
    }
    const flow = this.classifier.classify(this.arena, whole, meta, count, now);
    const table = this.classifier.table;
    const fromSource = this.classifier.fromSource;
    if (table.action[flow]! >= Action.Terminate) return this.#terminate(flow, whole, head, fromSource, now);
    if (table.action[flow] === Action.Undecided) {
      if (this.#isOpenedEarly(flow)) {
        this.#terminate(flow, whole, head, fromSource, now);
        return this.#deliberate(flow, now);
      }
      // A connection may outlive its flow in the table.
      if (translator !== undefined && translator.isKnown(meta)) {
        return translator.carry(whole, head, meta, this.classifier.records[flow]!.id, fromSource, now);
      }
      if (this.#isFull(flow)) return this.#fragments.dropChain(head, DropReason.QueueFull);
      this.#enqueue(flow, head);
      this.#deliberate(flow, now);
      this.#makeRoom(now);
      return;
    }
    const program = table.program[flow]!;
    for (let slot = head; slot !== NO_SLOT;) {
      const next = this.arena.next[slot]!;
      this.arena.flow[slot] = flow;
      this.#actor.act(table.action[flow]!, slot, meta, fromSource, program, now);
      slot = next;
    }
  }

  #terminate(flow: FlowIndex, whole: Slot, head: Slot, fromSource: boolean, now: Micros): void {
    const program = this.classifier.table.program[flow]!;
    // A datagram in fragments goes into the stack as it is: a program takes packets.
    if (program !== NO_PROGRAM && whole === head) return this.programs.enter(program, whole, fromSource, now);
    this.#ends!.carry(whole, head, this.#meta, this.classifier.records[flow]!.id, fromSource, now);
  }

  /** Takes a packet that has come through its flow's program. One whose flow has ended meanwhile has nowhere to go. */
  enterStack(slot: Slot, isCopy: boolean, now: Micros): void {
    const meta = this.#enteringMeta;
    const isRead = parse(this.arena, slot, Verify.None, meta) === DropReason.None;
    const flow = isRead ? this.classifier.table.find(meta) : NO_FLOW;
    this.arena.next[slot] = NO_SLOT;
    const isThere = flow !== NO_FLOW && this.classifier.table.action[flow]! >= Action.Terminate;
    if (isThere && !isCopy) {
      const fromSource = this.classifier.table.isFromSource(flow, meta);
      return this.#ends!.carry(slot, slot, meta, this.classifier.records[flow]!.id, fromSource, now);
    }
    if (!isCopy) return this.#actor.drop(slot, DropReason.FlowEnded);
    // The system's own TCP gets no copies: its packets do not cross a path on which they could be lost.
    if (isThere && this.classifier.table.action[flow] === Action.Terminate) {
      this.counters.generate();
      this.stack!.receive(slot, meta, now, this.classifier.records[flow]!.id);
    }
    this.arena.release(slot);
  }

  #isOpenedEarly(flow: FlowIndex): boolean {
    return this.#ends !== undefined && this.#ends.isOpenedEarly(this.classifier.records[flow]!.id);
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
      const flow = this.#nameWaits.longest();
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
    if (this.#options.looksUpOwn === true && record.facts.processLookup === Lookup.NotTried) {
      deliberation.stage = Stage.Process;
      return this.#request(flow, record, Stage.Process);
    }
    let stage = deliberation.advance(record.facts, this.#options.decider);
    if (stage === Stage.Name && (this.#mustDecide(flow) || this.#mayNotWait(flow, record))) {
      this.classifier.stopSniffing(record);
      stage = deliberation.advance(record.facts, this.#options.decider);
    }
    if (stage === Stage.Name) {
      if (waited !== Stage.Name) this.#nameWaits.start(flow, record.facts.destinationPort, now);
      if (record.facts.network === "tcp" && this.#ends !== undefined) this.#openEarly(flow, record, now);
      return;
    }
    if (stage === Stage.Decided) this.#commit(flow, record, deliberation, now);
    else if (stage !== waited) this.#request(flow, record, stage);
  }

  #mustDecide(flow: FlowIndex): boolean {
    const table = this.classifier.table;
    return table.waitingCount[flow]! >= FLOW_WAITING_COUNT_MAX || (table.seen[flow]! & Seen.Reset) !== 0;
  }

  /** What was diverted is not answered for its name where one is known, or where the connection had begun before. */
  #mayNotWait(flow: FlowIndex, { facts }: FlowRecord): boolean {
    if (facts.network !== "tcp" || this.#ends === undefined || this.#isStackHere()) return false;
    return facts.host !== "" || isMidway(this.classifier.table, flow);
  }

  /** Only a connection brings a TCP flow's first bytes: the stack answers before the flow is decided. */
  #openEarly(flow: FlowIndex, record: FlowRecord, now: Micros): void {
    if (this.#isOpenedEarly(flow)) return;
    this.#ends!.openEarly(flow, record.id, record.facts);
    this.#actOnWaiting(flow, Action.Terminate, now);
  }

  #request(flow: FlowIndex, record: FlowRecord, stage: Stage): void {
    const facts = record.facts;
    this.#nameWaits.stop(flow);
    this.#awaited.set(record.id, flow);
    if (stage === Stage.Process) this.commands.push({ kind: "findProcess", flow: record.id, facts });
    else if (stage === Stage.Policy) this.commands.push({ kind: "askPolicy", flow: record.id, facts });
    else this.commands.push({ kind: "resolve", flow: record.id, host: facts.host });
  }

  #commit(flow: FlowIndex, record: FlowRecord, deliberation: Deliberation, now: Micros): void {
    const table = this.classifier.table;
    this.#nameWaits.stop(flow);
    this.#awaited.delete(record.id);
    const ends = this.#ends;
    const isEarly = this.#isOpenedEarly(flow);
    if (ends !== undefined && !ends.isNetwork && !isEarly) {
      leaveAlone(deliberation, this.arena, table.waitingHead[flow]!, table, flow);
    }
    const action = actionOf(deliberation.verdict.action);
    table.action[flow] = ends === undefined ? action : ends.actionOf(action, record.facts, isEarly);
    table.program[flow] = this.programs.idOf(deliberation.verdict.effects?.program);
    deliberation.noteHost(record.facts);
    this.#options.observer.flowDecided(flow, record, deliberation);
    if (table.action[flow]! >= Action.Terminate) ends!.decided(flow, record.id, record.facts, deliberation.verdict);
    else if (isEarly) ends!.refused(record.id, record.facts, action === Action.Drop, now);
    this.#actOnWaiting(flow, table.action[flow]!, now);
  }

  /** Ends the packets that waited for a flow's decision. */
  #actOnWaiting(flow: FlowIndex, action: number, now: Micros): void {
    const table = this.classifier.table;
    const program = table.program[flow]!;
    let slot = table.waitingHead[flow]!;
    table.waitingHead[flow] = NO_SLOT;
    table.waitingTail[flow] = NO_SLOT;
    table.waitingCount[flow] = 0;
    while (slot !== NO_SLOT) {
      const next = this.arena.next[slot]!;
      // The packet was whole and sound when it came in; only a later fragment has no ports to tell its direction by.
      const readable = parse(this.arena, slot, Verify.None, this.#meta) === DropReason.None;
      const fromSource = readable && this.#meta.fragment !== Fragment.Later && table.isFromSource(flow, this.#meta);
      if (action >= Action.Terminate) {
        this.arena.next[slot] = NO_SLOT;
        this.#terminate(flow, slot, slot, fromSource, now);
      } else {
        this.#actor.act(action, slot, this.#meta, fromSource, program, now);
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
    if (event.kind === "processFound" && event.owner?.isSelf === true) deliberation.decideOwn();
    if (deliberation.stage === Stage.Decided) this.#commit(flow, this.classifier.records[flow]!, deliberation, now);
    else {
      deliberation.stage = Stage.New;
      this.#deliberate(flow, now);
    }
  }

  #handleDial(event: DialEvent, now: Micros): void {
    const refused = this.#ends === undefined ? NO_FLOW : this.#ends.handle(event, now);
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

  /** A server's packet, as its application will see it, belongs to its flow. */
  packetTranslated(slot: Slot, meta: PacketMeta, now: Micros): void {
    if (this.classifier.table.find(meta) === NO_FLOW) return;
    this.arena.flow[slot] = this.classifier.classify(this.arena, slot, meta, 1, now);
  }

  /** Ends everything: what waits is decided with what is known, what is incomplete is given up, every flow ends. */
  finish(now: Micros): void {
    this.#fragments.expire(NEVER);
    this.#expireWaits(NEVER, now);
  }

  /** Ends every flow that is left; call it once no command is under way. */
  endFlows(): void {
    this.programs.flush(micros(this.#clock[0]!));
    const records = this.classifier.records;
    for (let flow = 0; flow < records.length; flow++) if (records[flow] !== undefined) this.classifier.end(flow);
  }

  #giveUpName(flow: FlowIndex, now: Micros): void {
    this.#nameWaits.stop(flow);
    this.classifier.stopSniffing(this.classifier.records[flow]!);
    this.#deliberate(flow, now);
  }

  #expire(now: Micros): void {
    this.programs.poll(now);
    if (this.#ends !== undefined) this.#ends.poll(now);
    this.#fragments.expire(now);
    this.#expireWaits(now, now);
    for (let flow = this.classifier.table.expired(now); flow >= 0; flow = this.classifier.table.expired(now)) {
      this.classifier.end(flow);
    }
  }

  #expireWaits(until: Micros, now: Micros): void {
    for (let flow = this.#nameWaits.expired(until); flow !== NO_FLOW; flow = this.#nameWaits.expired(until)) {
      this.#giveUpName(flow, now);
    }
  }

  /** When `poll` wants to be called at the latest; the host's own calls to connections may have moved it since the last poll. */
  deadline(): Micros {
    let next = Math.min(this.classifier.table.nextExpiry(), this.#nameWaits.nextDeadline(), this.programs.nextDue);
    if (this.#ends !== undefined) next = Math.min(next, this.#ends.nextDeadline());
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
    this.#nameWaits.stop(flow);
    this.#awaited.delete(record.id);
    this.#fragments.dropChain(table.waitingHead[flow]!, DropReason.FlowEnded);
    table.waitingHead[flow] = NO_SLOT;
    if (this.#ends !== undefined) this.#ends.ended(record.id, micros(this.#clock[0]!));
    this.#options.observer.flowEnded(flow, record, deliberation);
    this.#deliberations[flow] = undefined;
  }
}
