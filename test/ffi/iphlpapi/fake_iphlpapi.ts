/** An IP helper of numbers: addresses, routes, interfaces, name servers and tables of sockets that a test looks at. */
import { formatIp, parsePrefix } from "../../../core/base/ip_address.ts";
import type { IphlpapiCalls } from "../../../ffi/iphlpapi/iphlpapi.ts";
import * as layout from "../../../ffi/iphlpapi/layout.ts";
import { familyOf, fillRouteRow, readSockaddr, writeSockaddr } from "../../../ffi/iphlpapi/rows.ts";
import { formatGuid } from "../../../ffi/win32/guid.ts";

const NOT_FOUND = 1168;
const EXISTS = 5010;

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The fake with what a test looks at. Calls can be made to fail by name. */
export class FakeIphlpapi {
  readonly addresses = new Set<string>();
  readonly routes = new Set<string>();
  readonly nameServers = new Map<string, string>();
  /** Rows of interfaces by `luid/family`. */
  readonly interfaces = new Map<string, Uint8Array<ArrayBuffer>>();
  /** The code that a call of that name fails with the next time. */
  readonly failures = new Map<string, number>();
  /** Calls of GetIpInterfaceEntry that do not know the interface yet. */
  lateCalls = 0;
  /** Tables of the system: what GetUnicastIpAddressTable and GetIpForwardTable2 hand out, by the address that they answer with. */
  readonly tables = new Map<bigint, DataView>();
  readonly freed: bigint[] = [];
  addressTable: readonly (readonly [luid: bigint, prefix: string])[] = [];
  routeTable: readonly (readonly [luid: bigint, prefix: string, nextHop: string, metric: number])[] = [];

  /** Makes an interface known, with what Windows gives a new one. */
  addInterface(luid: bigint, metric = 25): void {
    for (const family of [layout.AF_INET, layout.AF_INET6]) {
      const row = new Uint8Array(layout.Size.MIB_IPINTERFACE_ROW);
      const view = viewOf(row);
      view.setUint16(0, family, true);
      view.setBigUint64(layout.INTERFACE_LUID_OFFSET, luid, true);
      view.setUint32(layout.INTERFACE_METRIC_OFFSET, metric, true);
      view.setUint8(layout.INTERFACE_AUTOMATIC_METRIC_OFFSET, 1);
      view.setUint32(layout.INTERFACE_MTU_OFFSET, 65_535, true);
      view.setUint32(layout.INTERFACE_DAD_TRANSMITS_OFFSET, 3, true);
      view.setUint32(layout.INTERFACE_ROUTER_DISCOVERY_OFFSET, 2, true);
      view.setUint32(layout.INTERFACE_SITE_PREFIX_OFFSET, 64, true);
      view.setUint8(layout.INTERFACE_CONNECTED_OFFSET, 1);
      this.interfaces.set(`${luid}/${family}`, row);
    }
  }

  removeInterface(luid: bigint): void {
    for (const family of [layout.AF_INET, layout.AF_INET6]) this.interfaces.delete(`${luid}/${family}`);
  }

  /** What an interface has, by the names that `readInterfaceRow` gives. */
  row(luid: bigint, version: 4 | 6): Uint8Array<ArrayBuffer> {
    return this.interfaces.get(`${luid}/${familyOf(version)}`)!;
  }

