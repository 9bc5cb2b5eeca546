/** What WinDivert tells about a packet or an event beside its bytes. */
import type { FilterLayer } from "./layer.ts";

/**
 * The facts of a WINDIVERT_ADDRESS that a filter can test. Absent ones count as zero or false.
 *
 * `layer` says what the address describes; without it, bytes mean a network packet, and no bytes an event of the filter's own layer.
 * Source: WinDivert 2.2 `WINDIVERT_ADDRESS`.
 */
export interface FilterAddress {
  readonly layer?: FilterLayer;
  /** WinDivert's event number: 0 packet, 1 established, 2 deleted, 3 bind, 4 connect, 5 listen, 6 accept, 7 close, 8 open, 9 close. */
  readonly event?: number;
  readonly outbound?: boolean;
  readonly loopback?: boolean;
  readonly impostor?: boolean;
  readonly sniffed?: boolean;
  /** Must agree with the packet, or nothing matches. Absent: as the packet says. */
  readonly ipv6?: boolean;
  readonly ipChecksum?: boolean;
  readonly tcpChecksum?: boolean;
  readonly udpChecksum?: boolean;
  /** Units: ticks of the performance counter, a signed 64-bit number. A number is faster than a bigint. */
  readonly timestamp?: number | bigint;

  /** Network layers: the interface. */
  readonly ifIdx?: number;
  readonly subIfIdx?: number;

  /** Flow and socket layers. */
  readonly endpointId?: number | bigint;
  readonly parentEndpointId?: number | bigint;
  readonly protocol?: number;
  /** Shape: four 32-bit words, least significant first, as in the struct; IPv4 as ::ffff:a.b.c.d. */
  readonly localAddr?: ArrayLike<number>;
  readonly remoteAddr?: ArrayLike<number>;
  readonly localPort?: number;
  readonly remotePort?: number;
  /** Flow, socket and reflect layers. */
  readonly processId?: number;

  /** Reflect layer: the layer and priority of the handle that was opened or closed. */
  readonly reflectLayer?: FilterLayer;
  readonly priority?: number;
}
