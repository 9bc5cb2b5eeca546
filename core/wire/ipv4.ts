/**
 * The IPv4 header.
 *
 * Read first: RFC 791 section 3.1, RFC 2474 (differentiated services), RFC 3168 (ECN), RFC 6864 (identification).
 *
 * ```
 *  0               8               16              24            31
 * ┌───────┬───────┬───────────────┬───────────────────────────────┐
 * │Version│  IHL  │  DSCP   │ ECN │          Total Length         │
 * ├───────┴───────┴───────────────┼─────┬─────────────────────────┤
 * │         Identification        │Flags│     Fragment Offset     │
 * ├───────────────┬───────────────┼─────┴─────────────────────────┤
 * │  Time to Live │    Protocol   │        Header Checksum        │
 * ├───────────────┴───────────────┴───────────────────────────────┤
 * │                        Source Address                         │
 * ├───────────────────────────────────────────────────────────────┤
 * │                      Destination Address                      │
 * └───────────────────────────────────────────────────────────────┘
 * ```
 */
import { checksum } from "./checksum.ts";

/** Shortest header. Units: bytes. */
export const HEADER_BYTES = 20;

/** The version nibble: 4 in a valid packet. */
export function version(view: DataView, at: number): number {
  return view.getUint8(at) >>> 4;
}
/** Header length. Units: bytes. */
export function headerLength(view: DataView, at: number): number {
  return (view.getUint8(at) & 15) << 2;
}
/** Differentiated services and ECN as one byte. */
export function tos(view: DataView, at: number): number {
  return view.getUint8(at + 1);
}
/** Length of header and payload. Units: bytes. */
export function totalLength(view: DataView, at: number): number {
  return view.getUint16(at + 2);
}
/** Identification, which ties fragments together. */
export function identification(view: DataView, at: number): number {
  return view.getUint16(at + 4);
}
/** True when the packet may not be fragmented. */
export function dontFragment(view: DataView, at: number): boolean {
  return (view.getUint8(at + 6) & 0x40) !== 0;
}
/** True when fragments follow this one. */
export function moreFragments(view: DataView, at: number): boolean {
  return (view.getUint8(at + 6) & 0x20) !== 0;
}
/** Where this fragment's payload belongs. Units: bytes. */
export function fragmentOffset(view: DataView, at: number): number {
  return (view.getUint16(at + 6) & 0x1fff) << 3;
}
/** Time to live. Units: hops. */
export function timeToLive(view: DataView, at: number): number {
  return view.getUint8(at + 8);
}
/** Protocol number of the payload. Source: IANA protocol numbers. */
export function protocol(view: DataView, at: number): number {
  return view.getUint8(at + 9);
}
/** The header checksum as it stands. */
export function headerChecksum(view: DataView, at: number): number {
  return view.getUint16(at + 10);
}
/** Source address. Units: one 32-bit word. */
export function source(view: DataView, at: number): number {
  return view.getUint32(at + 12);
}
/** Destination address. Units: one 32-bit word. */
export function destination(view: DataView, at: number): number {
  return view.getUint32(at + 16);
}

/** What a plain header (no options) is made from. */
export interface Ipv4Fields {
  tos: number;
  /** Units: bytes, this header included. */
  totalLength: number;
  identification: number;
  dontFragment: boolean;
  moreFragments: boolean;
  /** Units: bytes, a multiple of 8. */
  fragmentOffset: number;
  timeToLive: number;
  protocol: number;
  source: number;
  destination: number;
}

/** Writes a 20-byte header with its checksum; returns its length. */
export function emit(view: DataView, at: number, fields: Ipv4Fields): number {
  view.setUint8(at, 0x45);
  view.setUint8(at + 1, fields.tos);
  view.setUint16(at + 2, fields.totalLength);
  view.setUint16(at + 4, fields.identification);
  const flags = (fields.dontFragment ? 0x4000 : 0) | (fields.moreFragments ? 0x2000 : 0);
  view.setUint16(at + 6, flags | (fields.fragmentOffset >>> 3));
  view.setUint8(at + 8, fields.timeToLive);
  view.setUint8(at + 9, fields.protocol);
  view.setUint16(at + 10, 0);
  view.setUint32(at + 12, fields.source);
  view.setUint32(at + 16, fields.destination);
  view.setUint16(at + 10, checksum(view, at, HEADER_BYTES));
  return HEADER_BYTES;
}

/** Reads the fields of a header that was judged valid. */
export function parse(view: DataView, at: number): Ipv4Fields {
  return {
    tos: tos(view, at),
    totalLength: totalLength(view, at),
    identification: identification(view, at),
    dontFragment: dontFragment(view, at),
    moreFragments: moreFragments(view, at),
    fragmentOffset: fragmentOffset(view, at),
    timeToLive: timeToLive(view, at),
    protocol: protocol(view, at),
    source: source(view, at),
    destination: destination(view, at),
  };
}
