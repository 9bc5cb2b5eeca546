/** The engine on a live device: its commands become sockets, lookups and questions, their answers become its events. */
import type { Command, DialCommand, DialError, Event, PolicyVerdict, ProcessOwner } from "../act/command.ts";
import type { Adapter } from "../adapter/adapter.ts";
import { Arena } from "../adapter/arena.ts";
import { createPacketMemory } from "../adapter/packet_memory.ts";
import { formatIp, type IpAddress } from "../base/ip_address.ts";
import { ARENA_SLOT_COUNT, FLOW_CLOSED_COUNT_MAX, RUN_PACKETS_PER_POLL_MAX } from "../base/limits.ts";
import { type Micros, micros } from "../base/micros.ts";
import type { FlowFacts } from "../classify/facts.ts";
import { IdleClass } from "../classify/flow_table.ts";
import { Engine, type EngineOptions } from "../engine.ts";
import { Verify } from "../parse/parse.ts";
import type { Stack } from "../stack/stack.ts";
import { DenoDuplex, type Dialer, type DialResult } from "./dial.ts";
import type { Duplex } from "./duplex.ts";
import type { DatagramRoute, FarSide } from "./far_side.ts";
import type { LoopBody } from "./run_loop.ts";
import { type FlowEnd, StackHost } from "./stack_host.ts";
import type { SystemListener } from "./system_listener.ts";
import type { StackLoop } from "./tcp_conn.ts";

/** The lookups that the machine offers. None of them rejects, but `resolve`. */
export interface LiveLookups {
  resolve(host: string): Promise<IpAddress[]>;
  findProcess(facts: FlowFacts): Promise<ProcessOwner | undefined>;
  /** The same where it can be said at once. */
  findProcessNow?(facts: FlowFacts): ProcessOwner | undefined;
  /** Undefined when no policy wants to be asked. */
  readonly askPolicy: ((facts: FlowFacts) => Promise<PolicyVerdict | undefined>) | undefined;
}

/** What a live engine is made from. */
export interface LiveOptions extends Pick<EngineOptions, "decider" | "classify" | "observer"> {
  readonly adapter: Adapter;
  readonly loop: StackLoop;
  readonly dialer: Dialer;
  /** Ways out through proxies, and weir's own DNS server. Without it there is only DIRECT. */
  readonly farSide?: FarSide | undefined;
  readonly lookups: LiveLookups;
  /** With it, TCP flows end in the system's own TCP: its listeners accept them. */
  readonly system?: SystemListener | undefined;
  /** Secret randomness. Units: 0 … 2³²−1. */
  readonly uint32: () => number;
  /** Hears how each TCP flow that was carried ended, or why it was not. */
  readonly onCarried: (facts: FlowFacts, end: FlowEnd) => void;
}

/** What there is at one moment, by what it is. Units: pieces, but `heapBytes`. */
export interface LeftBehind {
  readonly flows: number;
  /** Flows whose end has been seen, which stay in the table for a while. */
  readonly closedFlows: number;
  readonly connections: number;
  readonly relays: number;
  readonly dials: number;
  readonly datagramFlows: number;
  readonly sockets: number;
  readonly channels: number;
  readonly packets: number;
  readonly heapBytes: number;
}

/** An engine with its stack and its host side. */
export class LiveEngine implements LoopBody {
  readonly engine: Engine;
  readonly host: StackHost;
  readonly #options: LiveOptions;
  /** Dials under way, by their flows' ids. */
  readonly #dialing = new Map<number, AbortController>();
  /** Ways of the datagram flows that go to the host, by their ids. */
  readonly #datagramFlows = new Map<number, DatagramRoute>();

  constructor(options: LiveOptions) {
    const { adapter, decider, classify, observer, lookups, system, farSide } = options;
    this.#options = options;
    this.engine = new Engine({
      adapter,
      arena: new Arena(ARENA_SLOT_COUNT, createPacketMemory(ARENA_SLOT_COUNT)),
      decider: farSide?.wrap(decider) ?? decider,
      classify: { ...classify, given: farSide?.given, closedFlowsMax: FLOW_CLOSED_COUNT_MAX },
      verify: adapter.capabilities.checksumsVouched ? Verify.None : Verify.All,
      hasPolicy: lookups.askPolicy !== undefined,
      observer: {
        flowStarted: (flow, record, deliberation) => observer.flowStarted(flow, record, deliberation),
        flowDecided: (flow, record, deliberation) => observer.flowDecided(flow, record, deliberation),
        flowEnded: (flow, record, deliberation) => {
          this.#datagramFlows.delete(record.id);
          observer.flowEnded(flow, record, deliberation);
        },
      },
      stack: { env: { uint32: options.uint32 } },
      translate: system === undefined ? undefined : { listeners: system.listeners, secret: options.uint32() },
      // A TUN device never sees our own sockets: they are bound past it.
      looksUpOwn: adapter.capabilities.kind === "divert",
    });
    this.host = new StackHost(this.stack, options.dialer, options.loop, farSide);
    system?.start({
      flowOf: (...ends) => this.engine.translator!.flowOfAccepted(...ends),
      isOpen: (flow) => this.engine.translator!.isOpen(flow),
    });
  }

  /** The stack that flows end in. */
  get stack(): Stack {
    return this.engine.stack!;
  }

  /** What there is now. */
  get left(): LeftBehind {
    const { engine, host, stack } = this;
    return {
      flows: engine.classifier.table.count,
      closedFlows: engine.classifier.table.countOf(IdleClass.TcpClosed),
      connections: stack.connectionCount,
      relays: host.relayCount,
      dials: this.#dialing.size,
      datagramFlows: this.#datagramFlows.size,
      sockets: host.udp.socketCount,
      channels: this.#options.farSide?.udp.channelCount ?? 0,
      packets: engine.arena.slotCount - engine.arena.freeCount,
      heapBytes: Deno.memoryUsage().heapUsed,
    };
  }

