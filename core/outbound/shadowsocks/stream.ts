/**
 * A Shadowsocks connection, of both generations.
 *
 * Read first: SIP004 "TCP", SIP022 section 3.1.
 *
 *     SIP004   salt │ [length][tag] [payload][tag] │ …      the first payload begins with the destination
 *     SIP022   salt │ [type time length][tag] [destination padding payload][tag] │ [length][tag] [payload][tag] │ …
 *              and back: salt │ [type time client's salt length][tag] [payload][tag] │ [length][tag] [payload][tag] │ …
 */
import { SHADOWSOCKS_CLOCK_SKEW_S } from "../../base/limits.ts";
import { ByteQueue } from "../byte_queue.ts";
import { writeDestination } from "../destination.ts";
import { StreamState } from "../stream_state.ts";
import type { Destination, OutboundEnv, StreamTunnel } from "../tunnel.ts";
import { ChunkCipher, TAG_BYTES } from "./chunk_cipher.ts";
import { sessionKey, type ShadowsocksMethod } from "./method.ts";

/** Units: bytes. Source: SIP004 "TCP" (0x3FFF), SIP022 section 3.1.1 (0xFFFF). */
const PAYLOAD_BYTES_MAX = 0x3fff;
const PAYLOAD_BYTES_MAX_2022 = 0xffff;
const LENGTH_BYTES = 2;
const PADDING_BYTES_MAX = 900;
const TYPE_CLIENT = 0;
const TYPE_SERVER = 1;

/** What a server of the second generation says first, behind its salt. Units: bytes. */
function answerBytes(saltBytes: number): number {
  return 1 + 8 + saltBytes + LENGTH_BYTES;
}

function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  let difference = 0;
  for (let i = 0; i < left.length; i++) difference |= left[i]! ^ right[i]!;
  return difference === 0;
}

/** The client's side of one connection. */
export class ShadowsocksTunnel extends StreamState implements StreamTunnel {
  readonly #method: ShadowsocksMethod;
  readonly #key: Uint8Array;
  readonly #destination: Destination;
  readonly #env: OutboundEnv;
  readonly #salt: Uint8Array;
  readonly #sealer: ChunkCipher;
  readonly #received = new ByteQueue();
  #opener: ChunkCipher | undefined = undefined;
  /** Payload bytes of the chunk that is expected; 0 while its length is. */
  #chunkBytes = 0;
  #isAnswered: boolean;

  constructor(method: ShadowsocksMethod, key: Uint8Array, destination: Destination, env: OutboundEnv) {
    super("open");
    this.#method = method;
    this.#key = key;
    this.#destination = destination;
    this.#env = env;
    this.#salt = env.randomBytes(method.keyBytes);
    this.#sealer = this.#cipherFor(this.#salt);
    this.#isAnswered = !method.is2022;
  }

