/**
 * Google's QUIC before TLS: the client hello `CHLO` and the name in it.
 *
 * Read first: "QUIC Wire Layout Specification" and "QUIC Crypto" (Google, 2016), Chromium's quic_framer for Q046.
 *
 *     Q024 … Q043   flags 8 │ connection id 64, if flags & 8 │ version 32, if flags & 1 │ number 8 … 48 │ hash 96 │ frames
 *     Q046          flags 8 (long header) │ version 32 │ id lengths 8 │ ids │ number 32 │ hash 96 │ frames
 *     message       tag "CHLO" │ count 16 │ 0 16 │ count × { tag 32, end offset 32 } │ values       (little endian)
 */
import { isGoogleVersion } from "./quic_version.ts";

/** What the bytes are. */
export const ChloRead = { More: 0, Whole: 1, Bad: 2 } as const;
export type ChloRead = (typeof ChloRead)[keyof typeof ChloRead];

/** Where the name stands. Units: bytes; `nameAt` is −1 without a name. */
export interface ChloName {
  nameAt: number;
  nameLength: number;
}

const TAG_CHLO = 0x43484c4f;
const TAG_SNI = 0x534e4900;
const HEADER_BYTES = 8;
const ENTRY_BYTES = 8;
const ENTRY_COUNT_MAX = 128;
const FLAG_VERSION = 0x01;
const FLAG_CONNECTION_ID = 0x08;
/** How far behind the packet header the message may begin: number, hash, private flags and the STREAM frame's header. */
const MESSAGE_DISTANCE_MAX = 40;

/** Reads the CHLO message at `at`, of which `length` bytes are there. */
export function readChlo(view: DataView, at: number, length: number, out: ChloName): ChloRead {
  out.nameAt = -1;
  out.nameLength = 0;
  if (length < HEADER_BYTES) return ChloRead.More;
  const count = view.getUint16(at + 4, true);
  if (view.getUint32(at) !== TAG_CHLO || count === 0 || count > ENTRY_COUNT_MAX) return ChloRead.Bad;
  const values = HEADER_BYTES + ENTRY_BYTES * count;
  if (length < values) return ChloRead.More;
  let start = 0;
  for (let i = 0; i < count; i++) {
    const entry = at + HEADER_BYTES + ENTRY_BYTES * i;
    const end = view.getUint32(entry + 4, true);
    if (end < start) return ChloRead.Bad;
    if (view.getUint32(entry) === TAG_SNI) {
      if (values + end > length) return ChloRead.More;
      out.nameAt = values + start;
      out.nameLength = end - start;
    }
    start = end;
  }
  return ChloRead.Whole;
}

/**
 * Finds the CHLO in an unencrypted packet of Google's QUIC.
 * Shape: bytes from the datagram's beginning, −1 when there is none.
 */
export function findChlo(view: DataView, at: number, length: number): number {
  if (length < 40) return -1;
  const flags = view.getUint8(at);
  let from: number;
  if ((flags & 0x80) !== 0) {
    if (!isGoogleVersion(view.getUint32(at + 1))) return -1;
    from = 6;
  } else {
    from = (flags & FLAG_CONNECTION_ID) !== 0 ? 9 : 1;
    if ((flags & FLAG_VERSION) === 0 || !isGoogleVersion(view.getUint32(at + from))) return -1;
    from += 4;
  }
  const last = from + MESSAGE_DISTANCE_MAX < length - HEADER_BYTES
    ? from + MESSAGE_DISTANCE_MAX
    : length - HEADER_BYTES;
  for (let i = from; i <= last; i++) {
    if (view.getUint32(at + i) === TAG_CHLO) return i;
  }
  return -1;
}
