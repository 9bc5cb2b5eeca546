/**
 * The slow interpreter: walks the tree for every packet, with bigints and names. It is the oracle that the compiled form must agree with,
 * so it shares only the parser with it, and has its own table of where fields lie.
 */
import type { FilterAddress } from "./address.ts";
import type { Field } from "./fields.ts";
import { bits, decodedHash, type DecodedPacket, decodePacket } from "./interpret_packet.ts";
import { type FilterLayer, LAYER_NAMES, type LayerName } from "./layer.ts";
import { parseTokens } from "./parser.ts";
import type { Constant, FilterNode, TestNode } from "./syntax_tree.ts";
import { tokenize } from "./tokens.ts";

type HeaderName = "ip" | "ipv6" | "icmp" | "icmpv6" | "tcp" | "udp";

/** First bit and number of bits, counted as the RFCs draw them. */
const BITS: Readonly<Record<string, readonly [from: number, count: number]>> = {
  "ip.HdrLength": [4, 4],
  "ip.TOS": [8, 8],
  "ip.Length": [16, 16],
  "ip.Id": [32, 16],
  "ip.DF": [49, 1],
  "ip.MF": [50, 1],
  "ip.FragOff": [51, 13],
  "ip.TTL": [64, 8],
  "ip.Protocol": [72, 8],
  "ip.Checksum": [80, 16],
  "ip.SrcAddr": [96, 32],
  "ip.DstAddr": [128, 32],
  "ipv6.TrafficClass": [4, 8],
  "ipv6.FlowLabel": [12, 20],
  "ipv6.Length": [32, 16],
  "ipv6.NextHdr": [48, 8],
  "ipv6.HopLimit": [56, 8],
  "ipv6.SrcAddr": [64, 128],
  "ipv6.DstAddr": [192, 128],
  "icmp.Type": [0, 8],
  "icmp.Code": [8, 8],
  "icmp.Checksum": [16, 16],
  "icmp.Body": [32, 32],
  "icmpv6.Type": [0, 8],
  "icmpv6.Code": [8, 8],
  "icmpv6.Checksum": [16, 16],
  "icmpv6.Body": [32, 32],
  "tcp.SrcPort": [0, 16],
  "tcp.DstPort": [16, 16],
  "tcp.SeqNum": [32, 32],
  "tcp.AckNum": [64, 32],
  "tcp.HdrLength": [96, 4],
  "tcp.Urg": [106, 1],
  "tcp.Ack": [107, 1],
  "tcp.Psh": [108, 1],
  "tcp.Rst": [109, 1],
  "tcp.Syn": [110, 1],
  "tcp.Fin": [111, 1],
  "tcp.Window": [112, 16],
  "tcp.Checksum": [128, 16],
  "tcp.UrgPtr": [144, 16],
  "udp.SrcPort": [0, 16],
  "udp.DstPort": [16, 16],
  "udp.Length": [32, 16],
  "udp.Checksum": [48, 16],
};

const MAPPED = 0xffffn << 32n;
const BITS_32 = 0xffff_ffffn;

interface Scene {
  readonly layer: LayerName;
  readonly packet: DecodedPacket | undefined;
  readonly address: FilterAddress;
}

/** A key that orders constants; WinDivert's −0 lies between −1 and 0. */
function key(value: Constant): bigint {
  return value.negative ? -2n * value.magnitude - 1n : 2n * value.magnitude;
}

function signedKey(value: bigint): bigint {
  return key({ negative: value < 0n, magnitude: value < 0n ? -value : value });
}

function holds(test: TestNode, value: bigint, constant: bigint): boolean {
  return [
    value === constant,
    value !== constant,
    value < constant,
    value <= constant,
    value > constant,
    value >= constant,
  ][
    test.relation
  ]!;
}

/** The header that a field's name begins with. */
function headerOf(name: string): HeaderName | undefined {
  return name.includes(".") ? name.slice(0, name.indexOf(".")) as HeaderName : undefined;
}

function isEndpoint(scene: Scene): boolean {
  return scene.layer === "flow" || scene.layer === "socket";
}

function bool(value: boolean | undefined): bigint {
  return value === true ? 1n : 0n;
}

function words(list: ArrayLike<number> | undefined): bigint {
  return Array.from(list ?? []).reduce((sum, word, i) => sum | (BigInt(word) << BigInt(32 * i)), 0n);
}

