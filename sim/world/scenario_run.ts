/**
 * One simulated run: the scenario of a seed, played to its end and judged.
 *
 * First a safety phase, in which everything may go wrong but nothing may be wrong; then a liveness phase, in which the faults are healed
 * and everything has to finish; then the time in which all state must vanish.
 */
import { type IpAddress, ipFromWords, ipv4FromWord } from "../../core/base/ip_address.ts";
import { InvariantError } from "../../core/base/invariant.ts";
import { WORLD_LIVENESS_US } from "../../core/base/limits.ts";
import { addMicros, type Micros, micros, SECOND_US } from "../../core/base/micros.ts";
import { Prng } from "../../core/base/prng.ts";
import type { PendingFlow } from "../../core/stack/pending_flow.ts";
import { TcpError } from "../../core/stack/tcp/tcp_state.ts";
import { ProxiedRun } from "../proxied/proxied_run.ts";
import { Application } from "./application.ts";
import { forgeSegment } from "./forger.ts";
import type { Tamper } from "./host.ts";
import { type Conversation, drawScenario, type Forgery, type Scenario, type Weather } from "./scenario.ts";
import { addStackHost, connectHosts, linkHosts, type StackHost } from "./stack_host.ts";
import { StreamPattern } from "./stream_pattern.ts";
import { type InvariantName, Violation } from "./violation.ts";
import { World } from "./world.ts";

/** How a run ended. */
export interface RunResult {
  readonly seed: number;
  /** Undefined when everything held. */
  readonly failure: { readonly invariant: InvariantName; readonly step: number; readonly message: string } | undefined;
  readonly digest: string;
  readonly steps: number;
  readonly connections: number;
  /** Bytes that reached programs. */
  readonly bytes: number;
  /** The last packets in words; only of a run that failed. */
  readonly trace: readonly string[];
}

const TCP_ERROR_NAMES: readonly string[] = Object.keys(TcpError);

/** How long a program waits for a peer that is gone, once the world is healed. */
const PATIENCE_US = 300 * SECOND_US;
const SERVER_NUMBER = 100;
/** One world in so many sends its flows through proxies. */
const PROXIED_ONE_IN = 8;

/** The address of a host: 10.0.0.n, or fd00::n. */
function addressOf(version: 4 | 6, number: number): IpAddress {
  return version === 4 ? ipv4FromWord(0x0a00_0000 + number) : ipFromWords(0xfd00_0000, 0, 0, number);
}

/** A conversation's two programs. */
interface Pair {
  readonly conversation: Conversation;
  readonly client: Application;
  readonly server: Application;
  /** A stranger spoke into the handshake. */
  isHarmed: boolean;
}

/** True when a program will never answer again. One that is done has left the rest to its stack, which may have given up since. */
function isDead(application: Application): boolean {
  if (!application.isOver) return false;
  return application.outcome !== "done" || application.socket!.error !== TcpError.None;
}

/**
 * What became of a connection that its program has left to the stack: it must have come to its end. A reset is none of its faults: the peer
 * may have forgotten it while the last acknowledgment was lost.
 */
function errorLeft(application: Application): TcpError {
  const { error } = application.socket!;
  return error === TcpError.Reset ? TcpError.None : error;
}

/**
 * True when the other side had got all that this one sent, and had closed for good: when its last acknowledgment was lost and its TIME-WAIT is
 * over, it resets whoever repeats his FIN. That costs a slow reader what he had not read.
 */
function isForgotten(one: Application, other: Application): boolean {
  return other.outcome === "done" && one.isSendClosed && other.receivedBytes === one.sentBytes;
}

/** The world of one seed. */
class ScenarioRun {
  readonly world: World;
  readonly scenario: Scenario;
  readonly #clients: StackHost[] = [];
  readonly #server: StackHost;
  readonly #pairs: Pair[] = [];
  readonly #tamper: Tamper | undefined;
  readonly #forger: Prng;

