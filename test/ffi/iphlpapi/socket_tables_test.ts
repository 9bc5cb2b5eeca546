/** Whose a flow is, by tables of rows; against a slow search that reads rows field by field. */
import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { formatIp, type IpAddress, parseIp } from "../../../core/base/ip_address.ts";
import type { LocalSocket } from "../../../core/host/process_source.ts";
import type { IphlpapiCalls } from "../../../ffi/iphlpapi/iphlpapi.ts";
import * as layout from "../../../ffi/iphlpapi/layout.ts";
import { findInTables, SocketTable } from "../../../ffi/iphlpapi/socket_tables.ts";
import { WinError } from "../../../ffi/win32/win_error.ts";
import { type FakeRow, tableCalls } from "./fake_tables.ts";

function tablesOf(rows: readonly FakeRow[], socket: LocalSocket): SocketTable[] {
  const calls = tableCalls(() => rows);
  const families = socket.localIp.version === 4 ? [layout.AF_INET, layout.AF_INET6] : [layout.AF_INET6];
  return families.map((family) => {
    const table = new SocketTable(socket.network, family);
    table.read(calls);
    return table;
  });
}

function find(rows: readonly FakeRow[], socket: LocalSocket): number | undefined {
  return findInTables(tablesOf(rows, socket), socket);
}

function tcp(local: string, localPort: number, remote: string, remotePort: number, isAccepting = false): LocalSocket {
  const [localIp, remoteIp] = [parseIp(local)!, parseIp(remote)!];
  return { network: "tcp", localIp, localPort, remoteIp, remotePort, isAccepting };
}

function udp(local: string, localPort: number): LocalSocket {
  return { ...tcp(local, localPort, "192.0.2.1", 53), network: "udp" };
}

const FLOW = { network: "tcp", local: "10.0.0.2", localPort: 50_000, remote: "192.0.2.1", remotePort: 443 } as const;
const { SynSent, Established, TimeWait, Listen, DeleteTcb, Closed } = layout.TcpState;

Deno.test("findInTables() finds TCP connections in every state that somebody owns", () => {
  const socket = tcp("10.0.0.2", 50_000, "192.0.2.1", 443);
  for (const state of [SynSent, 4, Established, 6, 7, 8, 9, 10]) {
    assertEquals(find([{ ...FLOW, state, process: 7 }], socket), 7);
  }
  for (const state of [TimeWait, DeleteTcb, Listen]) {
    assertEquals(find([{ ...FLOW, state, process: 7 }], socket), undefined);
  }
  assertEquals(find([{ ...FLOW, state: Closed, process: 0 }], socket), undefined);
  const reused = [
    { ...FLOW, state: TimeWait, process: 0 },
    { ...FLOW, state: TimeWait, process: 5 },
    { ...FLOW, state: SynSent, process: 9 },
  ];
  assertEquals(find(reused, socket), 9);
  for (const other of ["localPort", "remotePort"] as const) {
    assertEquals(find([{ ...FLOW, [other]: 1, state: SynSent, process: 7 }], socket), undefined);
  }
  for (const other of ["local", "remote"] as const) {
    assertEquals(find([{ ...FLOW, [other]: "10.0.0.3", state: SynSent, process: 7 }], socket), undefined);
  }
});

Deno.test("findInTables() finds IPv4 flows of sockets of both versions in the table of IPv6", () => {
  const mapped = { ...FLOW, local: "::ffff:10.0.0.2", remote: "::ffff:192.0.2.1", state: SynSent, process: 8 };
  assertEquals(find([mapped], tcp("10.0.0.2", 50_000, "192.0.2.1", 443)), 8);
  const bound = (local: string, process: number) => ({ network: "udp", local, localPort: 5353, process } as const);
  assertEquals(find([bound("::ffff:10.0.0.2", 3)], udp("10.0.0.2", 5353)), 3);
  assertEquals(find([bound("::", 4)], udp("10.0.0.2", 5353)), 4);
  assertEquals(find([bound("::", 4)], udp("2001:db8::1", 5353)), 4);
  assertEquals(find([bound("0.0.0.0", 4)], udp("2001:db8::1", 5353)), undefined);
});

Deno.test("findInTables() takes the closest datagram socket, and one that listens for flows that come in", () => {
  const bound = (local: string, process: number) => ({ network: "udp", local, localPort: 53, process } as const);
  const all = [bound("::", 1), bound("0.0.0.0", 2), bound("::ffff:10.0.0.2", 3), bound("10.0.0.2", 4)];
  for (const [count, owner] of [[4, 4], [3, 3], [2, 2], [1, 1]] as const) {
    assertEquals(find(all.slice(0, count), udp("10.0.0.2", 53)), owner);
  }
  assertEquals(find([bound("0.0.0.0", 0), bound("10.0.0.3", 9)], udp("10.0.0.2", 53)), undefined);
  const listener = { network: "tcp", local: "0.0.0.0", localPort: 80, remote: "0.0.0.0", remotePort: 0, state: Listen };
  const rows = [{ ...listener, process: 6 } as FakeRow];
  assertEquals(find(rows, tcp("10.0.0.2", 80, "192.0.2.1", 999, true)), 6);
  assertEquals(find(rows, tcp("10.0.0.2", 80, "192.0.2.1", 999, false)), undefined);
  const accepted = { ...FLOW, localPort: 80, remotePort: 999, state: Established, process: 7 };
  assertEquals(find([...rows, accepted], tcp("10.0.0.2", 80, "192.0.2.1", 999, true)), 7);
});

