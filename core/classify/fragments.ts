/**
 * Fragments wait here until their datagram is complete.
 *
 * Read first: RFC 791 section 3.2, RFC 815, RFC 8200 section 4.5, RFC 5722 (overlaps end the datagram; applied to IPv4 as well).
 */
import { type Arena, NO_SLOT, type Slot } from "../adapter/arena.ts";
import {
  ARENA_SLOT_COUNT,
  FRAGMENT_COUNT_MAX,
  FRAGMENT_DATAGRAM_COUNT_MAX,
  FRAGMENT_SLOT_COUNT_MAX,
  FRAGMENT_TIMEOUT_US,
} from "../base/limits.ts";
import { type Micros, micros, NEVER } from "../base/micros.ts";
import { DESTINATION, FRAGMENT_ID, type PacketMeta, SOURCE } from "../parse/packet_meta.ts";
import { checksum } from "../wire/checksum.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";

/** What became of a fragment. */
export const FragmentOutcome = {
  /** It waits; the slot belongs to the table now. */
  Held: 0,
  /** It was the last one missing: `take` the chain. The slot belongs to the table. */
  Complete: 1,
  /** These bytes are there already; the slot stays the caller's. */
  Duplicate: 2,
  /** It contradicts the others: `take` the chain and drop it all. The slot stays the caller's. */
  Overlap: 3,
  /** No room for it: `take` the datagram that has waited longest, drop it, and add again. The slot stays the caller's. */
  Full: 4,
  /** Its datagram has as many fragments as one may have; the slot stays the caller's. */
  TooMany: 5,
} as const;
/** A value of `FragmentOutcome`. */
export type FragmentOutcome = (typeof FragmentOutcome)[keyof typeof FragmentOutcome];

const KEY_WORDS = 10;

/** Datagrams in pieces. A chain of slots (through `Arena.next`) in order of arrival for each. */
export class Fragments {
  readonly #key = new Uint32Array(FRAGMENT_DATAGRAM_COUNT_MAX * KEY_WORDS);
  readonly #head = new Int32Array(FRAGMENT_DATAGRAM_COUNT_MAX).fill(NO_SLOT);
  readonly #tail = new Int32Array(FRAGMENT_DATAGRAM_COUNT_MAX).fill(NO_SLOT);
  readonly #count = new Int32Array(FRAGMENT_DATAGRAM_COUNT_MAX);
  /** Length of the fragmentable part, −1 until the last fragment came. */
  readonly #total = new Int32Array(FRAGMENT_DATAGRAM_COUNT_MAX).fill(-1);
  readonly #gathered = new Int32Array(FRAGMENT_DATAGRAM_COUNT_MAX);
  readonly #started = new Float64Array(FRAGMENT_DATAGRAM_COUNT_MAX);
  readonly #offset: Int32Array;
  readonly #length: Int32Array;
  /** Position of the fragmentable part from the slot's first byte. */
  readonly #payload: Int32Array;
  /** Shape: [slots held, datagram that `take` takes]. */
  readonly #state = new Int32Array(2);

  constructor(slotCount: number = ARENA_SLOT_COUNT) {
    this.#offset = new Int32Array(slotCount);
    this.#length = new Int32Array(slotCount);
    this.#payload = new Int32Array(slotCount);
  }

  /** Slots that wait here. */
  get heldCount(): number {
    return this.#state[0]!;
  }

