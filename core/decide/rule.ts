/**
 * The rules of Clash as values: one record per rule line, and the table of every rule type.
 *
 * Source: the grammar of MetaCubeX/mihomo (rules/parser.go, constant/rule.go), with its newer wildcard and rematch types.
 */
import type { IpPrefix } from "../base/ip_address.ts";
import type { Pattern } from "./pattern.ts";
import type { NumberRange } from "./ranges.ts";

/** What a rule reads that may not be known yet. `""`: only what every flow has from its first packet. */
export type Reads = "" | "host" | "destinationIp" | "process";

/** How the payload of a rule type is read. */
export type PayloadForm =
  | "none"
  | "domain"
  | "wildcard"
  | "regex"
  | "geosite"
  | "country"
  | "asn"
  | "prefix"
  | "port"
  | "dscp"
  | "uid"
  | "process"
  | "network"
  | "inType"
  | "names"
  | "provider"
  | "logic";

/** One line of the table of rule types. */
export interface RuleTypeInfo {
  /** The name in Clash's REST API and in reports. */
  readonly api: string;
  readonly form: PayloadForm;
  /** For logic types and RULE-SET "": they read what their parts read. */
  readonly reads: Reads;
  /** A payload that this type takes, shown where one was expected. */
  readonly example: string;
}

function info(api: string, form: PayloadForm, reads: Reads, example: string): RuleTypeInfo {
  return { api, form, reads, example };
}

/** Every rule type after parsing, by its name in the configuration. `IP-CIDR6` and the parameter `src` are folded in by the parser. */
export const RULE_TYPES = {
  "DOMAIN": info("Domain", "domain", "host", "www.example.org"),
  "DOMAIN-SUFFIX": info("DomainSuffix", "domain", "host", "example.org"),
  "DOMAIN-KEYWORD": info("DomainKeyword", "domain", "host", "example"),
  "DOMAIN-WILDCARD": info("DomainWildcard", "wildcard", "host", "*.example.?rg"),
  "DOMAIN-REGEX": info("DomainRegex", "regex", "host", "^ads?\\."),
  "GEOSITE": info("GeoSite", "geosite", "host", "category-ads-all"),
  "GEOIP": info("GeoIP", "country", "destinationIp", "CN"),
  "SRC-GEOIP": info("SrcGeoIP", "country", "", "CN"),
  "IP-ASN": info("IPASN", "asn", "destinationIp", "13335"),
  "SRC-IP-ASN": info("SrcIPASN", "asn", "", "13335"),
  "IP-CIDR": info("IPCIDR", "prefix", "destinationIp", "192.0.2.0/24"),
  "SRC-IP-CIDR": info("SrcIPCIDR", "prefix", "", "192.0.2.0/24"),
  "IP-SUFFIX": info("IPSuffix", "prefix", "destinationIp", "0.0.0.1/8"),
  "SRC-IP-SUFFIX": info("SrcIPSuffix", "prefix", "", "0.0.0.1/8"),
  "SRC-PORT": info("SrcPort", "port", "", "80/443/8000-9000"),
  "DST-PORT": info("DstPort", "port", "", "80/443/8000-9000"),
  "IN-PORT": info("InPort", "port", "", "7890"),
  "DSCP": info("DSCP", "dscp", "", "46"),
  "PROCESS-NAME": info("ProcessName", "process", "process", "curl.exe"),
  "PROCESS-PATH": info("ProcessPath", "process", "process", "/usr/bin/curl"),
  "PROCESS-NAME-WILDCARD": info("ProcessNameWildcard", "wildcard", "process", "*torrent*"),
  "PROCESS-PATH-WILDCARD": info("ProcessPathWildcard", "wildcard", "process", "/usr/*/wget"),
  "PROCESS-NAME-REGEX": info("ProcessNameRegex", "regex", "process", "^curl(\\.exe)?$"),
  "PROCESS-PATH-REGEX": info("ProcessPathRegex", "regex", "process", "/bin/wget$"),
  "NETWORK": info("Network", "network", "", "tcp"),
  "UID": info("Uid", "uid", "process", "1000"),
  "IN-TYPE": info("InType", "inType", "", "SOCKS/HTTP"),
  "IN-USER": info("InUser", "names", "", "alice/bob"),
  "IN-NAME": info("InName", "names", "", "tun-in"),
  "REMATCH-NAME": info("RematchName", "names", "", "again"),
  "RULE-SET": info("RuleSet", "provider", "", "provider-name"),
  "SUB-RULE": info("SubRules", "logic", "", "(NETWORK,tcp)"),
  "AND": info("AND", "logic", "", "((DOMAIN,example.org),(NETWORK,udp))"),
  "OR": info("OR", "logic", "", "((DOMAIN,example.org),(NETWORK,udp))"),
  "NOT": info("NOT", "logic", "", "((NETWORK,udp))"),
  "MATCH": info("Match", "none", "", ""),
} as const satisfies Record<string, RuleTypeInfo>;

/** The name of a rule type in the configuration, after parsing. */
export type RuleType = keyof typeof RULE_TYPES;

