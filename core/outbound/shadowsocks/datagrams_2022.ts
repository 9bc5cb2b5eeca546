/**
 * Shadowsocks datagrams of the second generation.
 *
 * Read first: SIP022 section 3.2.
 *
 *     16 bytes in AES with the key itself │ sealed with the session's key, nonce = bytes 4 to 15 of the header before AES
 *     session id (8)  packet number (8)   │ type (1) time (8) [client's session (8)] padding length (2) padding destination payload
 */
import { SHADOWSOCKS_CLOCK_SKEW_S, SHADOWSOCKS_SESSIONS_MAX } from "../../base/limits.ts";
import { readDestination, writeDestination } from "../destination.ts";
import type { Aead, DatagramCodec, Destination, OutboundEnv, TunnelledDatagram } from "../tunnel.ts";
import { sessionKey, type ShadowsocksMethod } from "./method.ts";
import { ReplayWindow } from "./replay_window.ts";

const HEADER_BYTES = 16;
const SESSION_BYTES = 8;
const TYPE_CLIENT = 0;
const TYPE_SERVER = 1;
const DNS_PORT = 53;
const PADDING_BYTES_MAX = 900;

/** A session of the server's: restarting it makes another. */
interface ServerSession {
  readonly aead: Aead;
  readonly window: ReplayWindow;
}

/** The client's side of one association. */
export class ShadowsocksDatagrams2022 implements DatagramCodec {
  readonly #method: ShadowsocksMethod;
  readonly #key: Uint8Array;
  readonly #env: OutboundEnv;
  readonly #session: Uint8Array;
  readonly #sealer: Aead;
  readonly #servers = new Map<string, ServerSession>();
  #sent = 0;

  constructor(method: ShadowsocksMethod, key: Uint8Array, env: OutboundEnv) {
    this.#method = method;
    this.#key = key;
    this.#env = env;
    this.#session = env.randomBytes(SESSION_BYTES);
    this.#sealer = this.#aeadFor(this.#session);
  }

  seal(destination: Destination, payload: Uint8Array): Uint8Array | undefined {
    const written = writeDestination(destination);
    if (written === undefined) return undefined;
    const padding = destination.port === DNS_PORT ? this.#paddingBytes() : 0;
    const plain = new Uint8Array(1 + 8 + 2 + padding + written.length + payload.length);
    const view = new DataView(plain.buffer);
    view.setUint8(0, TYPE_CLIENT);
    view.setBigUint64(1, BigInt(this.#env.unixSeconds()));
    view.setUint16(9, padding);
    plain.set(written, 11 + padding);
    plain.set(payload, 11 + padding + written.length);
    const header = new Uint8Array(HEADER_BYTES);
    header.set(this.#session);
    new DataView(header.buffer).setBigUint64(SESSION_BYTES, BigInt(this.#sent++));
    const sealed = this.#sealer.seal(header.subarray(4), plain);
    const datagram = new Uint8Array(HEADER_BYTES + sealed.length);
    datagram.set(this.#env.crypto.aesBlock(this.#key, header, "encrypt"));
    datagram.set(sealed, HEADER_BYTES);
    return datagram;
  }

  /** Short questions are the ones whose length tells most. */
  #paddingBytes(): number {
    const random = this.#env.randomBytes(2);
    return ((random[0]! << 8) | random[1]!) % PADDING_BYTES_MAX;
  }

  open(datagram: Uint8Array): TunnelledDatagram | undefined {
    if (datagram.length < HEADER_BYTES) return undefined;
    const header = this.#env.crypto.aesBlock(this.#key, datagram.subarray(0, HEADER_BYTES), "decrypt");
    const session = header.subarray(0, SESSION_BYTES);
    const id = String.fromCharCode(...session);
    const known = this.#servers.get(id) ?? { aead: this.#aeadFor(session), window: new ReplayWindow() };
    const plain = known.aead.open(header.subarray(4), datagram.subarray(HEADER_BYTES));
    if (plain === undefined) return undefined;
    const number = Number(new DataView(header.buffer, header.byteOffset).getBigUint64(SESSION_BYTES));
    const read = this.#read(plain);
    if (read === undefined || !known.window.accept(number)) return undefined;
    this.#remember(id, known);
    return read;
  }

  #read(plain: Uint8Array): TunnelledDatagram | undefined {
    const fixed = 1 + 8 + SESSION_BYTES + 2;
    if (plain.length < fixed || plain[0] !== TYPE_SERVER) return undefined;
    const view = new DataView(plain.buffer, plain.byteOffset, plain.length);
    if (Math.abs(Number(view.getBigUint64(1)) - this.#env.unixSeconds()) > SHADOWSOCKS_CLOCK_SKEW_S) return undefined;
    for (let i = 0; i < SESSION_BYTES; i++) if (plain[9 + i] !== this.#session[i]) return undefined;
    const at = fixed + view.getUint16(fixed - 2);
    const read = readDestination(plain, at);
    return read && { source: read.destination, payload: plain.subarray(at + read.length) };
  }

  /** The session that spoke last comes last; the first is forgotten. */
  #remember(id: string, session: ServerSession): void {
    this.#servers.delete(id);
    this.#servers.set(id, session);
    if (this.#servers.size > SHADOWSOCKS_SESSIONS_MAX) this.#servers.delete(this.#servers.keys().next().value!);
  }

  #aeadFor(session: Uint8Array): Aead {
    return this.#env.crypto.aead(
      this.#method.aead,
      sessionKey(this.#method, this.#key, session, this.#env.crypto),
    );
  }
}
