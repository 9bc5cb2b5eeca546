/** Runs captures through `FlowSniffer` with a small demultiplexer of its own, and reads what nDPI says of the same flows. */
import { formatIp, ipFromWords, ipv4FromWord, parseIp } from "../../core/base/ip_address.ts";
import { createSniffOptions, FlowSniffer, SniffReason, SniffState } from "../../core/classify/sniffer.ts";
import { createQuicCrypto } from "../../core/host/quic_crypto.ts";
import { createLinkFrame, stripLink } from "../../sim/capture/link_layer.ts";
import { openCapture } from "../../sim/capture/open.ts";

/** One flow as nDPI prints it. */
export interface NdpiFlow {
  readonly key: string;
  readonly protocol: string;
  readonly name: string;
}

/** One flow as we see it. */
export interface OurFlow {
  readonly key: string;
  readonly name: string;
  readonly protocol: string;
  readonly reason: string;
  readonly ech: boolean;
}

const REASONS = Object.fromEntries(Object.entries(SniffReason).map(([name, value]) => [value, name]));

/** Both ends in a fixed order, so that it does not matter who opened the flow. */
export function flowKey(network: string, a: string, b: string): string {
  return a < b ? `${network} ${a} ${b}` : `${network} ${b} ${a}`;
}

/** nDPI shortens IPv6 addresses in its own way; ours is RFC 5952's. */
function endpoint(text: string): string {
  const match = /^\[(.*)\](:\d+)$/.exec(text);
  const ip = match === null ? undefined : parseIp(match[1]!);
  return ip === undefined ? text : `[${formatIp(ip)}]${match![2]}`;
}

/** `1 TCP a:1 <-> b:2 [VLAN: 2][proto: GTP:91.275/TLS.Crashlytics]…`. */
const FLOW_LINE =
  /^\s*\d+\s+(TCP|UDP) (\S+) (?:<->|->) (\S+) (?:\[VLAN: \d+\])?\[proto: (?:[A-Z0-9-]+:)?[0-9.]+\/([^\]]+)\]/;

/** Reads the flow lines of a `.out` file. */
export function readNdpiFlows(text: string): NdpiFlow[] {
  const flows: NdpiFlow[] = [];
  for (const line of text.split("\n")) {
    const match = FLOW_LINE.exec(line);
    if (match === null) continue;
    const name = /\[Hostname\/SNI: ([^\]]*)\]/.exec(line)?.[1] ?? "";
    flows.push({
      key: flowKey(match[1]!.toLowerCase(), endpoint(match[2]!), endpoint(match[3]!)),
      protocol: match[4]!,
      name,
    });
  }
  return flows;
}

/** True for the flows that the comparison is about. */
export function isNamedFlow(flow: NdpiFlow): boolean {
  return flow.name !== "" && /^(TLS|QUIC|HTTP|HTTP_Connect|HTTP_Proxy|DTLS)(\.|$)/.test(flow.protocol);
}

interface Live {
  readonly sniffer: FlowSniffer;
  readonly client: string;
  readonly key: string;
  isn: number;
}

interface Pieces {
  readonly bytes: Uint8Array;
  readonly have: Uint8Array;
  total: number;
}

/** Puts fragments together without any care for time or memory: captures are small. */
class Fragments {
  readonly #open = new Map<string, Pieces>();

  add(id: string, offset: number, data: Uint8Array, isLast: boolean): DataView | undefined {
    let pieces = this.#open.get(id);
    if (pieces === undefined) {
      this.#open.set(id, pieces = { bytes: new Uint8Array(65_535), have: new Uint8Array(65_535), total: -1 });
    }
    if (offset + data.length > 65_535) return undefined;
    pieces.bytes.set(data, offset);
    pieces.have.fill(1, offset, offset + data.length);
    if (isLast) pieces.total = offset + data.length;
    if (pieces.total < 0 || pieces.have.subarray(0, pieces.total).includes(0)) return undefined;
    this.#open.delete(id);
    return new DataView(pieces.bytes.buffer, 0, pieces.total);
  }
}

/** Sends every TCP and UDP packet of a capture to the sniffer of its flow. */
export class NameHarness {
  readonly flows: OurFlow[] = [];
  readonly #live = new Map<string, Live>();
  readonly #options = createSniffOptions();
  readonly #crypto = createQuicCrypto();
  readonly #fragments = new Fragments();

  async run(path: string): Promise<void> {
    using capture = await openCapture(path);
    const frame = createLinkFrame();
    for (let record = await capture.next(); record !== undefined; record = await capture.next()) {
      const data = record.data.slice();
      const view = new DataView(data.buffer);
      stripLink(record.linkType, view, 0, data.length, frame);
      if (frame.family === 4) this.#ipv4(view, frame.ipAt, frame.ipLength);
      else if (frame.family === 6) this.#ipv6(view, frame.ipAt, frame.ipLength);
    }
    for (const live of this.#live.values()) this.#close(live);
  }

  #ipv4(view: DataView, at: number, captured: number): void {
    if (captured < 20) return;
    const header = (view.getUint8(at) & 15) * 4;
    const total = view.getUint16(at + 2);
    const length = total === 0 || total > captured ? captured : total;
    if (header < 20 || length < header) return;
    const source = formatIp(ipv4FromWord(view.getUint32(at + 12)));
    const destination = formatIp(ipv4FromWord(view.getUint32(at + 16)));
    const fragment = view.getUint16(at + 6);
    const offset = (fragment & 0x1fff) * 8;
    const more = (fragment & 0x2000) !== 0;
    const protocol = view.getUint8(at + 9);
    if (offset === 0 && !more) {
      this.#transport(protocol, source, destination, view, at + header, length - header);
      return;
    }
    const data = new Uint8Array(view.buffer, view.byteOffset + at + header, length - header);
    const id = `${source} ${destination} ${protocol} ${view.getUint16(at + 4)}`;
    const whole = this.#fragments.add(id, offset, data, !more);
    if (whole !== undefined) this.#transport(protocol, source, destination, whole, 0, whole.byteLength);
  }

