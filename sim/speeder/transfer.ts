/** One TCP transfer over a path that loses packets, with a speeder at the sender or without: what net-speeder is worth, in a virtual world. */
import { NO_FAULTS, PPM } from "../../core/adapter/fault_plan.ts";
import { ipv4FromWord } from "../../core/base/ip_address.ts";
import { type Micros, micros, SECOND_US } from "../../core/base/micros.ts";
import { SPEEDER_FILTER, speederProgram } from "../../core/cli/speeder_engine.ts";
import type { ProgramCounts } from "../../core/act/program_counts.ts";
import { type AppPlan, QUIET_APP } from "../world/app_plan.ts";
import { Application } from "../world/application.ts";
import { addressKey } from "../world/host.ts";
import { type ChannelOptions, Link, PERFECT_CHANNEL } from "../world/link.ts";
import { addStackHost, connectHosts, type StackHost } from "../world/stack_host.ts";
import { StreamPattern } from "../world/stream_pattern.ts";
import { World } from "../world/world.ts";
import { SpeederBox } from "./speeder_box.ts";

/** What is transferred, over which path, and how. Units: as named. */
export interface TransferPlan {
  readonly seed: number;
  readonly bytes: number;
  /** Packets lost in each direction on average. */
  readonly lossPpm: number;
  /** True: losses come in bursts of four packets on average; false: each packet by itself. */
  readonly isBursty: boolean;
  readonly rateBps: number;
  readonly oneWayUs: number;
  readonly queuePackets: number;
  /** 1: no copies. */
  readonly multiplicity: number;
  readonly isAdaptive: boolean;
  /** As the configuration writes rates; undefined for no bound. */
  readonly ceiling?: string | undefined;
  readonly timeLimitUs: number;
}

/** What came of it. Units: as named. */
export interface TransferResult {
  readonly isComplete: boolean;
  /** From the SYN to the receiver's sight of the end, or the time limit. */
  readonly elapsedUs: number;
  readonly receivedBytes: number;
  /** Payload that reached the receiving program. Units: bits per second. */
  readonly goodputBps: number;
  /** IP packets that the sender's machine put on the wire, copies included. */
  readonly wireBytes: number;
  readonly wirePackets: number;
  readonly counts: ProgramCounts;
}

const SENDER_PORT = 40_000;
const RECEIVER_PORT = 5201;
const SLOT_COUNT = 512;
/** Odds that a burst ends with a packet: four packets long on average. */
const BURST_LEAVE_PPM = PPM / 4;

function channelOf(plan: TransferPlan): ChannelOptions {
  const { lossPpm, isBursty, oneWayUs, rateBps, queuePackets } = plan;
  // The share of time in a burst is enter / (enter + leave), and there everything is lost.
  const burstEnterPpm = Math.round(lossPpm * BURST_LEAVE_PPM / (PPM - lossPpm));
  const losses = isBursty ? { burstEnterPpm, burstLeavePpm: BURST_LEAVE_PPM, burstLossPpm: PPM } : { lossPpm };
  return {
    ...PERFECT_CHANNEL,
    rateBps,
    queuePacketsMax: queuePackets,
    faults: { ...NO_FAULTS, ...losses, delayUs: oneWayUs },
  };
}

/** The two hosts, their programs, and the speeder. */
class TransferRun {
  readonly #plan: TransferPlan;
  readonly #world: World;
  readonly #box: SpeederBox;
  readonly #sender: Application;
  readonly #receiver: Application;
  readonly #senderHost: StackHost;
  readonly #receiverHost: StackHost;

  constructor(plan: TransferPlan) {
    const world = new World(plan.seed);
    this.#plan = plan;
    this.#world = world;
    const choices = { slotCount: SLOT_COUNT, checksSegments: false };
    const from = addStackHost(world, "sender", ipv4FromWord(0x0a00_0001), choices);
    const to = addStackHost(world, "receiver", ipv4FromWord(0x0a00_0002), choices);
    const channel = channelOf(plan);
    const link = new Link(channel, channel, channel.mtu, world, world.prng.fork("link"));
    world.links.push(link);
    const { multiplicity, isAdaptive, ceiling } = plan;
    const program = speederProgram({ filter: SPEEDER_FILTER, multiplicity, ceiling, isAdaptive });
    this.#box = new SpeederBox(link.a, channel.mtu, program, world, world.prng.uint32());
    from.host.addDevice(this.#box.hostSide, [addressKey(4, to.address, 0)]);
    to.host.addDevice(link.b, [addressKey(4, from.address, 0)]);
    this.#senderHost = from;
    this.#receiverHost = to;
    const pattern = new StreamPattern(world.prng.uint32());
    this.#sender = this.#program(
      "sender",
      from,
      { ...QUIET_APP, sendBytes: plan.bytes, writeBytesMin: 65_536 },
      pattern,
    );
    this.#receiver = this.#program("receiver", to, QUIET_APP, pattern);
    this.#sender.peer = this.#receiver;
    this.#receiver.peer = this.#sender;
  }

  #program(name: string, party: StackHost, plan: AppPlan, pattern: StreamPattern): Application {
    const streams = { outgoing: pattern, incoming: pattern };
    return new Application(
      name,
      plan,
      streams,
      this.#world,
      this.#world.prng.fork(name),
      (now) => party.host.touch(now),
    );
  }

  run(): TransferResult {
    const world = this.#world;
    this.#receiverHost.stack.onFlow = (pending, now) => {
      const connection = pending.accept(now);
      if (connection !== undefined) this.#receiverHost.host.attach(connection, this.#receiver, false, now);
    };
    world.schedule(micros(0), (now) => this.#connect(now));
    world.runUntil(micros(this.#plan.timeLimitUs), () => this.#receiver.sawEnd || this.#sender.outcome === "failed");
    const isComplete = this.#receiver.sawEnd;
    const elapsedUs = Math.max(1, world.now);
    const { receivedBytes } = this.#receiver;
    return {
      isComplete,
      elapsedUs,
      receivedBytes,
      goodputBps: receivedBytes * 8 * SECOND_US / elapsedUs,
      wireBytes: this.#box.wireBytes,
      wirePackets: this.#box.wirePackets,
      counts: this.#box.engine.programs.results()[0]!.counts,
    };
  }

  #connect(now: Micros): void {
    const connection = connectHosts(this.#senderHost, SENDER_PORT, this.#receiverHost, RECEIVER_PORT, now);
    if (connection === undefined) throw new RangeError("Cannot begin the transfer: the ports are in use");
    this.#senderHost.host.attach(connection, this.#sender, true, now);
  }
}

/** Runs one transfer. The same plan gives the same result. */
export function runTransfer(plan: TransferPlan): TransferResult {
  return new TransferRun(plan).run();
}
