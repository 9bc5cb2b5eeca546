/**
 * What ICMP said of paths, for connections to come: bounded, and forgotten after a while, as paths change.
 *
 * Read first: RFC 1191 sections 5.1 and 6.3, RFC 8201 sections 4 and 5.2. An entry comes only from an error that a connection believed.
 */
import { PATH_MTU_AGE_US, PATH_MTU_COUNT_MAX } from "../base/limits.ts";
import { addMicros, type Micros, micros } from "../base/micros.ts";
import { HalfSipHash } from "./half_sip_hash.ts";

/** Places of one bucket: the oldest of them makes room. */
const WAYS = 4;
const ADDRESS_WORDS = 4;

/** Path MTUs by address. Places are found by a keyed hash, so that nobody can crowd out an address of his choice. */
export class PathMtuCache {
  readonly #hash: HalfSipHash;
  readonly #words = new Uint32Array(PATH_MTU_COUNT_MAX * ADDRESS_WORDS);
  readonly #mtu = new Int32Array(PATH_MTU_COUNT_MAX);
  readonly #mayFragment = new Uint8Array(PATH_MTU_COUNT_MAX);
  /** Shape: when each place's content is forgotten; 0 for an empty one. */
  readonly #until = new Float64Array(PATH_MTU_COUNT_MAX);

  constructor(secret0: number, secret1: number) {
    this.#hash = new HalfSipHash(secret0, secret1);
  }

  /** The place of what is known of the path to an address, or −1. Shape: four words. */
  find(address: ArrayLike<number>, now: Micros): number {
    const first = this.#bucket(address);
    for (let place = first; place < first + WAYS; place++) {
      if (this.#until[place]! > now && this.#isAt(place, address)) return place;
    }
    return -1;
  }

  /** Units: bytes of an IP packet. */
  mtu(place: number): number {
    return this.#mtu[place]!;
  }

  /** True when the path is narrower still, so that routers have to cut IPv4 packets. */
  mayFragment(place: number): boolean {
    return this.#mayFragment[place] === 1;
  }

  /** When it is forgotten. */
  until(place: number): Micros {
    return micros(this.#until[place]!);
  }

  /** Remembers a path's MTU from now on. */
  note(address: ArrayLike<number>, mtu: number, mayFragment: boolean, now: Micros): void {
    const first = this.#bucket(address);
    let chosen = first;
    for (let place = first; place < first + WAYS; place++) {
      if (this.#isAt(place, address)) {
        chosen = place;
        break;
      }
      if (this.#until[place]! < this.#until[chosen]!) chosen = place;
    }
    for (let word = 0; word < ADDRESS_WORDS; word++) this.#words[chosen * ADDRESS_WORDS + word] = address[word]!;
    this.#mtu[chosen] = mtu;
    this.#mayFragment[chosen] = mayFragment ? 1 : 0;
    this.#until[chosen] = addMicros(now, PATH_MTU_AGE_US);
  }

  #isAt(place: number, address: ArrayLike<number>): boolean {
    for (let word = 0; word < ADDRESS_WORDS; word++) {
      if (this.#words[place * ADDRESS_WORDS + word] !== address[word]! >>> 0) return false;
    }
    return this.#until[place]! > 0;
  }

  /** First place of an address' bucket. */
  #bucket(address: ArrayLike<number>): number {
    const hash = this.#hash;
    hash.start();
    for (let word = 0; word < ADDRESS_WORDS; word++) hash.add(address[word]!);
    return (hash.finish() & (PATH_MTU_COUNT_MAX / WAYS - 1)) * WAYS;
  }
}
