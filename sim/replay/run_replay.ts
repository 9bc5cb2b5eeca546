/** Captures through the engine in virtual time: the clock is the packets' own timestamps, lookups are answered from the capture. */
import type { Command, Event, PolicyVerdict, ProcessOwner } from "../../core/act/command.ts";
import { PcapTap } from "../../core/adapter/tap.ts";
import { invariant } from "../../core/base/invariant.ts";
import type { IpPrefix } from "../../core/base/ip_address.ts";
import { addMicros, type Micros, micros, NEVER } from "../../core/base/micros.ts";
import type { NamePolicy } from "../../core/classify/classifier.ts";
import type { FlowFacts } from "../../core/classify/facts.ts";
import { Lookup } from "../../core/classify/facts.ts";
import type { InitialCrypto, SniffOptions } from "../../core/classify/sniffer.ts";
import type { ReplayCapture, ReplayResult } from "../../core/cli/replay_result.ts";
import type { Decider } from "../../core/decide/decider.ts";
import { Engine } from "../../core/engine.ts";
import type { Verify } from "../../core/parse/parse.ts";
import { CaptureError, type CaptureReader } from "../capture/open.ts";
import type { CaptureRecord, ProcessFact } from "../capture/record.ts";
import { LINKTYPE } from "../capture/link_types.ts";
import { type ByteSink, PcapngWriter } from "../capture/write.ts";
import type { ProcessTable } from "../processes.ts";
import { LivePlay } from "../live_play/live_play.ts";
import type { ProxyWays } from "../proxied/proxy_ways.ts";
import { CaptureDns } from "./capture_dns.ts";
import { indexProcesses, ProcessIndex } from "./process_index.ts";
import { ReplayAdapter } from "./replay_adapter.ts";
import type { FlowPlays } from "./flow_plays.ts";
import { SystemPlay } from "./system_play.ts";
import { ResultBuilder } from "./result_builder.ts";
import type { ReplaySource } from "./replay_source.ts";

/** Asks a policy about a flow; undefined leaves the decision to the rules. Never rejects. */
export type PolicyAsk = (facts: FlowFacts) => Promise<PolicyVerdict | undefined>;

/** All that a replay is made of. */
export interface ReplayWorld {
  /** Opened one after the other. */
  readonly captures: readonly ReplaySource[];
  readonly decider: Decider;
  readonly sniff: SniffOptions;
  readonly names: NamePolicy;
  readonly crypto: InitialCrypto;
  readonly policy: PolicyAsk | undefined;
  readonly processes: ProcessTable | undefined;
  readonly mode: "tun" | "divert";
  readonly verify: Verify;
  readonly seed: number;
  readonly explain: boolean;
  /** Plays every TCP flow that would end there against our own stack, or rewrites its packets to the system's and back, as well. */
  readonly play?: "netstack" | "system" | undefined;
  /** Addresses that stand for names, because the configuration's DNS gives them out. */
  readonly fakeRanges?: readonly IpPrefix[] | undefined;
  /** How flows that are played against our own stack go on through their proxies; without it they end behind the stack. */
  readonly proxies?: ProxyWays | undefined;
  /** Takes the packets as they would leave, as pcapng. */
  readonly output: ByteSink | undefined;
  /** Hears how far the replay is. Units: bytes of the file on disk, packets so far. */
  readonly onProgress: ((path: string, bytesRead: number, bytesTotal: number, packets: number) => void) | undefined;
}

function ownerOf(fact: ProcessFact): ProcessOwner {
  return { name: fact.name, path: fact.path, processId: fact.pid, user: fact.user, uid: fact.uid };
}

async function indexSource(source: ReplaySource, index: ProcessIndex): Promise<void> {
  try {
    using reader = await source.open();
    await indexProcesses(reader, index);
  } catch (error) {
    // That the file is no capture is said where it is replayed.
    if (!(error instanceof CaptureError)) throw error;
  }
}

function createPlays({ play, mode, seed, proxies }: ReplayWorld): FlowPlays | undefined {
  if (play === undefined) return undefined;
  return play === "netstack" ? new LivePlay(seed, proxies) : new SystemPlay(mode, seed);
}