  turn(now: Micros): Micros {
    const { engine } = this;
    const received = engine.counters.received;
    engine.poll(now, RUN_PACKETS_PER_POLL_MAX);
    for (let command = engine.commands.shift(); command !== undefined; command = engine.commands.shift()) {
      this.#carryOut(command);
    }
    this.host.drain(now, (tag) => this.#datagramFlows.get(tag));
    if (engine.counters.received !== received) return now;
    return micros(Math.min(engine.deadline(), this.#options.adapter.nextDue ?? Infinity));
  }

  /** Ends every flow. */
  close(): void {
    this.host.close();
    this.#options.system?.close();
    this.engine.endFlows();
  }

  #answer(event: Event): void {
    this.engine.handle(event, this.#options.loop.now());
    this.#options.loop.touched();
  }

  #carryOut(command: Command): void {
    const { flow } = command;
    const { loop, lookups } = this.#options;
    const start = loop.now();
    const costUs = () => loop.now() - start;
    switch (command.kind) {
      case "resolve":
        lookups.resolve(command.host).catch(() => []).then((addresses) =>
          this.#answer({ kind: "resolved", flow, addresses, costUs: costUs() })
        );
        break;
      case "findProcess":
        this.#findProcess(
          command.facts,
          (owner) => this.#answer({ kind: "processFound", flow, owner, costUs: costUs() }),
        );
        break;
      case "askPolicy":
        lookups.askPolicy!(command.facts).then((verdict) => this.#answer({ kind: "policyAnswered", flow, verdict }));
        break;
      case "dial":
        this.#dial(command);
        break;
      case "cancelDial":
        this.#dialing.get(flow)?.abort();
    }
  }

  #findProcess(facts: FlowFacts, found: (owner: ProcessOwner | undefined) => void): void {
    const { lookups } = this.#options;
    const owner = lookups.findProcessNow?.(facts);
    if (owner !== undefined) found(owner);
    else lookups.findProcess(facts).then(found);
  }

  #dial({ flow, facts, verdict }: DialCommand): void {
    const { system } = this.#options;
    if (facts.network === "udp") return this.#carryDatagrams(flow, facts, verdict);
    const giveUp = new AbortController();
    this.#dialing.set(flow, giveUp);
    const isOver = () => {
      if (this.#dialing.get(flow) === giveUp) this.#dialing.delete(flow);
      return giveUp.signal.aborted;
    };
    this.host.carry({
      dial: () => this.#open(facts, verdict, giveUp.signal),
      accept: () => {
        // The flow may be dialed anew by now: an answer to what was cancelled would be taken for that.
        if (isOver()) return undefined;
        this.#answer({ kind: "dialed", flow });
        if (system === undefined || !this.engine.translator!.has(flow)) return this.engine.takeConnection(flow);
        return this.#accepted(system, flow);
      },
      fail: (error) => {
        if (!isOver()) this.#answer({ kind: "dialFailed", flow, error });
      },
    }).then((end) => this.#options.onCarried(facts, end));
  }

  /** What the system accepted for a flow; it is broken off through the packets, which every system lets us do. */
  async #accepted(system: SystemListener, flow: number): Promise<Duplex | undefined> {
    const conn = await system.accepted(flow);
    if (conn === undefined) return undefined;
    return new DenoDuplex(conn, () => {
      this.engine.translator!.abort(flow, this.#options.loop.now());
      this.#options.loop.touched();
      return true;
    });
  }

  /** Datagrams are carried, or refused from the next one on. */
  #carryDatagrams(flow: number, facts: FlowFacts, verdict: DialCommand["verdict"]): void {
    const route = this.#isLoop(facts) ? undefined : this.#routeOf(facts, verdict);
    if (route !== undefined) this.#datagramFlows.set(flow, route);
    else this.#answer({ kind: "dialFailed", flow, error: "prohibited" });
  }

  #routeOf(facts: FlowFacts, verdict: DialCommand["verdict"]): DatagramRoute | undefined {
    const { farSide } = this.#options;
    if (farSide !== undefined) return farSide.routeOf(facts, verdict);
    return verdict.action === "direct" ? { kind: "plain" } : undefined;
  }

  #isLoop(facts: FlowFacts): boolean {
    return facts.sourceIp !== undefined && this.#options.dialer.isOwn(facts.sourceIp);
  }

  async #open(facts: FlowFacts, verdict: DialCommand["verdict"], giveUp: AbortSignal): Promise<DialResult> {
    const failed = (failure: DialError, message: string): DialResult => ({ failure, message });
    if (this.#isLoop(facts)) {
      return failed(
        "prohibited",
        `it comes from ${formatIp(facts.sourceIp!)}, the address of weir's own sockets: a loop`,
      );
    }
    const { farSide } = this.#options;
    if (farSide !== undefined) return await farSide.open(facts, verdict, giveUp);
    if (verdict.action !== "direct") return failed("prohibited", `there is no outbound for ${verdict.target}`);
    let address = facts.destinationIp;
    if (address === undefined) {
      const found = await this.#options.lookups.resolve(facts.host).catch((error: Error) => error.message);
      if (typeof found === "string") return failed("hostUnreachable", found);
      address = found[0];
    }
    if (address === undefined) return failed("hostUnreachable", `${facts.host} has no address`);
    return await this.#options.dialer.dial(address, facts.destinationPort, giveUp);
  }
}
