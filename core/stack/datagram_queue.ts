/** Datagrams that wait for their host: bytes and where they wanted to go, in one ring of borrowed memory. */
import { type BufferPool, ByteRing } from "../base/byte_ring.ts";

/** Where a datagram wanted to go, and the flow that it belongs to. */
export class DatagramInfo {
  /** Shape: four words, IPv4 as ::ffff:a.b.c.d. */
  readonly destination: Uint32Array = new Uint32Array(4);
  destinationPort = 0;
  /** What the caller of `Stack.receive` gave with the packet: a flow's id. */
  tag = 0;
}

/** Tag, length, port, destination: 8 + 4 + 4 + 16. Units: bytes. */
const HEADER_BYTES = 32;
const LENGTH_AT = 8;
const PORT_AT = 12;
const DESTINATION_AT = 16;

/** A queue of datagrams with a bound in bytes. */
export class DatagramQueue {
  readonly #ring: ByteRing;
  readonly #bytesMax: number;
  readonly #header = new Uint8Array(HEADER_BYTES);
  readonly #view: DataView = new DataView(this.#header.buffer);
  /** Shape: [datagrams]. */
  readonly #state = new Int32Array(1);

  constructor(pool: BufferPool, bytesMax: number) {
    this.#ring = new ByteRing(pool);
    this.#bytesMax = bytesMax;
  }

  /** Datagrams that wait. */
  get count(): number {
    return this.#state[0]!;
  }

  /** What they take up. Units: bytes, 32 a datagram included. */
  get bytes(): number {
    return this.#ring.length;
  }

  /** Adds a datagram of `length` bytes at `from` in `source`. False: there is no room. Shape: `words` holds the destination at `wordsAt`. */
  push(
    source: Uint8Array,
    from: number,
    length: number,
    words: Uint32Array,
    wordsAt: number,
    port: number,
    tag: number,
  ): boolean {
    if (this.#ring.length + HEADER_BYTES + length > this.#bytesMax) return false;
    const view = this.#view;
    view.setFloat64(0, tag);
    view.setUint32(LENGTH_AT, length);
    view.setUint32(PORT_AT, port);
    for (let word = 0; word < 4; word++) view.setUint32(DESTINATION_AT + word * 4, words[wordsAt + word]!);
    this.#ring.write(this.#header, 0, HEADER_BYTES);
    this.#ring.write(source, from, length);
    this.#state[0] = this.#state[0]! + 1;
    return true;
  }

  /** Takes the first datagram out into `into` at `at`, cut to `room` bytes; returns the bytes copied, −1 when there is none. */
  shift(into: Uint8Array, at: number, room: number, info: DatagramInfo): number {
    if (this.#state[0] === 0) return -1;
    const view = this.#view;
    this.#ring.read(this.#header, 0, HEADER_BYTES);
    const whole = view.getUint32(LENGTH_AT);
    info.tag = view.getFloat64(0);
    info.destinationPort = view.getUint32(PORT_AT);
    for (let word = 0; word < 4; word++) info.destination[word] = view.getUint32(DESTINATION_AT + word * 4);
    const length = whole < room ? whole : room;
    this.#ring.read(into, at, length);
    this.#ring.drop(whole - length);
    this.#state[0] = this.#state[0]! - 1;
    if (this.#state[0] === 0) this.#ring.release();
    return length;
  }

  /** Forgets everything and gives the memory back. */
  release(): void {
    this.#ring.release();
    this.#state[0] = 0;
  }
}
