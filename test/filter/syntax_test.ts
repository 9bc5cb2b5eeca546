import { assertEquals, assertThrows } from "@std/assert";
import {
  compileFilter,
  FILTER_MESSAGES,
  type FilterLayer,
  FilterSyntaxError,
  formatFilter,
} from "../../core/filter/mod.ts";

/** Runs the table; positions are WinDivert's own, odd ones included. */
function assertRefused(source: string, message: string, position: number, layer: FilterLayer = "network"): void {
  const error = assertThrows(() => compileFilter(source, layer), FilterSyntaxError, message, source);
  assertEquals([error.message, error.position], [message, position], source);
}

Deno.test("compileFilter() blames the token that WinDivert blames when the text is wrong", () => {
  const { badToken, parse, indexOutOfBounds, tooLong, tooDeep, badObject } = FILTER_MESSAGES;
  const table: [string, string, number][] = [
    ["", parse, 0],
    [" \t\v", parse, 3],
    ["tcp udp", parse, 4],
    ["tcp ==", parse, 6],
    ["tcp = = 1", parse, 6],
    ["tcp.SrcPort == udp", parse, 15],
    ["not (tcp)", parse, 4],
    ["80 == tcp.DstPort", parse, 0],
    ["TRUE", parse, 0],
    ["foo", badToken, 0],
    ["tcp and Udp", badToken, 8],
    ["tcp & udp", badToken, 5], // the character after the lone sign
    ["tcp @", badToken, 5],
    ["tcp.Dstport: 1", badToken, 4294967295], // a colon is cut off, and the place with it
    ["  foo: 1", badToken, 1],
    ["é", badToken, 1],
    [`ip.SrcAddr == ${"1".repeat(40)}`, badToken, 14],
    [`length > ${2n ** 128n}`, badToken, 9],
    ["length > 0xg", badToken, 9],
    ["length > 0x1b5g", badToken, 9],
    ["length == 5b", parse, 0], // the suffix is a token without a place
    ["packet", parse, 6],
    ["packet[", parse, 7],
    ["packet[x]", badToken, 7],
    ["packet[1", parse, 8],
    ["packet[65535] = 0", indexOutOfBounds, 12],
    ["packet[65576] = 0", indexOutOfBounds, 7],
    ["packet32[16383]", indexOutOfBounds, 14],
    ["packet32[-3b]", indexOutOfBounds, 12],
    ["packet[-0]", indexOutOfBounds, 9],
    ["(packet[65536] = 0)", parse, 13], // inside parentheses the outer level has the last word
    ["(foo", badToken, 1],
    ["(tcp", parse, 4],
    ["(tcp? udp)", parse, 9],
    ["(tcp? udp: ip", parse, 13],
    ["(? tcp: udp)", parse, 1], // WinDivert itself crashes here
    ["tcp? udp: ip", parse, 3],
    [`${"(".repeat(400)}tcp${")".repeat(400)}`, parse, 341],
    [`${"(".repeat(341)}${")".repeat(341)}`, tooDeep, 341],
    [`tcp or ${"(".repeat(341)}${")".repeat(341)}`, tooDeep, 348],
    [`${"(".repeat(342)}${")".repeat(342)}`, parse, 341],
    [Array(257).fill("tcp").join(" and "), tooLong, 0],
    [Array(700).fill("tcp").join(" or "), tooLong, 4472],
    ["@WinDiv", badObject, 0],
  ];
  for (const [source, message, position] of table) assertRefused(source, message, position);
});

Deno.test("compileFilter() refuses a field of another layer when it meets the word", () => {
  const { badTokenForLayer, parse } = FILTER_MESSAGES;
  const table: [FilterLayer, string, string, number][] = [
    ["network", "tcp and processId = 1", badTokenForLayer, 8],
    ["network", "endpointId", badTokenForLayer, 0],
    ["network", "layer = NETWORK", badTokenForLayer, 0],
    ["network_forward", "outbound", badTokenForLayer, 0],
    ["network_forward", "localPort = 1", badTokenForLayer, 0],
    ["flow", "tcp.SrcPort = 1", badTokenForLayer, 0],
    ["socket", "random8 < 3", badTokenForLayer, 0],
    ["reflect", "tcp", badTokenForLayer, 0],
    ["network", "event = ESTABLISHED", parse, 8],
    ["flow", "event = CLOSE", parse, 8],
    ["socket", "event = PACKET", parse, 8],
  ];
  for (const [layer, source, message, position] of table) assertRefused(source, message, position, layer);
});

