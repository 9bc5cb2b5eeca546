/**
 * A packet's meta becomes its flow, and the flow's facts grow: who opened it, what it is called, how it stands.
 *
 * Read first: RFC 9293 section 3.3.2 (states), as far as an observer can tell them.
 */
import type { Arena, Slot } from "../adapter/arena.ts";
import type { IpAddress } from "../base/ip_address.ts";
import { type Micros, SECOND_US } from "../base/micros.ts";
import { DNS_TCP_STREAM_COUNT_MAX } from "../base/limits.ts";
import { type PacketMeta, SEQUENCE } from "../parse/packet_meta.ts";
import { seqAdd } from "../wire/seq.ts";
import * as tcp from "../wire/tcp.ts";
import * as udp from "../wire/udp.ts";
import { DnsMemory } from "./dns_memory.ts";
import { DnsTcpReader } from "./dns_tcp.ts";
import type { FlowFacts } from "./facts.ts";
import { createRecord, fillEndpoints, type FlowRecord } from "./flow_record.ts";
import { type FlowIndex, FlowTable, IdleClass, NO_FLOW, Seen } from "./flow_table.ts";
import { FlowSniffer, type InitialCrypto, type SniffOptions, SniffState } from "./sniffer.ts";

const DNS_PORT = 53;
/** A SYN this long after a flow's first packet belongs to that flow, only late. Units: µs. */
const LATE_SYN_US = 3 * SECOND_US;

/** Who hears of flows that come and go. */
export interface FlowObserver {
  /** A flow has its record and its endpoints; nothing is decided yet. */
  flowStarted(flow: FlowIndex, record: FlowRecord): void;
  /** A flow is about to leave the table; its columns and its record are still whole. */
  flowEnding(flow: FlowIndex, record: FlowRecord): void;
}

/** Which flows are looked into for their names, and which names count; asked once a flow. */
export interface NamePolicy {
  /** False: the flow's bytes are not looked into. Called with endpoints and the name DNS gave. */
  wantsSniff(facts: FlowFacts): boolean;
  /** True when the flow's own bytes are waited for although DNS gave a name. Source: Clash `sniffer.force-dns-mapping`. */
  prefersSniffed(facts: FlowFacts): boolean;
  /** False for a sniffed name that is not to be used. Source: Clash `sniffer.skip-domain`. */
  accepts(host: string): boolean;
}

/** Addresses that stand for names because weir's own DNS server gave them out, and names that it gave real addresses for. */
export interface GivenNames {
  /** True for an address that nobody can be reached at. */
  isFake(address: IpAddress): boolean;
  /** The name that was asked for; undefined when none was. */
  nameOf(address: IpAddress, now: Micros): string | undefined;
}

/** How names are read, and what the flows are called. */
export interface ClassifierOptions {
  /** Clash inbound type of every flow. */
  readonly type: string;
  readonly sniff: SniffOptions;
  readonly crypto: InitialCrypto;
  readonly names: NamePolicy;
  /** What weir's own DNS server knows; absent when there is none. */
  readonly given?: GivenNames | undefined;
  /** Makes hashes unpredictable. Units: 32 bits. */
  readonly secret: number;
  /** Closed TCP flows that are remembered at once; as many as there is room for unless said otherwise. */
  readonly closedFlowsMax?: number | undefined;
}

/** The flow table, the name memory and the sniffers behind one call. */
export class Classifier {
  readonly table: FlowTable;
  readonly dns: DnsMemory = new DnsMemory();
  /** Shape: indexed by flow. */
  readonly records: (FlowRecord | undefined)[];
  readonly #options: ClassifierOptions;
  readonly #observer: FlowObserver;
  readonly #dnsStreams = new Map<FlowIndex, DnsTcpReader>();
  /** Shape: [next flow id, 1 when the last packet went from source to destination, flow of the last packet, packets]. */
  readonly #state = new Float64Array(4);

  constructor(options: ClassifierOptions, observer: FlowObserver) {
    this.#options = options;
    this.#observer = observer;
    this.table = new FlowTable(options.secret, undefined, options.closedFlowsMax);
    this.records = new Array<FlowRecord | undefined>(this.table.capacity).fill(undefined);
  }

  /** True when the packet last classified goes from the side that opened its flow to the other. */
  get fromSource(): boolean {
    return this.#state[1] === 1;
  }

  /** The flow of the packet last classified. */
  get lastFlow(): FlowIndex {
    return this.#state[2]!;
  }

  /** Packets and datagrams classified so far. */
  get classifiedCount(): number {
    return this.#state[3]!;
  }

