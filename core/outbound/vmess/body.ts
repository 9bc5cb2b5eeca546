/**
 * The body of VMess: pieces behind masked lengths.
 *
 * Read first: "VMess protocol", https://www.v2fly.org/developer/protocols/vmess.html, "data section".
 *
 *     [length ⊕ SHAKE128(iv)] (2) │ piece, sealed with its tag, nonce = number (2) and bytes 2 to 11 of iv │ …      an empty piece ends the stream
 */
import type { Aead, OutboundCrypto } from "../tunnel.ts";
import { type VmessKeys, VmessSecurity } from "./header.ts";

const TAG_BYTES = 16;

/** Bytes of a piece at most. Source: v2ray and others read no longer ones. Units: bytes of plain text. */
export const PIECE_BYTES_MAX = 16_384 - 64;

function createAead(security: VmessSecurity, key: Uint8Array, crypto: OutboundCrypto): Aead | undefined {
  if (security === VmessSecurity.None) return undefined;
  if (security === VmessSecurity.Aes128Gcm) return crypto.aead("aes-128-gcm", key);
  const half = crypto.hash("md5", key);
  return crypto.aead("chacha20-poly1305", Uint8Array.of(...half, ...crypto.hash("md5", half)));
}

/** One direction of a body. */
export class VmessPieces {
  readonly #aead: Aead | undefined;
  readonly #mask: (count: number) => Uint8Array;
  readonly #nonce: Uint8Array;
  #number = 0;

  constructor(security: VmessSecurity, { key, iv }: VmessKeys, crypto: OutboundCrypto) {
    this.#aead = createAead(security, key, crypto);
    this.#mask = crypto.shake128(iv);
    this.#nonce = iv.slice(0, 12);
  }

  /** Bytes that a piece has more than its plain text. */
  get overhead(): number {
    return this.#aead === undefined ? 0 : TAG_BYTES;
  }

  /** A length as it is sent, or was sent. */
  maskedLength(high: number, low: number): number {
    const mask = this.#mask(2);
    return ((high ^ mask[0]!) << 8) | (low ^ mask[1]!);
  }

  /** The next piece with its length. */
  seal(plain: Uint8Array): Uint8Array {
    const sealed = this.#aead === undefined ? plain : this.#aead.seal(this.#nextNonce(), plain);
    const length = this.maskedLength(sealed.length >>> 8, sealed.length & 0xff);
    const bytes = new Uint8Array(2 + sealed.length);
    bytes[0] = length >>> 8;
    bytes[1] = length & 0xff;
    bytes.set(sealed, 2);
    return bytes;
  }

  /** Opens the next piece; undefined when its tag does not fit. */
  open(sealed: Uint8Array): Uint8Array | undefined {
    return this.#aead === undefined ? sealed : this.#aead.open(this.#nextNonce(), sealed);
  }

  #nextNonce(): Uint8Array {
    this.#nonce[0] = this.#number >>> 8;
    this.#nonce[1] = this.#number & 0xff;
    this.#number = (this.#number + 1) & 0xffff;
    return this.#nonce;
  }
}