Deno.test("compileFilter() throws a RangeError when the layer does not exist", () => {
  assertThrows(() => compileFilter("tcp", "transport" as FilterLayer), RangeError, "Cannot use filter layer");
  assertThrows(() => compileFilter("tcp", 5 as FilterLayer), RangeError);
  assertThrows(() => compileFilter("tcp", 0.5 as FilterLayer), RangeError);
});

Deno.test("formatFilter() writes WinDivert's normal form when given any spelling", () => {
  const table: [FilterLayer, string, string][] = [
    ["network", "tcp.DstPort==443&&outbound", "tcp.DstPort = 443 and outbound"],
    ["network", "!tcp.Syn", "not tcp.Syn"],
    ["network", "not not not tcp.SrcPort < 80", "tcp.SrcPort >= 80"],
    ["network", "tcp.Syn = 1 or tcp.Ack != 0 or tcp.Fin != 1", "tcp.Syn or tcp.Ack or not tcp.Fin"],
    ["network", "(tcp or udp) and ip", "(tcp or udp) and ip"],
    ["network", "tcp or udp and ip", "tcp or (udp and ip)"],
    ["network", "(tcp? ip: ipv6)", "(tcp? ip: ipv6)"],
    ["network", "(tcp? ip: true)", "(tcp? ip: true)"],
    ["network", "true", "true"],
    ["network", "zero", "false"],
    ["network", "tcp.DstPort < 100000", "tcp"],
    ["network", "tcp.DstPort > 100000", "not tcp"],
    ["network", "tcp.DstPort = -0", "not tcp"],
    ["network", "length >= 20", "true"],
    ["network", "packet[0] > 255", "false"],
    ["network", "packet32[-1] = 0x1FFFFFFFF", "packet32[-4b] = 0xffffffff"],
    ["network", "tcp.Payload16[3] = 5", "tcp.Payload16[6b] = 0x5"],
    ["network", "udp.Payload32[3b]", "udp.Payload32[3b] != 0x0"],
    ["network", "packet[0 b] = 1", "packet[0b] = 0x1"],
    ["network", "ip.SrcAddr = 10.0.0.1", "ip.SrcAddr = 10.0.0.1"],
    ["network", "ip.SrcAddr = 0xFFFF0A000001", "ip.SrcAddr = 10.0.0.1"],
    ["network", "ip.SrcAddr = 5", "not ip"],
    ["network", "localAddr = ::ffff:1.2.3.4", "localAddr = 1.2.3.4"],
    ["network", "localAddr = 1:0:2:3:4:5:6:7", "localAddr = 1::2:3:4:5:6:7"],
    ["network", "localAddr = 1:2:0:0:5:0:0:0", "localAddr = 1:2:0:0:5::"],
    ["network", "localAddr = 4294967297.2.3.4", "localAddr = 1.2.3.4"],
    ["network", "localAddr = 1:2:3:4:5:6:7:8:9", "localAddr = 1:2:3:4:5:6:7:8"],
    ["network", "localAddr = 0:1.2.3.4", "localAddr = ::102:304"],
    ["network", "timestamp > -9223372036854775808", "timestamp > -9223372036854775808"],
    ["network", "timestamp > 9223372036854775807", "false"],
    ["network", "tcp.SeqNum = 4294967296", "tcp.SeqNum = 4294967296"],
    ["network", "loopback = 2", "loopback = 2"],
    ["network", "loopback = -1", "loopback"],
    ["network", "event = PACKET", "event = PACKET"],
    ["network", "event = 9", "event = 9"],
    ["network", "protocol = TCP and ip.Id = 0xAB", "protocol = 6 and ip.Id = 0xab"],
    ["network", "tcp\0 and nonsense", "tcp"],
    ["flow", "event = ESTABLISHED or event = 2", "event = ESTABLISHED or event = DELETED"],
    ["socket", "event = CLOSE", "event = CLOSE"],
    ["reflect", "event = CLOSE and layer = 3", "event = CLOSE and layer = SOCKET"],
    ["reflect", "priority > -30000", "priority > -30000"],
    ["reflect", "priority >= -30000", "true"],
    [2, "processId != 4", "processId != 4"],
  ];
  for (const [layer, source, expected] of table) assertEquals(formatFilter(source, layer), expected, source);
});

Deno.test("compileFilter() takes WinDivert's longest filters", () => {
  const words = Array(256).fill("tcp");
  assertEquals(formatFilter(words.join(" and ")), words.join(" and "));
  const deep = `${"(".repeat(340)}tcp${")".repeat(340)}`;
  assertEquals(formatFilter(deep), "tcp");
});
