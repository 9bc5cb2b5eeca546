/** The way out of the machine, by Windows' own answer and by its tables. */
import { assertEquals, assertThrows } from "@std/assert";
import { formatIp, parseIp, parsePrefix } from "../../../core/base/ip_address.ts";
import type { OwnSources } from "../../../core/host/dial.ts";
import { bestRoute, ownSourcesBy, routePast, RouteWatch, sourcesPast } from "../../../ffi/iphlpapi/best_route.ts";
import type { IphlpapiCalls } from "../../../ffi/iphlpapi/iphlpapi.ts";
import * as layout from "../../../ffi/iphlpapi/layout.ts";
import { readSockaddr, writeSockaddr } from "../../../ffi/iphlpapi/rows.ts";
import { copyRows, listAddresses, listRoutes } from "../../../ffi/iphlpapi/system_tables.ts";
import { WinError } from "../../../ffi/win32/win_error.ts";
import { FakeIphlpapi } from "./fake_iphlpapi.ts";

const [CABLE, RADIO, TUNNEL] = [1n, 2n, 3n];

function machine(): FakeIphlpapi {
  const system = new FakeIphlpapi();
  system.addInterface(CABLE, 10);
  system.addInterface(RADIO, 50);
  system.addInterface(TUNNEL, 0);
  system.addressTable = [
    [CABLE, "fe80::1/64"],
    [CABLE, "169.254.1.1/16"],
    [CABLE, "10.9.0.5/24"],
    [CABLE, "10.0.0.5/24"],
    [RADIO, "192.168.1.5/24"],
    [RADIO, "2001:db8:1::5/64"],
    [TUNNEL, "198.18.0.1/30"],
    [TUNNEL, "fdfe:dcba:9876::1/126"],
  ];
  system.routeTable = [
    [RADIO, "0.0.0.0/0", "192.168.1.1", 0],
    [CABLE, "0.0.0.0/0", "10.0.0.1", 20],
    [RADIO, "::/0", "fe80::99", 0],
    [RADIO, "172.16.0.0/12", "192.168.1.1", 500],
    [TUNNEL, "0.0.0.0/1", "0.0.0.0", 0],
    [TUNNEL, "128.0.0.0/1", "0.0.0.0", 0],
    [TUNNEL, "::/1", "::", 0],
  ];
  return system;
}

function texts({ v4, v6 }: OwnSources): (string | undefined)[] {
  return [v4, v6].map((ip) => ip === undefined ? undefined : formatIp(ip));
}

Deno.test("sourcesPast() takes the longest prefix, then the lowest metric of route and interface, past our own routes", () => {
  const system = machine();
  const sources = () => texts(sourcesPast(system.calls, TUNNEL, system.copy));
  assertEquals(sources(), ["10.0.0.5", "2001:db8:1::5"]);
  const way = (to: string) => routePast(system.calls, parseIp(to)!, TUNNEL, system.copy);
  assertEquals([way("172.20.1.1")?.luid, way("172.20.1.1")?.index], [RADIO, 2]);
  // The cable is pulled: Windows says that the interface is not connected.
  for (const version of [4, 6] as const) system.row(CABLE, version)[layout.INTERFACE_CONNECTED_OFFSET] = 0;
  assertEquals(sources(), ["192.168.1.5", "2001:db8:1::5"]);
  for (const version of [4, 6] as const) system.row(RADIO, version)[layout.INTERFACE_CONNECTED_OFFSET] = 0;
  assertEquals(sources(), [undefined, undefined]);
  assertEquals(system.freed.length, system.tables.size);
});

