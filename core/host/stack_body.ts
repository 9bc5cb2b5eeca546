/** A stack straight on a device, without rules: every flow goes to its owner. For programs that want sockets, and for benchmarks. */
import type { Adapter } from "../adapter/adapter.ts";
import { type Arena, NO_SLOT } from "../adapter/arena.ts";
import { type Micros, micros } from "../base/micros.ts";
import { DROP_REASON_COUNT, DROP_REASON_NAMES, DropReason } from "../parse/drop_reason.ts";
import { PacketMeta } from "../parse/packet_meta.ts";
import { parse, Verify } from "../parse/parse.ts";
import type { Stack } from "../stack/stack.ts";
import type { DatagramRoute } from "./far_side.ts";
import type { LoopBody } from "./run_loop.ts";
import type { StackHost } from "./stack_host.ts";

const PLAIN: DatagramRoute = { kind: "plain" };
const EVERYTHING = () => PLAIN;

/** Packets from the device into the stack, and the stack's timers. */
export class StackBody implements LoopBody {
  /** Packets that the stack did not take, by reason. Shape: indexed by `DropReason`. */
  readonly dropped: Float64Array = new Float64Array(DROP_REASON_COUNT);
  readonly #adapter: Adapter;
  readonly #arena: Arena;
  readonly #stack: Stack;
  readonly #host: StackHost;
  readonly #meta = new PacketMeta();

  constructor(adapter: Adapter, arena: Arena, stack: Stack, host: StackHost) {
    this.#adapter = adapter;
    this.#arena = arena;
    this.#stack = stack;
    this.#host = host;
  }

  turn(now: Micros): Micros {
    const arena = this.#arena;
    const verify = this.#adapter.capabilities.checksumsVouched ? Verify.None : Verify.All;
    const received = this.#adapter.receive(arena, now);
    for (let slot = arena.take(); slot !== NO_SLOT; slot = arena.take()) {
      const reason = parse(arena, slot, verify, this.#meta);
      const outcome = reason === DropReason.None ? this.#stack.receive(slot, this.#meta, now) : reason;
      this.dropped[outcome] = this.dropped[outcome]! + 1;
      arena.release(slot);
    }
    const deadline = this.#stack.poll(now);
    this.#host.drain(now, EVERYTHING);
    const held = this.#adapter.nextDue;
    if (received > 0) return now;
    return held === undefined ? deadline : micros(Math.min(held, deadline));
  }

  /** The reasons that occurred, by name. */
  droppedByName(): Record<string, number> {
    const named: Record<string, number> = {};
    this.dropped.forEach((count, reason) => {
      if (reason > 0 && count > 0) named[DROP_REASON_NAMES[reason]!] = count;
    });
    return named;
  }
}