/** Names that the parser takes besides `RULE_TYPES`, and what they mean. */
export const RULE_TYPE_SYNONYMS: Readonly<Record<string, RuleType>> = { "IP-CIDR6": "IP-CIDR" };

/** The source twin that the parameter `src` turns a type into. Source: mihomo `RuleType()` of geoip.go, ipasn.go, ipcidr.go, ipsuffix.go. */
export const SOURCE_TWIN: Readonly<Partial<Record<RuleType, RuleType>>> = {
  "GEOIP": "SRC-GEOIP",
  "IP-ASN": "SRC-IP-ASN",
  "IP-CIDR": "SRC-IP-CIDR",
  "IP-SUFFIX": "SRC-IP-SUFFIX",
};

/** What every rule has. `payload` is the text that reports show; `target` is "" for a condition inside another rule. */
export interface RuleBase {
  readonly payload: string;
  readonly target: string;
  /** The packet program that the rule names, under `weir.programs` of the configuration. Clash knows no such parameter and ignores it. */
  readonly program?: string;
}

/** Compares `payload` with the host, as it stands. */
export interface DomainRule extends RuleBase {
  readonly type: "DOMAIN" | "DOMAIN-SUFFIX" | "DOMAIN-KEYWORD";
}

/** Compares a wildcard, already in lower case, with the host or the process. */
export interface WildcardRule extends RuleBase {
  readonly type: "DOMAIN-WILDCARD" | "PROCESS-NAME-WILDCARD" | "PROCESS-PATH-WILDCARD";
  readonly wildcard: string;
}

/** Runs a regular expression over the host or the process. */
export interface RegexRule extends RuleBase {
  readonly type: "DOMAIN-REGEX" | "PROCESS-NAME-REGEX" | "PROCESS-PATH-REGEX";
  readonly pattern: Pattern;
}

/** Looks the host up in a list of the site database; `payload` is `code`, `code@attribute`, `code@!attribute` or `!code`. */
export interface GeositeRule extends RuleBase {
  readonly type: "GEOSITE";
}

/** Compares the country of an address; `country` is lower case, "lan" for local addresses; `negated` for `!code`. */
export interface CountryRule extends RuleBase {
  readonly type: "GEOIP" | "SRC-GEOIP";
  readonly country: string;
  readonly negated: boolean;
  readonly noResolve: boolean;
}

/** Compares the autonomous system of an address. */
export interface AsnRule extends RuleBase {
  readonly type: "IP-ASN" | "SRC-IP-ASN";
  readonly asn: number;
  readonly noResolve: boolean;
}

/** Compares the first bits (`…-CIDR`) or the last bits (`…-SUFFIX`) of an address. */
export interface PrefixRule extends RuleBase {
  readonly type: "IP-CIDR" | "SRC-IP-CIDR" | "IP-SUFFIX" | "SRC-IP-SUFFIX";
  readonly prefix: IpPrefix;
  readonly noResolve: boolean;
}

/** Compares a number of the flow with ranges; no range at all means every number. */
export interface RangeRule extends RuleBase {
  readonly type: "SRC-PORT" | "DST-PORT" | "IN-PORT" | "DSCP" | "UID";
  readonly ranges: readonly NumberRange[];
}

/** Compares the process's name or path, regardless of case; `folded` is the payload in lower case. */
export interface ProcessRule extends RuleBase {
  readonly type: "PROCESS-NAME" | "PROCESS-PATH";
  readonly folded: string;
}

/** Compares the transport. */
export interface NetworkRule extends RuleBase {
  readonly type: "NETWORK";
  readonly network: "tcp" | "udp";
}

/** Compares a name of the inbound with a list; for `IN-TYPE` the names are in upper case. */
export interface NamesRule extends RuleBase {
  readonly type: "IN-TYPE" | "IN-USER" | "IN-NAME" | "REMATCH-NAME";
  readonly names: readonly string[];
}

/** Asks a rule-provider; with `src` source and destination change places, which implies no-resolve. */
export interface ProviderRule extends RuleBase {
  readonly type: "RULE-SET";
  readonly src: boolean;
  readonly noResolve: boolean;
}

/** Combines conditions. NOT has exactly one. */
export interface LogicRule extends RuleBase {
  readonly type: "AND" | "OR" | "NOT";
  readonly conditions: readonly Rule[];
}

/** When the condition holds, tries the rules of the list that `target` names. */
export interface SubRule extends RuleBase {
  readonly type: "SUB-RULE";
  readonly condition: Rule;
}

/** Matches every flow. */
export interface MatchRule extends RuleBase {
  readonly type: "MATCH";
}

/** One rule. */
export type Rule =
  | DomainRule
  | WildcardRule
  | RegexRule
  | GeositeRule
  | CountryRule
  | AsnRule
  | PrefixRule
  | RangeRule
  | ProcessRule
  | NetworkRule
  | NamesRule
  | ProviderRule
  | LogicRule
  | SubRule
  | MatchRule;

/** The name of a rule's type in Clash's REST API and in reports. */
export function apiName(type: RuleType): string {
  return RULE_TYPES[type].api;
}
