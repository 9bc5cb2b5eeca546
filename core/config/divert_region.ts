/**
 * Sets of packets that a WinDivert filter can tell apart, by the addresses and ports of their two ends.
 *
 * A region has no negation: what is negated is pushed down to the ranges, which have complements. So a region grows when any of its parts grows, and
 * a filter that has become too long is shortened by growing it.
 */
import { formatIp, type IpAddress, type IpPrefix } from "../base/ip_address.ts";
import { DIVERT_REGION_DEPTH_MAX } from "../base/limits.ts";

/** What a region is told by. `remote` and `local` are the ends as a packet of this machine has them. */
export type RegionField = "remoteAddr" | "remotePort" | "localAddr" | "localPort";

/** In the order in which filters have them. */
const FIELDS: readonly RegionField[] = ["remoteAddr", "localAddr", "remotePort", "localPort"];

/** Both ends belong to the range. */
export interface RegionRange {
  readonly low: bigint;
  readonly high: bigint;
}

/** A region. `in`: the field's value lies in one of the ranges, which are sorted, disjoint and not adjacent. */
export type Region =
  | { readonly kind: "all" }
  | { readonly kind: "none" }
  | { readonly kind: "in"; readonly field: RegionField; readonly ranges: readonly RegionRange[] }
  | { readonly kind: "both" | "either"; readonly parts: readonly Region[]; readonly depth: number };

type RangeList = Extract<Region, { kind: "in" }>;

/** Every packet. */
export const ALL: Region = { kind: "all" };
/** No packet. */
export const NONE: Region = { kind: "none" };

const ADDRESS_MAX = (1n << 128n) - 1n;
/** ::ffff:0:0/96, where the numbers of IPv4 addresses are. */
const MAPPED = { low: 0xffff_0000_0000n, high: 0xffff_ffff_ffffn };

function maxOf(field: RegionField): bigint {
  return field.endsWith("Addr") ? ADDRESS_MAX : 0xffffn;
}

/** The number that stands for an address: that of its IPv6 form, ::ffff:a.b.c.d for IPv4, as WinDivert compares it. */
export function addressNumber(ip: IpAddress): bigint {
  return BigInt(ip.w0) << 96n | BigInt(ip.w1) << 64n | BigInt(ip.w2) << 32n | BigInt(ip.w3);
}

/** The addresses of a prefix. An IPv4 address lies in no IPv6 prefix, although its number may. */
export function prefixRanges({ address, bits }: IpPrefix): RegionRange[] {
  const hostBits = BigInt((address.version === 4 ? 32 : 128) - bits);
  const low = addressNumber(address) >> hostBits << hostBits;
  const high = low | ((1n << hostBits) - 1n);
  if (address.version === 4) return [{ low, high }];
  const parts = [
    { low, high: high < MAPPED.low ? high : MAPPED.low - 1n },
    { low: low > MAPPED.high ? low : MAPPED.high + 1n, high },
  ];
  return parts.filter((part) => part.low <= part.high);
}

/** The packets whose field lies in one of the ranges, which may overlap and be in any order. */
export function within(field: RegionField, ranges: readonly RegionRange[]): Region {
  const sorted = [...ranges].sort((a, b) => a.low < b.low ? -1 : a.low > b.low ? 1 : 0);
  const merged: { low: bigint; high: bigint }[] = [];
  for (const { low, high } of sorted) {
    const last = merged.at(-1);
    if (last === undefined || low > last.high + 1n) merged.push({ low, high });
    else if (high > last.high) last.high = high;
  }
  const first = merged[0];
  if (first === undefined) return NONE;
  return first.low <= 0n && first.high >= maxOf(field) ? ALL : { kind: "in", field, ranges: merged };
}

/** The ranges between the ranges. */
export function gapsOf(field: RegionField, ranges: readonly RegionRange[]): RegionRange[] {
  const gaps: RegionRange[] = [];
  let from = 0n;
  for (const { low, high } of ranges) {
    if (low > from) gaps.push({ low: from, high: low - 1n });
    from = high + 1n;
  }
  if (from <= maxOf(field)) gaps.push({ low: from, high: maxOf(field) });
  return gaps;
}

/** What is not in the region. */
export function not(region: Region): Region {
  switch (region.kind) {
    case "all":
      return NONE;
    case "none":
      return ALL;
    case "in":
      return within(region.field, gapsOf(region.field, region.ranges));
    case "both":
      return eitherOf(region.parts.map(not));
    case "either":
      return both(...region.parts.map(not));
  }
}

/** What is in every part. */
export function both(...parts: readonly Region[]): Region {
  return join("both", parts, NONE, ALL);
}

