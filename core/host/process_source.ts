/** Where owners of local sockets are looked up: the system's tables, or what a device has heard of. */
import type { ProcessOwner } from "../act/command.ts";
import type { IpAddress } from "../base/ip_address.ts";

/** A flow as its local side sees it. */
export interface LocalSocket {
  readonly network: "tcp" | "udp";
  readonly localIp: IpAddress;
  readonly localPort: number;
  readonly remoteIp: IpAddress;
  readonly remotePort: number;
  /** True when the far side opened the flow, so that a listening socket may be its owner. */
  readonly isAccepting?: boolean;
}

/** One source of owners. Its calls return at once. */
export interface ProcessSource {
  /** The number of the process that has the socket; undefined when none has it. */
  findOwner(socket: LocalSocket): number | undefined;
  /** What is known of a process; undefined when it is gone. */
  describe(processId: number): ProcessOwner | undefined;
  /** True when an address is one of this machine's. A source without it is asked about every flow. */
  isLocal?(ip: IpAddress): boolean;
}
