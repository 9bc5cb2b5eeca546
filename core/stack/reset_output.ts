/**
 * Segments that belong to no connection's state: resets, and SYN-ACKs that carry a cookie. None is longer than what it answers.
 *
 * Read first: RFC 9293 section 3.10.7.1 (a closed connection resets), RFC 4987 section 3.6.
 */
import { type Arena, NO_SLOT } from "../adapter/arena.ts";
import { STACK_RESETS_BURST_MAX, STACK_RESETS_PER_SECOND_MAX } from "../base/limits.ts";
import type { Micros } from "../base/micros.ts";
import { DESTINATION, type PacketMeta, SEQUENCE, SOURCE } from "../parse/packet_meta.ts";
import { seqAdd } from "../wire/seq.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import * as tcp from "../wire/tcp.ts";
import type { IpOutput } from "./ip_output.ts";
import { isManyReceivers, isUnanswerable } from "./receivers.ts";
import type { ReplyCredit } from "./reply_credit.ts";
import { Refuser } from "./refuse.ts";
import { Metric, type StackMetrics } from "./stack_metrics.ts";
import type { SynFacts } from "./tcp/syn_facts.ts";
import { TokenBucket } from "./token_bucket.ts";

/** Writes segments without a connection. */
export class ResetOutput {
  readonly #arena: Arena;
  readonly #output: IpOutput;
  readonly #metrics: StackMetrics;
  readonly #credit: ReplyCredit;
  readonly #loopback: boolean;
  readonly #refuser = new Refuser();
  readonly #bucket = new TokenBucket(STACK_RESETS_PER_SECOND_MAX, STACK_RESETS_BURST_MAX);
  readonly #from = new Uint32Array(4);
  readonly #to = new Uint32Array(4);

  constructor(arena: Arena, output: IpOutput, metrics: StackMetrics, credit: ReplyCredit, loopback: boolean = false) {
    this.#arena = arena;
    this.#loopback = loopback;
    this.#credit = credit;
    this.#output = output;
    this.#metrics = metrics;
  }

  /** Resets the segment of `meta` within the rate. */
  resetStray(meta: PacketMeta, now: Micros): void {
    if (this.#bucket.take(now)) this.reset(meta, now);
    else this.#metrics.add(Metric.ResetsLimited);
  }

  /** Resets the segment of `meta`; a reset, and what came from or went to nobody, is not answered. */
  reset(meta: PacketMeta, now: Micros): void {
    if ((meta.flags & tcp.RST) !== 0 || isManyReceivers(meta) || isUnanswerable(meta, this.#loopback)) return;
    if (!this.#credit.spend(tcp.HEADER_BYTES + (meta.version === 4 ? ipv4.HEADER_BYTES : ipv6.HEADER_BYTES))) return;
    const slot = this.#output.acquire();
    if (slot === NO_SLOT) return;
    this.#refuser.reset(this.#arena, meta, slot);
    this.#metrics.add(Metric.ResetsSent);
    this.#output.sendBuilt(slot, this.#arena.length[slot]!, now);
  }

  /**
   * Answers a SYN with a cookie. Each option stands there only if the SYN had it, so that the answer is never longer. `windowScale` is ours,
   * −1 for none; `timestamp` is our clock, from which the connection goes on.
   */
  cookie(
    meta: PacketMeta,
    facts: SynFacts,
    cookie: number,
    mss: number,
    windowScale: number,
    window: number,
    timestamp: number,
    now: Micros,
  ): void {
    const slot = this.#output.acquire();
    if (slot === NO_SLOT) return;
    const view = this.#output.view;
    const at = this.#output.transportAt(slot, meta.version);
    const length = tcp.HEADER_BYTES + writeOptions(view, at + tcp.HEADER_BYTES, facts, mss, windowScale, timestamp);
    if (!this.#credit.spend(length + at - this.#arena.at(slot))) {
      this.#arena.release(slot);
      return;
    }
    view.setUint16(at, meta.destinationPort);
    view.setUint16(at + 2, meta.sourcePort);
    view.setUint32(at + 4, cookie);
    view.setUint32(at + 8, seqAdd(meta.words[SEQUENCE]!, 1));
    view.setUint16(at + 12, ((length >>> 2) << 12) | tcp.SYN | tcp.ACK | (facts.ecn ? tcp.ECE : 0));
    view.setUint16(at + 14, window < 0xffff ? window : 0xffff);
    view.setUint32(at + 16, 0);
    for (let word = 0; word < 4; word++) {
      this.#from[word] = meta.words[DESTINATION + word]!;
      this.#to[word] = meta.words[SOURCE + word]!;
    }
    this.#metrics.add(Metric.CookiesSent);
    this.#output.emit(slot, meta.version, this.#from, this.#to, tcp.PROTOCOL, length, 0, 0, now);
  }
}

function writeOptions(
  view: DataView,
  from: number,
  facts: SynFacts,
  mss: number,
  windowScale: number,
  timestamp: number,
): number {
  let at = from;
  if (facts.mss > 0) {
    view.setUint16(at, (tcp.OPTION_MSS << 8) | 4);
    view.setUint16(at + 2, mss);
    at += 4;
  }
  if (facts.windowScale >= 0 && windowScale >= 0) {
    view.setUint16(at, (tcp.OPTION_WINDOW_SCALE << 8) | 3);
    view.setUint8(at + 2, windowScale);
    at += 3;
  }
  if (facts.sack) {
    view.setUint16(at, (tcp.OPTION_SACK_PERMITTED << 8) | 2);
    at += 2;
  }
  if (facts.timestamps) {
    view.setUint16(at, (tcp.OPTION_TIMESTAMPS << 8) | 10);
    view.setUint32(at + 2, timestamp);
    view.setInt32(at + 6, facts.timestamp);
    at += 10;
  }
  while (((at - from) & 3) !== 0) view.setUint8(at++, tcp.OPTION_END);
  return at - from;
}
