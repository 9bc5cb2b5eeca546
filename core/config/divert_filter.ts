/**
 * The narrowest WinDivert filter that a configuration needs: traffic that no rule could touch never leaves the kernel.
 *
 * Which packets of a touched flow are needed:
 *
 * ```
 * flow                                   outbound packets        inbound packets
 * carried by a stack or a proxy          all: they end here      none comes: the network never heard of the flow
 * rejected, dropped                      all                     none comes
 * direct with a packet program           all                     all
 * direct, left alone                     none                    none
 * DNS while rules read names             to port 53              from port 53; neither when names come from fake addresses
 * opened by somebody else                none is wanted; outbound ones that look like a touched flow come along, and go back as they are
 * ```
 *
 * Fragments have their ports in the first one only, so all outbound fragments to an address that ports might touch are taken: a datagram is diverted
 * whole or not at all. What comes in is put together by Windows before.
 */
import { type IpPrefix, parseIp, parsePrefix } from "../base/ip_address.ts";
import { DIVERT_FILTER_PROXIES_MAX, DIVERT_FILTER_TESTS_MAX } from "../base/limits.ts";
import { compileSteps } from "../filter/compile.ts";
import { formatFilter } from "../filter/mod.ts";
import { isObjectText } from "../filter/object_text.ts";
import { FilterSyntaxError } from "../filter/syntax_error.ts";
import { layerNumber } from "../filter/layer.ts";
import {
  addressNumber,
  ALL,
  both,
  contains,
  either,
  type FilterText,
  grow,
  joinText,
  keyOf,
  literal,
  NONE,
  not,
  prefixRanges,
  project,
  type Region,
  regionText,
  within,
} from "./divert_region.ts";
import { FilterReasons } from "./divert_reasons.ts";
import { readsNames, touchedByRules, type TouchQuestion } from "./divert_rules.ts";
import type { ProxyEntry } from "./proxies.ts";
import type { WeirConfig } from "./weir_config.ts";

/** What a filter is derived from besides the configuration. */
export interface DivertFilterOptions {
  /** A policy script wants to be asked about each flow. */
  readonly hasPolicy: boolean;
  /** Mode `redirect`: our listeners' ports, whose answers have to be rewritten. */
  readonly listenerPorts?: readonly number[];
}

/** A piece of the filter, and why it is there. */
export interface DivertFilterPart {
  readonly text: string;
  readonly why: readonly string[];
}

interface Part {
  readonly piece: FilterText;
  readonly why: readonly string[];
}

interface ProxyWay {
  readonly name: string;
  readonly address: bigint;
  readonly port: bigint;
}

/** A derived filter. */
export interface DivertFilter {
  readonly filter: string;
  /** Tests of the compiled filter, of which WinDivert allows 256. */
  readonly testCount: number;
  /** The filter had to take in more than the rules say: they have more parts than a filter can. */
  readonly isWidened: boolean;
  readonly parts: readonly DivertFilterPart[];
}

/** Addresses that are never carried: unspecified, loopback, link-local, groups, broadcast. Source: RFC 6890, RFC 4291 sections 2.5 and 2.7. */
const BYPASSED = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"].map(rangeOf);
const LOOPBACK = rangeOf("127.0.0.0/8");
/** Everything below the IPv4 addresses, among it :: and ::1; and everything from link-local addresses on. */
const BYPASSED_V6 = { low: 0n, high: 0xffff_0000_0000n - 1n };
const BYPASSED_V6_TOP = { low: rangeOf("fe80::/10").low, high: (1n << 128n) - 1n };
const ONE = addressNumber(parseIp("::1")!);

/** DHCP. Source: RFC 2131 section 4.1, RFC 9915 section 7.2. */
const DHCP_PORTS = [{ low: 67n, high: 68n }, { low: 546n, high: 547n }];

const DNS_PORT = within("remotePort", [{ low: 53n, high: 53n }]);

function rangeOf(text: string) {
  return prefixRanges(parsePrefix(text)!)[0]!;
}

type Network = "tcp" | "udp";
const NETWORKS: readonly Network[] = ["tcp", "udp"];