  start(): void {
    const destination = writeDestination(this.#destination);
    if (destination === undefined) {
      return this.fail("failed", "Cannot use Shadowsocks: the destination is neither a name nor an address");
    }
    this.toServer.push(this.#salt);
    if (this.#method.is2022) this.#pushHeader2022(destination);
    else this.write(destination);
  }

  /** Padding in place of the first payload, which is not known yet. Source: SIP022 section 3.1.3. */
  #pushHeader2022(destination: Uint8Array): void {
    const random = this.#env.randomBytes(2);
    const padding = 1 + (((random[0]! << 8) | random[1]!) % PADDING_BYTES_MAX);
    const variable = new Uint8Array(destination.length + 2 + padding);
    variable.set(destination);
    new DataView(variable.buffer).setUint16(destination.length, padding);
    const fixed = new DataView(new ArrayBuffer(1 + 8 + LENGTH_BYTES));
    fixed.setUint8(0, TYPE_CLIENT);
    fixed.setBigUint64(1, BigInt(this.#env.unixSeconds()));
    fixed.setUint16(9, variable.length);
    this.toServer.push(this.#sealer.seal(new Uint8Array(fixed.buffer)));
    this.toServer.push(this.#sealer.seal(variable));
  }

  write(bytes: Uint8Array): void {
    const most = this.#method.is2022 ? PAYLOAD_BYTES_MAX_2022 : PAYLOAD_BYTES_MAX;
    for (let at = 0; at < bytes.length; at += most) {
      const payload = bytes.subarray(at, at + most);
      this.toServer.push(this.#sealer.seal(Uint8Array.of(payload.length >>> 8, payload.length & 0xff)));
      this.toServer.push(this.#sealer.seal(payload));
    }
  }

  end(): void {
    this.closeTransport();
  }

  receive(bytes: Uint8Array): void {
    if (this.state === "failed") return;
    this.#received.push(bytes);
    while (this.#advance()) { /* a piece further */ }
  }

  receiveEnd(): void {
    if (this.state === "failed") return;
    // A server that knows neither key nor destination just closes: nothing more can be told.
    if (this.#received.length > 0) {
      this.fail("failed", "Cannot go on with Shadowsocks: the connection ended inside a piece");
    } else this.serverDone();
  }

  /** True when a piece was read. */
  #advance(): boolean {
    if (this.state === "failed") return false;
    if (this.#opener === undefined) {
      const salt = this.#received.take(this.#method.keyBytes);
      if (salt === undefined) return false;
      this.#opener = this.#cipherFor(salt);
      return true;
    }
    if (!this.#isAnswered) return this.#readAnswer(this.#opener);
    return this.#chunkBytes === 0 ? this.#readLength(this.#opener) : this.#readPayload(this.#opener);
  }

  /** The answer must be to our own salt and of our time, or it is another connection's, sent again. Source: SIP022 section 3.1.3. */
  #readAnswer(opener: ChunkCipher): boolean {
    const saltBytes = this.#method.keyBytes;
    const sealed = this.#received.take(answerBytes(saltBytes) + TAG_BYTES);
    if (sealed === undefined) return false;
    const answer = this.#opened(opener, sealed);
    if (answer === undefined) return false;
    const view = new DataView(answer.buffer, answer.byteOffset, answer.length);
    const skew = Math.abs(Number(view.getBigUint64(1)) - this.#env.unixSeconds());
    if (view.getUint8(0) !== TYPE_SERVER || !equalBytes(answer.subarray(9, 9 + saltBytes), this.#salt)) {
      this.fail("failed", "Cannot go on with Shadowsocks: the server's answer belongs to another connection");
    } else if (skew > SHADOWSOCKS_CLOCK_SKEW_S) {
      this.fail("failed", `Cannot go on with Shadowsocks: the clocks of server and machine differ by ${skew} s`);
    }
    this.#isAnswered = true;
    this.#chunkBytes = view.getUint16(9 + saltBytes);
    // An empty first payload has a tag of its own all the same.
    if (this.#chunkBytes === 0) this.#chunkBytes = -1;
    return true;
  }

  #readLength(opener: ChunkCipher): boolean {
    const sealed = this.#received.take(LENGTH_BYTES + TAG_BYTES);
    if (sealed === undefined) return false;
    const plain = this.#opened(opener, sealed);
    if (plain === undefined) return false;
    this.#chunkBytes = (plain[0]! << 8) | plain[1]!;
    if (!this.#method.is2022) this.#chunkBytes &= PAYLOAD_BYTES_MAX;
    if (this.#chunkBytes === 0) this.fail("failed", "Cannot go on with Shadowsocks: the server sent an empty piece");
    return true;
  }

  #readPayload(opener: ChunkCipher): boolean {
    const length = Math.max(this.#chunkBytes, 0);
    const sealed = this.#received.take(length + TAG_BYTES);
    if (sealed === undefined) return false;
    const plain = this.#opened(opener, sealed);
    if (plain === undefined) return false;
    this.#chunkBytes = 0;
    this.toApplication.push(plain);
    return true;
  }

  #opened(opener: ChunkCipher, sealed: Uint8Array): Uint8Array | undefined {
    const plain = opener.open(sealed);
    if (plain === undefined) {
      this.fail(
        "prohibited",
        "Cannot read the Shadowsocks server's answer: cipher or password differ from the server's",
      );
    }
    return plain;
  }

  #cipherFor(salt: Uint8Array): ChunkCipher {
    const key = sessionKey(this.#method, this.#key, salt, this.#env.crypto);
    return new ChunkCipher(this.#env.crypto.aead(this.#method.aead, key));
  }
}
