/**
 * Address prefixes, sorted, each knowing the one around it: the longest match is one binary search, all others lie on the way up.
 *
 * Prefixes nest or are apart, they never overlap by half. So the last prefix that begins at or before an address either holds it,
 * or one of those around it does, or none.
 */
import type { IpAddress, IpPrefix } from "../base/ip_address.ts";
import type { AddressSet } from "./decide_config.ts";

/** Units: bits of the four words that stay under a mask of `bits`, for word `i`. */
function maskOf(bits: number, i: number): number {
  const left = bits - 32 * i;
  if (left <= 0) return 0;
  return left >= 32 ? 0xffffffff : (0xffffffff << (32 - left)) >>> 0;
}

function inNode(words: Uint32Array, stride: number, node: number, bits: number, ip: IpAddress): boolean {
  const at = node * stride;
  if (stride === 1) return ((words[at]! ^ ip.w3) & maskOf(bits, 0)) === 0;
  return ((words[at]! ^ ip.w0) & maskOf(bits, 0)) === 0 && ((words[at + 1]! ^ ip.w1) & maskOf(bits, 1)) === 0 &&
    ((words[at + 2]! ^ ip.w2) & maskOf(bits, 2)) === 0 && ((words[at + 3]! ^ ip.w3) & maskOf(bits, 3)) === 0;
}

/** The prefixes of one IP version. Nodes are numbered in the order of their first address, wider ones first. */
class Family {
  readonly #stride: number;
  readonly #words: Uint32Array;
  readonly #bits: Uint8Array;
  readonly #parents: Int32Array;
  /** By the first byte of an address: the first node that begins with that byte or a higher one. Saves most steps of the search. */
  readonly #starts = new Int32Array(257);
  readonly count: number;