/** Derives the filter; the configuration's own `weir.divert.filter` narrows it further. */
export function deriveDivertFilter(config: WeirConfig, options: DivertFilterOptions): DivertFilter {
  const own = ownFilter(config.divert.filter);
  const derivation = new Derivation(config, options);
  const listeners = listenerPart(options.listenerPorts ?? []);
  // A filter that is too long grows until it fits: first the lists in it, at last all of it.
  for (let tests = DIVERT_FILTER_TESTS_MAX; tests >= 1; tests = Math.floor(tests * 0.75)) {
    const parts = derivation.parts(tests);
    const derived = narrowed(
      own,
      parts.length === 0 ? literal("false") : joinText(parts.map(({ piece }) => piece), "or"),
    );
    // What our listeners send is needed whatever the user narrows.
    const all = listeners === undefined
      ? [derived]
      : derived.text === "false"
      ? [listeners.piece]
      : [derived, listeners.piece];
    const filter = joinText(all, "or").text;
    const testCount = countTests(filter);
    if (testCount === undefined) continue;
    const shown = [...parts, ...(listeners === undefined ? [] : [listeners])].map(({ piece, why }) => ({
      text: piece.text,
      why,
    }));
    if (own !== undefined) shown.unshift({ text: own, why: ["weir.divert.filter says so"] });
    return { filter, testCount, isWidened: derivation.isWidened, parts: shown };
  }
  const filter = own ?? "true";
  const why = ["this filter is so long that nothing else fits beside it"];
  return { filter, testCount: countTests(filter) ?? 0, isWidened: true, parts: [{ text: filter, why }] };
}

/** The user's filter as text that can stand in parentheses; undefined when it says nothing. */
function ownFilter(source: string): string | undefined {
  const text = isObjectText(source) ? formatFilter(source, "network") : source.trim();
  return text === "true" || text === "" ? undefined : text;
}

function narrowed(own: string | undefined, derived: FilterText): FilterText {
  if (own === undefined || derived.text === "false") return derived;
  return joinText([countTests(own) === 1 ? literal(own) : { text: own, word: "or" }, derived], "and");
}

function listenerPart(ports: readonly number[]): Part | undefined {
  if (ports.length === 0) return undefined;
  const local = within("localPort", ports.map((port) => ({ low: BigInt(port), high: BigInt(port) })));
  const why = ["answers of weir's own listeners get the addresses back that the flow began with"];
  return { piece: joinText([literal("outbound"), literal("tcp"), regionText(local)], "and"), why };
}

function countTests(filter: string): number | undefined {
  try {
    return compileSteps(filter, layerNumber("network")).length;
  } catch (error) {
    if (error instanceof FilterSyntaxError) return undefined;
    throw error;
  }
}

class Derivation {
  isWidened = false;
  readonly #config: WeirConfig;
  readonly #options: DivertFilterOptions;
  readonly #isFakeIp: boolean;
  readonly #hasLoopback: boolean;
  readonly #touched: Readonly<Record<Network, Region>>;
  readonly #effects: Readonly<Record<Network, Region>>;
  readonly #reasons: Readonly<Record<Network, FilterReasons>>;

  constructor(config: WeirConfig, options: DivertFilterOptions) {
    this.#config = config;
    this.#options = options;
    this.#isFakeIp = config.dns.enable && config.dns.enhancedMode === "fake-ip";
    this.#hasLoopback = config.divert.loopback;
    this.#reasons = { tcp: new FilterReasons(), udp: new FilterReasons() };
    this.#touched = { tcp: this.#findTouched("tcp"), udp: this.#findTouched("udp") };
    this.#effects = { tcp: this.#findEffects("tcp"), udp: this.#findEffects("udp") };
  }