/** One run: an engine, its adapter and its virtual clock. */
class ReplayRun {
  readonly #world: ReplayWorld;
  readonly #adapter: ReplayAdapter;
  readonly #engine: Engine;
  readonly #play: FlowPlays | undefined;
  readonly #builder: ResultBuilder;
  readonly #writer: PcapngWriter | undefined;
  readonly #dns: CaptureDns;
  #processIndex: ProcessIndex | undefined = undefined;
  #now: Micros = micros(0);
  #deadline: Micros = micros(0);
  /** What is added to a capture's timestamps so that time never runs backwards from one capture to the next. Units: µs. */
  #shiftUs = 0;

  constructor(world: ReplayWorld) {
    this.#world = world;
    this.#writer = world.output === undefined
      ? undefined
      : new PcapngWriter(world.output, { application: "weir replay" });
    if (this.#writer !== undefined) this.#writer.addInterface({ linkType: LINKTYPE.RAW, name: "weir" });
    this.#adapter = new ReplayAdapter(world.mode, this.#writer === undefined ? undefined : this.#write);
    this.#dns = new CaptureDns(world.fakeRanges ?? [], world.captures, () => this.#engine.classifier.dns);
    const play = createPlays(world);
    this.#play = play;
    this.#builder = new ResultBuilder(
      world.decider,
      world.explain,
      () => this.#engine.classifier.table,
      (facts) => this.#addProcess(facts),
      play,
    );
    this.#engine = new Engine({
      adapter: play === undefined
        ? this.#adapter
        : new PcapTap(this.#adapter, (arena, slot, isReceived, now) => isReceived && play.see(arena, slot, now)),
      decider: world.decider,
      classify: {
        type: world.mode === "tun" ? "Tun" : "Redir",
        sniff: world.sniff,
        names: world.names,
        crypto: world.crypto,
        given: this.#dns,
        secret: world.seed,
      },
      verify: world.verify,
      hasPolicy: world.policy !== undefined,
      observer: this.#builder,
    });
  }

  async run(): Promise<ReplayResult> {
    const captures: ReplayCapture[] = [];
    for (const source of this.#world.captures) captures.push(await this.#replaySource(source));
    await this.#finish();
    this.#writer?.flush();
    return this.#builder.build(captures, this.#engine.counters, this.#engine.programs.results());
  }

  /** A file that is no capture does not take the others with it. */
  async #replaySource(source: ReplaySource): Promise<ReplayCapture> {
    const file = source.path;
    try {
      using reader = await source.open();
      await this.#replayCapture(reader);
      const { format, packets, bytes } = reader;
      const error = reader.error === null ? null : { message: reader.error.message, offset: reader.error.offset };
      return { file, format, linkTypes: [...reader.linkTypes], packets, bytes, error };
    } catch (error) {
      if (!(error instanceof CaptureError)) throw error;
      return { file, format: null, linkTypes: [], packets: 0, bytes: 0, error: { message: error.message, offset: 0 } };
    }
  }

  async #replayCapture(reader: CaptureReader): Promise<void> {
    const world = this.#world;
    let isFirst = true;
    do {
      for (let record = reader.tryNext(); record !== undefined; record = reader.tryNext()) {
        if (isFirst) this.#shiftUs = Math.max(0, this.#now - record.timestampUs);
        isFirst = false;
        this.#replayPacket(record);
        if (this.#engine.commands.length > 0) await this.#carryOutCommands();
      }
      world.onProgress?.(reader.path, reader.fileBytesRead, reader.fileBytes, reader.packets);
    } while (await reader.fill());
  }

  #replayPacket(record: CaptureRecord): void {
    const at = record.timestampUs + this.#shiftUs;
    while (this.#deadline <= at && this.#deadline > this.#now && this.#engine.commands.length === 0) {
      this.#now = this.#deadline;
      this.#deadline = this.#engine.poll(this.#now, 0);
    }
    if (at > this.#now) this.#now = micros(at);
    this.#builder.timestampUs = record.timestampUs;
    this.#adapter.offer(record);
    const classified = this.#engine.classifier.classifiedCount;
    this.#deadline = this.#engine.poll(this.#now, 1);
    const isOfFlow = this.#engine.classifier.classifiedCount !== classified;
    if (isOfFlow && this.#adapter.process !== undefined) this.#addLateProcess();
    if (isOfFlow && this.#play !== undefined) this.#playPacket(this.#play);
    invariant(!this.#adapter.isPending, "the arena always has room for the next packet of a replay");
    invariant(this.#engine.counters.lawHolds(), "received = delivered + consumed + queued + dropped");
  }

  /** Lookups take no virtual time: the capture's clock stands still while they are answered. */
  async #carryOutCommands(): Promise<void> {
    const commands = this.#engine.commands;
    for (let command = commands.shift(); command !== undefined; command = commands.shift()) {
      this.#engine.handle(await this.#answer(command), this.#now);
    }
    invariant(this.#engine.counters.lawHolds(), "received = delivered + consumed + queued + dropped");
  }

  async #answer(command: Command): Promise<Event> {
    const flow = command.flow;
    switch (command.kind) {
      case "resolve": {
        const addresses = await this.#dns.resolve(command.host, this.#now);
        return { kind: "resolved", flow, addresses, costUs: 0 };
      }
      case "findProcess":
        return { kind: "processFound", flow, owner: await this.#findOwner(command.facts), costUs: 0 };
      case "askPolicy":
        return { kind: "policyAnswered", flow, verdict: await this.#world.policy!(command.facts) };
      case "dial":
      case "cancelDial":
        // Only an engine with a stack dials.
        return { kind: "dialFailed", flow, error: "failed" };
    }
  }

  async #finish(): Promise<void> {
    const engine = this.#engine;
    // Each round answers what the one before asked for; a flow asks three times at most.
    for (let round = 0; round < 4; round++) {
      engine.finish(this.#now);
      if (engine.commands.length === 0) break;
      await this.#carryOutCommands();
    }
    // What programs hold back leaves when it is due: the clock goes on after the last packet.
    for (let due = engine.programs.nextDue; due !== NEVER; due = engine.programs.nextDue) {
      if (due > this.#now) this.#now = due;
      engine.poll(this.#now, 0);
    }
    engine.endFlows();
    invariant(engine.counters.lawHolds(), "received = delivered + consumed + queued + dropped");
  }

  /** What a live system would be asked for: the whole capture is searched, once, when a rule first wants a process. */
  async #findOwner(facts: FlowFacts): Promise<ProcessOwner | undefined> {
    if (this.#processIndex === undefined) {
      this.#processIndex = new ProcessIndex();
      for (const source of this.#world.captures) await indexSource(source, this.#processIndex);
    }
    const { network, sourceIp, sourcePort, destinationIp, destinationPort } = facts;
    if (sourceIp === undefined || destinationIp === undefined) return undefined;
    const found = this.#processIndex.find(network, sourceIp, sourcePort, destinationIp, destinationPort);
    return found === undefined ? undefined : ownerOf(found);
  }

  #playPacket(play: FlowPlays): void {
    const record = this.#engine.classifier.records[this.#engine.classifier.lastFlow];
    if (record !== undefined) play.packet(record.id);
  }

  /** A process that only a later packet names still belongs into the report. */
  #addLateProcess(): void {
    const record = this.#engine.classifier.records[this.#engine.classifier.lastFlow];
    if (record !== undefined) this.#addProcess(record.facts);
  }

  /** What a packet or the side file says of a process is there before anybody asks, like WinDivert's FLOW events. */
  #addProcess(facts: FlowFacts): void {
    if (this.#world.decider.findProcessMode === "off" || facts.processLookup === Lookup.Done) return;
    const { network, sourceIp, sourcePort, destinationIp, destinationPort } = facts;
    let found = this.#adapter.process;
    if (found === undefined && sourceIp !== undefined && destinationIp !== undefined) {
      found = this.#world.processes?.find(network, sourceIp, sourcePort, destinationIp, destinationPort);
    }
    if (found === undefined) return;
    const owner = ownerOf(found);
    facts.process = owner.name;
    facts.processPath = owner.path;
    facts.processId = owner.processId;
    facts.user = owner.user;
    facts.uid = owner.uid;
    facts.processLookup = Lookup.Done;
  }

  readonly #write = (arena: Engine["arena"], slot: number): boolean => {
    const flow = arena.flow[slot]!;
    const record = flow < 0 ? undefined : this.#engine.classifier.records[flow];
    this.#writer!.writePacket(arena.bytes, arena.at(slot), arena.length[slot]!, {
      timestampUs: addMicros(this.#now, -this.#shiftUs),
      originalLength: arena.wireLength[slot]!,
      direction: arena.direction[slot] as 0 | 1 | 2,
      comment: record === undefined ? undefined : this.#builder.describe(record.id),
    });
    return true;
  };
}

/** Replays captures through the whole pipeline. A file that is damaged or no capture is in the result, with all that came before. */
export function runReplay(world: ReplayWorld): Promise<ReplayResult> {
  return new ReplayRun(world).run();
}
