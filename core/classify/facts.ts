/** What is known of one flow: all that rules, policies and reports may read. */
import type { IpAddress } from "../base/ip_address.ts";
import { formatIp } from "../base/ip_address.ts";

/** How a lookup that happens at most once per flow stands. */
export const Lookup = { NotTried: 0, Done: 1, Failed: 2 } as const;
export type Lookup = (typeof Lookup)[keyof typeof Lookup];

/** Where a flow's name was read in its own bytes. */
export type SniffProtocol = "" | "tls" | "quic" | "http" | "connect" | "socks5";

/** How a destination got its host name. Source: Clash `dnsMode`; `hosts` when the hosts table answered. */
export type DnsMode = "normal" | "fake-ip" | "redir-host" | "hosts";

/**
 * The facts of one flow. Mutable: classify and the lookups fill it in; rules and policies only read.
 *
 * An empty string, `undefined` address or 0 means "not known". `source` is the side that opened the flow.
 */
export interface FlowFacts {
  network: "tcp" | "udp";
  /** Clash inbound type: Tun, Redir, Socks5, HTTP, Inner, … */
  type: string;
  sourceIp: IpAddress | undefined;
  sourcePort: number;
  destinationIp: IpAddress | undefined;
  destinationPort: number;
  inboundIp: IpAddress | undefined;
  inboundPort: number;
  inboundName: string;
  inboundUser: string;
  /** The name from DNS memory, fake-IP, the hosts table or the proxy request. Lower case, no final dot. */
  host: string;
  /** True when DNS gave several names for this address, so that the flow's own bytes know better. */
  hostAmbiguous: boolean;
  /** The name read from the flow's own bytes. Lower case, no final dot. */
  sniffHost: string;
  /** An IP address that stood where a name should (a Host header, a TLS hello). Reports show it; no rule takes it for a name. */
  sniffAddress: string;
  sniffProtocol: SniffProtocol;
  /** True when `sniffHost` is the outer (public) name of a hello with Encrypted ClientHello. */
  sniffEch: boolean;
  /** True while the flow's own bytes may still bring a name. */
  nameMayCome: boolean;
  dnsMode: DnsMode;
  process: string;
  processPath: string;
  processId: number;
  user: string;
  uid: number | undefined;
  processLookup: Lookup;
  resolveLookup: Lookup;
  specialProxy: string;
  specialRules: string;
  remoteDestination: string;
  /** Differentiated Services code point of the first packet. Units: 0 … 63. */
  dscp: number;
  sourceGeoIp: string[];
  destinationGeoIp: string[];
  sourceIpAsn: string;
  destinationIpAsn: string;
}

/** Facts of a flow of which nothing is known yet. */
export function emptyFacts(network: "tcp" | "udp"): FlowFacts {
  return {
    network,
    type: "Tun",
    sourceIp: undefined,
    sourcePort: 0,
    destinationIp: undefined,
    destinationPort: 0,
    inboundIp: undefined,
    inboundPort: 0,
    inboundName: "",
    inboundUser: "",
    host: "",
    hostAmbiguous: false,
    sniffHost: "",
    sniffAddress: "",
    sniffProtocol: "",
    sniffEch: false,
    nameMayCome: false,
    dnsMode: "normal",
    process: "",
    processPath: "",
    processId: 0,
    user: "",
    uid: undefined,
    processLookup: Lookup.NotTried,
    resolveLookup: Lookup.NotTried,
    specialProxy: "",
    specialRules: "",
    remoteDestination: "",
    dscp: 0,
    sourceGeoIp: [],
    destinationGeoIp: [],
    sourceIpAsn: "",
    destinationIpAsn: "",
  };
}

/** The name that rules match: the sniffed one, else the one from DNS. Source: mihomo `Metadata.RuleHost`. */
export function ruleHost(facts: FlowFacts): string {
  return facts.sniffHost !== "" ? facts.sniffHost : facts.host;
}

/** A flow's facts under Clash's field names, as policies, reports and the API show them. Ports are strings. */
export interface Metadata {
  network: "tcp" | "udp";
  type: string;
  sourceIP: string;
  destinationIP: string;
  sourceGeoIP: string[];
  destinationGeoIP: string[];
  sourceIPASN: string;
  destinationIPASN: string;
  sourcePort: string;
  destinationPort: string;
  inboundIP: string;
  inboundPort: string;
  inboundName: string;
  inboundUser: string;
  host: string;
  dnsMode: DnsMode;
  uid: number | null;
  process: string;
  processPath: string;
  /** Not a Clash field: the process id, 0 when unknown. */
  processId: number;
  /** Not a Clash field: the account that runs the process. */
  user: string;
  specialProxy: string;
  specialRules: string;
  remoteDestination: string;
  dscp: number;
  /** The name, or the address in its place, that the flow's own bytes carry. */
  sniffHost: string;
  /** Not a Clash field: where `sniffHost` was read. */
  sniffProtocol: SniffProtocol;
  /** Not a Clash field: `sniffHost` is only the outer name of an Encrypted ClientHello. */
  ech: boolean;
}

/** Writes the facts under Clash's names; `host` is the name the rules saw. */
export function toMetadata(facts: FlowFacts): Metadata {
  return {
    network: facts.network,
    type: facts.type,
    sourceIP: facts.sourceIp === undefined ? "" : formatIp(facts.sourceIp),
    destinationIP: facts.destinationIp === undefined ? "" : formatIp(facts.destinationIp),
    sourceGeoIP: facts.sourceGeoIp,
    destinationGeoIP: facts.destinationGeoIp,
    sourceIPASN: facts.sourceIpAsn,
    destinationIPASN: facts.destinationIpAsn,
    sourcePort: String(facts.sourcePort),
    destinationPort: String(facts.destinationPort),
    inboundIP: facts.inboundIp === undefined ? "" : formatIp(facts.inboundIp),
    inboundPort: String(facts.inboundPort),
    inboundName: facts.inboundName,
    inboundUser: facts.inboundUser,
    host: ruleHost(facts),
    dnsMode: facts.dnsMode,
    uid: facts.uid ?? null,
    process: facts.process,
    processPath: facts.processPath,
    processId: facts.processId,
    user: facts.user,
    specialProxy: facts.specialProxy,
    specialRules: facts.specialRules,
    remoteDestination: facts.remoteDestination,
    dscp: facts.dscp,
    sniffHost: facts.sniffHost !== "" ? facts.sniffHost : facts.sniffAddress,
    sniffProtocol: facts.sniffProtocol,
    ech: facts.sniffEch,
  };
}
