/**
 * Literals of the filter language, both ways. WinDivert reads more than the standards allow; what it reads is read here, digit for digit.
 *
 * Read first: RFC 4291 section 2.2 for the address forms that this is an extension of.
 */

const MOD_32 = 1n << 32n;
const MOD_128 = 1n << 128n;

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

function hexDigit(code: number): number {
  if (isDigit(code)) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Where the run of decimal digits that begins at `from` ends. */
function digitsEnd(text: string, from: number): number {
  let end = from;
  while (end < text.length && isDigit(text.charCodeAt(end))) end++;
  return end;
}

/** A decimal number with an optional `b` behind it (the byte suffix of an index). Errors: undefined when it is none or needs over 128 bits. */
export function parseDecimal(text: string): { value: bigint; bytes: boolean } | undefined {
  const end = digitsEnd(text, 0);
  const bytes = end === text.length - 1 && text.charCodeAt(end) === 0x62;
  if (end === 0 || (end !== text.length && !bytes)) return undefined;
  const value = BigInt(text.slice(0, end));
  return value < MOD_128 ? { value, bytes } : undefined;
}

/** A number written `0x…`; WinDivert takes `0x` alone for zero. Errors: undefined when it is none or needs over 128 bits. */
export function parseHex(text: string): bigint | undefined {
  if (!text.startsWith("0x")) return undefined;
  let value = 0n;
  for (let i = 2; i < text.length; i++) {
    const digit = hexDigit(text.charCodeAt(i));
    if (digit < 0) return undefined;
    value = (value << 4n) | BigInt(digit);
    if (value >= MOD_128) return undefined;
  }
  return value;
}

/** Four decimal parts; like WinDivert, only each part's low 32 bits are judged. Errors: undefined when `text` is no such address from `from` on. */
export function parseIpv4Literal(text: string, from = 0): bigint | undefined {
  let address = 0n;
  let at = from;
  for (let part = 0; part < 4; part++) {
    if (part > 0 && text.charCodeAt(at++) !== 0x2e) return undefined;
    const end = digitsEnd(text, at);
    if (end === at) return undefined;
    const whole = BigInt(text.slice(at, end));
    const low = whole % MOD_32;
    if (whole >= MOD_128 || low > 0xffn) return undefined;
    address = (address << 8n) | low;
    at = end;
  }
  return at === text.length ? address : undefined;
}

/** Joins the groups before and after `::`; both lists may be short, and a full list may stand alone. */
function joinGroups(left: readonly number[], right: readonly number[]): bigint {
  const groups = new Array<number>(8).fill(0);
  left.forEach((group, i) => groups[i] = group);
  right.forEach((group, i) => groups[8 - right.length + i]! |= group);
  return groups.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n);
}

/** WinDivert lets a dotted tail follow zero groups only, or the groups of a mapped address. */
function joinDotted(left: readonly number[], right: readonly number[], ipv4: bigint): bigint | undefined {
  const prefix = joinGroups(left, [...right, 0, 0].slice(-8));
  if (prefix !== 0n && prefix !== 0xffffn << 32n) return undefined;
  return prefix | ipv4;
}

/**
 * An IPv6 address. Not the RFC's grammar: whatever follows an eighth group's colon is ignored, and a dotted tail may come after fewer than six groups.
 * Errors: undefined when WinDivert would not read it.
 */
export function parseIpv6Literal(text: string): bigint | undefined {
  const left: number[] = [];
  const right: number[] = [];
  let gap = false;
  let at = 0;
  if (text.startsWith(":")) {
    if (text.charCodeAt(1) !== 0x3a) return undefined;
    if (text.length === 2) return 0n;
    gap = true;
    at = 2;
  }
  for (let group = 0; group < 8; group++) {
    if (text.charCodeAt(at) === 0x3a) {
      if (gap) return undefined;
      gap = true;
      if (++at === text.length) break;
    }
    const ipv4 = left.length < 6 ? parseIpv4Literal(text, at) : undefined;
    if (ipv4 !== undefined) return joinDotted(left, right, ipv4);
    const start = at;
    let value = 0;
    while (at < text.length && at - start < 4 && hexDigit(text.charCodeAt(at)) >= 0) {
      value = value * 16 + hexDigit(text.charCodeAt(at++));
    }
    if (at === start) return undefined;
    if (at < text.length && text.charCodeAt(at) !== 0x3a) return undefined;
    (gap ? right : left).push(value);
    if (at === text.length) {
      if (gap || group === 7) break;
      return undefined;
    }
    at++;
  }
  return joinGroups(left, right);
}

/** The dotted text of an address's low 32 bits. */
export function formatIpv4Literal(value: bigint): string {
  const word = Number(value % MOD_32);
  return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
}

/** An address as the normal form shows it: mapped ones dotted, and the longest run of zero groups (even a single one) as `::`. */
export function formatIpv6Literal(value: bigint): string {
  if (value >> 32n === 0xffffn) return formatIpv4Literal(value);
  const groups = Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(112 - 16 * i)) & 0xffffn));
  let bestAt = -1;
  let bestLength = 0;
  for (let i = 0, run = 0; i < 8; i++) {
    run = groups[i] === 0 ? run + 1 : 0;
    if (run > bestLength) {
      bestLength = run;
      bestAt = i - run + 1;
    }
  }
  const show = (from: number, to: number) => groups.slice(from, to).map((group) => group.toString(16)).join(":");
  return bestAt < 0 ? show(0, 8) : `${show(0, bestAt)}::${show(bestAt + bestLength, 8)}`;
}
