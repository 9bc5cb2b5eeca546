/**
 * The calls into iphlpapi.dll: interfaces, addresses, routes, name servers, and the tables of sockets.
 *
 * Read first: netioapi.h, iphlpapi.h. Most calls answer with an error code themselves instead of setting the thread's.
 *
 * Calls that Wine 10 or an older Windows lack are optional; who needs one asks `need` for it, which says so in words.
 */

/** Every symbol with its C prototype. A GUID by value goes by its address, as x64 has it for structs of 16 bytes. */
export const IPHLPAPI_SYMBOLS = {
  /**
   * `NETIO_STATUS GetBestRoute2(NET_LUID *InterfaceLuid, NET_IFINDEX InterfaceIndex, const SOCKADDR_INET *SourceAddress,
   * const SOCKADDR_INET *DestinationAddress, ULONG AddressSortOptions, PMIB_IPFORWARD_ROW2 BestRoute, SOCKADDR_INET *BestSourceAddress);`
   */
  GetBestRoute2: {
    parameters: ["pointer", "u32", "pointer", "buffer", "u32", "buffer", "buffer"],
    result: "u32",
    optional: true,
  },
  /** `NETIO_STATUS ConvertInterfaceLuidToAlias(const NET_LUID *InterfaceLuid, PWSTR InterfaceAlias, SIZE_T Length);` */
  ConvertInterfaceLuidToAlias: { parameters: ["buffer", "buffer", "usize"], result: "u32", optional: true },
  /** `NETIO_STATUS GetIpForwardTable2(ADDRESS_FAMILY Family, PMIB_IPFORWARD_TABLE2 *Table);` */
  GetIpForwardTable2: { parameters: ["u16", "buffer"], result: "u32", optional: true },
  /** `NETIO_STATUS GetUnicastIpAddressTable(ADDRESS_FAMILY Family, PMIB_UNICASTIPADDRESS_TABLE *Table);` */
  GetUnicastIpAddressTable: { parameters: ["u16", "buffer"], result: "u32", optional: true },
  /** `VOID FreeMibTable(PVOID Memory);` */
  FreeMibTable: { parameters: ["usize"], result: "void", optional: true },
  /** `VOID InitializeUnicastIpAddressEntry(PMIB_UNICASTIPADDRESS_ROW Row);` */
  InitializeUnicastIpAddressEntry: { parameters: ["buffer"], result: "void", optional: true },
  /** `NETIO_STATUS CreateUnicastIpAddressEntry(const MIB_UNICASTIPADDRESS_ROW *Row);` */
  CreateUnicastIpAddressEntry: { parameters: ["buffer"], result: "u32", optional: true },
  /** `NETIO_STATUS DeleteUnicastIpAddressEntry(const MIB_UNICASTIPADDRESS_ROW *Row);` */
  DeleteUnicastIpAddressEntry: { parameters: ["buffer"], result: "u32", optional: true },
  /** `VOID InitializeIpForwardEntry(PMIB_IPFORWARD_ROW2 Row);` */
  InitializeIpForwardEntry: { parameters: ["buffer"], result: "void", optional: true },
  /** `NETIO_STATUS CreateIpForwardEntry2(const MIB_IPFORWARD_ROW2 *Row);` */
  CreateIpForwardEntry2: { parameters: ["buffer"], result: "u32", optional: true },
  /** `NETIO_STATUS DeleteIpForwardEntry2(const MIB_IPFORWARD_ROW2 *Row);` */
  DeleteIpForwardEntry2: { parameters: ["buffer"], result: "u32", optional: true },
  /** `VOID InitializeIpInterfaceEntry(PMIB_IPINTERFACE_ROW Row);` */
  InitializeIpInterfaceEntry: { parameters: ["buffer"], result: "void", optional: true },
  /** `NETIO_STATUS GetIpInterfaceEntry(PMIB_IPINTERFACE_ROW Row);` */
  GetIpInterfaceEntry: { parameters: ["buffer"], result: "u32", optional: true },
  /** `NETIO_STATUS SetIpInterfaceEntry(PMIB_IPINTERFACE_ROW Row);` */
  SetIpInterfaceEntry: { parameters: ["buffer"], result: "u32", optional: true },
  /** `NETIO_STATUS SetInterfaceDnsSettings(GUID Interface, const DNS_INTERFACE_SETTINGS *Settings);` Since Windows 10 2004. */
  SetInterfaceDnsSettings: { parameters: ["buffer", "buffer"], result: "u32", optional: true },
  /** `DWORD GetExtendedTcpTable(PVOID pTcpTable, PDWORD pdwSize, BOOL bOrder, ULONG ulAf, TCP_TABLE_CLASS TableClass, ULONG Reserved);` */
  GetExtendedTcpTable: { parameters: ["buffer", "buffer", "i32", "u32", "i32", "u32"], result: "u32" },
  /** `DWORD GetExtendedUdpTable(PVOID pUdpTable, PDWORD pdwSize, BOOL bOrder, ULONG ulAf, UDP_TABLE_CLASS TableClass, ULONG Reserved);` */
  GetExtendedUdpTable: { parameters: ["buffer", "buffer", "i32", "u32", "i32", "u32"], result: "u32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The calls as functions, null where the library lacks one; tests have their own. */
export type IphlpapiCalls = Deno.DynamicLibrary<typeof IPHLPAPI_SYMBOLS>["symbols"];

/** The library's usual name. */
export const IPHLPAPI_PATH = "iphlpapi.dll";

/** The call of that name. Errors: an Error when this Windows does not have it. */
export function need<Name extends keyof IphlpapiCalls>(
  calls: IphlpapiCalls,
  name: Name,
): NonNullable<IphlpapiCalls[Name]> {
  const call = calls[name];
  if (call === null) {
    throw new Error(
      `Cannot set up the network: iphlpapi.dll lacks ${name}; Windows 10 version 2004 or later is needed`,
    );
  }
  return call as NonNullable<IphlpapiCalls[Name]>;
}

/** The open library. */
export class Iphlpapi {
  readonly calls: IphlpapiCalls;
  readonly #library: Deno.DynamicLibrary<typeof IPHLPAPI_SYMBOLS>;

  private constructor(library: Deno.DynamicLibrary<typeof IPHLPAPI_SYMBOLS>) {
    this.#library = library;
    this.calls = library.symbols;
  }

  /** Opens the library. Errors: an Error when this is no Windows, or the file cannot be used. */
  static open(path: string = IPHLPAPI_PATH): Iphlpapi {
    if (Deno.build.os !== "windows") throw new Error(`Cannot load ${path}: this is ${Deno.build.os}, not Windows`);
    try {
      return new Iphlpapi(Deno.dlopen(path, IPHLPAPI_SYMBOLS));
    } catch (error) {
      throw new Error(`Cannot load ${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  [Symbol.dispose](): void {
    this.#library.close();
  }
}
