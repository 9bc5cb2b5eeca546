/** The sniffer's configuration as the classifier takes it. */
import type { NamePolicy } from "../classify/classifier.ts";
import type { SniffOptions } from "../classify/sniff_options.ts";
import { createSniffOptions } from "../classify/sniff_options.ts";
import type { ProtocolSniffing, SnifferConfig } from "./weir_config.ts";

function portsOf(protocol: ProtocolSniffing | undefined): SniffOptions["tls"] {
  return protocol === undefined ? [] : protocol.ports.map(({ low, high }) => ({ from: low, to: high }));
}

/** Where names are looked for. Without a section `sniffer`, or with an empty `sniff`, everything on every port: looking is passive. */
export function sniffOptionsOf(config: SnifferConfig): SniffOptions {
  const all = createSniffOptions();
  if (!config.isConfigured) return all;
  if (!config.enable) return { ...all, enabled: false };
  if (config.tls === undefined && config.http === undefined && config.quic === undefined) return all;
  return { ...all, tls: portsOf(config.tls), http: portsOf(config.http), quic: portsOf(config.quic) };
}

/** Which flows are looked into, and which names count. Source: mihomo's sniffer dispatcher: addresses first, then pure IP, then names. */
export function namePolicyOf(config: SnifferConfig): NamePolicy {
  if (!config.isConfigured || !config.enable) {
    return { wantsSniff: () => true, prefersSniffed: () => true, accepts: () => true };
  }
  return {
    wantsSniff: (facts) => {
      if (facts.destinationIp !== undefined && config.skipDestinationAddress.has(facts.destinationIp)) return false;
      if (facts.sourceIp !== undefined && config.skipSourceAddress.has(facts.sourceIp)) return false;
      return facts.host !== "" || config.parsePureIp;
    },
    prefersSniffed: (facts) => config.forceDnsMapping || config.forceDomain.has(facts.host),
    accepts: (host) => !config.skipDomain.has(host),
  };
}
