/** A packet in one line, in the words that tcpdump made usual. Total: whatever the bytes are, a line comes back. */
import { formatIpv4Word, formatIpv6Words } from "../base/ip_address.ts";
import * as icmp from "../wire/icmp.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import * as tcp from "../wire/tcp.ts";
import * as udp from "../wire/udp.ts";

const FLAG_LETTERS = "FSRP.UEW";

function flagText(flags: number): string {
  let text = "";
  for (let bit = 0; bit < 8; bit++) if ((flags & (1 << bit)) !== 0) text += FLAG_LETTERS[bit]!;
  return text === "" ? "none" : text;
}

/** One option, or undefined when it is cut short. */
function optionText(view: DataView, at: number, length: number): string {
  switch (view.getUint8(at)) {
    case tcp.OPTION_MSS:
      return length === 4 ? `mss ${view.getUint16(at + 2)}` : "mss ?";
    case tcp.OPTION_WINDOW_SCALE:
      return length === 3 ? `wscale ${view.getUint8(at + 2)}` : "wscale ?";
    case tcp.OPTION_SACK_PERMITTED:
      return "sackOK";
    case tcp.OPTION_SACK: {
      let text = "sack";
      for (let i = at + 2; i + 8 <= at + length; i += 8) text += ` ${view.getUint32(i)}:${view.getUint32(i + 4)}`;
      return text;
    }
    case tcp.OPTION_TIMESTAMPS:
      return length === 10 ? `ts ${view.getUint32(at + 2)} ${view.getUint32(at + 6)}` : "ts ?";
    default:
      return `option ${view.getUint8(at)}`;
  }
}

function optionsText(view: DataView, at: number, end: number): string {
  const texts: string[] = [];
  for (let i = at; i < end;) {
    const kind = view.getUint8(i);
    if (kind === tcp.OPTION_END) break;
    if (kind === tcp.OPTION_NOP) {
      i++;
      continue;
    }
    const length = i + 1 < end ? view.getUint8(i + 1) : 0;
    if (length < 2 || i + length > end) {
      texts.push("damaged");
      break;
    }
    texts.push(optionText(view, i, length));
    i += length;
  }
  return texts.length === 0 ? "" : ` <${texts.join(", ")}>`;
}

function tcpText(view: DataView, at: number, end: number, wireEnd: number): string {
  if (end - at < tcp.HEADER_BYTES) return "tcp cut short";
  const headerLength = tcp.headerLength(view, at);
  const optionsEnd = Math.min(at + headerLength, end);
  const flags = tcp.flags(view, at);
  const payload = wireEnd - at - headerLength;
  const sequence = tcp.sequence(view, at);
  const range = payload > 0 ? `${sequence}:${(sequence + payload) >>> 0}` : `${sequence}`;
  const ack = (flags & tcp.ACK) !== 0 ? ` ack ${tcp.acknowledgment(view, at)}` : "";
  const options = optionsText(view, at + tcp.HEADER_BYTES, optionsEnd);
  return `tcp [${flagText(flags)}] seq ${range}${ack} win ${tcp.window(view, at)} length ${payload}${options}`;
}

/** The transport's part. `end` is where the bytes at hand end, `wireEnd` where the packet's do. */
function transportText(view: DataView, protocol: number, at: number, end: number, wireEnd: number): string {
  if (protocol === tcp.PROTOCOL) return tcpText(view, at, end, wireEnd);
  if (protocol === udp.PROTOCOL) return `udp length ${wireEnd - at - udp.HEADER_BYTES}`;
  if (protocol === icmp.PROTOCOL || protocol === icmp.PROTOCOL_V6) {
    return end - at < icmp.HEADER_BYTES ? "icmp cut short" : `icmp ${icmp.type(view, at)}/${icmp.code(view, at)}`;
  }
  return `protocol ${protocol} length ${wireEnd - at}`;
}

function portText(view: DataView, protocol: number, at: number, end: number): string {
  const hasPorts = (protocol === tcp.PROTOCOL || protocol === udp.PROTOCOL) && at + 2 <= end;
  return hasPorts ? `.${view.getUint16(at)}` : "";
}

/** The line of a packet with `length` bytes at hand out of `wireLength`. */
export function packetText(view: DataView, at: number, length: number, wireLength: number): string {
  const version = length > 0 ? view.getUint8(at) >>> 4 : 0;
  const end = at + length;
  const wireEnd = at + wireLength;
  if (version === 4 && length >= ipv4.HEADER_BYTES) {
    const next = at + ipv4.headerLength(view, at);
    const protocol = ipv4.protocol(view, at);
    const from = formatIpv4Word(ipv4.source(view, at));
    const to = formatIpv4Word(ipv4.destination(view, at));
    const offset = ipv4.fragmentOffset(view, at);
    const way = `${from}${portText(view, protocol, next, end)} > ${to}${portText(view, protocol, next + 2, end)}`;
    if (offset !== 0) return `${from} > ${to} fragment at ${offset} length ${wireEnd - next}`;
    const part = ipv4.moreFragments(view, at) ? " first fragment" : "";
    return `${way} ${transportText(view, protocol, next, end, wireEnd)}${part}`;
  }
  if (version === 6 && length >= ipv6.HEADER_BYTES) {
    const word = (read: typeof ipv6.sourceWord) =>
      formatIpv6Words(read(view, at, 0), read(view, at, 1), read(view, at, 2), read(view, at, 3));
    const protocol = ipv6.nextHeader(view, at);
    const next = at + ipv6.HEADER_BYTES;
    const from = `${word(ipv6.sourceWord)}${portText(view, protocol, next, end)}`;
    const to = `${word(ipv6.destinationWord)}${portText(view, protocol, next + 2, end)}`;
    return `${from} > ${to} ${transportText(view, protocol, next, end, wireEnd)}`;
  }
  return `${wireLength} bytes of no IP version`;
}
