import { assertEquals, assertThrows } from "@std/assert";
import { compileFilter, filterObject, FilterSyntaxError, formatFilter } from "../../core/filter/mod.ts";

Deno.test("filterObject() writes WinDivert's object text", () => {
  // What WinDivertHelperCompileFilter of WinDivert 2.2 returns for these.
  const table: [string, string][] = [
    ["true", "@WinDiv_WX_WWWWAA"],
    ["tcp.Syn", "@WinDiv_WX_1lXWWAX"],
    ["tcp.DstPort == 443 and outbound", "@WinDiv_WY_1dWWDxLXX_YXWWAX"],
    ["packet[0b] = 1", "@WinDiv_WX_2dWWX1VV=AX"],
    ["ipv6.SrcAddr = fe80::1 or ip.DstAddr < 10.0.0.1", "@WinDiv_WY_yWWXWW3V8000WALX_sYW50000XAX"],
    ["timestamp > -5 and packet32[-4b] != 0x7f", "@WinDiv_WY_2naXbWLXX_2fXW3=1VVxAX"],
  ];
  for (const [source, object] of table) assertEquals(filterObject(source), object, source);
});

Deno.test("formatFilter() reads an object text back", () => {
  const sources = [
    "tcp.DstPort = 443 and outbound",
    "(tcp? ip: ipv6)",
    "ipv6.SrcAddr = fe80::1 or ip.DstAddr < 10.0.0.1",
    "timestamp > -5",
    "packet32[-4b] != 0x7f and udp.Payload[65534b] = 0x1",
    "false",
    Array(256).fill("tcp").join(" and "),
  ];
  for (const source of sources) {
    assertEquals(formatFilter(filterObject(source)), source);
    assertEquals(filterObject(filterObject(source)), filterObject(source));
  }
});

Deno.test("compileFilter() refuses an object text when a part of it is damaged", () => {
  const good = filterObject("ipv6.SrcAddr = fe80::1 and (tcp or udp)");
  compileFilter(good);
  for (let cut = 1; cut < good.length; cut++) {
    assertThrows(
      () => compileFilter(good.slice(0, cut)),
      FilterSyntaxError,
      "Filter object is invalid",
      `cut at ${cut}`,
    );
  }
  const bad = [
    `${good} `, // something behind the end
    "@WinDiv_WW", // no test
    "@WinDiv_XX_WWWWAA", // another version
    "@WinDiv_WX_WWWWAL", // a label without a number
    "@WinDiv_WX_WWWWAB", // an unknown label
    "@WinDiv_WX_WWWWLWA", // to itself
    "@WinDiv_WY_WWWWLXA_WWWWLWA", // backwards: would never end
    "@WinDiv_WX_WWWWLXA", // behind the end
    "@WinDiv_WX_2sWWWAA", // field 86
    "@WinDiv_WX_WcWWAA", // relation 6
    "@WinDiv_WX_WWYWAA", // a sign that is none
    "@WinDiv_WX_WWW0000000WAA", // too many digits
    "@WinDiv_WX_WWWVVVVVVzAA", // more than 32 bits
  ];
  for (const object of bad) {
    assertThrows(() => compileFilter(object), FilterSyntaxError, "Filter object is invalid", object);
  }
});

Deno.test("Filter.matches() is false when an object's test belongs to another layer, as soon as it is reached", () => {
  const packet = Uint8Array.from([0x45, 0, 0, 20, 0, 0, 0, 0, 64, 132, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
  const always = filterObject("processId >= 0 or processId < 7", "reflect"); // folds to true
  const foreign = filterObject("processId < 7", "reflect");
  const both = filterObject("event = 9 or processId < 7", "reflect");
  assertEquals(compileFilter(always).matches(packet, {}), true);
  assertEquals(compileFilter(foreign).matches(packet, {}), false);
  assertEquals(compileFilter(both).matches(packet, {}), false);
  assertEquals(compileFilter(both).matches(packet, { event: 9 }), true);
});
