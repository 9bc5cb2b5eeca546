/**
 * IP addresses and prefixes as values, with a strict text form both ways.
 *
 * Read first: RFC 4291 section 2.2 (IPv6 text), RFC 5952 (its canonical form), RFC 6943 section 3.1.1 (why lax IPv4 text is an attack surface).
 */

/**
 * One address. Shape: four 32-bit words, most significant first; an IPv4 address is held as ::ffff:a.b.c.d (0, 0, 0xffff, address)
 * with `version` 4.
 */
export interface IpAddress {
  readonly version: 4 | 6;
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;
}

/** An address block. `bits` counts from the most significant bit of the address's own version: 0 … 32 or 0 … 128. */
export interface IpPrefix {
  readonly address: IpAddress;
  readonly bits: number;
}

/** An IPv4 address from its 32-bit value. */
export function ipv4FromWord(word: number): IpAddress {
  return { version: 4, w0: 0, w1: 0, w2: 0xffff, w3: word >>> 0 };
}

/** An IPv6 address from its words; a mapped one (::ffff:a.b.c.d) becomes IPv4, as Clash does in every metadata setter. */
export function ipFromWords(w0: number, w1: number, w2: number, w3: number): IpAddress {
  if (w0 === 0 && w1 === 0 && w2 === 0xffff) return ipv4FromWord(w3);
  return { version: 6, w0: w0 >>> 0, w1: w1 >>> 0, w2: w2 >>> 0, w3: w3 >>> 0 };
}

function parseIpv4Word(text: string, from: number): number {
  let word = 0;
  let at = from;
  for (let part = 0; part < 4; part++) {
    if (part > 0 && text.charCodeAt(at++) !== 0x2e) return -1;
    const start = at;
    let value = 0;
    while (at < text.length) {
      const digit = text.charCodeAt(at) - 0x30;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      at++;
      if (at - start > 3 || value > 255) return -1;
    }
    if (at === start || (at - start > 1 && text.charCodeAt(start) === 0x30)) return -1;
    word = word * 256 + value;
  }
  return at === text.length ? word : -1;
}

function hexValue(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function parseIpv6(text: string): IpAddress | undefined {
  const groups: number[] = [];
  let gap = -1;
  let at = 0;
  if (text.startsWith("::")) {
    gap = 0;
    at = 2;
  }
  while (at < text.length && groups.length < 8) {
    const start = at;
    let value = 0;
    while (at < text.length && at - start < 5) {
      const digit = hexValue(text.charCodeAt(at));
      if (digit < 0) break;
      value = value * 16 + digit;
      at++;
    }
    if (at < text.length && text.charCodeAt(at) === 0x2e && at > start) {
      const word = groups.length <= 6 ? parseIpv4Word(text, start) : -1;
      if (word < 0) return undefined;
      groups.push(word >>> 16, word & 0xffff);
      at = text.length;
      break;
    }
    if (at === start || at - start > 4) return undefined;
    groups.push(value);
    if (at === text.length) break;
    if (text.charCodeAt(at++) !== 0x3a || at === text.length) return undefined;
    if (text.charCodeAt(at) === 0x3a) {
      if (gap >= 0) return undefined;
      gap = groups.length;
      at++;
    }
  }
  if (at !== text.length || (gap < 0 ? groups.length !== 8 : groups.length > 7)) return undefined;
  if (gap >= 0) {
    const zeros: number[] = new Array(8 - groups.length).fill(0);
    groups.splice(gap, 0, ...zeros);
  }
  const word = (i: number) => ((groups[i]! << 16) | groups[i + 1]!) >>> 0;
  return { version: 6, w0: word(0), w1: word(2), w2: word(4), w3: word(6) };
}

/** Reads an address in text; an IPv6 zone (`%eth0`) is cut off. Strict: no leading zeros, no octal, no spaces. Errors: undefined when it is not one. */
export function parseIp(text: string): IpAddress | undefined {
  if (text.length > 64) return undefined;
  if (text.indexOf(":") < 0) {
    const word = parseIpv4Word(text, 0);
    return word < 0 ? undefined : ipv4FromWord(word);
  }
  const zone = text.indexOf("%");
  return parseIpv6(zone < 0 ? text : text.slice(0, zone));
}

/** Reads `address/bits`. Errors: undefined when it is not a prefix. */
export function parsePrefix(text: string): IpPrefix | undefined {
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const address = parseIp(text.slice(0, slash));
  const bitsText = text.slice(slash + 1);
  if (address === undefined || !/^(0|[1-9][0-9]{0,2})$/.test(bitsText)) return undefined;
  const bits = Number(bitsText);
  return bits > (address.version === 4 ? 32 : 128) ? undefined : { address, bits };
}

/** The canonical text of an address. Source: RFC 5952 section 4. */
export function formatIp(ip: IpAddress): string {
  return ip.version === 4 ? formatIpv4Word(ip.w3) : formatIpv6Words(ip.w0, ip.w1, ip.w2, ip.w3);
}

/** The dotted text of a 32-bit IPv4 address. */
export function formatIpv4Word(word: number): string {
  return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
}

/** The canonical text of an IPv6 address in four words. Source: RFC 5952 section 4. */
export function formatIpv6Words(w0: number, w1: number, w2: number, w3: number): string {
  const groups = [w0 >>> 16, w0 & 0xffff, w1 >>> 16, w1 & 0xffff, w2 >>> 16, w2 & 0xffff, w3 >>> 16, w3 & 0xffff];
  if (w0 === 0 && w1 === 0 && w2 === 0xffff) return `::ffff:${formatIpv4Word(w3)}`;
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && groups[i + length] === 0) length++;
    if (length > bestLength) {
      best = i;
      bestLength = length;
    }
    if (length > 0) i += length;
  }
  const hex = (from: number, to: number) => groups.slice(from, to).map((g) => g.toString(16)).join(":");
  return best < 0 ? hex(0, 8) : `${hex(0, best)}::${hex(best + bestLength, 8)}`;
}

/** The text `address/bits` of a prefix. */
export function formatPrefix(prefix: IpPrefix): string {
  return `${formatIp(prefix.address)}/${prefix.bits}`;
}

function topBits(word: number, other: number, bits: number): boolean {
  if (bits <= 0) return true;
  return bits >= 32 ? word === other : ((word ^ other) >>> (32 - bits)) === 0;
}

/** True when the address lies in the prefix; an IPv4 address never lies in an IPv6 prefix. */
export function prefixContains(prefix: IpPrefix, ip: IpAddress): boolean {
  const base = prefix.address;
  if (base.version !== ip.version) return false;
  if (base.version === 4) return topBits(base.w3, ip.w3, prefix.bits);
  return topBits(base.w0, ip.w0, prefix.bits) && topBits(base.w1, ip.w1, prefix.bits - 32) &&
    topBits(base.w2, ip.w2, prefix.bits - 64) && topBits(base.w3, ip.w3, prefix.bits - 96);
}

/** True when both are the same address of the same version. */
export function sameIp(a: IpAddress, b: IpAddress): boolean {
  return a.version === b.version && a.w0 === b.w0 && a.w1 === b.w1 && a.w2 === b.w2 && a.w3 === b.w3;
}
