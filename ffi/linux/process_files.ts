/**
 * What /proc says of processes: who holds a socket, and who a process is.
 *
 * Read first: proc(5): /proc/PID/fd (a link "socket:[INODE]" for each socket), /proc/PID/exe, /proc/PID/stat (field 22 is the start time).
 */
import {
  PROCESS_FILE_BYTES_MAX,
  PROCESS_NEAR_COUNT,
  PROCESS_SCAN_COUNT_MAX,
  PROCESS_SCAN_LINKS_MAX,
} from "../../core/base/limits.ts";
import * as layout from "./layout.ts";
import { addressOf, cString, type Libc, usize } from "./libc.ts";

/** Units: bytes. A folder of files is read in parts of this size. */
const ENTRIES_BYTES = 32_768;
const LINK_BYTES_MAX = 4_096;
const SOCKET_LINK = new TextEncoder().encode("socket:[");
const LINK_END = "]".charCodeAt(0);
const DIGIT_0 = 0x30;

/** Where a socket is: a process, and its number there. */
export interface Holder {
  readonly processId: number;
  readonly descriptor: number;
}

/** Reads /proc, or a folder that looks like it. */
export class ProcessFiles {
  readonly #libc: Libc;
  readonly #root: string;
  readonly #entries = new Uint8Array(ENTRIES_BYTES);
  readonly #entriesView = new DataView(this.#entries.buffer);
  readonly #entriesAt = addressOf(this.#entries);
  readonly #link = new Uint8Array(LINK_BYTES_MAX);
  readonly #statx = new Uint8Array(layout.Size.statx);
  readonly #statxView = new DataView(this.#statx.buffer);
  #linksLeft = 0;

  constructor(libc: Libc, root = "/proc") {
    this.#libc = libc;
    this.#root = root;
  }

