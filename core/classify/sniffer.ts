/**
 * Reads the name of one flow in the flow's own bytes, until there is one, or there can be none.
 *
 *     Pending ──name──► Found
 *        └──no name can come: other protocol, server first, too long, too many packets──► None
 */
import { SNIFF_DATAGRAMS_MAX, SNIFF_SEGMENTS_MAX, SNIFF_SERVER_SEGMENTS_MAX } from "../base/limits.ts";
import type { SniffProtocol } from "./facts.ts";
import type { InitialCrypto } from "./sniff_crypto.ts";
import { DatagramSniffer } from "./sniff_datagram.ts";
import { isSniffedPort, type SniffOptions } from "./sniff_options.ts";
import { createSniffResult, SniffReason, SniffState } from "./sniff_result.ts";
import { StreamSniffer } from "./sniff_stream.ts";

export type { InitialCrypto } from "./sniff_crypto.ts";
export { createSniffOptions, type SniffOptions } from "./sniff_options.ts";
export { SniffReason, SniffState } from "./sniff_result.ts";

/** An empty segment in the smallest Ethernet frame has this much padding, which some bridges count as payload. Units: bytes. */
const PADDING_BYTES_MAX = 6;

function isPadding(view: DataView, at: number, length: number): boolean {
  if (length > PADDING_BYTES_MAX) return false;
  for (let i = 0; i < length; i++) {
    if (view.getUint8(at + i) !== 0) return false;
  }
  return true;
}

/** See the head of this file. One per flow, while its name is not known. */
export class FlowSniffer {
  readonly #out = createSniffResult();
  readonly #client: StreamSniffer | undefined;
  /** Without a SYN, who opened the flow is a guess, so the other direction is read too. */
  readonly #server: StreamSniffer | undefined;
  readonly #clientDatagrams: DatagramSniffer | undefined;
  readonly #serverDatagrams: DatagramSniffer | undefined;
  #state: SniffState = SniffState.Pending;
  #synSeen = false;
  #packetCount = 0;
  #serverCount = 0;
  #clientDone = false;
  #serverDone = false;

  /** `destinationPort` decides which protocols the options want looked for; without it, all that have any port. */
  constructor(network: "tcp" | "udp", options: SniffOptions, initialCrypto: InitialCrypto, destinationPort = -1) {
    const any = destinationPort < 0;
    const tls = any ? options.tls.length > 0 : isSniffedPort(options.tls, destinationPort);
    const http = any ? options.http.length > 0 : isSniffedPort(options.http, destinationPort);
    const socks = any ? options.socks.length > 0 : isSniffedPort(options.socks, destinationPort);
    const quic = any ? options.quic.length > 0 : isSniffedPort(options.quic, destinationPort);
    const wanted = options.enabled && (network === "tcp" ? tls || http || socks : tls || quic);
    if (!wanted) {
      this.#out.reason = SniffReason.NotWanted;
      this.#state = SniffState.None;
    } else if (network === "tcp") {
      const choice = { tls, http, socks };
      this.#client = new StreamSniffer(choice, options.budget, this.#out);
      this.#server = new StreamSniffer(choice, options.budget, this.#out);
    } else {
      const choice = { quic, dtls: tls };
      this.#clientDatagrams = new DatagramSniffer(choice, initialCrypto, options.budget, this.#out);
      this.#serverDatagrams = new DatagramSniffer(choice, initialCrypto, options.budget, this.#out);
    }
  }

  /** Whether there is a name. */
  get state(): SniffState {
    return this.#state;
  }

  /** The name: lower case, no final dot; "" when there is none. */
  get host(): string {
    return this.#out.host;
  }

  /** The address that the client gave in place of a name (`Host: 192.0.2.1`), else "". Not to be trusted as the destination. */
  get address(): string {
    return this.#out.address;
  }

  /** Where the name was read. */
  get protocol(): SniffProtocol {
    return this.#out.protocol;
  }

  /** True when `host` is the outer name of a hello with an encrypted_client_hello extension; GREASE looks the same. */
  get ech(): boolean {
    return this.#out.ech;
  }

