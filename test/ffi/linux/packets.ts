/** Packets for the tests of this folder. */
import { addBytes, finishSum, pseudoSum4, pseudoSum6 } from "../../../core/wire/checksum.ts";
import * as ipv4 from "../../../core/wire/ipv4.ts";
import * as ipv6 from "../../../core/wire/ipv6.ts";
import * as tcp from "../../../core/wire/tcp.ts";
import * as udp from "../../../core/wire/udp.ts";

/** An IP header for `length` transport bytes; returns where they go. */
function emitIp(view: DataView, version: 4 | 6, protocol: number, length: number, identification: number): number {
  if (version === 4) {
    return ipv4.emit(view, 0, {
      tos: 0,
      totalLength: ipv4.HEADER_BYTES + length,
      identification,
      dontFragment: false,
      moreFragments: false,
      fragmentOffset: 0,
      timeToLive: 64,
      protocol,
      source: 0xc6120001,
      destination: 0xc633640a,
    });
  }
  return ipv6.emit(view, 0, {
    trafficClass: 0,
    flowLabel: 0,
    payloadLength: length,
    nextHeader: protocol,
    hopLimit: 64,
    source: new Uint32Array([0xfd180000, 0, 0, 1]),
    destination: new Uint32Array([0x20010db8, 0, 0, 0x10]),
  });
}

/** The right checksum of a packet's transport header. */
export function transportChecksum(packet: Uint8Array, version: 4 | 6, protocol: number): number {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const at = version === 4 ? ipv4.HEADER_BYTES : ipv6.HEADER_BYTES;
  const length = packet.length - at;
  const pseudo = version === 4 ? pseudoSum4(view, 0, protocol, length) : pseudoSum6(view, 0, protocol, length);
  return finishSum(addBytes(pseudo, view, at, length));
}

/** A UDP packet with its checksum. */
export function udpPacket(version: 4 | 6, payload: Uint8Array, identification = 7): Uint8Array<ArrayBuffer> {
  const headers = (version === 4 ? ipv4.HEADER_BYTES : ipv6.HEADER_BYTES) + udp.HEADER_BYTES;
  const packet = new Uint8Array(headers + payload.length);
  const view = new DataView(packet.buffer);
  const length = udp.HEADER_BYTES + payload.length;
  const at = emitIp(view, version, udp.PROTOCOL, length, identification);
  udp.emit(view, at, { sourcePort: 50000, destinationPort: 443, length });
  packet.set(payload, headers);
  view.setUint16(at + 6, transportChecksum(packet, version, udp.PROTOCOL));
  return packet;
}

/** A TCP packet whose checksum field is 0. */
export function tcpPacket(version: 4 | 6, payload: Uint8Array, flags: number): Uint8Array<ArrayBuffer> {
  const headers = (version === 4 ? ipv4.HEADER_BYTES : ipv6.HEADER_BYTES) + tcp.HEADER_BYTES;
  const packet = new Uint8Array(headers + payload.length);
  const view = new DataView(packet.buffer);
  const at = emitIp(view, version, tcp.PROTOCOL, tcp.HEADER_BYTES + payload.length, 7);
  const ports = { sourcePort: 443, destinationPort: 50000 };
  tcp.emit(view, at, { ...ports, sequence: 1, acknowledgment: 2, flags, window: 100, urgentPointer: 0 });
  packet.set(payload, headers);
  return packet;
}