  #failure(name: string): number {
    const code = this.failures.get(name) ?? 0;
    this.failures.delete(name);
    return code;
  }

  #interfaceKnown(luid: bigint): boolean {
    return this.interfaces.has(`${luid}/${layout.AF_INET}`);
  }

  #change(name: string, set: Set<string>, key: string, luid: bigint, isAdded: boolean): number {
    const failure = this.#failure(name);
    if (failure !== 0) return failure;
    if (!this.#interfaceKnown(luid)) return NOT_FOUND;
    if (isAdded === set.has(key)) return isAdded ? EXISTS : NOT_FOUND;
    if (isAdded) set.add(key);
    else set.delete(key);
    return 0;
  }

  #address(name: string, row: Uint8Array, isAdded: boolean): number {
    const view = viewOf(row);
    const luid = view.getBigUint64(layout.ADDRESS_LUID_OFFSET, true);
    const key = `${luid} ${formatIp(readSockaddr(view, 0)!)}/${row[layout.ADDRESS_ON_LINK_OFFSET]}`;
    return this.#change(name, this.addresses, key, luid, isAdded);
  }

  #route(name: string, row: Uint8Array, isAdded: boolean): number {
    const view = viewOf(row);
    const luid = view.getBigUint64(0, true);
    const bits = row[layout.ROUTE_DESTINATION_OFFSET + layout.PREFIX_LENGTH_OFFSET];
    const key = `${luid} ${formatIp(readSockaddr(view, layout.ROUTE_DESTINATION_OFFSET)!)}/${bits}`;
    return this.#change(name, this.routes, key, luid, isAdded);
  }

  #table(view: DataView, target: BigUint64Array): number {
    const address = BigInt(this.tables.size + 1) << 16n;
    this.tables.set(address, view);
    target[0] = address;
    return 0;
  }

  /** What `copyRows` answers for the tables that were handed out. */
  readonly copy = (address: bigint): DataView => this.tables.get(address)!;

  readonly calls = {
    InitializeUnicastIpAddressEntry: (row: Uint8Array) => {
      row.fill(0);
      row[layout.ADDRESS_ON_LINK_OFFSET] = 255;
    },
    CreateUnicastIpAddressEntry: (row: Uint8Array) => this.#address("CreateUnicastIpAddressEntry", row, true),
    DeleteUnicastIpAddressEntry: (row: Uint8Array) => this.#address("DeleteUnicastIpAddressEntry", row, false),
    InitializeIpForwardEntry: (row: Uint8Array) => {
      row.fill(0);
      viewOf(row).setUint32(layout.ROUTE_METRIC_OFFSET, 0xffff_ffff, true);
    },
    CreateIpForwardEntry2: (row: Uint8Array) => this.#route("CreateIpForwardEntry2", row, true),
    DeleteIpForwardEntry2: (row: Uint8Array) => this.#route("DeleteIpForwardEntry2", row, false),
    InitializeIpInterfaceEntry: (row: Uint8Array) => {
      row.fill(0);
    },
    GetIpInterfaceEntry: (row: Uint8Array) => {
      const view = viewOf(row);
      const key = `${view.getBigUint64(layout.INTERFACE_LUID_OFFSET, true)}/${view.getUint16(0, true)}`;
      const known = this.interfaces.get(key);
      if (this.lateCalls-- > 0 || known === undefined) return NOT_FOUND;
      row.set(known);
      return 0;
    },
    SetIpInterfaceEntry: (row: Uint8Array) => {
      const view = viewOf(row);
      const key = `${view.getBigUint64(layout.INTERFACE_LUID_OFFSET, true)}/${view.getUint16(0, true)}`;
      const failure = this.#failure("SetIpInterfaceEntry");
      if (failure !== 0) return failure;
      if (!this.interfaces.has(key)) return NOT_FOUND;
      const isV4 = view.getUint16(0, true) === layout.AF_INET;
      if (isV4 && view.getUint32(layout.INTERFACE_SITE_PREFIX_OFFSET, true) !== 0) return 87;
      this.interfaces.set(key, new Uint8Array(row));
      return 0;
    },
    SetInterfaceDnsSettings: (guid: Uint8Array<ArrayBuffer>, settings: Uint8Array<ArrayBuffer>) => {
      const failure = this.#failure("SetInterfaceDnsSettings");
      if (failure !== 0) return failure;
      const view = viewOf(settings);
      const flags = view.getBigUint64(layout.DNS_FLAGS_OFFSET, true);
      const pointer = Deno.UnsafePointer.create(view.getBigUint64(layout.DNS_NAME_SERVER_OFFSET, true))!;
      let text = "";
      for (let i = 0, text16 = new Deno.UnsafePointerView(pointer); text16.getUint16(i) !== 0; i += 2) {
        text += String.fromCharCode(text16.getUint16(i));
      }
      const key = `${formatGuid(guid)} ${(flags & layout.DNS_FLAG_IPV6) === 0n ? 4 : 6}`;
      if ((flags & layout.DNS_FLAG_NAME_SERVER) === 0n || view.getUint32(0, true) !== 1) return 87;
      if (text === "") this.nameServers.delete(key);
      else this.nameServers.set(key, text);
      return 0;
    },
    GetUnicastIpAddressTable: (_family: number, target: BigUint64Array) => {
      const size = layout.Size.MIB_UNICASTIPADDRESS_ROW;
      const view = new DataView(new ArrayBuffer(size * this.addressTable.length));
      this.addressTable.forEach(([luid, text], index) => {
        const prefix = parsePrefix(text)!;
        writeSockaddr(view, index * size, prefix.address);
        view.setBigUint64(index * size + layout.ADDRESS_LUID_OFFSET, luid, true);
        view.setUint8(index * size + layout.ADDRESS_ON_LINK_OFFSET, prefix.bits);
      });
      return this.#failure("GetUnicastIpAddressTable") || this.#table(view, target);
    },
    GetIpForwardTable2: (_family: number, target: BigUint64Array) => {
      const size = layout.Size.MIB_IPFORWARD_ROW2;
      const all = new Uint8Array(size * this.routeTable.length);
      this.routeTable.forEach(([luid, text, nextHop, metric], index) => {
        const row = new Uint8Array(size);
        fillRouteRow(row, luid, parsePrefix(text)!);
        writeSockaddr(viewOf(row), layout.ROUTE_NEXT_HOP_OFFSET, parsePrefix(`${nextHop}/0`)!.address);
        viewOf(row).setUint32(layout.ROUTE_METRIC_OFFSET, metric, true);
        viewOf(row).setUint32(layout.ROUTE_INDEX_OFFSET, Number(luid), true);
        all.set(row, index * size);
      });
      return this.#failure("GetIpForwardTable2") || this.#table(viewOf(all), target);
    },
    FreeMibTable: (address: bigint) => {
      this.freed.push(address);
    },
    GetBestRoute2: () => 50,
  } as unknown as IphlpapiCalls;
}