  /** Why the state is what it is. */
  get reason(): SniffReason {
    return this.#out.reason;
  }

  /** The client's SYN: its sequence number is one before the stream's first byte. */
  tcpSyn(seq: number): void {
    this.#synSeen = true;
    this.#client?.begin((seq + 1) >>> 0);
  }

  /** A TCP segment with payload, in any order. */
  tcpSegment(fromClient: boolean, seq: number, view: DataView, at: number, length: number): SniffState {
    if (this.#state !== SniffState.Pending || length <= 0 || this.#client === undefined) return this.#state;
    if (++this.#packetCount > SNIFF_SEGMENTS_MAX) return this.#finish(SniffReason.TooManyPackets);
    if (fromClient) {
      if (isPadding(view, at, length) && this.#client.isBeginning(seq)) return this.#state;
      if (!this.#clientDone) this.#onClient(this.#client.segment(seq, view, at, length));
      return this.#state;
    }
    if (isPadding(view, at, length)) return this.#state;
    if (this.#synSeen) return this.#serverSegment();
    if (!this.#serverDone) this.#onServer(this.#server!.segment(seq, view, at, length));
    return this.#state;
  }

  /** A UDP datagram. */
  udpDatagram(fromClient: boolean, view: DataView, at: number, length: number): SniffState {
    if (this.#state !== SniffState.Pending || length <= 0 || this.#clientDatagrams === undefined) return this.#state;
    if (++this.#packetCount > SNIFF_DATAGRAMS_MAX) return this.#finish(SniffReason.TooManyPackets);
    if (fromClient) {
      if (!this.#clientDone) this.#onClient(this.#clientDatagrams.datagram(view, at, length));
    } else if (!this.#serverDone && !this.#clientDatagrams.recognised) {
      this.#onServer(this.#serverDatagrams!.datagram(view, at, length));
    }
    return this.#state;
  }

  /** The flow is closing, or nobody waits any longer: decides with what is there. */
  finish(): SniffState {
    return this.#state === SniffState.Pending ? this.#finish(SniffReason.Finished) : this.#state;
  }

  /** Gives the memory back. What was found stays readable. */
  dispose(): void {
    this.#client?.dispose();
    this.#server?.dispose();
    this.#clientDatagrams?.dispose();
    this.#serverDatagrams?.dispose();
  }

  #onClient(state: SniffState): void {
    if (state === SniffState.Found) this.#state = state;
    else if (state === SniffState.None) {
      this.#clientDone = true;
      if (this.#isOver()) this.#state = state;
    }
  }

  #onServer(state: SniffState): void {
    if (state === SniffState.Found) this.#state = state;
    else if (state === SniffState.None) this.#serverDone = true;
    if (this.#serverDone && this.#clientDone) this.#state = SniffState.None;
  }

  /** The client's side has no name: the other one may have it when we do not know who opened the flow. */
  #isOver(): boolean {
    if (this.#synSeen || this.#serverDone || this.#out.reason !== SniffReason.Unrecognised) return true;
    const server = this.#server;
    if (server !== undefined) return server.seen && !server.recognised;
    return !this.#serverDatagrams!.recognised;
  }

  /** A server that speaks before its client is of a protocol that names nothing; one that answers shows what we missed. */
  #serverSegment(): SniffState {
    if (!this.#client!.seen) {
      this.#out.reason = SniffReason.ServerFirst;
      this.#state = SniffState.None;
    } else if (++this.#serverCount >= SNIFF_SERVER_SEGMENTS_MAX && !this.#client!.isSocks) {
      return this.#finish(SniffReason.Hole);
    }
    return this.#state;
  }

  #finish(reason: SniffReason): SniffState {
    let state: SniffState = SniffState.None;
    if (this.#client !== undefined) {
      state = this.#client.finish(reason);
      if (state !== SniffState.Found && !this.#synSeen) state = this.#server!.finish(reason);
    } else if (this.#clientDatagrams !== undefined) {
      state = this.#clientDatagrams.finish(reason);
      if (state !== SniffState.Found) state = this.#serverDatagrams!.finish(reason);
    }
    this.#state = state;
    return state;
  }
}