  #question(network: Network, changes: Pick<TouchQuestion, "touches" | "note">): TouchQuestion {
    const { decide } = this.#config;
    // `localhost` is always in the table, and its packets are loopback's.
    return { config: decide, network, isDestinationExact: decide.hosts.size <= 1, ...changes };
  }

  #findTouched(network: Network): Region {
    const { decide } = this.#config;
    const reasons = this.#reasons[network];
    const fake = this.#isFakeIp ? this.#fakeTraffic() : NONE;
    if (fake !== NONE) {
      reasons.say(`dns.enhanced-mode is fake-ip: questions to port 53, and flows to made-up addresses`);
    }
    if (this.#options.hasPolicy) {
      reasons.say(`the policy wants to be asked about every ${network} flow`);
      return ALL;
    }
    if (decide.mode === "direct") return fake;
    if (decide.mode === "global") {
      const target = decide.targets.find("GLOBAL");
      const isDirect = target !== undefined && !target.pass && target.action === "direct" &&
        (target.udp || network === "tcp");
      if (!isDirect) reasons.say(`mode is global: every ${network} flow`);
      return isDirect ? fake : ALL;
    }
    const touched = touchedByRules(this.#question(network, {
      touches: (target) => target.action !== "direct" || target.effects !== undefined,
      note: (rule, target, bounds) => reasons.rule(rule, target, bounds, network),
    }));
    return either(touched, fake);
  }

  #fakeTraffic(): Region {
    const { fakeIpRange, fakeIpRange6 } = this.#config.dns;
    const prefixes = [fakeIpRange, fakeIpRange6].filter((prefix): prefix is IpPrefix => prefix !== undefined);
    return either(DNS_PORT, within("remoteAddr", prefixes.flatMap(prefixRanges)));
  }

  /** Flows whose inbound packets are wanted as well. */
  #findEffects(network: Network): Region {
    if (this.#config.divert.inbound) return this.#touched[network];
    if (this.#config.decide.mode !== "rule") return NONE;
    return touchedByRules(this.#question(network, {
      touches: (target) => target.action === "direct" && target.effects !== undefined,
      note: () => {},
    }));
  }

  #shorten(region: Region, testsMax: number): Region {
    const grown = grow(region, testsMax);
    if (grown !== region) this.isWidened = true;
    return grown;
  }

  /** The parts, of which one has to hold. */
  parts(testsMax: number): Part[] {
    this.isWidened = false;
    const touched = {
      tcp: this.#shorten(this.#touched.tcp, testsMax),
      udp: this.#shorten(this.#touched.udp, testsMax),
    };
    const parts: Part[] = [];
    const out = this.#outboundPart(touched);
    if (out !== undefined) parts.push(out);
    if (out !== undefined && this.#wantsNames()) {
      const why = [
        "rules or the policy read host names: answers of name servers tell which address has which name",
        "questions come along, so that nobody takes an answer for the beginning of a flow from outside",
      ];
      const text = this.#hasLoopback
        ? "udp and (remotePort == 53 or (loopback and localPort == 53))"
        : "!loopback and udp and remotePort == 53";
      parts.push({ piece: { text, word: "and" }, why });
    }
    const inbound = this.#inboundPart(testsMax);
    if (inbound !== undefined) parts.push(inbound);
    return parts;
  }

  #wantsNames(): boolean {
    const { decide } = this.#config;
    return !this.#isFakeIp && (this.#options.hasPolicy || (decide.mode === "rule" && readsNames(decide.rules, decide)));
  }

  #outboundPart(touched: Readonly<Record<Network, Region>>): Part | undefined {
    const any = either(touched.tcp, touched.udp);
    const tcp = this.#carried("tcp", touched.tcp);
    const udp = this.#carried("udp", touched.udp);
    if (tcp === NONE && udp === NONE) return undefined;
    const fragments = both(this.#carriedAddresses(), project(any, ["remoteAddr", "localAddr"]));
    // What all have in common stands before them once.
    const common = commonParts([tcp, udp, fragments].filter((region) => region !== NONE));
    const rest = (region: Region) => withoutParts(region, common);
    const terms = [networkText("fragment", rest(fragments)), ...networksText(rest(tcp), rest(udp))];
    const before = [
      literal("outbound"),
      ...(this.#hasLoopback ? [] : [literal("!loopback")]),
      ...common.map(regionText),
    ];
    const why = [
      "programs of this machine open flows with outbound packets; of a flow that is carried none comes in",
      ...(this.#hasLoopback ? [] : ["weir.divert.loopback is false: what stays inside this machine is left alone"]),
      "link-local addresses, groups, broadcasts and DHCP are never carried",
      "fragments have no ports but in the first: all that may belong to a touched flow",
      ...this.#reasonsOf(touched),
    ];
    return { piece: joinText([...before, joinText(terms, "or")], "and"), why };
  }

  #reasonsOf(touched: Readonly<Record<Network, Region>>): string[] {
    const { tcp, udp } = this.#reasons;
    const proxies = this.#proxiesLeftOut()
      .filter((proxy) => NETWORKS.some((network) => isWayOf(proxy, touched[network])))
      .map(({ name }) => `weir's own way to ${name} is left alone`);
    const widened = this.isWidened ? ["the rules have more parts than a filter can have: it takes in more"] : [];
    const lists = [touched.tcp === NONE ? [] : tcp.lines(), touched.udp === NONE ? [] : udp.lines()];
    return [...new Set(lists.flat()), ...proxies, ...widened];
  }

  #inboundPart(testsMax: number): Part | undefined {
    const [tcp, udp] = NETWORKS.map((network) =>
      this.#carried(network, this.#shorten(this.#effects[network], testsMax))
    );
    const terms = networksText(tcp!, udp!);
    if (terms.length === 0) return undefined;
    const isPolicy = this.#config.divert.inbound;
    const why = [isPolicy ? "weir.divert.inbound is true" : "packet programs of rules work on what comes in as well"];
    return { piece: joinText([literal("inbound"), joinText(terms, "or")], "and"), why };
  }

  #carriedAddresses(): Region {
    const ranges = [
      ...BYPASSED.filter(({ low }) => !this.#hasLoopback || low !== LOOPBACK.low),
      BYPASSED_V6,
      BYPASSED_V6_TOP,
    ];
    const loopback = this.#hasLoopback ? within("remoteAddr", [{ low: ONE, high: ONE }]) : NONE;
    return either(not(within("remoteAddr", ranges)), loopback);
  }

  /** A touched region without what is never carried and without weir's own way to its proxies. */
  #carried(network: Network, touched: Region): Region {
    if (touched === NONE) return NONE;
    const dhcp = network === "udp" ? not(within("remotePort", DHCP_PORTS)) : ALL;
    const proxies = this.#proxiesLeftOut().filter((proxy) => isWayOf(proxy, touched)).map(({ address, port }) => {
      const way = both(
        within("remoteAddr", [{ low: address, high: address }]),
        within("remotePort", [{ low: port, high: port }]),
      );
      return not(way);
    });
    return both(this.#carriedAddresses(), dhcp, touched, ...proxies);
  }

  #proxiesLeftOut(): ProxyWay[] {
    return this.#config.proxies.flatMap((proxy) => {
      const address = parseIp(scalarOf(proxy, "server"));
      const port = Number(scalarOf(proxy, "port"));
      if (address === undefined || !Number.isInteger(port) || port < 1 || port > 0xffff) return [];
      return [{ name: proxy.name, address: addressNumber(address), port: BigInt(port) }];
    }).slice(0, DIVERT_FILTER_PROXIES_MAX);
  }
}

