/**
 * ICMP on its way out: errors about packets that cannot go on, and answers to echo requests.
 *
 * Read first: RFC 1122 section 3.2.2 and RFC 4443 section 2.4 (what no error may be sent about, and that there must be a rate),
 * RFC 1812 section 4.3.2.8. An error is 28 (IPv4) or 48 (IPv6) bytes longer than the packet that it is about, at most 576 or 1,280; an echo
 * reply is as long as its request.
 */
import { type Arena, NO_SLOT } from "../adapter/arena.ts";
import { STACK_ICMP_BURST_MAX, STACK_ICMP_PER_SECOND_MAX } from "../base/limits.ts";
import type { Micros } from "../base/micros.ts";
import { DESTINATION, Fragment, type PacketMeta, SOURCE } from "../parse/packet_meta.ts";
import * as icmp from "../wire/icmp.ts";
import type { IpOutput } from "./ip_output.ts";
import { isManyReceivers, isUnanswerable } from "./receivers.ts";
import type { ReplyCredit } from "./reply_credit.ts";
import { Refuser } from "./refuse.ts";
import { Metric, type StackMetrics } from "./stack_metrics.ts";
import { TokenBucket } from "./token_bucket.ts";

/** Why a packet cannot go on, in words of both IP versions. */
export const Unreachable = { Network: 0, Host: 1, Protocol: 2, Port: 3, Prohibited: 4, TimeExceeded: 5 } as const;
/** A value of `Unreachable`. */
export type Unreachable = (typeof Unreachable)[keyof typeof Unreachable];

/** Type and code for each `Unreachable`. Source: RFC 792, RFC 1812 section 5.2.7.1. */
const TYPE_4: readonly number[] = [3, 3, 3, 3, 3, icmp.TIME_EXCEEDED];
const CODE_4: readonly number[] = [0, 1, 2, 3, 13, 0];
/** Source: RFC 4443 section 3.1; an unknown protocol is a parameter problem, section 3.4. */
const TYPE_6: readonly number[] = [1, 1, icmp.PARAMETER_PROBLEM_V6, 1, 1, icmp.TIME_EXCEEDED_V6];
const CODE_6: readonly number[] = [0, 3, 1, 4, 1, 0];
/** Code of "time exceeded" for datagrams in pieces. Source: RFC 792, RFC 4443 section 3.3. */
const REASSEMBLY_TIME = 1;
/** Where the fixed IPv6 header names what follows. Units: bytes. */
const NEXT_HEADER_AT = 6;

/** Sends ICMP within its rate. */
export class IcmpOutput {
  readonly #arena: Arena;
  readonly #output: IpOutput;
  readonly #metrics: StackMetrics;
  readonly #credit: ReplyCredit;
  readonly #loopback: boolean;
  readonly #refuser = new Refuser();
  readonly #bucket = new TokenBucket(STACK_ICMP_PER_SECOND_MAX, STACK_ICMP_BURST_MAX);
  readonly #from = new Uint32Array(4);
  readonly #to = new Uint32Array(4);

  constructor(arena: Arena, output: IpOutput, metrics: StackMetrics, credit: ReplyCredit, loopback: boolean = false) {
    this.#arena = arena;
    this.#loopback = loopback;
    this.#credit = credit;
    this.#output = output;
    this.#metrics = metrics;
  }

  /** Sends the error about a packet, unless rules or the rate forbid it. */
  unreachable(meta: PacketMeta, why: Unreachable, now: Micros): boolean {
    const four = meta.version === 4;
    const type = four ? TYPE_4[why]! : TYPE_6[why]!;
    const isPointed = !four && why === Unreachable.Protocol;
    return this.#error(meta, type, four ? CODE_4[why]! : CODE_6[why]!, isPointed ? NEXT_HEADER_AT : 0, now);
  }

  /**
   * Tells the sender of a datagram in pieces that the rest of them never came; `meta` is its first piece. Source: RFC 792, RFC 8200
   * section 4.5.
   */
  reassemblyExceeded(meta: PacketMeta, now: Micros): boolean {
    this.#credit.earn(meta.ipLength);
    const type = meta.version === 4 ? icmp.TIME_EXCEEDED : icmp.TIME_EXCEEDED_V6;
    return this.#error(meta, type, REASSEMBLY_TIME, 0, now);
  }

  #error(meta: PacketMeta, type: number, code: number, restOfHeader: number, now: Micros): boolean {
    if (
      meta.fragment === Fragment.Later || isAboutError(meta) || isManyReceivers(meta) ||
      isUnanswerable(meta, this.#loopback)
    ) {
      this.#metrics.add(Metric.IcmpForbidden);
      return false;
    }
    if (!this.#bucket.take(now)) {
      this.#metrics.add(Metric.IcmpLimited);
      return false;
    }
    const slot = this.#output.acquire();
    if (slot === NO_SLOT) return false;
    this.#refuser.error(this.#arena, meta, slot, type, code, restOfHeader, this.#credit.bytes);
    const length = this.#arena.length[slot]!;
    if (!this.#credit.spend(length)) {
      this.#arena.release(slot);
      return false;
    }
    this.#metrics.add(Metric.IcmpSent);
    return this.#output.sendBuilt(slot, length, now);
  }

  /** Answers an echo request that was for one receiver. */
  echo(meta: PacketMeta, now: Micros): boolean {
    if (isManyReceivers(meta) || isUnanswerable(meta, this.#loopback)) return false;
    const slot = this.#output.acquire();
    if (slot === NO_SLOT) return false;
    const four = meta.version === 4;
    const at = this.#output.transportAt(slot, meta.version);
    const length = icmp.HEADER_BYTES + meta.payloadLength;
    this.#arena.bytes.copyWithin(at, meta.transportAt, meta.transportAt + length);
    this.#arena.view.setUint16(at, (four ? icmp.ECHO_REPLY : icmp.ECHO_REPLY_V6) << 8);
    for (let word = 0; word < 4; word++) {
      this.#from[word] = meta.words[DESTINATION + word]!;
      this.#to[word] = meta.words[SOURCE + word]!;
    }
    const protocol = four ? icmp.PROTOCOL : icmp.PROTOCOL_V6;
    this.#metrics.add(Metric.EchoReplies);
    return this.#output.emit(slot, meta.version, this.#from, this.#to, protocol, length, 0, this.#output.mtu, now);
  }
}

/** True for ICMP that is not a question: no error may answer an error, and none has a reason to answer the rest. */
function isAboutError(meta: PacketMeta): boolean {
  if (meta.protocol === icmp.PROTOCOL && meta.version === 4) return meta.sourcePort !== icmp.ECHO_REQUEST;
  if (meta.protocol === icmp.PROTOCOL_V6 && meta.version === 6) return meta.sourcePort !== icmp.ECHO_REQUEST_V6;
  return false;
}
