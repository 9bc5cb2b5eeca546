import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import { createLinkFrame, type LinkFrame, stripLink } from "../../../sim/capture/link_layer.ts";
import { LINKTYPE } from "../../../sim/capture/link_types.ts";
import { ByteBuilder, join } from "./byte_builder.ts";

const IPV4 = [0x45, 0, 0, 20];
const IPV6 = [0x60, 0, 0, 0];

/** Strips a frame that stands in the middle of a larger buffer. */
function strip(linkType: number, frame: Uint8Array, out = createLinkFrame()): LinkFrame {
  const bytes = join(new Uint8Array(5).fill(0x45), frame, new Uint8Array(9).fill(0x45));
  stripLink(linkType, new DataView(bytes.buffer), 5, frame.length, out);
  out.ipAt -= 5;
  return out;
}

const net = () => new ByteBuilder(false);
const ethernet = (type: number, ...rest: (readonly number[])[]) =>
  net().raw(new Uint8Array(12)).u16(type).raw(rest.flat()).done();
const sll = (packetType: number, type: number, payload: readonly number[]) =>
  net().u16(packetType).u16(1).u16(6).raw(new Uint8Array(8)).u16(type).raw(payload).done();
const sll2 = (packetType: number, type: number, payload: readonly number[]) =>
  net().u16(type).u16(0).u32(3).u16(1).u8(packetType).u8(6).raw(new Uint8Array(8)).raw(payload).done();
const u32 = (little: boolean, value: number, payload: readonly number[]) =>
  new ByteBuilder(little).u32(value).raw(payload).done();
const TAG = [0, 5];
const PPPOE = [0x11, 0, 0, 1, 0, 6];
const SNAP = [0xaa, 0xaa, 3, 0, 0, 0];
const LABEL = [0, 0x10, 0x00, 64], LAST_LABEL = [0, 0x10, 0x01, 64];

