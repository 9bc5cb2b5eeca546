/**
 * What iptables can tell of a WinDivert filter: packets that the filter cannot match never leave the kernel.
 *
 * A filter becomes alternatives, each of which must hold: direction, version, protocol, ports, addresses. What iptables does not know counts as true,
 * so that the alternatives match at least what the filter matches; the adapter asks the filter itself again.
 */
import { formatIpv4Word, formatIpv6Words } from "../../core/base/ip_address.ts";
import { NFQUEUE_ALTERNATIVES_MAX } from "../../core/base/limits.ts";
import { HEADER } from "../../core/filter/fields.ts";
import { foldTest } from "../../core/filter/fold.ts";
import { LAYER_NETWORK } from "../../core/filter/layer.ts";
import { isObjectText } from "../../core/filter/object_text.ts";
import { parseTokens } from "../../core/filter/parser.ts";
import { type FilterNode, RELATION, type TestNode } from "../../core/filter/syntax_tree.ts";
import { tokenize } from "../../core/filter/tokens.ts";

/** What one alternative asks for; what is absent may be anything. */
export interface Narrowing {
  readonly isOutbound?: boolean;
  readonly version?: 4 | 6;
  readonly protocol?: "tcp" | "udp" | "icmp" | "ipv6-icmp";
  readonly isLoopback?: boolean;
  /** Both ends included. */
  readonly sourcePorts?: readonly [low: number, high: number];
  readonly destinationPorts?: readonly [low: number, high: number];
  readonly source?: string;
  readonly destination?: string;
}

/** Nothing is known: everything is handed over. */
const EVERYTHING: readonly Narrowing[] = [{}];
const PORT_MAX = 0xffff;
const MAPPED = 0xffffn << 32n;

const PROTOCOLS: Readonly<Record<number, Narrowing>> = {
  [HEADER.ip]: { version: 4 },
  [HEADER.ipv6]: { version: 6 },
  [HEADER.icmp]: { version: 4, protocol: "icmp" },
  [HEADER.icmpv6]: { version: 6, protocol: "ipv6-icmp" },
  [HEADER.tcp]: { protocol: "tcp" },
  [HEADER.udp]: { protocol: "udp" },
};

/** The alternatives of a filter. Shape: empty when it matches nothing. Errors: `FilterSyntaxError`. */
export function narrow(filter: string): readonly Narrowing[] {
  if (isObjectText(filter)) return EVERYTHING;
  return narrowNode(parseTokens(tokenize(filter, LAYER_NETWORK)));
}

function narrowNode(node: FilterNode): readonly Narrowing[] {
  switch (node.kind) {
    case "test":
      return narrowTest(node);
    case "or":
      return either(narrowNode(node.left), narrowNode(node.right));
    case "and":
      return both(narrowNode(node.left), narrowNode(node.right));
    case "choice":
      return either(both(narrowNode(node.condition), narrowNode(node.then)), narrowNode(node.otherwise));
  }
}

function either(a: readonly Narrowing[], b: readonly Narrowing[]): readonly Narrowing[] {
  return bounded([...a, ...b]);
}

/** The same alternatives once each, and when they are too many, fewer that are true of more. */
function bounded(all: readonly Narrowing[]): readonly Narrowing[] {
  const kept = distinct(all);
  if (kept.length <= NFQUEUE_ALTERNATIVES_MAX) return kept;
  const withoutPorts = distinct(all.map(({ isOutbound, version, protocol }) => ({
    ...(isOutbound === undefined ? {} : { isOutbound }),
    ...(version === undefined ? {} : { version }),
    ...(protocol === undefined ? {} : { protocol }),
  })));
  return withoutPorts.length <= NFQUEUE_ALTERNATIVES_MAX ? withoutPorts : EVERYTHING;
}

function distinct(all: readonly Narrowing[]): readonly Narrowing[] {
  const byText = new Map<string, Narrowing>();
  for (const each of all) {
    const text = JSON.stringify(Object.entries(each).sort());
    if (text === "[]") return EVERYTHING;
    if (!byText.has(text)) byText.set(text, each);
  }
  const kept = [...byText.values()];
  return kept.filter((each) => !kept.some((other) => other !== each && contains(other, each)));
}

/** True when the first asks for nothing that the second does not ask for as well. */
function contains(wide: Narrowing, narrow: Narrowing): boolean {
  return Object.entries(wide).every(([name, value]) => String(value) === String(narrow[name as keyof Narrowing]));
}

function both(a: readonly Narrowing[], b: readonly Narrowing[]): readonly Narrowing[] {
  const all: Narrowing[] = [];
  for (const left of a) {
    for (const right of b) {
      const joined = join(left, right);
      if (joined !== undefined) all.push(joined);
    }
  }
  return bounded(all);
}

/** Both at once; undefined when they contradict each other. */
function join(a: Narrowing, b: Narrowing): Narrowing | undefined {
  const joined: Record<string, unknown> = { ...a };
  for (const [name, value] of Object.entries(b)) {
    const known = joined[name];
    if (known === undefined) joined[name] = value;
    else if (name === "sourcePorts" || name === "destinationPorts") {
      const [low, high] = known as [number, number];
      const range = [Math.max(low, value[0]), Math.min(high, value[1])] as const;
      if (range[0] > range[1]) return undefined;
      joined[name] = range;
    } else if (known !== value) return undefined;
  }
  return joined;
}

