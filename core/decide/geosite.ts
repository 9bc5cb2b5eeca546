/**
 * The site database: lists of names under codes, `dlc.dat` or `geosite.dat`.
 *
 * Shape: protobuf. GeoSiteList { repeated GeoSite entry = 1 }, GeoSite { string country_code = 1; repeated Domain domain = 2 },
 * Domain { Type type = 1; string value = 2; repeated Attribute attribute = 3 }, Attribute { string key = 1; … },
 * Type Plain = 0 (part of the name), Regex = 1, Domain = 2 (name and below), Full = 3.
 * Source: v2fly/domain-list-community, mihomo component/geodata (router/config.proto, utils.go, attr.go).
 * Only the places of the lists are read at first; a list is read when a rule names it.
 */
import { PbfReader } from "pbf";
import {
  GEO_DATABASE_BYTES_MAX,
  GEOSITE_DOMAIN_COUNT_MAX,
  GEOSITE_KEYWORD_COUNT_MAX,
  GEOSITE_PATTERN_COUNT_MAX,
} from "../base/limits.ts";
import { DomainSet } from "./domain_set.ts";
import type { HostSet } from "./geo.ts";
import { parsePattern, type Pattern } from "./pattern.ts";

const BYTES = 2;

interface Place {
  readonly from: number;
  readonly to: number;
}

interface Entry {
  type: number;
  value: string;
  readonly attributes: string[];
}

/** One list under conditions on attributes. */
class SiteSet implements HostSet {
  count = 0;
  readonly #names = new DomainSet();
  readonly #keywords: string[] = [];
  readonly #patterns: Pattern[] = [];

  add(entry: Entry): void {
    this.count++;
    const value = entry.value.toLowerCase();
    if (value === "" || this.count > GEOSITE_DOMAIN_COUNT_MAX) return;
    if (entry.type === 2) this.#names.add(`+.${value}`);
    else if (entry.type === 3) this.#names.add(value);
    else if (entry.type === 0 && this.#keywords.length < GEOSITE_KEYWORD_COUNT_MAX) this.#keywords.push(value);
    else if (entry.type === 1 && this.#patterns.length < GEOSITE_PATTERN_COUNT_MAX) {
      const pattern = parsePattern(entry.value);
      if (typeof pattern !== "string") this.#patterns.push(pattern);
    }
  }

  has(host: string): boolean {
    return this.#names.has(host) || this.#keywords.some((keyword) => host.includes(keyword)) ||
      this.#patterns.some((pattern) => pattern.test(host));
  }

  trim(): void {
    this.#names.trim();
  }
}

/** Goes over the length-delimited fields of a message; others are skipped. Errors: throws when a field leaves the message. */
function eachField(pbf: PbfReader, place: Place, field: (tag: number, wire: number, place: Place) => void): void {
  pbf.pos = place.from;
  while (pbf.pos < place.to) {
    const key = pbf.readVarint();
    const wire = key & 7;
    const tag = key >>> 3;
    if (wire === BYTES) {
      const length = pbf.readVarint();
      const inner = { from: pbf.pos, to: pbf.pos + length };
      if (!(length >= 0) || inner.to > place.to) throw new RangeError(`a field at ${inner.from} leaves its message`);
      field(tag, wire, inner);
      pbf.pos = inner.to;
    } else {
      const from = pbf.pos;
      field(tag, wire, { from, to: place.to });
      pbf.pos = from;
      pbf.skip(key);
    }
    if (pbf.pos > place.to) throw new RangeError(`a field before ${pbf.pos} leaves its message`);
  }
}

const UTF8 = new TextDecoder();

function readEntry(pbf: PbfReader, bytes: Uint8Array, place: Place): Entry {
  const entry: Entry = { type: 0, value: "", attributes: [] };
  eachField(pbf, place, (tag, wire, at) => {
    if (tag === 1 && wire === 0) {
      pbf.pos = at.from;
      entry.type = pbf.readVarint();
    } else if (tag === 2 && wire === BYTES) entry.value = UTF8.decode(bytes.subarray(at.from, at.to));
    else if (tag === 3 && wire === BYTES) {
      eachField(pbf, at, (inner, innerWire, key) => {
        if (inner === 1 && innerWire === BYTES) {
          entry.attributes.push(UTF8.decode(bytes.subarray(key.from, key.to)).toLowerCase());
        }
      });
    }
  });
  return entry;
}

function fits(entry: Entry, conditions: readonly string[]): boolean {
  return conditions.every((each) =>
    each.startsWith("!") ? !entry.attributes.includes(each.slice(1)) : entry.attributes.includes(each)
  );
}

/**
 * Opens a site database. The answer gives the hosts of `code`, `code@attribute`, `code@!attribute` (whatever the case), or undefined
 * for a code that is not in it or whose list is broken. Errors: throws for a broken file.
 */
export function openSiteDatabase(bytes: Uint8Array): (code: string) => HostSet | undefined {
  const lists = new Map<string, Place[]>();
  const pbf = new PbfReader(bytes);
  try {
    if (bytes.length > GEO_DATABASE_BYTES_MAX) {
      throw new Error(`${bytes.length} bytes, ${GEO_DATABASE_BYTES_MAX} are allowed`);
    }
    eachField(pbf, { from: 0, to: bytes.length }, (tag, wire, place) => {
      if (tag !== 1 || wire !== BYTES) throw new Error("it is no list of sites");
      eachField(pbf, place, (inner, innerWire, at) => {
        if (inner !== 1 || innerWire !== BYTES) return;
        const code = UTF8.decode(bytes.subarray(at.from, at.to)).toLowerCase();
        const places = lists.get(code);
        if (places === undefined) lists.set(code, [place]);
        else places.push(place);
      });
    });
    if (lists.size === 0) throw new Error("there is no list in it");
  } catch (error) {
    throw new Error(`Cannot read site database: ${error instanceof Error ? error.message : String(error)}`);
  }
  const made = new Map<string, HostSet | undefined>();
  const make = (wanted: string): HostSet | undefined => {
    const [code, ...conditions] = wanted.split("@").map((part) => part.trim());
    const places = lists.get(code!);
    if (places === undefined) return undefined;
    const set = new SiteSet();
    try {
      for (const place of places) {
        eachField(pbf, place, (tag, wire, at) => {
          if (tag !== 2 || wire !== BYTES) return;
          const entry = readEntry(pbf, bytes, at);
          if (fits(entry, conditions)) set.add(entry);
        });
      }
    } catch {
      return undefined; // the list is broken inside
    }
    set.trim();
    return set;
  };
  return (code) => {
    const wanted = code.toLowerCase();
    if (!made.has(wanted)) made.set(wanted, make(wanted));
    return made.get(wanted);
  };
}
