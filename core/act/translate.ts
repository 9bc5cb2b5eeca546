/**
 * TCP flows that end in the system's own TCP: their packets are rewritten so that a listener of ours is their destination, and back.
 *
 * ```
 *  on a TUN device     app:p → server:q   becomes   peer:n → device:L        and    device:L → peer:n   becomes   server:q → app:p
 *  where diverted      app:p → server:q   becomes   server:n → app:L, inbound;      app:L → server:n    becomes   server:q → app:p, inbound
 *  on the loopback     app:p → server:q   becomes   app:n → server:L, outbound;     server:L → app:n    becomes   server:q → app:p, outbound
 * ```
 *
 * A SYN waits until the far side is there, so that the application sees a refusal as what it is; where a flow's first bytes are needed for its
 * decision, the SYN goes through at once.
 */
import type { Adapter } from "../adapter/adapter.ts";
import { type Arena, Direction, NO_SLOT, type Slot } from "../adapter/arena.ts";
import { copyBytes } from "../base/byte_ring.ts";
import type { IpAddress } from "../base/ip_address.ts";
import { NAT_SYN_BYTES_MAX } from "../base/limits.ts";
import type { Micros } from "../base/micros.ts";
import type { FlowFacts } from "../classify/facts.ts";
import type { FlowIndex } from "../classify/flow_table.ts";
import type { Verdict } from "../decide/verdict.ts";
import { DropReason } from "../parse/drop_reason.ts";
import { ACKNOWLEDGMENT, DESTINATION, PacketMeta, SEQUENCE, SOURCE } from "../parse/packet_meta.ts";
import { parse, Verify } from "../parse/parse.ts";
import { Refuser } from "../stack/refuse.ts";
import type { Stack } from "../stack/stack.ts";
import * as tcp from "../wire/tcp.ts";
import type { Command, DialEvent } from "./command.ts";
import type { Counters } from "./counters.ts";
import { directAnswer } from "./made_packet.ts";
import { isLoopbackKey, NatPorts } from "./nat_ports.ts";
import { type NatEntry, NatPhase, NatTable, NO_ENTRY } from "./nat_table.ts";
import { clampSegmentSize, rewriteTuple } from "./rewrite_tcp.ts";
import { ICMP_OF } from "./terminate.ts";
import type { TranslateOptions } from "./translate_options.ts";
import { KEY_DESTINATION, KEY_WORDS, keyOfPacket, PORTS, type TupleIndex } from "./tuple_index.ts";

/** Who hears of a server's packets once they look as the application will see them. */
export interface TranslatedObserver {
  packetTranslated(slot: Slot, meta: PacketMeta, now: Micros): void;
}

/** One flow that is not over in the flow table. */
interface TranslatedFlow {
  readonly index: FlowIndex;
  readonly facts: FlowFacts;
  /** Undefined while the flow is not decided. */
  verdict: Verdict | undefined;
  /** The SYN that waits for the far side. */
  syn: Uint8Array | undefined;
  isDialing: boolean;
}

/** The rewritten connections of an engine. */
export class Translator {
  readonly table: NatTable;
  readonly #arena: Arena;
  /** Where packets leave to our listener, and to the application. */
  readonly #device: Adapter;
  readonly #adapter: Adapter;
  readonly #counters: Counters;
  readonly #commands: Command[];
  readonly #observer: TranslatedObserver;
  readonly #stack: Stack | undefined;
  readonly #ports: NatPorts;
  readonly #listenerWords: Uint32Array;
  readonly #flows = new Map<number, TranslatedFlow>();
  readonly #refuser = new Refuser();
  readonly #key = new Uint32Array(KEY_WORDS);
  readonly #chosen = new Uint32Array(KEY_WORDS);
  readonly #madeMeta = new PacketMeta();

  constructor(
    options: TranslateOptions,
    arena: Arena,
    device: Adapter,
    adapter: Adapter,
    counters: Counters,
    commands: Command[],
    observer: TranslatedObserver,
    stack: Stack | undefined,
  ) {
    this.table = new NatTable(options.secret);
    this.#arena = arena;
    this.#device = device;
    this.#adapter = adapter;
    this.#counters = counters;
    this.#commands = commands;
    this.#observer = observer;
    this.#stack = stack;
    this.#ports = new NatPorts(options.listeners, options.secret);
    this.#listenerWords = createListenerWords(options.listeners);
  }

