/**
 * Datagrams of applications through proxies and back: one channel for each source and way out, so that every peer sees one address of it.
 *
 * Read first: RFC 4787 sections 4.1 and 5. Source for replies to fake addresses: mihomo tunnel/connection.go.
 */
import type { IpAddress } from "../base/ip_address.ts";
import { UDP_CHANNEL_COUNT_MAX, UDP_CHANNEL_PEERS_MAX } from "../base/limits.ts";
import type { Micros } from "../base/micros.ts";
import { formatDestination } from "../outbound/destination.ts";
import type { OutboundSettings } from "../outbound/settings.ts";
import type { Destination } from "../outbound/tunnel.ts";
import { type DatagramChannel, openChannel } from "./datagram_channel.ts";
import type { Outbounds } from "./outbounds.ts";
import type { UdpSource } from "./udp_relay.ts";

/** Where the application sent a datagram to: what it expects answers to come from. */
export interface OriginalPeer {
  readonly address: IpAddress;
  readonly port: number;
}

/** What this needs of the program around it. */
export interface UdpOutboundHost {
  now(): Micros;
  touched(): void;
  /** Hears why a way out ended; "" when it was closed on purpose. */
  closed?(why: string): void;
}

/** Datagrams that went, came, and came for nobody. */
export interface UdpOutboundCounts {
  sent: number;
  received: number;
  undelivered: number;
  /** Channels closed early to make room. */
  evicted: number;
}

/** One source's channel through one chain of proxies. */
interface Entry {
  readonly source: UdpSource;
  readonly key: string;
  readonly channel: DatagramChannel;
  /** What the application calls its peers, by what proxies call them; the one written longest ago goes first. */
  readonly peers: Map<string, OriginalPeer>;
  /** Names that were sent to and whose addresses nobody has told, by port. */
  readonly unnamed: Map<number, OriginalPeer>;
}

/** All sources' channels. */
export class UdpOutbounds {
  readonly counts: UdpOutboundCounts = { sent: 0, received: 0, undelivered: 0, evicted: 0 };
  readonly #outbounds: Outbounds;
  readonly #host: UdpOutboundHost;
  readonly #bySource = new Map<UdpSource, Map<string, Entry>>();
  #count = 0;

  constructor(outbounds: Outbounds, host: UdpOutboundHost) {
    this.#outbounds = outbounds;
    this.#host = host;
  }

  /** Channels that are open. */
  get channelCount(): number {
    return this.#count;
  }

  /** Sends a datagram through proxies; an empty chain goes straight out. The bytes are copied. */
  send(
    source: UdpSource,
    chain: readonly string[],
    destination: Destination,
    original: OriginalPeer,
    payload: Uint8Array,
  ): void {
    const entry = this.#entry(source, chain);
    if (entry === undefined) return;
    const { peers, unnamed } = entry;
    const name = formatDestination(destination);
    peers.delete(name);
    peers.set(name, original);
    if (peers.size > UDP_CHANNEL_PEERS_MAX) peers.delete(peers.keys().next().value!);
    if (destination.host !== "") unnamed.set(destination.port, original);
    if (unnamed.size > UDP_CHANNEL_PEERS_MAX) unnamed.delete(unnamed.keys().next().value!);
    this.counts.sent++;
    entry.channel.send(destination, payload.slice());
  }

  /** A source is gone: its channels are closed. */
  forget(source: UdpSource): void {
    for (const entry of [...this.#bySource.get(source)?.values() ?? []]) this.#close(entry);
  }

  close(): void {
    for (const source of [...this.#bySource.keys()]) this.forget(source);
  }

  /** Undefined when there is no such way; the datagram is lost then, as it must not go another one. */
  #entry(source: UdpSource, chain: readonly string[]): Entry | undefined {
    const key = chain.join("\n");
    const known = this.#bySource.get(source)?.get(key);
    if (known !== undefined) return known;
    let hops: readonly OutboundSettings[];
    try {
      hops = this.#outbounds.hopsOf(chain);
    } catch (error) {
      this.#host.closed?.(error instanceof Error ? error.message : String(error));
      return undefined;
    }
    if (this.#count >= UDP_CHANNEL_COUNT_MAX) this.#evict();
    const entry: Entry = {
      source,
      key,
      peers: new Map(),
      unnamed: new Map(),
      channel: openChannel(this.#outbounds, hops, {
        received: (from, payload) => this.#deliver(entry, from, payload),
        closed: (why) => {
          this.#forget(entry);
          this.#host.closed?.(why);
        },
      }),
    };
    const entries = this.#bySource.get(source) ?? new Map<string, Entry>();
    entries.set(key, entry);
    this.#bySource.set(source, entries);
    this.#count++;
    return entry;
  }

  #evict(): void {
    for (const entries of this.#bySource.values()) {
      for (const entry of entries.values()) {
        this.counts.evicted++;
        return this.#close(entry);
      }
    }
  }

  #deliver(entry: Entry, from: Destination, payload: Uint8Array): void {
    this.counts.received++;
    const peer = this.#peerOf(entry, from);
    if (peer === undefined || !entry.source.isOpen) {
      this.counts.undelivered++;
      if (!entry.source.isOpen) this.#close(entry);
      return;
    }
    const { w0, w1, w2, w3 } = peer.address;
    const words = new Uint32Array([w0, w1, w2, w3]);
    if (!entry.source.send(words, peer.port, payload, 0, payload.length, this.#host.now())) this.counts.undelivered++;
    this.#host.touched();
  }

  /** Whom the application takes a datagram to be from. */
  #peerOf({ peers, unnamed }: Entry, from: Destination): OriginalPeer | undefined {
    const name = formatDestination(from);
    const known = peers.get(name);
    if (known !== undefined) return known;
    const guessed = unnamed.get(from.port);
    if (guessed !== undefined) {
      // The first answer from that port tells which address the name has.
      unnamed.delete(from.port);
      peers.set(name, guessed);
      return guessed;
    }
    return from.address === undefined ? undefined : { address: from.address, port: from.port };
  }

  #close(entry: Entry): void {
    this.#forget(entry);
    entry.channel.close();
  }

  #forget(entry: Entry): void {
    const entries = this.#bySource.get(entry.source);
    if (entries?.get(entry.key) !== entry) return;
    entries.delete(entry.key);
    if (entries.size === 0) this.#bySource.delete(entry.source);
    this.#count--;
  }
}
