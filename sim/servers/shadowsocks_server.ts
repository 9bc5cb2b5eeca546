/** The server's half of Shadowsocks streams, both generations. Read first: SIP004, SIP022. */
import { destinationLength, readDestination } from "../../core/outbound/destination.ts";
import { ChunkCipher, TAG_BYTES } from "../../core/outbound/shadowsocks/chunk_cipher.ts";
import { sessionKey, type ShadowsocksMethod } from "../../core/outbound/shadowsocks/method.ts";
import { ByteQueue } from "../../core/outbound/byte_queue.ts";
import type { OutboundEnv } from "../../core/outbound/tunnel.ts";
import { ServerState, type ServerTunnel } from "./proxy_server.ts";

const CLOCK_SKEW_S = 30;

/** One client. */
export class ShadowsocksServer extends ServerState implements ServerTunnel {
  readonly #method: ShadowsocksMethod;
  readonly #key: Uint8Array;
  readonly #env: OutboundEnv;
  readonly #plain = new ByteQueue();
  #clientSalt: Uint8Array | undefined = undefined;
  #opener: ChunkCipher | undefined = undefined;
  #sealer: ChunkCipher | undefined = undefined;
  #step: "fixed" | "variable" | "length" | "payload";
  #expected = 0;

  constructor(method: ShadowsocksMethod, key: Uint8Array, env: OutboundEnv) {
    super();
    this.#method = method;
    this.#key = key;
    this.#env = env;
    this.#step = method.is2022 ? "fixed" : "length";
  }

  receive(bytes: Uint8Array): void {
    this.readOn(bytes, () => this.#advance());
  }

  #cipher(salt: Uint8Array): ChunkCipher {
    const key = sessionKey(this.#method, this.#key, salt, this.#env.crypto);
    return new ChunkCipher(this.#env.crypto.aead(this.#method.aead, key));
  }

  #advance(): boolean {
    if (this.#opener === undefined) {
      this.#clientSalt = this.received.take(this.#method.keyBytes);
      if (this.#clientSalt === undefined) return false;
      this.#opener = this.#cipher(this.#clientSalt);
      return true;
    }
    const wanted = this.#step === "fixed" ? 11 : this.#step === "length" ? 2 : this.#expected;
    const sealed = this.received.take(wanted + TAG_BYTES);
    if (sealed === undefined) return false;
    const plain = this.#opener.open(sealed);
    if (plain === undefined) this.refuse("a tag does not fit");
    else this.#take(plain);
    return true;
  }

  #take(plain: Uint8Array): void {
    const view = new DataView(plain.buffer, plain.byteOffset, plain.length);
    if (this.#step === "fixed") {
      const skew = Math.abs(Number(view.getBigUint64(1)) - this.#env.unixSeconds());
      if (plain[0] !== 0 || skew > CLOCK_SKEW_S) this.refuse("the header is no client's, or of another time");
      this.#expected = view.getUint16(9);
      this.#step = "variable";
    } else if (this.#step === "variable") {
      const read = readDestination(plain);
      if (read === undefined) return this.refuse("the destination is none");
      const padding = view.getUint16(read.length);
      if (padding === 0 && plain.length === read.length + 2) return this.refuse("neither padding nor payload");
      this.#found(read.destination);
      this.toTarget.push(plain.subarray(read.length + 2 + padding));
      this.#step = "length";
    } else if (this.#step === "length") {
      this.#expected = view.getUint16(0);
      if (!this.#method.is2022 && this.#expected > 0x3fff) this.refuse("the piece is too long");
      this.#step = "payload";
    } else {
      this.#step = "length";
      this.#deliver(plain);
    }
  }

  #found(destination: NonNullable<ServerState["destination"]>): void {
    this.destination = destination;
    this.network = "tcp";
  }

  /** The first bytes of the first generation are the destination. */
  #deliver(plain: Uint8Array): void {
    if (this.destination !== undefined) return this.toTarget.push(plain);
    this.#plain.push(plain);
    const length = destinationLength(this.#plain.peek(0), this.#plain.peek(1));
    if (length < 0) return this.refuse("the destination is none");
    const bytes = length === 0 ? undefined : this.#plain.take(length);
    if (bytes === undefined) return;
    this.#found(readDestination(bytes)!.destination);
    this.toTarget.push(this.#plain.takeAll());
  }

  override write(bytes: Uint8Array): void {
    let from = 0;
    if (this.#sealer === undefined) {
      const salt = this.#env.randomBytes(this.#method.keyBytes);
      this.#sealer = this.#cipher(salt);
      this.toClient.push(salt);
      if (this.#method.is2022) from = this.#answer2022(this.#sealer, bytes);
    }
    for (let at = from; at < bytes.length; at += 0x3fff) {
      const piece = bytes.subarray(at, at + 0x3fff);
      this.toClient.push(this.#sealer.seal(Uint8Array.of(piece.length >>> 8, piece.length & 0xff)));
      this.toClient.push(this.#sealer.seal(piece));
    }
  }

  /** The first piece goes with the header. Units: bytes that it took. */
  #answer2022(sealer: ChunkCipher, bytes: Uint8Array): number {
    const first = bytes.subarray(0, 0x3fff);
    const salt = this.#clientSalt!;
    const header = new DataView(new ArrayBuffer(1 + 8 + salt.length + 2));
    header.setUint8(0, 1);
    header.setBigUint64(1, BigInt(this.#env.unixSeconds()));
    new Uint8Array(header.buffer).set(salt, 9);
    header.setUint16(9 + salt.length, first.length);
    this.toClient.push(sealer.seal(new Uint8Array(header.buffer)));
    this.toClient.push(sealer.seal(first));
    return first.length;
  }
}
