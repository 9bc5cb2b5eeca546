/**
 * Links, addresses, routes and rules through a netlink socket.
 *
 * Read first: netlink(7), rtnetlink(7). A request is `nlmsghdr`, the struct of its kind, attributes; the kernel answers with one error number, 0 for done.
 */
import {
  formatIp,
  formatPrefix,
  type IpAddress,
  ipFromWords,
  type IpPrefix,
  ipv4FromWord,
} from "../../core/base/ip_address.ts";
import { Errno } from "./errno.ts";
import * as layout from "./layout.ts";
import { Descriptor, type Libc, LinuxError, usize } from "./libc.ts";

/** Room for one request or answer. Units: bytes. */
const MESSAGE_BYTES_MAX = 8192;

/** What the kernel says of a route or a rule that is gone already. */
const GONE: readonly number[] = [Errno.ESRCH, Errno.ENOENT, Errno.ENODEV];

/** A place where routes are kept, and the route. */
export interface Route {
  readonly destination: IpPrefix;
  readonly deviceIndex: number;
  readonly table: number;
}

/** A rule that sends a source address, or everybody, to a table. */
export interface RoutingRule {
  readonly version: 4 | 6;
  readonly source: IpPrefix | undefined;
  readonly table: number;
  readonly priority: number;
}

function familyOf(version: 4 | 6): number {
  return version === 4 ? layout.AF_INET : layout.AF_INET6;
}

/** The bytes of an address in network order. */
export function addressBytes(ip: IpAddress): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(ip.version === 4 ? 4 : 16);
  const view = new DataView(bytes.buffer);
  if (ip.version === 4) view.setUint32(0, ip.w3);
  else [ip.w0, ip.w1, ip.w2, ip.w3].forEach((word, i) => view.setUint32(i * 4, word));
  return bytes;
}

/** One request while it is written. */
class Message {
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(MESSAGE_BYTES_MAX);
  readonly view: DataView = new DataView(this.bytes.buffer);
  length: number;

  /** `body` is the struct of this kind of request as bytes. */
  constructor(type: number, flags: number, sequence: number, body: Uint8Array, wantsAck: boolean = true) {
    this.view.setUint16(4, type, true);
    this.view.setUint16(6, layout.NLM_F_REQUEST | (wantsAck ? layout.NLM_F_ACK : 0) | flags, true);
    this.view.setUint32(8, sequence, true);
    this.bytes.set(body, layout.Size.nlmsghdr);
    this.length = layout.Size.nlmsghdr + body.length;
  }

  attribute(type: number, value: Uint8Array): void {
    this.view.setUint16(this.length, layout.Size.rtattr + value.length, true);
    this.view.setUint16(this.length + 2, type, true);
    this.bytes.set(value, this.length + layout.Size.rtattr);
    this.length += (layout.Size.rtattr + value.length + 3) & ~3;
  }

  number(type: number, value: number): void {
    this.attribute(type, new Uint8Array(new Uint32Array([value]).buffer));
  }

  finish(): Uint8Array<ArrayBuffer> {
    this.view.setUint32(0, this.length, true);
    return this.bytes;
  }
}

