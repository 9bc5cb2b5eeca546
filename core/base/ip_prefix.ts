/** Arithmetic of address blocks: halves, what one leaves of another. Read first: RFC 4632 section 3.1 (prefixes). */
import { type IpAddress, type IpPrefix, prefixContains } from "./ip_address.ts";

/** Units: bits of an address of that version. */
export function addressBits(version: 4 | 6): 32 | 128 {
  return version === 4 ? 32 : 128;
}

/** Words in which the address's own bits begin: an IPv4 address is the last of four. */
function firstWord(version: 4 | 6): number {
  return version === 4 ? 3 : 0;
}

function wordsOf({ w0, w1, w2, w3 }: IpAddress): [number, number, number, number] {
  return [w0, w1, w2, w3];
}

function fromWords(version: 4 | 6, [w0, w1, w2, w3]: readonly [number, number, number, number]): IpAddress {
  // Not ipFromWords: a block inside ::ffff:0:0/96 is a block of IPv6 here.
  return { version, w0: w0 >>> 0, w1: w1 >>> 0, w2: w2 >>> 0, w3: w3 >>> 0 };
}

/** The prefix with every bit behind its length cleared, as a route's destination has to be. */
export function maskPrefix({ address, bits }: IpPrefix): IpPrefix {
  const words = wordsOf(address);
  for (let i = firstWord(address.version), left = bits; i < 4; i++, left -= 32) {
    if (left <= 0) words[i] = 0;
    else if (left < 32) words[i] = words[i]! & (-1 << (32 - left));
  }
  return { address: fromWords(address.version, words), bits };
}

/** True when every address of `inner` lies in `outer`. */
export function prefixCovers(outer: IpPrefix, inner: IpPrefix): boolean {
  return outer.bits <= inner.bits && prefixContains(outer, inner.address);
}

/** The two blocks that a prefix consists of. Shape: none for a single address. */
export function halves(prefix: IpPrefix): readonly [] | readonly [IpPrefix, IpPrefix] {
  const { address, bits } = maskPrefix(prefix);
  if (bits >= addressBits(address.version)) return [];
  const words = wordsOf(address);
  const at = firstWord(address.version) + (bits >>> 5);
  words[at] = words[at]! | (0x8000_0000 >>> (bits & 31));
  return [
    { address, bits: bits + 1 },
    { address: fromWords(address.version, words), bits: bits + 1 },
  ];
}

/** The fewest blocks that have exactly those addresses of `prefix` that none of `excludes` has, in ascending order. */
export function subtractPrefixes(prefix: IpPrefix, excludes: readonly IpPrefix[]): IpPrefix[] {
  if (excludes.some((exclude) => prefixCovers(exclude, prefix))) return [];
  const inside = excludes.filter((exclude) => prefixCovers(prefix, exclude));
  if (inside.length === 0) return [maskPrefix(prefix)];
  return halves(prefix).flatMap((half) => subtractPrefixes(half, inside));
}

/**
 * The routes that lead `wanted` into a device and leave `excludes` out. A default route becomes its halves: they are more specific than the one
 * that is there, so that nothing of the system's own is touched. Shape: in ascending order, none inside another.
 */
export function tunnelRoutes(wanted: readonly IpPrefix[], excludes: readonly IpPrefix[]): IpPrefix[] {
  const outermost = wanted.filter((prefix, index) =>
    !wanted.some((other, at) => at !== index && prefixCovers(other, prefix) && (other.bits < prefix.bits || at < index))
  );
  return outermost.flatMap((prefix) => (prefix.bits === 0 ? [...halves(prefix)] : [maskPrefix(prefix)]))
    .flatMap((prefix) => subtractPrefixes(prefix, excludes));
}