function narrowTest(written: TestNode): readonly Narrowing[] {
  // What no value can fulfil means something else than it says: WinDivert makes `not tcp` of `tcp.DstPort > 65535`.
  const test = foldTest(written);
  if (typeof test === "boolean") return test ? EVERYTHING : [];
  const { field, relation, value } = test;
  if (field.kind === "constant" || field.name === "zero") return narrowConstant(test);
  if (field.header !== HEADER.none) {
    // A test on a header that is not there is false, whatever it compares.
    return both([PROTOCOLS[field.header]!], [narrowField(test)]);
  }
  const isZero = value.magnitude === 0n;
  if (relation !== RELATION.equal && relation !== RELATION.notEqual || (!isZero && value.magnitude !== 1n)) {
    return EVERYTHING;
  }
  const isTrue = (relation === RELATION.equal) !== isZero;
  switch (field.name) {
    case "outbound":
      return [{ isOutbound: isTrue }];
    case "inbound":
      return [{ isOutbound: !isTrue }];
    case "loopback":
      return [{ isLoopback: isTrue }];
    case "ip":
      return [{ version: isTrue ? 4 : 6 }];
    case "ipv6":
      return [{ version: isTrue ? 6 : 4 }];
    case "tcp":
    case "udp":
    case "icmp":
    case "icmpv6":
      return isTrue ? [PROTOCOLS[HEADER[field.name]]!] : EVERYTHING;
    default:
      return EVERYTHING;
  }
}

function narrowConstant({ field, relation, value }: TestNode): readonly Narrowing[] {
  const own = field.name === "true" ? 1n : 0n;
  if (value.negative || (relation !== RELATION.equal && relation !== RELATION.notEqual)) return EVERYTHING;
  return (own === value.magnitude) === (relation === RELATION.equal) ? EVERYTHING : [];
}

/** What a field inside a header says beside that the header is there. */
function narrowField({ field, relation, value }: TestNode): Narrowing {
  if (value.negative) return {};
  switch (field.name) {
    case "tcp.SrcPort":
    case "udp.SrcPort":
      return portsOf("sourcePorts", relation, value.magnitude);
    case "tcp.DstPort":
    case "udp.DstPort":
      return portsOf("destinationPorts", relation, value.magnitude);
    case "ip.SrcAddr":
    case "ipv6.SrcAddr":
      return addressOf("source", field.name, relation, value.magnitude);
    case "ip.DstAddr":
    case "ipv6.DstAddr":
      return addressOf("destination", field.name, relation, value.magnitude);
    default:
      return {};
  }
}

function portsOf(name: "sourcePorts" | "destinationPorts", relation: number, magnitude: bigint): Narrowing {
  const port = Number(magnitude);
  const ranges: Readonly<Record<number, readonly [number, number]>> = {
    [RELATION.equal]: [port, port],
    [RELATION.below]: [0, port - 1],
    [RELATION.atMost]: [0, port],
    [RELATION.above]: [port + 1, PORT_MAX],
    [RELATION.atLeast]: [port, PORT_MAX],
  };
  const range = ranges[relation];
  // What no port can fulfil is left to the filter itself.
  if (range === undefined || range[0] > PORT_MAX || range[1] < 0) return {};
  return { [name]: [range[0], Math.min(range[1], PORT_MAX)] };
}

function addressOf(name: "source" | "destination", field: string, relation: number, magnitude: bigint): Narrowing {
  if (relation !== RELATION.equal) return {};
  const word = (index: number) => Number((magnitude >> BigInt(32 * (3 - index))) & 0xffff_ffffn);
  if (field.startsWith("ipv6.")) return { [name]: formatIpv6Words(word(0), word(1), word(2), word(3)) };
  return magnitude >> 32n === MAPPED >> 32n ? { [name]: formatIpv4Word(word(3)) } : {};
}

/** The arguments of iptables for an alternative, in the chain of a direction; undefined when it is not about that chain. */
export function ruleArguments(narrowing: Narrowing, version: 4 | 6, isOutbound: boolean): string[] | undefined {
  if ((narrowing.version ?? version) !== version || (narrowing.isOutbound ?? isOutbound) !== isOutbound) {
    return undefined;
  }
  const args: string[] = [];
  // The loopback is seen on its way out only.
  if (narrowing.isLoopback === true && !isOutbound) return undefined;
  if (narrowing.isLoopback !== undefined && isOutbound) args.push(...(narrowing.isLoopback ? [] : ["!"]), "-o", "lo");
  if (narrowing.source !== undefined) args.push("-s", narrowing.source);
  if (narrowing.destination !== undefined) args.push("-d", narrowing.destination);
  if (narrowing.protocol !== undefined) args.push("-p", narrowing.protocol);
  if (narrowing.sourcePorts !== undefined) args.push("--sport", narrowing.sourcePorts.join(":"));
  if (narrowing.destinationPorts !== undefined) args.push("--dport", narrowing.destinationPorts.join(":"));
  return args;
}
