/**
 * Reads the name of one flow in the flow's own bytes, until there is one, or there can be none.
 *
 *     Pending ──name──► Found
 *        └──no name can come: other protocol, server first, too long, too many packets──► None
 */
import { SNIFF_DATAGRAMS_MAX, SNIFF_SEGMENTS_MAX, SNIFF_SERVER_SEGMENTS_MAX } from "../base/limits.ts";
import type { SniffProtocol } from "./facts.ts";
import type { InitialCrypto } from "./sniff_crypto.ts";
import { type DatagramChoice, DatagramSniffer } from "./sniff_datagram.ts";
import { isSniffedPort, type SniffOptions, type SniffPorts } from "./sniff_options.ts";
import { createSniffResult, SniffReason, type SniffResult, SniffState } from "./sniff_result.ts";
import { type StreamChoice, StreamSniffer } from "./sniff_stream.ts";

export type { InitialCrypto } from "./sniff_crypto.ts";
export { createSniffOptions, type SniffOptions, type SniffPorts } from "./sniff_options.ts";
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

const Side = { None: 0, Client: 1, Server: 2 } as const;
type Side = (typeof Side)[keyof typeof Side];

function createStreamSniffer(choice: StreamChoice, options: SniffOptions, out: SniffResult): StreamSniffer {
  return new StreamSniffer(choice, options.budget, out);
}

function createDatagramSniffer(
  choice: DatagramChoice,
  initialCrypto: InitialCrypto,
  options: SniffOptions,
  out: SniffResult,
): DatagramSniffer {
  return new DatagramSniffer(choice, initialCrypto, options.budget, out);
}

function isWanted(ports: readonly SniffPorts[], port: number): boolean {
  return port < 0 ? ports.length > 0 : isSniffedPort(ports, port);
}

/** See the head of this file. One per flow, while its name is not known. */
export class FlowSniffer {
  readonly #options: SniffOptions;
  readonly #crypto: InitialCrypto;
  readonly #choice: StreamChoice & DatagramChoice;
  readonly #isTcp: boolean;
  readonly #out = createSniffResult();
  #client: StreamSniffer | undefined = undefined;
  /** Without a SYN, who opened the flow is a guess, so the other direction is read too. */
  #server: StreamSniffer | undefined = undefined;
  #clientDatagrams: DatagramSniffer | undefined = undefined;
  #serverDatagrams: DatagramSniffer | undefined = undefined;
  #state: SniffState = SniffState.Pending;
  #synSeen = false;
  #packetCount = 0;
  #serverCount = 0;
  /** Which side turned out to be an HTTP server. */
  #responseFrom: Side = Side.None;

  /** `destinationPort` decides which protocols the options want looked for; without it, all that have any port. */
  constructor(network: "tcp" | "udp", options: SniffOptions, initialCrypto: InitialCrypto, destinationPort = -1) {
    this.#options = options;
    this.#crypto = initialCrypto;
    this.#isTcp = network === "tcp";
    this.#choice = {
      tls: isWanted(options.tls, destinationPort),
      http: isWanted(options.http, destinationPort),
      socks: isWanted(options.socks, destinationPort),
      quic: isWanted(options.quic, destinationPort),
    };
    const choice = this.#choice;
    const wanted = this.#isTcp ? choice.tls || choice.http || choice.socks : choice.tls || choice.quic;
    if (wanted && options.enabled) return;
    this.#out.reason = SniffReason.NotWanted;
    this.#state = SniffState.None;
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
    if (this.#state !== SniffState.Pending || !this.#isTcp) return;
    this.#synSeen = true;
    this.#server?.dispose();
    this.#server = undefined;
    this.#client ??= createStreamSniffer(this.#choice, this.#options, this.#out);
    this.#client.begin((seq + 1) >>> 0);
  }

