/**
 * A segment as the state machine sees it: one record, reused for all.
 *
 * Read first: RFC 9293 section 3.2 (options), RFC 7323 sections 2.2 and 3.2, RFC 2018 sections 2 and 3.
 */
import { ACKNOWLEDGMENT, type PacketMeta, SEQUENCE } from "../../parse/packet_meta.ts";
import * as tcp from "../../wire/tcp.ts";

/** Ranges that one SACK option can hold: 40 bytes of options. */
export const SACK_RANGE_COUNT_MAX = 4;

const TIMESTAMPS_ALONE = (tcp.OPTION_NOP << 24) | (tcp.OPTION_NOP << 16) | (tcp.OPTION_TIMESTAMPS << 8) | 10;

/** One segment's numbers. Sequence numbers and timestamps are signed 32-bit numbers, which the engine keeps without a heap number. */
export class IncomingSegment {
  seq = 0;
  ack = 0;
  flags = 0;
  /** As it stands in the header. */
  window = 0;
  payloadAt = 0;
  /** Units: bytes. */
  payloadLength = 0;
  /** Segments that the device joined into this one. */
  pieces = 1;
  hasTimestamps = false;
  tsVal = 0;
  tsEcr = 0;
  /** 0: absent. */
  mss = 0;
  /** −1: absent. */
  windowScale = -1;
  sackPermitted = false;
  /** Shape: `sackCount` pairs of start and end. */
  readonly sack: Int32Array = new Int32Array(2 * SACK_RANGE_COUNT_MAX);
  sackCount = 0;

  /** Reads a parsed packet. `pieceBytes`: payload of the segments that the device joined, 0 when it joined none. */
  read(view: DataView, meta: PacketMeta, pieceBytes: number): void {
    const at = meta.transportAt;
    this.seq = meta.words[SEQUENCE]! | 0;
    this.ack = meta.words[ACKNOWLEDGMENT]! | 0;
    this.flags = meta.flags;
    this.window = tcp.window(view, at);
    this.payloadAt = meta.payloadAt;
    this.payloadLength = meta.payloadLength;
    this.pieces = pieceBytes > 0 ? Math.ceil(meta.payloadLength / pieceBytes) : 1;
    this.hasTimestamps = false;
    this.sackCount = 0;
    const optionsAt = at + tcp.HEADER_BYTES;
    const end = at + tcp.headerLength(view, at);
    if (end === optionsAt + 12 && view.getInt32(optionsAt) === TIMESTAMPS_ALONE) {
      this.hasTimestamps = true;
      this.tsVal = view.getInt32(optionsAt + 4);
      this.tsEcr = view.getInt32(optionsAt + 8);
      if ((this.flags & tcp.SYN) === 0) return;
    }
    this.mss = 0;
    this.windowScale = -1;
    this.sackPermitted = false;
    if (end > optionsAt) this.#readOptions(view, optionsAt, end);
  }

  /** How much sequence space the segment takes. */
  get length(): number {
    return this.payloadLength + ((this.flags & tcp.SYN) !== 0 ? 1 : 0) + ((this.flags & tcp.FIN) !== 0 ? 1 : 0);
  }

  /** Reads options up to the first malformed one; options of a wrong length are passed over. */
  #readOptions(view: DataView, from: number, end: number): void {
    let at = from;
    while (at < end) {
      const kind = view.getUint8(at);
      if (kind === tcp.OPTION_END) return;
      if (kind === tcp.OPTION_NOP) {
        at++;
        continue;
      }
      if (at + 1 >= end) return;
      const length = view.getUint8(at + 1);
      if (length < 2 || at + length > end) return;
      this.#readOption(view, at, kind, length);
      at += length;
    }
  }

  #readOption(view: DataView, at: number, kind: number, length: number): void {
    const isSyn = (this.flags & tcp.SYN) !== 0;
    if (kind === tcp.OPTION_TIMESTAMPS) {
      if (length !== 10) return;
      this.hasTimestamps = true;
      this.tsVal = view.getInt32(at + 2);
      this.tsEcr = view.getInt32(at + 6);
    } else if (kind === tcp.OPTION_SACK) {
      if (isSyn || length < 10 || (length & 7) !== 2) return;
      const count = (length - 2) >>> 3;
      this.sackCount = count < SACK_RANGE_COUNT_MAX ? count : SACK_RANGE_COUNT_MAX;
      for (let i = 0; i < 2 * this.sackCount; i++) this.sack[i] = view.getInt32(at + 2 + 4 * i);
    } else if (!isSyn) return;
    else if (kind === tcp.OPTION_MSS && length === 4) this.mss = view.getUint16(at + 2);
    else if (kind === tcp.OPTION_WINDOW_SCALE && length === 3) {
      // Source: RFC 7323 section 2.3: more than 14 counts as 14.
      const shift = view.getUint8(at + 2);
      this.windowScale = shift < 14 ? shift : 14;
    } else if (kind === tcp.OPTION_SACK_PERMITTED && length === 2) this.sackPermitted = true;
  }
}
