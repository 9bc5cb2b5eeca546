/** Every way in which a packet can end badly: one number, one name, one counter. */

/** Why a packet was dropped. `None` means that it was not. */
export const DropReason = {
  None: 0,
  /** The frame carries no IP: ARP, LLDP, spanning tree. */
  NotIp: 1,
  LinkTruncated: 2,
  /** The first nibble is neither 4 nor 6. */
  BadVersion: 3,
  Ipv4Truncated: 4,
  Ipv4BadHeaderLength: 5,
  Ipv4BadLength: 6,
  Ipv4BadChecksum: 7,
  Ipv6Truncated: 8,
  Ipv6BadLength: 9,
  Ipv6BadExtension: 10,
  TcpTruncated: 11,
  TcpBadHeaderLength: 12,
  TcpBadChecksum: 13,
  UdpTruncated: 14,
  UdpBadLength: 15,
  UdpBadChecksum: 16,
  IcmpTruncated: 17,
  IcmpBadChecksum: 18,
  /** Neither TCP, UDP nor ICMP, on a device where there is nobody to hand it on to. */
  UnsupportedProtocol: 19,
  /** A first fragment too short for its transport header, or a fragment length that is no multiple of 8. Source: RFC 1858, RFC 791. */
  FragmentMalformed: 20,
  /** Fragments that overlap: the whole datagram goes. Source: RFC 5722. */
  FragmentOverlap: 21,
  /** A fragment that is already there. */
  FragmentDuplicate: 22,
  FragmentTimeout: 23,
  FragmentTableFull: 24,
  FlowTableFull: 25,
  /** The arena had no slot left for what had to be made. */
  QueueFull: 26,
  /** The device refused the packet. */
  DeviceFull: 27,
  RuleReject: 28,
  RuleDrop: 29,
  /** Source: RFC 6275 section 6.1.1. */
  MobilityBadChecksum: 30,
  /** The flow ended while the packet waited for its decision. */
  FlowEnded: 31,
  /** A source that nobody can answer, or TCP to many receivers. Source: RFC 1122 sections 3.2.1.3 and 4.2.3.10, RFC 4291 section 2.7. */
  BadAddress: 32,
  /** A TCP segment of no connection; a reset answers it. Source: RFC 9293 section 3.10.7.1. */
  NoConnection: 33,
  /** More handshakes under way than may be. */
  BacklogFull: 34,
  /** A datagram that nobody takes; ICMP answers it. */
  PortUnreachable: 35,
  /** An ICMP message about nothing known here, or of a type that asks for nothing. */
  IcmpUnrelated: 36,
  /** A packet program says so. */
  ProgramDrop: 37,
  /** A packet program's throttle has a full queue, or too many packets are held back. */
  ProgramOverflow: 38,
  /** A packet program damaged it where the receiver is our own stack, which throws such packets away. */
  ProgramCorrupt: 39,
} as const;
/** A value of `DropReason`. */
export type DropReason = (typeof DropReason)[keyof typeof DropReason];

/** How many reasons there are, `None` included. */
export const DROP_REASON_COUNT = Object.keys(DropReason).length;

/** The name of a reason as reports and JSON show it. Shape: indexed by the reason. */
export const DROP_REASON_NAMES: readonly string[] = Object.keys(DropReason).map((name) =>
  name[0]!.toLowerCase() + name.slice(1)
);
