/** An engine over a scripted adapter, with a decider that tests tell what to say. */
import type { TerminateOptions } from "../../core/act/terminate.ts";
import type { TranslateOptions } from "../../core/act/translate_options.ts";
import type { Adapter, Capabilities } from "../../core/adapter/adapter.ts";
import { type Arena, NO_SLOT, type Slot } from "../../core/adapter/arena.ts";
import { type Micros, micros } from "../../core/base/micros.ts";
import { type FlowFacts, Lookup, ruleHost } from "../../core/classify/facts.ts";
import type { FlowRecord } from "../../core/classify/flow_record.ts";
import { createSniffOptions } from "../../core/classify/sniffer.ts";
import type { Decider } from "../../core/decide/decider.ts";
import type { PacketProgram } from "../../core/decide/packet_program.ts";
import type { Deliberation } from "../../core/decide/deliberation.ts";
import type { ExplainStep, Need, Verdict, VerdictAction } from "../../core/decide/verdict.ts";
import { Engine } from "../../core/engine.ts";
import { createQuicCrypto } from "../../core/host/quic_crypto.ts";
import { Verify } from "../../core/parse/parse.ts";

/** Hands out packets from a list and keeps what is sent. */
export class ListAdapter implements Adapter {
  readonly capabilities: Capabilities;
  readonly incoming: Uint8Array[] = [];
  readonly sent: Uint8Array[] = [];
  isFull = false;

  constructor(kind: "tun" | "divert") {
    this.capabilities = { kind, mtu: 1500, batch: 1, checksumsVouched: false };
  }

  receive(arena: Arena, _now: Micros): number {
    let count = 0;
    while (this.incoming.length > 0) {
      const slot = arena.acquire();
      if (slot === NO_SLOT) break;
      const packet = this.incoming.shift()!;
      arena.bytes.set(packet, arena.at(slot));
      arena.length[slot] = packet.length;
      arena.wireLength[slot] = packet.length;
      arena.arrive(slot);
      count++;
    }
    return count;
  }

  send(arena: Arena, slot: Slot, _now: Micros): boolean {
    if (this.isFull) return false;
    this.sent.push(arena.bytes.slice(arena.at(slot), arena.at(slot) + arena.length[slot]!));
    return true;
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}
}

/** What a scripted decider needs before it answers. */
export interface Script {
  action: VerdictAction;
  wants: Need[];
  program?: PacketProgram;
  policyTargets: Record<string, VerdictAction>;
}

/** Says what the script says, after asking for what the script wants. */
export class ScriptedDecider implements Decider {
  readonly rules = [];
  readonly findProcessMode = "strict" as const;
  readonly script: Script = { action: "direct", wants: [], policyTargets: {} };
  /** Facts of each flow as they were when it was decided. */
  readonly seen: { host: string; process: string; destination: FlowFacts["destinationIp"] }[] = [];

  prepare(): void {}

  decide(facts: FlowFacts, verdict: Verdict): Need {
    for (const need of this.script.wants) {
      if (need === "name" && facts.nameMayCome && (ruleHost(facts) === "" || facts.hostAmbiguous)) return need;
      if (need === "process" && facts.processLookup === Lookup.NotTried) return need;
      if (need === "resolve" && facts.resolveLookup === Lookup.NotTried) return need;
    }
    this.seen.push({ host: ruleHost(facts), process: facts.process, destination: facts.destinationIp });
    return this.#fill(verdict, this.script.action);
  }

  decideTarget(target: string, _facts: FlowFacts, verdict: Verdict): boolean {
    const action = this.script.policyTargets[target];
    if (action === undefined) return false;
    this.#fill(verdict, action);
    return true;
  }

  explain(): ExplainStep[] {
    return [];
  }

  #fill(verdict: Verdict, action: VerdictAction): "none" {
    verdict.action = action;
    verdict.rule = "Match";
    verdict.rulePayload = "";
    verdict.target = "x";
    verdict.chains = ["x"];
    verdict.ruleIndex = 0;
    verdict.effects = this.script.program === undefined ? undefined : { program: this.script.program };
    return "none";
  }
}

/** One ended flow as the observer saw it. */
export interface EndedFlow {
  readonly record: FlowRecord;
  readonly deliberation: Deliberation;
  readonly packets: number;
  readonly upload: number;
  readonly download: number;
}

/** Engine, adapter, decider and observer in one; the law is checked after every step. */
export class EngineWorld {
  readonly adapter: ListAdapter;
  readonly decider = new ScriptedDecider();
  readonly ended: EndedFlow[] = [];
  readonly engine: Engine;
  now: Micros = micros(0);

  constructor(
    options: {
      kind?: "tun" | "divert";
      hasPolicy?: boolean;
      preferSniffed?: boolean;
      unwanted?: string;
      verify?: Verify;
      stack?: TerminateOptions;
      translate?: TranslateOptions;
      adapter?: ListAdapter;
      looksUpOwn?: boolean;
      closedFlowsMax?: number;
    } = {},
  ) {
    this.adapter = options.adapter ?? new ListAdapter(options.kind ?? "tun");
    this.engine = new Engine({
      adapter: this.adapter,
      decider: this.decider,
      classify: {
        type: "Tun",
        sniff: createSniffOptions(),
        names: {
          wantsSniff: () => true,
          prefersSniffed: () => options.preferSniffed ?? true,
          accepts: (host) => host !== options.unwanted,
        },
        crypto: createQuicCrypto(),
        secret: 1,
        closedFlowsMax: options.closedFlowsMax,
      },
      verify: options.verify ?? Verify.None,
      hasPolicy: options.hasPolicy ?? false,
      looksUpOwn: options.looksUpOwn ?? false,
      translate: options.translate,
      ...(options.stack === undefined ? {} : { stack: options.stack }),
      observer: {
        flowStarted: () => {},
        flowDecided: () => {},
        flowEnded: (flow, record, deliberation) => {
          const table = this.engine.classifier.table;
          const totals = {
            packets: table.packets[flow]!,
            upload: table.upload[flow]!,
            download: table.download[flow]!,
          };
          this.ended.push({ record, deliberation, ...totals });
        },
      },
    });
  }

  /** Lets packets in, each in a poll of its own, 1 ms apart. Errors: when the conservation law is broken. */
  feed(...packets: Uint8Array[]): void {
    for (const packet of packets) {
      this.adapter.incoming.push(packet);
      this.at(this.now + 1000);
    }
  }

  /** Lets the engine run at a later time. */
  at(now: number): Micros {
    this.now = micros(now);
    const deadline = this.engine.poll(this.now, 64);
    this.check();
    return deadline;
  }

  /** Ends the world as a replay does. */
  finish(): void {
    this.engine.finish(this.now);
    this.engine.endFlows();
    this.check();
    if (this.engine.counters.queued !== 0) throw new Error("packets are left behind");
    if (this.engine.arena.freeCount !== this.engine.arena.slotCount) throw new Error("slots are left behind");
  }

  check(): void {
    if (!this.engine.counters.lawHolds()) throw new Error("the conservation law is broken");
  }
}
