/**
 * The two borders of a connection: where its segments go, and whom it tells about itself. The stack implements both.
 */
import type { BufferPool } from "../../base/byte_ring.ts";
import type { Micros } from "../../base/micros.ts";
import type { Slot } from "../../adapter/arena.ts";
import type { ReplyCredit } from "../reply_credit.ts";

/** What the stack needs to know of a connection to address, schedule and forget it. `TcpConnection` is one. */
export interface ConnectionIdentity {
  /** The stack's own index of the connection; the connection never reads it. */
  id: number;
  readonly version: 4 | 6;
  /** Shape: four 32-bit words, IPv4 as ::ffff:a.b.c.d. */
  readonly localAddress: Uint32Array;
  /** Shape: four 32-bit words, IPv4 as ::ffff:a.b.c.d. */
  readonly remoteAddress: Uint32Array;
  readonly localPort: number;
  readonly remotePort: number;
  /** True when routers may cut its IPv4 packets: the path is narrower than any MTU that we go down to. */
  readonly mayFragment: boolean;
  /** When `timer()` wants to be called; `NEVER` when no timer runs. */
  readonly deadline: Micros;
}

/** Turns segments into packets: IP header, checksums, device. */
export interface SegmentOutput {
  /** The bytes that all slots lie in. */
  readonly bytes: Uint8Array;
  /** One view over `bytes`. */
  readonly view: DataView;
  /** A slot to build in, or `NO_SLOT`: then the segment counts as lost, and timers repeat it. */
  acquire(): Slot;
  /** Where the TCP header goes in a slot, for the connection's IP version. */
  transportAt(slot: Slot, version: 4 | 6): number;
  /**
   * Adds the IP header (ECN bits, TTL, id) and the checksum, sends and releases the slot. `tcpLength` is TCP header, options and payload.
   * `segmentBytes` is the payload of each segment that the device shall cut a super-segment into, 0 when the slot is one segment.
   */
  send(
    slot: Slot,
    connection: ConnectionIdentity,
    tcpLength: number,
    ecn: number,
    segmentBytes: number,
    now: Micros,
  ): void;
  /** Most payload of a super-segment, when the device cuts them (GSO); 0: one MSS a slot. Units: bytes. */
  readonly segmentBytesMax: number;
}

/** What a connection tells its stack. */
export interface ConnectionHost {
  /** Memory of the connections' rings. */
  readonly buffers: BufferPool;
  /** What answers to strangers are paid from; undefined: they are not bounded. */
  readonly credit?: ReplyCredit | undefined;
  /** Put me on the ready ring. Called when an event bit appears that was not set; `takeEvents()` clears them. */
  eventsChanged(connection: ConnectionIdentity): void;
  /** My next timer moved: read `connection.deadline`. */
  deadlineChanged(connection: ConnectionIdentity): void;
  /** I entered TIME-WAIT; my rings are released. The stack may keep me or forget me when it lacks room. */
  timeWait(connection: ConnectionIdentity, now: Micros): void;
  /** I am in CLOSED for good: forget me. What the application still holds stays readable. */
  closed(connection: ConnectionIdentity, now: Micros): void;
  /** Secret randomness. Units: 0 … 2³²−1. */
  uint32(): number;
  /** The first sequence number of a connection. Source: RFC 6528, `isn.ts`. */
  initialSequence(connection: ConnectionIdentity, now: Micros): number;
  /** The MTU of the device towards the connection's remote address. Units: bytes of an IP packet; 0: not known. */
  pathMtu(connection: ConnectionIdentity): number;
}
