/**
 * Shadowsocks datagrams of the first generation.
 *
 * Read first: SIP004 "UDP".
 *
 *     salt │ [destination payload][tag]        one key for each datagram, so that its nonce may be 0
 */
import { SHADOWSOCKS_SALTS_MAX } from "../../base/limits.ts";
import { readDestination, writeDestination } from "../destination.ts";
import type { DatagramCodec, Destination, OutboundEnv, TunnelledDatagram } from "../tunnel.ts";
import { sessionKey, type ShadowsocksMethod } from "./method.ts";

const NONCE = new Uint8Array(12);

/** The salts that came, so that a datagram that is sent again by somebody else is not believed. Oldest go first. */
class SeenSalts {
  readonly #seen = new Set<string>();

  /** False when the salt was there already. */
  add(salt: Uint8Array): boolean {
    const text = String.fromCharCode(...salt);
    if (this.#seen.has(text)) return false;
    this.#seen.add(text);
    if (this.#seen.size > SHADOWSOCKS_SALTS_MAX) this.#seen.delete(this.#seen.values().next().value!);
    return true;
  }
}

/** The client's side of one association. */
export class ShadowsocksDatagrams implements DatagramCodec {
  readonly #method: ShadowsocksMethod;
  readonly #key: Uint8Array;
  readonly #env: OutboundEnv;
  readonly #salts = new SeenSalts();

  constructor(method: ShadowsocksMethod, key: Uint8Array, env: OutboundEnv) {
    this.#method = method;
    this.#key = key;
    this.#env = env;
  }

  seal(destination: Destination, payload: Uint8Array): Uint8Array | undefined {
    const written = writeDestination(destination);
    if (written === undefined) return undefined;
    const plain = new Uint8Array(written.length + payload.length);
    plain.set(written);
    plain.set(payload, written.length);
    const salt = this.#env.randomBytes(this.#method.keyBytes);
    const sealed = this.#aeadFor(salt).seal(NONCE, plain);
    const datagram = new Uint8Array(salt.length + sealed.length);
    datagram.set(salt);
    datagram.set(sealed, salt.length);
    return datagram;
  }

  open(datagram: Uint8Array): TunnelledDatagram | undefined {
    const salt = datagram.subarray(0, this.#method.keyBytes);
    if (salt.length < this.#method.keyBytes) return undefined;
    const plain = this.#aeadFor(salt).open(NONCE, datagram.subarray(salt.length));
    if (plain === undefined || !this.#salts.add(salt)) return undefined;
    const read = readDestination(plain);
    return read && { source: read.destination, payload: plain.subarray(read.length) };
  }

  #aeadFor(salt: Uint8Array) {
    return this.#env.crypto.aead(this.#method.aead, sessionKey(this.#method, this.#key, salt, this.#env.crypto));
  }
}
