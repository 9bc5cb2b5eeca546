/**
 * Whether packets to a host get lost, as far as its TCP connections show it from here.
 *
 * Read first: RFC 9293 section 3.8.1 (retransmission), RFC 2018 section 3 (SACK), RFC 2883 (duplicate SACK).
 *
 * Two things are signs of loss: a sequence range that leaves once more, and a SACK block above the acknowledgment number, which is a hole. A
 * duplicate acknowledgment alone is none: it is also what the duplicates of an adaptive step cause, and so are SACK blocks below the
 * acknowledgment number (RFC 2883). Loss is a property of a path, so it is kept by remote host; datagrams to the host profit as well.
 */
import type { Arena, Slot } from "../adapter/arena.ts";
import {
  PROGRAM_LOSS_FLOWS,
  PROGRAM_LOSS_HOSTS,
  PROGRAM_LOSS_QUIET_US,
  PROGRAM_LOSS_SIGNS,
  PROGRAM_LOSS_WINDOW_US,
} from "../base/limits.ts";
import type { Micros } from "../base/micros.ts";
import { DropReason } from "../parse/drop_reason.ts";
import { ACKNOWLEDGMENT, DESTINATION, Fragment, PacketMeta, SEQUENCE, SOURCE } from "../parse/packet_meta.ts";
import { parse, Verify } from "../parse/parse.ts";
import { seqAdd, seqDiff, seqLess } from "../wire/seq.ts";
import * as tcp from "../wire/tcp.ts";

const SENT_AGAIN_SIGNS = 2;
const HOLE_SIGNS = 1;
const BLOCK_BYTES = 8;

/** What one adaptive program knows of hosts and flows: tables of fixed size where the newer of two that collide stays. */
export class LossSense {
  readonly #meta = new PacketMeta();
  /** Shape: by place, the hash of the host's address; 0 for none. */
  readonly #host = new Int32Array(PROGRAM_LOSS_HOSTS);
  readonly #firstSignAt = new Float64Array(PROGRAM_LOSS_HOSTS);
  readonly #signs = new Int32Array(PROGRAM_LOSS_HOSTS);
  readonly #lossyUntil = new Float64Array(PROGRAM_LOSS_HOSTS);
  readonly #flow = new Int32Array(PROGRAM_LOSS_FLOWS);
  /** Where the bytes sent so far end. */
  readonly #sentEndSeq = new Int32Array(PROGRAM_LOSS_FLOWS);
  /** The acknowledgment number of the last hole that was counted. */
  readonly #holeAckSeq = new Int32Array(PROGRAM_LOSS_FLOWS);

  /** Looks at a packet; true while its remote host counts as lossy. */
  sense(arena: Arena, slot: Slot, isOutbound: boolean, now: Micros): boolean {
    const meta = this.#meta;
    if (parse(arena, slot, Verify.None, meta) !== DropReason.None) return false;
    const remoteHash = hashAddress(meta, isOutbound ? DESTINATION : SOURCE);
    const place = this.#placeOfHost(remoteHash, now);
    if (meta.protocol === tcp.PROTOCOL && meta.fragment === Fragment.Whole) {
      const signs = this.#signsOf(arena, remoteHash, isOutbound);
      if (signs > 0) this.#count(place, signs, now);
    }
    return this.#lossyUntil[place]! > now;
  }

