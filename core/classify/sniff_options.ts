/** Which flows are looked into, and with how much memory. */
import { SNIFF_BYTES_TOTAL_MAX } from "../base/limits.ts";
import { PrefixBudget } from "./stream_prefix.ts";

/** Destination ports, both ends included. */
export interface SniffPorts {
  readonly from: number;
  readonly to: number;
}

/** What a `FlowSniffer` may look for. An empty list of ports turns a protocol off. Source: Clash `sniffer.sniff`. */
export interface SniffOptions {
  readonly enabled: boolean;
  /** TLS over TCP, and DTLS over UDP. */
  readonly tls: readonly SniffPorts[];
  /** HTTP/1, with CONNECT. */
  readonly http: readonly SniffPorts[];
  readonly quic: readonly SniffPorts[];
  readonly socks: readonly SniffPorts[];
  /** Shared by all sniffers. */
  readonly budget: PrefixBudget;
}

const ALL_PORTS: readonly SniffPorts[] = [{ from: 0, to: 65_535 }];

/** Options that look for everything on every port. */
export function createSniffOptions(bytesMax: number = SNIFF_BYTES_TOTAL_MAX): SniffOptions {
  const budget = new PrefixBudget(bytesMax);
  return { enabled: true, tls: ALL_PORTS, http: ALL_PORTS, quic: ALL_PORTS, socks: ALL_PORTS, budget };
}

/** True when `port` is in one of the ranges. */
export function isSniffedPort(ports: readonly SniffPorts[], port: number): boolean {
  for (let i = 0; i < ports.length; i++) {
    if (port >= ports[i]!.from && port <= ports[i]!.to) return true;
  }
  return false;
}
