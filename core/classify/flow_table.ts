/** The flows there are: typed-array columns, found by 5-tuple in either direction, expired in order of last activity. */
import { invariant } from "../base/invariant.ts";
import { FLOW_COUNT_MAX, TCP_CLOSED_IDLE_US, TCP_EMBRYONIC_IDLE_US, TCP_IDLE_US, UDP_IDLE_US } from "../base/limits.ts";
import { type Micros, micros, NEVER } from "../base/micros.ts";
import { DESTINATION, type PacketMeta, SOURCE } from "../parse/packet_meta.ts";
import * as tcp from "../wire/tcp.ts";

/** Index of a flow in the table; used again after the flow has ended. */
export type FlowIndex = number;

/** No flow. */
export const NO_FLOW: FlowIndex = -1;

/** How long a flow may be idle depends on its class; each class is a list in order of last activity. */
export const IdleClass = { Udp: 0, TcpEmbryonic: 1, TcpOpen: 2, TcpClosed: 3 } as const;
/** A value of `IdleClass`. */
export type IdleClass = (typeof IdleClass)[keyof typeof IdleClass];

const IDLE_US: readonly number[] = [UDP_IDLE_US, TCP_EMBRYONIC_IDLE_US, TCP_IDLE_US, TCP_CLOSED_IDLE_US];
const CLASS_COUNT = IDLE_US.length;

/** What was seen of a TCP flow. */
export const Seen = { Syn: 1, SynAck: 2, SourceFin: 4, DestinationFin: 8, Reset: 16, Data: 32 } as const;

/** Words of a key: source address 4, destination address 4, ports, protocol and version. */
const KEY_WORDS = 10;

/** Columns of flows and an index over them. `source` in a column is the side that opened the flow. */
export class FlowTable {
  readonly capacity: number;
  /** Shape: KEY_WORDS words a flow. */
  readonly key: Uint32Array;
  /** Initial sequence number of the side that opened the flow. */
  readonly initialSequence: Uint32Array;
  readonly seen: Uint8Array;
  readonly packets: Float64Array;
  /** Captured transport payload from source to destination. Units: bytes. */
  readonly upload: Float64Array;
  readonly download: Float64Array;
  readonly lastActive: Float64Array;
  /** What is done with the flow's packets; written by the engine. */
  readonly action: Uint8Array;
  /** The number of the flow's packet program, 0 for none; written by the engine. */
  readonly program: Int16Array;
  /** Packets that wait for the decision: first, last, count. */
  readonly waitingHead: Int32Array;
  readonly waitingTail: Int32Array;
  readonly waitingCount: Uint16Array;
  readonly #class: Uint8Array;
  readonly #hash: Int32Array;
  readonly #buckets: Int32Array;
  readonly #bucketNext: Int32Array;
  readonly #older: Int32Array;
  readonly #newer: Int32Array;
  /** Shape: oldest and newest of each class. */
  readonly #oldest = new Int32Array(CLASS_COUNT).fill(NO_FLOW);
  readonly #newest = new Int32Array(CLASS_COUNT).fill(NO_FLOW);
  /** Shape: flows of each class. */
  readonly #counts = new Int32Array(CLASS_COUNT);
  readonly #closedMax: number;
  readonly #free: Int32Array;
  /** Shape: [free count, secret]. */
  readonly #state = new Int32Array(2);

  /** `secret` makes the hash unpredictable to whoever sends packets. More closed flows than `closedMax` expire before their time. */
  constructor(secret: number, capacity: number = FLOW_COUNT_MAX, closedMax: number = capacity) {
    invariant((capacity & (capacity - 1)) === 0, "the flow table's capacity is a power of two");
    this.capacity = capacity;
    this.#closedMax = closedMax;
    this.key = new Uint32Array(capacity * KEY_WORDS);
    this.initialSequence = new Uint32Array(capacity);
    this.seen = new Uint8Array(capacity);
    this.packets = new Float64Array(capacity);
    this.upload = new Float64Array(capacity);
    this.download = new Float64Array(capacity);
    this.lastActive = new Float64Array(capacity);
    this.action = new Uint8Array(capacity);
    this.program = new Int16Array(capacity);
    this.waitingHead = new Int32Array(capacity).fill(-1);
    this.waitingTail = new Int32Array(capacity).fill(-1);
    this.waitingCount = new Uint16Array(capacity);
    this.#class = new Uint8Array(capacity);
    this.#hash = new Int32Array(capacity);
    this.#buckets = new Int32Array(capacity).fill(NO_FLOW);
    this.#bucketNext = new Int32Array(capacity).fill(NO_FLOW);
    this.#older = new Int32Array(capacity).fill(NO_FLOW);
    this.#newer = new Int32Array(capacity).fill(NO_FLOW);
    this.#free = new Int32Array(capacity);
    for (let i = 0; i < capacity; i++) this.#free[i] = capacity - 1 - i;
    this.#state[0] = capacity;
    this.#state[1] = secret | 0;
  }

  /** Flows in the table. */
  get count(): number {
    return this.capacity - this.#state[0]!;
  }