  constructor(seed: number, tamper: Tamper | undefined) {
    this.world = new World(seed);
    this.scenario = drawScenario(this.world.prng.fork("scenario"));
    this.#tamper = tamper;
    this.#forger = this.world.prng.fork("forger");
    const { links } = this.scenario;
    // All devices of the server are alike to its stack; what a client's path allows is for that path to say.
    this.#server = this.#addParty("server", SERVER_NUMBER, Math.max(...links.map(({ deviceMtu }) => deviceMtu)));
    this.#server.stack.onFlow = (pending) => this.#decide(this.#server, pending, true);
    links.forEach((plan, i) => {
      const client = this.#addParty(`client${i}`, i + 1, plan.deviceMtu);
      client.stack.onFlow = (pending) => this.#decide(client, pending, false);
      this.#clients.push(client);
      linkHosts(this.world, client, this.#server, {
        forth: plan.forth,
        back: plan.back,
        deviceMtu: Math.max(plan.deviceMtu, ...links.map(({ deviceMtu }) => deviceMtu)),
      });
    });
    this.scenario.conversations.forEach((conversation, i) => this.#pairs.push(this.#addPair(conversation, i)));
    for (const forgery of this.scenario.forgeries) {
      this.world.schedule(micros(forgery.atUs), (now) => this.#forge(forgery, now));
    }
    this.world.onStep = () => this.#checkMemory();
    for (const weather of this.scenario.weather) this.world.schedule(micros(weather.atUs), () => this.#change(weather));
  }

  #addParty(name: string, number: number, mtu: number): StackHost {
    const { version, slotCount, forgeries } = this.scenario;
    const choices = { slotCount, checksSegments: forgeries.length === 0, tamper: this.#tamper, stack: { mtu } };
    return addStackHost(this.world, name, addressOf(version, number), choices);
  }

  #addPair(conversation: Conversation, i: number): Pair {
    const { world } = this;
    const up = new StreamPattern(world.prng.uint32());
    const down = new StreamPattern(world.prng.uint32());
    const make = (name: string, party: StackHost, plan: Conversation["clientPlan"], outgoing: StreamPattern) =>
      new Application(
        `${name}${i}`,
        plan,
        { outgoing, incoming: outgoing === up ? down : up },
        world,
        world.prng.fork(`app-${name}-${i}`),
        (now) => party.host.touch(now),
      );
    const clientStackHost = this.#clients[conversation.client]!;
    const client = make("client", clientStackHost, conversation.clientPlan, up);
    const server = make("server", this.#server, conversation.serverPlan, down);
    client.peer = server;
    server.peer = client;
    world.schedule(
      micros(conversation.startUs),
      (now) => this.#open(clientStackHost, this.#server, client, conversation, now),
    );
    if (conversation.decision.kind === "simultaneous") {
      const at = micros(conversation.startUs + conversation.decision.delayUs);
      world.schedule(at, (now) => this.#openBack(server, clientStackHost, conversation, now));
    }
    return { conversation, client, server, isHarmed: false };
  }

  #open(from: StackHost, to: StackHost, application: Application, conversation: Conversation, now: Micros): void {
    if (application.outcome !== "waiting") return;
    const { clientPort, serverPort, clientOptions } = conversation;
    const { version } = this.scenario;
    const connection = from.stack.connect(
      version,
      from.address,
      clientPort,
      to.address,
      serverPort,
      now,
      clientOptions,
    );
    if (connection === undefined) throw new Violation("failure", `${application.name} cannot connect`);
    from.host.attach(connection, application, true, now);
  }

  #openBack(application: Application, to: StackHost, conversation: Conversation, now: Micros): void {
    if (application.outcome !== "waiting") return;
    const { clientPort, serverPort, serverOptions } = conversation;
    const connection = connectHosts(this.#server, serverPort, to, clientPort, now, serverOptions);
    // The peer's SYN may be there already, waiting for its decision.
    if (connection !== undefined) this.#server.host.attach(connection, application, true, now);
  }

  /** Answers a SYN as the conversation says. One that belongs to no conversation, or to one that was, is an old duplicate. */
  #decide(party: StackHost, pending: PendingFlow, atServer: boolean): void {
    const pair = this.#pairs.find(({ conversation, client, server }) => {
      const mine = atServer ? server : client;
      const [localPort, remotePort] = atServer
        ? [conversation.serverPort, conversation.clientPort]
        : [conversation.clientPort, conversation.serverPort];
      return mine.outcome === "waiting" && pending.localPort === localPort && pending.remotePort === remotePort;
    });
    if (pair === undefined) return pending.refuse(this.world.now);
    const { decision } = pair.conversation;
    const application = atServer ? pair.server : pair.client;
    const at = decision.kind === "simultaneous" ? this.world.now : addMicros(this.world.now, decision.delayUs);
    this.world.schedule(at, (now) => {
      if (application.outcome === "waiting") this.#answer(party, pending, application, pair.conversation, now);
      else pending.ignore();
      party.host.touch(now);
    });
  }

  #answer(
    party: StackHost,
    pending: PendingFlow,
    application: Application,
    conversation: Conversation,
    now: Micros,
  ): void {
    switch (conversation.decision.kind) {
      case "refuse":
        return pending.refuse(now);
      case "unreachable":
        return pending.unreachable(conversation.decision.why, now);
      case "ignore":
        return pending.ignore();
      default: {
        const options = party === this.#server ? conversation.serverOptions : conversation.clientOptions;
        const connection = pending.accept(now, options);
        if (connection !== undefined) party.host.attach(connection, application, false, now);
      }
    }
  }

  #forge({ conversation, isToServer }: Forgery, now: Micros): void {
    const pair = this.#pairs[conversation]!;
    if (pair.client.outcome === "waiting") return;
    // A SYN needs no guess to harm a handshake (RFC 9293 section 3.5 takes it for a simultaneous open): then both sides may fail, but visibly.
    if (!pair.client.isConnected || pair.server.outcome === "waiting") pair.isHarmed = true;
    const { client, clientPort, serverPort } = this.scenario.conversations[conversation]!;
    const { version } = this.scenario;
    const caller = { address: this.#clients[client]!.address, port: clientPort };
    const callee = { address: this.#server.address, port: serverPort };
    const [from, to] = isToServer ? [caller, callee] : [callee, caller];
    const ends = {
      version,
      source: from.address,
      sourcePort: from.port,
      destination: to.address,
      destinationPort: to.port,
    };
    const { a, b } = this.world.links[client]!;
    (isToServer ? b : a).arrive(forgeSegment(ends, this.#forger), now);
  }

  #change({ client, kind, forth, back, mtu }: Weather): void {
    if (this.world.now >= this.scenario.healUs) return;
    const link = this.world.links[client]!;
    if (kind === "partition") link.partition();
    else if (kind === "rejoin") link.rejoin();
    else if (kind === "mtu") {
      link.aToB.change({ mtu });
      link.bToA.change({ mtu });
    } else {
      link.aToB.change({ faults: forth });
      link.bToA.change({ faults: back });
    }
  }

  /** No connection holds more than its buffers may. */
  #checkMemory(): void {
    for (const { conversation, client, server } of this.#pairs) {
      for (
        const [app, options] of [[client, conversation.clientOptions], [server, conversation.serverOptions]] as const
      ) {
        const socket = app.socket;
        if (socket === undefined) continue;
        // A buffer holds whole segments, and the window that announces it is a whole number of window units.
        const unit = 1 << Math.max(0, options.windowScale!);
        if (socket.readableBytes > options.receiveBufferBytesMax! + options.mss! + unit) {
          throw new Violation("memory", `${app.name} has ${socket.readableBytes} bytes to read, more than its buffer`);
        }
        if (socket.unackedBytes > options.sendBufferBytesMax!) {
          throw new Violation("memory", `${app.name} has ${socket.unackedBytes} bytes to send, more than its buffer`);
        }
      }
    }
  }

  /** Plays all three phases. Errors: `Violation`. */
  play(): void {
    const { world, scenario } = this;
    world.runUntil(micros(scenario.healUs));
    for (const link of world.links) link.heal();
    for (const { client, server } of this.#pairs) {
      client.hurry(world.now);
      server.hurry(world.now);
    }
    const healed = world.now;
    const isOver = () => this.#pairs.every((pair) => this.#isOver(pair));
    world.runUntil(addMicros(healed, PATIENCE_US), isOver);
    this.#loseWidows();
    world.runUntil(addMicros(healed, WORLD_LIVENESS_US), isOver);
    for (const pair of this.#pairs) this.#judge(pair);
    // What is left are timers of connections that nobody holds any more.
    world.runUntil(addMicros(world.now, WORLD_LIVENESS_US));
    if (world.planned > 0) throw new Violation("cleanup", "something is still planned when all is over");
    world.checkEmpty();
    for (const party of [this.#server, ...this.#clients]) this.#judgeEmpty(party);
  }

  #isOver({ client, server }: Pair): boolean {
    return client.isOver && (server.isOver || server.outcome === "waiting");
  }

  /** A program whose peer is gone cannot know it when nothing tells: it loses patience. One whose peer lives must not need to. */
  #loseWidows(): void {
    const { now } = this.world;
    for (const { client, server } of this.#pairs) {
      for (const [one, other] of [[client, server], [server, client]] as const) {
        if (one.outcome === "open" && isDead(other)) one.giveUp(now);
      }
    }
    for (const { host } of [this.#server, ...this.#clients]) host.touch(now);
  }

  #judge(pair: Pair): void {
    const { client, server, conversation } = pair;
    if (!this.#isOver(pair)) {
      const stand = (app: Application) =>
        `${app.name} is ${app.outcome}, sent ${app.sentBytes}${
          app.isSendClosed ? " and closed" : ""
        }, got ${app.receivedBytes}`;
      throw new Violation("liveness", `${stand(client)}; ${stand(server)}`);
    }
    for (const [one, other] of [[client, server], [server, client]] as const) {
      const error = one.outcome === "failed" ? one.error : one.outcome === "done" ? errorLeft(one) : TcpError.None;
      const isHarm = pair.isHarmed && (error === TcpError.Refused || error === TcpError.Reset);
      const isExcused = isHarm || (error === TcpError.Reset && isForgotten(one, other));
      if (error !== TcpError.None && !isExcused && !this.#mayFail(error, other, conversation)) {
        const name = TCP_ERROR_NAMES[error];
        throw new Violation("failure", `${one.name} (${one.outcome}): ${name}; ${other.name} is ${other.outcome}`);
      }
    }
    if (client.outcome === "done" && server.outcome === "waiting") {
      throw new Violation("failure", `${client.name} is done with nobody`);
    }
  }

  /** Whether a program's connection had a reason to fail like this. */
  #mayFail(error: TcpError, other: Application, conversation: Conversation): boolean {
    const { kind } = conversation.decision;
    switch (error) {
      case TcpError.Refused:
        // A repeated SYN of a connection that its far side has given up is a stranger's.
        return kind === "refuse" || kind === "unreachable" || other.isOver;
      case TcpError.Unreachable:
        return kind === "unreachable";
      case TcpError.Reset:
        return isDead(other);
      case TcpError.TimedOut:
        return this.scenario.mayTimeOut || kind === "ignore" || kind === "unreachable";
      case TcpError.UserTimeout:
        return conversation.clientOptions.userTimeoutUs !== 0 || conversation.serverOptions.userTimeoutUs !== 0;
      default:
        return false;
    }
  }

  #judgeEmpty({ host, stack }: StackHost): void {
    if (stack.connectionCount + stack.halfOpenCount + stack.pendingCount > 0) {
      throw new Violation("cleanup", `${host.name} keeps ${stack.connectionCount} connections for ever`);
    }
    if (stack.bufferedBytes !== 0) throw new Violation("memory", `${host.name} keeps ${stack.bufferedBytes} bytes`);
  }

  get bytes(): number {
    let bytes = 0;
    for (const { client, server } of this.#pairs) bytes += client.receivedBytes + server.receivedBytes;
    return bytes;
  }
}

/** True for seeds whose world sends its flows through proxies. */
function isProxiedSeed(seed: number): boolean {
  return new Prng(seed).fork("proxied").chance(1, PROXIED_ONE_IN);
}

/** Plays the run of a seed: flows from host to host, or, in some worlds, through proxies. `tamper` spoils the stacks' packets, for canaries. */
export function runSeed(seed: number, tamper?: Tamper): RunResult {
  const run = isProxiedSeed(seed) ? new ProxiedRun(seed, tamper) : new ScenarioRun(seed, tamper);
  const { world } = run;
  let failure: RunResult["failure"];
  try {
    run.play();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const invariant = error instanceof Violation ? error.invariant : "exception";
    const message = error instanceof Violation || error instanceof InvariantError
      ? error.message
      : error.stack ?? error.message;
    failure = { invariant, step: world.steps, message };
  }
  world.digest.add(world.steps);
  return {
    seed,
    failure,
    digest: world.digest.toString(),
    steps: world.steps,
    connections: run.scenario.conversations.length,
    bytes: run.bytes,
    trace: failure === undefined ? [] : world.trace.lines(),
  };
}

/** The generator that a run's scenario is drawn from, for whoever wants to look at it without playing it. */
export function scenarioOf(seed: number): Scenario {
  return drawScenario(new Prng(seed).fork("scenario"));
}
