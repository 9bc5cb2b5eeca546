/** Owners of sockets by Windows' own tables. Read first: socket_tables.ts, core/host/process_source.ts. */
import type { ProcessOwner } from "../../core/act/command.ts";
import { formatIp, type IpAddress } from "../../core/base/ip_address.ts";
import {
  ADDRESSES_FRESH_US,
  PROCESS_DESCRIPTION_COUNT_MAX,
  SERVICES_FRESH_US,
  SOCKET_TABLE_FRESH_US,
  SOCKET_TABLE_REREADS_MAX,
} from "../../core/base/limits.ts";
import type { LocalSocket, ProcessSource } from "../../core/host/process_source.ts";
import { Advapi32, type Advapi32Calls, listServices, sidOf } from "../win32/advapi32.ts";
import { Handle, Kernel32, type Kernel32Calls } from "../win32/kernel32.ts";
import { PROCESS_QUERY_LIMITED_INFORMATION } from "../win32/layout.ts";
import { readWide, usize } from "../win32/memory.ts";
import { UserNames } from "../win32/user_names.ts";
import { WinCode } from "../win32/win_error.ts";
import { Iphlpapi, type IphlpapiCalls } from "./iphlpapi.ts";
import * as layout from "./layout.ts";
import { findInTables, SocketTable } from "./socket_tables.ts";
import { listAddresses } from "./system_tables.ts";

/** The process of the kernel and its drivers. Always this number, and without a file. */
const SYSTEM_PROCESS = 4;

/** Longest path that a process can have. Units: UTF-16 units. Source: UNICODE_STRING, whose length is a 16-bit count of bytes. */
const PATH_UNITS_MAX = 32_768;

function isLoopback({ version, w0, w1, w2, w3 }: IpAddress): boolean {
  return version === 4 ? w3 >>> 24 === 127 : w0 === 0 && w1 === 0 && w2 === 0 && w3 === 1;
}

/** What the source needs of the machine. */
export interface ProcessCalls {
  readonly iphlpapi: IphlpapiCalls;
  readonly kernel32: Kernel32Calls;
  readonly advapi32: Advapi32Calls;
  readonly userNames: UserNames;
  /** The machine's own addresses. */
  readonly listAddresses: () => readonly IpAddress[];
  /** Units: µs, monotonic. */
  readonly clock: () => number;
}

/** Tables of one network and version that go together. */
interface Snapshot {
  readonly tables: readonly SocketTable[];
  /** Units: µs; −1 while it must not be used. */
  at: number;
}

/** Counts for reports and benchmarks. */
export interface TableCounts {
  /** Times that tables were read. */
  reads: number;
  /** Questions that were answered from tables read before. */
  reused: number;
}

/**
 * Looks into the tables of sockets.
 *
 * Tables are read once for all flows that are asked about in one turn of the event loop: the packets of that turn were there before, so that what
 * was read belongs to them. A turn's end forgets the tables, for a later flow may have the same ports and another owner. For a flow that is not in
 * them they are read anew, as its packet may have come since; only a turn with very many such flows lets some time pass in between.
 */
export class WindowsProcessSource implements ProcessSource {
  readonly counts: TableCounts = { reads: 0, reused: 0 };
  readonly #calls: ProcessCalls;
  readonly #ownId: number;
  readonly #snapshots = new Map<string, Snapshot>();
  readonly #paths = new Uint16Array(PATH_UNITS_MAX);
  readonly #created = new BigUint64Array(4);
  /** Descriptions by process, each with the time that its process was made: numbers are used again. */
  readonly #known = new Map<number, { readonly created: bigint; readonly owner: ProcessOwner }>();
  #services = new Map<number, string>();
  #servicesAt = -Infinity;
  #addresses: ReadonlySet<string> = new Set();
  #addressesAt = -Infinity;
  #isTurnWatched = false;
  /** Times that tables were read anew in this turn, for flows that were not in them. */
  #rereads = 0;

  constructor(calls: ProcessCalls) {
    this.#calls = calls;
    this.#ownId = calls.kernel32.GetCurrentProcessId();
    for (const network of ["tcp", "udp"] as const) {
      const v4 = new SocketTable(network, layout.AF_INET);
      const v6 = new SocketTable(network, layout.AF_INET6);
      this.#snapshots.set(`${network}4`, { tables: [v4, v6], at: -1 });
      this.#snapshots.set(`${network}6`, { tables: [v6], at: -1 });
    }
  }

