/**
 * The system's tables of sockets, and whose a flow is by them.
 *
 * Read first: GetExtendedTcpTable, GetExtendedUdpTable (iphlpapi.h), layout.ts for the rows.
 */
import type { IpAddress } from "../../core/base/ip_address.ts";
import { SOCKET_TABLE_BYTES_FIRST, SOCKET_TABLE_BYTES_MAX, SOCKET_TABLE_READS_MAX } from "../../core/base/limits.ts";
import type { LocalSocket } from "../../core/host/process_source.ts";
import { WinCode, WinError } from "../win32/win_error.ts";
import type { IphlpapiCalls } from "./iphlpapi.ts";
import * as layout from "./layout.ts";

const { Size, TcpState } = layout;

/** No process: the idle process owns no sockets, and rows of it are those that nobody owns any more. */
const NOBODY = 0;

/** One table as Windows wrote it. */
export class SocketTable {
  readonly network: "tcp" | "udp";
  readonly family: number;
  #bytes = new Uint8Array(SOCKET_TABLE_BYTES_FIRST);
  #words = new Uint32Array(this.#bytes.buffer);
  #count = 0;

  constructor(network: "tcp" | "udp", family: number) {
    this.network = network;
    this.family = family;
  }

  /** Rows that were read. */
  get count(): number {
    return this.#count;
  }

  /** Units: 32-bit words. */
  get rowWords(): number {
    const isV4 = this.family === layout.AF_INET;
    if (this.network === "tcp") return (isV4 ? Size.MIB_TCPROW_OWNER_PID : Size.MIB_TCP6ROW_OWNER_PID) / 4;
    return (isV4 ? Size.MIB_UDPROW_OWNER_PID : Size.MIB_UDP6ROW_OWNER_PID) / 4;
  }

  /** The table; rows begin at word 1. */
  get words(): Uint32Array {
    return this.#words;
  }