function scalarOf({ table }: ProxyEntry, key: string): string {
  const value = table.entries.get(key)?.value;
  return value?.kind === "scalar" ? value.text : "";
}

function isWayOf({ address, port }: ProxyWay, touched: Region): boolean {
  return contains(touched, { remoteAddr: address, remotePort: port });
}

function partsOf(region: Region): readonly Region[] {
  return region.kind === "both" ? region.parts : [region];
}

/** The parts that every region has. */
function commonParts(regions: readonly Region[]): Region[] {
  const [first, ...others] = regions;
  if (first === undefined) return [];
  const keys = others.map((region) => new Set(partsOf(region).map(keyOf)));
  return partsOf(first).filter((part) => part !== ALL && keys.every((set) => set.has(keyOf(part))));
}

function withoutParts(region: Region, parts: readonly Region[]): Region {
  if (region === NONE) return NONE;
  const keys = new Set(parts.map(keyOf));
  return both(...partsOf(region).filter((part) => !keys.has(keyOf(part))));
}

function networkText(word: string, region: Region): FilterText {
  return region === ALL ? literal(word) : joinText([literal(word), regionText(region)], "and");
}

/** The terms of both networks, joined where they are equal. */
function networksText(tcp: Region, udp: Region): FilterText[] {
  if (tcp === NONE && udp === NONE) return [];
  if (tcp === NONE) return [networkText("udp", udp)];
  if (udp === NONE) return [networkText("tcp", tcp)];
  if (keyOf(tcp) !== keyOf(udp)) return [networkText("tcp", tcp), networkText("udp", udp)];
  return tcp === ALL ? [literal("tcp"), literal("udp")] : [networkText("(tcp or udp)", tcp)];
}
