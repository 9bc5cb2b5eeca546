/** Sizes, offsets and numbers against what a C compiler for Windows says, where there is one. */
import { assertEquals } from "@std/assert";
import * as fwp from "../../../ffi/iphlpapi/fwpuclnt.ts";
import * as layout from "../../../ffi/iphlpapi/layout.ts";
import { evaluateForWindows } from "../win32/mingw.ts";

type Offsets = readonly (readonly [struct: string, field: string, offset: number])[];

const OFFSETS: Offsets = [
  ["SOCKADDR_INET", "Ipv4.sin_addr", layout.SOCKADDR_V4_OFFSET],
  ["SOCKADDR_INET", "Ipv6.sin6_addr", layout.SOCKADDR_V6_OFFSET],
  ["SOCKADDR_INET", "Ipv6.sin6_scope_id", layout.SOCKADDR_SCOPE_OFFSET],
  ["IP_ADDRESS_PREFIX", "PrefixLength", layout.PREFIX_LENGTH_OFFSET],
  ["MIB_UNICASTIPADDRESS_ROW", "Address", 0],
  ["MIB_UNICASTIPADDRESS_ROW", "InterfaceLuid", layout.ADDRESS_LUID_OFFSET],
  ["MIB_UNICASTIPADDRESS_ROW", "PrefixOrigin", layout.ADDRESS_PREFIX_ORIGIN_OFFSET],
  ["MIB_UNICASTIPADDRESS_ROW", "SuffixOrigin", layout.ADDRESS_SUFFIX_ORIGIN_OFFSET],
  ["MIB_UNICASTIPADDRESS_ROW", "OnLinkPrefixLength", layout.ADDRESS_ON_LINK_OFFSET],
  ["MIB_UNICASTIPADDRESS_ROW", "DadState", layout.ADDRESS_DAD_STATE_OFFSET],
  ["MIB_IPFORWARD_ROW2", "InterfaceLuid", layout.ROUTE_LUID_OFFSET],
  ["MIB_IPFORWARD_ROW2", "InterfaceIndex", layout.ROUTE_INDEX_OFFSET],
  ["MIB_IPFORWARD_ROW2", "DestinationPrefix", layout.ROUTE_DESTINATION_OFFSET],
  ["MIB_IPFORWARD_ROW2", "NextHop", layout.ROUTE_NEXT_HOP_OFFSET],
  ["MIB_IPFORWARD_ROW2", "Metric", layout.ROUTE_METRIC_OFFSET],
  ["MIB_IPFORWARD_ROW2", "Protocol", layout.ROUTE_PROTOCOL_OFFSET],
  ["MIB_IPINTERFACE_ROW", "Family", layout.INTERFACE_FAMILY_OFFSET],
  ["MIB_IPINTERFACE_ROW", "InterfaceLuid", layout.INTERFACE_LUID_OFFSET],
  ["MIB_IPINTERFACE_ROW", "UseAutomaticMetric", layout.INTERFACE_AUTOMATIC_METRIC_OFFSET],
  ["MIB_IPINTERFACE_ROW", "ManagedAddressConfigurationSupported", layout.INTERFACE_MANAGED_OFFSET],
  ["MIB_IPINTERFACE_ROW", "OtherStatefulConfigurationSupported", layout.INTERFACE_OTHER_STATEFUL_OFFSET],
  ["MIB_IPINTERFACE_ROW", "RouterDiscoveryBehavior", layout.INTERFACE_ROUTER_DISCOVERY_OFFSET],
  ["MIB_IPINTERFACE_ROW", "DadTransmits", layout.INTERFACE_DAD_TRANSMITS_OFFSET],
  ["MIB_IPINTERFACE_ROW", "SitePrefixLength", layout.INTERFACE_SITE_PREFIX_OFFSET],
  ["MIB_IPINTERFACE_ROW", "Metric", layout.INTERFACE_METRIC_OFFSET],
  ["MIB_IPINTERFACE_ROW", "NlMtu", layout.INTERFACE_MTU_OFFSET],
  ["MIB_IPINTERFACE_ROW", "Connected", layout.INTERFACE_CONNECTED_OFFSET],
  ["MIB_TCPTABLE_OWNER_PID", "table", layout.TABLE_ROWS_OFFSET],
  ["MIB_TCP6TABLE_OWNER_PID", "table", layout.TABLE_ROWS_OFFSET],
  ["MIB_UDPTABLE_OWNER_PID", "table", layout.TABLE_ROWS_OFFSET],
  ["MIB_UDP6TABLE_OWNER_PID", "table", layout.TABLE_ROWS_OFFSET],
  ["MIB_UNICASTIPADDRESS_TABLE", "Table", 8],
  ["MIB_IPFORWARD_TABLE2", "Table", 8],
  // The words of socket_tables.ts, four bytes each.
  ["MIB_TCPROW_OWNER_PID", "dwState", 0],
  ["MIB_TCPROW_OWNER_PID", "dwLocalAddr", 4],
  ["MIB_TCPROW_OWNER_PID", "dwLocalPort", 8],
  ["MIB_TCPROW_OWNER_PID", "dwRemoteAddr", 12],
  ["MIB_TCPROW_OWNER_PID", "dwRemotePort", 16],
  ["MIB_TCPROW_OWNER_PID", "dwOwningPid", 20],
  ["MIB_TCP6ROW_OWNER_PID", "dwLocalPort", 20],
  ["MIB_TCP6ROW_OWNER_PID", "ucRemoteAddr", 24],
  ["MIB_TCP6ROW_OWNER_PID", "dwRemotePort", 44],
  ["MIB_TCP6ROW_OWNER_PID", "dwState", 48],
  ["MIB_TCP6ROW_OWNER_PID", "dwOwningPid", 52],
  ["MIB_UDPROW_OWNER_PID", "dwLocalPort", 4],
  ["MIB_UDPROW_OWNER_PID", "dwOwningPid", 8],
  ["MIB_UDP6ROW_OWNER_PID", "dwLocalPort", 20],
  ["MIB_UDP6ROW_OWNER_PID", "dwOwningPid", 24],
];

