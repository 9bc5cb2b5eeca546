/**
 * A simulated world whose flows go through proxies: an application and its target talk over two connections of weir's stack, with the client's machine
 * of a protocol between them and a simulated server behind the second one. What holds for direct flows must hold for these.
 *
 *     phone ══ quiet link ══ weir: stack, relay, machine ══ bad link ══ proxy: stack, server ── target's program
 */
import { type IpAddress, ipFromWords, ipv4FromWord } from "../../core/base/ip_address.ts";
import { PROXIED_BUFFER_BYTES, WORLD_LIVENESS_US } from "../../core/base/limits.ts";
import { addMicros, type Micros, micros, SECOND_US } from "../../core/base/micros.ts";
import { createOutboundCrypto } from "../../core/host/outbound_crypto.ts";
import { createChainTunnel } from "../../core/outbound/create_stream_tunnel.ts";
import type { OutboundSettings } from "../../core/outbound/settings.ts";
import type { Destination } from "../../core/outbound/tunnel.ts";
import type { PendingFlow } from "../../core/stack/pending_flow.ts";
import { TcpError } from "../../core/stack/tcp/tcp_state.ts";
import { createChainServer } from "../servers/create_server.ts";
import { Application } from "../world/application.ts";
import { addressKey, type Tamper } from "../world/host.ts";
import { type Conversation, drawScenario, type Scenario, type Weather } from "../world/scenario.ts";
import { addStackHost, linkHosts, type StackHost } from "../world/stack_host.ts";
import { StreamPattern } from "../world/stream_pattern.ts";
import { Violation } from "../world/violation.ts";
import { World } from "../world/world.ts";
import { drawHops } from "./draw_proxies.ts";
import { simulatedEnv } from "./proxy_ways.ts";
import { RelayProgram } from "./relay_program.ts";
import { ServerProgram } from "./server_program.ts";

/** How long a program waits for a peer that is gone, once the world is healed. */
const PATIENCE_US = 300 * SECOND_US;
const UNIX_SECONDS = 1_700_000_000;
const PROXY_PORT = 443;
/** What seals, tags and lengths add to what a relay may hold, and one chunk more than the bound. Units: bytes. */
const HELD_BYTES_MAX = 4 * PROXIED_BUFFER_BYTES;
const Party = { phone: 1, weir: 2, proxy: 3, target: 4 } as const;
const crypto = createOutboundCrypto();

/** One flow through a proxy. */
interface ProxiedFlow {
  readonly conversation: Conversation;
  readonly hops: readonly OutboundSettings[];
  /** Where it wants to go: the target's address, or the name that weir knows it under. */
  readonly destination: Destination;
  readonly client: Application;
  readonly server: Application;
  relay: RelayProgram | undefined;
  served: ServerProgram | undefined;
}

/** True when a program will never answer again. One that is done has left the rest to its stack, which may have given up since. */
function isDead({ isOver, outcome, socket }: Application): boolean {
  return isOver && (outcome !== "done" || socket!.error !== TcpError.None);
}

/**
 * True when the other side had got all that this one sent, and had closed for good: weir's connection to the proxy is over then, and when its last
 * acknowledgment was lost and its TIME-WAIT is over, whoever repeats his FIN is reset.
 */
function isForgotten(one: Application, other: Application): boolean {
  return other.outcome === "done" && one.isSendClosed && other.receivedBytes === one.sentBytes;
}

/** A protocol without halves cannot carry on after its server's end: there the target's program waits for its peer. */
function fitPlans(conversation: Conversation, hops: readonly OutboundSettings[]): Conversation {
  if (hops.every(({ webSocket }) => webSocket === undefined)) return conversation;
  const { clientPlan, serverPlan } = conversation;
  return {
    ...conversation,
    clientPlan: clientPlan.closes === "afterPeer" ? { ...clientPlan, closes: "half" } : clientPlan,
    serverPlan: serverPlan.closes === "half" ? { ...serverPlan, closes: "afterPeer" } : serverPlan,
  };
}

/** The world of one seed. */
export class ProxiedRun {
  readonly world: World;
  readonly scenario: Scenario;
  readonly flows: readonly ProxiedFlow[];
  readonly #weir: StackHost;
  readonly #proxy: StackHost;
  readonly #parties: readonly StackHost[];

