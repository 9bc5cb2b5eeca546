/**
 * QUIC long headers, and the frames of an Initial packet.
 *
 * Read first: RFC 8999 (what every version shares), RFC 9000 section 17.2 (long headers) and section 12.4 (frames),
 * RFC 9001 sections 5.2 and 5.4 (Initial secrets, header protection), RFC 9369 section 3 (version 2).
 *
 *     ┌───────────────┬─────────────┬────────────┬──────┬────────────┬──────┬─────────────────────┬────────────┬────────┬─────────┐
 *     │ 1 1 T T ? ? ? ? │ version: 32 │ length: 8  │ DCID │ length: 8  │ SCID │ token: varint + n   │ length: vi │ number │ sealed  │
 *     │               │             │            │      │            │      │ Initial only        │ to the end │ 1 … 4  │ payload │
 *     └───────────────┴─────────────┴────────────┴──────┴────────────┴──────┴─────────────────────┴────────────┴────────┴─────────┘
 */
import { QUIC_FRAMES_MAX } from "../base/limits.ts";
import { readVarint, varintBytes } from "./quic_varint.ts";

/** Kinds of long-header packets, whatever bits a version gives them. */
export const LongPacket = { Initial: 0, ZeroRtt: 1, Handshake: 2, Retry: 3, Negotiation: 4 } as const;
export type LongPacket = (typeof LongPacket)[keyof typeof LongPacket];

const CONNECTION_ID_BYTES_MAX = 20;

/** One long-header packet inside a datagram. Offsets count from the datagram's beginning. */
export interface LongHeader {
  version: number;
  packet: LongPacket;
  dcidAt: number;
  dcidLength: number;
  /** Where the protected packet number stands. */
  numberAt: number;
  /** One past the packet's last byte; the next coalesced packet begins here. */
  end: number;
}

/** A record to hand to `readLongHeader`. */
export function createLongHeader(): LongHeader {
  return { version: 0, packet: LongPacket.Initial, dcidAt: 0, dcidLength: 0, numberAt: 0, end: 0 };
}

/** True when the first byte is that of a long header. The fixed bit is not asked for: RFC 9287 lets it be anything. */
export function isLongHeader(first: number): boolean {
  return (first & 0x80) !== 0;
}

function packetKind(version: number, first: number, isVersion2: boolean): LongPacket {
  if (version === 0) return LongPacket.Negotiation;
  const bits = (first >>> 4) & 3;
  return (isVersion2 ? (bits + 3) & 3 : bits) as LongPacket;
}

/**
 * Reads the long header at `from` in a datagram of `length` bytes.
 * Shape: true when the header is whole; a packet that claims more bytes than there are ends at the datagram's end.
 */
export function readLongHeader(
  view: DataView,
  at: number,
  from: number,
  length: number,
  isVersion2: boolean,
  out: LongHeader,
): boolean {
  if (from + 7 > length || !isLongHeader(view.getUint8(at + from))) return false;
  out.version = view.getUint32(at + from + 1);
  out.packet = packetKind(out.version, view.getUint8(at + from), isVersion2);
  out.dcidLength = view.getUint8(at + from + 5);
  out.dcidAt = from + 6;
  let next = out.dcidAt + out.dcidLength;
  if (out.dcidLength > CONNECTION_ID_BYTES_MAX || next >= length) return false;
  const scidLength = view.getUint8(at + next);
  next += 1 + scidLength;
  if (scidLength > CONNECTION_ID_BYTES_MAX || next > length) return false;
  out.numberAt = length;
  out.end = length;
  if (out.packet === LongPacket.Retry || out.packet === LongPacket.Negotiation) return true;
  if (out.packet === LongPacket.Initial) {
    if (next >= length || next + varintBytes(view.getUint8(at + next)) > length) return false;
    const token = readVarint(view, at + next);
    next += varintBytes(view.getUint8(at + next));
    if (token > length - next) return false;
    next += token;
  }
  if (next >= length || next + varintBytes(view.getUint8(at + next)) > length) return false;
  const size = readVarint(view, at + next);
  next += varintBytes(view.getUint8(at + next));
  out.numberAt = next;
  out.end = size < length - next ? next + size : length;
  return true;
}

