/**
 * Connections whose headers are rewritten: the tuple that the application uses, the tuple that this machine's own TCP sees instead, and how
 * far the connection has come.
 *
 * Read first: RFC 5382 sections 5 and 7 (what ends a NAT's mapping), RFC 9293 section 3.6 (closing), RFC 6191 (a SYN on a tuple in TIME-WAIT).
 *
 * ```
 *  SYN ──► Opening ──SYN-ACK──► Open ──both FINs seen──► Closing ──both acknowledged──► TimeWait ──► gone
 *             └────────────────── a reset, either way ──► Broken ──► gone     (a single FIN changes nothing)
 * ```
 */
import { invariant } from "../base/invariant.ts";
import {
  NAT_BROKEN_US,
  NAT_CLOSING_IDLE_US,
  NAT_ENTRY_COUNT_MAX,
  NAT_TIME_WAIT_US,
  TCP_EMBRYONIC_IDLE_US,
  TCP_IDLE_US,
} from "../base/limits.ts";
import { type Micros, micros, NEVER } from "../base/micros.ts";
import { ACKNOWLEDGMENT, type PacketMeta, SEQUENCE } from "../parse/packet_meta.ts";
import { seqAdd, seqLess, seqLessOrEqual } from "../wire/seq.ts";
import * as tcp from "../wire/tcp.ts";
import { TupleIndex, type TupleKey } from "./tuple_index.ts";

/** Index of an entry; used again after the entry has died. */
export type NatEntry = number;

/** No entry. */
export const NO_ENTRY: NatEntry = -1;

/** How far a connection has come. */
export const NatPhase = { Opening: 0, Open: 1, Closing: 2, TimeWait: 3, Broken: 4 } as const;
/** A value of `NatPhase`. */
export type NatPhase = (typeof NatPhase)[keyof typeof NatPhase];

const IDLE_US: readonly number[] = [
  TCP_EMBRYONIC_IDLE_US,
  TCP_IDLE_US,
  NAT_CLOSING_IDLE_US,
  NAT_TIME_WAIT_US,
  NAT_BROKEN_US,
];
const PHASE_COUNT = IDLE_US.length;
/** The order in which entries make room for new ones when the table is full: the least is lost with the first. */
const EVICTION_ORDER: readonly NatPhase[] = [
  NatPhase.Broken,
  NatPhase.TimeWait,
  NatPhase.Opening,
  NatPhase.Closing,
  NatPhase.Open,
];

const APP_FIN = 1;
const LISTENER_FIN = 2;
const APP_FIN_ACKED = 4;
const LISTENER_FIN_ACKED = 8;
const LISTENER_SYN = 16;
const BOTH_FINS = APP_FIN | LISTENER_FIN;
const BOTH_ACKED = APP_FIN_ACKED | LISTENER_FIN_ACKED;

/** Columns of entries, two indexes over them, and a list for each phase in order of last activity. */
export class NatTable {
  readonly capacity: number;
  /** The application's side is the source. */
  readonly original: TupleIndex;
  /** What the system's TCP sees: its peer is the source, our listener the destination. */
  readonly translated: TupleIndex;
  /** Ids of the flows, as the classifier counts them. */
  readonly flow: Float64Array;
  readonly initialSequence: Uint32Array;
  /** The sequence number after the last byte that each side has sent, as far as it has come by here. */
  readonly appNext: Uint32Array;
  readonly listenerNext: Uint32Array;
  /** 1: nothing more is to pass; each side is told so by a reset. 2: the application is told nothing. */
  readonly aborted: Uint8Array;
  /** Entries by the ids of their flows. */
  readonly #entries = new Map<number, NatEntry>();
  /** Entries that had to die early because the table was full. */
  evicted = 0;
  readonly #appFin: Uint32Array;
  readonly #listenerFin: Uint32Array;
  readonly #seen: Uint8Array;
  readonly #phase: Uint8Array;
  readonly #lastActive: Float64Array;
  readonly #older: Int32Array;
  readonly #newer: Int32Array;
  readonly #oldest = new Int32Array(PHASE_COUNT).fill(NO_ENTRY);
  readonly #newest = new Int32Array(PHASE_COUNT).fill(NO_ENTRY);
  readonly #free: Int32Array;
  #freeCount: number;

