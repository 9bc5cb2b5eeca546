/** Endpoints and flows as the side file of processes writes them. */
import { type IpAddress, type IpPrefix, parseIp, parsePrefix, prefixContains } from "../core/base/ip_address.ts";

/** An inclusive range of ports. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** One side of a flow; what is left out fits everything. */
export interface EndpointPattern {
  readonly prefix: IpPrefix | undefined;
  readonly ports: PortRange | undefined;
}

/** A flow in one line. */
export interface FlowPattern {
  readonly network: string | undefined;
  readonly source: EndpointPattern | undefined;
  readonly destination: EndpointPattern | undefined;
}

/** True when the address and the port lie in the pattern. */
export function matchesEndpoint(pattern: EndpointPattern, ip: IpAddress, port: number): boolean {
  const { prefix, ports } = pattern;
  return (prefix === undefined || prefixContains(prefix, ip)) &&
    (ports === undefined || (port >= ports.first && port <= ports.last));
}

function parseHost(text: string): IpPrefix | undefined {
  if (text.includes("/")) return parsePrefix(text);
  const address = parseIp(text);
  return address && { address, bits: address.version === 4 ? 32 : 128 };
}

function parsePorts(text: string): PortRange | undefined {
  const parts = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (parts === null) return undefined;
  const first = Number(parts[1]);
  const last = Number(parts[2] ?? parts[1]);
  return first <= last && last <= 0xffff ? { first, last } : undefined;
}

/** Reads `IP`, `IP/BITS`, `PORT`, `:PORT`, `FIRST-LAST`, `IP:PORT`, `[IPv6]:PORT`, or `*`. Errors: undefined when it is none of them. */
export function parseEndpoint(text: string): EndpointPattern | undefined {
  if (text === "*") return { prefix: undefined, ports: undefined };
  const bare = parsePorts(text.startsWith(":") ? text.slice(1) : text);
  if (bare !== undefined) return { prefix: undefined, ports: bare };
  let host = text;
  let portText: string | undefined;
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) {
    host = bracketed[1]!;
    portText = bracketed[2];
    if (!host.includes(":")) return undefined;
  } else if (text.indexOf(":") === text.lastIndexOf(":") && text.includes(":")) {
    // One colon: an IPv4 address and its port. More than one: an IPv6 address without a port.
    [host, portText] = text.split(":") as [string, string];
  }
  const prefix = host === "*" ? undefined : parseHost(host);
  if (prefix === undefined && host !== "*") return undefined;
  if (portText === undefined || portText === "*") return { prefix, ports: undefined };
  const ports = parsePorts(portText);
  return ports && { prefix, ports };
}

/** Reads `[NETWORK] [SOURCE] [-> DESTINATION]`. Errors: a text that says what was found. */
export function parseFlowPattern(text: string, networks: readonly string[]): FlowPattern | string {
  const [left = "", right, ...rest] = text.split("->").map((part) => part.trim());
  const words = left.split(/\s+/).filter((word) => word !== "");
  const first = words[0]?.toLowerCase();
  const network = first !== undefined && networks.includes(first) ? first : undefined;
  if (network !== undefined) words.shift();
  if (rest.length > 0 || words.length > 1 || right === "" || (words.length === 0 && network === undefined && !right)) {
    return JSON.stringify(text.slice(0, 80));
  }
  const source = words[0] === undefined ? undefined : parseEndpoint(words[0]);
  if (words[0] !== undefined && source === undefined) return JSON.stringify(words[0].slice(0, 80));
  const destination = right === undefined ? undefined : parseEndpoint(right);
  if (right !== undefined && destination === undefined) return JSON.stringify(right.slice(0, 80));
  return { network, source, destination };
}
