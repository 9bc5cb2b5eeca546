/** Addresses of a scripted world: the host under test, and the rest of the Internet that the script plays. */
import type { IpAddress } from "../../core/base/ip_address.ts";

/** The two ends as the wire sees them. */
export interface Endpoints {
  readonly version: 4 | 6;
  /** Where the stack is. */
  readonly local: IpAddress;
  readonly localPort: number;
  /** Where the script is. */
  readonly remote: IpAddress;
  readonly remotePort: number;
}

/** An address as four words, IPv4 as ::ffff:a.b.c.d. */
export function wordsOf(ip: IpAddress): Uint32Array {
  return new Uint32Array([ip.w0, ip.w1, ip.w2, ip.w3]);
}
