/** Tables that Windows allocates: the machine's addresses, and its routes. Read first: netioapi.h (MIB_UNICASTIPADDRESS_TABLE, MIB_IPFORWARD_TABLE2). */
import type { IpAddress, IpPrefix } from "../../core/base/ip_address.ts";
import { addressBits } from "../../core/base/ip_prefix.ts";
import { SYSTEM_TABLE_ROWS_MAX } from "../../core/base/limits.ts";
import { WinError } from "../win32/win_error.ts";
import { type IphlpapiCalls, need } from "./iphlpapi.ts";
import * as layout from "./layout.ts";
import { type InterfaceValues, keyInterfaceRow, type Luid, readInterfaceRow, readSockaddr } from "./rows.ts";

/** Where rows begin: behind the count, which is padded to what rows are aligned to. Units: bytes. */
const ROWS_OFFSET = 8;

/** Copies the rows of a table that Windows allocated at an address; tests have their own. */
export type CopyRows = (address: bigint, rowBytes: number) => DataView;

/** Copies the table's rows, at most `SYSTEM_TABLE_ROWS_MAX`. */
export function copyRows(address: bigint, rowBytes: number): DataView {
  const pointer = Deno.UnsafePointer.create(address);
  if (pointer === null) return new DataView(new ArrayBuffer(0));
  const table = new Deno.UnsafePointerView(pointer);
  const count = Math.min(table.getUint32(0), SYSTEM_TABLE_ROWS_MAX);
  const rows = new Uint8Array(count * rowBytes);
  table.copyInto(rows, ROWS_OFFSET);
  return new DataView(rows.buffer);
}

function readTable(
  calls: IphlpapiCalls,
  name: "GetUnicastIpAddressTable" | "GetIpForwardTable2",
  rowBytes: number,
  copy: CopyRows,
): DataView {
  const table = new BigUint64Array(1);
  const code = need(calls, name)(layout.AF_UNSPEC, table);
  if (code !== 0) throw WinError.from(`read ${name === "GetIpForwardTable2" ? "the routes" : "the addresses"}`, code);
  try {
    return copy(table[0]!, rowBytes);
  } finally {
    need(calls, "FreeMibTable")(table[0]!);
  }
}

/** An address of the machine, with its interface. */
export interface OwnAddress {
  readonly ip: IpAddress;
  readonly luid: Luid;
  /** What is on the link, by the address. */
  readonly onLink: IpPrefix;
}

/** The machine's own addresses. Errors: `WinError`. */
export function listAddresses(calls: IphlpapiCalls, copy: CopyRows = copyRows): OwnAddress[] {
  const bytes = layout.Size.MIB_UNICASTIPADDRESS_ROW;
  const rows = readTable(calls, "GetUnicastIpAddressTable", bytes, copy);
  const found: OwnAddress[] = [];
  for (let at = 0; at + bytes <= rows.byteLength; at += bytes) {
    const ip = readSockaddr(rows, at);
    if (ip === undefined) continue;
    const bits = Math.min(rows.getUint8(at + layout.ADDRESS_ON_LINK_OFFSET), addressBits(ip.version));
    const luid = rows.getBigUint64(at + layout.ADDRESS_LUID_OFFSET, true);
    found.push({ ip, luid, onLink: { address: ip, bits } });
  }
  return found;
}

/** A route of the machine. */
export interface SystemRoute {
  readonly destination: IpPrefix;
  /** Unspecified when the destination is on the link itself. */
  readonly nextHop: IpAddress | undefined;
  readonly luid: Luid;
  readonly index: number;
  /** Its own metric and its interface's; among equally long prefixes the lowest is taken. */
  readonly metric: number;
}

/** The routes of the machine but those of the interface `except`, and of interfaces that are not connected; longer prefixes, then lower metrics first. Errors: `WinError`. */
export function listRoutes(calls: IphlpapiCalls, except?: Luid, copy: CopyRows = copyRows): SystemRoute[] {
  const bytes = layout.Size.MIB_IPFORWARD_ROW2;
  const rows = readTable(calls, "GetIpForwardTable2", bytes, copy);
  const found: SystemRoute[] = [];
  const values = new Map<string, ReturnType<typeof interfaceValues>>();
  for (let at = 0; at + bytes <= rows.byteLength; at += bytes) {
    const address = readSockaddr(rows, at + layout.ROUTE_DESTINATION_OFFSET);
    const luid = rows.getBigUint64(at + layout.ROUTE_LUID_OFFSET, true);
    if (address === undefined || luid === except) continue;
    const key = `${luid}/${address.version}`;
    if (!values.has(key)) values.set(key, interfaceValues(calls, luid, address.version));
    const known = values.get(key);
    if (known !== undefined && !known.isConnected) continue;
    found.push({
      destination: {
        address,
        bits: rows.getUint8(at + layout.ROUTE_DESTINATION_OFFSET + layout.PREFIX_LENGTH_OFFSET),
      },
      nextHop: readSockaddr(rows, at + layout.ROUTE_NEXT_HOP_OFFSET),
      luid,
      index: rows.getUint32(at + layout.ROUTE_INDEX_OFFSET, true),
      metric: rows.getUint32(at + layout.ROUTE_METRIC_OFFSET, true) + (known?.metric ?? 0),
    });
  }
  return found.sort((a, b) => b.destination.bits - a.destination.bits || a.metric - b.metric);
}

/** What an interface has; undefined where this Windows does not tell. */
function interfaceValues(
  calls: IphlpapiCalls,
  luid: Luid,
  version: 4 | 6,
): (InterfaceValues & { readonly isConnected: boolean }) | undefined {
  const { InitializeIpInterfaceEntry: initialize, GetIpInterfaceEntry: get } = calls;
  if (initialize === null || get === null) return undefined;
  const row = new Uint8Array(layout.Size.MIB_IPINTERFACE_ROW);
  initialize(row);
  keyInterfaceRow(row, luid, version);
  if (get(row) !== 0) return undefined;
  return { ...readInterfaceRow(row), isConnected: row[layout.INTERFACE_CONNECTED_OFFSET] !== 0 };
}
