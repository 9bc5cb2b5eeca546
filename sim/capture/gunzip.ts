/** Decompression of a gzip stream, of one member or many after another, a little at a time. */
import { createGunzip } from "node:zlib";
import { CAPTURE_GUNZIP_STEP_BYTES } from "../../core/base/limits.ts";

/** Bytes on demand; an empty array is the end. */
export interface ByteSource {
  read(lengthBytesMax: number): Promise<Uint8Array>;
}

/**
 * A source of the decompressed bytes of another source.
 * Errors: `read` rejects where the data is damaged or ends early; everything before that has been handed out.
 * The standard DecompressionStream refuses a second member, and files made by `cat a.gz b.gz` have one.
 */
export class GunzipSource implements ByteSource {
  readonly #input: ByteSource;
  readonly #gunzip = createGunzip({ chunkSize: 65_536 });
  #failure: Error | undefined;
  #ended = false;
  #writing = false;
  #wake: () => void = () => {};

  constructor(input: ByteSource) {
    this.#input = input;
    this.#gunzip.on("error", (error: Error) => {
      this.#failure = error;
      this.#wake();
    });
    this.#gunzip.on("end", () => {
      this.#ended = true;
      this.#wake();
    });
    this.#gunzip.on("readable", () => this.#wake());
  }

  async read(): Promise<Uint8Array> {
    for (;;) {
      const bytes: Uint8Array | null = this.#gunzip.read();
      if (bytes !== null) return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#ended) return new Uint8Array(0);
      const woken = new Promise<void>((resolve) => this.#wake = resolve);
      if (!this.#writing) await this.#feed();
      else await woken;
    }
  }

  /** One small step, so that damage later in the file cannot take back what stands before it. */
  async #feed(): Promise<void> {
    this.#writing = true;
    const step = await this.#input.read(CAPTURE_GUNZIP_STEP_BYTES);
    if (step.length === 0) {
      this.#gunzip.end();
      return;
    }
    // The stream keeps what it is given until it has used it, and the source will overwrite it.
    this.#gunzip.write(step.slice(), () => {
      this.#writing = false;
      this.#wake();
    });
  }

  close(): void {
    this.#gunzip.destroy();
  }
}
