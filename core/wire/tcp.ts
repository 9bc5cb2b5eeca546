/**
 * The TCP header.
 *
 * Read first: RFC 9293 section 3.1 (header) and 3.2 (options), RFC 7323 (window scale, timestamps), RFC 2018 (SACK).
 *
 * ```
 *  0               8               16              24            31
 * ┌───────────────────────────────┬───────────────────────────────┐
 * │          Source Port          │       Destination Port        │
 * ├───────────────────────────────┴───────────────────────────────┤
 * │                        Sequence Number                        │
 * ├───────────────────────────────────────────────────────────────┤
 * │                     Acknowledgment Number                     │
 * ├───────┬───────┬───────────────┬───────────────────────────────┤
 * │ Offset│ Rsrvd │CWR ECE … FIN  │            Window             │
 * ├───────┴───────┴───────────────┼───────────────────────────────┤
 * │            Checksum           │         Urgent Pointer        │
 * └───────────────────────────────┴───────────────────────────────┘
 * ```
 */

/** Shortest header. Units: bytes. */
export const HEADER_BYTES = 20;
/** IANA protocol number. */
export const PROTOCOL = 6;

/** Control bits, as they stand in byte 13. */
export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;
export const URG = 0x20;
export const ECE = 0x40;
export const CWR = 0x80;

/** Option kinds. Source: IANA TCP option kinds. */
export const OPTION_END = 0;
export const OPTION_NOP = 1;
export const OPTION_MSS = 2;
export const OPTION_WINDOW_SCALE = 3;
export const OPTION_SACK_PERMITTED = 4;
export const OPTION_SACK = 5;
export const OPTION_TIMESTAMPS = 8;

/** Source port. */
export function sourcePort(view: DataView, at: number): number {
  return view.getUint16(at);
}
/** Destination port. */
export function destinationPort(view: DataView, at: number): number {
  return view.getUint16(at + 2);
}
/** Sequence number. */
export function sequence(view: DataView, at: number): number {
  return view.getUint32(at + 4);
}
/** Acknowledgment number. */
export function acknowledgment(view: DataView, at: number): number {
  return view.getUint32(at + 8);
}
/** Header length with options. Units: bytes. */
export function headerLength(view: DataView, at: number): number {
  return (view.getUint8(at + 12) >>> 4) << 2;
}
/** Control bits FIN … CWR. */
export function flags(view: DataView, at: number): number {
  return view.getUint8(at + 13);
}
/** Window as it stands. Units: bytes before scaling. */
export function window(view: DataView, at: number): number {
  return view.getUint16(at + 14);
}
/** Checksum as it stands. */
export function checksumField(view: DataView, at: number): number {
  return view.getUint16(at + 16);
}
/** Urgent pointer. */
export function urgentPointer(view: DataView, at: number): number {
  return view.getUint16(at + 18);
}

/** Where the option of `kind` starts, or −1 when it is absent or the options are malformed before it. */
export function findOption(view: DataView, at: number, kind: number): number {
  const end = at + headerLength(view, at);
  let i = at + HEADER_BYTES;
  while (i < end) {
    const found = view.getUint8(i);
    if (found === OPTION_END) return -1;
    if (found === OPTION_NOP) {
      i++;
      continue;
    }
    if (i + 1 >= end) return -1;
    const length = view.getUint8(i + 1);
    if (length < 2 || i + length > end) return -1;
    if (found === kind) return i;
    i += length;
  }
  return -1;
}

/** What a header without options is made from. */
export interface TcpFields {
  sourcePort: number;
  destinationPort: number;
  sequence: number;
  acknowledgment: number;
  flags: number;
  window: number;
  urgentPointer: number;
}

/** Writes a 20-byte header with checksum 0; the caller sums it. Returns its length. */
export function emit(view: DataView, at: number, fields: TcpFields): number {
  view.setUint16(at, fields.sourcePort);
  view.setUint16(at + 2, fields.destinationPort);
  view.setUint32(at + 4, fields.sequence);
  view.setUint32(at + 8, fields.acknowledgment);
  view.setUint8(at + 12, (HEADER_BYTES >>> 2) << 4);
  view.setUint8(at + 13, fields.flags);
  view.setUint16(at + 14, fields.window);
  view.setUint16(at + 16, 0);
  view.setUint16(at + 18, fields.urgentPointer);
  return HEADER_BYTES;
}

/** Reads the fields of a header that was judged valid. */
export function parse(view: DataView, at: number): TcpFields {
  return {
    sourcePort: sourcePort(view, at),
    destinationPort: destinationPort(view, at),
    sequence: sequence(view, at),
    acknowledgment: acknowledgment(view, at),
    flags: flags(view, at),
    window: window(view, at),
    urgentPointer: urgentPointer(view, at),
  };
}
