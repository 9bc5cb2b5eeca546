/** Addresses, prefixes and whole rows of the IP helper, written and read. Read first: layout.ts. */
import { type IpAddress, ipFromWords, type IpPrefix, ipv4FromWord } from "../../core/base/ip_address.ts";
import * as layout from "./layout.ts";

/** The LUID of an interface: a number of 64 bits that it keeps while it exists. */
export type Luid = bigint;

/** Address family of an IP version. */
export function familyOf(version: 4 | 6): number {
  return version === 4 ? layout.AF_INET : layout.AF_INET6;
}

/** Writes a `SOCKADDR_INET` without port and scope. */
export function writeSockaddr(view: DataView, at: number, ip: IpAddress): void {
  view.setUint16(at, familyOf(ip.version), true);
  if (ip.version === 4) {
    view.setUint32(at + layout.SOCKADDR_V4_OFFSET, ip.w3);
    return;
  }
  writeWords(view, at + layout.SOCKADDR_V6_OFFSET, ip);
}

function writeWords(view: DataView, at: number, ip: IpAddress): void {
  view.setUint32(at, ip.w0);
  view.setUint32(at + 4, ip.w1);
  view.setUint32(at + 8, ip.w2);
  view.setUint32(at + 12, ip.w3);
}

/** Reads a `SOCKADDR_INET`; undefined when its family is neither. */
export function readSockaddr(view: DataView, at: number): IpAddress | undefined {
  const family = view.getUint16(at, true);
  if (family === layout.AF_INET) return ipv4FromWord(view.getUint32(at + layout.SOCKADDR_V4_OFFSET));
  if (family !== layout.AF_INET6) return undefined;
  const from = at + layout.SOCKADDR_V6_OFFSET;
  const word = (index: number) => view.getUint32(from + 4 * index);
  return ipFromWords(word(0), word(1), word(2), word(3));
}

/** A `SOCKADDR_INET` of its own. */
export function sockaddr(ip: IpAddress): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(layout.Size.SOCKADDR_INET);
  writeSockaddr(new DataView(bytes.buffer), 0, ip);
  return bytes;
}

/** A LUID where a call takes its address. */
export function luidBytes(luid: Luid): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new BigUint64Array([luid]).buffer);
}

/** Fills an initialized `MIB_UNICASTIPADDRESS_ROW`. */
export function fillAddressRow(row: Uint8Array<ArrayBuffer>, luid: Luid, { address, bits }: IpPrefix): void {
  const view = new DataView(row.buffer);
  writeSockaddr(view, 0, address);
  view.setBigUint64(layout.ADDRESS_LUID_OFFSET, luid, true);
  view.setUint32(layout.ADDRESS_PREFIX_ORIGIN_OFFSET, layout.ORIGIN_MANUAL, true);
  view.setUint32(layout.ADDRESS_SUFFIX_ORIGIN_OFFSET, layout.ORIGIN_MANUAL, true);
  view.setUint8(layout.ADDRESS_ON_LINK_OFFSET, bits);
  // Nobody else is on this link: the address is good at once.
  view.setUint32(layout.ADDRESS_DAD_STATE_OFFSET, layout.DAD_STATE_PREFERRED, true);
}

/** Fills an initialized `MIB_IPFORWARD_ROW2`: a route on the link itself, through no gateway. */
export function fillRouteRow(row: Uint8Array<ArrayBuffer>, luid: Luid, { address, bits }: IpPrefix): void {
  const view = new DataView(row.buffer);
  view.setBigUint64(layout.ROUTE_LUID_OFFSET, luid, true);
  writeSockaddr(view, layout.ROUTE_DESTINATION_OFFSET, address);
  view.setUint8(layout.ROUTE_DESTINATION_OFFSET + layout.PREFIX_LENGTH_OFFSET, bits);
  view.setUint16(layout.ROUTE_NEXT_HOP_OFFSET, familyOf(address.version), true);
  view.setUint32(layout.ROUTE_METRIC_OFFSET, 0, true);
  view.setUint32(layout.ROUTE_PROTOCOL_OFFSET, layout.PROTOCOL_NETMGMT, true);
}

/** What weir sets of an interface's IP version; journals keep the values of before. */
export interface InterfaceValues {
  readonly metric: number;
  readonly isMetricAutomatic: boolean;
  /** Units: bytes. */
  readonly mtu: number;
  readonly dadTransmits: number;
  readonly routerDiscovery: number;
  readonly isManaged: boolean;
  readonly isOtherStateful: boolean;
}

/** Reads a `MIB_IPINTERFACE_ROW`. */
export function readInterfaceRow(row: Uint8Array<ArrayBuffer>): InterfaceValues {
  const view = new DataView(row.buffer);
  return {
    metric: view.getUint32(layout.INTERFACE_METRIC_OFFSET, true),
    isMetricAutomatic: row[layout.INTERFACE_AUTOMATIC_METRIC_OFFSET] !== 0,
    mtu: view.getUint32(layout.INTERFACE_MTU_OFFSET, true),
    dadTransmits: view.getUint32(layout.INTERFACE_DAD_TRANSMITS_OFFSET, true),
    routerDiscovery: view.getUint32(layout.INTERFACE_ROUTER_DISCOVERY_OFFSET, true),
    isManaged: row[layout.INTERFACE_MANAGED_OFFSET] !== 0,
    isOtherStateful: row[layout.INTERFACE_OTHER_STATEFUL_OFFSET] !== 0,
  };
}

/** Changes a `MIB_IPINTERFACE_ROW` that was read. */
export function changeInterfaceRow(row: Uint8Array<ArrayBuffer>, values: InterfaceValues): void {
  const view = new DataView(row.buffer);
  view.setUint32(layout.INTERFACE_METRIC_OFFSET, values.metric, true);
  view.setUint8(layout.INTERFACE_AUTOMATIC_METRIC_OFFSET, values.isMetricAutomatic ? 1 : 0);
  view.setUint32(layout.INTERFACE_MTU_OFFSET, values.mtu, true);
  view.setUint32(layout.INTERFACE_DAD_TRANSMITS_OFFSET, values.dadTransmits, true);
  view.setUint32(layout.INTERFACE_ROUTER_DISCOVERY_OFFSET, values.routerDiscovery, true);
  view.setUint8(layout.INTERFACE_MANAGED_OFFSET, values.isManaged ? 1 : 0);
  view.setUint8(layout.INTERFACE_OTHER_STATEFUL_OFFSET, values.isOtherStateful ? 1 : 0);
  // What is read here for IPv4 is not accepted back. Source: SetIpInterfaceEntry, remarks.
  if (view.getUint16(layout.INTERFACE_FAMILY_OFFSET, true) === layout.AF_INET) {
    view.setUint32(layout.INTERFACE_SITE_PREFIX_OFFSET, 0, true);
  }
}

/** Puts family and LUID into an initialized `MIB_IPINTERFACE_ROW`, by which the rest is found. */
export function keyInterfaceRow(row: Uint8Array<ArrayBuffer>, luid: Luid, version: 4 | 6): void {
  const view = new DataView(row.buffer);
  view.setUint16(layout.INTERFACE_FAMILY_OFFSET, familyOf(version), true);
  view.setBigUint64(layout.INTERFACE_LUID_OFFSET, luid, true);
}
