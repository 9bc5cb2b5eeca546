/** Which endpoint a packet is for: an index over (our address and port, theirs), with a secret hash so that nobody can fill one bucket. */
import { invariant } from "../base/invariant.ts";
import { DESTINATION, type PacketMeta, SOURCE } from "../parse/packet_meta.ts";

/** Place of an endpoint in a demux, used again after `remove`. */
export type EndpointIndex = number;

/** No endpoint. */
export const NO_ENDPOINT: EndpointIndex = -1;

/** Words of a key: our address 4, their address 4, ports. */
const KEY_WORDS = 9;
const LOCAL = 0;
const REMOTE = 4;
const PORTS = 8;
const COUNT_MIN = 64;

function createColumn(length: number, old: Int32Array | undefined): Int32Array {
  const column = new Int32Array(length).fill(NO_ENDPOINT);
  if (old !== undefined) column.set(old);
  return column;
}

function createWords(length: number, old: Uint32Array | undefined): Uint32Array {
  const words = new Uint32Array(length);
  if (old !== undefined) words.set(old);
  return words;
}

/**
 * A chained hash table in typed arrays that doubles up to its capacity. IPv4 addresses stand as ::ffff:a.b.c.d; whoever fills the table keeps
 * IPv6 packets with such addresses away from it.
 */
export class FlowDemux {
  readonly capacity: number;
  /** The key that `find…` looked for, which `add` enters. Shape: KEY_WORDS words. */
  readonly #probe = new Uint32Array(KEY_WORDS);
  #size = COUNT_MIN;
  #key: Uint32Array = createWords(COUNT_MIN * KEY_WORDS, undefined);
  #hash: Uint32Array = createWords(COUNT_MIN, undefined);
  #buckets: Int32Array = createColumn(COUNT_MIN, undefined);
  /** Next in the same bucket; of a free place the next free one. */
  #next: Int32Array = createColumn(COUNT_MIN, undefined);
  /** Shape: [first free place, endpoints, places that were ever used, secret, hash of the probe]. */
  readonly #state = new Int32Array(5);

  constructor(secret: number, capacity: number) {
    invariant(capacity >= COUNT_MIN && (capacity & (capacity - 1)) === 0, "a demux has a power of two of places");
    this.capacity = capacity;
    this.#state[0] = NO_ENDPOINT;
    this.#state[3] = secret | 0;
  }

  /** Endpoints in the table. */
  get count(): number {
    return this.#state[1]!;
  }

  /** The endpoint that a packet is for, or `NO_ENDPOINT`. */
  find(meta: PacketMeta): EndpointIndex {
    const probe = this.#probe;
    const words = meta.words;
    for (let word = 0; word < 4; word++) {
      probe[LOCAL + word] = words[DESTINATION + word]!;
      probe[REMOTE + word] = words[SOURCE + word]!;
    }
    probe[PORTS] = (meta.destinationPort << 16) | meta.sourcePort;
    return this.#lookUp();
  }

  /** The endpoint that the packet's source alone names: all packets from there are for it. */
  findSource(meta: PacketMeta): EndpointIndex {
    const probe = this.#probe;
    for (let word = 0; word < 4; word++) {
      probe[LOCAL + word] = 0;
      probe[REMOTE + word] = meta.words[SOURCE + word]!;
    }
    probe[PORTS] = meta.sourcePort;
    return this.#lookUp();
  }

  /** The endpoint between two addresses. Shape: four words each; a `local` of undefined is one that only its source names. */
  findPair(
    local: Uint32Array | undefined,
    localPort: number,
    remote: Uint32Array,
    remotePort: number,
  ): EndpointIndex {
    const probe = this.#probe;
    for (let word = 0; word < 4; word++) {
      probe[LOCAL + word] = local === undefined ? 0 : local[word]!;
      probe[REMOTE + word] = remote[word]!;
    }
    probe[PORTS] = (localPort << 16) | remotePort;
    return this.#lookUp();
  }

  /** Enters what the last `find…` looked for and did not find; `NO_ENDPOINT` when the table is full. */
  add(): EndpointIndex {
    const state = this.#state;
    let index = state[0]!;
    if (index !== NO_ENDPOINT) state[0] = this.#next[index]!;
    else {
      if (state[2] === this.#size && !this.#grow()) return NO_ENDPOINT;
      index = state[2]!;
      state[2] = index + 1;
    }
    state[1] = state[1]! + 1;
    for (let word = 0; word < KEY_WORDS; word++) this.#key[index * KEY_WORDS + word] = this.#probe[word]!;
    this.#hash[index] = state[4]!;
    this.#link(index);
    return index;
  }

  /** Takes an endpoint out. */
  remove(index: EndpointIndex): void {
    const bucket = this.#hash[index]! & (this.#size - 1);
    let at = this.#buckets[bucket]!;
    if (at === index) this.#buckets[bucket] = this.#next[index]!;
    else {
      while (this.#next[at] !== index) {
        at = this.#next[at]!;
        invariant(at !== NO_ENDPOINT, "an endpoint is removed once");
      }
      this.#next[at] = this.#next[index]!;
    }
    const state = this.#state;
    this.#next[index] = state[0]!;
    state[0] = index;
    state[1] = state[1]! - 1;
  }

  #lookUp(): EndpointIndex {
    const key = this.#key;
    const probe = this.#probe;
    const hash = this.#hashProbe();
    this.#state[4] = hash | 0;
    let index = this.#buckets[hash & (this.#size - 1)]!;
    while (index !== NO_ENDPOINT) {
      const at = index * KEY_WORDS;
      if (
        this.#hash[index] === hash && key[at + PORTS] === probe[PORTS] &&
        key[at + REMOTE + 3] === probe[REMOTE + 3] && key[at + LOCAL + 3] === probe[LOCAL + 3] &&
        key[at + REMOTE + 2] === probe[REMOTE + 2] && key[at + LOCAL + 2] === probe[LOCAL + 2] &&
        key[at + REMOTE + 1] === probe[REMOTE + 1] && key[at + LOCAL + 1] === probe[LOCAL + 1] &&
        key[at + REMOTE] === probe[REMOTE] && key[at + LOCAL] === probe[LOCAL]
      ) return index;
      index = this.#next[index]!;
    }
    return NO_ENDPOINT;
  }

  /** A keyed mix of all words, as in murmur3's body and finalizer. */
  #hashProbe(): number {
    const probe = this.#probe;
    let hash = this.#state[3]!;
    for (let word = 0; word < KEY_WORDS; word++) {
      hash = Math.imul(hash ^ probe[word]!, 0x85ebca6b);
      hash = (hash ^ (hash >>> 15)) + this.#state[3]!;
    }
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return (hash ^ (hash >>> 16)) >>> 0;
  }

  #link(index: EndpointIndex): void {
    const bucket = this.#hash[index]! & (this.#size - 1);
    this.#next[index] = this.#buckets[bucket]!;
    this.#buckets[bucket] = index;
  }

  /** Doubles the table; only called when every place is in use. */
  #grow(): boolean {
    if (this.#size >= this.capacity) return false;
    const used = this.#size;
    this.#size = used * 2;
    this.#key = createWords(this.#size * KEY_WORDS, this.#key);
    this.#hash = createWords(this.#size, this.#hash);
    this.#buckets = createColumn(this.#size, undefined);
    this.#next = createColumn(this.#size, undefined);
    for (let index = 0; index < used; index++) this.#link(index);
    return true;
  }
}