/** A struct from (offset, bytes, value) triples. */
function struct(
  size: number,
  ...fields: readonly (readonly [at: number, bytes: 1 | 2 | 4, value: number])[]
): Uint8Array {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  for (const [at, width, value] of fields) {
    if (width === 1) view.setUint8(at, value);
    else if (width === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
  }
  return bytes;
}

/** A netlink socket; it belongs to the network namespace that it was opened in. */
export class Netlink {
  readonly #libc: Libc;
  readonly #socket: Descriptor;
  #sequence = 0;

  constructor(libc: Libc) {
    this.#libc = libc;
    const { AF_NETLINK, SOCK_RAW, SOCK_CLOEXEC, NETLINK_ROUTE } = layout;
    const number = libc.calls.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    this.#socket = new Descriptor(libc, libc.check(number, "open a netlink socket"));
  }

  /** Sets a device's MTU and queue length and switches it on. Units: bytes, packets. Errors: `LinuxError`. */
  bringUp(deviceIndex: number, mtu: number, queueLength: number): void {
    const { IFF_UP, Size } = layout;
    const body = struct(Size.ifinfomsg, [4, 4, deviceIndex], [8, 4, IFF_UP], [12, 4, IFF_UP]);
    const message = this.#message(layout.RTM_NEWLINK, 0, body);
    message.number(layout.IFLA_MTU, mtu);
    message.number(layout.IFLA_TXQLEN, queueLength);
    this.#request(message, `bring the device up with an MTU of ${mtu}`);
  }

  /** Gives a device an address; the prefix's network becomes reachable through it. Errors: `LinuxError`. */
  addAddress(deviceIndex: number, prefix: IpPrefix): void {
    const { address, bits } = prefix;
    const flags = address.version === 6 ? layout.IFA_F_NODAD : 0;
    const body = struct(
      layout.Size.ifaddrmsg,
      [0, 1, familyOf(address.version)],
      [1, 1, bits],
      [2, 1, flags],
      [4, 4, deviceIndex],
    );
    const message = this.#message(layout.RTM_NEWADDR, layout.NLM_F_CREATE | layout.NLM_F_EXCL, body);
    message.attribute(layout.IFA_LOCAL, addressBytes(address));
    message.attribute(layout.IFA_ADDRESS, addressBytes(address));
    this.#request(message, `add the address ${formatPrefix(prefix)}`);
  }

  /** Adds a route. Errors: `LinuxError`; one that is there already is an error too. */
  addRoute(route: Route): void {
    const flags = layout.NLM_F_CREATE | layout.NLM_F_EXCL;
    this.#request(this.#route(layout.RTM_NEWROUTE, flags, route), `add the route ${formatPrefix(route.destination)}`);
  }

  /** Takes a route away; one that is gone already is no error. */
  deleteRoute(route: Route): void {
    this.#tolerate(
      GONE,
      this.#route(layout.RTM_DELROUTE, 0, route),
      `delete the route ${formatPrefix(route.destination)}`,
    );
  }

  /** Adds a rule. One that is there already was left behind by a weir that was killed: a device takes its routes along, but not its rules. */
  addRule(rule: RoutingRule): void {
    const flags = layout.NLM_F_CREATE | layout.NLM_F_EXCL;
    const message = this.#rule(layout.RTM_NEWRULE, flags, rule);
    this.#tolerate([Errno.EEXIST], message, `add the rule ${describeRule(rule)}`);
  }

  /** Takes a rule away; one that is gone already is no error. */
  deleteRule(rule: RoutingRule): void {
    this.#tolerate(GONE, this.#rule(layout.RTM_DELRULE, 0, rule), `delete the rule ${describeRule(rule)}`);
  }

  /** Which of this machine's addresses packets to `address` would leave with; undefined when there is no route. */
  sourceTowards(address: IpAddress): IpAddress | undefined {
    const bits = address.version === 4 ? 32 : 128;
    const body = struct(layout.Size.rtmsg, [0, 1, familyOf(address.version)], [1, 1, bits]);
    const message = new Message(layout.RTM_GETROUTE, 0, ++this.#sequence, body, false);
    message.attribute(layout.RTA_DST, addressBytes(address));
    try {
      return addressAttribute(this.#exchange(message, `ask for the route to ${formatIp(address)}`), layout.RTA_PREFSRC);
    } catch (error) {
      if (error instanceof LinuxError) return undefined;
      throw error;
    }
  }

  /** True when packets to `address` stay on this machine, in the network namespace of this socket. */
  isLocal(address: IpAddress): boolean {
    const bits = address.version === 4 ? 32 : 128;
    const body = struct(layout.Size.rtmsg, [0, 1, familyOf(address.version)], [1, 1, bits]);
    const message = new Message(layout.RTM_GETROUTE, 0, ++this.#sequence, body, false);
    message.attribute(layout.RTA_DST, addressBytes(address));
    try {
      const answer = this.#exchange(message, `ask for the route to ${formatIp(address)}`);
      return answer.getUint8(layout.Size.nlmsghdr + 7) === layout.RTN_LOCAL;
    } catch (error) {
      if (error instanceof LinuxError) return false;
      throw error;
    }
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #message(type: number, flags: number, body: Uint8Array): Message {
    return new Message(type, flags, ++this.#sequence, body);
  }

  #route(type: number, flags: number, { destination, deviceIndex, table }: Route): Message {
    const { address, bits } = destination;
    const body = struct(
      layout.Size.rtmsg,
      [0, 1, familyOf(address.version)],
      [1, 1, bits],
      [5, 1, layout.RTPROT_STATIC],
      [6, 1, address.version === 4 ? layout.RT_SCOPE_LINK : layout.RT_SCOPE_UNIVERSE],
      [7, 1, layout.RTN_UNICAST],
    );
    const message = this.#message(type, flags, body);
    message.attribute(layout.RTA_DST, addressBytes(address));
    message.number(layout.RTA_OIF, deviceIndex);
    message.number(layout.RTA_TABLE, table);
    return message;
  }

  #rule(type: number, flags: number, { version, source, table, priority }: RoutingRule): Message {
    const body = struct(
      layout.Size.fib_rule_hdr,
      [0, 1, familyOf(version)],
      [2, 1, source?.bits ?? 0],
      [7, 1, layout.FR_ACT_TO_TBL],
    );
    const message = this.#message(type, flags, body);
    if (source !== undefined) message.attribute(layout.FRA_SRC, addressBytes(source.address));
    message.number(layout.FRA_PRIORITY, priority);
    message.number(layout.FRA_TABLE, table);
    return message;
  }

  #tolerate(errnos: readonly number[], message: Message, deed: string): void {
    try {
      this.#request(message, deed);
    } catch (error) {
      if (!(error instanceof LinuxError && errnos.includes(error.errno))) throw error;
    }
  }

  /** Sends a request and reads its acknowledgment. */
  #request(message: Message, deed: string): void {
    const answer = this.#exchange(message, deed);
    if (answer.getUint16(4, true) !== layout.NLMSG_ERROR) {
      throw new Error(`Cannot ${deed}: the kernel answered with something else than an acknowledgment`);
    }
  }

  /** Sends a request and reads one answer. Errors: the one that the answer holds. */
  #exchange(message: Message, deed: string): DataView {
    const { send, recv } = this.#libc.calls;
    this.#libc.check(send(this.#socket.number, message.finish(), usize(message.length), 0), deed);
    const bytes = new Uint8Array(MESSAGE_BYTES_MAX);
    const length = this.#libc.check(recv(this.#socket.number, bytes, usize(bytes.length), 0), deed);
    const answer = new DataView(bytes.buffer, 0, length);
    if (length < layout.Size.nlmsghdr + 4) throw new Error(`Cannot ${deed}: the kernel's answer is cut short`);
    if (answer.getUint16(4, true) !== layout.NLMSG_ERROR) return answer;
    const errno = -answer.getInt32(layout.Size.nlmsghdr, true);
    if (errno !== 0) throw new LinuxError(deed, errno);
    return answer;
  }
}

/** The address in an attribute of a route's answer; undefined when it is not there. */
function addressAttribute(answer: DataView, type: number): IpAddress | undefined {
  for (let at = layout.Size.nlmsghdr + layout.Size.rtmsg; at + layout.Size.rtattr <= answer.byteLength;) {
    const length = answer.getUint16(at, true);
    if (length < layout.Size.rtattr || at + length > answer.byteLength) return undefined;
    const value = at + layout.Size.rtattr;
    if (answer.getUint16(at + 2, true) === type && length === layout.Size.rtattr + 4) {
      return ipv4FromWord(answer.getUint32(value));
    }
    if (answer.getUint16(at + 2, true) === type && length === layout.Size.rtattr + 16) {
      const word = (index: number) => answer.getUint32(value + index * 4);
      return ipFromWords(word(0), word(1), word(2), word(3));
    }
    at += (length + 3) & ~3;
  }
  return undefined;
}

function describeRule(rule: RoutingRule): string {
  const who = rule.source === undefined ? "from all" : `from ${formatIp(rule.source.address)}/${rule.source.bits}`;
  return `${who} lookup ${rule.table}`;
}
