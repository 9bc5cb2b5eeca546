/** One side of a captured TCP flow: its stream, put in order, and how far it goes. */
import { LIVE_PLAY_STREAM_BYTES_MAX } from "../../core/base/limits.ts";
import { type PacketMeta, SEQUENCE } from "../../core/parse/packet_meta.ts";
import { seqAdd, seqDiff, seqLess } from "../../core/wire/seq.ts";
import * as tcp from "../../core/wire/tcp.ts";
import { StreamFollower } from "../replay/stream_follower.ts";
import { segmentEnd } from "./client_translation.ts";
import { StreamWindow } from "./stream_window.ts";

/** What the capture says about one side. Units: offsets in bytes of its stream. */
export class CapturedSide {
  /** The stream in order; what the other side still has to see of it. */
  readonly window = new StreamWindow();
  readonly follower: StreamFollower;
  /** Bytes that no packet held, in a stream that went on behind them. */
  missing = 0;
  firstMissing = -1;
  isn: number | undefined = undefined;
  finSeq: number | undefined = undefined;
  /** One more than the highest sequence number. */
  end = 0;
  retransmissions = 0;

  constructor() {
    this.follower = new StreamFollower((bytes, missing) => {
      if (missing > 0) {
        if (this.firstMissing < 0) this.firstMissing = this.window.end;
        this.missing += missing;
        this.window.appendUnknown(Math.min(missing, LIVE_PLAY_STREAM_BYTES_MAX));
      }
      this.window.append(bytes);
    });
  }

  /** Begins the stream behind this initial sequence number. */
  begin(isn: number): void {
    this.isn = isn;
    this.end = seqAdd(isn, 1);
    this.follower.start(seqAdd(isn, 1));
  }

  /** Takes a segment's part in the stream. */
  segment(meta: PacketMeta, bytes: Uint8Array): void {
    const end = segmentEnd(meta);
    if (meta.payloadLength > 0) {
      if (!seqLess(this.end, end)) this.retransmissions++;
      this.follower.segment(meta.words[SEQUENCE]!, bytes.subarray(meta.payloadAt, meta.payloadAt + meta.payloadLength));
    }
    if ((meta.flags & tcp.FIN) !== 0) this.finSeq = seqAdd(end, -1);
    if (seqLess(this.end, end)) this.end = end;
  }

  /** Where in the stream a sequence number of this side lies. Units: bytes. */
  offsetOf(sequence: number): number {
    return this.isn === undefined ? 0 : seqDiff(sequence, seqAdd(this.isn, 1));
  }

  /** True when the stream is known up to the FIN. */
  get isComplete(): boolean {
    return this.finSeq !== undefined && this.window.end >= this.offsetOf(this.finSeq);
  }
}