  /** `words` holds `stride` words a prefix, masked, sorted, without duplicates. */
  constructor(stride: number, words: Uint32Array, bits: Uint8Array) {
    this.#stride = stride;
    this.#words = words;
    this.#bits = bits;
    this.count = bits.length;
    this.#parents = new Int32Array(bits.length);
    for (let byte = 0, node = 0; byte <= 256; byte++) {
      while (node < bits.length && words[node * stride]! >>> 24 < byte) node++;
      this.#starts[byte] = node;
    }
    for (let node = 0; node < bits.length; node++) {
      let around = node - 1;
      while (around >= 0 && !this.#surrounds(around, node)) around = this.#parents[around]!;
      this.#parents[node] = around;
    }
  }

  /** The narrowest node that holds the address, or -1. */
  find(ip: IpAddress): number {
    const byte = (this.#stride === 1 ? ip.w3 : ip.w0) >>> 24;
    let low = this.#starts[byte]!;
    let high = this.#starts[byte + 1]!;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#beginsAfter(middle, ip)) high = middle;
      else low = middle + 1;
    }
    let node = low - 1;
    while (node >= 0 && !inNode(this.#words, this.#stride, node, this.#bits[node]!, ip)) node = this.#parents[node]!;
    return node;
  }

  /** The narrowest node around a node, or -1. */
  parent(node: number): number {
    return this.#parents[node]!;
  }

  #beginsAfter(node: number, ip: IpAddress): boolean {
    if (this.#stride === 1) return this.#words[node]! > ip.w3;
    const at = node * 4;
    if (this.#words[at] !== ip.w0) return this.#words[at]! > ip.w0;
    if (this.#words[at + 1] !== ip.w1) return this.#words[at + 1]! > ip.w1;
    if (this.#words[at + 2] !== ip.w2) return this.#words[at + 2]! > ip.w2;
    return this.#words[at + 3]! > ip.w3;
  }

  #surrounds(outer: number, inner: number): boolean {
    const bits = this.#bits[outer]!;
    if (bits > this.#bits[inner]!) return false;
    for (let i = 0; i < this.#stride; i++) {
      const difference = this.#words[outer * this.#stride + i]! ^ this.#words[inner * this.#stride + i]!;
      if ((difference & maskOf(bits, i)) !== 0) return false;
    }
    return true;
  }
}

interface Sorted {
  readonly family: Family;
  /** The node of each prefix that was put in. */
  readonly nodes: Int32Array;
}

function sortIpv4(prefixes: readonly IpPrefix[]): Sorted {
  const keys = new Float64Array(prefixes.length);
  for (let i = 0; i < keys.length; i++) {
    const { address, bits } = prefixes[i]!;
    keys[i] = ((address.w3 & maskOf(bits, 0)) >>> 0) * 64 + bits;
  }
  const sorted = keys.slice().sort();
  const unique = sorted.filter((key, i) => i === 0 || key !== sorted[i - 1]);
  const words = new Uint32Array(unique.length);
  const bits = new Uint8Array(unique.length);
  unique.forEach((key, i) => {
    words[i] = Math.floor(key / 64);
    bits[i] = key % 64;
  });
  const nodes = new Int32Array(keys.length);
  for (let i = 0; i < keys.length; i++) nodes[i] = lowerBound(unique, keys[i]!);
  return { family: new Family(1, words, bits), nodes };
}

function lowerBound(sorted: Float64Array, key: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function sortIpv6(prefixes: readonly IpPrefix[]): Sorted {
  const masked = prefixes.map(({ address, bits }) => [
    (address.w0 & maskOf(bits, 0)) >>> 0,
    (address.w1 & maskOf(bits, 1)) >>> 0,
    (address.w2 & maskOf(bits, 2)) >>> 0,
    (address.w3 & maskOf(bits, 3)) >>> 0,
    bits,
  ]);
  const order = masked.map((_, i) => i).sort((a, b) => {
    for (let i = 0; i < 5; i++) if (masked[a]![i] !== masked[b]![i]) return masked[a]![i]! - masked[b]![i]!;
    return 0;
  });
  const nodes = new Int32Array(prefixes.length);
  const words: number[] = [];
  const bits: number[] = [];
  order.forEach((i, rank) => {
    const before = rank === 0 ? undefined : masked[order[rank - 1]!]!;
    if (before === undefined || before.some((word, k) => word !== masked[i]![k])) {
      words.push(...masked[i]!.slice(0, 4));
      bits.push(masked[i]![4]!);
    }
    nodes[i] = bits.length - 1;
  });
  return { family: new Family(4, Uint32Array.from(words), Uint8Array.from(bits)), nodes };
}

/** All prefixes with the places of the rules that have them. */
export class PrefixForest {
  readonly #ipv4: Family;
  readonly #ipv6: Family;
  /** By node: the lowest place of a rule whose prefix holds the node's addresses. */
  readonly #first4: Int32Array;
  readonly #first6: Int32Array;

  /** `places[i]` is the place of the rule with `prefixes[i]`. */
  constructor(prefixes: readonly IpPrefix[], places: ArrayLike<number>) {
    const indexes4: number[] = [];
    const indexes6: number[] = [];
    prefixes.forEach((prefix, i) => (prefix.address.version === 4 ? indexes4 : indexes6).push(i));
    const sorted4 = sortIpv4(indexes4.map((i) => prefixes[i]!));
    const sorted6 = sortIpv6(indexes6.map((i) => prefixes[i]!));
    this.#ipv4 = sorted4.family;
    this.#ipv6 = sorted6.family;
    this.#first4 = lowestPlaces(sorted4, indexes4.map((i) => places[i]!));
    this.#first6 = lowestPlaces(sorted6, indexes6.map((i) => places[i]!));
  }

  /** The lowest place of a rule whose prefix holds the address, or -1. */
  first(ip: IpAddress): number {
    const node = (ip.version === 4 ? this.#ipv4 : this.#ipv6).find(ip);
    if (node < 0) return -1;
    return ip.version === 4 ? this.#first4[node]! : this.#first6[node]!;
  }
}

/** What holds a node's addresses is the node and everything around it; what is around comes before it in the order of nodes. */
function lowestPlaces(sorted: Sorted, places: readonly number[]): Int32Array {
  const lowest = new Int32Array(sorted.family.count).fill(0x7fffffff);
  places.forEach((place, i) => {
    const node = sorted.nodes[i]!;
    lowest[node] = Math.min(lowest[node]!, place);
  });
  for (let node = 0; node < lowest.length; node++) {
    const around = sorted.family.parent(node);
    if (around >= 0) lowest[node] = Math.min(lowest[node]!, lowest[around]!);
  }
  return lowest;
}

/** A set of addresses made of prefixes. */
export class PrefixSet implements AddressSet {
  readonly count: number;
  readonly #forest: PrefixForest;

  constructor(prefixes: readonly IpPrefix[]) {
    this.count = prefixes.length;
    this.#forest = new PrefixForest(prefixes, new Int32Array(prefixes.length));
  }

  has(ip: IpAddress): boolean {
    return this.#forest.first(ip) >= 0;
  }
}
