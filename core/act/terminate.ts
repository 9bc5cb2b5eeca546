/**
 * Flows that end in our own stack: their packets become streams and datagrams, which the host carries on.
 *
 * ```
 *  decided ──► SYN ──► waits in the stack ──► command "dial" ──► event "dialed"     ──► accept(): SYN-ACK
 *                                                            ├─► event "dialFailed" ──► reset or ICMP error
 *                                                            └── gave up ──► command "cancelDial"
 *  needs its first bytes ──► SYN ──► accept() at once ──► decided ──► command "dial" ──► …
 * ```
 */
import type { Adapter } from "../adapter/adapter.ts";
import type { Arena, Slot } from "../adapter/arena.ts";
import { TCP_BATCH_ACK_SEGMENTS_MAX } from "../base/limits.ts";
import type { Micros } from "../base/micros.ts";
import type { FlowFacts } from "../classify/facts.ts";
import { type FlowIndex, NO_FLOW } from "../classify/flow_table.ts";
import type { Verdict } from "../decide/verdict.ts";
import { DropReason } from "../parse/drop_reason.ts";
import type { PacketMeta } from "../parse/packet_meta.ts";
import { Unreachable } from "../stack/icmp_output.ts";
import type { PendingFlow } from "../stack/pending_flow.ts";
import { type PacketSink, Stack, type StackEnv } from "../stack/stack.ts";
import type { StackChoices } from "../stack/stack_options.ts";
import type { TcpConnection } from "../stack/tcp/connection.ts";
import { TcpState } from "../stack/tcp/tcp_state.ts";
import type { Command, DialError, DialEvent } from "./command.ts";
import type { Counters } from "./counters.ts";
import { directAnswer } from "./made_packet.ts";

/** What an engine's stack is made from. What the adapter can do (MTU, offloads) is taken from the adapter unless it is chosen. */
export interface TerminateOptions {
  readonly choices?: StackChoices;
  readonly env: StackEnv;
}

/** Who hears of packets that the stack emits, before they leave. */
export interface EmittedObserver {
  packetEmitted(slot: Slot, now: Micros): void;
}

/** One flow in the stack. */
interface Terminated {
  readonly index: FlowIndex;
  readonly facts: FlowFacts;
  /** Undefined while the flow is not decided. */
  verdict: Verdict | undefined;
  pending: PendingFlow | undefined;
  /** Undefined before the handshake may go on, and once the host has the connection. */
  connection: TcpConnection | undefined;
  isCarried: boolean;
}

/** What an application gets to see when its flow could not be dialed; undefined is a reset. */
export const ICMP_OF: { readonly [error in DialError]: Unreachable | undefined } = {
  refused: undefined,
  failed: undefined,
  hostUnreachable: Unreachable.Host,
  timedOut: Unreachable.Host,
  networkUnreachable: Unreachable.Network,
  prohibited: Unreachable.Prohibited,
};

function createChoices(adapter: Adapter, choices: StackChoices | undefined): StackChoices {
  const { kind, mtu, checksumsComputed, segmentationBytesMax } = adapter.capabilities;
  return {
    mtu,
    checksumsComputed: checksumsComputed ?? false,
    segmentationBytesMax: segmentationBytesMax ?? 0,
    loopback: kind === "divert",
    ...choices,
    tcp: { batchAckSegmentsMax: TCP_BATCH_ACK_SEGMENTS_MAX, ...choices?.tcp },
  };
}

function createTerminated(index: FlowIndex, facts: FlowFacts, verdict: Verdict | undefined): Terminated {
  return { index, facts, verdict, pending: undefined, connection: undefined, isCarried: false };
}

/** True while there is something to carry: the peer may be gone already and what it said not. */
function isAlive(connection: TcpConnection): boolean {
  return connection.state !== TcpState.Closed || connection.readableBytes > 0;
}

/** The stack of an engine and the flows in it, by their ids. */
export class Terminator implements PacketSink {
  readonly stack: Stack;
  readonly #arena: Arena;
  readonly #adapter: Adapter;
  readonly #counters: Counters;
  readonly #commands: Command[];
  readonly #observer: EmittedObserver;
  readonly #flows = new Map<number, Terminated>();

  constructor(
    options: TerminateOptions,
    arena: Arena,
    adapter: Adapter,
    counters: Counters,
    commands: Command[],
    observer: EmittedObserver,
  ) {
    this.#arena = arena;
    this.#adapter = adapter;
    this.#counters = counters;
    this.#commands = commands;
    this.#observer = observer;
    this.stack = new Stack(createChoices(adapter, options.choices), options.env, arena, this);
    this.stack.onFlow = (pending, now) => this.#startFlow(pending, now);
    this.stack.onCancelled = (pending) => this.#cancelFlow(pending);
  }

