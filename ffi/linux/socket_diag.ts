/**
 * Asks the kernel which socket a flow belongs to.
 *
 * Read first: sock_diag(7), linux/inet_diag.h; layout.ts draws the structs. One question names a socket by its addresses and ports. UDP lookups are
 * those of an arriving packet, so that the peer stands where the source belongs; they find connected and unconnected sockets, and IPv6 sockets that
 * serve IPv4 as well. What the exact question does not find (sockets bound to a device, or a destination that rules have changed) is looked for in a
 * list of all sockets with the local port.
 */
import type { IpAddress } from "../../core/base/ip_address.ts";
import { PROCESS_LISTS_PER_100_MS_MAX } from "../../core/base/limits.ts";
import type { LocalSocket } from "../../core/host/process_source.ts";
import * as layout from "./layout.ts";
import { Descriptor, type Libc, usize } from "./libc.ts";

/** What the kernel says of a socket. */
export interface SocketFact {
  /** Its number among sockets. */
  readonly inode: number;
  readonly uid: number;
}

const { Size } = layout;
const REQUEST_BYTES = Size.nlmsghdr + Size.inet_diag_req_v2;
/** Where `inet_diag_sockid` lies in a request, and in an answer. */
const ASKED_ID = Size.nlmsghdr + 8;
const FOUND_ID = Size.nlmsghdr + 4;
const FOUND_STATE = Size.nlmsghdr + 1;
const FOUND_UID = Size.nlmsghdr + 64;
const FOUND_INODE = Size.nlmsghdr + 68;
/** Inside `inet_diag_sockid`. */
const ID_SOURCE_PORT = 0;
const ID_DESTINATION_PORT = 2;
const ID_SOURCE = 4;
const ID_DESTINATION = 20;
const ID_COOKIE = 40;
const ANSWER_BYTES_MAX = 32_768;
/** Answers to one list question. Reason: one port has few sockets, unless somebody means harm. */
const ANSWERS_MAX = 64;
const LIST_WINDOW_MS = 100;

/** A socket of this kind; it answers for the network namespace that it was opened in. */
export class SocketDiag {
  readonly #libc: Libc;
  readonly #socket: Descriptor;
  readonly #request = new Uint8Array(REQUEST_BYTES);
  readonly #requestView = new DataView(this.#request.buffer);
  readonly #answer = new Uint8Array(ANSWER_BYTES_MAX);
  readonly #answerView = new DataView(this.#answer.buffer);
  #sequence = 0;
  #window = 0;
  #lists = 0;

  /** Errors: `LinuxError`. */
  constructor(libc: Libc) {
    this.#libc = libc;
    const { AF_NETLINK, SOCK_RAW, SOCK_CLOEXEC, NETLINK_SOCK_DIAG } = layout;
    const number = libc.calls.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    this.#socket = new Descriptor(libc, libc.check(number, "open a socket of questions about sockets (sock_diag)"));
  }

