/** A verdict is carried out on one packet: forwarded, taken in, refused or dropped. */
import type { Adapter } from "../adapter/adapter.ts";
import { type Arena, Direction, NO_SLOT, type Slot } from "../adapter/arena.ts";
import type { Micros } from "../base/micros.ts";
import type { VerdictAction } from "../decide/verdict.ts";
import { DropReason } from "../parse/drop_reason.ts";
import { DESTINATION, type PacketMeta } from "../parse/packet_meta.ts";
import * as tcp from "../wire/tcp.ts";
import type { Counters } from "./counters.ts";
import { directAnswer } from "./made_packet.ts";
import { NO_PROGRAM, type ProgramRunner } from "./program_runner.ts";
import { Refuser } from "../stack/refuse.ts";

/** What is done with a flow's packets, as the flow table's `action` column holds it. `Terminate`: they end in our stack; `Translate`: in the system's TCP. */
export const Action = { Undecided: 0, Direct: 1, Proxy: 2, Reject: 3, Drop: 4, Terminate: 5, Translate: 6 } as const;
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
  readonly #programs: ProgramRunner;
  readonly #refuser = new Refuser();

  constructor(arena: Arena, adapter: Adapter, counters: Counters, programs: ProgramRunner) {
    this.#arena = arena;
    this.#adapter = adapter;
    this.#counters = counters;
    this.#programs = programs;
  }

  /** Carries a decided flow's verdict out on one of its packets; `program` is what a direct one goes through. */
  act(action: number, slot: Slot, meta: PacketMeta, fromSource: boolean, program: number, now: Micros): void {
    if (action === Action.Direct) this.forward(slot, program, fromSource, now);
    else if (action === Action.Proxy) {
      this.#counters.consume();
      this.#arena.release(slot);
    } else if (action === Action.Reject) {
      if (fromSource) this.#refuse(slot, meta, now);
      this.drop(slot, DropReason.RuleReject);
    } else this.drop(slot, DropReason.RuleDrop);
  }

  /** Sends a packet on: as it is, or through a program. `fromSource` tells its direction where the device does not. Drops: `DeviceFull`. */
  forward(slot: Slot, program: number, fromSource: boolean, now: Micros): void {
    if (program !== NO_PROGRAM) {
      const direction = this.#arena.direction[slot]!;
      const isOutbound = direction === Direction.Unknown ? fromSource : direction === Direction.Outbound;
      return this.#programs.forward(program, slot, isOutbound, now);
    }
    if (this.#adapter.send(this.#arena, slot, now)) this.#counters.deliver();
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
    this.#arena.flow[reply] = this.#arena.flow[slot]!;
    if (this.#refuser.refuse(this.#arena, meta, reply, now)) {
      directAnswer(this.#arena, reply);
      if (this.#adapter.send(this.#arena, reply, now)) this.#counters.generate();
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
