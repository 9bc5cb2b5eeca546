/**
 * A cipher whose nonce counts up with each use: 12 bytes, little-endian, from 0.
 *
 * Read first: SIP004 "TCP", SIP022 section 3.1.1.
 */
import type { Aead } from "../tunnel.ts";

/** Bytes of a cipher's tag. */
export const TAG_BYTES = 16;
const NONCE_BYTES = 12;

/** One direction of a connection. */
export class ChunkCipher {
  readonly #aead: Aead;
  readonly #nonce = new Uint8Array(NONCE_BYTES);

  constructor(aead: Aead) {
    this.#aead = aead;
  }

  /** Seals the next piece. */
  seal(plain: Uint8Array): Uint8Array {
    const sealed = this.#aead.seal(this.#nonce, plain);
    this.#count();
    return sealed;
  }

  /** Opens the next piece; undefined when its tag does not fit. */
  open(sealed: Uint8Array): Uint8Array | undefined {
    const plain = this.#aead.open(this.#nonce, sealed);
    this.#count();
    return plain;
  }

  #count(): void {
    const nonce = this.#nonce;
    for (let i = 0; i < NONCE_BYTES; i++) {
      nonce[i] = (nonce[i]! + 1) & 0xff;
      if (nonce[i] !== 0) return;
    }
  }
}
