/** Finds and reads the databases of countries, autonomous systems and sites: only those that something in the configuration needs. */
import { GEO_DATABASE_BYTES_MAX } from "../base/limits.ts";
import { type GeoSource, type HostSet, NO_GEO } from "../decide/geo.ts";
import { openSiteDatabase } from "../decide/geosite.ts";
import { openAsnDatabase, openCountryDatabase } from "../decide/mmdb.ts";
import type { Rule } from "../decide/rule.ts";
import type { ConfigDocument } from "./document.ts";
import { ConfigFileError, readBytes } from "./files.ts";
import type { Place } from "./issue.ts";
import type { FileReading, LoadedProvider } from "./provider_files.ts";
import { type PlacedRule, visitConditions } from "./rules.ts";
import { defaultSnifferSection } from "./sniffer.ts";
import { oneLine, placeOf, shorten } from "./yaml_tree.ts";

type Database = keyof GeoSource["available"];

/** What each database is called, which key names it, and which files beside the configuration are taken without being named. */
const DATABASES = {
  country: {
    what: "a country database",
    key: "country",
    names: ["geoip.mmdb", "Country.mmdb", "country.mmdb", "GeoLite2-Country.mmdb"],
  },
  asn: {
    what: "a database of autonomous systems",
    key: "asn",
    names: ["GeoLite2-ASN.mmdb", "ASN.mmdb", "asn.mmdb"],
  },
  site: {
    what: "a site database",
    key: "geosite",
    names: ["geosite.dat", "GeoSite.dat", "dlc.dat"],
  },
} as const satisfies Record<Database, unknown>;

/** Who needs a database first, and how many do. */
interface Need {
  readonly who: string;
  readonly place: Place;
  count: number;
}

/** Reads the databases that are needed. Errors: reported once for each database, where it is needed first. */
export async function loadGeo(
  document: ConfigDocument,
  rules: readonly PlacedRule[],
  providers: ReadonlyMap<string, LoadedProvider>,
  reading: FileReading,
): Promise<GeoSource> {
  const needs = collectNeeds(document, rules, providers);
  const load = async <T>(database: Database, open: (bytes: Uint8Array) => T): Promise<T | undefined> => {
    const need = needs.get(database);
    const found = need && await findDatabase(database, need, document, reading);
    if (found === undefined) return undefined;
    try {
      return open(found.bytes);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      reading.issues.error(found.place, `${oneLine(message)} (file ${shorten(found.path)})`);
      return undefined;
    }
  };
  const country = await load("country", openCountryDatabase);
  const asn = await load("asn", openAsnDatabase);
  const site = await load("site", openSiteDatabase);
  return {
    available: { country: country !== undefined, asn: asn !== undefined, site: site !== undefined },
    country: country ?? NO_GEO.country,
    asn: asn ?? NO_GEO.asn,
    site: site ?? NO_GEO.site,
  };
}

function collectNeeds(
  document: ConfigDocument,
  rules: readonly PlacedRule[],
  providers: ReadonlyMap<string, LoadedProvider>,
): Map<Database, Need> {
  const needs = new Map<Database, Need>();
  const add = (database: Database, who: string, place: () => Place) => {
    const need = needs.get(database);
    if (need === undefined) needs.set(database, { who, place: place(), count: 1 });
    else need.count++;
  };
  const addRule = (rule: Rule, who: string, place: () => Place) =>
    visitConditions(rule, (condition) => {
      const database = databaseOf(condition);
      if (database !== undefined) add(database, who, place);
    });
  for (const { rule, line } of rules) addRule(rule, line.name, () => line.place(0));
  for (const [name, { set, place }] of providers) {
    if (set?.behavior !== "classical") continue;
    for (const rule of set.rules) addRule(rule, `rule-providers.${shorten(name)}`, () => place);
  }
  const { dns, sniffer = defaultSnifferSection() } = document;
  for (const { value, node } of [...sniffer.forceDomain, ...sniffer.skipDomain, ...dns.fakeIpFilter]) {
    if (value.kind === "geosite") add("site", `geosite:${shorten(value.text)}`, () => placeOf(node));
  }
  for (const { value, node } of [...sniffer.skipSrcAddress, ...sniffer.skipDstAddress]) {
    if (value.kind !== "geoip" || value.text.toLowerCase() === "lan") continue;
    add("country", `geoip:${shorten(value.text)}`, () => placeOf(node));
  }
  return needs;
}

function databaseOf(rule: Rule): Database | undefined {
  switch (rule.type) {
    case "GEOIP":
    case "SRC-GEOIP":
      return rule.country === "lan" ? undefined : "country";
    case "IP-ASN":
    case "SRC-IP-ASN":
      return "asn";
    case "GEOSITE":
      return "site";
    default:
      return undefined;
  }
}

interface Found {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Where to complain about the file. */
  readonly place: Place;
}

async function findDatabase(
  database: Database,
  need: Need,
  document: ConfigDocument,
  { base, files, issues }: FileReading,
): Promise<Found | undefined> {
  const { what, key, names } = DATABASES[database];
  const given = document.weir.geo[key];
  if (given !== undefined) {
    const path = files.resolve(base, given.value);
    const place = placeOf(given.node);
    const wish = { path, place, what: `weir.geo.${key}`, bytesMax: GEO_DATABASE_BYTES_MAX };
    const bytes = await readBytes(files, wish, issues);
    return bytes && { path, bytes, place };
  }
  for (const name of names) {
    const path = files.resolve(base, name);
    try {
      return { path, bytes: await files.read(path, GEO_DATABASE_BYTES_MAX), place: need.place };
    } catch (error) {
      if (!(error instanceof ConfigFileError)) throw error;
      if (error.absent) continue;
      issues.error(need.place, `Cannot read ${what} ${shorten(path)}: ${error.message}`);
      return undefined;
    }
  }
  const times = need.count > 1 ? ` (needed ${need.count} times)` : "";
  const remedy = `expected ${names[0]} or ${names[1]} beside the configuration, or weir.geo.${key} with its path`;
  issues.error(need.place, `Cannot read ${need.who}: it needs ${what}, and there is none; ${remedy}${times}`);
  return undefined;
}

const NO_HOSTS: HostSet = { count: 0, has: () => false };

/** The same source, where databases that are missing (which has been reported) seem to be there. */
export function assumeAll(geo: GeoSource): GeoSource {
  return {
    available: { country: true, asn: true, site: true },
    country: geo.country,
    asn: geo.asn,
    site: geo.available.site ? geo.site : () => NO_HOSTS,
  };
}
