/** The flows of a replay that are played against the stack: each gets its packets once its verdict says that the stack would have it. */
import { type Arena, Frame, type Slot } from "../../core/adapter/arena.ts";
import { LIVE_PLAY_FLOWS_MAX, LIVE_PLAY_WAITING_PACKETS_MAX } from "../../core/base/limits.ts";
import type { Micros } from "../../core/base/micros.ts";
import { Prng } from "../../core/base/prng.ts";
import type { ReplayPlay } from "../../core/cli/replay_result.ts";
import type { VerdictAction } from "../../core/decide/verdict.ts";
import type { FlowWay } from "../replay/flow_plays.ts";
import type { ProxyWays } from "../proxied/proxy_ways.ts";
import { FlowPlay } from "./flow_play.ts";

interface WaitingPacket {
  readonly bytes: Uint8Array;
  readonly at: Micros;
}

/** What is known of a flow: packets that wait for its verdict, then its play, then what came of it. */
interface Entry {
  waiting: WaitingPacket[];
  overflowed: boolean;
  play: FlowPlay | undefined;
}

/** Plays beside a replay: `see` each packet, `packet` once its flow is known, `decided`, `ended`. */
export class LivePlay {
  readonly #arena = FlowPlay.createArena();
  readonly #prng: Prng;
  readonly #entries = new Map<number, Entry>();
  readonly #results = new Map<number, ReplayPlay>();
  readonly #ways: ProxyWays | undefined;
  #seen: WaitingPacket | undefined = undefined;
  #playing = 0;

  /** `ways`: how flows go through their proxies; without it the stack's far side is the scripted server itself. */
  constructor(seed: number, ways?: ProxyWays) {
    this.#ways = ways;
    this.#prng = new Prng(seed).fork("live-play");
  }

  /** Looks at a packet that comes in, before anybody knows its flow. */
  see(arena: Arena, slot: Slot, now: Micros): void {
    const at = arena.at(slot);
    this.#seen = arena.frame[slot] === Frame.Ip
      ? { bytes: arena.bytes.slice(at, at + arena.length[slot]!), at: now }
      : undefined;
  }

  /** A TCP flow began; its verdict is not known. */
  started(flow: number): void {
    this.#entries.set(flow, { waiting: [], overflowed: false, play: undefined });
  }

  /** The packet seen last belongs to this flow. */
  packet(flow: number): void {
    const seen = this.#seen;
    this.#seen = undefined;
    const entry = this.#entries.get(flow);
    if (seen === undefined || entry === undefined) return;
    if (entry.play !== undefined) entry.play.packet(seen.bytes, seen.at);
    else if (entry.waiting.length < LIVE_PLAY_WAITING_PACKETS_MAX) entry.waiting.push(seen);
    else entry.overflowed = true;
  }

  /** A flow's verdict: only what a proxy would carry is played. */
  decided(flow: number, action: VerdictAction, way?: FlowWay): void {
    const entry = this.#entries.get(flow);
    if (entry === undefined || entry.play !== undefined) return;
    if (action !== "proxy") return void this.#entries.delete(flow);
    const prng = this.#prng.fork(`flow-${flow}`);
    const proxy = way === undefined ? undefined : this.#ways?.wayOf(way, prng.fork("proxy"));
    const play = new FlowPlay(this.#arena, () => prng.uint32(), proxy);
    entry.play = play;
    if (++this.#playing > LIVE_PLAY_FLOWS_MAX) play.giveUp("too many flows are open at once");
    else if (entry.overflowed) play.giveUp("too many packets came before the verdict");
    for (const { bytes, at } of entry.waiting) play.packet(bytes, at);
    entry.waiting = [];
  }

  /** No more packets will come. */
  ended(flow: number): void {
    const entry = this.#entries.get(flow);
    this.#entries.delete(flow);
    if (entry?.play === undefined) return;
    this.#playing--;
    this.#results.set(flow, entry.play.finish());
  }

  /** What came of a flow; undefined when it was not for playing. */
  resultOf(flow: number): ReplayPlay | undefined {
    return this.#results.get(flow);
  }
}
