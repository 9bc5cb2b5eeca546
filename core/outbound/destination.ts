/**
 * Destinations as SOCKS 5, Shadowsocks and Trojan write them.
 *
 * Read first: RFC 1928 sections 4 and 5; https://shadowsocks.org/doc/what-is-shadowsocks.html (the same form).
 *
 *     type │ address                          │ port
 *     01   │ 4 bytes                          │ 2 bytes, big-endian
 *     03   │ length (1 byte) │ so many bytes  │
 *     04   │ 16 bytes                         │
 */
import { formatIp, ipFromWords } from "../base/ip_address.ts";
import { HOST_NAME_LENGTH_MAX } from "../base/limits.ts";
import type { Destination } from "./tunnel.ts";

const IPV4 = 1;
const NAME = 3;
const IPV6 = 4;

/** A destination and how many bytes it took. */
export interface ReadDestination {
  readonly destination: Destination;
  readonly length: number;
}

/** The bytes of an address. Shape: 4 or 16 bytes. */
export function addressBytes(address: NonNullable<Destination["address"]>): Uint8Array {
  const view = new DataView(new ArrayBuffer(address.version === 4 ? 4 : 16));
  if (address.version === 4) view.setUint32(0, address.w3);
  else [address.w0, address.w1, address.w2, address.w3].forEach((word, i) => view.setUint32(4 * i, word));
  return new Uint8Array(view.buffer);
}

/** True for a name that can be written: not empty, short enough, and nothing in it that ends or splits lines. */
export function isWritableHost(host: string): boolean {
  return host.length > 0 && host.length <= HOST_NAME_LENGTH_MAX && /^[\x21-\x7e]+$/.test(host);
}

/** Writes a destination; the name goes before the address, as the server knows better where it is nearest. Undefined when it has neither. */
export function writeDestination({ address, host, port }: Destination): Uint8Array | undefined {
  let head: Uint8Array;
  if (isWritableHost(host)) {
    head = new Uint8Array(2 + host.length);
    head[0] = NAME;
    head[1] = host.length;
    for (let i = 0; i < host.length; i++) head[2 + i] = host.charCodeAt(i);
  } else if (address !== undefined) {
    const bytes = addressBytes(address);
    head = new Uint8Array(1 + bytes.length);
    head[0] = address.version === 4 ? IPV4 : IPV6;
    head.set(bytes, 1);
  } else return undefined;
  const whole = new Uint8Array(head.length + 2);
  whole.set(head);
  whole[head.length] = port >>> 8;
  whole[head.length + 1] = port & 0xff;
  return whole;
}

/** How long the destination is whose first bytes these are; 0 while more is needed to know, −1 when it is none. Units: bytes. */
export function destinationLength(type: number | undefined, nameLength: number | undefined): number {
  if (type === undefined) return 0;
  if (type === IPV4) return 7;
  if (type === IPV6) return 19;
  if (type !== NAME) return -1;
  return nameLength === undefined ? 0 : nameLength + 4;
}

/** Reads a destination at `at`. Undefined when it is cut short or none. */
export function readDestination(bytes: Uint8Array, at = 0): ReadDestination | undefined {
  const length = destinationLength(bytes[at], bytes[at + 1]);
  if (length <= 0 || at + length > bytes.length) return undefined;
  const port = (bytes[at + length - 2]! << 8) | bytes[at + length - 1]!;
  if (bytes[at] === NAME) {
    let host = "";
    for (let i = at + 2; i < at + length - 2; i++) host += String.fromCharCode(bytes[i]!);
    return { destination: { address: undefined, host, port }, length };
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset + at + 1, length - 3);
  const address = bytes[at] === IPV4
    ? ipFromWords(0, 0, 0xffff, view.getUint32(0))
    : ipFromWords(view.getUint32(0), view.getUint32(4), view.getUint32(8), view.getUint32(12));
  return { destination: { address, host: "", port }, length };
}

/** A destination for messages: `example.org:443`, `[::1]:53`. */
export function formatDestination({ address, host, port }: Destination): string {
  if (host !== "") return `${host}:${port}`;
  if (address === undefined) return `?:${port}`;
  return address.version === 6 ? `[${formatIp(address)}]:${port}` : `${formatIp(address)}:${port}`;
}