  /**
   * Finds or makes the flow of a TCP or UDP packet and updates what is known of it. `packetCount` is how many packets it came in:
   * more than 1 for a datagram put together from fragments.
   */
  classify(arena: Arena, slot: Slot, meta: PacketMeta, packetCount: number, now: Micros): FlowIndex {
    const table = this.table;
    let flow = table.find(meta);
    const isTcp = meta.protocol === tcp.PROTOCOL;
    if (flow !== NO_FLOW && isTcp && (meta.flags & (tcp.SYN | tcp.ACK)) === tcp.SYN) {
      flow = this.#onSyn(flow, meta, now);
    }
    if (flow === NO_FLOW) flow = this.#start(arena, slot, meta, now);
    const fromSource = table.isFromSource(flow, meta);
    this.#state[1] = fromSource ? 1 : 0;
    this.#state[2] = flow;
    this.#state[3] = this.#state[3]! + 1;
    table.packets[flow] = table.packets[flow]! + packetCount;
    if (fromSource) table.upload[flow] = table.upload[flow]! + meta.payloadLength;
    else table.download[flow] = table.download[flow]! + meta.payloadLength;
    table.touch(flow, now);
    if (isTcp) this.#observeTcp(flow, meta, fromSource);
    const record = this.records[flow]!;
    if (record.sniffer !== undefined) this.#sniff(record, arena, meta, fromSource, isTcp);
    if (meta.payloadLength > 0) this.#learnDns(flow, arena, meta, isTcp, now);
    return flow;
  }

  /** Ends a flow: the observer hears of it, then it leaves the table. */
  end(flow: FlowIndex): void {
    const record = this.records[flow]!;
    if (record.sniffer !== undefined) this.stopSniffing(record);
    this.#dnsStreams.get(flow)?.dispose();
    this.#dnsStreams.delete(flow);
    this.#observer.flowEnding(flow, record);
    this.records[flow] = undefined;
    this.table.remove(flow);
  }

  /** Takes what the flow's bytes have said so far as all they will say. */
  stopSniffing(record: FlowRecord): void {
    const sniffer = record.sniffer;
    if (sniffer === undefined) return;
    if (sniffer.state === SniffState.Pending) sniffer.finish();
    this.#takeName(record, sniffer);
  }

  #start(arena: Arena, slot: Slot, meta: PacketMeta, now: Micros): FlowIndex {
    const table = this.table;
    const reversed = meta.protocol === tcp.PROTOCOL && (meta.flags & (tcp.SYN | tcp.ACK)) === (tcp.SYN | tcp.ACK);
    let flow = table.create(meta, reversed, now);
    if (flow === NO_FLOW) {
      this.end(table.leastValuable());
      flow = table.create(meta, reversed, now);
    }
    const id = this.#state[0]!;
    this.#state[0] = id + 1;
    const record = createRecord(table, flow, id, now, this.#options.type, arena.tag[slot]!);
    const facts = record.facts;
    facts.dscp = meta.dscp;
    this.#recallName(record, now);
    if (this.#options.sniff.enabled && this.#options.names.wantsSniff(facts)) {
      record.sniffer = new FlowSniffer(facts.network, this.#options.sniff, this.#options.crypto, facts.destinationPort);
      facts.nameMayCome = record.sniffer.state === SniffState.Pending;
    }
    this.#judgeName(facts);
    if (meta.protocol === tcp.PROTOCOL && (meta.flags & tcp.SYN) !== 0 && !reversed) this.#noteSyn(flow, record, meta);
    this.records[flow] = record;
    this.#observer.flowStarted(flow, record);
    return flow;
  }

  /** Looks the destination up in what DNS said. */
  #recallName(record: FlowRecord, now: Micros): void {
    const facts = record.facts;
    if (facts.host !== "" || facts.destinationIp === undefined || this.#recallGiven(facts, facts.destinationIp, now)) {
      return;
    }
    const remembered = this.dns.nameOf(facts.destinationIp, now);
    if (remembered === undefined) return;
    facts.host = remembered.name;
    facts.hostAmbiguous = remembered.ambiguous;
    facts.dnsMode = "redir-host";
  }

