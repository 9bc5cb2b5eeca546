/** Where flows end that do not go on as they are: in our own stack, or, rewritten, in the system's TCP. */
import type { Adapter } from "../adapter/adapter.ts";
import type { Arena, Slot } from "../adapter/arena.ts";
import { type Micros, micros } from "../base/micros.ts";
import type { FlowFacts } from "../classify/facts.ts";
import { type FlowIndex, NO_FLOW } from "../classify/flow_table.ts";
import type { Verdict } from "../decide/verdict.ts";
import type { PacketMeta } from "../parse/packet_meta.ts";
import { Action } from "./act.ts";
import type { Command, DialEvent } from "./command.ts";
import type { Counters } from "./counters.ts";
import { type EmittedObserver, type TerminateOptions, Terminator } from "./terminate.ts";
import { type TranslatedObserver, Translator } from "./translate.ts";
import type { TranslateOptions } from "./translate_options.ts";

/** Stack and translator behind one call. */
export class FlowEnds {
  readonly terminator: Terminator;
  /** Undefined where TCP flows end in our stack as well. */
  readonly translator: Translator | undefined;
  /** True where every packet ends here, as this end is the network. */
  readonly isNetwork: boolean;

  /** `adapter` is where what goes to applications leaves; what goes to our listeners leaves through `device`. */
  constructor(
    stack: TerminateOptions,
    translate: TranslateOptions | undefined,
    arena: Arena,
    adapter: Adapter,
    device: Adapter,
    counters: Counters,
    commands: Command[],
    observer: EmittedObserver & TranslatedObserver,
  ) {
    this.isNetwork = adapter.capabilities.kind === "tun";
    this.terminator = new Terminator(stack, arena, adapter, counters, commands, observer);
    if (translate === undefined) return;
    this.translator = new Translator(
      translate,
      arena,
      device,
      adapter,
      counters,
      commands,
      observer,
      this.terminator.stack,
    );
  }

  #isTranslated({ network, sourceIp }: FlowFacts): boolean {
    return this.translator !== undefined && network === "tcp" && this.translator.carries(sourceIp?.version ?? 4);
  }

  /**
   * What becomes of a flow's packets. On a TUN device whatever goes on ends here; what was diverted and is direct goes on as it is, unless its
   * application has been answered already.
   */
  actionOf(action: Action, facts: FlowFacts, isEarly: boolean): Action {
    if (action !== Action.Proxy && (action !== Action.Direct || (!isEarly && !this.isNetwork))) return action;
    return this.#isTranslated(facts) ? Action.Translate : Action.Terminate;
  }

  /** Ends a packet of a flow that ends here. `fromSource` is false for what claims to come from the flow's server. */
  carry(whole: Slot, head: Slot, meta: PacketMeta, id: number, fromSource: boolean, now: Micros): void {
    const translator = this.translator;
    if (translator !== undefined && translator.has(id)) translator.carry(whole, head, meta, id, fromSource, now);
    else this.terminator.carry(whole, head, meta, id, now);
  }

  isOpenedEarly(id: number): boolean {
    return this.terminator.isOpenedEarly(id) || (this.translator !== undefined && this.translator.has(id));
  }

  /** Lets a flow's handshake happen before the flow is decided, as its first bytes are needed for that. */
  openEarly(index: FlowIndex, id: number, facts: FlowFacts): void {
    if (this.#isTranslated(facts)) this.translator!.openEarly(index, id, facts);
    else this.terminator.openEarly(index, id, facts);
  }

  /** A flow is decided and ends here. */
  decided(index: FlowIndex, id: number, facts: FlowFacts, verdict: Verdict): void {
    if (this.#isTranslated(facts)) this.translator!.decided(index, id, facts, verdict);
    else this.terminator.decided(index, id, facts, verdict);
  }

  /** A flow that was opened early shall not go on: with a reset, or silently. */
  refused(id: number, facts: FlowFacts, isSilent: boolean, now: Micros): void {
    if (this.#isTranslated(facts)) this.translator!.refused(id, isSilent, now);
    else this.terminator.refused(id, isSilent, now);
  }

  /** A flow has left the flow table. */
  ended(id: number, now: Micros): void {
    this.terminator.ended(id, now);
    if (this.translator !== undefined) this.translator.ended(id);
  }

  /** Takes the host's answer to "dial". Returns a flow of datagrams that are to be refused from now on, or `NO_FLOW`. */
  handle(event: DialEvent, now: Micros): FlowIndex {
    if (this.translator === undefined || !this.translator.has(event.flow)) return this.terminator.handle(event, now);
    this.translator.handle(event, now);
    return NO_FLOW;
  }

  poll(now: Micros): void {
    this.terminator.stack.poll(now);
    if (this.translator !== undefined) this.translator.expire(now);
  }

  nextDeadline(): Micros {
    const next = this.terminator.stack.nextDeadline();
    return this.translator === undefined ? next : micros(Math.min(next, this.translator.nextExpiry()));
  }
}
