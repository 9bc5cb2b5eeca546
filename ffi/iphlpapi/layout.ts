/**
 * Structs and numbers of the IP helper as bytes; fields are little-endian but where a picture says `be`.
 *
 * Read first: netioapi.h, ws2ipdef.h, ifdef.h, nldef.h, tcpmib.h, udpmib.h.
 *
 * ```
 * SOCKADDR_INET:     family u16 │ port be16 │ v4: address be32 …  v6: flow u32 │ address be128 │ scope u32                 28 bytes
 * IP_ADDRESS_PREFIX: SOCKADDR_INET │ length u8 │ pad 3                                                                      32
 * MIB_UNICASTIPADDRESS_ROW: address │ pad 4 │ LUID u64 │ index u32 │ prefix origin u32 │ suffix origin u32 │ valid u32 │
 *                    preferred u32 │ on-link length u8 │ skip u8 │ pad 2 │ DAD state u32 │ scope u32 │ created i64           80
 * MIB_IPFORWARD_ROW2: LUID u64 │ index u32 │ destination prefix │ next hop │ site length u8 │ pad 3 │ valid u32 │ preferred u32 │
 *                    metric u32 │ protocol u32 │ loopback u8 │ auto u8 │ publish u8 │ immortal u8 │ age u32 │ origin u32    104
 * MIB_IPINTERFACE_ROW: family u16 │ pad 6 │ LUID u64 │ index u32 │ …                                                       168
 * MIB_TCPROW_OWNER_PID:  state │ local be32 │ port be16 in u32 │ remote be32 │ port be16 in u32 │ process                    24
 * MIB_TCP6ROW_OWNER_PID: local be128 │ scope │ port │ remote be128 │ scope │ port │ state │ process                          56
 * MIB_UDPROW_OWNER_PID:  local be32 │ port │ process                                                                         12
 * MIB_UDP6ROW_OWNER_PID: local be128 │ scope │ port │ process                                                                28
 * ```
 */

/** Sizes. Units: bytes. Tested against a C compiler's `sizeof`, but `DNS_INTERFACE_SETTINGS`, which its headers lack. */
export const Size = {
  NET_LUID: 8,
  SOCKADDR_INET: 28,
  IP_ADDRESS_PREFIX: 32,
  MIB_UNICASTIPADDRESS_ROW: 80,
  MIB_IPFORWARD_ROW2: 104,
  MIB_IPINTERFACE_ROW: 168,
  MIB_TCPROW_OWNER_PID: 24,
  MIB_TCP6ROW_OWNER_PID: 56,
  MIB_UDPROW_OWNER_PID: 12,
  MIB_UDP6ROW_OWNER_PID: 28,
  /** Source: netioapi.h of the Windows SDK 10.0.19041, version 1 of the struct. */
  DNS_INTERFACE_SETTINGS: 64,
} as const;

/** Address families. Source: winsock2.h. */
export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_INET6 = 23;

/** `SOCKADDR_INET`. */
export const SOCKADDR_V4_OFFSET = 4;
export const SOCKADDR_V6_OFFSET = 8;
export const SOCKADDR_SCOPE_OFFSET = 24;

/** `IP_ADDRESS_PREFIX`. */
export const PREFIX_LENGTH_OFFSET = 28;

/** `MIB_UNICASTIPADDRESS_ROW`. */
export const ADDRESS_LUID_OFFSET = 32;
export const ADDRESS_PREFIX_ORIGIN_OFFSET = 44;
export const ADDRESS_SUFFIX_ORIGIN_OFFSET = 48;
export const ADDRESS_ON_LINK_OFFSET = 60;
export const ADDRESS_DAD_STATE_OFFSET = 64;
/** `NlpoManual`, `NlsoManual`, `IpDadStatePreferred`. Source: nldef.h. */
export const ORIGIN_MANUAL = 1;
export const DAD_STATE_PREFERRED = 4;

/** `MIB_IPFORWARD_ROW2`. */
export const ROUTE_LUID_OFFSET = 0;
export const ROUTE_INDEX_OFFSET = 8;
export const ROUTE_DESTINATION_OFFSET = 12;
export const ROUTE_NEXT_HOP_OFFSET = 44;
export const ROUTE_METRIC_OFFSET = 84;
export const ROUTE_PROTOCOL_OFFSET = 88;
/** `MIB_IPPROTO_NETMGMT`: set by a program. Source: nldef.h. */
export const PROTOCOL_NETMGMT = 3;

/** `MIB_IPINTERFACE_ROW`. */
export const INTERFACE_FAMILY_OFFSET = 0;
export const INTERFACE_LUID_OFFSET = 8;
export const INTERFACE_AUTOMATIC_METRIC_OFFSET = 44;
export const INTERFACE_MANAGED_OFFSET = 46;
export const INTERFACE_OTHER_STATEFUL_OFFSET = 47;
export const INTERFACE_ROUTER_DISCOVERY_OFFSET = 52;
export const INTERFACE_DAD_TRANSMITS_OFFSET = 56;
export const INTERFACE_SITE_PREFIX_OFFSET = 144;
export const INTERFACE_METRIC_OFFSET = 148;
export const INTERFACE_MTU_OFFSET = 152;
export const INTERFACE_CONNECTED_OFFSET = 156;
/** `RouterDiscoveryDisabled`. Source: nldef.h. */
export const ROUTER_DISCOVERY_DISABLED = 0;

/**
 * `DNS_INTERFACE_SETTINGS`: version u32 │ pad │ flags u64 │ domain ptr │ name servers ptr │ search list ptr │ four u32 │ profile servers ptr.
 * Source: netioapi.h of the Windows SDK 10.0.19041.
 */
export const DNS_VERSION_OFFSET = 0;
export const DNS_FLAGS_OFFSET = 8;
export const DNS_NAME_SERVER_OFFSET = 24;
export const DNS_REGISTRATION_OFFSET = 40;
export const DNS_VERSION_1 = 1;
export const DNS_FLAG_IPV6 = 0x1n;
export const DNS_FLAG_NAME_SERVER = 0x2n;
export const DNS_FLAG_REGISTRATION = 0x8n;

/** Tables of sockets. Source: iprtrmib.h, tcpmib.h. */
export const TCP_TABLE_OWNER_PID_ALL = 5;
export const UDP_TABLE_OWNER_PID = 1;
/** Where rows begin behind the count. Units: bytes. */
export const TABLE_ROWS_OFFSET = 4;

/** `MIB_TCP_STATE`. Source: tcpmib.h. */
export const TcpState = {
  Closed: 1,
  Listen: 2,
  SynSent: 3,
  SynReceived: 4,
  Established: 5,
  TimeWait: 11,
  DeleteTcb: 12,
} as const;