  /** Adds the fragment that `meta` describes. */
  add(arena: Arena, slot: Slot, meta: PacketMeta, now: Micros): FragmentOutcome {
    let datagram = this.#find(meta);
    if (datagram < 0) {
      datagram = this.#freeDatagram();
      if (datagram < 0 || this.#state[0]! >= FRAGMENT_SLOT_COUNT_MAX) return this.#full();
      this.#begin(datagram, meta, now);
    }
    this.#state[1] = datagram;
    const offset = meta.fragmentOffset;
    const end = offset + meta.fragmentLength;
    let held = this.#head[datagram]!;
    while (held !== NO_SLOT) {
      const heldOffset = this.#offset[held]!;
      const heldEnd = heldOffset + this.#length[held]!;
      if (heldOffset === offset && heldEnd === end) return FragmentOutcome.Duplicate;
      if (offset < heldEnd && heldOffset < end) return FragmentOutcome.Overlap;
      held = arena.next[held]!;
    }
    const total = this.#total[datagram]!;
    if (total >= 0 && (end > total || !meta.moreFragments)) return FragmentOutcome.Overlap;
    if (this.#count[datagram]! >= FRAGMENT_COUNT_MAX) return FragmentOutcome.TooMany;
    if (this.#state[0]! >= FRAGMENT_SLOT_COUNT_MAX) return this.#full();
    if (!meta.moreFragments) {
      if (this.#reachesBeyond(arena, datagram, end)) return FragmentOutcome.Overlap;
      this.#total[datagram] = end;
    }
    this.#append(arena, datagram, slot, meta);
    return this.#gathered[datagram] === this.#total[datagram] ? FragmentOutcome.Complete : FragmentOutcome.Held;
  }

  /** Chooses the datagram that has waited longest for `take`. */
  #full(): FragmentOutcome {
    let oldest = -1;
    for (let d = 0; d < FRAGMENT_DATAGRAM_COUNT_MAX; d++) {
      if (this.#count[d] !== 0 && (oldest < 0 || this.#started[d]! < this.#started[oldest]!)) oldest = d;
    }
    this.#state[1] = oldest;
    return FragmentOutcome.Full;
  }

  #reachesBeyond(arena: Arena, datagram: number, end: number): boolean {
    let held = this.#head[datagram]!;
    while (held !== NO_SLOT) {
      if (this.#offset[held]! + this.#length[held]! > end) return true;
      held = arena.next[held]!;
    }
    return false;
  }

  #append(arena: Arena, datagram: number, slot: Slot, meta: PacketMeta): void {
    this.#offset[slot] = meta.fragmentOffset;
    this.#length[slot] = meta.fragmentLength;
    this.#payload[slot] = meta.fragmentAt - meta.ipAt;
    arena.next[slot] = NO_SLOT;
    const tail = this.#tail[datagram]!;
    if (tail === NO_SLOT) this.#head[datagram] = slot;
    else arena.next[tail] = slot;
    this.#tail[datagram] = slot;
    this.#count[datagram] = this.#count[datagram]! + 1;
    this.#gathered[datagram] = this.#gathered[datagram]! + meta.fragmentLength;
    this.#state[0] = this.#state[0]! + 1;
  }

  /** Takes the chain that the last `add` or `expired` spoke of out of the table; its slots are the caller's. */
  take(): Slot {
    const datagram = this.#state[1]!;
    const head = this.#head[datagram]!;
    this.#state[0] = this.#state[0]! - this.#count[datagram]!;
    this.#count[datagram] = 0;
    this.#head[datagram] = NO_SLOT;
    this.#tail[datagram] = NO_SLOT;
    return head;
  }

  /** True when a datagram waits for too long: `take` it. */
  expired(now: Micros): boolean {
    for (let d = 0; d < FRAGMENT_DATAGRAM_COUNT_MAX; d++) {
      if (this.#count[d] !== 0 && this.#started[d]! + FRAGMENT_TIMEOUT_US <= now) {
        this.#state[1] = d;
        return true;
      }
    }
    return false;
  }

  /** When the next datagram is given up. */
  nextExpiry(): Micros {
    let next: number = NEVER;
    if (this.#state[0] === 0) return NEVER;
    for (let d = 0; d < FRAGMENT_DATAGRAM_COUNT_MAX; d++) {
      if (this.#count[d] !== 0 && this.#started[d]! + FRAGMENT_TIMEOUT_US < next) {
        next = this.#started[d]! + FRAGMENT_TIMEOUT_US;
      }
    }
    return micros(next);
  }

  #find(meta: PacketMeta): number {
    for (let d = 0; d < FRAGMENT_DATAGRAM_COUNT_MAX; d++) {
      if (this.#count[d] !== 0 && this.#isKey(d * KEY_WORDS, meta)) return d;
    }
    return -1;
  }

  #isKey(at: number, meta: PacketMeta): boolean {
    const key = this.#key;
    const words = meta.words;
    if (key[at + 8] !== words[FRAGMENT_ID]) return false;
    // IPv6 ties fragments by addresses and identification alone. Source: RFC 8200 section 4.5.
    if (key[at + 9] !== (meta.version === 4 ? meta.protocol : 256)) return false;
    for (let word = 0; word < 8; word++) if (key[at + word] !== words[word]) return false;
    return true;
  }

  #freeDatagram(): number {
    for (let d = 0; d < FRAGMENT_DATAGRAM_COUNT_MAX; d++) if (this.#count[d] === 0) return d;
    return -1;
  }

  #begin(datagram: number, meta: PacketMeta, now: Micros): void {
    const at = datagram * KEY_WORDS;
    for (let word = 0; word < 4; word++) {
      this.#key[at + word] = meta.words[SOURCE + word]!;
      this.#key[at + 4 + word] = meta.words[DESTINATION + word]!;
    }
    this.#key[at + 8] = meta.words[FRAGMENT_ID]!;
    this.#key[at + 9] = meta.version === 4 ? meta.protocol : 256;
    this.#head[datagram] = NO_SLOT;
    this.#tail[datagram] = NO_SLOT;
    this.#total[datagram] = -1;
    this.#gathered[datagram] = 0;
    this.#started[datagram] = now;
  }

  /**
   * Builds the whole datagram from a chain that was complete into `into`: the first fragment's headers without the fragment header,
   * then every payload. Returns its length, or 0 when it would be too long for its own length field. Units: bytes.
   */
  assemble(arena: Arena, head: Slot, into: Slot): number {
    let first = head;
    let total = 0;
    for (let slot = head; slot !== NO_SLOT; slot = arena.next[slot]!) {
      if (this.#offset[slot] === 0) first = slot;
      total += this.#length[slot]!;
    }
    const version = arena.view.getUint8(arena.at(first)) >>> 4;
    const headers = this.#payload[first]! - (version === 6 ? ipv6.FRAGMENT_BYTES : 0);
    const length = headers + total;
    if ((version === 4 ? length : length - ipv6.HEADER_BYTES) > 0xffff) return 0;
    const to = arena.at(into);
    arena.bytes.copyWithin(to, arena.at(first), arena.at(first) + headers);
    for (let slot = head; slot !== NO_SLOT; slot = arena.next[slot]!) {
      const from = arena.at(slot) + this.#payload[slot]!;
      arena.bytes.copyWithin(to + headers + this.#offset[slot]!, from, from + this.#length[slot]!);
    }
    if (version === 4) finishIpv4(arena.view, to, length);
    else finishIpv6(arena.view, to, length, arena.at(first) + headers);
    arena.length[into] = length;
    arena.wireLength[into] = length;
    arena.direction[into] = arena.direction[first]!;
    arena.tag[into] = arena.tag[first]!;
    return length;
  }
}

function finishIpv4(view: DataView, at: number, length: number): void {
  view.setUint16(at + 2, length);
  view.setUint16(at + 6, 0);
  view.setUint16(at + 10, 0);
  view.setUint16(at + 10, checksum(view, at, ipv4.headerLength(view, at)));
}

/** `fragmentAt` is where the first fragment's fragment header stands; the header before it now announces what followed it. */
function finishIpv6(view: DataView, at: number, length: number, fragmentAt: number): void {
  view.setUint16(at + 4, length - ipv6.HEADER_BYTES);
  const announced = ipv6.extensionNext(view, fragmentAt);
  let kind = ipv6.nextHeader(view, at);
  let announcedAt = at + 6;
  let next = at + ipv6.HEADER_BYTES;
  while (kind !== ipv6.FRAGMENT && ipv6.isExtension(kind)) {
    announcedAt = next;
    const length = ipv6.extensionLength(view, next, kind);
    kind = ipv6.extensionNext(view, next);
    next += length;
  }
  view.setUint8(announcedAt, announced);
}
