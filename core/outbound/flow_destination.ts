/** What a flow asks of the proxy that carries it. */
import type { FlowFacts } from "../classify/facts.ts";
import type { Destination } from "./tunnel.ts";

/** What a proxy is told: a name where one is known, for the proxy knows better where it is nearest; a fixed address from the hosts table stays. */
export function destinationOf(facts: FlowFacts): Destination {
  const isFixed = facts.dnsMode === "hosts" && facts.destinationIp !== undefined;
  const host = isFixed ? "" : facts.sniffHost !== "" && facts.dnsMode === "normal" ? facts.sniffHost : facts.host;
  return { address: facts.destinationIp, host, port: facts.destinationPort };
}
