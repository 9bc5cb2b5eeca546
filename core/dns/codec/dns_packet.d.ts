/** `dns-packet` as far as weir uses it. Source: its README and code, version 5.6.1. */

/** One question. */
export interface PacketQuestion {
  name: string;
  type: string;
  class?: string;
}

/** One option of EDNS. */
export interface PacketOption {
  code: number | string;
  type?: string;
  data?: Uint8Array;
  family?: number;
  sourcePrefixLength?: number;
  scopePrefixLength?: number;
  ip?: string;
}

/** One record; what `data` is depends on the type. An OPT record has `udpPayloadSize` and `options` in place of it. */
export interface PacketRecord {
  name: string;
  type: string;
  class?: string;
  ttl?: number;
  flush?: boolean;
  data?: unknown;
  udpPayloadSize?: number;
  extendedRcode?: number;
  ednsVersion?: number;
  flags?: number;
  options?: PacketOption[];
}

/** One message. */
export interface Packet {
  id?: number;
  type?: "query" | "response";
  flags?: number;
  opcode?: string;
  rcode?: string;
  flag_tc?: boolean;
  flag_rd?: boolean;
  questions?: PacketQuestion[];
  answers?: PacketRecord[];
  authorities?: PacketRecord[];
  additionals?: PacketRecord[];
}

export function encode(packet: Packet): Uint8Array;
export function decode(bytes: Uint8Array): Packet;