  #ipv6(view: DataView, at: number, captured: number): void {
    if (captured < 40) return;
    const address = (from: number): string =>
      formatIp(
        ipFromWords(
          view.getUint32(from),
          view.getUint32(from + 4),
          view.getUint32(from + 8),
          view.getUint32(from + 12),
        ),
      );
    const source = `[${address(at + 8)}]`;
    const destination = `[${address(at + 24)}]`;
    const end = Math.min(at + captured, at + 40 + view.getUint16(at + 4));
    let next = view.getUint8(at + 6);
    let from = at + 40;
    while ([0, 43, 60, 44].includes(next) && from + 8 <= end) {
      if (next === 44) {
        const word = view.getUint16(from + 2);
        const data = new Uint8Array(view.buffer, view.byteOffset + from + 8, end - from - 8);
        const id = `${source} ${destination} ${view.getUint32(from + 4)}`;
        const whole = this.#fragments.add(id, word & 0xfff8, data, (word & 1) === 0);
        if (whole !== undefined) {
          this.#transport(view.getUint8(from), source, destination, whole, 0, whole.byteLength);
        }
        return;
      }
      next = view.getUint8(from);
      from += (view.getUint8(from + 1) + 1) * 8;
    }
    if (from <= end) this.#transport(next, source, destination, view, from, end - from);
  }

  #transport(
    protocol: number,
    source: string,
    destination: string,
    view: DataView,
    at: number,
    length: number,
  ): void {
    if (length < 8 || (protocol !== 6 && protocol !== 17)) return;
    const from = `${source}:${view.getUint16(at)}`;
    const to = `${destination}:${view.getUint16(at + 2)}`;
    const network = protocol === 6 ? "tcp" : "udp";
    const key = flowKey(network, from, to);
    if (network === "udp") {
      const live = this.#flow(key, network, from);
      const size = Math.min(length, Math.max(8, view.getUint16(at + 4)));
      live.sniffer.udpDatagram(from === live.client, view, at + 8, size - 8);
      return;
    }
    if (length < 20) return;
    const header = (view.getUint8(at + 12) >> 4) * 4;
    if (header < 20 || header > length) return;
    const seq = view.getUint32(at + 4);
    const flags = view.getUint8(at + 13);
    const isSyn = (flags & 0x12) === 0x02;
    let live = this.#live.get(key);
    if (isSyn && live !== undefined && live.isn >= 0 && live.isn !== seq) {
      this.#close(live);
      this.#live.delete(key);
      live = undefined;
    }
    live ??= this.#flow(key, network, (flags & 0x12) === 0x12 ? to : from);
    if (isSyn && from === live.client) {
      live.isn = seq;
      live.sniffer.tcpSyn(seq);
    }
    const payload = length - header;
    const dataSeq = (flags & 2) !== 0 ? (seq + 1) >>> 0 : seq;
    if (payload > 0) live.sniffer.tcpSegment(from === live.client, dataSeq, view, at + header, payload);
  }

  #flow(key: string, network: "tcp" | "udp", client: string): Live {
    let live = this.#live.get(key);
    if (live === undefined) {
      live = { sniffer: new FlowSniffer(network, this.#options, this.#crypto), client, key, isn: -1 };
      this.#live.set(key, live);
    }
    return live;
  }

  #close(live: Live): void {
    const sniffer = live.sniffer;
    if (sniffer.state === SniffState.Pending) sniffer.finish();
    this.flows.push({
      key: live.key,
      name: sniffer.host !== "" ? sniffer.host : sniffer.address,
      protocol: sniffer.protocol,
      reason: REASONS[sniffer.reason]!,
      ech: sniffer.ech,
    });
    sniffer.dispose();
  }
}

/** What the comparison of one or more captures came to. */
export interface Comparison {
  total: number;
  same: number;
  /** One line a difference. */
  readonly differences: string[];
  /** Names that we read and nDPI does not print, of flows that nDPI lists. */
  readonly onlyOurs: string[];
}

/** Compares our names with nDPI's. */
export async function compareCapture(path: string, expected: string, into: Comparison): Promise<void> {
  const harness = new NameHarness();
  let problem = "";
  try {
    await harness.run(path);
  } catch (error) {
    problem = String(error);
  }
  const file = path.slice(path.lastIndexOf("/") + 1);
  const ours = new Map<string, OurFlow[]>();
  for (const flow of harness.flows) {
    const list = ours.get(flow.key);
    if (list === undefined) ours.set(flow.key, [flow]);
    else list.push(flow);
  }
  for (const flow of readNdpiFlows(expected)) {
    const candidates = ours.get(flow.key) ?? [];
    if (!isNamedFlow(flow)) {
      const named = candidates.find((candidate) => candidate.name !== "");
      if (named !== undefined && flow.name === "") {
        into.onlyOurs.push(`${file}: ${flow.key} (${flow.protocol}): ${named.name} from ${named.protocol}`);
      }
      continue;
    }
    into.total++;
    if (candidates.some((candidate) => candidate.name === flow.name.toLowerCase())) into.same++;
    else {
      const said = candidates.map((candidate) => `${candidate.name || "nothing"} (${candidate.reason})`).join(", ");
      into.differences.push(
        `${file}: ${flow.key} (${flow.protocol}): nDPI ${flow.name}, ours ${said || "no such flow"} ${problem}`.trim(),
      );
    }
  }
}
