/**
 * New addresses and ports for a TCP packet, with its checksums brought along.
 *
 * Read first: RFC 1624 section 3 (equation 3: HC' = ~(~HC + ~m + m')), RFC 1071 section 2 (B) (a word at an odd place counts with its bytes
 * exchanged), RFC 9293 section 3.7.1 (maximum segment size).
 */
import { DESTINATION, type PacketMeta, SOURCE } from "../parse/packet_meta.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import * as tcp from "../wire/tcp.ts";
import { KEY_DESTINATION, PORTS, type TupleIndex } from "./tuple_index.ts";

const IPV4_CHECKSUM_AT = 10;
const IPV4_SOURCE_AT = 12;
const IPV6_SOURCE_AT = 8;
const TCP_CHECKSUM_AT = 16;
const MSS_OPTION_BYTES = 4;

/** ~m + m' of a 32-bit word, as an unfolded sum of 16-bit words. */
function changeOf(before: number, after: number): number {
  return (~before & 0xffff) + ((~before >>> 16) & 0xffff) + (after & 0xffff) + (after >>> 16);
}

/** Brings a checksum along. `change` is the sum of ~m + m' of all words that changed. */
function updated(checksum: number, change: number): number {
  let sum = (~checksum & 0xffff) + change;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/**
 * Gives a packet the tuple of an entry, or, `isReversed`, the tuple of what comes back to it. The packet's meta says what its bytes say
 * afterwards. Everything else, the time to live included, stays.
 */
export function rewriteTuple(
  view: DataView,
  meta: PacketMeta,
  tuples: TupleIndex,
  entry: number,
  isReversed: boolean,
): void {
  const { words, transportAt } = meta;
  const from = isReversed ? KEY_DESTINATION : 0;
  const to = isReversed ? 0 : KEY_DESTINATION;
  const four = meta.version === 4;
  const sourceAt = meta.ipAt + (four ? IPV4_SOURCE_AT : IPV6_SOURCE_AT);
  let change = 0;
  for (let word = four ? 3 : 0; word < 4; word++) {
    const source = tuples.word(entry, from + word);
    const destination = tuples.word(entry, to + word);
    change += changeOf(words[SOURCE + word]!, source) + changeOf(words[DESTINATION + word]!, destination);
    words[SOURCE + word] = source;
    words[DESTINATION + word] = destination;
    const at = four ? sourceAt : sourceAt + word * 4;
    view.setUint32(at, source);
    view.setUint32(at + (four ? 4 : 16), destination);
  }
  if (four) {
    const at = meta.ipAt + IPV4_CHECKSUM_AT;
    view.setUint16(at, updated(view.getUint16(at), change));
  }
  const ports = tuples.word(entry, PORTS);
  const sourcePort = isReversed ? ports & 0xffff : ports >>> 16;
  const destinationPort = isReversed ? ports >>> 16 : ports & 0xffff;
  change += changeOf((meta.sourcePort << 16) | meta.destinationPort, ((sourcePort << 16) | destinationPort) >>> 0);
  meta.sourcePort = sourcePort;
  meta.destinationPort = destinationPort;
  view.setUint16(transportAt, sourcePort);
  view.setUint16(transportAt + 2, destinationPort);
  const at = transportAt + TCP_CHECKSUM_AT;
  view.setUint16(at, updated(view.getUint16(at), change));
}

/** Lowers the largest segment that a SYN announces to what a device of `mtu` takes; without the option there is nothing to lower. */
export function clampSegmentSize(view: DataView, meta: PacketMeta, mtu: number): void {
  const optionAt = tcp.findOption(view, meta.transportAt, tcp.OPTION_MSS);
  if (optionAt < 0 || view.getUint8(optionAt + 1) !== MSS_OPTION_BYTES) return;
  const at = optionAt + 2;
  const before = view.getUint16(at);
  const headers = (meta.version === 4 ? ipv4.HEADER_BYTES : ipv6.HEADER_BYTES) + tcp.HEADER_BYTES;
  const most = mtu - headers;
  if (before <= most || most <= 0) return;
  view.setUint16(at, most);
  const isOdd = ((at - meta.transportAt) & 1) !== 0;
  const change = (~swapped(before, isOdd) & 0xffff) + swapped(most, isOdd);
  const checksumAt = meta.transportAt + TCP_CHECKSUM_AT;
  view.setUint16(checksumAt, updated(view.getUint16(checksumAt), change));
}

function swapped(word: number, isOdd: boolean): number {
  return isOdd ? ((word & 0xff) << 8) | (word >>> 8) : word;
}
