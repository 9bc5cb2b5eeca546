/**
 * A stranger who knows who talks to whom, but not what: segments with guessed sequence numbers, which must not harm a connection.
 *
 * Read first: RFC 5961 (blind attacks), RFC 9293 section 3.10.7.4.
 */
import type { Prng } from "../../core/base/prng.ts";
import { addBytes, finishSum, pseudoSum4, pseudoSum6 } from "../../core/wire/checksum.ts";
import * as ipv4 from "../../core/wire/ipv4.ts";
import * as ipv6 from "../../core/wire/ipv6.ts";
import * as tcp from "../../core/wire/tcp.ts";

/** Who the forged segment claims to be from, and whom it is for. Shape: four words an address. */
export interface ForgedEnds {
  readonly version: 4 | 6;
  readonly source: Uint32Array;
  readonly sourcePort: number;
  readonly destination: Uint32Array;
  readonly destinationPort: number;
}

const FLAGS: readonly number[] = [
  tcp.SYN,
  tcp.SYN | tcp.ACK,
  tcp.ACK,
  tcp.RST,
  tcp.RST | tcp.ACK,
  tcp.FIN | tcp.ACK,
  tcp.PSH | tcp.ACK,
  tcp.SYN | tcp.FIN,
  tcp.SYN | tcp.RST,
  0,
];
const PAYLOAD_BYTES_MAX = 40;
const TIME_TO_LIVE = 60;

/** Makes one sound packet with guessed numbers. */
export function forgeSegment(ends: ForgedEnds, prng: Prng): Uint8Array {
  const payload = prng.below(PAYLOAD_BYTES_MAX);
  const length = tcp.HEADER_BYTES + payload;
  const four = ends.version === 4;
  const at = four ? ipv4.HEADER_BYTES : ipv6.HEADER_BYTES;
  const packet = new Uint8Array(at + length);
  const view = new DataView(packet.buffer);
  if (four) {
    ipv4.emit(view, 0, {
      tos: 0,
      totalLength: at + length,
      identification: 0,
      dontFragment: true,
      moreFragments: false,
      fragmentOffset: 0,
      timeToLive: TIME_TO_LIVE,
      protocol: tcp.PROTOCOL,
      source: ends.source[3]!,
      destination: ends.destination[3]!,
    });
  } else {
    const { source, destination } = ends;
    const fields = {
      trafficClass: 0,
      flowLabel: 0,
      payloadLength: length,
      nextHeader: tcp.PROTOCOL,
      source,
      destination,
    };
    ipv6.emit(view, 0, { ...fields, hopLimit: TIME_TO_LIVE });
  }
  tcp.emit(view, at, {
    sourcePort: ends.sourcePort,
    destinationPort: ends.destinationPort,
    sequence: prng.uint32(),
    acknowledgment: prng.uint32(),
    flags: FLAGS[prng.below(FLAGS.length)]!,
    window: prng.below(0x1_0000),
    urgentPointer: 0,
  });
  for (let i = 0; i < payload; i++) packet[at + tcp.HEADER_BYTES + i] = prng.below(256);
  const pseudo = four ? pseudoSum4(view, 0, tcp.PROTOCOL, length) : pseudoSum6(view, 0, tcp.PROTOCOL, length);
  view.setUint16(at + 16, finishSum(addBytes(pseudo, view, at, length)));
  return packet;
}
