/** The tuples that the system's own TCP sees instead of an application's. */
import type { IpAddress } from "../base/ip_address.ts";
import { NAT_PORT_MIN, NAT_PORT_TRIES_MAX } from "../base/limits.ts";
import { isLoopback } from "./made_packet.ts";
import type { ReflectListener, TranslateListeners, TunListener } from "./translate_options.ts";
import { KEY_DESTINATION, PORTS, type TupleIndex, type TupleKey } from "./tuple_index.ts";

const PORT_COUNT = 0x10000 - NAT_PORT_MIN;

function writeAddress(key: TupleKey, at: number, { w0, w1, w2, w3 }: IpAddress): void {
  key[at] = w0;
  key[at + 1] = w1;
  key[at + 2] = w2;
  key[at + 3] = w3;
}

/** True when both addresses of a tuple are of the loopback: such a tuple keeps them. */
export function isLoopbackKey(key: TupleKey): boolean {
  return isLoopback(key[0]!, key[1]!, key[2]!, key[3]!) && isLoopback(key[4]!, key[5]!, key[6]!, key[7]!);
}

/** Chooses tuples; a port is used again as late as can be. */
export class NatPorts {
  readonly #listeners: TranslateListeners;
  #next: number;

  constructor(listeners: TranslateListeners, secret: number) {
    this.#listeners = listeners;
    this.#next = (secret >>> 0) % PORT_COUNT;
  }

  /** The port that a version's connections go to; 0 when that version has no listener. */
  listenPort(version: 4 | 6): number {
    return (version === 4 ? this.#listeners.v4 : this.#listeners.v6)?.port ?? 0;
  }

  /** True when addresses are exchanged or kept instead of replaced: where packets are diverted. */
  get isReflecting(): boolean {
    return this.#listeners.way === "reflect";
  }

  /**
   * Writes a free tuple for an application's into `into`; false when there is none. `keepsPort`: the application's own port is tried first,
   * which shows it in the system's tables.
   */
  choose(version: 4 | 6, original: TupleKey, keepsPort: boolean, taken: TupleIndex, into: TupleKey): boolean {
    const listener = version === 4 ? this.#listeners.v4 : this.#listeners.v6;
    if (listener === undefined) return false;
    this.#writeAddresses(listener, original, into);
    if (keepsPort && this.isReflecting && this.#isFree(original[PORTS]! >>> 16, listener.port, taken, into)) {
      return true;
    }
    for (let i = 0; i < NAT_PORT_TRIES_MAX; i++) {
      const port = NAT_PORT_MIN + this.#next;
      this.#next = (this.#next + 1) % PORT_COUNT;
      if (this.#isFree(port, listener.port, taken, into)) return true;
    }
    return false;
  }

  #writeAddresses(listener: TunListener | ReflectListener, original: TupleKey, into: TupleKey): void {
    if ("peer" in listener) {
      writeAddress(into, 0, listener.peer);
      writeAddress(into, KEY_DESTINATION, listener.address);
      return;
    }
    const isKept = isLoopbackKey(original);
    for (let word = 0; word < 4; word++) {
      into[word] = original[isKept ? word : KEY_DESTINATION + word]!;
      into[KEY_DESTINATION + word] = original[isKept ? KEY_DESTINATION + word : word]!;
    }
  }

  #isFree(port: number, listenPort: number, taken: TupleIndex, into: TupleKey): boolean {
    into[PORTS] = (port << 16) | listenPort;
    return taken.find(into) < 0;
  }
}
