/** The border to the databases of countries, autonomous systems and sites. */
import type { IpAddress } from "../base/ip_address.ts";

/** An autonomous system. `organisation` may be "". */
export interface AutonomousSystem {
  readonly number: number;
  readonly organisation: string;
}

/** A set of hosts. `host` is in lower case. */
export interface HostSet {
  readonly count: number;
  has(host: string): boolean;
}

/** Where countries, autonomous systems and site lists come from. Pure: the same question has the same answer. */
export interface GeoSource {
  /** Which databases are there. */
  readonly available: { readonly country: boolean; readonly asn: boolean; readonly site: boolean };
  /** The codes of an address in lower case, mostly one; empty when the database does not know it. */
  country(ip: IpAddress): readonly string[];
  asn(ip: IpAddress): AutonomousSystem | undefined;
  /** The hosts of `code`, `code@attribute` or `code@!attribute`; undefined when there is no such code. */
  site(code: string): HostSet | undefined;
}

const NOTHING: readonly string[] = Object.freeze([]);

/** Without any database. */
export const NO_GEO: GeoSource = {
  available: { country: false, asn: false, site: false },
  country: () => NOTHING,
  asn: () => undefined,
  site: () => undefined,
};

function isLocalIpv4(word: number): boolean {
  const first = word >>> 24;
  return first === 10 || first === 127 || (first >= 224 && first <= 239) || word >>> 20 === 0xac1 ||
    word >>> 16 === 0xc0a8 || word >>> 16 === 0xa9fe || word === 0;
}

/**
 * True for what GEOIP calls `lan`: private, unspecified, loopback, multicast and link-local addresses.
 * Source: mihomo rules/common/geoip.go `isLan` over Go's net/netip (RFC 1918, RFC 4193, RFC 3927, RFC 4291 sections 2.5.6 and 2.7).
 */
export function isLanAddress(ip: IpAddress): boolean {
  if (ip.version === 4) return isLocalIpv4(ip.w3);
  const unspecifiedOrLoopback = ip.w0 === 0 && ip.w1 === 0 && ip.w2 === 0 && ip.w3 <= 1;
  return unspecifiedOrLoopback || ip.w0 >>> 24 === 0xff || ip.w0 >>> 25 === 0x7e || ip.w0 >>> 22 === 0x3fa;
}
