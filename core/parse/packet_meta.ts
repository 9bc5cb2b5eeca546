/** What parse found in a packet: positions and numbers, no bytes. */

/** Whether a packet is part of a larger datagram. */
export const Fragment = { Whole: 0, First: 1, Later: 2 } as const;
/** A value of `Fragment`. */
export type Fragment = (typeof Fragment)[keyof typeof Fragment];

/** Index of the first word of the source address in `PacketMeta.words`. */
export const SOURCE = 0;
/** Index of the first word of the destination address in `PacketMeta.words`. */
export const DESTINATION = 4;
/** Index of TCP's sequence number in `PacketMeta.words`. */
export const SEQUENCE = 8;
/** Index of TCP's acknowledgment number in `PacketMeta.words`. */
export const ACKNOWLEDGMENT = 9;
/** Index of the identification that ties fragments together in `PacketMeta.words`. */
export const FRAGMENT_ID = 10;

/**
 * One record, reused for every packet. Positions are offsets into the arena.
 *
 * Shape: `words` holds what needs 32 bits (a field of that size would turn into a heap number): source address (4), destination
 * address (4, IPv4 as ::ffff:a.b.c.d), sequence, acknowledgment, fragment identification.
 */
export class PacketMeta {
  readonly words: Uint32Array = new Uint32Array(11);
  version: 4 | 6 = 4;
  /** IANA number of the transport protocol, after IPv6's extension headers. */
  protocol = 0;
  ipAt = 0;
  /** Length of the IP packet on the wire. Units: bytes. */
  ipLength = 0;
  transportAt = 0;
  payloadAt = 0;
  /** Captured transport payload. Units: bytes. */
  payloadLength = 0;
  /** Source port; for ICMP its type. */
  sourcePort = 0;
  /** Destination port; for ICMP its code. */
  destinationPort = 0;
  /** TCP's control bits. */
  flags = 0;
  /** Differentiated services code point. */
  dscp = 0;
  fragment: Fragment = Fragment.Whole;
  /** Where a fragment's bytes belong. Units: bytes. */
  fragmentOffset = 0;
  moreFragments = false;
  /** What the fragments carry: positions of the fragmentable part. */
  fragmentAt = 0;
  /** Units: bytes captured. */
  fragmentLength = 0;
}
