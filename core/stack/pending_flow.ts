/**
 * A TCP flow whose SYN is there and not answered: whether it is answered, and how, is for its owner to say.
 *
 * Read first: RFC 9293 section 3.10.7.2 (LISTEN STATE), which answers at once; here the answer waits for the far side.
 */
import type { Micros } from "../base/micros.ts";
import { DESTINATION, type PacketMeta, SOURCE } from "../parse/packet_meta.ts";
import { copyBytes } from "../base/byte_ring.ts";
import * as ipv4 from "../wire/ipv4.ts";
import * as ipv6 from "../wire/ipv6.ts";
import * as tcp from "../wire/tcp.ts";
import { type EndpointIndex, NO_ENDPOINT } from "./flow_demux.ts";
import type { Unreachable } from "./icmp_output.ts";
import type { TcpConnection } from "./tcp/connection.ts";
import type { SynFacts } from "./tcp/syn_facts.ts";
import type { TcpOptions } from "./tcp/tcp_options.ts";

/** Who carries a decision out. */
export interface PendingHost {
  acceptPending(pending: PendingFlow, options: Partial<TcpOptions> | undefined, now: Micros): TcpConnection | undefined;
  refusePending(pending: PendingFlow, now: Micros): void;
  unreachablePending(pending: PendingFlow, why: Unreachable, now: Micros): void;
  ignorePending(pending: PendingFlow): void;
}

/** A flow that waits for its owner's decision. Each decision counts once; what comes after it does nothing. */
export class PendingFlow {
  /** The stack's own index of the flow; −1 once it is decided, or the peer gave up. */
  index: EndpointIndex;
  readonly version: 4 | 6;
  /** Shape: four words, IPv4 as ::ffff:a.b.c.d. The address that the peer wanted to reach. */
  readonly localAddress: Uint32Array;
  readonly localPort: number;
  /** Shape: as `localAddress`. The peer. */
  readonly remoteAddress: Uint32Array;
  readonly remotePort: number;
  readonly startedAt: Micros;
  /** What the caller of `Stack.receive` gave with the packet: a flow's id. */
  readonly tag: number;
  /** What the SYN said. */
  readonly syn: SynFacts;
  /** True when the SYN was answered with a cookie under a flood, so that the handshake is over. */
  readonly isEstablished: boolean;
  /** Headers of the SYN, or of the ACK that brought the cookie back: IP without options or extensions, TCP with its options. */
  readonly packet: Uint8Array;
  readonly #host: PendingHost;

  constructor(
    index: EndpointIndex,
    view: DataView,
    bytes: Uint8Array,
    meta: PacketMeta,
    tag: number,
    syn: SynFacts,
    isEstablished: boolean,
    host: PendingHost,
    now: Micros,
  ) {
    this.index = index;
    this.version = meta.version;
    this.localAddress = meta.words.slice(DESTINATION, DESTINATION + 4);
    this.localPort = meta.destinationPort;
    this.remoteAddress = meta.words.slice(SOURCE, SOURCE + 4);
    this.remotePort = meta.sourcePort;
    this.startedAt = now;
    this.tag = tag;
    this.syn = syn;
    this.isEstablished = isEstablished;
    this.packet = createHeaders(view, bytes, meta);
    this.#host = host;
  }

  /** True while nothing is decided and the peer has not given up. */
  get isPending(): boolean {
    return this.index !== NO_ENDPOINT;
  }

  /** Answers the SYN: the handshake goes on. Undefined: the peer has given up, or waited for too long. */
  accept(now: Micros, options?: Partial<TcpOptions>): TcpConnection | undefined {
    return this.#host.acceptPending(this, options, now);
  }

  /** Answers with a reset: nobody listens there. */
  refuse(now: Micros): void {
    this.#host.refusePending(this, now);
  }

  /** Answers with an ICMP error. */
  unreachable(why: Unreachable, now: Micros): void {
    this.#host.unreachablePending(this, why, now);
  }

  /** Answers nothing; a repeated SYN is a new flow. */
  ignore(): void {
    this.#host.ignorePending(this);
  }
}

function createHeaders(view: DataView, bytes: Uint8Array, meta: PacketMeta): Uint8Array {
  const four = meta.version === 4;
  const ipLength = four ? ipv4.HEADER_BYTES : ipv6.HEADER_BYTES;
  const tcpLength = tcp.headerLength(view, meta.transportAt);
  const copy = new Uint8Array(ipLength + tcpLength);
  copyBytes(bytes, meta.ipAt, copy, 0, ipLength);
  copyBytes(bytes, meta.transportAt, copy, ipLength, tcpLength);
  if (four) {
    copy[0] = 0x45;
    copy[2] = 0;
    copy[3] = copy.length;
    copy[6] = 0x40;
    copy[7] = 0;
  } else {
    copy[4] = 0;
    copy[5] = tcpLength;
    copy[6] = tcp.PROTOCOL;
  }
  return copy;
}

/** A waiting flow of the packet in `meta`. */
export function createPending(
  index: EndpointIndex,
  view: DataView,
  bytes: Uint8Array,
  meta: PacketMeta,
  tag: number,
  syn: SynFacts,
  isEstablished: boolean,
  host: PendingHost,
  now: Micros,
): PendingFlow {
  return new PendingFlow(index, view, bytes, meta, tag, syn, isEstablished, host, now);
}