function indexed(test: TestNode, packet: DecodedPacket): bigint | undefined {
  const bytes = test.field.name.startsWith("packet") ? packet.all : packet.payload;
  const at = test.index < 0 ? bytes.length + test.index : test.index;
  if (at < 0 || at + test.field.width > bytes.length) return undefined;
  return bits(bytes, at * 8, test.field.width * 8);
}

function speaks(scene: Scene, header: HeaderName): bigint {
  if (!isEndpoint(scene)) return bool(scene.packet?.[header] !== undefined);
  const { protocol, ipv6 } = scene.address;
  const number = { tcp: 6, udp: 17, icmp: 1, icmpv6: 58, ip: -1, ipv6: -1 }[header];
  const rightVersion = header === "icmp" ? ipv6 !== true : header === "icmpv6" ? ipv6 === true : true;
  return bool(protocol === number && rightVersion);
}

/** Address or port of the packet's sender or receiver. */
function packetEnd(packet: DecodedPacket, what: "Addr" | "Port", sender: boolean): bigint {
  const from = (header: HeaderName, field: string) => bits(packet[header]!, ...BITS[`${header}.${field}`]!);
  const name = `${sender ? "Src" : "Dst"}${what}`;
  if (what === "Addr") return packet.ip !== undefined ? MAPPED | from("ip", name) : from("ipv6", name);
  if (packet.tcp !== undefined) return from("tcp", name);
  if (packet.udp !== undefined) return from("udp", name);
  const icmp = packet.icmp ?? packet.icmpv6;
  return sender && icmp !== undefined ? BigInt(icmp[0]!) : 0n;
}

function random(scene: Scene, shift: bigint, count: bigint): bigint {
  const hash = decodedHash(scene.packet!, BigInt(scene.address.timestamp ?? 0));
  return (hash >> shift) & ((1n << count) - 1n);
}

/** Values of fields that are no plain bits of a header. */
const READERS: Readonly<Record<string, (scene: Scene) => bigint>> = {
  zero: () => 0n,
  false: () => 0n,
  true: () => 1n,
  inbound: ({ address }) => bool(address.outbound !== true),
  outbound: ({ address }) => bool(address.outbound),
  loopback: ({ address }) => bool(address.loopback),
  impostor: ({ address }) => bool(address.impostor),
  ifIdx: ({ address }) => BigInt(address.ifIdx ?? 0),
  subIfIdx: ({ address }) => BigInt(address.subIfIdx ?? 0),
  event: ({ address }) => BigInt(address.event ?? 0),
  timestamp: ({ address }) => BigInt(address.timestamp ?? 0),
  processId: ({ address }) => BigInt(address.processId ?? 0),
  priority: ({ address }) => BigInt(address.priority ?? 0),
  layer: ({ address }) => BigInt(LAYER_NAMES.indexOf(nameOf(address.reflectLayer ?? 0))),
  endpointId: ({ address }) => BigInt.asUintN(64, BigInt(address.endpointId ?? 0)),
  parentEndpointId: ({ address }) => BigInt.asUintN(64, BigInt(address.parentEndpointId ?? 0)),
  ip: (scene) => isEndpoint(scene) ? 0n : speaks(scene, "ip"),
  ipv6: (scene) => isEndpoint(scene) ? 0n : speaks(scene, "ipv6"),
  icmp: (scene) => speaks(scene, "icmp"),
  icmpv6: (scene) => speaks(scene, "icmpv6"),
  tcp: (scene) => speaks(scene, "tcp"),
  udp: (scene) => speaks(scene, "udp"),
  fragment: ({ packet }) => bool(packet?.fragment),
  length: ({ packet }) => BigInt(packet!.all.length),
  protocol: (scene) => BigInt(isEndpoint(scene) ? scene.address.protocol ?? 0 : scene.packet!.protocol),
  "tcp.PayloadLength": ({ packet }) => BigInt(packet!.payload.length),
  "udp.PayloadLength": ({ packet }) => BigInt(packet!.payload.length),
  random8: (scene) => random(scene, 48n, 8n),
  random16: (scene) => random(scene, 32n, 16n),
  random32: (scene) => random(scene, 0n, 32n),
  localAddr: (scene) => endpoint(scene, "localAddr", "Addr"),
  remoteAddr: (scene) => endpoint(scene, "remoteAddr", "Addr"),
  localPort: (scene) => endpoint(scene, "localPort", "Port"),
  remotePort: (scene) => endpoint(scene, "remotePort", "Port"),
  // WinDivert 2.2 swaps the label's bytes as if they were a whole word: 000ABCDE is compared as BCDE0A00.
  "ipv6.FlowLabel": ({ packet }) => (bits(packet!.ipv6!, 16, 16) << 16n) | (bits(packet!.ipv6!, 12, 4) << 8n),
};

