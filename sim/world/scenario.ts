/**
 * What one simulated run consists of, all of it drawn from its seed.
 *
 * Each run enables a random subset of behaviours and faults ("swarm testing": Groce and others, ISSTA 2012), so that a rare one meets
 * the others in every combination, and also alone.
 */
import { type FaultOptions, NO_FAULTS } from "../../core/adapter/fault_plan.ts";
import { PATH_MTU_V4_MIN } from "../../core/base/limits.ts";
import { SECOND_US } from "../../core/base/micros.ts";
import type { Prng } from "../../core/base/prng.ts";
import { Unreachable } from "../../core/stack/icmp_output.ts";
import { DEFAULT_TCP_OPTIONS, type TcpOptions } from "../../core/stack/tcp/tcp_options.ts";
import { type AppFeatures, type AppPlan, drawAppFeatures, drawAppPair } from "./app_plan.ts";
import type { ChannelOptions } from "./link.ts";

/** How the far side of a conversation answers its SYN. */
export interface Decision {
  readonly kind: "accept" | "refuse" | "unreachable" | "ignore" | "simultaneous";
  /** The SYN waits for so long, as it does while a name is resolved or a proxy is dialled. */
  readonly delayUs: number;
  /** What an "unreachable" says. */
  readonly why: Unreachable;
}

/** One connection and the programs at its ends. */
export interface Conversation {
  /** Which client. */
  readonly client: number;
  readonly clientPort: number;
  readonly serverPort: number;
  readonly startUs: number;
  readonly decision: Decision;
  readonly clientPlan: AppPlan;
  readonly serverPlan: AppPlan;
  readonly clientOptions: Partial<TcpOptions>;
  readonly serverOptions: Partial<TcpOptions>;
}

/** Something that happens to one client's link. */
export interface Weather {
  readonly atUs: number;
  readonly client: number;
  readonly kind: "faults" | "mtu" | "partition" | "rejoin";
  readonly forth: FaultOptions;
  readonly back: FaultOptions;
  readonly mtu: number;
}

/** A link between a client and the server. */
export interface LinkPlan {
  readonly forth: ChannelOptions;
  readonly back: ChannelOptions;
  readonly deviceMtu: number;
}

/** A forged segment of a conversation. */
export interface Forgery {
  readonly atUs: number;
  readonly conversation: number;
  /** To the server, in the client's name; or the other way round. */
  readonly isToServer: boolean;
}

/** A whole run. */
export interface Scenario {
  readonly version: 4 | 6;
  readonly links: readonly LinkPlan[];
  readonly conversations: readonly Conversation[];
  readonly weather: readonly Weather[];
  readonly forgeries: readonly Forgery[];
  /** Faults end then, and everything has to finish. */
  readonly healUs: number;
  readonly slotCount: number;
  /** True when a path may be so narrow that routers cut packets. */
  readonly cutsPackets: boolean;
  /** True when losses or settings may end a connection for good. */
  readonly mayTimeOut: boolean;
}

interface FaultFeatures {
  readonly loss: boolean;
  readonly harshLoss: boolean;
  readonly bursts: boolean;
  readonly duplicates: boolean;
  readonly corruption: boolean;
  readonly reordering: boolean;
  readonly jitter: boolean;
  readonly slowLines: boolean;
  readonly smallQueues: boolean;
  readonly smallMtu: boolean;
  readonly tinyMtu: boolean;
  readonly marks: boolean;
  readonly weather: boolean;
  readonly smallArena: boolean;
  readonly refusals: boolean;
  readonly waits: boolean;
  readonly simultaneous: boolean;
  readonly impatience: boolean;
  readonly forgeries: boolean;
}

function drawFaultFeatures(prng: Prng): FaultFeatures {
  const often = () => prng.chance(1, 2);
  return {
    loss: often(),
    harshLoss: prng.chance(1, 6),
    bursts: prng.chance(1, 4),
    duplicates: often(),
    corruption: often(),
    reordering: often(),
    jitter: often(),
    slowLines: often(),
    smallQueues: prng.chance(1, 3),
    smallMtu: prng.chance(1, 3),
    tinyMtu: prng.chance(1, 4),
    marks: prng.chance(1, 4),
    weather: often(),
    smallArena: prng.chance(1, 8),
    refusals: prng.chance(1, 4),
    waits: often(),
    simultaneous: prng.chance(1, 6),
    impatience: prng.chance(1, 10),
    forgeries: prng.chance(1, 6),
  };
}