  findOwner(socket: LocalSocket): number | undefined {
    const snapshot = this.#snapshots.get(`${socket.network}${socket.localIp.version}`)!;
    const now = this.#calls.clock();
    const isReused = snapshot.at >= 0;
    if (isReused) this.counts.reused++;
    else this.#read(snapshot, now);
    const found = findInTables(snapshot.tables, socket);
    if (found !== undefined || !isReused) return found;
    const isFresh = now - snapshot.at <= SOCKET_TABLE_FRESH_US;
    if (isFresh && this.#rereads >= SOCKET_TABLE_REREADS_MAX) return undefined;
    this.#rereads++;
    this.#read(snapshot, now);
    return findInTables(snapshot.tables, socket);
  }

  #read(snapshot: Snapshot, now: number): void {
    this.counts.reads++;
    snapshot.at = now;
    for (const table of snapshot.tables) {
      try {
        table.read(this.#calls.iphlpapi);
      } catch {
        // IPv6 may be switched off; a table that cannot be read is empty, and its flows have no owner.
      }
    }
    if (this.#isTurnWatched) return;
    this.#isTurnWatched = true;
    queueMicrotask(() => {
      this.#isTurnWatched = false;
      this.#rereads = 0;
      for (const each of this.#snapshots.values()) each.at = -1;
    });
  }

  isLocal(ip: IpAddress): boolean {
    const text = formatIp(ip);
    const now = this.#calls.clock();
    if (this.#addresses.has(text)) return true;
    if (now - this.#addressesAt <= ADDRESSES_FRESH_US) return isLoopback(ip);
    this.#addressesAt = now;
    try {
      this.#addresses = new Set(this.#calls.listAddresses().map(formatIp));
    } catch {
      // What was known before is the best that is known.
    }
    return this.#addresses.has(text) || isLoopback(ip);
  }

  describe(processId: number): ProcessOwner | undefined {
    if (processId === 0) return undefined;
    if (processId === SYSTEM_PROCESS) {
      return { name: "System", path: "", processId, user: this.#calls.userNames.systemName, uid: undefined };
    }
    const { kernel32 } = this.#calls;
    const opened = kernel32.OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, processId);
    if (opened === 0n) {
      // A protected process may not be asked; one that is gone is no parameter.
      if (kernel32.GetLastError() !== WinCode.AccessDenied) return undefined;
      return this.#owner(processId, "", "");
    }
    using process = new Handle(kernel32, Number(opened));
    const times = this.#created;
    const [a, b, c, d] = [0, 1, 2, 3].map((index) => times.subarray(index, index + 1));
    const created = kernel32.GetProcessTimes(usize(process.value), a!, b!, c!, d!) === 0 ? 0n : times[0]!;
    const known = this.#known.get(processId);
    if (known !== undefined && known.created === created && created !== 0n) return known.owner;
    const sid = sidOf(kernel32, this.#calls.advapi32, process.value);
    const user = sid === undefined ? "" : this.#calls.userNames.nameOf(sid);
    const owner = this.#owner(processId, this.#pathOf(process.value), user);
    this.#remember(processId, created, owner);
    return owner;
  }

  #remember(processId: number, created: bigint, owner: ProcessOwner): void {
    // A name that is not known yet shows as a SID; it is asked for again.
    if (owner.user.startsWith("S-1-")) return;
    this.#known.delete(processId);
    this.#known.set(processId, { created, owner });
    if (this.#known.size > PROCESS_DESCRIPTION_COUNT_MAX) this.#known.delete(this.#known.keys().next().value!);
  }

  #owner(processId: number, path: string, user: string): ProcessOwner {
    const name = path.slice(path.lastIndexOf("\\") + 1);
    const service = name.toLowerCase() === "svchost.exe" ? this.#serviceOf(processId) : undefined;
    return {
      name,
      path,
      processId,
      user,
      uid: undefined,
      ...(service === undefined ? {} : { service }),
      ...(processId === this.#ownId ? { isSelf: true } : {}),
    };
  }

  #pathOf(process: number): string {
    const length = new Uint32Array([PATH_UNITS_MAX]);
    const isRead = this.#calls.kernel32.QueryFullProcessImageNameW(usize(process), 0, this.#paths, length) !== 0;
    return isRead ? readWide(this.#paths.subarray(0, length[0])) : "";
  }

  /** The services of a process, separated by commas. */
  #serviceOf(processId: number): string | undefined {
    const now = this.#calls.clock();
    if (!this.#services.has(processId) && now - this.#servicesAt > SERVICES_FRESH_US) {
      this.#servicesAt = now;
      this.#services = this.#listServices();
    }
    return this.#services.get(processId);
  }

  #listServices(): Map<number, string> {
    const names = new Map<number, string>();
    try {
      for (const { name, processId } of listServices(this.#calls.kernel32, this.#calls.advapi32)) {
        const before = names.get(processId);
        names.set(processId, before === undefined ? name : `${before},${name}`);
      }
    } catch {
      // The manager may refuse; the process is known all the same.
    }
    return names;
  }
}

/** A source with the libraries that it looks with. */
export interface OpenProcessSource extends Disposable {
  readonly source: WindowsProcessSource;
}

/** Opens the system's own tables. Errors: an Error when this is no Windows. */
export function openProcessSource(iphlpapiPath?: string): OpenProcessSource {
  using libraries = new DisposableStack();
  const kernel32 = libraries.use(Kernel32.open()).calls;
  const advapi32 = libraries.use(Advapi32.open()).calls;
  const iphlpapi = libraries.use(Iphlpapi.open(iphlpapiPath)).calls;
  const source = new WindowsProcessSource({
    kernel32,
    advapi32,
    iphlpapi,
    userNames: new UserNames(advapi32),
    listAddresses: () => listAddresses(iphlpapi).map(({ ip }) => ip),
    clock: () => Math.round(performance.now() * 1000),
  });
  const owned = libraries.move();
  return { source, [Symbol.dispose]: () => owned.dispose() };
}
