/**
 * The UDP header.
 *
 * Read first: RFC 768, RFC 2675 section 4 (length 0 in jumbograms, refused here), RFC 6935 (checksum 0 over IPv6).
 *
 * ```
 *  0               8               16              24            31
 * ┌───────────────────────────────┬───────────────────────────────┐
 * │          Source Port          │       Destination Port        │
 * ├───────────────────────────────┼───────────────────────────────┤
 * │             Length            │            Checksum           │
 * └───────────────────────────────┴───────────────────────────────┘
 * ```
 */

/** Length of the header. Units: bytes. */
export const HEADER_BYTES = 8;
/** IANA protocol number. */
export const PROTOCOL = 17;

/** Source port. */
export function sourcePort(view: DataView, at: number): number {
  return view.getUint16(at);
}
/** Destination port. */
export function destinationPort(view: DataView, at: number): number {
  return view.getUint16(at + 2);
}
/** Length of header and payload. Units: bytes. */
export function length(view: DataView, at: number): number {
  return view.getUint16(at + 4);
}
/** Checksum as it stands; 0 means none. */
export function checksumField(view: DataView, at: number): number {
  return view.getUint16(at + 6);
}

/** What a header is made from. */
export interface UdpFields {
  sourcePort: number;
  destinationPort: number;
  /** Units: bytes, this header included. */
  length: number;
}

/** Writes an 8-byte header with checksum 0; the caller sums it. Returns its length. */
export function emit(view: DataView, at: number, fields: UdpFields): number {
  view.setUint16(at, fields.sourcePort);
  view.setUint16(at + 2, fields.destinationPort);
  view.setUint16(at + 4, fields.length);
  view.setUint16(at + 6, 0);
  return HEADER_BYTES;
}

/** Reads the fields of a header that was judged valid. */
export function parse(view: DataView, at: number): UdpFields {
  return { sourcePort: sourcePort(view, at), destinationPort: destinationPort(view, at), length: length(view, at) };
}
