/**
 * Structs and numbers of WinDivert as bytes; all fields are little-endian.
 *
 * Read first: WinDivert 2.2 documentation sections 5 and 6, windivert.h.
 *
 * ```
 * WINDIVERT_ADDRESS:   Timestamp i64 │ Layer u8 │ Event u8 │ bits u8 │ reserved u8 │ reserved u32 │ one of the unions below      80 bytes
 *   bits:              Sniffed 0 │ Outbound 1 │ Loopback 2 │ Impostor 3 │ IPv6 4 │ IPChecksum 5 │ TCPChecksum 6 │ UDPChecksum 7
 *   NETWORK:           IfIdx u32 │ SubIfIdx u32
 *   FLOW and SOCKET:   EndpointId u64 │ ParentEndpointId u64 │ ProcessId u32 │ LocalAddr u32[4] │ RemoteAddr u32[4] │ LocalPort u16 │
 *                      RemotePort u16 │ Protocol u8      numbers in host order, addresses least significant word first, IPv4 as ::ffff:a.b.c.d
 *   REFLECT:           Timestamp i64 │ ProcessId u32 │ Layer u32 │ Flags u64 │ Priority i16
 * OVERLAPPED:          Internal u64 │ InternalHigh u64 │ Offset u32 │ OffsetHigh u32 │ hEvent u64                                32 bytes
 * ```
 */

/** Sizes. Units: bytes. */
export const Size = { WINDIVERT_ADDRESS: 80, OVERLAPPED: 32 } as const;

/** Offsets of WINDIVERT_ADDRESS. Units: bytes. */
export const AddressOffset = {
  Timestamp: 0,
  Layer: 8,
  Event: 9,
  Bits: 10,
  IfIdx: 16,
  SubIfIdx: 20,
  EndpointId: 16,
  ParentEndpointId: 24,
  ProcessId: 32,
  LocalAddr: 36,
  RemoteAddr: 52,
  LocalPort: 68,
  RemotePort: 70,
  Protocol: 72,
  ReflectTimestamp: 16,
  ReflectProcessId: 24,
  ReflectLayer: 28,
  ReflectFlags: 32,
  ReflectPriority: 40,
} as const;

/** Bits of WINDIVERT_ADDRESS, in the byte at `AddressOffset.Bits`. A checksum's bit says that the packet's own is right. */
export const AddressBit = {
  Sniffed: 0x01,
  Outbound: 0x02,
  Loopback: 0x04,
  Impostor: 0x08,
  Ipv6: 0x10,
  IpChecksum: 0x20,
  TcpChecksum: 0x40,
  UdpChecksum: 0x80,
} as const;

/** The three bits that say which checksums are right. */
export const CHECKSUM_BITS = AddressBit.IpChecksum | AddressBit.TcpChecksum | AddressBit.UdpChecksum;

/** `WINDIVERT_LAYER`. */
export const Layer = { Network: 0, NetworkForward: 1, Flow: 2, Socket: 3, Reflect: 4 } as const;
/** A value of `Layer`. */
export type Layer = (typeof Layer)[keyof typeof Layer];

/** `WINDIVERT_EVENT`. */
export const DivertEvent = {
  NetworkPacket: 0,
  FlowEstablished: 1,
  FlowDeleted: 2,
  SocketBind: 3,
  SocketConnect: 4,
  SocketListen: 5,
  SocketAccept: 6,
  SocketClose: 7,
  ReflectOpen: 8,
  ReflectClose: 9,
} as const;

/** Flags of WinDivertOpen. FLOW and REFLECT must have Sniff and ReceiveOnly, SOCKET ReceiveOnly. */
export const OpenFlag = { Sniff: 1, Drop: 2, ReceiveOnly: 4, SendOnly: 8, NoInstall: 0x10, Fragments: 0x20 } as const;

/** `WINDIVERT_PARAM`. */
export const Param = { QueueLength: 0, QueueTime: 1, QueueSize: 2, VersionMajor: 3, VersionMinor: 4 } as const;
/** A value of `Param`. */
export type Param = (typeof Param)[keyof typeof Param];

/** `WINDIVERT_SHUTDOWN`. */
export const Shutdown = { Receive: 1, Send: 2, Both: 3 } as const;
/** A value of `Shutdown`. */
export type Shutdown = (typeof Shutdown)[keyof typeof Shutdown];

/** Offset of OVERLAPPED's event. Units: bytes. */
export const OVERLAPPED_EVENT_OFFSET = 24;

/** What OVERLAPPED's first field says while the operation is under way. Source: ntstatus.h STATUS_PENDING, `HasOverlappedIoCompleted`. */
export const STATUS_PENDING = 0x103;