  /** A TCP segment with payload, in any order. */
  tcpSegment(fromClient: boolean, seq: number, view: DataView, at: number, length: number): SniffState {
    if (this.#state !== SniffState.Pending || length <= 0 || !this.#isTcp) return this.#state;
    if (++this.#packetCount > SNIFF_SEGMENTS_MAX) this.#finish(SniffReason.TooManyPackets);
    else this.#readSegment(fromClient, seq, view, at, length);
    return this.#release();
  }

  #readSegment(fromClient: boolean, seq: number, view: DataView, at: number, length: number): void {
    const padding = isPadding(view, at, length);
    if (fromClient) {
      const client = this.#client ??= createStreamSniffer(this.#choice, this.#options, this.#out);
      if (padding && client.isBeginning(seq)) return;
      if (this.#responseFrom === Side.Client) this.#countServer();
      else this.#settle(client.segment(seq, view, at, length), Side.Client);
    } else if (!padding) {
      this.#serverSegment(seq, view, at, length);
    }
  }

  /** A UDP datagram. */
  udpDatagram(fromClient: boolean, view: DataView, at: number, length: number): SniffState {
    if (this.#state !== SniffState.Pending || length <= 0 || this.#isTcp) return this.#state;
    if (++this.#packetCount > SNIFF_DATAGRAMS_MAX) this.#finish(SniffReason.TooManyPackets);
    else this.#readDatagram(fromClient, view, at, length);
    return this.#release();
  }

  #readDatagram(fromClient: boolean, view: DataView, at: number, length: number): void {
    const client = this.#clientDatagrams ??= createDatagramSniffer(
      this.#choice,
      this.#crypto,
      this.#options,
      this.#out,
    );
    if (fromClient) {
      this.#state = client.datagram(view, at, length);
    } else if (!client.recognised) {
      const server = this.#serverDatagrams ??= createDatagramSniffer(
        this.#choice,
        this.#crypto,
        this.#options,
        this.#out,
      );
      if (server.datagram(view, at, length) === SniffState.Found) this.#state = SniffState.Found;
    }
  }

  /** The flow is closing, or nobody waits any longer: decides with what is there. */
  finish(): SniffState {
    if (this.#state === SniffState.Pending) this.#finish(SniffReason.Finished);
    return this.#release();
  }

  /** Gives the memory back; what was found stays readable. A decided sniffer has given it back already. */
  dispose(): void {
    if (this.#state === SniffState.Pending) {
      this.#out.reason = SniffReason.Finished;
      this.#state = SniffState.None;
    }
    this.#release();
  }

  #release(): SniffState {
    if (this.#state === SniffState.Pending) return this.#state;
    this.#client?.dispose();
    this.#server?.dispose();
    this.#clientDatagrams?.dispose();
    this.#serverDatagrams?.dispose();
    return this.#state;
  }

  /**
   * A server that speaks before its client is of a protocol that names nothing; one that answers shows what we missed.
   * Without a SYN the "server" may be the client of a connection that is older than the capture.
   */
  #serverSegment(seq: number, view: DataView, at: number, length: number): void {
    const clientSpoke = this.#client !== undefined && this.#client.seen;
    if (clientSpoke && this.#server === undefined && this.#responseFrom !== Side.Client) {
      this.#countServer();
    } else if (this.#synSeen) {
      this.#out.reason = SniffReason.ServerFirst;
      this.#state = SniffState.None;
    } else {
      this.#server ??= createStreamSniffer(this.#choice, this.#options, this.#out);
      if (this.#responseFrom === Side.Server) this.#countServer();
      else this.#settle(this.#server.segment(seq, view, at, length), Side.Server);
    }
  }

  #countServer(): void {
    if (++this.#serverCount < SNIFF_SERVER_SEGMENTS_MAX || (this.#client !== undefined && this.#client.isSocks)) return;
    this.#finish(SniffReason.Hole);
  }

  /** Takes a direction's state as the flow's, but for an HTTP response at the beginning of a capture: a request may still come. */
  #settle(state: SniffState, side: Side): void {
    const waits = state === SniffState.None && this.#out.reason === SniffReason.Response && !this.#synSeen &&
      this.#responseFrom === Side.None;
    if (waits) this.#responseFrom = side;
    else this.#state = state;
  }

  #finish(reason: SniffReason): void {
    this.#out.reason = reason;
    let state = this.#finishOne(this.#client ?? this.#clientDatagrams, reason);
    if (state !== SniffState.Found) state = this.#finishOne(this.#server ?? this.#serverDatagrams, reason);
    this.#state = state;
  }

  #finishOne(sniffer: StreamSniffer | DatagramSniffer | undefined, reason: SniffReason): SniffState {
    return sniffer === undefined ? SniffState.None : sniffer.finish(reason);
  }
}