  /** Looks the destination up among the addresses that weir gave out itself. True when that is all there is to know. */
  #recallGiven(facts: FlowFacts, address: IpAddress, now: Micros): boolean {
    const given = this.#options.given;
    if (given === undefined) return false;
    const isFake = given.isFake(address);
    const name = given.nameOf(address, now);
    if (!isFake && name === undefined) return false;
    facts.host = name ?? "";
    facts.dnsMode = isFake ? "fake-ip" : "redir-host";
    if (isFake) facts.destinationIp = undefined;
    return true;
  }

  /** A name from DNS is not final while the flow's own bytes may say better. */
  #judgeName(facts: FlowFacts): void {
    // A fake address stands for one name only.
    if (facts.host === "" || !facts.nameMayCome || facts.dnsMode === "fake-ip") facts.hostAmbiguous = false;
    else if (this.#options.names.prefersSniffed(facts)) facts.hostAmbiguous = true;
  }

  /** A SYN on a known tuple: a retransmission, the late first packet of this flow, or a new connection on used ports. */
  #onSyn(flow: FlowIndex, meta: PacketMeta, now: Micros): FlowIndex {
    const table = this.table;
    const seen = table.seen[flow]!;
    const record = this.records[flow]!;
    const closed = (seen & Seen.Reset) !== 0 || (seen & (Seen.SourceFin | Seen.DestinationFin)) !== 0;
    if ((seen & Seen.Syn) === 0 && !closed && now - record.start <= LATE_SYN_US) {
      if (!table.isFromSource(flow, meta)) {
        table.reverse(flow, meta);
        fillEndpoints(record.facts, table, flow);
        this.#recallName(record, now);
        this.#judgeName(record.facts);
      }
      this.#noteSyn(flow, record, meta);
      return flow;
    }
    const same = table.isFromSource(flow, meta) && table.initialSequence[flow] === meta.words[SEQUENCE] &&
      (seen & Seen.Syn) !== 0;
    if (same) return flow;
    // Both sides sent a SYN and no one data: a simultaneous open, still one flow. Source: RFC 9293 section 3.5.
    if (!closed && (seen & (Seen.Data | Seen.SynAck)) === 0 && !table.isFromSource(flow, meta)) return flow;
    this.end(flow);
    return NO_FLOW;
  }

  #noteSyn(flow: FlowIndex, record: FlowRecord, meta: PacketMeta): void {
    this.table.seen[flow] = this.table.seen[flow]! | Seen.Syn;
    this.table.initialSequence[flow] = meta.words[SEQUENCE]!;
    if (record.sniffer !== undefined) record.sniffer.tcpSyn(meta.words[SEQUENCE]!);
  }

  #observeTcp(flow: FlowIndex, meta: PacketMeta, fromSource: boolean): void {
    const table = this.table;
    const before = table.seen[flow]!;
    const flags = meta.flags;
    let seen = before;
    if ((flags & (tcp.SYN | tcp.ACK)) === (tcp.SYN | tcp.ACK)) seen |= Seen.SynAck;
    if ((flags & tcp.RST) !== 0) seen |= Seen.Reset;
    if ((flags & tcp.FIN) !== 0) seen |= fromSource ? Seen.SourceFin : Seen.DestinationFin;
    if (meta.payloadLength > 0) seen |= Seen.Data;
    if (seen === before) return;
    table.seen[flow] = seen;
    const bothFins = (seen & Seen.SourceFin) !== 0 && (seen & Seen.DestinationFin) !== 0;
    if ((seen & Seen.Reset) !== 0 || bothFins) table.setClass(flow, IdleClass.TcpClosed);
    else if ((seen & (Seen.SynAck | Seen.Data)) !== 0) table.setClass(flow, IdleClass.TcpOpen);
  }

  #sniff(record: FlowRecord, arena: Arena, meta: PacketMeta, fromSource: boolean, isTcp: boolean): void {
    const sniffer = record.sniffer!;
    if (meta.payloadLength > 0) {
      if (isTcp) {
        const syn = (meta.flags & tcp.SYN) !== 0 ? 1 : 0;
        const sequence = seqAdd(meta.words[SEQUENCE]!, syn);
        sniffer.tcpSegment(fromSource, sequence, arena.view, meta.payloadAt, meta.payloadLength);
      } else sniffer.udpDatagram(fromSource, arena.view, meta.payloadAt, meta.payloadLength);
    }
    const closing = isTcp && (meta.flags & (tcp.FIN | tcp.RST)) !== 0;
    if (sniffer.state === SniffState.Pending && closing && fromSource) sniffer.finish();
    if (sniffer.state !== SniffState.Pending) this.#takeName(record, sniffer);
  }

  #takeName(record: FlowRecord, sniffer: FlowSniffer): void {
    const facts = record.facts;
    facts.nameMayCome = false;
    if (sniffer.host !== "" && this.#options.names.accepts(sniffer.host)) {
      facts.sniffHost = sniffer.host;
      facts.hostAmbiguous = false;
    }
    facts.sniffAddress = sniffer.address;
    facts.sniffProtocol = sniffer.protocol;
    facts.sniffEch = sniffer.ech;
    sniffer.dispose();
    record.sniffer = undefined;
  }

  /** Reads answers of DNS servers that pass by. */
  #learnDns(flow: FlowIndex, arena: Arena, meta: PacketMeta, isTcp: boolean, now: Micros): void {
    if (meta.sourcePort !== DNS_PORT) return;
    if (meta.protocol === udp.PROTOCOL) {
      this.dns.observeMessage(arena.view, meta.payloadAt, meta.payloadLength, now);
      return;
    }
    if (!isTcp) return;
    let stream = this.#dnsStreams.get(flow);
    if (stream === undefined) {
      if (this.#dnsStreams.size >= DNS_TCP_STREAM_COUNT_MAX) return;
      stream = new DnsTcpReader(this.dns);
      this.#dnsStreams.set(flow, stream);
    }
    stream.segment(meta.words[SEQUENCE]!, arena.view, meta.payloadAt, meta.payloadLength, now);
  }
}
