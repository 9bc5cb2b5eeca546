/**
 * Every field of the WinDivert filter language: its number, where it may be used, its range, and how its value is shown.
 *
 * Read first: WinDivert 2.2 documentation section 7 (filter language); RFC 791 3.1, RFC 8200 3, RFC 9293 3.1, RFC 768, RFC 792 and RFC 4443
 * for the headers that the offsets point into.
 */

/** Headers that a field may live in; the numbers index `PacketView.at`. `none` means the field needs no header. */
export const HEADER = { none: -1, ip: 0, ipv6: 1, icmp: 2, icmpv6: 3, tcp: 4, udp: 5 } as const;

/** One of the values of `HEADER`. */
export type Header = typeof HEADER[keyof typeof HEADER];

/** How a field's value is found: a 32-bit load, a 128-bit load, an indexed read, or by code that knows the field. */
export type FieldKind = "load" | "load128" | "data" | "number" | "wide" | "constant";

/** How the normal form shows a constant that the field is compared with. */
export type FieldForm = "decimal" | "flag" | "hex" | "ipv4" | "ipv6" | "layer" | "event";

/** One field. Units: `offset` bytes into its header, `width` bytes; the value is (load >>> shift) & mask. */
export interface Field {
  readonly name: string;
  /** WinDivert's field number, −1 for the literals `true` and `false`. */
  readonly id: number;
  /** A bit for each layer number that has the field. */
  readonly layers: number;
  readonly header: Header;
  readonly kind: FieldKind;
  readonly form: FieldForm;
  /** The values that the field can take, both included; null when the compiler must not fold by range. */
  readonly range: readonly [low: bigint, high: bigint] | null;
  readonly offset: number;
  readonly width: number;
  readonly shift: number;
  readonly mask: number;
}

const N = 0b00001;
const NF = 0b00011;
const LS = 0b01100;
const REFLECT = 0b10000;
const ALL = 0b11111;

const B1 = 1n;
const B8 = 0xffn;
const B16 = 0xffffn;
const B32 = 0xffff_ffffn;
const B64 = 0xffff_ffff_ffff_ffffn;
const B128 = (1n << 128n) - 1n;
const MAPPED = 0xffffn << 32n;

const list: Field[] = [];

function add(name: string, layers: number, more: Partial<Field>): void {
  list.push({
    name,
    id: list.length,
    layers,
    header: HEADER.none,
    kind: "number",
    form: "decimal",
    range: null,
    offset: 0,
    width: 0,
    shift: 0,
    mask: 0xffff_ffff,
    ...more,
  });
}

function number(name: string, layers: number, high: bigint, form: FieldForm = "decimal"): void {
  add(name, layers, { form, range: [0n, high] });
}

function load(header: Header, name: string, at: [offset: number, width: number], more: Partial<Field> = {}): void {
  const high = (1n << BigInt(at[1] * 8)) - 1n;
  add(name, NF, { header, kind: "load", range: [0n, high], offset: at[0], width: at[1], ...more });
}

function bit(header: Header, name: string, offset: number, shift: number): void {
  load(header, name, [offset, 1], { form: "flag", range: [0n, B1], shift, mask: 1 });
}

function data(name: string, header: Header, width: number, folds: boolean): void {
  const high = (1n << BigInt(width * 8)) - 1n;
  add(name, NF, { header, kind: "data", form: "hex", range: folds ? [0n, high] : null, width });
}

// The order is WinDivert's numbering, which its object text uses.
const { ip, ipv6, icmp, icmpv6, tcp, udp } = HEADER;
const hex = { form: "hex" } as const;
const unfolded = { range: null } as const;
const ipv4Address = { form: "ipv4", range: [MAPPED, MAPPED | B32] } as const;
const ipv6Address = { form: "ipv6", kind: "load128", range: [0n, B128] } as const;
const wideAddress = { form: "ipv6", kind: "wide", range: [0n, B128] } as const;

