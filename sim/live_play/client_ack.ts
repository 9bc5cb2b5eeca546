/** A segment without data that a captured client did not send in these words: it acknowledges what it acknowledged before. */
import type { Arena, Slot } from "../../core/adapter/arena.ts";
import { PacketMeta } from "../../core/parse/packet_meta.ts";
import * as ipv4 from "../../core/wire/ipv4.ts";
import * as ipv6 from "../../core/wire/ipv6.ts";
import * as tcp from "../../core/wire/tcp.ts";
import { writeChecksums } from "./client_translation.ts";

/** Whose connection it is, seen from the stack: the client is the remote side. */
export interface AckEnds {
  readonly version: 4 | 6;
  readonly localAddress: Uint32Array;
  readonly remoteAddress: Uint32Array;
  readonly localPort: number;
  readonly remotePort: number;
}

/** What it says. `window` as it stands in the header; `timestamp` undefined leaves the option out. */
export interface AckFields {
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly window: number;
  readonly timestamp: number | undefined;
  readonly echo: number;
}

const TIME_TO_LIVE = 64;
const TIMESTAMP_BYTES = 12;

/** Writes the packet into a slot, checksums included. */
export function emitAck(arena: Arena, slot: Slot, ends: AckEnds, fields: AckFields): void {
  const { view } = arena;
  const at = arena.at(slot);
  const tcpLength = tcp.HEADER_BYTES + (fields.timestamp === undefined ? 0 : TIMESTAMP_BYTES);
  const ipLength = ends.version === 4 ? ipv4.HEADER_BYTES : ipv6.HEADER_BYTES;
  if (ends.version === 4) {
    ipv4.emit(view, at, {
      tos: 0,
      totalLength: ipLength + tcpLength,
      identification: 0,
      dontFragment: true,
      moreFragments: false,
      fragmentOffset: 0,
      timeToLive: TIME_TO_LIVE,
      protocol: tcp.PROTOCOL,
      source: ends.remoteAddress[3]!,
      destination: ends.localAddress[3]!,
    });
  } else {
    ipv6.emit(view, at, {
      trafficClass: 0,
      flowLabel: 0,
      payloadLength: tcpLength,
      nextHeader: tcp.PROTOCOL,
      hopLimit: TIME_TO_LIVE,
      source: ends.remoteAddress,
      destination: ends.localAddress,
    });
  }
  const transportAt = at + ipLength;
  tcp.emit(view, transportAt, {
    sourcePort: ends.remotePort,
    destinationPort: ends.localPort,
    sequence: fields.sequence,
    acknowledgment: fields.acknowledgment,
    flags: tcp.ACK,
    window: fields.window,
    urgentPointer: 0,
  });
  if (fields.timestamp !== undefined) {
    view.setUint8(transportAt + 12, (tcpLength >>> 2) << 4);
    view.setUint16(transportAt + 20, (tcp.OPTION_NOP << 8) | tcp.OPTION_NOP);
    view.setUint16(transportAt + 22, (tcp.OPTION_TIMESTAMPS << 8) | 10);
    view.setUint32(transportAt + 24, fields.timestamp);
    view.setUint32(transportAt + 28, fields.echo);
  }
  arena.length[slot] = ipLength + tcpLength;
  arena.wireLength[slot] = ipLength + tcpLength;
  const meta = new PacketMeta();
  meta.version = ends.version;
  meta.ipAt = at;
  meta.ipLength = ipLength + tcpLength;
  meta.transportAt = transportAt;
  writeChecksums(view, meta);
}