  /** True when flows of a version are rewritten. */
  carries(version: 4 | 6): boolean {
    return this.#ports.listenPort(version) !== 0;
  }

  // ── packets ──

  /** True for a packet that our listener sends, or that looks so: it belongs to no flow as it stands. */
  isFromListener(slot: Slot, meta: PacketMeta): boolean {
    if (meta.protocol !== tcp.PROTOCOL || meta.sourcePort !== this.#ports.listenPort(meta.version)) return false;
    if (this.#ports.isReflecting) return this.#arena.direction[slot] !== Direction.Inbound;
    const at = meta.version === 4 ? 0 : 4;
    for (let word = 0; word < 4; word++) {
      if (meta.words[SOURCE + word] !== this.#listenerWords[at + word]) return false;
    }
    return true;
  }

  /** True when a packet of an application belongs to a connection that is rewritten already. */
  isKnown(meta: PacketMeta): boolean {
    return this.#find(meta) !== NO_ENTRY;
  }

  #find(meta: PacketMeta): NatEntry {
    keyOfPacket(meta, false, this.#key);
    const entry = this.table.original.find(this.#key);
    if (entry === NO_ENTRY || (meta.flags & (tcp.SYN | tcp.ACK)) !== tcp.SYN) return entry;
    return this.table.isRepeatedSyn(entry, meta.words[SEQUENCE]!) ? entry : NO_ENTRY;
  }

  /** Ends the packets chained from `head`, an application's packet that is read from `whole`: to the listener, or waiting as a SYN. */
  carry(whole: Slot, head: Slot, meta: PacketMeta, id: number, fromSource: boolean, now: Micros): void {
    // Nobody but the application may speak on a connection that is rewritten.
    if (!fromSource) return this.#drop(head, DropReason.NoConnection);
    const entry = this.#find(meta);
    if (entry !== NO_ENTRY) return this.#forward(whole, head, meta, entry, now);
    const flow = this.#flows.get(id);
    const isSyn = (meta.flags & (tcp.SYN | tcp.ACK | tcp.RST)) === tcp.SYN;
    if (flow === undefined || !isSyn) {
      if (flow !== undefined && (meta.flags & tcp.RST) !== 0) this.#giveUp(id, flow);
      else this.#answerReset(meta, now);
      return this.#drop(head, DropReason.NoConnection);
    }
    if (flow.verdict === undefined) {
      const opened = this.#open(meta, id, now);
      if (opened !== NO_ENTRY) return this.#forward(whole, head, meta, opened, now);
      this.#answerReset(meta, now);
      return this.#drop(head, DropReason.QueueFull);
    }
    this.#keepSyn(head, meta, id, flow);
  }

  /** Takes a SYN in until the far side is there. A repeated one changes nothing. */
  #keepSyn(head: Slot, meta: PacketMeta, id: number, flow: TranslatedFlow): void {
    if (meta.ipLength > NAT_SYN_BYTES_MAX) return this.#drop(head, DropReason.QueueFull);
    flow.syn = createCopy(this.#arena.bytes, meta.ipAt, meta.payloadAt + meta.payloadLength - meta.ipAt);
    this.#consume(head);
    if (flow.isDialing) return;
    flow.isDialing = true;
    this.#commands.push({ kind: "dial", flow: id, facts: flow.facts, verdict: flow.verdict! });
  }

  /** The application does not want the far side any more. */
  #giveUp(id: number, flow: TranslatedFlow): void {
    flow.syn = undefined;
    if (!flow.isDialing) return;
    flow.isDialing = false;
    this.#commands.push({ kind: "cancelDial", flow: id });
  }

  /** Makes an entry for the SYN in `meta`. What a dead connection on the same tuple left goes first. */
  #open(meta: PacketMeta, id: number, now: Micros): NatEntry {
    const { table } = this;
    keyOfPacket(meta, false, this.#key);
    const old = table.original.find(this.#key);
    // The system may still hold the old connection's tuple: the new one gets another.
    const free = this.#ports.choose(meta.version, this.#key, old === NO_ENTRY, table.translated, this.#chosen);
    if (old !== NO_ENTRY) table.remove(old);
    return free ? table.add(this.#key, this.#chosen, id, meta.words[SEQUENCE]!, now) : NO_ENTRY;
  }

  #forward(whole: Slot, head: Slot, meta: PacketMeta, entry: NatEntry, now: Micros): void {
    const { table } = this;
    table.observe(entry, meta, true, now);
    if (table.aborted[entry] !== 0) {
      if (table.aborted[entry] === 1) this.#answerReset(meta, now);
      return this.#drop(head, DropReason.NoConnection);
    }
    if ((meta.flags & tcp.SYN) !== 0) clampSegmentSize(this.#arena.view, meta, this.#adapter.capabilities.mtu);
    rewriteTuple(this.#arena.view, meta, table.translated, entry, false);
    this.#leave(whole, head, entry, this.#device, now);
  }

  /** Ends the packets chained from `head`, which our listener sent: to the application. */
  carryBack(whole: Slot, head: Slot, meta: PacketMeta, now: Micros): void {
    const { table } = this;
    keyOfPacket(meta, true, this.#key);
    const entry = table.translated.find(this.#key);
    if (entry === NO_ENTRY || table.aborted[entry] !== 0) {
      if (entry !== NO_ENTRY) table.observe(entry, meta, false, now);
      this.#answerReset(meta, now);
      return this.#drop(head, DropReason.NoConnection);
    }
    table.observe(entry, meta, false, now);
    if ((meta.flags & tcp.SYN) !== 0) clampSegmentSize(this.#arena.view, meta, this.#adapter.capabilities.mtu);
    rewriteTuple(this.#arena.view, meta, table.original, entry, true);
    this.#observer.packetTranslated(whole, meta, now);
    this.#leave(whole, head, entry, this.#adapter, now);
  }

  /** Sends the rewritten packet in `whole`. Several packets that became one were taken in, and one was made. */
  #leave(whole: Slot, head: Slot, entry: NatEntry, through: Adapter, now: Micros): void {
    const arena = this.#arena;
    arena.changed[whole] = 1;
    if (this.#ports.isReflecting) this.#turn(whole, entry);
    const isMade = whole !== head;
    if (isMade) arena.tag[whole] = -1;
    const isSent = through.send(arena, whole, now);
    if (isMade) {
      if (isSent) this.#counters.generate();
      return isSent ? this.#consume(head) : this.#drop(head, DropReason.DeviceFull);
    }
    if (isSent) this.#counters.deliver();
    else this.#counters.drop(DropReason.DeviceFull);
    arena.release(whole);
  }

  /** A packet that turns round is no longer the one that its device gave; between loopback addresses it goes on as that. */
  #turn(slot: Slot, entry: NatEntry): void {
    const arena = this.#arena;
    const { original } = this.table;
    for (let word = 0; word < KEY_WORDS; word++) this.#key[word] = original.word(entry, word);
    if (isLoopbackKey(this.#key)) {
      arena.direction[slot] = Direction.Outbound;
      return;
    }
    arena.disown(slot);
    arena.direction[slot] = Direction.Inbound;
  }

  #consume(head: Slot): void {
    for (let slot = head; slot !== NO_SLOT;) {
      const next = this.#arena.next[slot]!;
      this.#counters.consume();
      this.#arena.release(slot);
      slot = next;
    }
  }

  #drop(head: Slot, reason: DropReason): void {
    for (let slot = head; slot !== NO_SLOT;) {
      const next = this.#arena.next[slot]!;
      this.#counters.drop(reason);
      this.#arena.release(slot);
      slot = next;
    }
  }

  /** Answers the packet of `meta` with the reset that fits it, unless it is one. */
  #answerReset(meta: PacketMeta, now: Micros): void {
    const arena = this.#arena;
    const slot = arena.acquire();
    if (slot === NO_SLOT) return;
    if (this.#refuser.reset(arena, meta, slot)) {
      directAnswer(arena, slot);
      if (this.#device.send(arena, slot, now)) this.#counters.generate();
    }
    arena.release(slot);
  }

  // ── flows ──

  /** True for a flow whose packets go to the listener although it is not decided. */
  isOpenedEarly(id: number): boolean {
    return this.#flows.has(id);
  }

  /** Lets a flow's handshake happen before the flow is decided, as its first bytes are needed for that. */
  openEarly(index: FlowIndex, id: number, facts: FlowFacts): void {
    this.#flows.set(id, { index, facts, verdict: undefined, syn: undefined, isDialing: false });
  }

  /** A flow is decided and is to be rewritten: one that was opened early is dialed now, others with their SYN. */
  decided(index: FlowIndex, id: number, facts: FlowFacts, verdict: Verdict): void {
    const early = this.#flows.get(id);
    if (early === undefined) {
      this.#flows.set(id, { index, facts, verdict, syn: undefined, isDialing: false });
      return;
    }
    early.verdict = verdict;
    if (!this.isOpen(id)) return;
    early.isDialing = true;
    this.#commands.push({ kind: "dial", flow: id, facts, verdict });
  }

  /** A flow that was opened early shall not go on: with a reset, or silently. */
  refused(id: number, isSilent: boolean, now: Micros): void {
    const flow = this.#flows.get(id);
    if (flow === undefined) return;
    this.#flows.delete(id);
    this.#abort(id, isSilent, now);
  }

  /** Breaks a carried flow off: the application is told by a reset, and whatever comes from either side is answered with one. */
  abort(id: number, now: Micros): void {
    this.#abort(id, false, now);
  }

  #abort(id: number, isSilent: boolean, now: Micros): void {
    const { table } = this;
    const entry = table.entryOf(id);
    if (entry === NO_ENTRY || table.aborted[entry] !== 0 || table.phaseOf(entry) >= NatPhase.TimeWait) return;
    table.abort(entry, isSilent, now);
    const isAnswered = table.isAnswered(entry);
    if (!isSilent) {
      // The reset that the application would get for the last packet it sent.
      this.#makeMeta(table.original, entry, false, isAnswered ? tcp.ACK : tcp.SYN);
      this.#madeMeta.words[SEQUENCE] = isAnswered ? table.appNext[entry]! : table.initialSequence[entry]!;
      this.#madeMeta.words[ACKNOWLEDGMENT] = table.listenerNext[entry]!;
      this.#answerReset(this.#madeMeta, now);
    }
    if (!isAnswered) return;
    this.#makeMeta(table.translated, entry, true, tcp.ACK);
    this.#madeMeta.words[ACKNOWLEDGMENT] = table.appNext[entry]!;
    this.#answerReset(this.#madeMeta, now);
  }

  /** Writes what a packet of an entry's tuple would be read as. */
  #makeMeta(tuples: TupleIndex, entry: NatEntry, isReversed: boolean, flags: number): void {
    const meta = this.#madeMeta;
    const ports = tuples.word(entry, PORTS);
    const isV4 = tuples.word(entry, 0) === 0 && tuples.word(entry, 1) === 0 && tuples.word(entry, 2) === 0xffff;
    for (let word = 0; word < 4; word++) {
      meta.words[(isReversed ? DESTINATION : SOURCE) + word] = tuples.word(entry, word);
      meta.words[(isReversed ? SOURCE : DESTINATION) + word] = tuples.word(entry, KEY_DESTINATION + word);
    }
    meta.version = isV4 ? 4 : 6;
    meta.protocol = tcp.PROTOCOL;
    meta.sourcePort = isReversed ? ports & 0xffff : ports >>> 16;
    meta.destinationPort = isReversed ? ports >>> 16 : ports & 0xffff;
    meta.payloadLength = 0;
    meta.flags = flags;
  }

  /** A flow has left the flow table. A connection goes on by its own time. */
  ended(id: number): void {
    this.#flows.delete(id);
  }

  /** True when an event is for a flow that is rewritten. */
  has(id: number): boolean {
    return this.#flows.has(id);
  }

  /** Takes the host's answer to "dial": the SYN goes on, or its application is told why not. */
  handle(event: DialEvent, now: Micros): void {
    const flow = this.#flows.get(event.flow);
    if (flow === undefined) return;
    flow.isDialing = false;
    const syn = flow.syn;
    flow.syn = undefined;
    if (syn === undefined) {
      if (event.kind === "dialFailed") this.#abort(event.flow, false, now);
      return;
    }
    const slot = this.#restore(syn);
    if (slot === NO_SLOT) return;
    if (event.kind === "dialed") this.#passSyn(slot, event.flow, now);
    else this.#refuseSyn(event, now);
    this.#arena.release(slot);
  }

  /** Puts a kept SYN back into a slot and its meta into `#madeMeta`; without a free slot the application will repeat it. */
  #restore(syn: Uint8Array): Slot {
    const arena = this.#arena;
    const slot = arena.acquire();
    if (slot === NO_SLOT) return NO_SLOT;
    copyBytes(syn, 0, arena.bytes, arena.at(slot), syn.length);
    arena.length[slot] = syn.length;
    arena.wireLength[slot] = syn.length;
    if (parse(arena, slot, Verify.None, this.#madeMeta) === DropReason.None) return slot;
    arena.release(slot);
    return NO_SLOT;
  }

  #passSyn(slot: Slot, id: number, now: Micros): void {
    const meta = this.#madeMeta;
    const entry = this.#open(meta, id, now);
    if (entry === NO_ENTRY) return this.#answerReset(meta, now);
    this.table.observe(entry, meta, true, now);
    clampSegmentSize(this.#arena.view, meta, this.#adapter.capabilities.mtu);
    rewriteTuple(this.#arena.view, meta, this.table.translated, entry, false);
    this.#arena.changed[slot] = 1;
    directAnswer(this.#arena, slot);
    if (this.#device.send(this.#arena, slot, now)) this.#counters.generate();
  }

  #refuseSyn(event: DialEvent, now: Micros): void {
    const why = event.kind === "dialFailed" ? ICMP_OF[event.error] : undefined;
    if (why === undefined || this.#stack === undefined) this.#answerReset(this.#madeMeta, now);
    else this.#stack.unreachable(this.#madeMeta, why, now);
  }

  /** True while a connection of a flow may still be accepted or goes on. */
  isOpen(id: number): boolean {
    const entry = this.table.entryOf(id);
    return entry !== NO_ENTRY && this.table.aborted[entry] === 0 && this.table.phaseOf(entry) !== NatPhase.Broken;
  }

  /** The flow whose connection our listener accepted, by the ends that the system tells; −1 when it is none of ours. */
  flowOfAccepted(remote: IpAddress, remotePort: number, local: IpAddress, localPort: number): number {
    const key = this.#key;
    key.set([remote.w0, remote.w1, remote.w2, remote.w3, local.w0, local.w1, local.w2, local.w3]);
    key[PORTS] = (remotePort << 16) | localPort;
    const entry = this.table.translated.find(this.#key);
    return entry === NO_ENTRY ? -1 : this.table.flow[entry]!;
  }

  // ── time ──

  /** Lets connections die whose time is over. */
  expire(now: Micros): void {
    for (let entry = this.table.expired(now); entry !== NO_ENTRY; entry = this.table.expired(now)) {
      this.table.remove(entry);
    }
  }

  /** When `expire` is due. */
  nextExpiry(): Micros {
    return this.table.nextExpiry();
  }
}

function createCopy(bytes: Uint8Array, at: number, length: number): Uint8Array {
  const copy = new Uint8Array(length);
  copyBytes(bytes, at, copy, 0, length);
  return copy;
}

function createListenerWords(listeners: TranslateOptions["listeners"]): Uint32Array {
  const words = new Uint32Array(8);
  if (listeners.way === "tun") {
    if (listeners.v4 !== undefined) words.set(wordsOf(listeners.v4.address), 0);
    if (listeners.v6 !== undefined) words.set(wordsOf(listeners.v6.address), 4);
  }
  return words;
}

function wordsOf({ w0, w1, w2, w3 }: IpAddress): number[] {
  return [w0, w1, w2, w3];
}
