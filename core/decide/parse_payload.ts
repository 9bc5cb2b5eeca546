/** Reads the payload of one simple rule into its record: one small parser a form. */
import { formatPrefix, parsePrefix } from "../base/ip_address.ts";
import { nearestName } from "../base/nearest.ts";
import { type Field, fieldError, type RuleSyntaxError } from "./parse_error.ts";
import { parsePattern } from "./pattern.ts";
import { toAsciiName } from "./punycode.ts";
import { parseRanges } from "./ranges.ts";
import type {
  AsnRule,
  CountryRule,
  DomainRule,
  PrefixRule,
  RangeRule,
  RegexRule,
  Rule,
  RuleType,
  WildcardRule,
} from "./rule.ts";
import { RULE_TYPES, SOURCE_TWIN } from "./rule.ts";

/** The parameters of a rule that mean something. Source: mihomo `ParseParams`: `src` implies `no-resolve`. */
export interface RuleParams {
  readonly src: boolean;
  readonly noResolve: boolean;
}

type Made = Rule | RuleSyntaxError;

const NUMBER_MAX: Readonly<Record<RangeRule["type"], number>> = {
  "SRC-PORT": 65_535,
  "DST-PORT": 65_535,
  "IN-PORT": 65_535,
  "DSCP": 63,
  "UID": 4_294_967_295,
};

/** The names of inbound types, as `IN-TYPE` takes them. Source: mihomo constant/metadata.go `ParseType`. */
export const INBOUND_TYPES: readonly string[] =
  ("HTTP HTTPS SOCKS SOCKS4 SOCKS5 SHADOWSOCKS SNELL VMESS VLESS REDIR TPROXY " +
    "TROJAN TUNNEL TUN TUIC HYSTERIA2 ANYTLS MIERU SUDOKU TRUSTTUNNEL INNER").split(" ");

function makeDomain(type: DomainRule["type"], field: Field, target: string): Made {
  const name = toAsciiName(field.text);
  const payload = name.length > 1 && name.endsWith(".") && type !== "DOMAIN-KEYWORD" ? name.slice(0, -1) : name;
  return { type, payload, target };
}

function makeRegex(type: RegexRule["type"], field: Field, target: string): Made {
  const pattern = parsePattern(field.text);
  if (typeof pattern === "string") return fieldError(field, pattern, "a regular expression");
  return { type, payload: field.text, target, pattern };
}

function makeWildcard(type: WildcardRule["type"], field: Field, target: string): Made {
  const wildcard = type === "DOMAIN-WILDCARD" ? toAsciiName(field.text) : field.text.toLowerCase();
  return { type, payload: type === "DOMAIN-WILDCARD" ? wildcard : field.text, target, wildcard };
}

function makeCountry(type: CountryRule["type"], field: Field, target: string, noResolve: boolean): Made {
  const payload = field.text.toLowerCase();
  const negated = payload.startsWith("!");
  const country = negated ? payload.slice(1) : payload;
  if (!/^[a-z0-9_-]{1,64}$/.test(country)) {
    return fieldError(
      field,
      `${JSON.stringify(field.text)} is not a country code`,
      "a country code such as CN, or lan",
    );
  }
  return { type, payload, target, country, negated, noResolve };
}

function makeAsn(type: AsnRule["type"], field: Field, target: string, noResolve: boolean): Made {
  const digits = field.text.replace(/^[aA][sS]/, "");
  if (!/^[0-9]{1,10}$/.test(digits) || Number(digits) > 4_294_967_295) {
    return fieldError(field, `${JSON.stringify(field.text)} is not a number of an autonomous system`, "13335");
  }
  return { type, payload: String(Number(digits)), target, asn: Number(digits), noResolve };
}

function makePrefix(type: PrefixRule["type"], field: Field, target: string, noResolve: boolean): Made {
  const prefix = parsePrefix(field.text);
  if (prefix === undefined) {
    return fieldError(field, `${JSON.stringify(field.text)} is not an address prefix`, "192.0.2.0/24 or 2001:db8::/32");
  }
  const payload = type.endsWith("CIDR") ? formatPrefix(prefix) : field.text;
  return { type, payload, target, prefix, noResolve };
}