number("zero", ALL, 0n, "flag");
number("inbound", N | LS, B1, "flag");
number("outbound", N | LS, B1, "flag");
number("ifIdx", NF, B32);
number("subIfIdx", NF, B32);
for (const name of ["ip", "ipv6", "icmp", "tcp", "udp", "icmpv6"]) number(name, NF | LS, B1, "flag");
load(ip, "ip.HdrLength", [0, 1], { range: [0n, 0xfn], mask: 0xf });
load(ip, "ip.TOS", [1, 1], { range: [0n, B16] });
load(ip, "ip.Length", [2, 2]);
load(ip, "ip.Id", [4, 2], hex);
bit(ip, "ip.DF", 6, 6);
bit(ip, "ip.MF", 6, 5);
load(ip, "ip.FragOff", [6, 2], { range: [0n, 0x1fffn], mask: 0x1fff });
load(ip, "ip.TTL", [8, 1]);
load(ip, "ip.Protocol", [9, 1]);
load(ip, "ip.Checksum", [10, 2], hex);
load(ip, "ip.SrcAddr", [12, 4], ipv4Address);
load(ip, "ip.DstAddr", [16, 4], ipv4Address);
load(ipv6, "ipv6.TrafficClass", [0, 2], { range: [0n, B8], shift: 4, mask: 0xff });
add("ipv6.FlowLabel", NF, { header: ipv6, range: [0n, 0xf_ffffn] });
load(ipv6, "ipv6.Length", [4, 2]);
load(ipv6, "ipv6.NextHdr", [6, 1]);
load(ipv6, "ipv6.HopLimit", [7, 1]);
load(ipv6, "ipv6.SrcAddr", [8, 16], ipv6Address);
load(ipv6, "ipv6.DstAddr", [24, 16], ipv6Address);
for (const [header, name] of [[icmp, "icmp"], [icmpv6, "icmpv6"]] as const) {
  load(header, `${name}.Type`, [0, 1]);
  load(header, `${name}.Code`, [1, 1]);
  load(header, `${name}.Checksum`, [2, 2], hex);
  load(header, `${name}.Body`, [4, 4], unfolded);
}
load(tcp, "tcp.SrcPort", [0, 2]);
load(tcp, "tcp.DstPort", [2, 2]);
load(tcp, "tcp.SeqNum", [4, 4], unfolded);
load(tcp, "tcp.AckNum", [8, 4], unfolded);
load(tcp, "tcp.HdrLength", [12, 1], { range: [0n, 0xfn], shift: 4, mask: 0xf });
bit(tcp, "tcp.Urg", 13, 5);
bit(tcp, "tcp.Ack", 13, 4);
bit(tcp, "tcp.Psh", 13, 3);
bit(tcp, "tcp.Rst", 13, 2);
bit(tcp, "tcp.Syn", 13, 1);
bit(tcp, "tcp.Fin", 13, 0);
load(tcp, "tcp.Window", [14, 2]);
load(tcp, "tcp.Checksum", [16, 2], hex);
load(tcp, "tcp.UrgPtr", [18, 2]);
add("tcp.PayloadLength", NF, { header: tcp, range: [0n, B16] });
load(udp, "udp.SrcPort", [0, 2]);
load(udp, "udp.DstPort", [2, 2]);
load(udp, "udp.Length", [4, 2]);
load(udp, "udp.Checksum", [6, 2], hex);
add("udp.PayloadLength", NF, { header: udp, range: [0n, B16] });
add("loopback", N | LS, { form: "flag" });
add("impostor", NF, { form: "flag" });
number("processId", LS | REFLECT, B32);
add("localAddr", N | LS, wideAddress);
add("remoteAddr", N | LS, wideAddress);
number("localPort", N | LS, B16);
number("remotePort", N | LS, B16);
number("protocol", N | LS, B8);
add("endpointId", LS, { kind: "wide", range: [0n, B64] });
add("parentEndpointId", LS, { kind: "wide", range: [0n, B64] });
number("layer", REFLECT, 4n, "layer");
add("priority", REFLECT, { kind: "wide", range: [-30_000n, 30_000n] });
number("event", ALL, 9n, "event");
data("packet", HEADER.none, 1, true);
data("packet16", HEADER.none, 2, true);
data("packet32", HEADER.none, 4, false);
data("tcp.Payload", tcp, 1, true);
data("tcp.Payload16", tcp, 2, true);
data("tcp.Payload32", tcp, 4, true);
data("udp.Payload", udp, 1, true);
data("udp.Payload16", udp, 2, true);
data("udp.Payload32", udp, 4, true);
add("length", NF, { range: [20n, 65_575n] });
add("timestamp", ALL, { kind: "wide", range: [-(1n << 63n), (1n << 63n) - 1n] });
number("random8", NF, B8);
number("random16", NF, B16);
number("random32", NF, B32);
number("fragment", NF, B1, "flag");

/** All fields, each at the index of its WinDivert number. */
export const FIELDS: readonly Field[] = list;

const byName = new Map(list.map((field) => [field.name, field]));
for (const [name, value] of [["false", 0n], ["true", 1n]] as const) {
  byName.set(name, { ...list[0]!, name, id: -1, kind: "constant", range: [value, value] });
}

/** The field of that name, `true` and `false` included. Errors: undefined when there is none; names are case-sensitive. */
export function fieldByName(name: string): Field | undefined {
  return byName.get(name);
}

/** The field that says whether a header is there, by the `HEADER` number. */
export const PRESENCE_FIELDS: readonly Field[] = ["ip", "ipv6", "icmp", "icmpv6", "tcp", "udp"].map((n) =>
  byName.get(n)!
);

/** True when a filter of that layer may use the field. */
export function fieldFitsLayer(field: Field, layer: number): boolean {
  return (field.layers & (1 << layer)) !== 0;
}
