/** The section `dns`. Source: mihomo config RawDNS. */
import { invariant } from "../base/invariant.ts";
import { type IpPrefix, parsePrefix } from "../base/ip_address.ts";
import {
  fallbacks,
  field,
  flag,
  integer,
  list,
  listOrOne,
  located,
  mapOf,
  oneOf,
  optional,
  parsed,
  type Reader,
  record,
  type RecordOf,
  text,
} from "./schema.ts";
import {
  ipPrefixOrAddress,
  type NamePattern,
  namePattern,
  parseAddressPort,
  parsePort,
  prefixOfVersion,
} from "./texts.ts";
import { placeOf, type Value } from "./yaml_tree.ts";

/** One server that answers names. */
export interface NameServer {
  readonly scheme: "udp" | "tcp" | "tls" | "https" | "http" | "quic" | "system" | "dhcp" | "rcode";
  /** Host name or address; the interface for `dhcp`, the answer for `rcode`, "" for `system`. */
  readonly host: string;
  readonly port: number;
  /** For DNS over HTTPS. */
  readonly path: string;
  /** A proxy, group or interface that carries the queries; `RULES` asks the rules; "" is direct. */
  readonly via: string;
  /** `h3`, `skip-cert-verify`, `ecs`, `ecs-override`, … after the `&` of the fragment. */
  readonly options: ReadonlyMap<string, string>;
}

const PORTS: Readonly<Record<string, number>> = { udp: 53, tcp: 53, tls: 853, https: 443, http: 80, quic: 853 };
const ANSWERS = new Set(["success", "format_error", "server_failure", "name_error", "not_implemented", "refused"]);

/** Reads a name server as the configuration writes it; undefined when it is none. */
export function parseNameServer(written: string): NameServer | undefined {
  const hash = written.indexOf("#");
  const [via = "", ...pairs] = hash < 0 ? [] : written.slice(hash + 1).split("&");
  const address = hash < 0 ? written : written.slice(0, hash);
  const options = new Map(pairs.map((pair) => [pair.split("=")[0]!, pair.split("=").slice(1).join("=")]));
  const isOption = via.includes("=");
  if (isOption) options.set(via.split("=")[0]!, via.split("=").slice(1).join("="));
  const rest = { path: "", via: isOption ? "" : via, options };
  if (/^system(?::\/\/)?$/.test(address)) return { scheme: "system", host: "", port: 0, ...rest };
  const match = /^(?:([a-z]+):\/\/)?([^/?]+)(\/.*|\?.*)?$/.exec(address);
  if (match === null) return undefined;
  const [, scheme = "udp", authority = "", path = ""] = match;
  if (scheme === "dhcp") return { scheme, host: authority, port: 0, ...rest };
  if (scheme === "rcode") return ANSWERS.has(authority) ? { scheme, host: authority, port: 0, ...rest } : undefined;
  const standard = Object.hasOwn(PORTS, scheme) ? PORTS[scheme] : undefined;
  if (standard === undefined) return undefined;
  const place = parseAuthority(authority.slice(authority.lastIndexOf("@") + 1), standard);
  if (place === undefined) return undefined;
  const isHttp = scheme === "https" || scheme === "http";
  return { scheme: scheme as NameServer["scheme"], ...place, ...rest, path: isHttp ? path || "/dns-query" : "" };
}

function parseAuthority(authority: string, standard: number): { host: string; port: number } | undefined {
  const literal = /^\[([0-9a-fA-F:.%\w]+)\](?::(\d+))?$/.exec(authority);
  const host = literal?.[1] ?? (authority.split(":").length > 2 ? authority : authority.split(":")[0]!);
  const portText = literal?.[2] ?? (authority.split(":").length === 2 ? authority.split(":")[1] : undefined);
  const port = portText === undefined ? standard : parsePort(portText);
  return port === undefined || !/^[\w.%:-]+$/.test(host) ? undefined : { host, port };
}

const SERVER = 'a DNS server like "1.1.1.1", "tls://1.1.1.1:853", "https://dns.example/dns-query" or "system"';
const nameServer: Reader<NameServer> = parsed(parseNameServer, SERVER);

