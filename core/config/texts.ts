/** The small texts that several sections of a configuration share: addresses with ports, prefixes, port ranges, name patterns. */
import { formatPrefix, type IpAddress, type IpPrefix, parseIp, parsePrefix } from "../base/ip_address.ts";
import { expected, parsed, type Reader } from "./schema.ts";

/** An address and a port. `any` stands for 0.0.0.0 in Clash. */
export interface AddressPort {
  readonly ip: IpAddress;
  readonly port: number;
}

/** An inclusive range of ports. */
export interface PortRange {
  readonly low: number;
  readonly high: number;
}

/** A pattern for host names: Clash's trie syntax, or a list that is kept elsewhere. */
export type NamePattern =
  | { readonly kind: "pattern"; readonly text: string }
  | { readonly kind: "geosite" | "rule-set"; readonly text: string };

/** A pattern for addresses: a prefix, or a list that is kept elsewhere. */
export type AddressPattern =
  | { readonly kind: "prefix"; readonly prefix: IpPrefix }
  | { readonly kind: "geoip" | "rule-set"; readonly text: string };

/** Reads a port in decimal digits. Errors: undefined. */
export function parsePort(text: string): number | undefined {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65535 ? Number(text) : undefined;
}

/** Reads `1.2.3.4:53` or `[::1]:53`. Errors: undefined. */
export function parseAddressPort(text: string): AddressPort | undefined {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const ip = parseIp(match[1] ?? match[2] ?? "");
  const port = parsePort(match[3] ?? "");
  return ip === undefined || port === undefined ? undefined : { ip, port };
}

/** An IP address. */
export const ipAddress: Reader<IpAddress> = parsed(parseIp, "an IP address");

/** An address block like 198.18.0.0/15. */
export const ipPrefix: Reader<IpPrefix> = parsed(parsePrefix, "an address block like 198.18.0.1/16");

/** An address block, or a single address that stands for a block of itself. */
export const ipPrefixOrAddress: Reader<IpPrefix> = parsed((text) => {
  const ip = parseIp(text);
  return ip === undefined ? parsePrefix(text) : { address: ip, bits: ip.version === 4 ? 32 : 128 };
}, "an address block like 10.0.0.0/8");

/** A port or a range of ports: `443`, `8000-9000`. */
export const portRange: Reader<PortRange> = parsed((text) => {
  const [low, high = low, ...more] = text.split("-").map((part) => parsePort(part.trim()));
  if (low === undefined || high === undefined || more.length > 0 || low > high) return undefined;
  return { low, high };
}, "a port or a range like 8000-9000");

/**
 * True for a name in Clash's trie syntax: labels, any of which may be `*`, after an optional `+.` or `.`. As lenient as Clash: real lists
 * hold names like "Mijia Cloud".
 * Source: mihomo component/trie/domain.go.
 */
export function isNamePattern(text: string): boolean {
  if (text.length > 255 || text.trim() !== text) return false;
  const labels = text.split(".");
  return labels.length === 1 ? text !== "" : labels.slice(1).every((label) => label !== "");
}

/** A name pattern, or `geosite:code` or `rule-set:name`. */
export const namePattern: Reader<NamePattern> = parsed((text): NamePattern | undefined => {
  const list = /^(geosite|rule-set):(.+)$/i.exec(text);
  if (list !== null) return { kind: list[1]!.toLowerCase() as "geosite" | "rule-set", text: list[2]!.trim() };
  return isNamePattern(text) ? { kind: "pattern", text: text.toLowerCase() } : undefined;
}, 'a name pattern like "+.example.org", "*.example.org", "geosite:cn" or "rule-set:name"');

/** An address block, or `geoip:code` or `rule-set:name`. */
export const addressPattern: Reader<AddressPattern> = parsed((text): AddressPattern | undefined => {
  const list = /^(geoip|rule-set):(.+)$/i.exec(text);
  if (list !== null) return { kind: list[1]!.toLowerCase() as "geoip" | "rule-set", text: list[2]!.trim() };
  const ip = parseIp(text);
  if (ip !== undefined) return { kind: "prefix", prefix: { address: ip, bits: ip.version === 4 ? 32 : 128 } };
  const prefix = parsePrefix(text);
  return prefix === undefined ? undefined : { kind: "prefix", prefix };
}, 'an address block like "10.0.0.0/8", "geoip:cn" or "rule-set:name"');

/** A prefix whose version is the given one. */
export function prefixOfVersion(version: 4 | 6): Reader<IpPrefix> {
  return (value, at) => {
    const prefix = ipPrefix(value, at);
    if (prefix === undefined || prefix.address.version === version) return prefix;
    return expected(`an IPv${version} address block`, value, at, `"${formatPrefix(prefix)}"`);
  };
}
