/** The server's half of VMess streams in their AEAD form. Read first: the header of core/outbound/vmess/header.ts. */
import { VmessPieces } from "../../core/outbound/vmess/body.ts";
import { crc32, fnv1a32, type VmessKeys, VmessSecurity, vmessUserKey } from "../../core/outbound/vmess/header.ts";
import { vmessKdf } from "../../core/outbound/vmess/kdf.ts";
import { ByteQueue } from "../../core/outbound/byte_queue.ts";
import type { OutboundEnv } from "../../core/outbound/tunnel.ts";
import { ServerState, type ServerTunnel } from "./proxy_server.ts";
import { readPortAddress } from "./read_port_address.ts";

const CLOCK_SKEW_S = 120;
const TAG_BYTES = 16;
const PIECE_BYTES = 8_192;

/** One client. */
export class VmessServer extends ServerState implements ServerTunnel {
  readonly #userKey: Uint8Array;
  readonly #env: OutboundEnv;
  #id: Uint8Array | undefined = undefined;
  #nonce: Uint8Array | undefined = undefined;
  #expected = -1;
  #opener: VmessPieces | undefined = undefined;
  #sealer: VmessPieces | undefined = undefined;
  #answer: Uint8Array | undefined = undefined;

  constructor(uuid: Uint8Array, env: OutboundEnv) {
    super();
    this.#userKey = vmessUserKey(uuid, env.crypto);
    this.#env = env;
  }

  receive(bytes: Uint8Array): void {
    this.readOn(bytes, () => this.#advance());
  }

  #advance(): boolean {
    if (this.#id === undefined) return this.#readId();
    if (this.#nonce === undefined) return this.#readLength(this.#id);
    if (this.#opener === undefined) return this.#readHeader(this.#id, this.#nonce);
    if (this.isClientDone) return false;
    if (this.#expected < 0) {
      const length = this.received.take(2);
      if (length === undefined) return false;
      this.#expected = this.#opener.maskedLength(length[0]!, length[1]!);
      return true;
    }
    const sealed = this.received.take(this.#expected);
    if (sealed === undefined) return false;
    this.#expected = -1;
    const plain = this.#opener.open(sealed);
    if (plain === undefined) this.refuse("a piece is damaged");
    else if (plain.length === 0) this.isClientDone = true;
    else this.toTarget.push(plain);
    return true;
  }

  #readId(): boolean {
    this.#id = this.received.take(16);
    if (this.#id === undefined) return false;
    const key = vmessKdf(this.#env.crypto, this.#userKey, "AES Auth ID Encryption").subarray(0, 16);
    const block = this.#env.crypto.aesBlock(key, this.#id, "decrypt");
    const view = new DataView(block.buffer, block.byteOffset, 16);
    const skew = Math.abs(Number(view.getBigInt64(0)) - this.#env.unixSeconds());
    if (view.getUint32(12) !== crc32(block.subarray(0, 12))) this.refuse("the user is unknown");
    else if (skew > CLOCK_SKEW_S) this.refuse("the clocks differ");
    return true;
  }

  #open(what: string, sealed: Uint8Array, id: Uint8Array, nonce: Uint8Array): Uint8Array | undefined {
    const { crypto } = this.#env;
    const key = vmessKdf(crypto, this.#userKey, `VMess Header AEAD Key${what}`, id, nonce).subarray(0, 16);
    const iv = vmessKdf(crypto, this.#userKey, `VMess Header AEAD Nonce${what}`, id, nonce).subarray(0, 12);
    const plain = crypto.aead("aes-128-gcm", key).open(iv, sealed, id);
    if (plain === undefined) this.refuse("the header is damaged");
    return plain;
  }

  #readLength(id: Uint8Array): boolean {
    const both = this.received.take(2 + TAG_BYTES + 8);
    if (both === undefined) return false;
    this.#nonce = both.subarray(2 + TAG_BYTES);
    const length = this.#open("_Length", both.subarray(0, 2 + TAG_BYTES), id, this.#nonce);
    if (length !== undefined) this.#expected = (length[0]! << 8 | length[1]!) + TAG_BYTES;
    return true;
  }

  #readHeader(id: Uint8Array, nonce: Uint8Array): boolean {
    const sealed = this.received.take(this.#expected);
    if (sealed === undefined) return false;
    const header = this.#open("", sealed, id, nonce);
    if (header === undefined) return false;
    const sum = new DataView(header.buffer, header.byteOffset + header.length - 4).getUint32(0);
    if (header[0] !== 1 || sum !== fnv1a32(header.subarray(0, header.length - 4))) {
      this.refuse("the header's sum is wrong");
      return false;
    }
    const queue = new ByteQueue();
    queue.push(header);
    const read = readPortAddress(queue, 38);
    const security = header[35]! & 0x0f;
    if (read === undefined || !Object.values<number>(VmessSecurity).includes(security)) {
      this.refuse("destination or cipher is unknown");
      return false;
    }
    this.#begin(header, security as VmessSecurity);
    this.network = header[37] === 2 ? "udp" : "tcp";
    this.destination = read.destination;
    return true;
  }

  #begin(header: Uint8Array, security: VmessSecurity): void {
    const { crypto } = this.#env;
    const request: VmessKeys = { iv: header.slice(1, 17), key: header.slice(17, 33) };
    const response: VmessKeys = {
      key: crypto.hash("sha256", request.key).subarray(0, 16),
      iv: crypto.hash("sha256", request.iv).subarray(0, 16),
    };
    this.#opener = new VmessPieces(security, request, crypto);
    this.#sealer = new VmessPieces(security, response, crypto);
    this.#expected = -1;
    const seal = (what: string, plain: Uint8Array) => {
      const key = vmessKdf(crypto, response.key, `AEAD Resp Header ${what}Key`).subarray(0, 16);
      const iv = vmessKdf(crypto, response.iv, `AEAD Resp Header ${what}IV`).subarray(0, 12);
      return crypto.aead("aes-128-gcm", key).seal(iv, plain);
    };
    this.#answer = Uint8Array.of(
      ...seal("Len ", Uint8Array.of(0, 4)),
      ...seal("", Uint8Array.of(header[33]!, 0, 0, 0)),
    );
  }

  override write(bytes: Uint8Array): void {
    if (this.#answer !== undefined) this.toClient.push(this.#answer);
    this.#answer = undefined;
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      this.toClient.push(this.#sealer!.seal(bytes.subarray(at, at + PIECE_BYTES)));
    }
  }

  override end(): boolean {
    this.write(new Uint8Array(0));
    this.toClient.push(this.#sealer!.seal(new Uint8Array(0)));
    return true;
  }
}