const FILTER_OFFSETS: Offsets = [
  ["FWPM_SESSION0", "displayData", fwp.DISPLAY_NAME_OFFSET],
  ["FWPM_SESSION0", "flags", fwp.SESSION_FLAGS_OFFSET],
  ["FWPM_SUBLAYER0", "subLayerKey", 0],
  ["FWPM_SUBLAYER0", "displayData", fwp.DISPLAY_NAME_OFFSET],
  ["FWPM_SUBLAYER0", "weight", fwp.SUBLAYER_WEIGHT_OFFSET],
  ["FWPM_FILTER0", "displayData", fwp.DISPLAY_NAME_OFFSET],
  ["FWPM_FILTER0", "flags", fwp.FILTER_FLAGS_OFFSET],
  ["FWPM_FILTER0", "layerKey", fwp.FILTER_LAYER_OFFSET],
  ["FWPM_FILTER0", "subLayerKey", fwp.FILTER_SUBLAYER_OFFSET],
  ["FWPM_FILTER0", "weight", fwp.FILTER_WEIGHT_OFFSET],
  ["FWPM_FILTER0", "numFilterConditions", fwp.FILTER_COUNT_OFFSET],
  ["FWPM_FILTER0", "filterCondition", fwp.FILTER_CONDITIONS_OFFSET],
  ["FWPM_FILTER0", "action", fwp.FILTER_ACTION_OFFSET],
  ["FWPM_FILTER_CONDITION0", "matchType", fwp.CONDITION_MATCH_OFFSET],
  ["FWPM_FILTER_CONDITION0", "conditionValue", fwp.CONDITION_VALUE_OFFSET],
  ["FWP_VALUE0", "uint64", fwp.VALUE_OFFSET],
  ["FWP_CONDITION_VALUE0", "uint32", fwp.VALUE_OFFSET],
];

