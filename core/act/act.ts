/** A verdict is carried out on one packet: forwarded, taken in, refused or dropped. */
import type { Adapter } from "../adapter/adapter.ts";
import { type Arena, Direction, NO_SLOT, type Slot } from "../adapter/arena.ts";
import { DUPLICATE_COUNT_MAX } from "../base/limits.ts";
import type { Micros } from "../base/micros.ts";
import type { VerdictAction } from "../decide/verdict.ts";
import { DropReason } from "../parse/drop_reason.ts";
import { DESTINATION, type PacketMeta } from "../parse/packet_meta.ts";
import * as tcp from "../wire/tcp.ts";
import type { Counters } from "./counters.ts";
import { Refuser } from "../stack/refuse.ts";

/** What is done with a flow's packets, as the flow table's `action` column holds it. `Terminate`: they end in our stack. */
export const Action = { Undecided: 0, Direct: 1, Proxy: 2, Reject: 3, Drop: 4, Terminate: 5 } as const;
/** A value of `Action`. */
export type Action = (typeof Action)[keyof typeof Action];

const ACTION_OF: { readonly [action in VerdictAction]: Action } = {
  direct: Action.Direct,
  proxy: Action.Proxy,
  reject: Action.Reject,
  drop: Action.Drop,
};

/** The column value of a verdict. */
export function actionOf(verdict: VerdictAction): Action {
  return ACTION_OF[verdict];
}

/** Ends packets: each call ends exactly one and releases its slot. */
export class Actor {
  readonly #arena: Arena;
  readonly #adapter: Adapter;
  readonly #counters: Counters;
  readonly #refuser = new Refuser();

  constructor(arena: Arena, adapter: Adapter, counters: Counters) {
    this.#arena = arena;
    this.#adapter = adapter;
    this.#counters = counters;
  }

  /** Carries a decided flow's verdict out on one of its packets; `copies` is how often a direct packet leaves. */
  act(action: number, slot: Slot, meta: PacketMeta, fromSource: boolean, copies: number, now: Micros): void {
    if (action === Action.Direct) this.forward(slot, copies, now);
    else if (action === Action.Proxy) {
      this.#counters.consume();
      this.#arena.release(slot);
    } else if (action === Action.Reject) {
      if (fromSource) this.#refuse(slot, meta, now);
      this.drop(slot, DropReason.RuleReject);
    } else this.drop(slot, DropReason.RuleDrop);
  }

  /** Sends a packet on as it is. Drops: `DeviceFull`. */
  forward(slot: Slot, copies: number, now: Micros): void {
    const sent = this.#adapter.send(this.#arena, slot, now);
    for (let copy = 1; copy < copies && copy < DUPLICATE_COUNT_MAX && sent; copy++) {
      if (this.#adapter.send(this.#arena, slot, now)) this.#counters.generate();
    }
    if (sent) this.#counters.deliver();
    else this.#counters.drop(DropReason.DeviceFull);
    this.#arena.release(slot);
  }

  /** Ends a packet for a reason. */
  drop(slot: Slot, reason: DropReason): void {
    this.#counters.drop(reason);
    this.#arena.release(slot);
  }

  #refuse(slot: Slot, meta: PacketMeta, now: Micros): void {
    if (meta.protocol !== tcp.PROTOCOL && isManyReceivers(meta)) return;
    const reply = this.#arena.acquire();
    if (reply === NO_SLOT) return;
    this.#arena.direction[reply] = Direction.Inbound;
    this.#arena.flow[reply] = this.#arena.flow[slot]!;
    if (this.#refuser.refuse(this.#arena, meta, reply) && this.#adapter.send(this.#arena, reply, now)) {
      this.#counters.generate();
    }
    this.#arena.release(reply);
  }
}

/** True for multicast and broadcast, about which no error may be sent. Source: RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e). */
function isManyReceivers(meta: PacketMeta): boolean {
  const last = meta.words[DESTINATION + 3]!;
  if (meta.version === 4) return last >>> 28 === 14 || last === 0xffffffff;
  return meta.words[DESTINATION]! >>> 24 === 0xff;
}
