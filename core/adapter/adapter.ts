/** The waist: whatever packets come from and go to looks like this. */
import type { Micros } from "../base/micros.ts";
import type { Arena, Slot } from "./arena.ts";

/** What a device can do, so that nobody needs to know which one it is. */
export interface Capabilities {
  /** `tun`: this end is the network, every packet is ours to answer. `divert`: packets are borrowed and go back unless we keep them. */
  readonly kind: "tun" | "divert";
  /** Units: bytes of an IP packet. */
  readonly mtu: number;
  /** Packets worth handing over at once. */
  readonly batch: number;
  /** True when checksums of received packets may be wrong because hardware fills or has checked them. */
  readonly checksumsVouched: boolean;
  /** True when the device fills the checksums of sent TCP and UDP packets; what stands there does not matter. */
  readonly checksumsComputed?: boolean;
  /** Largest sent packet that the device cuts into segments of `Arena.segmentBytes`. Units: bytes of an IP packet; absent: it cuts nothing. */
  readonly segmentationBytesMax?: number;
}

/** A source and sink of IP packets: Wintun, WinDivert, Linux TUN, NFQUEUE, a replayed capture, a virtual link. */
export interface Adapter {
  readonly capabilities: Capabilities;
  /** Fills free slots with what is there, in order; returns how many. 0 means nothing now. */
  receive(arena: Arena, now: Micros): number;
  /** Sends a slot's packet; the slot stays the caller's. False: the device is full and the packet is lost. */
  send(arena: Arena, slot: Slot, now: Micros): boolean;
  /** For hosts only: resolves when `receive` may have something, rejects when the device is gone. */
  ready(): Promise<void>;
  close(): void;
  /** When `receive` wants to be called although `ready` is silent: a wrapper holds packets back. Absent or `NEVER`: it holds none. */
  readonly nextDue?: Micros;
}