function endpoint(
  scene: Scene,
  name: "localAddr" | "remoteAddr" | "localPort" | "remotePort",
  what: "Addr" | "Port",
): bigint {
  const { address } = scene;
  if (!isEndpoint(scene)) {
    return packetEnd(scene.packet!, what, name.startsWith("local") === (address.outbound === true));
  }
  const value = address[name];
  return typeof value === "number" ? BigInt(value) : words(value);
}

/** The field's value here, or undefined when it has none. */
function read(test: TestNode, scene: Scene): bigint | undefined {
  const { field: { name, form, kind } } = test;
  const header = headerOf(name);
  if (header !== undefined && scene.packet?.[header] === undefined) return undefined;
  if (kind === "data") return indexed(test, scene.packet!);
  const reader = READERS[name];
  if (reader !== undefined) return reader(scene);
  const value = bits(scene.packet![header!]!, ...BITS[name]!);
  return form === "ipv4" ? MAPPED | value : value;
}

/** Only these fields are compared with all bits of the constant. */
function isWide(field: Field): boolean {
  return ["ipv4", "ipv6"].includes(field.form) || ["timestamp", "endpointId", "parentEndpointId"].includes(field.name);
}

function interpretTest(test: TestNode, scene: Scene): boolean {
  const { field, value } = test;
  if (field.range !== null) {
    const [low, high] = field.range.map(signedKey) as [bigint, bigint];
    const constant = key(value);
    const outside = constant < low || constant > high;
    const atEnds = [holds(test, low, constant), holds(test, high, constant)];
    const ordered = test.relation >= 2;
    if (outside || (ordered && atEnds[0] === atEnds[1])) {
      // Decided without looking: the question that is left is whether the header is there.
      const header = headerOf(field.name);
      return header === undefined ? atEnds[0]! : (scene.packet?.[header] !== undefined) === atEnds[0];
    }
  }
  const actual = read(test, scene);
  if (actual === undefined) return false;
  const magnitude = isWide(field) ? value.magnitude : value.magnitude & BITS_32;
  return holds(test, signedKey(actual), key({ negative: value.negative, magnitude }));
}

function interpret(node: FilterNode, scene: Scene): boolean {
  switch (node.kind) {
    case "and":
      return interpret(node.left, scene) && interpret(node.right, scene);
    case "or":
      return interpret(node.left, scene) || interpret(node.right, scene);
    case "choice":
      return interpret(interpret(node.condition, scene) ? node.then : node.otherwise, scene);
    case "test":
      return interpretTest(node, scene);
  }
}

function nameOf(layer: FilterLayer): LayerName {
  return typeof layer === "number" ? LAYER_NAMES[layer]! : layer;
}

function judge(tree: FilterNode, layer: LayerName, packet: Uint8Array, address: FilterAddress): boolean {
  if (layer === "flow" || layer === "socket" || layer === "reflect") {
    if (packet.length > 0 && layer !== "reflect") return false;
    return interpret(tree, { layer, packet: undefined, address });
  }
  const decoded = decodePacket(packet);
  if (decoded === undefined) return false;
  if (address.ipv6 !== undefined && address.ipv6 !== (decoded.ipv6 !== undefined)) return false;
  return interpret(tree, { layer, packet: decoded, address });
}

/**
 * The slow judge for a filter's text (object text is not a tree, and refused). Addresses are taken to be of `layer`.
 * Errors: `FilterSyntaxError` when the filter is none for that layer.
 */
export function interpretFilter(
  source: string,
  layer: LayerName,
): (packet: Uint8Array, address: FilterAddress) => boolean {
  const tree = parseTokens(tokenize(source, LAYER_NAMES.indexOf(layer)));
  return (packet, address) => judge(tree, layer, packet, address);
}
