/** Field values that no plain load gives: facts of the address, and what depends on the direction or on the whole packet. */
import type { FilterAddress } from "./address.ts";
import { fieldByName, FIELDS, HEADER } from "./fields.ts";
import { hashHigh, hashLow, hashView } from "./hash.ts";
import { LAYER_FLOW, LAYER_NAMES, LAYER_SOCKET } from "./layer.ts";
import type { PacketView } from "./packet_view.ts";

function id(name: string): number {
  return fieldByName(name)!.id;
}

const ZERO = id("zero");
const INBOUND = id("inbound");
const OUTBOUND = id("outbound");
const IF_IDX = id("ifIdx");
const SUB_IF_IDX = id("subIfIdx");
const IP = id("ip");
const IPV6 = id("ipv6");
const ICMP = id("icmp");
const TCP = id("tcp");
const UDP = id("udp");
const ICMPV6 = id("icmpv6");
const FLOW_LABEL = id("ipv6.FlowLabel");
const TCP_PAYLOAD_LENGTH = id("tcp.PayloadLength");
const UDP_PAYLOAD_LENGTH = id("udp.PayloadLength");
const LOOPBACK = id("loopback");
const IMPOSTOR = id("impostor");
const PROCESS_ID = id("processId");
const LOCAL_ADDR = id("localAddr");
const REMOTE_ADDR = id("remoteAddr");
const LOCAL_PORT = id("localPort");
const REMOTE_PORT = id("remotePort");
const PROTOCOL = id("protocol");
const ENDPOINT_ID = id("endpointId");
const PARENT_ENDPOINT_ID = id("parentEndpointId");
const LAYER = id("layer");
const PRIORITY = id("priority");
const EVENT = id("event");
const LENGTH = id("length");
const TIMESTAMP = id("timestamp");
const RANDOM8 = id("random8");
const RANDOM16 = id("random16");
const RANDOM32 = id("random32");
const FRAGMENT = id("fragment");

const TWO_32 = 0x1_0000_0000;

/** True for layers whose address describes an end point and not a packet. */
function isEndpointLayer(layer: number): boolean {
  return layer === LAYER_FLOW || layer === LAYER_SOCKET;
}

/** Low 32 bits of a 64-bit number of either kind, as a signed number. */
function lowWord(value: number | bigint): number {
  return typeof value === "bigint" ? Number(BigInt.asIntN(32, value)) : value | 0;
}

/** High 32 bits of a 64-bit number of either kind, in two's complement, as a signed number. */
function highWord(value: number | bigint): number {
  if (typeof value === "bigint") return Number(BigInt.asIntN(32, value >> 32n));
  return Math.floor(value / TWO_32) | 0;
}

/** A value wider than 32 bits or signed. Shape: words least significant first. One is enough: a filter has one value at a time. */
export const wide: { readonly words: Uint32Array; negative: boolean } = { words: new Uint32Array(4), negative: false };

