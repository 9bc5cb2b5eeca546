/**
 * A captured client's packets, made to fit a conversation with another server: acknowledgments, SACK blocks and echoed timestamps
 * speak of what that server sent; everything else stays as it was.
 *
 * Read first: RFC 9293 section 3.10.7.4, RFC 2018 section 3, RFC 7323 section 3.2.
 *
 * The captured client may have acknowledged what the other server has not sent yet. Then the acknowledgment is cut to what was sent.
 */
import type { Arena, Slot } from "../../core/adapter/arena.ts";
import { LIVE_PLAY_TIMESTAMPS_MAX } from "../../core/base/limits.ts";
import { ACKNOWLEDGMENT, type PacketMeta, SEQUENCE } from "../../core/parse/packet_meta.ts";
import { addBytes, checksum, finishSum, pseudoSum4, pseudoSum6 } from "../../core/wire/checksum.ts";
import * as ipv4 from "../../core/wire/ipv4.ts";
import { seqAdd, seqDiff } from "../../core/wire/seq.ts";
import * as tcp from "../../core/wire/tcp.ts";

/** What is known of both servers' numbers. */
export class ClientTranslation {
  /** The captured server's first sequence number; undefined until a packet tells. */
  capturedIsn: number | undefined = undefined;
  /** The stack's first sequence number; undefined until it answered the SYN. */
  stackIsn: number | undefined = undefined;
  /** How far the stack has sent. Units: bytes of the stream, one more for the FIN. */
  sentOffset = 0;
  /** How far the captured client has acknowledged. Units: as `sentOffset`. */
  ackedOffset = 0;
  /** How far the client's packets, as translated, have acknowledged. Units: as `sentOffset`. */
  saidOffset = 0;
  /** The newest timestamp of the stack. */
  stackTimestamp = 0;
  readonly #timestamps = new Map<number, number>();

  /** Notes that the captured server's timestamp `captured` stands for the stack's newest one. */
  pairTimestamp(captured: number): void {
    if (this.#timestamps.has(captured)) return;
    if (this.#timestamps.size >= LIVE_PLAY_TIMESTAMPS_MAX) {
      for (const oldest of this.#timestamps.keys()) {
        this.#timestamps.delete(oldest);
        break;
      }
    }
    this.#timestamps.set(captured, this.stackTimestamp);
  }

  /** Where in the server's stream a captured acknowledgment lies. Units: bytes; −1 when nothing is known. */
  offsetOf(captured: number): number {
    return this.capturedIsn === undefined ? -1 : seqDiff(captured, seqAdd(this.capturedIsn, 1));
  }

  /** The stack's sequence number of a place in the stream. */
  sequenceOf(offset: number): number {
    return seqAdd(this.stackIsn ?? 0, 1 + offset);
  }

  /** Rewrites a client's segment in its slot, and its checksums. */
  rewrite(arena: Arena, slot: Slot, meta: PacketMeta): void {
    const view = arena.view;
    const at = meta.transportAt;
    if ((meta.flags & tcp.ACK) !== 0 && this.stackIsn !== undefined) {
      const offset = this.offsetOf(meta.words[ACKNOWLEDGMENT]!);
      if (offset > this.ackedOffset) this.ackedOffset = offset;
      const said = Math.max(0, Math.min(offset, this.sentOffset));
      if (said > this.saidOffset) this.saidOffset = said;
      view.setUint32(at + 8, this.sequenceOf(said));
      this.#rewriteSack(view, at);
    }
    const timestampAt = tcp.findOption(view, at, tcp.OPTION_TIMESTAMPS);
    if (timestampAt >= 0 && view.getUint8(timestampAt + 1) === 10 && (meta.flags & tcp.ACK) !== 0) {
      const echo = this.#timestamps.get(view.getUint32(timestampAt + 6)) ?? this.stackTimestamp;
      view.setUint32(timestampAt + 6, echo);
    }
    writeChecksums(view, meta);
    arena.length[slot] = meta.ipLength;
    arena.wireLength[slot] = meta.ipLength;
  }

  /** Keeps the blocks of what the stack has sent; the others become padding. */
  #rewriteSack(view: DataView, at: number): void {
    const option = tcp.findOption(view, at, tcp.OPTION_SACK);
    if (option < 0) return;
    const end = option + view.getUint8(option + 1);
    let to = option + 2;
    for (let i = option + 2; i + 8 <= end; i += 8) {
      const left = this.offsetOf(view.getUint32(i));
      const right = Math.min(this.offsetOf(view.getUint32(i + 4)), this.sentOffset);
      if (left < 0 || left >= right) continue;
      view.setUint32(to, this.sequenceOf(left));
      view.setUint32(to + 4, this.sequenceOf(right));
      to += 8;
    }
    if (to === option + 2) to = option;
    else view.setUint8(option + 1, to - option);
    for (; to < end; to++) view.setUint8(to, tcp.OPTION_NOP);
  }
}

/** Writes the checksums of a whole TCP packet anew: captures above a card that computes them hold none. */
export function writeChecksums(view: DataView, meta: PacketMeta): void {
  const { ipAt, transportAt } = meta;
  const length = ipAt + meta.ipLength - transportAt;
  if (meta.version === 4) {
    view.setUint16(ipAt + 10, 0);
    view.setUint16(ipAt + 10, checksum(view, ipAt, ipv4.headerLength(view, ipAt)));
  }
  const pseudo = meta.version === 4
    ? pseudoSum4(view, ipAt, tcp.PROTOCOL, length)
    : pseudoSum6(view, ipAt, tcp.PROTOCOL, length);
  view.setUint16(transportAt + 16, 0);
  view.setUint16(transportAt + 16, finishSum(addBytes(pseudo, view, transportAt, length)));
}

/** One more than the last sequence number that a segment takes. */
export function segmentEnd(meta: PacketMeta): number {
  const syn = (meta.flags & tcp.SYN) !== 0 ? 1 : 0;
  const fin = (meta.flags & tcp.FIN) !== 0 ? 1 : 0;
  return seqAdd(meta.words[SEQUENCE]!, meta.payloadLength + syn + fin);
}