/** The same question over the rows as a test writes them. */
function slowly(rows: readonly FakeRow[], socket: LocalSocket): number | undefined {
  const text = (ip: IpAddress) => formatIp(ip);
  const isMine = (row: FakeRow) => row.network === socket.network && row.process !== 0;
  const isV4Row = (row: FakeRow) => !row.local.includes(":");
  const plain = (ip: string) => ip.replace("::ffff:", "");
  const isV4 = socket.localIp.version === 4;
  const ordered = [...rows.filter((row) => isV4 && isV4Row(row)), ...rows.filter((row) => !isV4Row(row))].filter(
    isMine,
  );
  if (socket.network === "tcp") {
    const exact = ordered.find((row) =>
      plain(row.local) === text(socket.localIp) && row.localPort === socket.localPort &&
      plain(row.remote!) === text(socket.remoteIp) && row.remotePort === socket.remotePort &&
      ![Listen, TimeWait, DeleteTcb].includes(row.state as 2)
    );
    if (exact !== undefined || socket.isAccepting !== true) return exact?.process;
  }
  const open = ordered.filter((row) =>
    row.localPort === socket.localPort && (row.network === "udp" || row.state === Listen)
  );
  const here = open.find((row) => plain(row.local) === text(socket.localIp));
  return (here ?? open.find((row) => ["0.0.0.0", "::"].includes(row.local)))?.process;
}

const v4 = fc.constantFrom("0.0.0.0", "10.0.0.2", "10.0.0.3", "127.0.0.1");
const v6 = fc.constantFrom("::", "::1", "2001:db8::1", "::ffff:10.0.0.2", "::ffff:10.0.0.3");
const port = fc.constantFrom(1, 53, 255, 256, 50_000, 65_535);
const someRow = fc.oneof(fc.tuple(v4, v4), fc.tuple(v6, v6)).chain(([local, remote]) =>
  fc.record({
    network: fc.constantFrom("tcp" as const, "udp" as const),
    local: fc.constant(local),
    remote: fc.constant(remote),
    localPort: port,
    remotePort: port,
    state: fc.integer({ min: 1, max: 12 }),
    process: fc.constantFrom(0, 4, 100, 70_000),
  })
);
const someSocket = fc.record({
  network: fc.constantFrom("tcp" as const, "udp" as const),
  ips: fc.oneof(
    fc.tuple(fc.constantFrom("10.0.0.2", "127.0.0.1"), fc.constantFrom("10.0.0.3", "127.0.0.1")),
    fc.tuple(fc.constantFrom("::1", "2001:db8::1"), fc.constantFrom("::1", "2001:db8::1")),
  ),
  localPort: port,
  remotePort: port,
  isAccepting: fc.boolean(),
});

Deno.test("findInTables() agrees with a slow search", () => {
  fc.assert(
    fc.property(fc.array(someRow, { maxLength: 12 }), someSocket, (rows, { ips, ...rest }) => {
      const socket = { ...rest, localIp: parseIp(ips[0])!, remoteIp: parseIp(ips[1])! };
      assertEquals(find(rows, socket), slowly(rows, socket));
    }),
    { seed: 20_04, numRuns: 5_000 },
  );
});

Deno.test("SocketTable.read() grows with its table, and gives up in words", () => {
  const rows: FakeRow[] = Array.from(
    { length: 5_000 },
    (_, i) => ({ ...FLOW, localPort: i, state: 5, process: i + 1 }),
  );
  const table = new SocketTable("tcp", layout.AF_INET);
  table.read(tableCalls(() => rows));
  assertEquals(table.count, 5_000);
  assertEquals(findInTables([table], tcp("10.0.0.2", 4_999, "192.0.2.1", 443)), 5_000);
  table.read(tableCalls(() => []));
  assertEquals(table.count, 0);
  const always = (code: number) => ({ GetExtendedTcpTable: () => code }) as unknown as IphlpapiCalls;
  assertThrows(
    () => table.read(always(122)),
    WinError,
    "Cannot read the table of tcp sockets: the buffer is too small",
  );
  assertThrows(() => table.read(always(50)), WinError, "(error 50)");
  // A count that lies is cut to what the buffer holds.
  table.read(tableCalls(() => [], 0xffff_ffff));
  assertEquals(findInTables([table], tcp("10.0.0.2", 4_999, "192.0.2.1", 443)), undefined);
});