  /** The socket that sends and receives a flow's packets on this machine; undefined when there is none, or none that a process holds. */
  find(socket: LocalSocket): SocketFact | undefined {
    const family = socket.localIp.version === 4 ? layout.AF_INET : layout.AF_INET6;
    const exact = this.#findExact(socket, family);
    if (exact !== undefined) return exact;
    if (!this.#mayList()) return undefined;
    const listed = this.#findListed(socket, family);
    // A socket of both versions is listed as IPv6.
    return listed ?? (family === layout.AF_INET ? this.#findListed(socket, layout.AF_INET6) : undefined);
  }

  #mayList(): boolean {
    const window = Math.floor(performance.now() / LIST_WINDOW_MS);
    if (window !== this.#window) [this.#window, this.#lists] = [window, 0];
    return ++this.#lists <= PROCESS_LISTS_PER_100_MS_MAX;
  }

  #findExact(socket: LocalSocket, family: number): SocketFact | undefined {
    const isUdp = socket.network === "udp";
    this.#ask(family, isUdp, 0);
    const view = this.#requestView;
    view.setUint16(ASKED_ID + (isUdp ? ID_DESTINATION_PORT : ID_SOURCE_PORT), socket.localPort);
    view.setUint16(ASKED_ID + (isUdp ? ID_SOURCE_PORT : ID_DESTINATION_PORT), socket.remotePort);
    writeAddress(view, ASKED_ID + (isUdp ? ID_DESTINATION : ID_SOURCE), socket.localIp);
    writeAddress(view, ASKED_ID + (isUdp ? ID_SOURCE : ID_DESTINATION), socket.remoteIp);
    if (!this.#send()) return undefined;
    const length = this.#receive();
    return this.#isSocket(0, length) ? this.#factAt(0, socket, isUdp) : undefined;
  }

  #findListed(socket: LocalSocket, family: number): SocketFact | undefined {
    const isUdp = socket.network === "udp";
    this.#ask(family, isUdp, layout.NLM_F_DUMP);
    this.#requestView.setUint16(ASKED_ID + ID_SOURCE_PORT, socket.localPort);
    if (!this.#send()) return undefined;
    let best: SocketFact | undefined;
    let bestScore = -1;
    let count = 0;
    for (let length = this.#receive(); length > 0; length = this.#receive()) {
      const view = this.#answerView;
      for (let at = 0; at + Size.nlmsghdr <= length;) {
        const bytes = view.getUint32(at, true);
        if (bytes < Size.nlmsghdr || !this.#isSocket(at, length)) return best;
        const score = this.#score(at, socket, family);
        const fact = score > bestScore ? this.#factAt(at, socket, isUdp) : undefined;
        if (fact !== undefined) [best, bestScore] = [fact, score];
        at += (bytes + 3) & ~3;
        if (++count >= ANSWERS_MAX) return this.#drain(best);
      }
    }
    return best;
  }

  /** Reads what is left of a list, so that the next answer is not mistaken. */
  #drain(best: SocketFact | undefined): SocketFact | undefined {
    for (let length = this.#receive(); length > 0; length = this.#receive()) {
      if (this.#answerView.getUint16(4, true) === layout.NLMSG_DONE) break;
    }
    return best;
  }

  /** How well a listed socket fits: its own address before any address, the same peer before another one. Shape: −1 when it does not fit. */
  #score(at: number, socket: LocalSocket, family: number): number {
    const view = this.#answerView;
    const id = at + FOUND_ID;
    if (view.getUint16(id + ID_SOURCE_PORT) !== socket.localPort) return -1;
    const own = addressFits(view, id + ID_SOURCE, family, socket.localIp);
    const isAnywhere = isZero(view, id + ID_SOURCE);
    if (!own && !(isAnywhere && socket.network === "udp")) return -1;
    const peer = view.getUint16(id + ID_DESTINATION_PORT) === socket.remotePort &&
      addressFits(view, id + ID_DESTINATION, family, socket.remoteIp);
    return (own ? 1 : 0) + (peer ? 2 : 0);
  }

  /** A listening socket holds no flow that begins here, and one without a number (TIME-WAIT, not accepted yet) belongs to nobody. */
  #factAt(at: number, socket: LocalSocket, isUdp: boolean): SocketFact | undefined {
    const view = this.#answerView;
    const inode = view.getUint32(at + FOUND_INODE, true);
    if (inode === 0) return undefined;
    if (!isUdp && view.getUint8(at + FOUND_STATE) === layout.TCP_LISTEN && socket.isAccepting !== true) {
      return undefined;
    }
    return { inode, uid: view.getUint32(at + FOUND_UID, true) };
  }

  #isSocket(at: number, length: number): boolean {
    return at + Size.nlmsghdr + Size.inet_diag_msg <= length &&
      this.#answerView.getUint16(at + 4, true) === layout.SOCK_DIAG_BY_FAMILY &&
      this.#answerView.getUint32(at + 8, true) === this.#sequence;
  }

  #ask(family: number, isUdp: boolean, flags: number): void {
    this.#request.fill(0);
    const view = this.#requestView;
    view.setUint32(0, REQUEST_BYTES, true);
    view.setUint16(4, layout.SOCK_DIAG_BY_FAMILY, true);
    view.setUint16(6, layout.NLM_F_REQUEST | flags, true);
    this.#sequence = (this.#sequence + 1) >>> 0;
    view.setUint32(8, this.#sequence, true);
    view.setUint8(Size.nlmsghdr, family);
    view.setUint8(Size.nlmsghdr + 1, isUdp ? layout.IPPROTO_UDP : layout.IPPROTO_TCP);
    view.setUint32(Size.nlmsghdr + 4, 0xffff_ffff, true);
    view.setUint32(ASKED_ID + ID_COOKIE, 0xffff_ffff, true);
    view.setUint32(ASKED_ID + ID_COOKIE + 4, 0xffff_ffff, true);
  }

  #send(): boolean {
    return this.#libc.calls.send(this.#socket.number, this.#request, usize(REQUEST_BYTES), 0) >= 0;
  }

  /** The kernel answers within `send`, so that there is nothing to wait for. Units: bytes, 0 when nothing is there. */
  #receive(): number {
    const { recv } = this.#libc.calls;
    const length = Number(recv(this.#socket.number, this.#answer, usize(ANSWER_BYTES_MAX), layout.MSG_DONTWAIT));
    return length < 0 ? 0 : length;
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function writeAddress(view: DataView, at: number, ip: IpAddress): void {
  if (ip.version === 4) return view.setUint32(at, ip.w3);
  view.setUint32(at, ip.w0);
  view.setUint32(at + 4, ip.w1);
  view.setUint32(at + 8, ip.w2);
  view.setUint32(at + 12, ip.w3);
}

function isZero(view: DataView, at: number): boolean {
  return view.getUint32(at) === 0 && view.getUint32(at + 4) === 0 && view.getUint32(at + 8) === 0 &&
    view.getUint32(at + 12) === 0;
}

/** True when a listed address is `ip`; in a list of IPv6 sockets an IPv4 address stands as ::ffff:a.b.c.d, as `ip` holds it. */
function addressFits(view: DataView, at: number, family: number, ip: IpAddress): boolean {
  if (family === layout.AF_INET) return view.getUint32(at) === ip.w3;
  return view.getUint32(at) === ip.w0 && view.getUint32(at + 4) === ip.w1 && view.getUint32(at + 8) === ip.w2 &&
    view.getUint32(at + 12) === ip.w3;
}
