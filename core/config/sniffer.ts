/** The section `sniffer`: reading host names in a flow's own bytes. Source: mihomo config RawSniffer. */
import { fallbacks, field, flag, list, located, optional, type Reader, record, type RecordOf } from "./schema.ts";
import { addressPattern, namePattern, type PortRange, portRange } from "./texts.ts";

/** A protocol that may be sniffed. */
export type SniffedProtocol = "TLS" | "HTTP" | "QUIC";

/** How one protocol is sniffed; `overrideDestination` undefined means: as the sniffer in general. */
export interface SniffedPorts {
  readonly ports: readonly PortRange[];
  readonly overrideDestination: boolean | undefined;
}

const STANDARD_PORT: Readonly<Record<SniffedProtocol, number>> = { TLS: 443, HTTP: 80, QUIC: 443 };

function sniffedPorts(protocol: SniffedProtocol): Reader<SniffedPorts> {
  const shape = { ports: field(list(portRange), []), "override-destination": optional(flag) };
  const read = record(shape);
  return (value, at) => {
    const given = read(value, at);
    if (given === undefined) return undefined;
    const standard = STANDARD_PORT[protocol];
    return { ...given, ports: given.ports.length > 0 ? given.ports : [{ low: standard, high: standard }] };
  };
}

const protocolsShape = {
  TLS: optional(sniffedPorts("TLS")),
  HTTP: optional(sniffedPorts("HTTP")),
  QUIC: optional(sniffedPorts("QUIC")),
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
export const snifferSection = record(snifferShape, { known: ["sniffing", "port-whitelist"] });

/** The section when the configuration does not have it. */
export function defaultSnifferSection(): SnifferSection {
  return fallbacks(snifferShape);
}
