/**
 * A reset on a connection that Deno holds: Deno only closes, which tells the other side that all was well.
 *
 * Read first: connect(2). Connecting a TCP socket to AF_UNSPEC takes its connection away, and Linux tells the peer with a reset (RFC 9293
 * section 3.10.5, ABORT). Deno does not tell the number of its descriptor; the connection's two ends do.
 */
import { parseIp } from "../../core/base/ip_address.ts";
import { DESCRIPTOR_GAP_MAX } from "../../core/base/limits.ts";
import type { SocketEnd } from "../../core/host/duplex.ts";
import * as layout from "./layout.ts";
import { Libc } from "./libc.ts";
import { addressBytes } from "./netlink.ts";

/** Room for either kind of address. Units: bytes. */
const ADDRESS_BYTES = layout.Size.sockaddr_in6;

/** Finds and resets connections of this process. */
export class SocketResetter {
  readonly #libc = Libc.open();
  readonly #found = new Uint8Array(ADDRESS_BYTES);
  readonly #length = new Uint32Array(1);
  readonly #nowhere = new Uint8Array(layout.Size.sockaddr_in);

  /** Resets the connection between two ends; false when there is none. Its holder closes it afterwards. */
  reset(local: SocketEnd, remote: SocketEnd): boolean {
    const { getsockname, getpeername, connect } = this.#libc.calls;
    const [here, there] = [socketAddress(local), socketAddress(remote)];
    if (here === undefined || there === undefined) return false;
    let gap = 0;
    for (let fd = 3; gap < DESCRIPTOR_GAP_MAX; fd++) {
      this.#length[0] = ADDRESS_BYTES;
      if (getsockname(fd, this.#found, this.#length) < 0) {
        gap++;
        continue;
      }
      gap = 0;
      if (!this.#isFound(here)) continue;
      this.#length[0] = ADDRESS_BYTES;
      if (getpeername(fd, this.#found, this.#length) < 0 || !this.#isFound(there)) continue;
      return connect(fd, this.#nowhere, this.#nowhere.length) === 0;
    }
    return false;
  }

  /** Compares family, port and address; what else an IPv6 address holds (flow, zone) does not matter. */
  #isFound(wanted: Uint8Array): boolean {
    if (this.#length[0] !== wanted.length) return false;
    for (let at = 0; at < wanted.length; at++) {
      const isAside = wanted.length === layout.Size.sockaddr_in6 && ((at >= 4 && at < 8) || at >= 24);
      if (!isAside && this.#found[at] !== wanted[at]) return false;
    }
    return true;
  }

  [Symbol.dispose](): void {
    this.#libc[Symbol.dispose]();
  }
}

/** A `sockaddr_in` or `sockaddr_in6`; undefined when the text is no address. */
function socketAddress({ hostname, port }: SocketEnd): Uint8Array | undefined {
  const ip = parseIp(hostname);
  if (ip === undefined) return undefined;
  const isV4 = ip.version === 4;
  const bytes = new Uint8Array(isV4 ? layout.Size.sockaddr_in : layout.Size.sockaddr_in6);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, isV4 ? layout.AF_INET : layout.AF_INET6, true);
  view.setUint16(2, port);
  bytes.set(addressBytes(ip), isV4 ? 4 : 8);
  return bytes;
}
