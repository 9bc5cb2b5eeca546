/** The host under test: a stack, its clock, and the packets that it sent. */
import type { Micros } from "../../core/base/micros.ts";
import type { NetPort } from "./net_port.ts";
import type { LivePacket } from "./packet_decode.ts";

/** What a script plays against. `virtual_host.ts` makes one of weir's stack. */
export interface Host extends NetPort {
  readonly now: Micros;
  /** Packets that the stack sent and the script has not looked at, oldest first. */
  readonly sent: LivePacket[];
  /** Something that may never happen: a packet that is not sound, too many packets. */
  readonly fault: string | undefined;
  /** Hands a packet to the stack, now. */
  inject(bytes: Uint8Array): void;
  /** Runs what is due now, and answers when the stack wants to run again. */
  settle(): Micros;
  /** Moves the clock, which never goes back; nothing may be due before. */
  moveTo(at: Micros): void;
}