/** What is in some part. */
export function either(...parts: readonly Region[]): Region {
  return join("either", parts, ALL, NONE);
}

/** What is in some part of a list of any length. */
export function eitherOf(parts: readonly Region[]): Region {
  return join("either", parts, ALL, NONE);
}

/** `zero` makes the whole thing itself, `one` changes nothing. Ranges of one field become one set of ranges. */
function join(kind: "both" | "either", parts: readonly Region[], zero: Region, one: Region): Region {
  const ranges = new Map<RegionField, RegionRange[][]>();
  const rest = new Map<string, Region>();
  const flat = parts.flatMap((part) => part.kind === kind ? part.parts : [part]);
  for (const part of flat) {
    if (part.kind === zero.kind) return zero;
    if (part.kind === one.kind) continue;
    if (part.kind !== "in") rest.set(keyOf(part), part);
    else {
      const list = ranges.get(part.field) ?? [];
      ranges.set(part.field, list);
      list.push([...part.ranges]);
    }
  }
  const joined: Region[] = [];
  for (const field of FIELDS) {
    const lists = ranges.get(field);
    if (lists === undefined) continue;
    // Of sets that must all hold, the complement is the union of the complements.
    const one = kind === "either"
      ? within(field, lists.flat())
      : not(within(field, lists.flatMap((list) => gapsOf(field, list))));
    if (one.kind === zero.kind) return zero;
    joined.push(one);
  }
  const all = [...joined, ...rest.values()];
  if (all.length === 0) return one;
  if (all.length === 1) return all[0]!;
  return { kind, parts: all, depth: 1 + Math.max(...all.map(depthOf)) };
}

function depthOf(region: Region): number {
  return region.kind === "both" || region.kind === "either" ? region.depth : 0;
}

/** True for a region that is nested too deep to go on with: its owner takes everything, or nothing, in its place. */
export function isDeep(region: Region): boolean {
  return depthOf(region) > DIVERT_REGION_DEPTH_MAX;
}

/** Equal regions written alike have equal keys. */
export function keyOf(region: Region): string {
  switch (region.kind) {
    case "all":
    case "none":
      return region.kind;
    case "in":
      return `${region.field} ${region.ranges.map(({ low, high }) => `${low}-${high}`).join()}`;
    default:
      return `${region.kind}(${region.parts.map(keyOf).join(" ")})`;
  }
}

/** The region with every field but those given left open: what may be in it, judged by these alone. */
export function project(region: Region, fields: readonly RegionField[]): Region {
  if (region.kind === "in") return fields.includes(region.field) ? region : ALL;
  if (region.kind === "both") return both(...region.parts.map((part) => project(part, fields)));
  return region.kind === "either" ? either(...region.parts.map((part) => project(part, fields))) : region;
}

/** A packet's two ends; a field that is absent may have any value. */
export type RegionPoint = { readonly [field in RegionField]?: bigint };

/** True when the point may lie in the region. */
export function contains(region: Region, point: RegionPoint): boolean {
  switch (region.kind) {
    case "all":
    case "none":
      return region.kind === "all";
    case "in": {
      const value = point[region.field];
      return value === undefined || region.ranges.some(({ low, high }) => value >= low && value <= high);
    }
    case "both":
      return region.parts.every((part) => contains(part, point));
    case "either":
      return region.parts.some((part) => contains(part, point));
  }
}

/** The number as a filter has it. */
function valueText(field: RegionField, value: bigint): string {
  if (!field.endsWith("Addr")) return String(value);
  const word = (shift: bigint) => Number((value >> shift) & 0xffff_ffffn);
  const words = { w0: word(96n), w1: word(64n), w2: word(32n), w3: word(0n) };
  const isV4 = words.w0 === 0 && words.w1 === 0 && words.w2 === 0xffff;
  return formatIp({ version: isV4 ? 4 : 6, ...words });
}

/** Tests of one range; several of them hold together. */
function rangeTests(field: RegionField, { low, high }: RegionRange): string[] {
  if (low === high) return [`${field} == ${valueText(field, low)}`];
  const tests: string[] = [];
  if (low > 0n) tests.push(`${field} >= ${valueText(field, low)}`);
  if (high < maxOf(field)) tests.push(`${field} <= ${valueText(field, high)}`);
  return tests;
}

/** Tests of which one holds when the value lies outside of the range. */
function gapTests(field: RegionField, { low, high }: RegionRange): string[] {
  if (low === high) return [`${field} != ${valueText(field, low)}`];
  const tests: string[] = [];
  if (low > 0n) tests.push(`${field} < ${valueText(field, low)}`);
  if (high < maxOf(field)) tests.push(`${field} > ${valueText(field, high)}`);
  return tests;
}

