/** The section `weir`: what Clash has no key for. Clash ignores it, so that one file serves both. */
import {
  fallbacks,
  field,
  flag,
  integer,
  located,
  oneOf,
  optional,
  type Reader,
  record,
  type RecordOf,
  text,
} from "./schema.ts";
import { FilterSyntaxError } from "../filter/syntax_error.ts";
import { compileFilter } from "../filter/mod.ts";
import { programsSection } from "./programs.ts";
import { placeWithin } from "./yaml_tree.ts";

/** A WinDivert filter that compiles. */
const divertFilter: Reader<string> = (value, at) => {
  const source = text("a WinDivert filter")(value, at);
  if (source === undefined || value.kind !== "scalar") return undefined;
  try {
    compileFilter(source, "network");
    return source;
  } catch (error) {
    if (!(error instanceof FilterSyntaxError)) throw error;
    const place = placeWithin(value, error.position);
    at.issues.error(place, `Cannot read ${at.name}: ${error.message}, expected a WinDivert filter`);
    return undefined;
  }
};

const divertShape = {
  enable: field(flag, false),
  mode: field(oneOf(["netstack", "redirect"]), "netstack"),
  filter: field(divertFilter, "true"),
  priority: field(integer(-30_000, 30_000), 0),
  /** Traffic between programs of this machine as well. */
  loopback: field(flag, false),
  /** Inbound packets of touched flows as well, for packet programs that a policy names. */
  inbound: field(flag, false),
};

/** Diverting packets with WinDivert or NFQUEUE as configured. */
export type DivertConfig = RecordOf<typeof divertShape>;

const geoShape = {
  country: optional(located(text("the path of a country database (.mmdb)"))),
  asn: optional(located(text("the path of an ASN database (.mmdb)"))),
  geosite: optional(located(text("the path of a site database (.dat)"))),
};

/** Where the databases lie, relative to the configuration file. Absent ones are looked for beside it. */
export type GeoPaths = RecordOf<typeof geoShape>;

const weirShape = {
  policy: optional(located(text("the path of a policy script"))),
  divert: field(record(divertShape), fallbacks(divertShape)),
  geo: field(record(geoShape), fallbacks(geoShape)),
  programs: field(programsSection, new Map()),
};

/** The section as written. */
export type WeirSection = RecordOf<typeof weirShape>;

/** Reads the section `weir`. */
export const weirSection = record(weirShape);

/** The section when the configuration does not have it. */
export function defaultWeirSection(): WeirSection {
  return fallbacks(weirShape);
}
