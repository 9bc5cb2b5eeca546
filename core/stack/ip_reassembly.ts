/**
 * Datagrams put together where no engine has done so before the stack: fragments are copied, as slots stay their caller's.
 *
 * Read first: core/classify/fragments.ts.
 */
import { type Arena, NO_SLOT, type Slot } from "../adapter/arena.ts";
import type { Micros } from "../base/micros.ts";
import { FragmentOutcome, Fragments } from "../classify/fragments.ts";
import { DropReason } from "../parse/drop_reason.ts";
import { PacketMeta } from "../parse/packet_meta.ts";
import { parse, Verify } from "../parse/parse.ts";

/** Fragments on their way to be datagrams. */
export class IpReassembly {
  readonly #arena: Arena;
  readonly #fragments: Fragments;
  readonly #meta = new PacketMeta();
  /** Shape: [slot of the datagram that became whole]. */
  readonly #state = new Int32Array([NO_SLOT]);

  constructor(arena: Arena) {
    this.#arena = arena;
    this.#fragments = new Fragments(arena.slotCount);
  }

  /** Slots that fragments hold. */
  get heldCount(): number {
    return this.#fragments.heldCount;
  }

  /** Adds the fragment of `meta`. Drops: what cannot be kept or put together. With `None`, `takeWhole` may have the datagram. */
  add(slot: Slot, meta: PacketMeta, now: Micros): DropReason {
    const fragments = this.#fragments;
    let copy = this.#copy(slot);
    if (copy === NO_SLOT) {
      // What has waited longest makes room: its missing piece is lost most likely.
      if (fragments.heldCount === 0 || !fragments.expired(fragments.nextExpiry())) return DropReason.QueueFull;
      this.#release(fragments.take());
      copy = this.#copy(slot);
      if (copy === NO_SLOT) return DropReason.QueueFull;
    }
    let outcome = fragments.add(this.#arena, copy, meta, now);
    if (outcome === FragmentOutcome.Full) {
      this.#release(fragments.take());
      outcome = fragments.add(this.#arena, copy, meta, now);
    }
    if (outcome === FragmentOutcome.Held) return DropReason.None;
    if (outcome === FragmentOutcome.Complete) return this.#assemble(fragments.take());
    this.#arena.release(copy);
    if (outcome === FragmentOutcome.Duplicate) return DropReason.FragmentDuplicate;
    if (outcome !== FragmentOutcome.Overlap) return DropReason.FragmentTableFull;
    this.#release(fragments.take());
    return DropReason.FragmentOverlap;
  }

  /** The slot of the datagram that `add` made whole, which the caller releases, or `NO_SLOT`. */
  takeWhole(): Slot {
    const slot = this.#state[0]!;
    this.#state[0] = NO_SLOT;
    return slot;
  }

  /**
   * Gives up datagrams that have waited for too long, up to one whose first piece is there: that piece's slot is the caller's then, who may
   * tell its sender. `NO_SLOT`: none is left. Source: RFC 792, RFC 8200 section 4.5.
   */
  expire(now: Micros): Slot {
    while (this.#fragments.heldCount > 0 && this.#fragments.expired(now)) {
      const first = this.#releaseButFirst(this.#fragments.take());
      if (first !== NO_SLOT) return first;
    }
    return NO_SLOT;
  }

  #releaseButFirst(head: Slot): Slot {
    let first = NO_SLOT;
    for (let slot = head; slot !== NO_SLOT;) {
      const next = this.#arena.next[slot]!;
      if (first === NO_SLOT && this.#isFirst(slot)) first = slot;
      else this.#arena.release(slot);
      slot = next;
    }
    return first;
  }

  /** True for the piece that the datagram's transport header is in. */
  #isFirst(slot: Slot): boolean {
    parse(this.#arena, slot, Verify.None, this.#meta);
    return this.#meta.fragmentOffset === 0;
  }

  /** When the next datagram is given up. */
  nextExpiry(): Micros {
    return this.#fragments.nextExpiry();
  }

  #copy(slot: Slot): Slot {
    const arena = this.#arena;
    // Half of the arena is left to packets on their way.
    if (arena.freeCount <= arena.slotCount >> 1) return NO_SLOT;
    const copy = arena.acquire();
    const length = arena.length[slot]!;
    arena.bytes.copyWithin(arena.at(copy), arena.at(slot), arena.at(slot) + length);
    arena.length[copy] = length;
    arena.wireLength[copy] = arena.wireLength[slot]!;
    return copy;
  }

  #assemble(head: Slot): DropReason {
    const whole = this.#arena.acquire();
    const isWhole = whole !== NO_SLOT && this.#fragments.assemble(this.#arena, head, whole) > 0;
    this.#release(head);
    if (isWhole) {
      this.#state[0] = whole;
      return DropReason.None;
    }
    if (whole !== NO_SLOT) this.#arena.release(whole);
    return whole === NO_SLOT ? DropReason.QueueFull : DropReason.FragmentMalformed;
  }

  #release(head: Slot): void {
    for (let slot = head; slot !== NO_SLOT;) {
      const next = this.#arena.next[slot]!;
      this.#arena.release(slot);
      slot = next;
    }
  }
}
