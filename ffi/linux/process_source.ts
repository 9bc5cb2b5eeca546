/** Owners of local sockets on Linux: the kernel names the socket, /proc names the process that holds it. */
import type { ProcessOwner } from "../../core/act/command.ts";
import { formatIp, type IpAddress } from "../../core/base/ip_address.ts";
import {
  PROCESS_ADDRESS_COUNT_MAX,
  PROCESS_ADDRESS_FRESH_MS,
  PROCESS_DESCRIPTION_COUNT_MAX,
  PROCESS_RECENT_COUNT_MAX,
  PROCESS_SOCKET_COUNT_MAX,
} from "../../core/base/limits.ts";
import type { LocalSocket, ProcessSource } from "../../core/host/process_source.ts";
import { Libc } from "./libc.ts";
import { insideNamespace, namespacePath } from "./namespace.ts";
import { Netlink } from "./netlink.ts";
import { type Holder, ProcessFiles } from "./process_files.ts";
import { SocketDiag } from "./socket_diag.ts";
import { UserNames } from "./user_names.ts";

/** A process as it was described, and by what it is known to be the same one still. */
interface Described {
  readonly start: number;
  readonly program: string;
  readonly fileUser: number;
  readonly owner: ProcessOwner;
}

/** Adds to a map that keeps the last `max` entries. */
function remember<K, V>(map: Map<K, V>, key: K, value: V, max: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= max) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}

/** Asks about the sockets of one network namespace. */
export class LinuxProcessSource implements ProcessSource {
  readonly #libc: Libc;
  readonly #diag: SocketDiag;
  readonly #netlink: Netlink;
  readonly #files: ProcessFiles;
  readonly #users: UserNames;
  /** Holders by the numbers of their sockets. */
  readonly #holders = new Map<number, Holder>();
  readonly #described = new Map<number, Described>();
  /** Addresses that were asked about. Units: `at` is ms. */
  readonly #local = new Map<string, { readonly isLocal: boolean; readonly at: number }>();
  /** Processes that had a socket last, the last one first. */
  #recent: Holder[] = [];

  /** `namespace` is the name of a network namespace; undefined is the one that this thread is in. Errors: `LinuxError`. */
  constructor(namespace?: string) {
    this.#libc = Libc.open();
    try {
      const path = namespace === undefined ? undefined : namespacePath(namespace);
      [this.#diag, this.#netlink] = insideNamespace(this.#libc, path, () => openSockets(this.#libc));
    } catch (error) {
      this.#libc[Symbol.dispose]();
      throw error;
    }
    this.#files = new ProcessFiles(this.#libc);
    this.#users = new UserNames(() => this.#files.read("/etc/passwd"), () => performance.now() * 1000);
  }

  findOwner(socket: LocalSocket): number | undefined {
    const fact = this.#diag.find(socket);
    if (fact === undefined) return undefined;
    const known = this.#holders.get(fact.inode);
    if (known !== undefined && this.#files.isHolder(known, fact.inode)) return known.processId;
    const holder = this.#files.findHolder(fact.inode, fact.uid, this.#recent);
    if (holder === undefined) {
      this.#holders.delete(fact.inode);
      return undefined;
    }
    remember(this.#holders, fact.inode, holder, PROCESS_SOCKET_COUNT_MAX);
    this.#recent = [holder, ...this.#recent.filter(({ processId }) => processId !== holder.processId)]
      .slice(0, PROCESS_RECENT_COUNT_MAX);
    return holder.processId;
  }

  /** A number that was given to another process, and a process that became another program, are described anew. */
  describe(processId: number): ProcessOwner | undefined {
    const files = this.#files;
    const start = files.startOf(processId);
    const fileUser = files.userOf(processId);
    if (start === undefined || fileUser === undefined) return undefined;
    const program = files.programOf(processId);
    const known = this.#described.get(processId);
    if (known?.start === start && known.program === program && known.fileUser === fileUser) return known.owner;
    const uid = files.effectiveUserOf(processId) ?? fileUser;
    const name = program === "" ? files.nameOf(processId) : program.slice(program.lastIndexOf("/") + 1);
    const owner = { name, path: program, processId, user: this.#users.nameOf(uid), uid };
    remember(this.#described, processId, { start, program, fileUser, owner }, PROCESS_DESCRIPTION_COUNT_MAX);
    return owner;
  }

  isLocal(ip: IpAddress): boolean {
    const key = formatIp(ip);
    const now = performance.now();
    const known = this.#local.get(key);
    if (known !== undefined && now - known.at < PROCESS_ADDRESS_FRESH_MS) return known.isLocal;
    const isLocal = this.#netlink.isLocal(ip);
    remember(this.#local, key, { isLocal, at: now }, PROCESS_ADDRESS_COUNT_MAX);
    return isLocal;
  }

  close(): void {
    this.#diag.close();
    this.#netlink.close();
    this.#libc[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function openSockets(libc: Libc): [SocketDiag, Netlink] {
  const diag = new SocketDiag(libc);
  try {
    return [diag, new Netlink(libc)];
  } catch (error) {
    diag.close();
    throw error;
  }
}
