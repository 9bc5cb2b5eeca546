/** A script's inbound packet → the bytes that reach the stack. Numbers are live ones here; `flow.ts` has translated them. */
import { addBytes, finishSum, pseudoSum4, pseudoSum6 } from "../../core/wire/checksum.ts";
import * as icmp from "../../core/wire/icmp.ts";
import * as ipv4 from "../../core/wire/ipv4.ts";
import * as ipv6 from "../../core/wire/ipv6.ts";
import * as tcp from "../../core/wire/tcp.ts";
import * as udp from "../../core/wire/udp.ts";
import { type Endpoints, wordsOf } from "./endpoints.ts";
import type { IpSpec, TcpOption, TcpSegment } from "./script.ts";

/** Where injected packets' TTL starts. Source: packetdrill's `ip_info` default. */
const DEFAULT_TTL = 255;
const OPTION_FAST_OPEN = 34;
/** Kind and magic of the experimental Fast Open option. Source: RFC 6994, RFC 7413 section 4.1.1. */
const EXPERIMENT = [254, 0xf9, 0x89];

function be32(value: number): number[] {
  return [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

/** One option on the wire. */
export function optionBytes(option: TcpOption): number[] {
  switch (option.kind) {
    case "eol":
      return [tcp.OPTION_END];
    case "nop":
      return [tcp.OPTION_NOP];
    case "mss":
      return [tcp.OPTION_MSS, 4, option.value >>> 8, option.value & 255];
    case "wscale":
      return [tcp.OPTION_WINDOW_SCALE, 3, option.value];
    case "sackOK":
      return [tcp.OPTION_SACK_PERMITTED, 2];
    case "sack": {
      const edges = option.blocks.flatMap(([left, right]) => [...be32(left), ...be32(right)]);
      return [tcp.OPTION_SACK, 2 + edges.length, ...edges];
    }
    case "timestamps":
      return [tcp.OPTION_TIMESTAMPS, 10, ...be32(option.value), ...be32(option.echo)];
    case "fastOpen":
      return option.experimental
        ? [EXPERIMENT[0]!, 4 + option.cookie.length, EXPERIMENT[1]!, EXPERIMENT[2]!, ...option.cookie]
        : [OPTION_FAST_OPEN, 2 + option.cookie.length, ...option.cookie];
    case "unknown":
      return [option.code, 2 + option.data.length, ...option.data];
  }
}

/** All options on the wire. Errors: undefined when they do not fill whole words or do not fit into 40 bytes. */
export function optionsBytes(options: readonly TcpOption[]): number[] | undefined {
  const bytes = options.flatMap(optionBytes);
  return bytes.length % 4 === 0 && bytes.length <= 40 ? bytes : undefined;
}

/** Puts an IP header in front of a transport packet and sums both. */
function wrap(transport: Uint8Array, protocol: number, ends: Endpoints, ip: IpSpec, sumAt: number): Uint8Array {
  const headerBytes = ends.version === 4 ? ipv4.HEADER_BYTES : ipv6.HEADER_BYTES;
  const bytes = new Uint8Array(headerBytes + transport.length);
  const view = new DataView(bytes.buffer);
  bytes.set(transport, headerBytes);
  const hops = ip.ttl ?? DEFAULT_TTL;
  const tos = ip.tos?.value ?? 0;
  if (ends.version === 4) {
    const fields = { identification: 0, dontFragment: true, moreFragments: false, fragmentOffset: 0 };
    const addresses = { source: ends.remote.w3, destination: ends.local.w3 };
    ipv4.emit(view, 0, { tos, totalLength: bytes.length, ...fields, timeToLive: hops, protocol, ...addresses });
  } else {
    const addresses = { source: wordsOf(ends.remote), destination: wordsOf(ends.local) };
    const flow = { trafficClass: tos, flowLabel: ip.flowLabel ?? 0 };
    ipv6.emit(view, 0, {
      ...flow,
      payloadLength: transport.length,
      nextHeader: protocol,
      hopLimit: hops,
      ...addresses,
    });
  }
  const pseudo = protocol === icmp.PROTOCOL
    ? 0
    : ends.version === 4
    ? pseudoSum4(view, 0, protocol, transport.length)
    : pseudoSum6(view, 0, protocol, transport.length);
  const sum = finishSum(addBytes(pseudo, view, headerBytes, transport.length));
  view.setUint16(headerBytes + sumAt, protocol === udp.PROTOCOL && sum === 0 ? 0xffff : sum);
  return bytes;
}

/** A TCP segment with live numbers. `payload` has `segment.length` bytes. */
export function tcpBytes(
  segment: TcpSegment,
  options: readonly number[],
  payload: Uint8Array,
  ends: Endpoints,
): Uint8Array {
  const headerBytes = tcp.HEADER_BYTES + options.length;
  const bytes = new Uint8Array(headerBytes + payload.length);
  const view = new DataView(bytes.buffer);
  tcp.emit(view, 0, {
    sourcePort: segment.ports?.[0] ?? ends.remotePort,
    destinationPort: segment.ports?.[1] ?? ends.localPort,
    sequence: segment.sequence,
    acknowledgment: segment.acknowledgment,
    flags: segment.flags,
    window: segment.window ?? 0,
    urgentPointer: segment.urgent,
  });
  view.setUint8(12, headerBytes << 2);
  bytes.set(options, tcp.HEADER_BYTES);
  bytes.set(payload, headerBytes);
  return wrap(bytes, tcp.PROTOCOL, ends, segment.ip, 16);
}

/** A UDP datagram of `length` zero bytes. */
export function udpBytes(length: number, ends: Endpoints, ip: IpSpec): Uint8Array {
  const bytes = new Uint8Array(udp.HEADER_BYTES + length);
  const ports = { sourcePort: ends.remotePort, destinationPort: ends.localPort };
  udp.emit(new DataView(bytes.buffer), 0, { ...ports, length: bytes.length });
  return wrap(bytes, udp.PROTOCOL, ends, ip, 6);
}

/** An ICMP message around `body`; `rest` is the header's second word. */
export function icmpBytes(
  type: number,
  code: number,
  rest: number,
  body: Uint8Array,
  ends: Endpoints,
  ip: IpSpec,
): Uint8Array {
  const bytes = new Uint8Array(icmp.HEADER_BYTES + body.length);
  icmp.emit(new DataView(bytes.buffer), 0, { type, code, restOfHeader: rest });
  bytes.set(body, icmp.HEADER_BYTES);
  return wrap(bytes, ends.version === 4 ? icmp.PROTOCOL : icmp.PROTOCOL_V6, ends, ip, 2);
}

/** What an ICMP error quotes: the IP header and first 8 bytes of a packet that the stack sent. `sequence` is live. */
export function quotedBytes(protocol: number, sequence: number, length: number, ends: Endpoints): Uint8Array {
  const transport = new Uint8Array(protocol === tcp.PROTOCOL ? tcp.HEADER_BYTES : udp.HEADER_BYTES);
  const view = new DataView(transport.buffer);
  view.setUint16(0, ends.localPort);
  view.setUint16(2, ends.remotePort);
  if (protocol === tcp.PROTOCOL) {
    view.setUint32(4, sequence);
    view.setUint8(12, (tcp.HEADER_BYTES >>> 2) << 4);
  } else view.setUint16(4, udp.HEADER_BYTES + length);
  const outward = {
    version: ends.version,
    local: ends.remote,
    localPort: ends.remotePort,
    remote: ends.local,
    remotePort: ends.localPort,
  };
  const ip = { tos: undefined, ttl: 64, flowLabel: undefined };
  const packet = wrap(transport, protocol, outward, ip, protocol === tcp.PROTOCOL ? 16 : 6);
  // The quoted header tells the length of the packet as it was sent, although most of it is cut off.
  const packetView = new DataView(packet.buffer);
  if (ends.version === 4) {
    packetView.setUint16(2, packet.length + length);
    packetView.setUint16(10, 0);
    packetView.setUint16(10, finishSum(addBytes(0, packetView, 0, ipv4.HEADER_BYTES)));
  } else packetView.setUint16(4, transport.length + length);
  return ends.version === 4 ? packet.subarray(0, ipv4.HEADER_BYTES + 8) : packet;
}
