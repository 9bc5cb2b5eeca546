/** Two streams, each the other's far end, inside this program: a server of ours takes the place of a connection. */
import { DUPLEX_PAIR_BYTES_MAX } from "../base/limits.ts";
import { ByteQueue } from "../outbound/byte_queue.ts";
import type { Duplex } from "./duplex.ts";

/** What goes one way. */
class Pipe {
  readonly #queue = new ByteQueue();
  #isEnded = false;
  #isBroken = false;
  #wake: (() => void)[] = [];

  async read(into: Uint8Array): Promise<number | null> {
    for (;;) {
      if (this.#isBroken) throw new Deno.errors.ConnectionReset("the other end broke off");
      if (this.#queue.length > 0) break;
      if (this.#isEnded) return null;
      await this.#change();
    }
    const count = Math.min(into.length, this.#queue.length);
    into.set(this.#queue.take(count)!);
    this.#tell();
    return count;
  }

  async write(bytes: Uint8Array): Promise<number> {
    while (this.#queue.length >= DUPLEX_PAIR_BYTES_MAX && !this.#isBroken && !this.#isEnded) await this.#change();
    if (this.#isBroken || this.#isEnded) throw new Deno.errors.BrokenPipe("the stream is closed");
    this.#queue.push(bytes.slice());
    this.#tell();
    return bytes.length;
  }

  end(): void {
    this.#isEnded = true;
    this.#tell();
  }

  break(): void {
    this.#isBroken = true;
    this.#tell();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  #tell(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

function endOf(reads: Pipe, writes: Pipe): Duplex {
  return {
    read: (into) => reads.read(into),
    write: (bytes) => writes.write(bytes),
    closeWrite: () => {
      writes.end();
      return Promise.resolve();
    },
    close: () => writes.end(),
    abort: () => {
      writes.break();
      reads.break();
    },
  };
}

/** Both ends. */
export function createDuplexPair(): readonly [Duplex, Duplex] {
  const [there, back] = [new Pipe(), new Pipe()];
  return [endOf(back, there), endOf(there, back)];
}
