/** Facts of a made-up flow from `key=value` arguments, under Clash's Metadata names. */
import { type IpAddress, parseIp } from "../base/ip_address.ts";
import { type DnsMode, emptyFacts, type FlowFacts, Lookup, type SniffProtocol } from "../classify/facts.ts";
import { nearestName } from "../base/nearest.ts";
import { UsageError } from "./arguments.ts";

/** Reads one value into the facts. Errors: what was expected instead. */
type Setter = (facts: FlowFacts, value: string) => string | undefined;

function oneOf<T extends string>(words: readonly T[], set: (facts: FlowFacts, word: T) => void): Setter {
  return (facts, value) => {
    const word = words.find((each) => each === value.toLowerCase());
    if (word === undefined) return words.join(" or ");
    set(facts, word);
    return undefined;
  };
}

function address(set: (facts: FlowFacts, ip: IpAddress) => void): Setter {
  return (facts, value) => {
    const ip = parseIp(value);
    if (ip === undefined) return "an IP address";
    set(facts, ip);
    return undefined;
  };
}

function number(max: number, set: (facts: FlowFacts, value: number) => void): Setter {
  return (facts, value) => {
    if (!/^\d{1,10}$/.test(value) || Number(value) > max) return `a whole number from 0 to ${max}`;
    set(facts, Number(value));
    return undefined;
  };
}

function words(set: (facts: FlowFacts, value: string[]) => void): Setter {
  return (facts, value) => {
    set(facts, value.split(",").map((word) => word.trim()).filter((word) => word !== ""));
    return undefined;
  };
}

function text(set: (facts: FlowFacts, value: string) => void): Setter {
  return (facts, value) => {
    set(facts, value);
    return undefined;
  };
}

/** A host name as flows carry it: lower case, no final dot. */
function hostName(value: string): string {
  return value.toLowerCase().replace(/\.$/, "");
}

const PORT_MAX = 65_535;
const UINT32_MAX = 0xffff_ffff;

const SETTERS: Readonly<Record<string, Setter>> = {
  network: oneOf(["tcp", "udp"], (facts, word) => facts.network = word),
  type: text((facts, value) => facts.type = value),
  sourceIP: address((facts, ip) => facts.sourceIp = ip),
  sourcePort: number(PORT_MAX, (facts, port) => facts.sourcePort = port),
  destinationIP: address((facts, ip) => facts.destinationIp = ip),
  destinationPort: number(PORT_MAX, (facts, port) => facts.destinationPort = port),
  inboundIP: address((facts, ip) => facts.inboundIp = ip),
  inboundPort: number(PORT_MAX, (facts, port) => facts.inboundPort = port),
  inboundName: text((facts, value) => facts.inboundName = value),
  inboundUser: text((facts, value) => facts.inboundUser = value),
  host: text((facts, value) => facts.host = hostName(value)),
  sniffHost: text((facts, value) => facts.sniffHost = hostName(value)),
  sniffProtocol: oneOf<SniffProtocol>(
    ["tls", "quic", "http", "connect", "socks5"],
    (facts, word) => facts.sniffProtocol = word,
  ),
  ech: oneOf(["true", "false"], (facts, word) => facts.sniffEch = word === "true"),
  dnsMode: oneOf<DnsMode>(["normal", "fake-ip", "redir-host", "hosts"], (facts, word) => facts.dnsMode = word),
  process: text((facts, value) => facts.process = value),
  processPath: text((facts, value) => facts.processPath = value),
  processId: number(UINT32_MAX, (facts, id) => facts.processId = id),
  user: text((facts, value) => facts.user = value),
  uid: number(UINT32_MAX, (facts, uid) => facts.uid = uid),
  dscp: number(63, (facts, dscp) => facts.dscp = dscp),
  sourceGeoIP: words((facts, codes) => facts.sourceGeoIp = codes),
  destinationGeoIP: words((facts, codes) => facts.destinationGeoIp = codes),
  sourceIPASN: text((facts, value) => facts.sourceIpAsn = value),
  destinationIPASN: text((facts, value) => facts.destinationIpAsn = value),
  specialProxy: text((facts, value) => facts.specialProxy = value),
  specialRules: text((facts, value) => facts.specialRules = value),
  remoteDestination: text((facts, value) => facts.remoteDestination = value),
};

/** The names that an argument may have. */
export const FLOW_KEYS: readonly string[] = Object.keys(SETTERS);

/**
 * Makes facts of arguments like `host=example.org`. A flow is TCP unless it says otherwise; a process that is given counts as looked up.
 * Errors: `UsageError` that names the argument, what was expected, and the nearest key.
 */
export function factsFromArguments(args: readonly string[]): FlowFacts {
  const facts = emptyFacts("tcp");
  const given = new Set<string>();
  for (const arg of args) {
    const equals = arg.indexOf("=");
    if (equals < 1) throw new UsageError(`Cannot read ${arg}: expected key=value, like host=example.org`);
    const key = arg.slice(0, equals);
    const value = arg.slice(equals + 1);
    const setter = Object.hasOwn(SETTERS, key) ? SETTERS[key] : undefined;
    if (setter === undefined) {
      const near = nearestName(key, FLOW_KEYS);
      const hint = near === undefined ? `; the keys are ${FLOW_KEYS.join(", ")}` : `; did you mean ${near}?`;
      throw new UsageError(`Cannot read ${arg}: there is no key ${key}${hint}`);
    }
    if (given.has(key)) throw new UsageError(`Cannot read ${arg}: ${key} is given twice`);
    given.add(key);
    const wanted = setter(facts, value);
    if (wanted !== undefined) throw new UsageError(`Cannot read ${arg}: expected ${wanted} after ${key}=`);
  }
  completeProcess(facts, given);
  return facts;
}

function completeProcess(facts: FlowFacts, given: ReadonlySet<string>): void {
  if (facts.process === "") facts.process = facts.processPath.split(/[\\/]/).at(-1) ?? "";
  if (given.has("process") || given.has("processPath") || given.has("uid")) facts.processLookup = Lookup.Done;
}