  /** Sends a packet of the stack. */
  send(arena: Arena, slot: Slot, now: Micros): boolean {
    this.#observer.packetEmitted(slot, now);
    directAnswer(arena, slot);
    const sent = this.#adapter.send(arena, slot, now);
    if (sent) this.#counters.generate();
    return sent;
  }

  /** Gives the stack the packet in `whole`, and ends the packets chained from `head` that it came in. `id` is the flow's, −1 for none. */
  carry(whole: Slot, head: Slot, meta: PacketMeta, id: number, now: Micros): void {
    const reason = this.stack.receive(whole, meta, now, id);
    for (let slot = head; slot >= 0;) {
      const next = this.#arena.next[slot]!;
      if (reason === DropReason.None) this.#counters.consume();
      else this.#counters.drop(reason);
      this.#arena.release(slot);
      slot = next;
    }
  }

  /** True for a flow whose packets go into the stack although it is not decided. */
  isOpenedEarly(id: number): boolean {
    return this.#flows.has(id);
  }

  /** Lets a flow's handshake happen before the flow is decided, as its first bytes are needed for that. */
  openEarly(index: FlowIndex, id: number, facts: FlowFacts): void {
    this.#flows.set(id, createTerminated(index, facts, undefined));
  }

  /** A flow is decided and belongs to the stack: a datagram flow, and one that was opened early, is dialed now, others with their SYN. */
  decided(index: FlowIndex, id: number, facts: FlowFacts, verdict: Verdict): void {
    const early = this.#flows.get(id);
    if (early === undefined) this.#flows.set(id, createTerminated(index, facts, verdict));
    else early.verdict = verdict;
    const connection = early?.connection;
    if (facts.network === "udp" || (connection !== undefined && isAlive(connection))) this.#dial(id, facts, verdict);
  }

  /** A flow that was opened early shall not go on: with a reset, or silently. */
  refused(id: number, isSilent: boolean, now: Micros): void {
    const connection = this.#flows.get(id)?.connection;
    this.#flows.delete(id);
    if (connection === undefined) return;
    if (isSilent) this.stack.discard(connection);
    else connection.abort(now);
  }

  /** A flow has left the flow table: what nobody carries by then never will be. A connection that the host has goes on. */
  ended(id: number, now: Micros): void {
    const flow = this.#flows.get(id);
    if (flow === undefined) return;
    this.#flows.delete(id);
    if (flow.pending !== undefined) {
      flow.pending.ignore();
      this.#commands.push({ kind: "cancelDial", flow: id });
    }
    if (flow.connection !== undefined && !flow.isCarried) flow.connection.abort(now);
  }

  /** Hands the connection of a flow over, once it is there. It is not kept: a flow is remembered for longer than its connection lives. */
  takeConnection(id: number): TcpConnection | undefined {
    const flow = this.#flows.get(id);
    const connection = flow?.connection;
    if (flow !== undefined) flow.connection = undefined;
    return connection;
  }

  /** Takes the host's answer to "dial". Returns a flow of datagrams that cannot be carried and are to be refused from now on, or `NO_FLOW`. */
  handle(event: DialEvent, now: Micros): FlowIndex {
    const flow = this.#flows.get(event.flow);
    if (flow === undefined) return NO_FLOW;
    if (event.kind === "dialFailed") {
      this.#fail(flow, event.error, now);
      return flow.facts.network === "udp" ? flow.index : NO_FLOW;
    }
    const pending = flow.pending;
    flow.pending = undefined;
    if (pending !== undefined) flow.connection = pending.accept(now);
    flow.isCarried = true;
    return NO_FLOW;
  }

  /** A SYN that is sent once more after that dials once more. */
  #fail(flow: Terminated, error: DialError, now: Micros): void {
    const pending = flow.pending;
    flow.pending = undefined;
    if (flow.connection !== undefined) flow.connection.abort(now);
    if (pending === undefined) return;
    const why = ICMP_OF[error];
    if (why === undefined) pending.refuse(now);
    else pending.unreachable(why, now);
  }

  #startFlow(pending: PendingFlow, now: Micros): void {
    const flow = this.#flows.get(pending.tag);
    if (flow === undefined) return pending.ignore();
    if (flow.verdict === undefined) {
      flow.connection = pending.accept(now);
      return;
    }
    flow.pending = pending;
    this.#dial(pending.tag, flow.facts, flow.verdict);
  }

  /** The application gave up while the far side was being dialed: the host need not go on. */
  #cancelFlow(pending: PendingFlow): void {
    const flow = this.#flows.get(pending.tag);
    if (flow === undefined || flow.pending !== pending) return;
    flow.pending = undefined;
    this.#commands.push({ kind: "cancelDial", flow: pending.tag });
  }

  #dial(id: number, facts: FlowFacts, verdict: Verdict): void {
    this.#commands.push({ kind: "dial", flow: id, facts, verdict });
  }
}
