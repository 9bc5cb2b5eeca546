/**
 * Addresses that stand for names: the first question for a name takes the next address of the range, connections to it give the name back.
 *
 * Source: mihomo component/fakeip/pool.go: the first address is the network's, the second the gateway's, the fourth is the first to be given out; after the last
 * one the range begins again and the name that had the address longest loses it.
 */
import { type IpAddress, type IpPrefix, ipv4FromWord } from "../base/ip_address.ts";
import { FAKE_IP_NAMES_MAX } from "../base/limits.ts";

/** The first address that is given out, counted from the network's. */
const FIRST_OFFSET = 4;

/** What survives a restart. Shape: names by offset in the range, in the order they were last used. */
export interface FakeIpState {
  readonly range: string;
  readonly next: number;
  readonly entries: readonly (readonly [offset: number, name: string])[];
}

/** Names and their addresses, both ways. */
export class FakeIpPool {
  readonly #network: number;
  readonly #size: number;
  readonly #rangeText: string;
  /** Offsets by name, the one used longest ago first. */
  readonly #offsets = new Map<string, number>();
  readonly #names = new Map<number, string>();
  #next = FIRST_OFFSET;

  /** `range` is an IPv4 network of at most 30 bits. */
  constructor(range: IpPrefix) {
    this.#size = 2 ** (32 - range.bits);
    this.#network = Math.floor(range.address.w3 / this.#size) * this.#size;
    this.#rangeText = `${this.#network}/${range.bits}`;
  }

  /** Names that have an address. */
  get count(): number {
    return this.#names.size;
  }

  /** True for an address of the range, given out or not. */
  has(address: IpAddress): boolean {
    return address.version === 4 && address.w3 >= this.#network && address.w3 < this.#network + this.#size;
  }

  /** The address of a name, a new one if it has none. `name` is lower-case. */
  addressOf(name: string): IpAddress {
    const known = this.#offsets.get(name);
    if (known !== undefined) {
      this.#touch(name, known);
      return ipv4FromWord(this.#network + known);
    }
    if (this.#names.size >= FAKE_IP_NAMES_MAX) this.#forget(this.#offsets.keys().next().value!);
    const offset = this.#take();
    this.#touch(name, offset);
    this.#names.set(offset, name);
    return ipv4FromWord(this.#network + offset);
  }

  /** The name that an address stands for; undefined when it stands for none. */
  nameOf(address: IpAddress): string | undefined {
    if (!this.has(address)) return undefined;
    const offset = address.w3 - this.#network;
    const name = this.#names.get(offset);
    if (name !== undefined) this.#touch(name, offset);
    return name;
  }

  /** Forgets everything. */
  clear(): void {
    this.#offsets.clear();
    this.#names.clear();
    this.#next = FIRST_OFFSET;
  }

  /** What a later pool of the same range can be filled with. */
  state(): FakeIpState {
    return {
      range: this.#rangeText,
      next: this.#next,
      entries: Array.from(this.#offsets, ([name, offset]) => [offset, name] as const),
    };
  }

  /** Takes the names of an earlier pool over; one of another range is left alone. False: nothing was taken over. */
  restore(state: FakeIpState): boolean {
    if (state.range !== this.#rangeText) return false;
    this.clear();
    for (const [offset, name] of state.entries) {
      const isUsable = Number.isInteger(offset) && offset >= FIRST_OFFSET && offset < this.#size - 1;
      if (!isUsable || this.#names.has(offset) || this.#offsets.has(name)) continue;
      this.#touch(name, offset);
      this.#names.set(offset, name);
    }
    const isNextUsable = Number.isInteger(state.next) && state.next >= FIRST_OFFSET && state.next < this.#size - 1;
    if (isNextUsable) this.#next = state.next;
    return true;
  }

  /** The next offset; whoever has it loses it. The last address of the range is its broadcast address. */
  #take(): number {
    const offset = this.#next;
    this.#next = offset + 1 < this.#size - 1 ? offset + 1 : FIRST_OFFSET;
    const owner = this.#names.get(offset);
    if (owner !== undefined) this.#forget(owner);
    return offset;
  }

  #touch(name: string, offset: number): void {
    this.#offsets.delete(name);
    this.#offsets.set(name, offset);
  }

  #forget(name: string): void {
    const offset = this.#offsets.get(name);
    this.#offsets.delete(name);
    if (offset !== undefined) this.#names.delete(offset);
  }
}
