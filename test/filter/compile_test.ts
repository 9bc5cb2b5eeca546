import { assertEquals } from "@std/assert";
import { compileFilter, type FilterAddress, type FilterLayer } from "../../core/filter/mod.ts";

const NOTHING = new Uint8Array(0);

function packet(hex: string): Uint8Array {
  return Uint8Array.from(hex.replaceAll(" ", "").match(/../g)!, (byte) => parseInt(byte, 16));
}

/** 10.0.0.1:50000 → 93.184.216.34:443, SYN, two bytes of payload. */
const TCP4 = packet(
  "45000ace 12344000 40060000 0a000001 5db8d822 c35001bb 00000001 00000002 5002ffff abcd0000 4142".replace(
    "0ace",
    "002a",
  ),
);
/** fe80::1:53 → ff02::fb:5353 behind a hop-by-hop header, flow label 0xabcde. */
const UDP6 = packet(
  "600abcde 00121100 fe80000000000000 0000000000000001 ff02000000000000 00000000000000fb".replace("1100", "0040") +
    "1100000000000000 003514e9000a0000 4142",
);
const PING4 = packet("4500001c 00010000 40010000 0a000001 08080808 0800f7ff 00000000");

const OUT4: FilterAddress = { outbound: true, ipv6: false, ifIdx: 12, subIfIdx: 1, timestamp: -5 };
const IN6: FilterAddress = { outbound: false, ipv6: true, loopback: true };

Deno.test("Filter.matches() reads each kind of field when the packet has it", () => {
  const table: [string, Uint8Array, FilterAddress, boolean][] = [
    ["tcp.DstPort == 443 and outbound", TCP4, OUT4, true],
    ["tcp.Syn and not tcp.Ack and tcp.Window = 65535 and tcp.PayloadLength = 2", TCP4, OUT4, true],
    ["tcp.Payload[0] = 0x41 and tcp.Payload[-1] = 0x42 and tcp.Payload16[0] = 0x4142", TCP4, OUT4, true],
    ["tcp.Payload32[0] >= 0", TCP4, OUT4, true], // decided by its range: only the header is asked for
    ["tcp.Payload32[0] > 0 or tcp.Payload32[0] < 1", TCP4, OUT4, false], // not that many bytes
    ["ip.DF and not ip.MF and ip.TTL = 64 and ip.Id = 0x1234 and ip.Length = 42 and length = 42", TCP4, OUT4, true],
    [
      "localAddr = 10.0.0.1 and localPort = 50000 and remoteAddr = 93.184.216.34 and remotePort = 443",
      TCP4,
      OUT4,
      true,
    ],
    ["localAddr = 93.184.216.34 and localPort = 443", TCP4, { ...OUT4, outbound: false }, true],
    ["ifIdx = 12 and subIfIdx = 1 and timestamp < -4 and timestamp > -6", TCP4, OUT4, true],
    ["packet32[0] = 0x4500002a and packet[-2] = 0x41 and packet16[1b] = 0x2a", TCP4, OUT4, false],
    ["packet32[0] = 0x4500002a and packet[-2] = 0x41 and packet16[1] = 0x2a", TCP4, OUT4, true],
    ["udp.DstPort = 5353 and ipv6.DstAddr = ff02::fb and inbound and loopback", UDP6, IN6, true],
    ["localAddr = ff02::fb and remoteAddr = fe80::1 and localPort = 5353", UDP6, IN6, true],
    ["protocol = UDP and ipv6.NextHdr = 0 and udp.PayloadLength = 2", UDP6, IN6, true],
    ["ipv6.FlowLabel = 0xabcde", UDP6, IN6, false], // WinDivert's byte order
    ["ipv6.FlowLabel != 0xabcde", UDP6, IN6, true],
    ["icmp.Type = 8 and localPort = 8 and remotePort = 0", PING4, OUT4, true],
    ["remotePort = 8 and localPort = 0", PING4, { ...OUT4, outbound: false }, true],
    ["udp.DstPort != 53", TCP4, OUT4, false], // no header, no outcome
    ["not udp.DstPort = 53", TCP4, OUT4, false],
    ["udp.DstPort > 65535", TCP4, OUT4, true], // becomes `not udp`
    ["fragment", TCP4, OUT4, false],
  ];
  for (const [source, bytes, address, expected] of table) {
    assertEquals(compileFilter(source).matches(bytes, address), expected, source);
  }
});

