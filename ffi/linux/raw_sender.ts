/**
 * Packets that weir makes, sent through raw sockets with a mark by which our own rules know them.
 *
 * Read first: raw(7), ipv6(7), RFC 3542 section 3. The kernel finds the way by the destination. A destination on this machine is reached over the
 * loopback, and as such a packet brings its route along, nobody asks whether its source belongs there: what a far side would have sent reaches
 * local programs.
 */
import type { Arena, Slot } from "../../core/adapter/arena.ts";
import { NFQUEUE_BUFFER_BYTES } from "../../core/base/limits.ts";
import * as ipv4 from "../../core/wire/ipv4.ts";
import * as ipv6 from "../../core/wire/ipv6.ts";
import * as layout from "./layout.ts";
import { addressOf, Descriptor, type Libc, usize } from "./libc.ts";

const V4_DESTINATION = 16;
const V6_DESTINATION = 24;
const V6_ADDRESS_BYTES = 16;
const SCOPE_OFFSET = 24;

/** Two sockets of the network namespace that it was opened in. */
export class RawSender {
  /** The device that link-local addresses belong to, learned from packets; 0 while unknown. */
  linkDevice = 0;
  readonly #libc: Libc;
  readonly #v4: Descriptor;
  readonly #v6: Descriptor | undefined;
  readonly #to4 = new Uint8Array(layout.Size.sockaddr_in);
  readonly #to6 = new Uint8Array(layout.Size.sockaddr_in6);
  readonly #to6View = new DataView(this.#to6.buffer);
  #arena: Arena | undefined = undefined;
  #arenaBase = 0;

  /** Errors: `LinuxError`. Without IPv6 in this kernel, IPv6 packets are refused. */
  constructor(libc: Libc, mark: number) {
    this.#libc = libc;
    this.#v4 = this.#open(layout.AF_INET, mark)!;
    this.#v6 = this.#open(layout.AF_INET6, mark);
    new DataView(this.#to4.buffer).setUint16(0, layout.AF_INET, true);
    this.#to6View.setUint16(0, layout.AF_INET6, true);
  }

  #open(family: number, mark: number): Descriptor | undefined {
    const { socket, setsockopt } = this.#libc.calls;
    const number = socket(family, layout.SOCK_RAW | layout.SOCK_CLOEXEC, layout.IPPROTO_RAW);
    if (number < 0 && family === layout.AF_INET6) return undefined;
    const descriptor = new Descriptor(this.#libc, this.#libc.check(number, "open a raw socket"));
    const set = (level: number, option: number, value: number) =>
      setsockopt(descriptor.number, level, option, new Uint8Array(new Int32Array([value]).buffer), 4);
    try {
      this.#libc.check(set(layout.SOL_SOCKET, layout.SO_MARK, mark), "mark our own packets");
    } catch (error) {
      descriptor.close();
      throw error;
    }
    if (family === layout.AF_INET) set(layout.IPPROTO_IP, layout.IP_HDRINCL, 1);
    else set(layout.IPPROTO_IPV6, layout.IPV6_HDRINCL, 1);
    set(layout.SOL_SOCKET, layout.SO_SNDBUFFORCE, NFQUEUE_BUFFER_BYTES);
    return descriptor;
  }

  /** Sends the packet in a slot. False: the kernel has no room, or no way to its destination. */
  send(arena: Arena, slot: Slot): boolean {
    if (arena !== this.#arena) {
      this.#arena = arena;
      this.#arenaBase = addressOf(arena.bytes);
    }
    const at = arena.at(slot);
    const length = arena.length[slot]!;
    if (length < ipv4.HEADER_BYTES) return false;
    if (arena.view.getUint8(at) >>> 4 === 4) return this.#send4(arena, at, length);
    return length >= ipv6.HEADER_BYTES && this.#send6(arena, at, length);
  }

  #send4(arena: Arena, at: number, length: number): boolean {
    for (let i = 0; i < 4; i++) this.#to4[4 + i] = arena.bytes[at + V4_DESTINATION + i]!;
    return this.#sendTo(this.#v4.number, at, length, this.#to4);
  }

  #send6(arena: Arena, at: number, length: number): boolean {
    if (this.#v6 === undefined) return false;
    for (let i = 0; i < V6_ADDRESS_BYTES; i++) this.#to6[8 + i] = arena.bytes[at + V6_DESTINATION + i]!;
    const isLinkLocal = (arena.view.getUint16(at + V6_DESTINATION) & 0xffc0) === 0xfe80;
    this.#to6View.setUint32(SCOPE_OFFSET, isLinkLocal ? this.linkDevice : 0, true);
    return this.#sendTo(this.#v6.number, at, length, this.#to6);
  }

  #sendTo(fd: number, at: number, length: number, to: Uint8Array<ArrayBuffer>): boolean {
    const { sendtoAt } = this.#libc.calls;
    return sendtoAt(fd, usize(this.#arenaBase + at), usize(length), layout.MSG_DONTWAIT, to, to.length) >= 0;
  }

  close(): void {
    this.#v4.close();
    this.#v6?.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