  /** True when a descriptor of a process is the socket now: what was true a moment ago may not be. */
  isHolder({ processId, descriptor }: Holder, inode: number): boolean {
    const path = cString(`${this.#root}/${processId}/fd/${descriptor}`);
    const length = Number(this.#libc.calls.readlink(path, this.#link, usize(LINK_BYTES_MAX)));
    return socketNumber(this.#link, length) === inode;
  }

  /**
   * Who holds a socket. `recent` are searched before all others, near the numbers where they had their last sockets, as numbers are given out from
   * below; then come the processes of `uid`, the youngest first: who opens a connection has often just been started. Gives up after
   * `PROCESS_SCAN_LINKS_MAX` links.
   */
  findHolder(inode: number, uid: number, recent: readonly Holder[]): Holder | undefined {
    this.#linksLeft = PROCESS_SCAN_LINKS_MAX;
    const near = this.#findNear(inode, recent);
    if (near !== undefined) return near;
    const first = recent.map(({ processId }) => processId);
    for (const processId of first) {
      const holder = this.#holderIn(processId, inode);
      if (holder !== undefined) return holder;
    }
    const others: number[] = [];
    for (const processId of this.#processIds()) {
      if (first.includes(processId)) continue;
      if (this.userOf(processId) !== uid) {
        others.push(processId);
        continue;
      }
      const holder = this.#holderIn(processId, inode);
      if (holder !== undefined) return holder;
    }
    for (const processId of others) {
      const holder = this.#holderIn(processId, inode);
      if (holder !== undefined) return holder;
    }
    return undefined;
  }

  #findNear(inode: number, recent: readonly Holder[]): Holder | undefined {
    for (const { processId, descriptor } of recent) {
      for (let number = descriptor; number <= descriptor + PROCESS_NEAR_COUNT; number++) {
        const holder = { processId, descriptor: number };
        if (this.isHolder(holder, inode)) return holder;
      }
    }
    return undefined;
  }

  /** The user that a process's files belong to; undefined when it is gone. Source: proc(5): its effective user, or root. */
  userOf(processId: number): number | undefined {
    const path = cString(`${this.#root}/${processId}`);
    if (this.#libc.calls.statx(layout.AT_FDCWD, path, 0, layout.STATX_UID, this.#statx) < 0) return undefined;
    return this.#statxView.getUint32(layout.STATX_UID_OFFSET, true);
  }

  /** The program of a process; "" when it cannot be told, as of the kernel's own. */
  programOf(processId: number): string {
    const path = cString(`${this.#root}/${processId}/exe`);
    const length = Number(this.#libc.calls.readlink(path, this.#link, usize(LINK_BYTES_MAX)));
    if (length <= 0) return "";
    // The program's file was replaced or removed since it was started.
    return new TextDecoder().decode(this.#link.subarray(0, length)).replace(/ \(deleted\)$/, "");
  }

  /** When a process was started. Units: ticks since the machine's start; undefined when it is gone. */
  startOf(processId: number): number | undefined {
    const text = this.read(`${this.#root}/${processId}/stat`);
    if (text === undefined) return undefined;
    const ticks = Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[19]);
    return Number.isFinite(ticks) ? ticks : undefined;
  }

  /** The name that a process gives itself, at most 15 bytes. */
  nameOf(processId: number): string {
    return this.read(`${this.#root}/${processId}/comm`)?.trimEnd() ?? "";
  }

  /** The effective user of a process; undefined when it is gone. */
  effectiveUserOf(processId: number): number | undefined {
    const uid = /^Uid:\t\d+\t(\d+)/m.exec(this.read(`${this.#root}/${processId}/status`) ?? "")?.[1];
    return uid === undefined ? undefined : Number(uid);
  }

  /** A small file; undefined when it cannot be read. */
  read(path: string): string | undefined {
    const { open, read, close } = this.#libc.calls;
    const fd = open(cString(path), layout.O_RDONLY | layout.O_CLOEXEC);
    if (fd < 0) return undefined;
    const decoder = new TextDecoder();
    let text = "";
    while (text.length < PROCESS_FILE_BYTES_MAX) {
      const length = Number(read(fd, this.#entries, usize(ENTRIES_BYTES)));
      if (length <= 0) break;
      text += decoder.decode(this.#entries.subarray(0, length), { stream: true });
    }
    close(fd);
    return text;
  }

  /** The numbers of all processes, the highest first. */
  #processIds(): number[] {
    const found: number[] = [];
    this.#eachNumber(this.#root, (number) => {
      found.push(number);
      return found.length < PROCESS_SCAN_COUNT_MAX;
    });
    return found.sort((a, b) => b - a);
  }

  #holderIn(processId: number, inode: number): Holder | undefined {
    let holder: Holder | undefined;
    const { readlinkAt } = this.#libc.calls;
    this.#eachNumber(`${this.#root}/${processId}/fd`, (descriptor, folder, nameAt) => {
      if (--this.#linksLeft < 0) return false;
      const length = Number(readlinkAt(folder, usize(this.#entriesAt + nameAt), this.#link, usize(LINK_BYTES_MAX)));
      if (socketNumber(this.#link, length) !== inode) return true;
      holder = { processId, descriptor };
      return false;
    });
    return holder;
  }

  /** Hands over every entry of a folder whose name is a number, until `take` says false. */
  #eachNumber(path: string, take: (number: number, folder: number, nameAt: number) => boolean): void {
    const { open, getdents64, close } = this.#libc.calls;
    const folder = open(cString(path), layout.O_RDONLY | layout.O_DIRECTORY | layout.O_CLOEXEC);
    if (folder < 0) return;
    let goesOn = true;
    while (goesOn) {
      const length = Number(getdents64(folder, this.#entries, usize(ENTRIES_BYTES)));
      if (length <= 0) break;
      for (let at = 0; at < length && goesOn;) {
        const number = decimal(this.#entries, at + layout.DIRENT_NAME_OFFSET, 0);
        if (number >= 0) goesOn = take(number, folder, at + layout.DIRENT_NAME_OFFSET);
        at += this.#entriesView.getUint16(at + layout.DIRENT_LENGTH_OFFSET, true);
      }
    }
    close(folder);
  }
}

/** The number that stands at `at` up to the byte `end`; −1 when something else does. */
function decimal(bytes: Uint8Array, at: number, end: number): number {
  let value = 0;
  let i = at;
  for (; bytes[i] !== end; i++) {
    const digit = bytes[i]! - DIGIT_0;
    if (digit < 0 || digit > 9 || i - at > 15) return -1;
    value = value * 10 + digit;
  }
  return i === at ? -1 : value;
}

/** The inode of a link "socket:[INODE]"; −1 for any other link. */
function socketNumber(link: Uint8Array, length: number): number {
  if (length < SOCKET_LINK.length + 2 || length >= LINK_BYTES_MAX) return -1;
  for (let i = 0; i < SOCKET_LINK.length; i++) if (link[i] !== SOCKET_LINK[i]) return -1;
  return link[length - 1] === LINK_END ? decimal(link, SOCKET_LINK.length, LINK_END) : -1;
}