  /** `secret` makes hashes unpredictable to whoever sends packets. */
  constructor(secret: number, capacity: number = NAT_ENTRY_COUNT_MAX) {
    this.capacity = capacity;
    this.original = new TupleIndex(secret, capacity);
    this.translated = new TupleIndex(Math.imul(secret, 0x9e3779b1) ^ 0x5bd1e995, capacity);
    this.flow = new Float64Array(capacity);
    this.initialSequence = new Uint32Array(capacity);
    this.appNext = new Uint32Array(capacity);
    this.listenerNext = new Uint32Array(capacity);
    this.aborted = new Uint8Array(capacity);
    this.#appFin = new Uint32Array(capacity);
    this.#listenerFin = new Uint32Array(capacity);
    this.#seen = new Uint8Array(capacity);
    this.#phase = new Uint8Array(capacity);
    this.#lastActive = new Float64Array(capacity);
    this.#older = new Int32Array(capacity).fill(NO_ENTRY);
    this.#newer = new Int32Array(capacity).fill(NO_ENTRY);
    this.#free = new Int32Array(capacity);
    for (let i = 0; i < capacity; i++) this.#free[i] = capacity - 1 - i;
    this.#freeCount = capacity;
  }

  /** Entries that live. */
  get count(): number {
    return this.capacity - this.#freeCount;
  }

  /** The entry of a flow, or `NO_ENTRY`. */
  entryOf(flow: number): NatEntry {
    return this.#entries.get(flow) ?? NO_ENTRY;
  }

  phaseOf(entry: NatEntry): NatPhase {
    return this.#phase[entry]! as NatPhase;
  }

