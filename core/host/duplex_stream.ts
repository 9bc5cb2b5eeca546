/** Any `Duplex` as a stream of node's, for libraries that want one: TLS over a tunnel. */
import { Duplex as NodeStream } from "node:stream";
import { TUNNEL_READ_BYTES } from "../base/limits.ts";
import type { Duplex } from "./duplex.ts";

/** Pulls when its reader pulls, writes one piece at a time. */
export class DuplexStream extends NodeStream {
  readonly #duplex: Duplex;
  readonly #buffer = new Uint8Array(TUNNEL_READ_BYTES);

  constructor(duplex: Duplex) {
    super({ allowHalfOpen: true, autoDestroy: true });
    this.#duplex = duplex;
  }

  override _read(): void {
    this.#duplex.read(this.#buffer).then(
      (count) => this.push(count === null ? null : this.#buffer.slice(0, count)),
      (error) => this.destroy(error),
    );
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.#writeAll(chunk).then(() => done(), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#duplex.closeWrite().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (error === null) this.#duplex.close();
    else this.#duplex.abort();
    done(error);
  }

  async #writeAll(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length;) at += await this.#duplex.write(chunk.subarray(at));
  }
}