  #placeOfHost(hash: number, now: Micros): number {
    const place = hash & (PROGRAM_LOSS_HOSTS - 1);
    if (this.#host[place] !== hash) {
      this.#host[place] = hash;
      this.#signs[place] = 0;
      this.#lossyUntil[place] = 0;
      this.#firstSignAt[place] = now;
    }
    return place;
  }

  #count(place: number, signs: number, now: Micros): void {
    if (this.#signs[place] === 0 || now - this.#firstSignAt[place]! > PROGRAM_LOSS_WINDOW_US) {
      this.#firstSignAt[place] = now;
      this.#signs[place] = 0;
    }
    const sum = this.#signs[place]! + signs;
    this.#signs[place] = sum < PROGRAM_LOSS_SIGNS ? sum : PROGRAM_LOSS_SIGNS;
    // A host that is known to be lossy stays so with every further sign, however far apart they are within the quiet time.
    if (sum >= PROGRAM_LOSS_SIGNS || this.#lossyUntil[place]! > now) {
      this.#lossyUntil[place] = now + PROGRAM_LOSS_QUIET_US;
    }
  }

  #signsOf(arena: Arena, remoteHash: number, isOutbound: boolean): number {
    const meta = this.#meta;
    const local = isOutbound ? meta.sourcePort : meta.destinationPort;
    const remote = isOutbound ? meta.destinationPort : meta.sourcePort;
    const hash = mix(mix(remoteHash, local), remote) | 1;
    const place = (hash >>> 1) & (PROGRAM_LOSS_FLOWS - 1);
    const isKnown = this.#flow[place] === hash;
    if (isOutbound) return this.#signsOfSent(hash, place, isKnown);
    return isKnown && this.#isNewHole(arena, place) ? HOLE_SIGNS : 0;
  }

  #signsOfSent(hash: number, place: number, isKnown: boolean): number {
    const meta = this.#meta;
    const startSeq = meta.words[SEQUENCE]!;
    const isSyn = (meta.flags & tcp.SYN) !== 0;
    const payloadBytes = meta.ipLength - (meta.payloadAt - meta.ipAt);
    const length = payloadBytes + (isSyn ? 1 : 0) + ((meta.flags & tcp.FIN) !== 0 ? 1 : 0);
    if (length === 0) return 0;
    const endSeq = seqAdd(startSeq, length);
    const knownEndSeq = this.#sentEndSeq[place]! >>> 0;
    // A SYN that is not the last one again begins a new connection on old ports.
    const isSameConnection = isKnown && (!isSyn || seqDiff(knownEndSeq, startSeq) === 1);
    if (!isSameConnection) {
      this.#flow[place] = hash;
      this.#sentEndSeq[place] = endSeq | 0;
      this.#holeAckSeq[place] = (startSeq - 1) | 0;
      return 0;
    }
    const isAgain = seqLess(startSeq, knownEndSeq);
    if (seqLess(knownEndSeq, endSeq)) this.#sentEndSeq[place] = endSeq | 0;
    // A keep-alive is the last byte again, or nothing. Source: RFC 9293 section 3.8.4.
    const isKeepAlive = length === 1 && !isSyn && seqDiff(knownEndSeq, startSeq) === 1 && payloadBytes === 1;
    return isAgain && !isKeepAlive ? SENT_AGAIN_SIGNS : 0;
  }

  /** True for a SACK block above the acknowledgment number, once for each acknowledgment number. */
  #isNewHole(arena: Arena, place: number): boolean {
    const meta = this.#meta;
    const view = arena.view;
    const at = tcp.findOption(view, meta.transportAt, tcp.OPTION_SACK);
    if (at < 0) return false;
    const ackSeq = meta.words[ACKNOWLEDGMENT]!;
    if ((this.#holeAckSeq[place]! >>> 0) === ackSeq) return false;
    const end = at + view.getUint8(at + 1);
    for (let block = at + 2; block + BLOCK_BYTES <= end; block += BLOCK_BYTES) {
      if (!seqLess(ackSeq, view.getUint32(block))) continue;
      this.#holeAckSeq[place] = ackSeq | 0;
      return true;
    }
    return false;
  }
}

function mix(hash: number, word: number): number {
  const sum = Math.imul(hash ^ word, 0x85ebca6b);
  return sum ^ (sum >>> 15);
}

/** A hash that is not 0. */
function hashAddress(meta: PacketMeta, from: number): number {
  const words = meta.words;
  let hash = 0x9e3779b1 | 0;
  for (let i = 0; i < 4; i++) hash = mix(hash, words[from + i]! | 0);
  return hash === 0 ? 1 : hash;
}