Deno.test("Filter.matches() is false when bytes and address contradict each other", () => {
  const all = compileFilter("true");
  assertEquals(all.matches(TCP4, OUT4), true);
  assertEquals(all.matches(TCP4, {}), true);
  assertEquals(all.matches(TCP4, { ipv6: true }), false);
  assertEquals(all.matches(UDP6, { ipv6: false }), false);
  assertEquals(all.matches(TCP4.slice(0, 19), OUT4), false);
  assertEquals(all.matches(NOTHING, {}), false);
  assertEquals(all.matches(TCP4, { layer: "flow" }), false);
  assertEquals(all.matches(TCP4, { layer: "reflect" }), true);
});

const FLOW: FilterAddress = {
  layer: "flow",
  event: 1,
  outbound: true,
  endpointId: 0xffff_ffff_ffff_ffffn,
  parentEndpointId: 7,
  processId: 1234,
  protocol: 6,
  localAddr: [0x0a000001, 0xffff, 0, 0],
  remoteAddr: [1, 0, 0, 0xfe800000],
  localPort: 50000,
  remotePort: 443,
};

Deno.test("Filter.matches() reads the address when the layer has no packets", () => {
  const reflect: FilterAddress = { layer: "reflect", event: 8, processId: 9, reflectLayer: "flow", priority: -5 };
  const table: [FilterLayer, string, FilterAddress, boolean][] = [
    ["flow", "event = ESTABLISHED and processId = 1234 and tcp and not udp and outbound", FLOW, true],
    ["flow", "endpointId = 18446744073709551615 and parentEndpointId = 7", FLOW, true],
    ["flow", "localAddr = 10.0.0.1 and remoteAddr = fe80::1 and localPort = 50000 and remotePort < 444", FLOW, true],
    ["flow", "event = DELETED", FLOW, false],
    ["flow", "ip or ipv6", FLOW, false], // WinDivert asks for headers that an event does not have
    ["flow", "icmp", { ...FLOW, protocol: 1 }, true],
    ["flow", "icmp", { ...FLOW, protocol: 1, ipv6: true }, false],
    ["flow", "icmpv6", { ...FLOW, protocol: 58, ipv6: true }, true],
    ["flow", "protocol = 6 and localPort = 50000", { ...FLOW, layer: 2 }, true],
    ["socket", "event = CONNECT", { ...FLOW, layer: "socket", event: 4 }, true],
    ["socket", "event = CONNECT", { event: 4 }, true], // no bytes, no layer: the filter's own
    ["reflect", "event = OPEN and layer = FLOW and priority = -5 and processId = 9", reflect, true],
    ["reflect", "priority > -5 or priority < -5", reflect, false],
    ["reflect", "priority < 0 and priority > -6", { ...reflect, reflectLayer: 2 }, true],
  ];
  for (const [layer, source, address, expected] of table) {
    assertEquals(compileFilter(source, layer).matches(NOTHING, address), expected, source);
  }
});

Deno.test("Filter.matches() reads the filter anew when the address is of another layer than the filter", () => {
  const flow = compileFilter("localPort = 50000", "flow");
  assertEquals(flow.matches(TCP4, OUT4), true);
  assertEquals(flow.matches(NOTHING, FLOW), true);
  const event = compileFilter("event = ESTABLISHED", "flow");
  assertEquals(event.matches(NOTHING, FLOW), true);
  assertEquals(event.matches(TCP4, { ...OUT4, event: 1 }), false); // no filter on the network layer
  const network = compileFilter("tcp.DstPort = 443");
  assertEquals(network.matches(TCP4, OUT4), true);
  assertEquals(network.matches(NOTHING, FLOW), false);
  assertEquals(network.matches(TCP4, { ...OUT4, layer: "network_forward" }), true);
});

Deno.test("Filter.matches() draws the same random number when asked for the same packet", () => {
  const draws = (timestamp: number) => {
    let value = 0;
    for (let bit = 7; bit >= 0; bit--) {
      const tried = value | (1 << bit);
      if (compileFilter(`random8 >= ${tried}`).matches(TCP4, { ...OUT4, timestamp })) value = tried;
    }
    return value;
  };
  const drawn = Array.from({ length: 50 }, (_, timestamp) => draws(timestamp));
  assertEquals(drawn, Array.from({ length: 50 }, (_, timestamp) => draws(timestamp)));
  assertEquals(new Set(drawn).size > 30, true, "it must vary with the timestamp");
});