function drawFaults(features: FaultFeatures, delayUs: number, prng: Prng): FaultOptions {
  const some = (isOn: boolean, ppmMax: number) => isOn ? prng.below(ppmMax) : 0;
  return {
    ...NO_FAULTS,
    delayUs,
    lossPpm: some(features.loss, features.harshLoss ? 400_000 : 50_000),
    burstEnterPpm: some(features.bursts, 20_000),
    burstLeavePpm: prng.between(50_000, 500_000),
    burstLossPpm: prng.between(300_000, 1_000_000),
    duplicatePpm: some(features.duplicates, 100_000),
    corruptPpm: some(features.corruption, 50_000),
    reorderPpm: some(features.reordering, 200_000),
    reorderUs: features.reordering ? prng.between(1, prng.chance(1, 6) ? 3 * SECOND_US : 50_000) : 0,
    jitterUs: features.jitter ? prng.below(20_000) : 0,
  };
}

const MTUS: readonly number[] = [1_280, 1_400, 1_492, 1_500, 4_000, 9_000];
/** IPv4 devices may have less. */
const SMALL_MTUS: readonly number[] = [552, 576, 1_006];
/** IPv4 paths may be narrower than a stack goes down to: there routers cut its packets. Source: `PATH_MTU_V4_MIN`. */
const TINY_MTUS: readonly number[] = [296, 400, 508];

function drawMtu(features: FaultFeatures, version: 4 | 6, prng: Prng): number {
  if (!features.smallMtu) return 1_500;
  if (version === 4 && prng.chance(1, 3)) return SMALL_MTUS[prng.below(SMALL_MTUS.length)]!;
  return MTUS[prng.below(MTUS.length)]!;
}

/** What a path lets through, at most what its device does. */
function drawPathMtu(features: FaultFeatures, deviceMtu: number, version: 4 | 6, prng: Prng): number {
  if (features.tinyMtu && version === 4 && prng.chance(1, 2)) return TINY_MTUS[prng.below(TINY_MTUS.length)]!;
  return Math.min(deviceMtu, drawMtu(features, version, prng));
}

function drawChannel(features: FaultFeatures, mtu: number, prng: Prng): ChannelOptions {
  const delayUs = prng.chance(1, 4) ? 0 : prng.below(prng.chance(1, 4) ? 300_000 : 30_000);
  return {
    rateBps: features.slowLines ? prng.between(100, 100_000) * 1_000 : 0,
    queuePacketsMax: features.smallQueues ? prng.between(2, 30) : 1_000,
    mtu,
    answersTooBig: prng.chance(7, 8),
    markPpm: features.marks ? prng.below(200_000) : 0,
    faults: drawFaults(features, delayUs, prng),
  };
}

function drawLink(features: FaultFeatures, version: 4 | 6, prng: Prng): LinkPlan {
  const deviceMtu = drawMtu(features, version, prng);
  // The path may be narrower than the device, which is what path MTU discovery is for.
  const pathMtu = features.smallMtu && prng.chance(1, 2) ? drawPathMtu(features, deviceMtu, version, prng) : deviceMtu;
  return { forth: drawChannel(features, pathMtu, prng), back: drawChannel(features, pathMtu, prng), deviceMtu };
}

function drawOptions(features: FaultFeatures, deviceMtu: number, version: 4 | 6, prng: Prng): Partial<TcpOptions> {
  const receiveBufferBytes = 1 << prng.between(11, 17);
  const sendBufferBytes = 1 << prng.between(11, 17);
  const headers = version === 4 ? 40 : 60;
  const grows = prng.chance(1, 2);
  return {
    mss: prng.chance(1, 4)
      ? prng.between(Math.min(200, deviceMtu - headers), deviceMtu - headers)
      : deviceMtu - headers,
    windowScale: prng.chance(1, 4) ? -1 : prng.between(0, 10),
    sack: prng.chance(3, 4),
    timestamps: prng.chance(3, 4),
    ecn: features.marks || prng.chance(1, 4),
    nagle: prng.chance(1, 2),
    delayedAckUs: prng.chance(1, 4) ? 0 : prng.between(1, 200_000),
    quickAckSegments: prng.chance(1, 2) ? DEFAULT_TCP_OPTIONS.quickAckSegments : 0,
    congestion: prng.chance(1, 2) ? "cubic" : "reno",
    sendBufferBytes,
    sendBufferBytesMax: grows ? sendBufferBytes * 4 : sendBufferBytes,
    receiveBufferBytes,
    receiveBufferBytesMax: grows ? receiveBufferBytes * 4 : receiveBufferBytes,
    keepAliveUs: prng.chance(1, 4) ? prng.between(1, 60) * SECOND_US : 0,
    userTimeoutUs: features.impatience && prng.chance(1, 2) ? prng.between(1, 10) * SECOND_US : 0,
    timeWaitUs: prng.between(1, 60) * SECOND_US,
    // Without challenges a guess needs only to hit the window, which happens.
    challengeAcks: prng.chance(3, 4) || features.forgeries,
    rackTlp: prng.chance(3, 4),
    undo: prng.chance(3, 4),
    hystart: prng.chance(1, 2),
    dsack: prng.chance(3, 4),
    slowStartAfterIdle: prng.chance(1, 2),
    rtoMinUs: prng.chance(1, 4) ? SECOND_US : 200_000,
  };
}

