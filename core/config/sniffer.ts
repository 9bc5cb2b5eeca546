/** The section `sniffer`: reading host names in a flow's own bytes. Source: mihomo config RawSniffer. */
import {
  fallbacks,
  field,
  flag,
  list,
  located,
  optional,
  present,
  type Reader,
  record,
  type RecordOf,
} from "./schema.ts";
import { addressPattern, namePattern, type PortRange, portRange } from "./texts.ts";
import { isNothing } from "./yaml_tree.ts";

/** A protocol that may be sniffed. */
export type SniffedProtocol = "TLS" | "HTTP" | "QUIC";

/** How one protocol is sniffed; `overrideDestination` undefined means: as the sniffer in general. */
export interface SniffedPorts {
  readonly ports: readonly PortRange[];
  readonly overrideDestination: boolean | undefined;
}

const STANDARD_PORT: Readonly<Record<SniffedProtocol, number>> = { TLS: 443, HTTP: 80, QUIC: 443 };

const portsShape = { ports: field(list(portRange), []), "override-destination": optional(flag) };
const readPorts = record(portsShape);

/** A protocol that is named without saying more is sniffed at its standard port. */
function sniffedPorts(protocol: SniffedProtocol): Reader<SniffedPorts> {
  return (value, at) => {
    const given = isNothing(value) ? fallbacks(portsShape) : readPorts(value, at);
    if (given === undefined) return undefined;
    const standard = STANDARD_PORT[protocol];
    return { ...given, ports: given.ports.length > 0 ? given.ports : [{ low: standard, high: standard }] };
  };
}

const protocolsShape = {
  TLS: present(sniffedPorts("TLS")),
  HTTP: present(sniffedPorts("HTTP")),
  QUIC: present(sniffedPorts("QUIC")),
};

const snifferShape = {
  enable: field(flag, false),
  "force-dns-mapping": field(flag, true),
  "parse-pure-ip": field(flag, true),
  "override-destination": field(flag, true),
  sniff: field(record(protocolsShape), fallbacks(protocolsShape)),
  "force-domain": field(list(located(namePattern)), []),
  "skip-domain": field(list(located(namePattern)), []),
  "skip-src-address": field(list(located(addressPattern)), []),
  "skip-dst-address": field(list(located(addressPattern)), []),
};

/** The section as written. */
export type SnifferSection = RecordOf<typeof snifferShape>;

/** Reads the section `sniffer`. */
export const snifferSection = record(snifferShape, {
  unsupported: {
    sniffing: 'no protocol is sniffed; expected "sniff" with TLS, HTTP or QUIC',
    "port-whitelist": 'expected "ports" under sniff.TLS, sniff.HTTP or sniff.QUIC',
  },
});

/** The section when the configuration does not have it. */
export function defaultSnifferSection(): SnifferSection {
  return fallbacks(snifferShape);
}