  constructor(seed: number, tamper?: Tamper) {
    const world = new World(seed);
    this.world = world;
    this.scenario = drawScenario(world.prng.fork("scenario"));
    const { links, forgeries: _, slotCount } = this.scenario;
    const mtu = links[0]!.deviceMtu;
    const add = (name: string, number: number) =>
      addStackHost(world, name, this.#addressOf(number), { slotCount, tamper, stack: { mtu } });
    const phone = add("phone", Party.phone);
    this.#weir = add("weir", Party.weir);
    this.#proxy = add("proxy", Party.proxy);
    this.#parties = [phone, this.#weir, this.#proxy];
    const { w0, w1, w2, w3, version } = this.#addressOf(Party.target);
    const keyOf = (party: StackHost) => addressKey(party.version, party.address, 0);
    // What the phone sends to the target comes to weir, as it does through a TUN device.
    const throughWeir = [keyOf(this.#weir), addressKey(version, [w0, w1, w2, w3], 0)];
    world.addLink(phone.host, [keyOf(phone)], this.#weir.host, throughWeir, { forth: { mtu }, back: { mtu } });
    linkHosts(world, this.#weir, this.#proxy, { forth: links[0]!.forth, back: links[0]!.back, deviceMtu: mtu });
    this.#weir.stack.onFlow = (pending) => this.#relay(pending);
    this.#proxy.stack.onFlow = (pending) => this.#serve(pending);
    this.flows = this.scenario.conversations.map((conversation, i) => this.#addFlow(conversation, i, phone));
    world.onStep = () => this.#checkMemory();
    for (const weather of this.scenario.weather) world.schedule(micros(weather.atUs), () => this.#change(weather));
  }

  #addressOf(number: number): IpAddress {
    return this.scenario.version === 4 ? ipv4FromWord(0x0a00_0000 + number) : ipFromWords(0xfd00_0000, 0, 0, number);
  }

  #addFlow(drawn: Conversation, i: number, phone: StackHost): ProxiedFlow {
    const { world } = this;
    const prng = world.prng.fork(`proxies-${i}`);
    const hops = drawHops(prng);
    const conversation = fitPlans(drawn, hops);
    const { clientPlan, serverPlan, clientPort, serverPort, clientOptions, startUs } = conversation;
    const [up, down] = [new StreamPattern(prng.uint32()), new StreamPattern(prng.uint32())];
    const make = (
      name: string,
      plan: typeof clientPlan,
      patterns: { outgoing: StreamPattern; incoming: StreamPattern },
    ) => new Application(`${name}${i}`, plan, patterns, world, world.prng.fork(`app-${name}-${i}`));
    const client = make("client", clientPlan, { outgoing: up, incoming: down });
    const server = make("server", serverPlan, { outgoing: down, incoming: up });
    client.peer = server;
    server.peer = client;
    const address = this.#addressOf(Party.target);
    const destination = prng.chance(1, 2)
      ? { address, host: `target${i}.example`, port: serverPort }
      : { address, host: "", port: serverPort };
    world.schedule(micros(startUs), (now) => {
      const { w0, w1, w2, w3 } = address;
      const to = new Uint32Array([w0, w1, w2, w3]);
      const { stack, host, version } = phone;
      const connection = stack.connect(version, phone.address, clientPort, to, serverPort, now, clientOptions);
      if (connection === undefined) throw new Violation("failure", `${client.name} cannot connect`);
      host.attach(connection, client, true, now);
    });
    return { conversation, hops, destination, client, server, relay: undefined, served: undefined };
  }

  /** An application's SYN has come to weir: the proxy is dialled. One that belongs to no flow, or to one that was, is an old duplicate. */
  #relay(pending: PendingFlow): void {
    const { now } = this.world;
    const flow = this.flows.find(({ conversation, relay }) =>
      relay === undefined && conversation.clientPort === pending.remotePort
    );
    if (flow === undefined) return pending.refuse(now);
    const { stack, host, version, address } = this.#weir;
    const { serverOptions, clientOptions, clientPort } = flow.conversation;
    const tunnel = createChainTunnel(flow.hops, flow.destination, this.#env(`client-${clientPort}`));
    if (tunnel === undefined || typeof tunnel === "string") throw new Violation("failure", `no machine: ${tunnel}`);
    const relay = new RelayProgram(host, pending, serverOptions, tunnel);
    flow.relay = relay;
    const far = stack.connect(version, address, clientPort, this.#proxy.address, PROXY_PORT, now, clientOptions);
    if (far === undefined) throw new Violation("failure", "weir cannot dial its proxy");
    host.attach(far, relay.far, true, now);
  }

  /** A connection has come to the proxy; its port says whose it is. */
  #serve(pending: PendingFlow): void {
    const { now } = this.world;
    const flow = this.flows.find(({ conversation, served }) =>
      served === undefined && conversation.clientPort === pending.remotePort
    );
    if (flow === undefined) return pending.refuse(now);
    const { serverOptions, clientPort } = flow.conversation;
    const server = createChainServer(flow.hops, this.#env(`server-${clientPort}`));
    if (server === undefined) throw new Violation("failure", "no server fits the proxy");
    const connection = pending.accept(now, serverOptions);
    if (connection === undefined) return;
    flow.served = new ServerProgram(server, (asked) => this.#targetOf(flow, asked));
    this.#proxy.host.attach(connection, flow.served, false, now);
  }

  /** The server must ask for exactly what the application wanted. */
  #targetOf({ destination, server }: ProxiedFlow, asked: Destination): Application {
    const isSame = asked.port === destination.port && (destination.host === "" || asked.host === destination.host) &&
      (destination.host !== "" || asked.address?.w3 === destination.address!.w3);
    if (!isSame) throw new Violation("delivery", `${server.name}'s flow was asked to go somewhere else`);
    return server;
  }

  #env(name: string) {
    return simulatedEnv(
      crypto,
      this.world.prng.fork(`env-${name}`),
      () => UNIX_SECONDS + Math.floor(this.world.now / SECOND_US),
    );
  }

  #change({ kind, forth, back, mtu }: Weather): void {
    if (this.world.now >= this.scenario.healUs) return;
    const link = this.world.links[1]!;
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

  /** No relay and no server holds more than its bound. */
  #checkMemory(): void {
    for (const { client, relay, served } of this.flows) {
      const held = Math.max(relay?.heldBytes ?? 0, served?.heldBytes ?? 0);
      if (held > HELD_BYTES_MAX) throw new Violation("memory", `${client.name}'s way holds ${held} bytes`);
    }
  }

  /** Plays everything to its end. Errors: `Violation`. */
  play(): void {
    const { world, scenario } = this;
    world.runUntil(micros(scenario.healUs));
    for (const link of world.links) link.heal();
    for (const { client, server } of this.flows) {
      client.hurry(world.now);
      server.hurry(world.now);
    }
    const healed = world.now;
    const isOver = () => this.flows.every((flow) => this.#isOver(flow));
    world.runUntil(addMicros(healed, PATIENCE_US), isOver);
    this.#loseWidows(world.now);
    world.runUntil(addMicros(healed, WORLD_LIVENESS_US), isOver);
    for (const flow of this.flows) this.#judge(flow);
    world.runUntil(addMicros(world.now, WORLD_LIVENESS_US));
    this.#endRelays();
    world.runUntil(addMicros(world.now, WORLD_LIVENESS_US));
    if (world.planned > 0) throw new Violation("cleanup", "something is still planned when all is over");
    world.checkEmpty();
    for (const party of this.#parties) this.#judgeEmpty(party);
  }

  #isOver({ client, server }: ProxiedFlow): boolean {
    return client.isOver && (server.isOver || server.outcome === "waiting");
  }

  /** A program whose peer is gone cannot know it when nothing tells: it loses patience. One whose peer lives must not need to. */
  #loseWidows(now: Micros): void {
    for (const flow of this.flows) {
      const { client, server } = flow;
      for (const [one, other] of [[client, server], [server, client]] as const) {
        if (one.outcome === "open" && (isDead(other) || this.#isBroken(flow))) one.giveUp(now);
      }
    }
    for (const { host } of this.#parties) host.touch(now);
  }

  /** True when weir had left a connection to the stack, which has given up since, as it may. */
  #isBroken({ relay }: ProxiedFlow): boolean {
    const error = relay?.isOver === true ? relay.error : TcpError.None;
    return error === TcpError.Reset || (error !== TcpError.None && this.scenario.mayTimeOut);
  }

  #judge({ client, server, hops }: ProxiedFlow): void {
    const stand = ({ name, outcome, sentBytes, receivedBytes }: Application) =>
      `${name} is ${outcome}, sent ${sentBytes}, got ${receivedBytes}`;
    const way = hops.map(({ protocol, webSocket }) => `${protocol.kind}${webSocket === undefined ? "" : "+ws"}`).join();
    if (!client.isOver || !(server.isOver || server.outcome === "waiting")) {
      throw new Violation("liveness", `${stand(client)}; ${stand(server)}; by ${way}`);
    }
    for (const [one, other] of [[client, server], [server, client]] as const) {
      // A relay hands a break on as a reset, whatever it was on its side.
      const isExcused = this.scenario.mayTimeOut ||
        (one.error === TcpError.Reset && (isDead(other) || isForgotten(one, other))) ||
        (one.error === TcpError.Refused && other.isOver);
      if (one.outcome === "failed" && !isExcused) {
        throw new Violation("failure", `${one.name} failed with error ${one.error}; ${stand(other)}; by ${way}`);
      }
    }
    if (client.outcome === "done" && server.outcome === "waiting") {
      throw new Violation("failure", `${client.name} is done with nobody; by ${way}`);
    }
  }

  /** A relay may keep half of a flow whose other half died where nobody told; everything else has ended by itself. */
  #endRelays(): void {
    const { now } = this.world;
    for (const { client, server, relay, served } of this.flows) {
      // A client that vanished before it said where it wants to go: a real server's idle timer ends that.
      if (served?.isWaiting === true && isDead(client)) served.abort(now);
      if (relay === undefined || relay.isOver) continue;
      if (!isDead(client) && !isDead(server)) {
        throw new Violation("cleanup", `weir keeps the flow of ${client.name}, which is done`);
      }
      relay.abort(now);
    }
    for (const { host } of this.#parties) host.touch(now);
  }

  #judgeEmpty({ host, stack }: StackHost): void {
    const count = stack.connectionCount + stack.halfOpenCount + stack.pendingCount;
    if (count > 0) throw new Violation("cleanup", `${host.name} keeps ${count} connections for ever`);
    if (stack.bufferedBytes !== 0) throw new Violation("memory", `${host.name} keeps ${stack.bufferedBytes} bytes`);
  }

  /** Bytes that reached programs. */
  get bytes(): number {
    let bytes = 0;
    for (const { client, server } of this.flows) bytes += client.receivedBytes + server.receivedBytes;
    return bytes;
  }
}