const CASES: readonly (readonly [string, number, Uint8Array, 0 | 4 | 6, number])[] = [
  ["Ethernet, IPv4", LINKTYPE.ETHERNET, ethernet(0x0800, IPV4), 4, 14],
  ["Ethernet, IPv6", LINKTYPE.ETHERNET, ethernet(0x86dd, IPV6), 6, 14],
  ["Ethernet, ARP", LINKTYPE.ETHERNET, ethernet(0x0806, IPV4), 0, 0],
  ["VLAN", LINKTYPE.ETHERNET, ethernet(0x8100, TAG, [0x08, 0], IPV4), 4, 18],
  ["QinQ", LINKTYPE.ETHERNET, ethernet(0x88a8, TAG, [0x81, 0], TAG, [0x86, 0xdd], IPV6), 6, 22],
  ["QinQ, old type", LINKTYPE.ETHERNET, ethernet(0x9100, TAG, [0x81, 0], TAG, [0x08, 0], IPV4), 4, 22],
  ["PPPoE, IPv4", LINKTYPE.ETHERNET, ethernet(0x8864, PPPOE, [0, 0x21], IPV4), 4, 22],
  ["PPPoE, IPv6", LINKTYPE.ETHERNET, ethernet(0x8864, PPPOE, [0, 0x57], IPV6), 6, 22],
  ["PPPoE, compressed protocol", LINKTYPE.ETHERNET, ethernet(0x8864, PPPOE, [0x21], IPV4), 4, 21],
  ["PPPoE, link control", LINKTYPE.ETHERNET, ethernet(0x8864, PPPOE, [0xc0, 0x21], IPV4), 0, 0],
  ["PPPoE, not session data", LINKTYPE.ETHERNET, ethernet(0x8864, [0x11, 9, 0, 1, 0, 6], [0, 0x21], IPV4), 0, 0],
  ["VLAN, PPPoE", LINKTYPE.ETHERNET, ethernet(0x8100, TAG, [0x88, 0x64], PPPOE, [0, 0x21], IPV4), 4, 26],
  ["802.3 with SNAP", LINKTYPE.ETHERNET, ethernet(12, SNAP, [0x08, 0], IPV4), 4, 22],
  [
    "802.3 with SNAP of another organisation",
    LINKTYPE.ETHERNET,
    ethernet(12, [0xaa, 0xaa, 3, 0, 0, 12, 8, 0], IPV4),
    0,
    0,
  ],
  ["802.3, spanning tree", LINKTYPE.ETHERNET, ethernet(38, [0x42, 0x42, 3, 0, 0, 0, 0, 0], IPV4), 0, 0],
  ["MPLS", LINKTYPE.ETHERNET, ethernet(0x8847, LABEL, LAST_LABEL, IPV6), 6, 22],
  ["MPLS without an end", LINKTYPE.ETHERNET, ethernet(0x8847, ...new Array(20).fill(LABEL)), 0, 0],
  ["NULL, little-endian", LINKTYPE.NULL, u32(true, 2, IPV4), 4, 4],
  ["NULL, big-endian", LINKTYPE.NULL, u32(false, 2, IPV4), 4, 4],
  ["NULL, IPv6 of NetBSD", LINKTYPE.NULL, u32(true, 24, IPV6), 6, 4],
  ["NULL, IPv6 of FreeBSD", LINKTYPE.NULL, u32(false, 28, IPV6), 6, 4],
  ["NULL, IPv6 of Darwin", LINKTYPE.NULL, u32(true, 30, IPV6), 6, 4],
  ["NULL, IPv6 of Linux", LINKTYPE.NULL, u32(true, 10, IPV6), 6, 4],
  ["NULL, IPv6 of Windows", LINKTYPE.NULL, u32(true, 23, IPV6), 6, 4],
  ["NULL, EtherType", LINKTYPE.NULL, u32(false, 0x0800, IPV4), 4, 4],
  ["NULL, tunnel header", LINKTYPE.NULL, Uint8Array.from([0x0f, 0, 8, 0, ...IPV4]), 4, 4],
  ["NULL, another family", LINKTYPE.NULL, u32(true, 7, IPV4), 0, 0],
  ["LOOP", LINKTYPE.LOOP, u32(false, 2, IPV4), 4, 4],
  ["LOOP, IPv6", LINKTYPE.LOOP, u32(false, 24, IPV6), 6, 4],
  ["RAW, IPv4", LINKTYPE.RAW, Uint8Array.from(IPV4), 4, 0],
  ["RAW, IPv6", LINKTYPE.DLT_RAW, Uint8Array.from(IPV6), 6, 0],
  ["RAW of OpenBSD", LINKTYPE.DLT_RAW_OPENBSD, Uint8Array.from(IPV4), 4, 0],
  ["RAW, neither", LINKTYPE.RAW, Uint8Array.of(0x12, 0), 0, 0],
  ["IPV4", LINKTYPE.IPV4, Uint8Array.of(0x99), 4, 0],
  ["IPV6", LINKTYPE.IPV6, Uint8Array.of(0x99), 6, 0],
  ["LINUX_SLL", LINKTYPE.LINUX_SLL, sll(0, 0x0800, IPV4), 4, 16],
  ["LINUX_SLL, VLAN", LINKTYPE.LINUX_SLL, sll(0, 0x8100, [...TAG, 0x86, 0xdd, ...IPV6]), 6, 20],
  ["LINUX_SLL, LLC", LINKTYPE.LINUX_SLL, sll(0, 4, [...SNAP, 8, 0, ...IPV4]), 4, 24],
  ["LINUX_SLL, Netware", LINKTYPE.LINUX_SLL, sll(0, 1, [...SNAP, 8, 0, ...IPV4]), 0, 0],
  ["LINUX_SLL2", LINKTYPE.LINUX_SLL2, sll2(0, 0x86dd, IPV6), 6, 20],
  ["PPP", LINKTYPE.PPP, Uint8Array.from([0xff, 3, 0, 0x21, ...IPV4]), 4, 4],
  ["PPP without address and control", LINKTYPE.PPP, Uint8Array.from([0, 0x57, ...IPV6]), 6, 2],
  ["PPP, MPLS", LINKTYPE.PPP, Uint8Array.from([0x02, 0x81, ...LAST_LABEL, ...IPV4]), 4, 6],
  ["PPP_HDLC", LINKTYPE.PPP_HDLC, Uint8Array.from([0xff, 3, 0, 0x21, ...IPV4]), 4, 4],
  ["PPP_HDLC, Cisco", LINKTYPE.PPP_HDLC, Uint8Array.from([0x0f, 0, 8, 0, ...IPV4]), 4, 4],
  ["PPP_ETHER", LINKTYPE.PPP_ETHER, Uint8Array.from([...PPPOE, 0, 0x21, ...IPV4]), 4, 8],
  ["C_HDLC", LINKTYPE.C_HDLC, Uint8Array.from([0x0f, 0, 0x86, 0xdd, ...IPV6]), 6, 4],
  ["unknown", 4711, Uint8Array.from(IPV4), 0, 0],
];

Deno.test("stripLink() finds the IP packet and leaves its padding when the link type is known", () => {
  for (const [name, linkType, frame, family, ipAt] of CASES) {
    const out = strip(linkType, frame);
    assertEquals(out.family, family, name);
    assertEquals(out.truncated, false, name);
    if (family !== 0) assertEquals([out.ipAt, out.ipLength], [ipAt, frame.length - ipAt], name);
    const padded = strip(linkType, join(frame, new Uint8Array(46)));
    if (family !== 0) assertEquals([padded.ipAt, padded.ipLength], [ipAt, frame.length - ipAt + 46], `${name}, padded`);
  }
});