function setWide64(value: number | bigint, signed: boolean): void {
  const negative = signed && value < 0;
  const magnitude = negative ? -value : value;
  wide.negative = negative;
  wide.words[0] = lowWord(magnitude);
  wide.words[1] = highWord(magnitude);
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

/** Loads 16 bytes in network order. */
export function setWideBytes(bytes: Uint8Array, at: number): void {
  for (let i = 0; i < 4; i++) wide.words[3 - i] = wordAt(bytes, at + 4 * i);
}

function setWideWords(words: ArrayLike<number> | undefined): void {
  if (words === undefined) return;
  for (let i = 0; i < 4; i++) wide.words[i] = words[i] ?? 0;
}

/** The packet's source address, or its destination address. */
function setWideEnd(view: PacketView, source: boolean): void {
  const ip = view.at[HEADER.ip]!;
  const ipv6 = view.at[HEADER.ipv6]!;
  if (ip >= 0) {
    wide.words[0] = wordAt(view.bytes, ip + (source ? 12 : 16));
    wide.words[1] = 0xffff;
  } else if (ipv6 >= 0) {
    setWideBytes(view.bytes, ipv6 + (source ? 8 : 24));
  }
}

/** Puts the value of a field of kind `wide` into `wide`. */
export function readWide(field: number, layer: number, view: PacketView, address: FilterAddress): void {
  wide.words.fill(0);
  wide.negative = false;
  const outbound = address.outbound === true;
  switch (field) {
    case TIMESTAMP:
      return setWide64(address.timestamp ?? 0, true);
    case PRIORITY:
      return setWide64(address.priority ?? 0, true);
    case ENDPOINT_ID:
      return setWide64(address.endpointId ?? 0, false);
    case PARENT_ENDPOINT_ID:
      return setWide64(address.parentEndpointId ?? 0, false);
    case LOCAL_ADDR:
      return isEndpointLayer(layer) ? setWideWords(address.localAddr) : setWideEnd(view, outbound);
    case REMOTE_ADDR:
      return isEndpointLayer(layer) ? setWideWords(address.remoteAddr) : setWideEnd(view, !outbound);
  }
}

/** Source or destination port; for ICMP the type stands for the sender's port and the other is 0. */
function portOf(view: PacketView, source: boolean): number {
  const { at, bytes } = view;
  const transport = at[HEADER.tcp]! >= 0 ? at[HEADER.tcp]! : at[HEADER.udp]!;
  if (transport >= 0) {
    const port = source ? transport : transport + 2;
    return (bytes[port]! << 8) | bytes[port + 1]!;
  }
  const icmp = at[HEADER.icmp]! >= 0 ? at[HEADER.icmp]! : at[HEADER.icmpv6]!;
  return source && icmp >= 0 ? bytes[icmp]! : 0;
}

/**
 * What WinDivert 2.2 compares `ipv6.FlowLabel` with: its byte swap is wrong, so the label's upper four bits land in bits 8 to 11 and the
 * lower sixteen in bits 16 to 31.
 */
function flowLabel(view: PacketView): number {
  const { bytes } = view;
  const at = view.at[HEADER.ipv6]!;
  return (bytes[at + 2]! << 24) | (bytes[at + 3]! << 16) | ((bytes[at + 1]! & 15) << 8);
}

/** The hash of the view's packet, which WinDivert takes as random: computed once a packet. */
function randomWord(view: PacketView, address: FilterAddress, high: boolean): number {
  if (!view.hashed) {
    const seed = address.timestamp ?? 0;
    hashView(view, lowWord(seed), highWord(seed));
    view.hashed = true;
  }
  return high ? hashHigh() : hashLow();
}

function reflectLayer(address: FilterAddress): number {
  const layer = address.reflectLayer ?? 0;
  return typeof layer === "number" ? layer : LAYER_NAMES.indexOf(layer);
}

function flag(value: boolean | undefined): number {
  return value === true ? 1 : 0;
}

/** True when the event's protocol is `protocol`, on the layers of end points; true when the header is there, on those of packets. */
function speaks(
  layer: number,
  view: PacketView,
  address: FilterAddress,
  header: number,
  protocol: number,
): boolean {
  return isEndpointLayer(layer) ? address.protocol === protocol : view.at[header]! >= 0;
}

function addressNumber(field: number, address: FilterAddress): number {
  switch (field) {
    case INBOUND:
      return 1 - flag(address.outbound);
    case OUTBOUND:
      return flag(address.outbound);
    case LOOPBACK:
      return flag(address.loopback);
    case IMPOSTOR:
      return flag(address.impostor);
    case IF_IDX:
      return address.ifIdx ?? 0;
    case SUB_IF_IDX:
      return address.subIfIdx ?? 0;
    case EVENT:
      return address.event ?? 0;
    case PROCESS_ID:
      return address.processId ?? 0;
    case LAYER:
      return reflectLayer(address);
    default:
      return 0; // ZERO
  }
}

function packetNumber(field: number, view: PacketView, address: FilterAddress): number {
  switch (field) {
    case IP:
      return flag(view.at[HEADER.ip]! >= 0);
    case IPV6:
      return flag(view.at[HEADER.ipv6]! >= 0);
    case FRAGMENT:
      return flag(view.fragment);
    case LENGTH:
      return view.length;
    case TCP_PAYLOAD_LENGTH:
    case UDP_PAYLOAD_LENGTH:
      return view.payloadLength;
    case FLOW_LABEL:
      return flowLabel(view);
    case RANDOM8:
      return (randomWord(view, address, true) >>> 16) & 0xff;
    case RANDOM16:
      return randomWord(view, address, true) & 0xffff;
    case RANDOM32:
      return randomWord(view, address, false);
    default:
      return 0;
  }
}

function trafficNumber(field: number, layer: number, view: PacketView, address: FilterAddress): number {
  const endpoint = isEndpointLayer(layer);
  const ipv6 = address.ipv6 === true;
  const outbound = address.outbound === true;
  switch (field) {
    case TCP:
      return flag(speaks(layer, view, address, HEADER.tcp, 6));
    case UDP:
      return flag(speaks(layer, view, address, HEADER.udp, 17));
    case ICMP:
      return flag(speaks(layer, view, address, HEADER.icmp, 1) && !(endpoint && ipv6));
    case ICMPV6:
      return flag(speaks(layer, view, address, HEADER.icmpv6, 58) && !(endpoint && !ipv6));
    case PROTOCOL:
      return endpoint ? address.protocol ?? 0 : view.protocol;
    case LOCAL_PORT:
      return endpoint ? address.localPort ?? 0 : portOf(view, outbound);
    case REMOTE_PORT:
      return endpoint ? address.remotePort ?? 0 : portOf(view, !outbound);
    default:
      return 0;
  }
}

/** Which of the three functions above knows a field. */
const SOURCE = { address: 0, packet: 1, traffic: 2 } as const;

const ADDRESS_FIELDS = [ZERO, INBOUND, OUTBOUND, LOOPBACK, IMPOSTOR, IF_IDX, SUB_IF_IDX, EVENT, PROCESS_ID, LAYER];
const TRAFFIC_FIELDS = [TCP, UDP, ICMP, ICMPV6, PROTOCOL, LOCAL_PORT, REMOTE_PORT];

const sources = new Uint8Array(FIELDS.length).fill(SOURCE.packet);
for (const field of ADDRESS_FIELDS) sources[field] = SOURCE.address;
for (const field of TRAFFIC_FIELDS) sources[field] = SOURCE.traffic;

/** The value of a field of kind `number`. Units: 32 bits as a signed number. */
export function readNumber(field: number, layer: number, view: PacketView, address: FilterAddress): number {
  const source = sources[field]!;
  if (source === SOURCE.address) return addressNumber(field, address) | 0;
  if (source === SOURCE.traffic) return trafficNumber(field, layer, view, address);
  return packetNumber(field, view, address);
}
