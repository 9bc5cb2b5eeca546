/**
 * Databases of countries and autonomous systems in MaxMind's format.
 *
 * Read first: the MaxMind DB file format specification, version 2.0: the binary search tree, the data section, the metadata. npm
 * `mmdb-lib` reads the files; here stands what makes it safe: a file is checked when it is opened, and no lookup throws or runs on.
 *
 * Record shapes: MaxMind's own (`country.iso_code`, `autonomous_system_number`), plain codes (sing-geoip), lists of codes (mihomo's
 * metadb), ipinfo's (`asn: "AS…"`). Source: mihomo component/mmdb/reader.go.
 */
import { Buffer } from "node:buffer";
import { Reader, type Response } from "mmdb-lib";
import { GEO_DATABASE_BYTES_MAX, GEO_POINTER_COUNT_MAX } from "../base/limits.ts";
import { formatIp, type IpAddress } from "../base/ip_address.ts";
import type { AutonomousSystem } from "./geo.ts";

/** Records looked into when a file is opened; the tree is checked whole. */
const CHECKED_RECORD_COUNT_MAX = 10_000;
const KEPT_RECORD_COUNT_MAX = 4_096;
const METADATA_DEPTH_MAX = 8;
const MARKER = [0xab, 0xcd, 0xef, 0x4d, 0x61, 0x78, 0x4d, 0x69, 0x6e, 0x64, 0x2e, 0x63, 0x6f, 0x6d];

function metadataStart(bytes: Uint8Array): number {
  const lowest = Math.max(0, bytes.length - 128 * 1024);
  for (let at = bytes.length - MARKER.length; at >= lowest; at--) {
    if (MARKER.every((byte, i) => bytes[at + i] === byte)) return at + MARKER.length;
  }
  return -1;
}

/** The end of the value at `at`, or -1 when it is broken or nested too deep. A pointer ends behind itself: it is not followed. */
function skipValue(bytes: Uint8Array, at: number, depth: number): number {
  if (depth > METADATA_DEPTH_MAX || at >= bytes.length) return -1;
  let next = at + 1;
  let type = bytes[at]! >>> 5;
  if (type === 1) {
    next += ((bytes[at]! >>> 3) & 3) + 1;
    return next <= bytes.length ? next : -1;
  }
  if (type === 0) type = 7 + (bytes[next++] ?? 0);
  let size = bytes[at]! & 0x1f;
  for (let more = size - 28, base = [0, 29, 285, 65_821][more] ?? 0, read = 0; more > 0; more--) {
    read = read * 256 + (bytes[next++] ?? 0);
    size = base + read;
  }
  if (type === 14) return next;
  if (type !== 7 && type !== 11) return next + size <= bytes.length ? next + size : -1;
  const values = type === 7 ? size * 2 : size;
  for (let i = 0; i < values && next >= 0; i++) next = skipValue(bytes, next, depth + 1);
  return next;
}

/** Pointers that one lookup followed are counted, and records met before are kept, so that no knot of pointers takes forever. */
class BoundedCache {
  readonly #kept = new Map<string | number, unknown>();
  #followed = 0;