function makeRanges(type: RangeRule["type"], field: Field, target: string): Made {
  const ranges = parseRanges(field.text, NUMBER_MAX[type]);
  if (typeof ranges === "string") return fieldError(field, ranges, RULE_TYPES[type].example);
  return { type, payload: field.text, target, ranges };
}

function makeNetwork(type: "NETWORK", field: Field, target: string): Made {
  const network = field.text.toLowerCase();
  if (network !== "tcp" && network !== "udp") {
    return fieldError(field, "unsupported network type, only TCP/UDP", "tcp or udp");
  }
  return { type, payload: network, target, network };
}

function makeNames(type: "IN-USER" | "IN-NAME" | "REMATCH-NAME", field: Field, target: string): Made {
  return { type, payload: field.text, target, names: field.text.split("/").map((name) => name.trim()) };
}

function makeInType(type: "IN-TYPE", field: Field, target: string): Made {
  const payload = field.text.toUpperCase();
  const names: string[] = [];
  for (const name of payload.split("/").map((each) => each.trim())) {
    if (!INBOUND_TYPES.includes(name)) {
      const near = nearestName(name, INBOUND_TYPES);
      return fieldError(field, `unknown type: ${name}`, near ?? INBOUND_TYPES.join(", "));
    }
    if (name === "SOCKS") names.push("SOCKS4", "SOCKS5");
    else names.push(name);
  }
  return { type, payload, target, names };
}

function makeGeosite(type: "GEOSITE", field: Field, target: string): Made {
  if (!/^!?[^@!\s][^@\s]*(@[^@\s]+)*$/.test(field.text)) {
    return fieldError(field, `${JSON.stringify(field.text)} is not a code of the site database`, "cn, google@cn");
  }
  return { type, payload: field.text, target };
}

/** Reads a payload. Every rule type but the logic ones and MATCH comes through here. Errors: returned. */
export function makeRule(written: RuleType, field: Field, target: string, params: RuleParams): Made {
  const type = params.src ? SOURCE_TWIN[written] ?? written : written;
  const noResolve = params.noResolve || type.startsWith("SRC-");
  switch (type) {
    case "DOMAIN":
    case "DOMAIN-SUFFIX":
    case "DOMAIN-KEYWORD":
      return makeDomain(type, field, target);
    case "DOMAIN-WILDCARD":
    case "PROCESS-NAME-WILDCARD":
    case "PROCESS-PATH-WILDCARD":
      return makeWildcard(type, field, target);
    case "DOMAIN-REGEX":
    case "PROCESS-NAME-REGEX":
    case "PROCESS-PATH-REGEX":
      return makeRegex(type, field, target);
    case "GEOSITE":
      return makeGeosite(type, field, target);
    case "GEOIP":
    case "SRC-GEOIP":
      return makeCountry(type, field, target, noResolve);
    case "IP-ASN":
    case "SRC-IP-ASN":
      return makeAsn(type, field, target, noResolve);
    case "IP-CIDR":
    case "SRC-IP-CIDR":
    case "IP-SUFFIX":
    case "SRC-IP-SUFFIX":
      return makePrefix(type, field, target, noResolve);
    case "SRC-PORT":
    case "DST-PORT":
    case "IN-PORT":
    case "DSCP":
    case "UID":
      return makeRanges(type, field, target);
    case "PROCESS-NAME":
    case "PROCESS-PATH":
      return { type, payload: field.text, target, folded: field.text.toLowerCase() };
    case "NETWORK":
      return makeNetwork(type, field, target);
    case "IN-TYPE":
      return makeInType(type, field, target);
    case "IN-USER":
    case "IN-NAME":
    case "REMATCH-NAME":
      return makeNames(type, field, target);
    case "RULE-SET":
      return { type, payload: field.text, target, src: params.src, noResolve };
    default:
      return fieldError(field, `unsupported rule type: ${type}`);
  }
}
