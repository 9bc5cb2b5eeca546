/** Tables of sockets as Windows writes them, from rows that a test names. */
import { parseIp } from "../../../core/base/ip_address.ts";
import type { IphlpapiCalls } from "../../../ffi/iphlpapi/iphlpapi.ts";
import * as layout from "../../../ffi/iphlpapi/layout.ts";

/** One row; an address with ":" stands in the table of IPv6. */
export interface FakeRow {
  readonly network: "tcp" | "udp";
  readonly local: string;
  readonly localPort: number;
  readonly remote?: string;
  readonly remotePort?: number;
  readonly state?: number;
  readonly process: number;
}

function writeAddress(view: DataView, at: number, text: string): number {
  const ip = parseIp(text)!;
  if (!text.includes(":")) {
    view.setUint32(at, ip.w3);
    return at + 4;
  }
  [ip.w0, ip.w1, ip.w2, ip.w3].forEach((word, index) => view.setUint32(at + 4 * index, word));
  return at + 16;
}

/** A port in its word; what stands in the upper half is anybody's. */
function writePort(view: DataView, at: number, port: number): number {
  view.setUint16(at, port);
  view.setUint16(at + 2, 0xbeef);
  return at + 4;
}

function writeRow(view: DataView, from: number, row: FakeRow): number {
  const isV6 = row.local.includes(":");
  const number = (at: number, value: number) => {
    view.setUint32(at, value, true);
    return at + 4;
  };
  let at = from;
  if (row.network === "tcp" && !isV6) at = number(at, row.state!);
  at = writeAddress(view, at, row.local);
  if (isV6) at = number(at, 7);
  at = writePort(view, at, row.localPort);
  if (row.network === "tcp") {
    at = writeAddress(view, at, row.remote!);
    if (isV6) at = number(at, 7);
    at = writePort(view, at, row.remotePort!);
    if (isV6) at = number(at, row.state!);
  }
  return number(at, row.process);
}

/** The calls that read tables. `count` is what they say instead of how many rows there are. */
export function tableCalls(rows: () => readonly FakeRow[], count?: number): IphlpapiCalls {
  const read = (network: "tcp" | "udp") => (table: Uint8Array, size: Uint32Array, _order: number, family: number) => {
    const wanted = rows().filter((row) =>
      row.network === network && row.local.includes(":") === (family === layout.AF_INET6)
    );
    const bytes = layout.TABLE_ROWS_OFFSET + 56 * wanted.length;
    if (size[0]! < bytes) {
      size[0] = bytes;
      return 122;
    }
    const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
    view.setUint32(0, count ?? wanted.length, true);
    let at = layout.TABLE_ROWS_OFFSET;
    for (const row of wanted) at = writeRow(view, at, row);
    return 0;
  };
  const calls = { GetExtendedTcpTable: read("tcp"), GetExtendedUdpTable: read("udp") };
  return calls as unknown as IphlpapiCalls;
}