  /** Flows of an idle class. */
  countOf(idleClass: IdleClass): number {
    return this.#counts[idleClass]!;
  }

  /** The flow a packet belongs to, in whichever direction, or `NO_FLOW`. */
  find(meta: PacketMeta): FlowIndex {
    const hash = this.#hashOf(meta);
    let flow = this.#buckets[hash & (this.capacity - 1)]!;
    while (flow !== NO_FLOW) {
      if (this.#hash[flow] === hash && (this.isFromSource(flow, meta) || this.#isFromDestination(flow, meta))) {
        return flow;
      }
      flow = this.#bucketNext[flow]!;
    }
    return NO_FLOW;
  }

  /** True when the packet goes from the side that opened the flow to the other; only for packets that `find` gave to this flow. */
  isFromSource(flow: FlowIndex, meta: PacketMeta): boolean {
    const key = this.key;
    const at = flow * KEY_WORDS;
    const words = meta.words;
    return key[at + 3] === words[SOURCE + 3] && key[at + 7] === words[DESTINATION + 3] &&
      key[at + 8] === ((meta.sourcePort << 16) | meta.destinationPort) >>> 0 && key[at + 9] === meta.protocol &&
      key[at + 2] === words[SOURCE + 2] && key[at + 6] === words[DESTINATION + 2] &&
      key[at + 1] === words[SOURCE + 1] && key[at + 5] === words[DESTINATION + 1] &&
      key[at] === words[SOURCE] && key[at + 4] === words[DESTINATION];
  }