/** `default-nameserver` must be reachable without asking anybody for a name. */
const literalNameServer: Reader<NameServer> = parsed((written) => {
  const server = parseNameServer(written);
  const isLiteral = server !== undefined &&
    (["system", "dhcp", "rcode"].includes(server.scheme) || parseAddressPort(`[${server.host}]:1`) !== undefined);
  return isLiteral ? server : undefined;
}, 'a DNS server given by its address, like "1.1.1.1"');

/** One line of `nameserver-policy`: these names are asked from these servers. */
export interface NameServerPolicy {
  readonly names: string;
  /** Where it is written. */
  readonly node: Value;
  readonly servers: readonly NameServer[];
}

/** Some writers give the policy as a table, in the order of the file. */
const nameServerPolicy: Reader<NameServerPolicy[]> = (value, at) => {
  const policies = mapOf(listOrOne(nameServer), "a table of name patterns and their servers")(value, at);
  return policies && Array.from(policies, ([names, { value: servers }]) => ({ names, node: value, servers }));
};

/** The code of a list of sites. */
const siteCode: Reader<NamePattern> = parsed(
  (code): NamePattern => ({ kind: "geosite", text: code }),
  "the code of a list of sites",
);

const fallbackFilterShape = {
  geoip: field(flag, true),
  "geoip-code": field(text(), "CN"),
  ipcidr: field(list(ipPrefixOrAddress), []),
  domain: field(list(located(namePattern)), []),
  geosite: field(list(located(siteCode)), []),
};

const FAKE_IP_RANGE = parsePrefix("198.18.0.1/16");
invariant(FAKE_IP_RANGE !== undefined, "the default fake-IP range is a prefix");

const dnsShape = {
  enable: field(flag, false),
  ipv6: field(flag, false),
  "ipv6-timeout": field(integer(0, 60_000, "milliseconds"), 100),
  "prefer-h3": field(flag, false),
  "use-hosts": field(flag, true),
  "use-system-hosts": field(flag, true),
  "respect-rules": field(flag, false),
  listen: optional(text()),
  "enhanced-mode": field(oneOf(["normal", "fake-ip", "redir-host"]), "redir-host"),
  "fake-ip-range": field<IpPrefix>(prefixOfVersion(4), FAKE_IP_RANGE),
  "fake-ip-range6": optional(prefixOfVersion(6)),
  "fake-ip-filter": field(list(located(namePattern)), []),
  "fake-ip-filter-mode": field(oneOf(["blacklist", "whitelist"]), "blacklist"),
  "fake-ip-ttl": field(integer(0, 86_400, "seconds"), 1),
  "default-nameserver": field(list(literalNameServer), []),
  nameserver: field(list(nameServer), []),
  fallback: field(list(nameServer), []),
  "fallback-filter": field(record(fallbackFilterShape), fallbacks(fallbackFilterShape)),
  "nameserver-policy": field(nameServerPolicy, []),
  "proxy-server-nameserver": field(list(nameServer), []),
  "proxy-server-nameserver-policy": field(nameServerPolicy, []),
  "direct-nameserver": field(list(nameServer), []),
  "direct-nameserver-follow-policy": field(flag, false),
  "cache-algorithm": field(oneOf(["lru", "arc"]), "lru"),
  "cache-max-size": optional(integer(0, 1_000_000, "answers")),
};

/** Names and addresses as configured. Units: `ipv6Timeout` milliseconds, `fakeIpTtl` seconds. */
export type DnsConfig = RecordOf<typeof dnsShape>;

const readDns = record(dnsShape);

/** Reads the section `dns`. */
export const dnsSection: Reader<DnsConfig> = (value, at) => {
  const dns = readDns(value, at);
  const wish = value.kind === "table" ? value.entries.get("respect-rules") : undefined;
  if (dns?.respectRules && dns.proxyServerNameserver.length === 0 && wish !== undefined) {
    // Without it, finding the address of a proxy would need the proxy.
    const message = "found true, expected proxy-server-nameserver to be set as well";
    at.issues.error(placeOf(wish.value), `Cannot read ${at.name}.respect-rules: ${message}`);
  }
  return dns;
};

/** Names and addresses when the configuration says nothing of them. */
export function defaultDns(): DnsConfig {
  return fallbacks(dnsShape);
}
