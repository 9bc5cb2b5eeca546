/**
 * One direction of a captured TCP stream, read to its end: what was sent, in order, and what the capture has missed.
 *
 * Read first: RFC 9293 section 3.4 (sequence numbers), section 3.10.7.4 (what of a segment is new).
 *
 * Bytes that came first win over a later copy, as in `core/classify` and `core/stack`.
 */
import { STREAM_FOLLOW_BYTES_MAX, STREAM_FOLLOW_PIECES_MAX, STREAM_WINDOW_BYTES_MAX } from "../../core/base/limits.ts";
import { seqAdd, seqDiff, seqLess, seqLessOrEqual } from "../../core/wire/seq.ts";

/** Takes what is next in a stream: `missing` bytes that no packet held (most often 0), then `bytes`, which are the caller's to keep. */
export type StreamSink = (bytes: Uint8Array, missing: number) => void;

interface Piece {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

/**
 * Puts segments in order. What comes early waits, up to a bound of bytes and of pieces; beyond it the first hole is given up.
 * One call of the sink for each run of new bytes in a segment.
 */
export class StreamFollower {
  readonly #sink: StreamSink;
  /** Sequence number of the next byte; undefined until the first SYN or segment. */
  #nextSeq: number | undefined = undefined;
  /** Early pieces in order, apart from each other. */
  readonly #early: Piece[] = [];
  #earlyBytes = 0;

  constructor(sink: StreamSink) {
    this.#sink = sink;
  }

  /** True when bytes wait behind a hole. */
  get hasHole(): boolean {
    return this.#early.length > 0;
  }

  /** True once a SYN or a segment said where the stream begins. */
  get started(): boolean {
    return this.#nextSeq !== undefined;
  }

  /** Says with which sequence number the stream's first byte goes: one more than the SYN's. Only the first call counts. */
  start(seq: number): void {
    this.#nextSeq ??= seq >>> 0;
  }

  /** Adds a segment's payload; the first one begins the stream when `start` was not called. The bytes are copied. */
  segment(seq: number, payload: Uint8Array): void {
    if (payload.length === 0) return;
    this.start(seq);
    const behind = seqDiff(this.#nextSeq!, seq);
    if (behind >= payload.length || behind < -STREAM_WINDOW_BYTES_MAX) return;
    if (behind > 0) this.#keep(this.#nextSeq!, payload.subarray(behind));
    else this.#keep(seq >>> 0, payload);
    this.#deliverEarly();
    while (this.#early.length > STREAM_FOLLOW_PIECES_MAX || this.#earlyBytes > STREAM_FOLLOW_BYTES_MAX) this.skipHole();
  }

  /** Gives the first hole up, as when the peer has answered or the stream is over: the sink hears how many bytes were missing. */
  skipHole(): void {
    const piece = this.#takeEarly();
    if (piece === undefined) return;
    this.#deliver(piece.bytes, seqDiff(piece.seq, this.#nextSeq!));
    this.#deliverEarly();
  }

  /** Gives every hole up. */
  finish(): void {
    while (this.hasHole) this.skipHole();
  }

  #deliver(bytes: Uint8Array, missing: number): void {
    this.#nextSeq = seqAdd(this.#nextSeq!, missing + bytes.length);
    this.#sink(bytes, missing);
  }

  #takeEarly(): Piece | undefined {
    const piece = this.#early.shift();
    if (piece !== undefined) this.#earlyBytes -= piece.bytes.length;
    return piece;
  }

  #deliverEarly(): void {
    while (this.#early.length > 0 && seqLessOrEqual(this.#early[0]!.seq, this.#nextSeq!)) {
      const piece = this.#takeEarly()!;
      const behind = seqDiff(this.#nextSeq!, piece.seq);
      if (behind < piece.bytes.length) this.#deliver(piece.bytes.subarray(behind), 0);
    }
  }

  /** Keeps of a segment what no piece holds yet. */
  #keep(seq: number, payload: Uint8Array): void {
    let at = 0;
    let index = 0;
    while (at < payload.length) {
      const from = seqAdd(seq, at);
      while (index < this.#early.length && seqLessOrEqual(endOf(this.#early[index]!), from)) index++;
      const next = this.#early[index];
      if (next !== undefined && seqLessOrEqual(next.seq, from)) {
        at += seqDiff(endOf(next), from);
        continue;
      }
      const end = seqAdd(seq, payload.length);
      const to = next !== undefined && seqLess(next.seq, end) ? seqDiff(next.seq, seq) : payload.length;
      this.#early.splice(index, 0, { seq: from, bytes: payload.slice(at, to) });
      this.#earlyBytes += to - at;
      at = to;
    }
  }
}

function endOf(piece: Piece): number {
  return seqAdd(piece.seq, piece.bytes.length);
}
