/**
 * Destinations as VMess and VLESS write them: the port first, and types of their own.
 *
 * Read first: "VMess protocol", https://www.v2fly.org/developer/protocols/vmess.html, "command section".
 *
 *     port (2, big-endian) │ 01 IPv4 (4) │ 02 length (1) name │ 03 IPv6 (16)
 */
import { addressBytes, isWritableHost } from "./destination.ts";
import type { Destination } from "./tunnel.ts";

const IPV4 = 1;
const NAME = 2;
const IPV6 = 3;

/** Writes a destination. Undefined when it has neither a name nor an address. */
export function writePortAddress({ address, host, port }: Destination): Uint8Array | undefined {
  const head = [port >>> 8, port & 0xff];
  if (isWritableHost(host)) {
    return Uint8Array.of(...head, NAME, host.length, ...Array.from(host, (char) => char.charCodeAt(0)));
  }
  if (address === undefined) return undefined;
  return Uint8Array.of(...head, address.version === 4 ? IPV4 : IPV6, ...addressBytes(address));
}
