/** Puts the databases together. */
import { type GeoSource, NO_GEO } from "./geo.ts";
import { openSiteDatabase } from "./geosite.ts";
import { openAsnDatabase, openCountryDatabase } from "./mmdb.ts";

/** The contents of database files; what is absent knows nothing. */
export interface GeoFiles {
  readonly country?: Uint8Array | undefined;
  readonly asn?: Uint8Array | undefined;
  readonly site?: Uint8Array | undefined;
}

/** Opens the databases. Errors: throws "Cannot read …" for a file that is broken or of another kind. */
export function openGeoSource(files: GeoFiles): GeoSource {
  return {
    available: {
      country: files.country !== undefined,
      asn: files.asn !== undefined,
      site: files.site !== undefined,
    },
    country: files.country === undefined ? NO_GEO.country : openCountryDatabase(files.country),
    asn: files.asn === undefined ? NO_GEO.asn : openAsnDatabase(files.asn),
    site: files.site === undefined ? NO_GEO.site : openSiteDatabase(files.site),
  };
}