Deno.test("bestRoute() takes Windows' answer, and reads the tables where Windows does not answer", () => {
  const system = machine();
  assertEquals(formatIp(bestRoute(system.calls, parseIp("192.0.2.1")!, system.copy)!.source), "198.18.0.1");
  const asked: string[] = [];
  const answering = {
    ...system.calls,
    GetBestRoute2: (
      _luid: null,
      _index: number,
      _source: null,
      destination: Uint8Array<ArrayBuffer>,
      _sort: number,
      route: Uint8Array<ArrayBuffer>,
      source: Uint8Array<ArrayBuffer>,
    ) => {
      asked.push(formatIp(readSockaddr(new DataView(destination.buffer), 0)!));
      const view = new DataView(route.buffer);
      view.setBigUint64(layout.ROUTE_LUID_OFFSET, RADIO, true);
      view.setUint32(layout.ROUTE_INDEX_OFFSET, 12, true);
      const isV4 = destination[0] === layout.AF_INET;
      writeSockaddr(new DataView(source.buffer), 0, parseIp(isV4 ? "192.168.1.5" : "fe80::7")!);
      return 0;
    },
  } as unknown as IphlpapiCalls;
  const source = parseIp("192.168.1.5")!;
  assertEquals(bestRoute(answering, parseIp("9.9.9.9")!), { luid: RADIO, index: 12, source });
  const routes = ["0.0.0.0/0", "::/0"].map((text) => parsePrefix(text)!);
  // A link-local source carries nothing to the Internet.
  assertEquals(texts(ownSourcesBy(answering, routes)), ["192.168.1.5", undefined]);
  assertEquals(asked, ["9.9.9.9", "192.0.2.1", "2001:db8::1"]);
  assertEquals(texts(ownSourcesBy(answering, [parsePrefix("10.1.0.0/16")!])), ["192.168.1.5", undefined]);
  assertEquals(asked.at(-1), "10.1.0.0");
  const lost = { ...system.calls, GetBestRoute2: () => 1231 } as unknown as IphlpapiCalls;
  assertEquals(bestRoute(lost, source), undefined);
});

Deno.test("listAddresses() and listRoutes() free their tables, and say what Windows refused", () => {
  const system = machine();
  assertEquals(listAddresses(system.calls, system.copy).length, 8);
  assertEquals(listRoutes(system.calls, undefined, system.copy).map(({ destination }) => destination.bits), [
    12,
    1,
    1,
    1,
    0,
    0,
    0,
  ]);
  assertEquals(system.freed.length, 2);
  assertThrows(
    () =>
      listRoutes(system.calls, undefined, () => {
        throw new Error("mine");
      }),
    Error,
    "mine",
  );
  assertEquals(system.freed.length, 3);
  system.failures.set("GetUnicastIpAddressTable", 5);
  assertThrows(() => listAddresses(system.calls, system.copy), WinError, "Cannot read the addresses: access is denied");
});

Deno.test("copyRows() copies the rows that the count says, from memory of somebody else's", () => {
  const table = new Uint8Array(8 + 3 * 80).map((_, index) => index);
  new DataView(table.buffer).setUint32(0, 2, true);
  const address = Deno.UnsafePointer.value(Deno.UnsafePointer.of(table));
  const rows = copyRows(BigInt(address), 80);
  assertEquals(new Uint8Array(rows.buffer), table.slice(8, 168));
  assertEquals(copyRows(0n, 80).byteLength, 0);
});

Deno.test("RouteWatch tells once of each change", () => {
  let now: OwnSources = { v4: parseIp("10.0.0.5"), v6: undefined };
  const heard: (string | undefined)[][] = [];
  let fails = false;
  const ask = () => {
    if (fails) throw new Error("no");
    return now;
  };
  using watch = new RouteWatch(now, ask, (sources) => heard.push(texts(sources)));
  watch.look();
  now = { v4: parseIp("10.0.0.5"), v6: undefined };
  watch.look();
  now = { v4: parseIp("192.168.1.5"), v6: parseIp("2001:db8::5") };
  watch.look();
  watch.look();
  now = { v4: undefined, v6: parseIp("2001:db8::5") };
  fails = true;
  watch.look();
  assertEquals(heard.length, 1);
  fails = false;
  watch.look();
  assertEquals(heard, [["192.168.1.5", "2001:db8::5"], [undefined, "2001:db8::5"]]);
});