  /** Enters a connection that its SYN opens. The entry that means least goes when there is no room. Both tuples must be new. */
  add(original: TupleKey, translated: TupleKey, flow: number, initialSequence: number, now: Micros): NatEntry {
    if (this.#freeCount === 0) this.#evict();
    const entry = this.#free[--this.#freeCount]!;
    this.original.add(entry, original);
    this.translated.add(entry, translated);
    this.flow[entry] = flow;
    this.#entries.set(flow, entry);
    this.initialSequence[entry] = initialSequence;
    this.appNext[entry] = initialSequence;
    this.listenerNext[entry] = 0;
    this.aborted[entry] = 0;
    this.#seen[entry] = 0;
    this.#phase[entry] = NatPhase.Opening;
    this.#lastActive[entry] = now;
    this.#append(entry);
    return entry;
  }

  remove(entry: NatEntry): void {
    invariant(this.#freeCount < this.capacity, "a NAT entry is removed once");
    if (this.#entries.get(this.flow[entry]!) === entry) this.#entries.delete(this.flow[entry]!);
    this.original.remove(entry);
    this.translated.remove(entry);
    this.#unlink(entry);
    this.#free[this.#freeCount++] = entry;
  }

  /** True while somebody may still want this connection: a SYN on its tuple is then a repeated one or nonsense, and not a new connection. */
  isRepeatedSyn(entry: NatEntry, sequence: number): boolean {
    return this.initialSequence[entry] === sequence && this.#phase[entry]! <= NatPhase.Open;
  }

  /** True once the listener has answered the SYN. */
  isAnswered(entry: NatEntry): boolean {
    return (this.#seen[entry]! & LISTENER_SYN) !== 0;
  }

  /** Takes note of a packet from the application (`isFromApp`) or from the listener, before it goes on. */
  observe(entry: NatEntry, meta: PacketMeta, isFromApp: boolean, now: Micros): void {
    const { flags, words } = meta;
    const ends = (flags & tcp.SYN ? 1 : 0) + (flags & tcp.FIN ? 1 : 0);
    const next = seqAdd(words[SEQUENCE]!, meta.payloadLength + ends);
    let seen = this.#seen[entry]!;
    if (isFromApp) {
      if ((flags & tcp.RST) === 0 && seqLess(this.appNext[entry]!, next)) this.appNext[entry] = next;
    } else if ((seen & LISTENER_SYN) === 0 || seqLess(this.listenerNext[entry]!, next)) {
      if ((flags & tcp.RST) === 0) this.listenerNext[entry] = next;
    }
    if (!isFromApp && (flags & tcp.SYN) !== 0) seen |= LISTENER_SYN;
    if ((flags & tcp.FIN) !== 0) {
      (isFromApp ? this.#appFin : this.#listenerFin)[entry] = next;
      seen |= isFromApp ? APP_FIN : LISTENER_FIN;
    }
    if ((flags & tcp.ACK) !== 0) seen |= this.#acked(entry, seen, words[ACKNOWLEDGMENT]!, isFromApp);
    this.#seen[entry] = seen;
    this.#touch(entry, this.#phaseAfter(entry, flags, seen), now);
  }

  #acked(entry: NatEntry, seen: number, acknowledgment: number, isFromApp: boolean): number {
    if (isFromApp) {
      const isAcked = (seen & LISTENER_FIN) !== 0 && seqLessOrEqual(this.#listenerFin[entry]!, acknowledgment);
      return isAcked ? LISTENER_FIN_ACKED : 0;
    }
    return (seen & APP_FIN) !== 0 && seqLessOrEqual(this.#appFin[entry]!, acknowledgment) ? APP_FIN_ACKED : 0;
  }

  /** A reset may be one that its receiver does not believe (RFC 5961 section 3.2): what comes after it shows that the connection lives. */
  #phaseAfter(entry: NatEntry, flags: number, seen: number): NatPhase {
    if ((flags & tcp.RST) !== 0) return NatPhase.Broken;
    if ((seen & BOTH_ACKED) === BOTH_ACKED) return NatPhase.TimeWait;
    if ((seen & BOTH_FINS) === BOTH_FINS) return NatPhase.Closing;
    if (this.aborted[entry] !== 0) return NatPhase.Broken;
    return (seen & LISTENER_SYN) !== 0 ? NatPhase.Open : NatPhase.Opening;
  }

  /** Lets nothing more pass. `isSilent`: the application hears nothing of it. */
  abort(entry: NatEntry, isSilent: boolean, now: Micros): void {
    this.aborted[entry] = isSilent ? 2 : 1;
    this.#touch(entry, NatPhase.Broken, now);
  }

  /** The entry whose time is over at `now`, or `NO_ENTRY`; it stays until it is removed. */
  expired(now: Micros): NatEntry {
    for (let phase = 0; phase < PHASE_COUNT; phase++) {
      const entry = this.#oldest[phase]!;
      if (entry !== NO_ENTRY && this.#lastActive[entry]! + IDLE_US[phase]! <= now) return entry;
    }
    return NO_ENTRY;
  }

  /** When the next entry's time is over. */
  nextExpiry(): Micros {
    let next: number = NEVER;
    for (let phase = 0; phase < PHASE_COUNT; phase++) {
      const entry = this.#oldest[phase]!;
      if (entry === NO_ENTRY) continue;
      const at = this.#lastActive[entry]! + IDLE_US[phase]!;
      if (at < next) next = at;
    }
    return micros(next);
  }

  #evict(): void {
    for (let i = 0; i < PHASE_COUNT; i++) {
      const entry = this.#oldest[EVICTION_ORDER[i]!]!;
      if (entry === NO_ENTRY) continue;
      this.evicted++;
      return this.remove(entry);
    }
  }

  /** A closed connection that is still being spoken of does not live longer for it, but in TIME-WAIT: a FIN came again. */
  #touch(entry: NatEntry, phase: NatPhase, now: Micros): void {
    if (this.#newest[phase] === entry) {
      this.#lastActive[entry] = now;
      return;
    }
    this.#unlink(entry);
    this.#phase[entry] = phase;
    this.#lastActive[entry] = now;
    this.#append(entry);
  }

  #append(entry: NatEntry): void {
    const phase = this.#phase[entry]!;
    const last = this.#newest[phase]!;
    this.#older[entry] = last;
    this.#newer[entry] = NO_ENTRY;
    if (last === NO_ENTRY) this.#oldest[phase] = entry;
    else this.#newer[last] = entry;
    this.#newest[phase] = entry;
  }

  #unlink(entry: NatEntry): void {
    const phase = this.#phase[entry]!;
    const older = this.#older[entry]!;
    const newer = this.#newer[entry]!;
    if (older === NO_ENTRY) this.#oldest[phase] = newer;
    else this.#newer[older] = newer;
    if (newer === NO_ENTRY) this.#newest[phase] = older;
    else this.#older[newer] = older;
  }
}
