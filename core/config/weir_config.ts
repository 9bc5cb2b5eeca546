/** The configuration as the rest of weir uses it. */
import type { AddressSet, DecideConfig } from "../decide/decide_config.ts";
import type { Decider } from "../decide/decider.ts";
import type { HostSet } from "../decide/geo.ts";
import type { GroupPlan } from "../outbound/groups.ts";
import type { OutboundSettings } from "../outbound/settings.ts";
import type { GeneralConfig } from "./document.ts";
import { type IpAddress, prefixContains } from "../base/ip_address.ts";
import { isLanAddress } from "../decide/geo.ts";
import type { DnsConfig, NameServer, NameServerPolicy } from "./dns.ts";
import type { Issue } from "./issue.ts";
import { addressMatcher, hostMatcher, type NamedLists } from "./matchers.ts";
import type { ProxyEntry } from "./proxies.ts";
import type { Located } from "./schema.ts";
import type { SniffedPorts, SnifferSection } from "./sniffer.ts";
import type { NamePattern, PortRange } from "./texts.ts";
import type { TunConfig } from "./tun.ts";
import { shorten } from "./yaml_tree.ts";
import type { DivertConfig } from "./weir_section.ts";

/** Where one protocol is sniffed, and whether its name replaces the destination. */
export interface ProtocolSniffing {
  readonly ports: readonly PortRange[];
  readonly overrideDestination: boolean;
}

/** How host names are read in flows' own bytes. A protocol that is undefined is not sniffed. */
export interface SnifferConfig {
  /** False when the configuration has no section `sniffer`. */
  readonly isConfigured: boolean;
  readonly enable: boolean;
  readonly forceDnsMapping: boolean;
  readonly parsePureIp: boolean;
  readonly overrideDestination: boolean;
  readonly tls: ProtocolSniffing | undefined;
  readonly http: ProtocolSniffing | undefined;
  readonly quic: ProtocolSniffing | undefined;
  /** Hosts that are sniffed although DNS gave a name, and hosts whose sniffed name is not used. */
  readonly forceDomain: HostSet;
  readonly skipDomain: HostSet;
  readonly skipSourceAddress: AddressSet;
  readonly skipDestinationAddress: AddressSet;
}

/** The section `dns` with its filter ready to be asked. */
export interface ReadyDnsConfig extends DnsConfig {
  /** True for a host that gets its real address although `enhanced-mode` is `fake-ip`. */
  readonly isRealIpHost: (host: string) => boolean;
  /** `nameserver-policy`, in the order of the file. */
  readonly policies: readonly NamesAndServers[];
  readonly proxyServerPolicies: readonly NamesAndServers[];
  /** True for names that only the `fallback` servers are asked for. */
  readonly isFallbackName: (host: string) => boolean;
  /** True for an address of the usual servers that is not believed, so that the `fallback` servers' counts. */
  readonly isForeign: (address: IpAddress) => boolean;
}

/** Names that have name servers of their own. */
export interface NamesAndServers {
  readonly matches: (name: string) => boolean;
  readonly servers: readonly NameServer[];
}

/** A whole configuration without mistakes. */
export interface WeirConfig {
  /** Undefined when there is no file. */
  readonly file: string | undefined;
  readonly decide: DecideConfig;
  readonly decider: Decider;
  readonly sniffer: SnifferConfig;
  readonly dns: ReadyDnsConfig;
  readonly tun: TunConfig;
  readonly divert: DivertConfig;
  readonly general: GeneralConfig;
  readonly groups: readonly GroupPlan[];
  /** Every proxy with all its keys. Holds secrets. */
  readonly proxies: readonly ProxyEntry[];
  /** Every proxy that weir can carry flows by. Holds secrets. */
  readonly outbounds: readonly OutboundSettings[];
  /** Why the others cannot be used: mistakes where flows are carried, nothing where they are only decided. */
  readonly outboundIssues: readonly Issue[];
  /** The policy script that the configuration names, as a full path. */
  readonly policy: string | undefined;
}

/** Makes the sniffer's lists ready. */
export function readySniffer(section: SnifferSection, isConfigured: boolean, lists: NamedLists): SnifferConfig {
  const { sniff, overrideDestination } = section;
  const protocol = (given: SniffedPorts | undefined): ProtocolSniffing | undefined =>
    given && { ports: given.ports, overrideDestination: given.overrideDestination ?? overrideDestination };
  return {
    isConfigured,
    enable: section.enable,
    forceDnsMapping: section.forceDnsMapping,
    parsePureIp: section.parsePureIp,
    overrideDestination,
    tls: protocol(sniff.TLS),
    http: protocol(sniff.HTTP),
    quic: protocol(sniff.QUIC),
    forceDomain: hostMatcher(section.forceDomain, lists),
    skipDomain: hostMatcher(section.skipDomain, lists),
    skipSourceAddress: addressMatcher(section.skipSrcAddress, lists),
    skipDestinationAddress: addressMatcher(section.skipDstAddress, lists),
  };
}

/** `a.com,+.b.org`, `geosite:cn,private`, `rule-set:x`: one key of a policy. Source: mihomo config/config.go parseNameServerPolicy. */
function policyMatcher({ names, node, servers }: NameServerPolicy, lists: NamedLists): NamesAndServers {
  const list = /^(geosite|rule-set):(.*)$/is.exec(names);
  const kind = list?.[1]?.toLowerCase() as "geosite" | "rule-set" | undefined;
  const texts = (list?.[2] ?? names).split(",").map((text) => text.trim());
  const name = `dns.nameserver-policy.${shorten(names)}`;
  const patterns = texts.map((text): Located<NamePattern> => {
    return { value: kind === undefined ? { kind: "pattern", text: text.toLowerCase() } : { kind, text }, node, name };
  });
  const hosts = hostMatcher(patterns, lists);
  return { matches: (host) => hosts.has(host), servers };
}

/** The names and addresses for which the fallback servers are believed. Source: mihomo dns/filters.go. */
function fallbackFilter(
  { fallbackFilter }: DnsConfig,
  lists: NamedLists,
): Pick<ReadyDnsConfig, "isFallbackName" | "isForeign"> {
  const names = hostMatcher([...fallbackFilter.domain, ...fallbackFilter.geosite], lists);
  const code = fallbackFilter.geoipCode.toLowerCase();
  const usesCountry = fallbackFilter.geoip && lists.geo.available.country;
  return {
    isFallbackName: (host) => names.has(host),
    isForeign: (address) =>
      fallbackFilter.ipcidr.some((prefix) => prefixContains(prefix, address)) ||
      (usesCountry && !isLanAddress(address) && !lists.geo.country(address).includes(code)),
  };
}

/** Makes the filters of the section ready. */
export function readyDns(section: DnsConfig, lists: NamedLists): ReadyDnsConfig {
  const listed = hostMatcher(section.fakeIpFilter, lists);
  const isWhitelist = section.fakeIpFilterMode === "whitelist";
  const policiesOf = (policies: readonly NameServerPolicy[]) => policies.map((policy) => policyMatcher(policy, lists));
  return {
    ...section,
    ...fallbackFilter(section, lists),
    isRealIpHost: (host) => listed.has(host) !== isWhitelist,
    policies: policiesOf(section.nameserverPolicy),
    proxyServerPolicies: policiesOf(section.proxyServerNameserverPolicy),
  };
}