const NUMBERS: Readonly<Record<string, number>> = {
  AF_UNSPEC: layout.AF_UNSPEC,
  AF_INET: layout.AF_INET,
  AF_INET6: layout.AF_INET6,
  IpPrefixOriginManual: layout.ORIGIN_MANUAL,
  IpSuffixOriginManual: layout.ORIGIN_MANUAL,
  IpDadStatePreferred: layout.DAD_STATE_PREFERRED,
  MIB_IPPROTO_NETMGMT: layout.PROTOCOL_NETMGMT,
  RouterDiscoveryDisabled: layout.ROUTER_DISCOVERY_DISABLED,
  TCP_TABLE_OWNER_PID_ALL: layout.TCP_TABLE_OWNER_PID_ALL,
  UDP_TABLE_OWNER_PID: layout.UDP_TABLE_OWNER_PID,
  MIB_TCP_STATE_CLOSED: layout.TcpState.Closed,
  MIB_TCP_STATE_LISTEN: layout.TcpState.Listen,
  MIB_TCP_STATE_SYN_SENT: layout.TcpState.SynSent,
  MIB_TCP_STATE_SYN_RCVD: layout.TcpState.SynReceived,
  MIB_TCP_STATE_ESTAB: layout.TcpState.Established,
  MIB_TCP_STATE_TIME_WAIT: layout.TcpState.TimeWait,
  MIB_TCP_STATE_DELETE_TCB: layout.TcpState.DeleteTcb,
  RPC_C_AUTHN_WINNT: fwp.RPC_C_AUTHN_WINNT,
  FWP_ACTION_BLOCK: fwp.FWP_ACTION_BLOCK,
  FWP_ACTION_PERMIT: fwp.FWP_ACTION_PERMIT,
  FWP_UINT8: fwp.FWP_UINT8,
  FWP_UINT16: fwp.FWP_UINT16,
  FWP_UINT32: fwp.FWP_UINT32,
  FWP_UINT64: fwp.FWP_UINT64,
  FWP_BYTE_BLOB_TYPE: fwp.FWP_BYTE_BLOB_TYPE,
  FWP_MATCH_EQUAL: fwp.FWP_MATCH_EQUAL,
  FWP_MATCH_FLAGS_ALL_SET: fwp.FWP_MATCH_FLAGS_ALL_SET,
  FWP_CONDITION_FLAG_IS_LOOPBACK: fwp.FWP_CONDITION_FLAG_IS_LOOPBACK,
};

/** The struct that mingw lacks, with the types of its fields as the SDK has them. */
const DNS_STRUCT =
  "struct { ULONG version; ULONG64 flags; PWSTR domain; PWSTR servers; PWSTR search; ULONG registration; ULONG name; ULONG llmnr; " +
  "ULONG query; PWSTR profile; }";

Deno.test("layout of iphlpapi and fwpuclnt is what a C compiler for Windows says", async (context) => {
  const { DNS_INTERFACE_SETTINGS, ...known } = layout.Size;
  const sizes = Object.entries({ ...known, ...fwp.Size });
  const offsets = [...OFFSETS, ...FILTER_OFFSETS];
  const values = await evaluateForWindows([
    ...sizes.map(([name]) => `sizeof(${name})`),
    ...offsets.map(([struct, field]) => `offsetof(${struct}, ${field})`),
    ...Object.keys(NUMBERS),
    `sizeof(${DNS_STRUCT})`,
    ...["version", "flags", "servers", "registration"].map((field) => `__builtin_offsetof(${DNS_STRUCT}, ${field})`),
  ]);
  await context.step({
    name: "sizes, offsets, numbers",
    ignore: values === undefined,
    fn: () => {
      const expected = [
        ...sizes.map(([, size]) => size),
        ...offsets.map(([, , offset]) => offset),
        ...Object.values(NUMBERS),
        DNS_INTERFACE_SETTINGS,
        layout.DNS_VERSION_OFFSET,
        layout.DNS_FLAGS_OFFSET,
        layout.DNS_NAME_SERVER_OFFSET,
        layout.DNS_REGISTRATION_OFFSET,
      ];
      assertEquals(values, expected);
    },
  });
});