/** How many tests a set of ranges costs: those of the ranges, or of the gaps between them if these are fewer. */
function rangesCost(field: RegionField, ranges: readonly RegionRange[]): number {
  const cost = ({ low, high }: RegionRange) => low === high || low === 0n || high === maxOf(field) ? 1 : 2;
  const sum = (list: readonly RegionRange[]) => list.reduce((total, each) => total + cost(each), 0);
  return Math.min(sum(ranges), sum(gapsOf(field, ranges)));
}

/** How many tests a region costs. */
export function costOf(region: Region): number {
  if (region.kind === "in") return rangesCost(region.field, region.ranges);
  if (region.kind === "all" || region.kind === "none") return 0;
  return region.parts.reduce((sum, part) => sum + costOf(part), 0);
}

/** A piece of a filter with the word that joins its tests; "" for a single test. */
export interface FilterText {
  readonly text: string;
  readonly word: "" | "and" | "or";
}

/** A piece that is written as it stands. */
export function literal(text: string): FilterText {
  return { text, word: "" };
}

/** Joins pieces; those that are joined otherwise inside get parentheses. */
export function joinText(pieces: readonly FilterText[], word: "and" | "or"): FilterText {
  if (pieces.length === 1) return pieces[0]!;
  const texts = pieces.map((piece) => piece.word === "" || piece.word === word ? piece.text : `(${piece.text})`);
  return { text: texts.join(` ${word} `), word };
}

/** The region as a filter, `true` and `false` included. */
export function regionText(region: Region): FilterText {
  switch (region.kind) {
    case "all":
      return literal("true");
    case "none":
      return literal("false");
    case "in":
      return rangesText(region);
    default:
      return joinText(region.parts.map(regionText), region.kind === "both" ? "and" : "or");
  }
}

/** The ranges, or the gaps between them if these are fewer. */
function rangesText({ field, ranges }: RangeList): FilterText {
  const gaps = gapsOf(field, ranges);
  const count = (lists: readonly string[][]) => lists.reduce((sum, list) => sum + list.length, 0);
  const inside = ranges.map((range) => rangeTests(field, range));
  const outside = gaps.map((gap) => gapTests(field, gap));
  const isByGaps = count(outside) < count(inside) || (count(outside) === count(inside) && gaps.length <= ranges.length);
  const join = (lists: readonly string[][], inner: "and" | "or", outer: "and" | "or") =>
    joinText(lists.map((tests) => joinText(tests.map(literal), inner)), outer);
  return isByGaps && ranges.length > 1 ? join(outside, "or", "and") : join(inside, "and", "or");
}

/** Makes a region that costs at most `costMax` tests, by growing it: the smallest gaps of the longest lists close first. */
export function grow(region: Region, costMax: number): Region {
  let grown = region;
  for (let cost = costOf(grown); cost > costMax; cost = costOf(grown)) {
    const longest = longestList(grown);
    if (longest === undefined || longest.ranges.length <= 2) return ALL;
    grown = replaceList(
      grown,
      longest,
      closeGaps(longest.field, longest.ranges, Math.floor(longest.ranges.length * 0.8)),
    );
  }
  return grown;
}

function longestList(region: Region): RangeList | undefined {
  if (region.kind === "in") return region;
  if (region.kind === "all" || region.kind === "none") return undefined;
  let longest: RangeList | undefined;
  for (const part of region.parts) {
    const found = longestList(part);
    if (found !== undefined && (longest === undefined || found.ranges.length > longest.ranges.length)) longest = found;
  }
  return longest;
}

function replaceList(region: Region, list: RangeList, by: Region): Region {
  if (region === list) return by;
  if (region.kind === "both") return both(...region.parts.map((part) => replaceList(part, list, by)));
  return region.kind === "either" ? either(...region.parts.map((part) => replaceList(part, list, by))) : region;
}

function closeGaps(field: RegionField, ranges: readonly RegionRange[], countMax: number): Region {
  const gaps = ranges.slice(1).map((range, i) => range.low - ranges[i]!.high);
  const widest = new Set(
    gaps.map((size, i) => ({ size, i })).sort((a, b) => a.size > b.size ? -1 : 1).slice(0, countMax - 1).map(({ i }) =>
      i
    ),
  );
  const closed: RegionRange[] = [];
  let low = ranges[0]!.low;
  for (let i = 0; i < ranges.length; i++) {
    if (i < ranges.length - 1 && !widest.has(i)) continue;
    closed.push({ low, high: ranges[i]!.high });
    low = ranges[i + 1]?.low ?? 0n;
  }
  return within(field, closed);
}