function drawDecision(features: FaultFeatures, prng: Prng): Decision {
  const whys = [Unreachable.Network, Unreachable.Host, Unreachable.Port, Unreachable.Prohibited];
  const why = whys[prng.below(whys.length)]!;
  const delayUs = features.waits ? prng.below(prng.chance(1, 4) ? 4 * SECOND_US : 200_000) : 0;
  if (features.refusals && prng.chance(1, 4)) {
    const kinds = ["refuse", "unreachable", "ignore"] as const;
    return { kind: kinds[prng.below(3)]!, delayUs, why };
  }
  if (features.simultaneous && prng.chance(1, 3)) return { kind: "simultaneous", delayUs: prng.below(100_000), why };
  return { kind: "accept", delayUs, why };
}

function drawWeather(
  features: FaultFeatures,
  links: readonly LinkPlan[],
  healUs: number,
  version: 4 | 6,
  prng: Prng,
): Weather[] {
  const weather: Weather[] = [];
  const count = features.weather ? prng.between(1, 4) : 0;
  for (let i = 0; i < count; i++) {
    const client = prng.below(links.length);
    const { forth, back, deviceMtu } = links[client]!;
    const kind = (["faults", "mtu", "partition"] as const)[prng.below(3)]!;
    const event = {
      atUs: prng.below(healUs),
      client,
      kind,
      forth: drawFaults(features, forth.faults.delayUs, prng),
      back: drawFaults(features, back.faults.delayUs, prng),
      mtu: drawPathMtu({ ...features, smallMtu: true }, deviceMtu, version, prng),
    };
    weather.push(event);
    if (kind === "partition") weather.push({ ...event, kind: "rejoin", atUs: event.atUs + prng.below(8 * SECOND_US) });
  }
  return weather.sort((a, b) => a.atUs - b.atUs);
}

function drawConversations(
  features: FaultFeatures,
  appFeatures: AppFeatures,
  shape: { version: 4 | 6; links: readonly LinkPlan[]; healUs: number },
  prng: Prng,
): Conversation[] {
  const { version, links, healUs } = shape;
  const count = prng.chance(1, 8) ? prng.between(8, 24) : prng.between(1, 5);
  const bytesMax = prng.chance(1, 8) ? 300_000 : 60_000;
  const conversations: Conversation[] = [];
  for (let i = 0; i < count; i++) {
    const client = prng.below(links.length);
    const [clientPlan, serverPlan] = drawAppPair(appFeatures, Math.ceil(bytesMax / count) + 100, prng);
    const { deviceMtu } = links[client]!;
    conversations.push({
      client,
      clientPort: 40_000 + i,
      serverPort: prng.between(1, 9_999),
      startUs: prng.chance(1, 2) ? prng.below(1_000) : prng.below(healUs >> 1),
      decision: drawDecision(features, prng),
      clientPlan,
      serverPlan,
      clientOptions: drawOptions(features, deviceMtu, version, prng),
      serverOptions: drawOptions(features, deviceMtu, version, prng),
    });
  }
  return conversations;
}

function drawForgeries(features: FaultFeatures, conversationCount: number, healUs: number, prng: Prng): Forgery[] {
  const forgeries: Forgery[] = [];
  for (let i = features.forgeries ? prng.between(1, 60) : 0; i > 0; i--) {
    // Most conversations begin, and many end, within the first second.
    const atUs = prng.chance(1, 2) ? prng.below(SECOND_US) : prng.below(healUs);
    forgeries.push({ atUs, conversation: prng.below(conversationCount), isToServer: prng.chance(1, 2) });
  }
  return forgeries;
}

/** Draws a run. */
export function drawScenario(prng: Prng): Scenario {
  const features = drawFaultFeatures(prng);
  const appFeatures = drawAppFeatures(prng);
  const version = prng.chance(1, 3) ? 6 : 4;
  const healUs = prng.between(1, 15) * SECOND_US;
  const links: LinkPlan[] = [];
  for (let i = prng.between(1, 2); i > 0; i--) links.push(drawLink(features, version, prng));
  const conversations = drawConversations(features, appFeatures, { version, links, healUs }, prng);
  const forgeries = drawForgeries(features, conversations.length, healUs, prng);
  const weather = drawWeather(features, links, healUs, version, prng);
  const cutsPackets = version === 4 &&
    (links.some(({ forth }) => forth.mtu < PATH_MTU_V4_MIN) || weather.some(({ mtu }) => mtu < PATH_MTU_V4_MIN));
  return {
    version,
    links,
    conversations,
    forgeries,
    weather,
    healUs,
    cutsPackets,
    // Refusing a flow takes three: what came, its SYN, the answer. Packets in pieces need room to be put together in.
    slotCount: features.smallArena && !cutsPackets ? prng.between(3, 6) : 64,
    mayTimeOut: features.impatience || features.bursts || (features.loss && features.harshLoss),
  };
}
