/** The configuration as the rest of weir uses it. */
import type { AddressSet, DecideConfig } from "../decide/decide_config.ts";
import type { Decider } from "../decide/decider.ts";
import type { HostSet } from "../decide/geo.ts";
import type { GeneralConfig } from "./document.ts";
import type { DnsConfig } from "./dns.ts";
import { addressMatcher, hostMatcher, type NamedLists } from "./matchers.ts";
import type { ProxyEntry } from "./proxies.ts";
import type { SniffedPorts, SnifferSection } from "./sniffer.ts";
import type { PortRange } from "./texts.ts";
import type { TunConfig } from "./tun.ts";
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
  readonly groupCount: number;
  /** Every proxy with all its keys, for outbounds. Holds secrets. */
  readonly proxies: readonly ProxyEntry[];
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

/** Makes the fake-IP filter ready. */
export function readyDns(section: DnsConfig, lists: NamedLists): ReadyDnsConfig {
  const listed = hostMatcher(section.fakeIpFilter, lists);
  const isWhitelist = section.fakeIpFilterMode === "whitelist";
  return { ...section, isRealIpHost: (host) => listed.has(host) !== isWhitelist };
}