  #isFromDestination(flow: FlowIndex, meta: PacketMeta): boolean {
    const key = this.key;
    const at = flow * KEY_WORDS;
    const words = meta.words;
    return key[at + 7] === words[SOURCE + 3] && key[at + 3] === words[DESTINATION + 3] &&
      key[at + 8] === ((meta.destinationPort << 16) | meta.sourcePort) >>> 0 && key[at + 9] === meta.protocol &&
      key[at + 6] === words[SOURCE + 2] && key[at + 2] === words[DESTINATION + 2] &&
      key[at + 5] === words[SOURCE + 1] && key[at + 1] === words[DESTINATION + 1] &&
      key[at + 4] === words[SOURCE] && key[at] === words[DESTINATION];
  }

  /** A symmetric hash: both directions of a flow fall into one bucket. Signed: half of all unsigned words would become heap numbers. */
  #hashOf(meta: PacketMeta): number {
    const w = meta.words;
    let sum = (w[SOURCE]! + w[DESTINATION]!) | 0;
    sum = Math.imul(sum ^ this.#state[1]!, 0x85ebca6b);
    sum = Math.imul((sum ^ (sum >>> 15)) + ((w[SOURCE + 1]! + w[DESTINATION + 1]!) | 0), 0xc2b2ae35);
    sum = Math.imul((sum ^ (sum >>> 13)) + ((w[SOURCE + 2]! + w[DESTINATION + 2]!) | 0), 0x27d4eb2f);
    sum = Math.imul((sum ^ (sum >>> 16)) + ((w[SOURCE + 3]! + w[DESTINATION + 3]!) | 0), 0x165667b1);
    sum = Math.imul(
      (sum ^ (sum >>> 15)) + (meta.sourcePort + meta.destinationPort + (meta.protocol << 17)),
      0x9e3779b1,
    );
    return (sum ^ (sum >>> 16)) | 0;
  }

  /**
   * Makes a flow of which this packet is the first; `reversed` when the packet comes from the side that was opened to.
   * `NO_FLOW` when the table is full.
   */
  create(meta: PacketMeta, reversed: boolean, now: Micros): FlowIndex {
    const count = this.#state[0]!;
    if (count === 0) return NO_FLOW;
    this.#state[0] = count - 1;
    const flow = this.#free[count - 1]!;
    const hash = this.#hashOf(meta);
    const bucket = hash & (this.capacity - 1);
    this.#hash[flow] = hash;
    this.#bucketNext[flow] = this.#buckets[bucket]!;
    this.#buckets[bucket] = flow;
    this.#writeKey(flow, meta, reversed);
    this.initialSequence[flow] = 0;
    this.seen[flow] = 0;
    this.packets[flow] = 0;
    this.upload[flow] = 0;
    this.download[flow] = 0;
    this.lastActive[flow] = now;
    this.action[flow] = 0;
    this.program[flow] = 0;
    this.waitingHead[flow] = -1;
    this.waitingTail[flow] = -1;
    this.waitingCount[flow] = 0;
    this.#class[flow] = meta.protocol === tcp.PROTOCOL ? IdleClass.TcpEmbryonic : IdleClass.Udp;
    this.#append(flow);
    return flow;
  }

  /** Turns a flow around: what was taken for its source was its destination. */
  reverse(flow: FlowIndex, meta: PacketMeta): void {
    this.#writeKey(flow, meta, false);
    const upload = this.upload[flow]!;
    this.upload[flow] = this.download[flow]!;
    this.download[flow] = upload;
  }

  #writeKey(flow: FlowIndex, meta: PacketMeta, reversed: boolean): void {
    const from = reversed ? DESTINATION : SOURCE;
    const to = reversed ? SOURCE : DESTINATION;
    const at = flow * KEY_WORDS;
    for (let word = 0; word < 4; word++) {
      this.key[at + word] = meta.words[from + word]!;
      this.key[at + 4 + word] = meta.words[to + word]!;
    }
    this.key[at + 8] = reversed
      ? ((meta.destinationPort << 16) | meta.sourcePort) >>> 0
      : ((meta.sourcePort << 16) | meta.destinationPort) >>> 0;
    this.key[at + 9] = meta.protocol;
  }

  /** Word 0 … 3 of the address of the side that opened the flow. */
  sourceWord(flow: FlowIndex, word: number): number {
    return this.key[flow * KEY_WORDS + word]!;
  }
  /** Word 0 … 3 of the address that was opened to. */
  destinationWord(flow: FlowIndex, word: number): number {
    return this.key[flow * KEY_WORDS + 4 + word]!;
  }
  /** Port of the side that opened the flow. */
  sourcePort(flow: FlowIndex): number {
    return this.key[flow * KEY_WORDS + 8]! >>> 16;
  }
  /** Port that was opened to. */
  destinationPort(flow: FlowIndex): number {
    return this.key[flow * KEY_WORDS + 8]! & 0xffff;
  }
  /** IANA protocol number. */
  protocol(flow: FlowIndex): number {
    return this.key[flow * KEY_WORDS + 9]!;
  }

  /** Notes activity: the flow becomes the newest of its class. */
  touch(flow: FlowIndex, now: Micros): void {
    this.lastActive[flow] = now;
    if (this.#newest[this.#class[flow]!] === flow) return;
    this.#unlink(flow);
    this.#append(flow);
  }

  /** Moves a flow to another idle class. */
  setClass(flow: FlowIndex, idleClass: IdleClass): void {
    if (this.#class[flow] === idleClass) return;
    this.#unlink(flow);
    this.#class[flow] = idleClass;
    this.#append(flow);
  }

  /** A flow that has been idle for too long at `now`, or one closed flow too many; else `NO_FLOW`. */
  expired(now: Micros): FlowIndex {
    if (this.#counts[IdleClass.TcpClosed]! > this.#closedMax) return this.#oldest[IdleClass.TcpClosed]!;
    for (let c = 0; c < CLASS_COUNT; c++) {
      const flow = this.#oldest[c]!;
      if (flow !== NO_FLOW && this.lastActive[flow]! + IDLE_US[c]! <= now) return flow;
    }
    return NO_FLOW;
  }

  /** When the next flow expires. */
  nextExpiry(): Micros {
    let next: number = NEVER;
    for (let c = 0; c < CLASS_COUNT; c++) {
      const flow = this.#oldest[c]!;
      if (flow === NO_FLOW) continue;
      const at = this.lastActive[flow]! + IDLE_US[c]!;
      if (at < next) next = at;
    }
    return micros(next);
  }

  /** The flow that a full table gives up first: closed before embryonic before UDP before open, the longest idle of each. */
  leastValuable(): FlowIndex {
    if (this.#oldest[IdleClass.TcpClosed] !== NO_FLOW) return this.#oldest[IdleClass.TcpClosed]!;
    if (this.#oldest[IdleClass.TcpEmbryonic] !== NO_FLOW) return this.#oldest[IdleClass.TcpEmbryonic]!;
    if (this.#oldest[IdleClass.Udp] !== NO_FLOW) return this.#oldest[IdleClass.Udp]!;
    return this.#oldest[IdleClass.TcpOpen]!;
  }

  /** Takes a flow out of the table; its columns stay readable until the next `create`. */
  remove(flow: FlowIndex): void {
    const bucket = this.#hash[flow]! & (this.capacity - 1);
    let at = this.#buckets[bucket]!;
    if (at === flow) this.#buckets[bucket] = this.#bucketNext[flow]!;
    else {
      while (this.#bucketNext[at] !== flow) at = this.#bucketNext[at]!;
      this.#bucketNext[at] = this.#bucketNext[flow]!;
    }
    this.#unlink(flow);
    this.#free[this.#state[0]!] = flow;
    this.#state[0] = this.#state[0]! + 1;
  }

  #append(flow: FlowIndex): void {
    const c = this.#class[flow]!;
    this.#counts[c] = this.#counts[c]! + 1;
    const last = this.#newest[c]!;
    this.#older[flow] = last;
    this.#newer[flow] = NO_FLOW;
    if (last === NO_FLOW) this.#oldest[c] = flow;
    else this.#newer[last] = flow;
    this.#newest[c] = flow;
  }

  #unlink(flow: FlowIndex): void {
    const c = this.#class[flow]!;
    this.#counts[c] = this.#counts[c]! - 1;
    const older = this.#older[flow]!;
    const newer = this.#newer[flow]!;
    if (older === NO_FLOW) this.#oldest[c] = newer;
    else this.#newer[older] = newer;
    if (newer === NO_FLOW) this.#newest[c] = older;
    else this.#older[newer] = older;
  }
}
