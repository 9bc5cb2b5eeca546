/**
 * The IPv6 header and its extension headers.
 *
 * Read first: RFC 8200 sections 3 and 4, RFC 4302 (authentication header length), RFC 6275 section 6.1 (mobility header).
 *
 * ```
 *  0       4              12      16              24            31
 * ┌───────┬───────────────┬───────────────────────────────────────┐
 * │Version│ Traffic Class │               Flow Label              │
 * ├───────┴───────────────┴───────┬───────────────┬───────────────┤
 * │         Payload Length        │  Next Header  │   Hop Limit   │
 * ├───────────────────────────────┴───────────────┴───────────────┤
 * │                    Source Address (16 bytes)                  │
 * ├───────────────────────────────────────────────────────────────┤
 * │                 Destination Address (16 bytes)                │
 * └───────────────────────────────────────────────────────────────┘
 * ```
 */

/** Length of the fixed header. Units: bytes. */
export const HEADER_BYTES = 40;
/** Length of a fragment header. Units: bytes. Source: RFC 8200 section 4.5. */
export const FRAGMENT_BYTES = 8;

/** Next-header numbers of extension headers. Source: IANA IPv6 extension header types. */
export const HOP_BY_HOP = 0;
export const ROUTING = 43;
export const FRAGMENT = 44;
export const AUTHENTICATION = 51;
export const NO_NEXT_HEADER = 59;
export const DESTINATION_OPTIONS = 60;
export const MOBILITY = 135;
export const HIP = 139;
export const SHIM6 = 140;

/** The version nibble: 6 in a valid packet. */
export function version(view: DataView, at: number): number {
  return view.getUint8(at) >>> 4;
}
/** Differentiated services and ECN as one byte. */
export function trafficClass(view: DataView, at: number): number {
  return (view.getUint16(at) >>> 4) & 255;
}
/** The 20-bit flow label. */
export function flowLabel(view: DataView, at: number): number {
  return view.getUint32(at) & 0xfffff;
}
/** Length of all that follows the fixed header. Units: bytes. */
export function payloadLength(view: DataView, at: number): number {
  return view.getUint16(at + 4);
}
/** What follows the fixed header. */
export function nextHeader(view: DataView, at: number): number {
  return view.getUint8(at + 6);
}
/** Hop limit. Units: hops. */
export function hopLimit(view: DataView, at: number): number {
  return view.getUint8(at + 7);
}
/** One 32-bit word of the source address; `word` is 0 … 3. */
export function sourceWord(view: DataView, at: number, word: number): number {
  return view.getUint32(at + 8 + (word << 2));
}
/** One 32-bit word of the destination address; `word` is 0 … 3. */
export function destinationWord(view: DataView, at: number, word: number): number {
  return view.getUint32(at + 24 + (word << 2));
}

/** What follows an extension header. */
export function extensionNext(view: DataView, at: number): number {
  return view.getUint8(at);
}
/** Length of an extension header of the given kind. Units: bytes. */
export function extensionLength(view: DataView, at: number, kind: number): number {
  if (kind === FRAGMENT) return FRAGMENT_BYTES;
  const length = view.getUint8(at + 1);
  return kind === AUTHENTICATION ? (length + 2) << 2 : (length + 1) << 3;
}
/** True when the number names a header that can be walked over. */
export function isExtension(kind: number): boolean {
  return kind === HOP_BY_HOP || kind === ROUTING || kind === FRAGMENT || kind === AUTHENTICATION ||
    kind === DESTINATION_OPTIONS || kind === MOBILITY || kind === HIP || kind === SHIM6;
}
/** Where this fragment's payload belongs. Units: bytes. */
export function fragmentOffset(view: DataView, at: number): number {
  return view.getUint16(at + 2) & 0xfff8;
}
/** True when fragments follow this one. */
export function moreFragments(view: DataView, at: number): boolean {
  return (view.getUint8(at + 3) & 1) !== 0;
}
/** Identification, which ties fragments together. */
export function fragmentId(view: DataView, at: number): number {
  return view.getUint32(at + 4);
}

/** What a fixed header is made from. */
export interface Ipv6Fields {
  trafficClass: number;
  flowLabel: number;
  /** Units: bytes, this header not included. */
  payloadLength: number;
  nextHeader: number;
  hopLimit: number;
  /** Shape: four 32-bit words. */
  source: ArrayLike<number>;
  /** Shape: four 32-bit words. */
  destination: ArrayLike<number>;
}

/** Writes a 40-byte header; returns its length. */
export function emit(view: DataView, at: number, fields: Ipv6Fields): number {
  view.setUint32(at, ((6 << 28) | (fields.trafficClass << 20) | fields.flowLabel) >>> 0);
  view.setUint16(at + 4, fields.payloadLength);
  view.setUint8(at + 6, fields.nextHeader);
  view.setUint8(at + 7, fields.hopLimit);
  for (let word = 0; word < 4; word++) {
    view.setUint32(at + 8 + (word << 2), fields.source[word] ?? 0);
    view.setUint32(at + 24 + (word << 2), fields.destination[word] ?? 0);
  }
  return HEADER_BYTES;
}

/** Reads the fields of a header that was judged valid. */
export function parse(view: DataView, at: number): Ipv6Fields {
  const source = [0, 0, 0, 0];
  const destination = [0, 0, 0, 0];
  for (let word = 0; word < 4; word++) {
    source[word] = sourceWord(view, at, word);
    destination[word] = destinationWord(view, at, word);
  }
  return {
    trafficClass: trafficClass(view, at),
    flowLabel: flowLabel(view, at),
    payloadLength: payloadLength(view, at),
    nextHeader: nextHeader(view, at),
    hopLimit: hopLimit(view, at),
    source,
    destination,
  };
}