  /** Starts a new lookup. */
  begin(): void {
    this.#followed = 0;
    if (this.#kept.size > KEPT_RECORD_COUNT_MAX) this.#kept.clear();
  }

  get(key: string | number): unknown {
    if (++this.#followed > GEO_POINTER_COUNT_MAX) throw new RangeError("too many pointers in one record");
    return this.#kept.get(key);
  }

  set(key: string | number, value: unknown): void {
    this.#kept.set(key, value);
  }
}

/** The file opened and checked. */
class Database {
  readonly type: string;
  readonly #reader: Reader<Response>;
  readonly #cache = new BoundedCache();

  constructor(bytes: Uint8Array) {
    if (bytes.length > GEO_DATABASE_BYTES_MAX) {
      throw new Error(`${bytes.length} bytes, ${GEO_DATABASE_BYTES_MAX} are allowed`);
    }
    const start = metadataStart(bytes);
    if (start < 0) throw new Error("no MaxMind metadata in it");
    if (skipValue(bytes, start, 0) < 0) throw new Error("broken metadata");
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#reader = new Reader<Response>(buffer, { cache: this.#cache as never });
    this.type = String(this.#reader.metadata.databaseType);
    this.#checkTree(bytes, start);
  }

  /** The record of an address; undefined when there is none or it is broken. */
  record(ip: IpAddress): unknown {
    if (this.#reader.metadata.ipVersion === 4 && ip.version === 6) return undefined;
    try {
      this.#cache.begin();
      return this.#reader.get(formatIp(ip)) ?? undefined;
    } catch {
      return undefined; // a record beyond those checked at opening
    }
  }

  #checkTree(bytes: Uint8Array, metadataAt: number): void {
    const { nodeCount, recordSize, searchTreeSize } = this.#reader.metadata;
    const dataSize = metadataAt - MARKER.length - searchTreeSize - 16;
    if (!Number.isSafeInteger(nodeCount) || nodeCount < 1 || dataSize < 0) {
      throw new Error("broken metadata: node_count");
    }
    const seen = new Set<number>();
    for (let node = 0; node < nodeCount; node++) {
      for (let side = 0; side < 2; side++) {
        const record = treeRecord(bytes, node, side, recordSize);
        if (record <= nodeCount) continue;
        const offset = record - nodeCount - 16;
        if (offset < 0 || offset >= dataSize) throw new Error(`node ${node} points outside the data`);
        if (seen.size < CHECKED_RECORD_COUNT_MAX && !seen.has(record)) {
          seen.add(record);
          this.#checkRecord(record);
        }
      }
    }
  }

  #checkRecord(record: number): void {
    this.#cache.begin();
    const reader = this.#reader as unknown as { resolveDataPointer(pointer: number): unknown };
    try {
      reader.resolveDataPointer(record);
    } catch (error) {
      throw new Error(`broken record: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

/** One side of a node. Source: MaxMind DB format, "Node Layout". */
function treeRecord(bytes: Uint8Array, node: number, side: number, recordSize: number): number {
  const at = node * (recordSize / 4);
  const byte = (i: number) => bytes[at + i]!;
  if (recordSize === 24) return byte(side * 3) * 65_536 + byte(side * 3 + 1) * 256 + byte(side * 3 + 2);
  if (recordSize === 32) {
    return byte(side * 4) * 16_777_216 + byte(side * 4 + 1) * 65_536 + byte(side * 4 + 2) * 256 + byte(side * 4 + 3);
  }
  const high = side === 0 ? byte(3) >>> 4 : byte(3) & 15;
  return high * 16_777_216 + byte(side * 4) * 65_536 + byte(side * 4 + 1) * 256 + byte(side * 4 + 2);
}

/** The answers of the last few hundred addresses, for every rule of a flow asks for the same one. */
class Answers<T> {
  readonly #addresses: (IpAddress | undefined)[] = new Array(512).fill(undefined);
  readonly #answers: T[] = [];

  find(ip: IpAddress, look: (ip: IpAddress) => T): T {
    const slot = (Math.imul(ip.w3 ^ ip.w2 ^ Math.imul(ip.w1 ^ ip.w0, 31), 0x9e3779b1) >>> 23) & 511;
    const known = this.#addresses[slot];
    const same = known !== undefined && known.w3 === ip.w3 && known.w2 === ip.w2 && known.w1 === ip.w1 &&
      known.w0 === ip.w0 && known.version === ip.version;
    if (!same) {
      this.#addresses[slot] = ip;
      this.#answers[slot] = look(ip);
    }
    return this.#answers[slot]!;
  }
}

function property(record: unknown, name: string): unknown {
  return typeof record === "object" && record !== null && Object.hasOwn(record, name)
    ? (record as Record<string, unknown>)[name]
    : undefined;
}

function codesOf(record: unknown): readonly string[] {
  const code = property(property(record, "country"), "iso_code") ?? record;
  const codes = Array.isArray(code) ? code : [code];
  return Object.freeze(
    codes.filter((each) => typeof each === "string" && each !== "").map((each) => each.toLowerCase()),
  );
}

function systemOf(record: unknown): AutonomousSystem | undefined {
  const number = property(record, "autonomous_system_number");
  if (typeof number === "number") {
    return { number, organisation: String(property(record, "autonomous_system_organization") ?? "") };
  }
  const named = /^AS([0-9]{1,10})$/.exec(String(property(record, "asn")));
  return named === null
    ? undefined
    : { number: Number(named[1]), organisation: String(property(record, "name") ?? "") };
}

function open(bytes: Uint8Array, what: string): Database {
  try {
    return new Database(bytes);
  } catch (error) {
    throw new Error(`Cannot read ${what}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Opens a database of countries; the answer gives the codes of an address in lower case. Errors: throws for a broken or other file. */
export function openCountryDatabase(bytes: Uint8Array): (ip: IpAddress) => readonly string[] {
  const database = open(bytes, "country database");
  if (/ASN|Domain|ISP|Anonymous|Connection/i.test(database.type)) {
    throw new Error(`Cannot read country database: it is of type ${database.type}`);
  }
  const answers = new Answers<readonly string[]>();
  const look = (ip: IpAddress) => codesOf(database.record(ip));
  return (ip) => answers.find(ip, look);
}

/** Opens a database of autonomous systems. Errors: throws for a broken or other file. */
export function openAsnDatabase(bytes: Uint8Array): (ip: IpAddress) => AutonomousSystem | undefined {
  const database = open(bytes, "database of autonomous systems");
  if (!/ASN|ISP/i.test(database.type)) {
    throw new Error(`Cannot read database of autonomous systems: it is of type ${database.type}`);
  }
  const answers = new Answers<AutonomousSystem | undefined>();
  const look = (ip: IpAddress) => systemOf(database.record(ip));
  return (ip) => answers.find(ip, look);
}