  /** Reads it anew. Errors: `WinError`; the table is empty then. */
  read(calls: IphlpapiCalls): void {
    this.#count = 0;
    const size = new Uint32Array(1);
    for (let attempt = 0; attempt < SOCKET_TABLE_READS_MAX; attempt++) {
      size[0] = this.#bytes.byteLength;
      const code = this.network === "tcp"
        ? calls.GetExtendedTcpTable(this.#bytes, size, 0, this.family, layout.TCP_TABLE_OWNER_PID_ALL, 0)
        : calls.GetExtendedUdpTable(this.#bytes, size, 0, this.family, layout.UDP_TABLE_OWNER_PID, 0);
      if (code === WinCode.Success) {
        const fitting = Math.floor((this.#words.length - 1) / this.rowWords);
        this.#count = Math.min(this.#words[0]!, fitting);
        return;
      }
      if (code !== WinCode.InsufficientBuffer) throw WinError.from(`read the table of ${this.network} sockets`, code);
      // It may grow between two calls.
      this.#grow(Math.max(size[0]! + (size[0]! >>> 2), this.#bytes.byteLength * 2));
    }
    throw WinError.from(`read the table of ${this.network} sockets`, WinCode.InsufficientBuffer);
  }

  #grow(bytes: number): void {
    const size = Math.min(bytes + (4 - bytes % 4) % 4, SOCKET_TABLE_BYTES_MAX);
    this.#bytes = new Uint8Array(size);
    this.#words = new Uint32Array(this.#bytes.buffer);
  }
}

/** A 32-bit value in network order as a little-endian word. */
function swapped(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}

/** A port as it stands in the low half of its word. */
function portWord(port: number): number {
  return ((port & 0xff) << 8) | (port >>> 8);
}

/** An address as the words of a row. Shape: one word in IPv4 rows, four in IPv6 rows, where IPv4 is mapped (::ffff:a.b.c.d). */
function addressWords(ip: IpAddress, family: number): readonly number[] {
  if (family === layout.AF_INET) return [swapped(ip.w3)];
  return [swapped(ip.w0), swapped(ip.w1), swapped(ip.w2), swapped(ip.w3)];
}

function isAt(words: Uint32Array, at: number, wanted: readonly number[]): boolean {
  for (let i = 0; i < wanted.length; i++) if (words[at + i] !== wanted[i]) return false;
  return true;
}

const ANY_WORDS: Readonly<Record<number, readonly number[]>> = {
  [layout.AF_INET]: [0],
  [layout.AF_INET6]: [0, 0, 0, 0],
};

/** Where a row's fields are. Units: 32-bit words. */
const TCP_WORDS = {
  [layout.AF_INET]: { state: 0, local: 1, localPort: 2, remote: 3, remotePort: 4, process: 5 },
  [layout.AF_INET6]: { state: 12, local: 0, localPort: 5, remote: 6, remotePort: 11, process: 13 },
} as const;
const UDP_WORDS = {
  [layout.AF_INET]: { local: 0, localPort: 1, process: 2 },
  [layout.AF_INET6]: { local: 0, localPort: 5, process: 6 },
} as const;

/** The family is one of the two by construction. */
type Family = typeof layout.AF_INET | typeof layout.AF_INET6;

/** The owner of the connection itself; rows that wait out their time belong to nobody, and never win. */
function findConnection(table: SocketTable, socket: LocalSocket): number | undefined {
  const { words, rowWords, count, family } = table;
  const field = TCP_WORDS[family as Family];
  const local = addressWords(socket.localIp, family);
  const remote = addressWords(socket.remoteIp, family);
  const localPort = portWord(socket.localPort);
  const remotePort = portWord(socket.remotePort);
  for (let row = 0, at = 1; row < count; row++, at += rowWords) {
    if ((words[at + field.localPort]! & 0xffff) !== localPort) continue;
    if ((words[at + field.remotePort]! & 0xffff) !== remotePort) continue;
    if (!isAt(words, at + field.local, local) || !isAt(words, at + field.remote, remote)) continue;
    const state = words[at + field.state]!;
    const process = words[at + field.process]!;
    if (process === NOBODY || state === TcpState.Listen) continue;
    if (state === TcpState.TimeWait || state === TcpState.DeleteTcb) continue;
    return process;
  }
  return undefined;
}

/** The owner of a socket that listens at `local`. */
function findListener(table: SocketTable, port: number, local: readonly number[]): number | undefined {
  const { words, rowWords, count, family } = table;
  const field = TCP_WORDS[family as Family];
  for (let row = 0, at = 1; row < count; row++, at += rowWords) {
    if (words[at + field.state] !== TcpState.Listen || words[at + field.process] === NOBODY) continue;
    if ((words[at + field.localPort]! & 0xffff) === portWord(port) && isAt(words, at + field.local, local)) {
      return words[at + field.process];
    }
  }
  return undefined;
}

/** The owner of a datagram socket that is bound to `local`. */
function findBound(table: SocketTable, port: number, local: readonly number[]): number | undefined {
  const { words, rowWords, count, family } = table;
  const field = UDP_WORDS[family as Family];
  for (let row = 0, at = 1; row < count; row++, at += rowWords) {
    if ((words[at + field.localPort]! & 0xffff) !== portWord(port) || words[at + field.process] === NOBODY) continue;
    if (isAt(words, at + field.local, local)) return words[at + field.process];
  }
  return undefined;
}

/**
 * The owner of a flow by the tables of its version, that of IPv6 last. An IPv4 flow of a dual-stack socket stands in the table of IPv6, as a
 * mapped address; one bound to every address stands as 0.0.0.0 or ::.
 */
export function findInTables(tables: readonly SocketTable[], socket: LocalSocket): number | undefined {
  if (socket.network === "tcp") {
    for (const table of tables) {
      const found = findConnection(table, socket);
      if (found !== undefined) return found;
    }
    if (socket.isAccepting !== true) return undefined;
  }
  const find = socket.network === "tcp" ? findListener : findBound;
  for (
    const wordsOf of [(family: number) => addressWords(socket.localIp, family), (family: number) => ANY_WORDS[family]!]
  ) {
    for (const table of tables) {
      const found = find(table, socket.localPort, wordsOf(table.family));
      if (found !== undefined) return found;
    }
  }
  return undefined;
}
