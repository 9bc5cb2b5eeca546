/**
 * ICMP and ICMPv6.
 *
 * Read first: RFC 792, RFC 4443, RFC 1812 section 5.2.7 (when to send which unreachable), RFC 1122 section 3.2.2 (never about an error, a
 * fragment, a broadcast).
 *
 * ```
 *  0               8               16              24            31
 * ┌───────────────┬───────────────┬───────────────────────────────┐
 * │     Type      │     Code      │            Checksum           │
 * ├───────────────┴───────────────┴───────────────────────────────┤
 * │                 rest of header, by type                       │
 * └───────────────────────────────────────────────────────────────┘
 * ```
 */

/** Length of the header. Units: bytes. */
export const HEADER_BYTES = 8;
/** IANA protocol number of ICMP. */
export const PROTOCOL = 1;
/** IANA protocol number of ICMPv6. */
export const PROTOCOL_V6 = 58;

/** Types of ICMP. Source: IANA ICMP type numbers. */
export const ECHO_REPLY = 0;
export const DESTINATION_UNREACHABLE = 3;
export const ECHO_REQUEST = 8;
export const TIME_EXCEEDED = 11;
export const PARAMETER_PROBLEM = 12;
/** Code of `DESTINATION_UNREACHABLE`: the transport protocol is not known. */
export const PROTOCOL_UNREACHABLE = 2;
/** Code of `DESTINATION_UNREACHABLE`: a packet that may not be fragmented is too big. Source: RFC 1191 section 4. */
export const FRAGMENTATION_NEEDED = 4;
/** Code of `DESTINATION_UNREACHABLE`: nothing listens on the port. */
export const PORT_UNREACHABLE = 3;
/** Types of ICMPv6. Source: IANA ICMPv6 type numbers. */
export const DESTINATION_UNREACHABLE_V6 = 1;
export const PACKET_TOO_BIG_V6 = 2;
export const TIME_EXCEEDED_V6 = 3;
export const PARAMETER_PROBLEM_V6 = 4;
export const ECHO_REQUEST_V6 = 128;
export const ECHO_REPLY_V6 = 129;
/** Code of `DESTINATION_UNREACHABLE_V6`: nothing listens on the port. */
export const PORT_UNREACHABLE_V6 = 4;

/** The message's type. */
export function type(view: DataView, at: number): number {
  return view.getUint8(at);
}
/** The message's code. */
export function code(view: DataView, at: number): number {
  return view.getUint8(at + 1);
}
/** Checksum as it stands. */
export function checksumField(view: DataView, at: number): number {
  return view.getUint16(at + 2);
}
/** The second word: identifier and sequence, MTU, pointer or unused. */
export function restOfHeader(view: DataView, at: number): number {
  return view.getUint32(at + 4);
}

/** What a header is made from. */
export interface IcmpFields {
  type: number;
  code: number;
  restOfHeader: number;
}

/** Writes an 8-byte header with checksum 0; the caller sums it. Returns its length. */
export function emit(view: DataView, at: number, fields: IcmpFields): number {
  view.setUint8(at, fields.type);
  view.setUint8(at + 1, fields.code);
  view.setUint16(at + 2, 0);
  view.setUint32(at + 4, fields.restOfHeader);
  return HEADER_BYTES;
}

/** Reads the fields of a header that was judged valid. */
export function parse(view: DataView, at: number): IcmpFields {
  return { type: type(view, at), code: code(view, at), restOfHeader: restOfHeader(view, at) };
}
