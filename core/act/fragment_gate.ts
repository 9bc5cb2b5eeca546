/** Fragments wait here until their datagram is whole, so that it is carried as one packet and its fragments with it. */
import { type Arena, NO_SLOT, type Slot } from "../adapter/arena.ts";
import { type Micros } from "../base/micros.ts";
import { FragmentOutcome, Fragments } from "../classify/fragments.ts";
import { DropReason } from "../parse/drop_reason.ts";
import type { PacketMeta } from "../parse/packet_meta.ts";
import type { Actor } from "./act.ts";

/** The fragments that wait; what cannot wait is dropped with its reason. */
export class FragmentGate {
  readonly #arena: Arena;
  readonly #actor: Actor;
  readonly #fragments = new Fragments();

  constructor(arena: Arena, actor: Actor) {
    this.#arena = arena;
    this.#actor = actor;
  }

  /** Fragments that wait. */
  get heldCount(): number {
    return this.#fragments.heldCount;
  }

  /** Keeps a fragment. Answers the first of a chain when the datagram is whole, else `NO_SLOT`. */
  add(slot: Slot, meta: PacketMeta, now: Micros): Slot {
    const fragments = this.#fragments;
    switch (fragments.add(this.#arena, slot, meta, now)) {
      case FragmentOutcome.Held:
        return NO_SLOT;
      case FragmentOutcome.Duplicate:
        this.#actor.drop(slot, DropReason.FragmentDuplicate);
        return NO_SLOT;
      case FragmentOutcome.Full:
        this.dropChain(fragments.take(), DropReason.FragmentTableFull);
        return this.add(slot, meta, now);
      case FragmentOutcome.TooMany:
        this.#actor.drop(slot, DropReason.FragmentTableFull);
        return NO_SLOT;
      case FragmentOutcome.Overlap:
        this.#actor.drop(slot, DropReason.FragmentOverlap);
        this.dropChain(fragments.take(), DropReason.FragmentOverlap);
        return NO_SLOT;
      default:
        return fragments.take();
    }
  }

  /** The datagram of a chain in a slot of its own, which is to be released; `NO_SLOT` when that cannot be: the chain is dropped then. */
  assemble(head: Slot): Slot {
    const whole = this.#arena.acquire();
    if (whole === NO_SLOT) {
      this.dropChain(head, DropReason.QueueFull);
      return NO_SLOT;
    }
    if (this.#fragments.assemble(this.#arena, head, whole) !== 0) return whole;
    this.#arena.release(whole);
    this.dropChain(head, DropReason.FragmentMalformed);
    return NO_SLOT;
  }

  /** Drops every packet of a chain. */
  dropChain(head: Slot, reason: DropReason): void {
    for (let slot = head; slot !== NO_SLOT;) {
      const next = this.#arena.next[slot]!;
      this.#actor.drop(slot, reason);
      slot = next;
    }
  }

  /** Drops what has waited for too long. */
  expire(now: Micros): void {
    while (this.#fragments.heldCount > 0 && this.#fragments.expired(now)) {
      this.dropChain(this.#fragments.take(), DropReason.FragmentTimeout);
    }
  }

  /** When the first fragment has waited for too long. */
  nextExpiry(): Micros {
    return this.#fragments.nextExpiry();
  }
}
