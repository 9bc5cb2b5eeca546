/** Reading and writing WINDIVERT_ADDRESS. Read first: layout.ts, which draws it. */
import { type IpAddress, ipFromWords } from "../../core/base/ip_address.ts";
import type { FilterAddress } from "../../core/filter/address.ts";
import { AddressBit, AddressOffset, Layer, Size } from "./layout.ts";

/** What a flow or socket event says. */
export interface EndpointEvent {
  /** A value of `DivertEvent`. */
  readonly event: number;
  readonly endpointId: bigint;
  readonly parentEndpointId: bigint;
  readonly processId: number;
  readonly localIp: IpAddress;
  readonly localPort: number;
  readonly remoteIp: IpAddress;
  readonly remotePort: number;
  readonly protocol: number;
}

/** The facts of a packet's address. Units: `timestamp` ticks of the performance counter. */
export interface PacketAddress {
  readonly timestamp: bigint;
  readonly layer: number;
  readonly event: number;
  /** A sum of `AddressBit`. */
  readonly bits: number;
  readonly ifIdx: number;
  readonly subIfIdx: number;
}

/** Reads the address of a packet. */
export function readPacketAddress(view: DataView, at: number): PacketAddress {
  return {
    timestamp: view.getBigInt64(at + AddressOffset.Timestamp, true),
    layer: view.getUint8(at + AddressOffset.Layer),
    event: view.getUint8(at + AddressOffset.Event),
    bits: view.getUint8(at + AddressOffset.Bits),
    ifIdx: view.getUint32(at + AddressOffset.IfIdx, true),
    subIfIdx: view.getUint32(at + AddressOffset.SubIfIdx, true),
  };
}

/** Writes the address of a packet; what it has no field for becomes 0. */
export function writePacketAddress(view: DataView, at: number, address: PacketAddress): void {
  for (let i = 0; i < Size.WINDIVERT_ADDRESS; i += 4) view.setUint32(at + i, 0, true);
  view.setBigInt64(at + AddressOffset.Timestamp, address.timestamp, true);
  view.setUint8(at + AddressOffset.Layer, address.layer);
  view.setUint8(at + AddressOffset.Event, address.event);
  view.setUint8(at + AddressOffset.Bits, address.bits);
  view.setUint32(at + AddressOffset.IfIdx, address.ifIdx, true);
  view.setUint32(at + AddressOffset.SubIfIdx, address.subIfIdx, true);
}

/** The address as core/filter takes it. */
export function filterAddressOf(address: PacketAddress): FilterAddress {
  const has = (bit: number) => (address.bits & bit) !== 0;
  return {
    layer: address.layer as Layer,
    event: address.event,
    outbound: has(AddressBit.Outbound),
    loopback: has(AddressBit.Loopback),
    impostor: has(AddressBit.Impostor),
    sniffed: has(AddressBit.Sniffed),
    ipv6: has(AddressBit.Ipv6),
    ipChecksum: has(AddressBit.IpChecksum),
    tcpChecksum: has(AddressBit.TcpChecksum),
    udpChecksum: has(AddressBit.UdpChecksum),
    timestamp: address.timestamp,
    ifIdx: address.ifIdx,
    subIfIdx: address.subIfIdx,
  };
}

function readIp(view: DataView, at: number): IpAddress {
  const word = (index: number) => view.getUint32(at + 4 * index, true);
  return ipFromWords(word(3), word(2), word(1), word(0));
}

function writeIp(view: DataView, at: number, ip: IpAddress): void {
  [ip.w3, ip.w2, ip.w1, ip.w0].forEach((word, i) => view.setUint32(at + 4 * i, word, true));
}

/** Reads a flow or socket event. */
export function readEndpointEvent(view: DataView, at: number): EndpointEvent {
  return {
    event: view.getUint8(at + AddressOffset.Event),
    endpointId: view.getBigUint64(at + AddressOffset.EndpointId, true),
    parentEndpointId: view.getBigUint64(at + AddressOffset.ParentEndpointId, true),
    processId: view.getUint32(at + AddressOffset.ProcessId, true),
    localIp: readIp(view, at + AddressOffset.LocalAddr),
    localPort: view.getUint16(at + AddressOffset.LocalPort, true),
    remoteIp: readIp(view, at + AddressOffset.RemoteAddr),
    remotePort: view.getUint16(at + AddressOffset.RemotePort, true),
    protocol: view.getUint8(at + AddressOffset.Protocol),
  };
}

/** Writes a flow or socket event; the layer is the one that has such events. */
export function writeEndpointEvent(view: DataView, at: number, event: EndpointEvent): void {
  for (let i = 0; i < Size.WINDIVERT_ADDRESS; i += 4) view.setUint32(at + i, 0, true);
  const isV6 = event.localIp.version === 6;
  view.setUint8(at + AddressOffset.Layer, event.event <= 2 ? Layer.Flow : Layer.Socket);
  view.setUint8(at + AddressOffset.Event, event.event);
  view.setUint8(at + AddressOffset.Bits, AddressBit.Outbound | AddressBit.Sniffed | (isV6 ? AddressBit.Ipv6 : 0));
  view.setBigUint64(at + AddressOffset.EndpointId, event.endpointId, true);
  view.setBigUint64(at + AddressOffset.ParentEndpointId, event.parentEndpointId, true);
  view.setUint32(at + AddressOffset.ProcessId, event.processId, true);
  writeIp(view, at + AddressOffset.LocalAddr, event.localIp);
  writeIp(view, at + AddressOffset.RemoteAddr, event.remoteIp);
  view.setUint16(at + AddressOffset.LocalPort, event.localPort, true);
  view.setUint16(at + AddressOffset.RemotePort, event.remotePort, true);
  view.setUint8(at + AddressOffset.Protocol, event.protocol);
}