Deno.test("stripLink() says truncated when the capture ends inside the link header", () => {
  for (const [name, linkType, frame, family, ipAt] of CASES) {
    if (family === 0) continue;
    for (let length = 0; length < ipAt; length++) {
      const out = strip(linkType, frame.subarray(0, length));
      assertEquals([out.family, out.ipLength], [0, 0], `${name}, ${length} bytes`);
      // The first bytes alone can look like something else that is complete, but not like IP.
      if (length < 2) assertEquals(out.truncated, true, `${name}, ${length} bytes`);
    }
  }
});

Deno.test("stripLink() reads the direction when the link header has one", () => {
  const cases: [number, Uint8Array, number][] = [
    ...[1, 1, 1, 0, 2].map((
      direction,
      type,
    ): [number, Uint8Array, number] => [113, sll(type, 0x0800, IPV4), direction]),
    ...[1, 1, 1, 0, 2].map((
      direction,
      type,
    ): [number, Uint8Array, number] => [276, sll2(type, 0x0800, IPV4), direction]),
    [1, ethernet(0x0800, IPV4), 0],
  ];
  const out = createLinkFrame();
  for (const [linkType, frame, direction] of cases) assertEquals(strip(linkType, frame, out).direction, direction);
});

interface PktapFields {
  length?: number;
  next?: number;
  linkType?: number;
  flags?: number;
  pid?: number;
  command?: string;
  effectivePid?: number;
  effectiveCommand?: string;
}

function pktap(fields: PktapFields, payload: Uint8Array): Uint8Array {
  const command = (text: string) => {
    const bytes = new Uint8Array(20);
    bytes.set(new TextEncoder().encode(text).subarray(0, 20));
    return bytes;
  };
  const length = fields.length ?? 108;
  const header = new ByteBuilder(true).u32(length).u32(fields.next ?? 1).u32(fields.linkType ?? 1)
    .raw(new Uint8Array(24)).u32(fields.flags ?? 0).u32(2).u32(14).u32(0)
    .u32((fields.pid ?? -1) >>> 0).raw(command(fields.command ?? "")).u32(0).u16(6).u16(0)
    .u32((fields.effectivePid ?? -1) >>> 0).raw(command(fields.effectiveCommand ?? ""));
  return join(header.done(), new Uint8Array(Math.max(0, length - 108)), payload);
}

Deno.test("stripLink() reads the inner packet, its direction and its process when the link type is PKTAP", () => {
  const inner = ethernet(0x86dd, IPV6);
  const frame = pktap({ length: 156, flags: 2, pid: 42, command: "curl" }, inner);
  for (const linkType of [LINKTYPE.PKTAP, LINKTYPE.USER2]) {
    const out = strip(linkType, frame);
    assertEquals([out.family, out.ipAt, out.ipLength, out.direction], [6, 156 + 14, 4, 2]);
    assertEquals(out.process, { path: "", name: "curl", pid: 42, user: "", uid: undefined });
  }
  const out = createLinkFrame();
  const first = strip(258, frame, out).process;
  assertStrictEquals(strip(258, frame, out).process, first, "one object for one process");
  assertEquals(strip(258, pktap({ pid: 42, command: "curl2" }, inner), out).process?.name, "curl2", "a pid used again");
  assertEquals(strip(258, pktap({ pid: 42, command: "cur" }, inner), out).process?.name, "cur");
  assertEquals(strip(258, pktap({ flags: 1, effectivePid: 7, effectiveCommand: "x" }, inner), out).process?.pid, 7);
  assertEquals(out.direction, 1);
  assertEquals(strip(258, pktap({}, inner), out).process, undefined);
  assertEquals(strip(258, pktap({ linkType: 12 }, Uint8Array.from(IPV4)), out).family, 4);
  assertEquals(strip(258, pktap({ linkType: 258 }, pktap({}, inner)), out).family, 6, "one inside the other");
  assertEquals(strip(258, pktap({ next: 0 }, inner), out).family, 0, "no packet follows");
  assertEquals(strip(258, pktap({ length: 20 }, inner), out).family, 0, "an impossible length");
  assertEquals(strip(258, pktap({ length: 4000 }, inner).subarray(0, 300), out).truncated, true);
  assertEquals(strip(258, frame.subarray(0, 107), out).truncated, true);
});

Deno.test("stripLink() stays inside the frame when it holds any bytes", () => {
  const linkTypes = fc.oneof(fc.constantFrom(...Object.values(LINKTYPE)), fc.nat({ max: 300 }));
  const start = fc.constantFrom(...CASES.map(([, , frame]) => frame), pktap({ pid: 1 }, ethernet(0x0800, IPV4)));
  const property = fc.property(
    linkTypes,
    start,
    fc.uint8Array({ maxLength: 60 }),
    fc.nat(),
    (linkType, head, tail, cut) => {
      const frame = join(head.subarray(0, cut % (head.length + 1)), tail);
      const out = strip(linkType, frame);
      assert(out.ipAt >= 0 && out.ipLength >= 0 && out.ipAt + out.ipLength === frame.length);
      if (out.truncated) assertEquals(out.family, 0);
    },
  );
  fc.assert(property, { seed: 5, numRuns: 5000 });
});