/** The version field of a long header. */
export function longHeaderVersion(view: DataView, at: number): number {
  return view.getUint32(at + 1);
}

/**
 * The full packet number that a truncated one stands for, after `largest` was the highest so far (−1: none yet).
 * Source: RFC 9000 appendix A.3.
 */
export function expandPacketNumber(largest: number, truncated: number, lengthBytes: number): number {
  const window = 2 ** (8 * lengthBytes);
  const expected = largest + 1;
  const candidate = expected - expected % window + truncated;
  if (candidate <= expected - window / 2 && candidate < 2 ** 52) return candidate + window;
  if (candidate > expected + window / 2 && candidate >= window) return candidate - window;
  return candidate;
}

/** A CRYPTO frame found by `CryptoFrames`. */
export const FrameRead = { Crypto: 0, End: 1, Bad: 2 } as const;
export type FrameRead = (typeof FrameRead)[keyof typeof FrameRead];

const FRAME_PADDING = 0x00;
const FRAME_PING = 0x01;
const FRAME_ACK = 0x02;
const FRAME_ACK_ECN = 0x03;
const FRAME_CRYPTO = 0x06;
const FRAME_CLOSE = 0x1c;

/** Walks the frames of an opened Initial packet and stops at each CRYPTO frame. Source: RFC 9000 section 17.2.2 (which frames may occur). */
export class CryptoFrames {
  #cryptoFrame = FRAME_CRYPTO;
  #next = 0;
  #count = 0;
  /** Offset of the frame's bytes in the handshake stream. Units: bytes. */
  offset = 0;
  /** Where the frame's bytes stand. Units: bytes from the payload's beginning. */
  dataAt = 0;
  /** Units: bytes. */
  dataLength = 0;

  /** Begins a new payload, in which CRYPTO frames have the type `cryptoFrame`. */
  reset(cryptoFrame: number = FRAME_CRYPTO): void {
    this.#cryptoFrame = cryptoFrame;
    this.#next = 0;
    this.#count = 0;
  }

  /** Goes to the next CRYPTO frame. */
  next(view: DataView, at: number, length: number): FrameRead {
    while (this.#next < length) {
      const type = view.getUint8(at + this.#next);
      if (type === FRAME_PADDING) {
        this.#next++;
        continue;
      }
      if (++this.#count > QUIC_FRAMES_MAX) return FrameRead.Bad;
      this.#next++;
      if (type === FRAME_PING) continue;
      if (type === FRAME_CLOSE) return FrameRead.End;
      if (type === this.#cryptoFrame) return this.#readCrypto(view, at, length) ? FrameRead.Crypto : FrameRead.Bad;
      if (type !== FRAME_ACK && type !== FRAME_ACK_ECN) return FrameRead.Bad;
      if (!this.#skipAck(view, at, length, type === FRAME_ACK_ECN)) return FrameRead.Bad;
    }
    return FrameRead.End;
  }

  #varint(view: DataView, at: number, length: number): number {
    if (this.#next >= length) return -1;
    const bytes = varintBytes(view.getUint8(at + this.#next));
    if (this.#next + bytes > length) return -1;
    const value = readVarint(view, at + this.#next);
    this.#next += bytes;
    return value;
  }

  #readCrypto(view: DataView, at: number, length: number): boolean {
    this.offset = this.#varint(view, at, length);
    this.dataLength = this.#varint(view, at, length);
    if (this.offset < 0 || this.dataLength < 0 || this.dataLength > length - this.#next) return false;
    this.dataAt = this.#next;
    this.#next += this.dataLength;
    return true;
  }

  #skipAck(view: DataView, at: number, length: number, withEcn: boolean): boolean {
    this.#varint(view, at, length);
    this.#varint(view, at, length);
    const ranges = this.#varint(view, at, length);
    let fields = 1 + 2 * ranges + (withEcn ? 3 : 0);
    if (ranges < 0 || fields > length) return false;
    while (fields-- > 0) {
      if (this.#varint(view, at, length) < 0) return false;
    }
    return true;
  }
}
