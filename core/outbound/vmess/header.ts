/**
 * The request and the answer of VMess in its AEAD form.
 *
 * Read first: "VMess protocol", https://www.v2fly.org/developer/protocols/vmess.html; v2fly/v2fly-github-io issue 20 for the sealed header.
 *
 *     request  auth id (16) │ [length (2)][tag] │ nonce (8) │ [header][tag]
 *     header   01 body iv (16) body key (16) v (1) options (1) padding|cipher (1) 00 command (1) port and address padding FNV-1a (4)
 *     answer   [length (2)][tag] │ [v (1) options (1) command (1) n (1) content (n)][tag]
 */
import { writePortAddress } from "../port_address.ts";
import type { AeadName, Destination, OutboundCrypto, OutboundEnv } from "../tunnel.ts";
import { vmessKdf } from "./kdf.ts";

/** How the body is sealed; the values are those of the header. Source: v2ray common/protocol/headers.proto SecurityType. */
export const VmessSecurity = { Aes128Gcm: 3, ChaCha20Poly1305: 4, None: 5 } as const;
/** A value of `VmessSecurity`. */
export type VmessSecurity = (typeof VmessSecurity)[keyof typeof VmessSecurity];

/** What the body is carried for. */
export const VmessCommand = { Tcp: 1, Udp: 2 } as const;
/** A value of `VmessCommand`. */
export type VmessCommand = (typeof VmessCommand)[keyof typeof VmessCommand];

const OPTION_CHUNKS = 0x01;
const OPTION_MASKED_LENGTHS = 0x04;
const VERSION = 1;
const KEY_MAGIC = new TextEncoder().encode("c48619fe-8f02-49e0-b9e9-edf763e17e21");
const TAG_BYTES = 16;
const NONCE_BYTES = 12;
const PADDING_BYTES_MAX = 15;
const HEADER_AEAD: AeadName = "aes-128-gcm";

/** What both sides of a body are sealed with. */
export interface VmessKeys {
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
}

/** A request and what its answer is read with. */
export interface VmessRequest {
  readonly bytes: Uint8Array;
  readonly request: VmessKeys;
  readonly response: VmessKeys;
  /** The answer must repeat it. */
  readonly verification: number;
}

/** The key of a user. Source: v2ray common/protocol/id.go. */
export function vmessUserKey(uuid: Uint8Array, crypto: OutboundCrypto): Uint8Array {
  return crypto.hash("md5", Uint8Array.of(...uuid, ...KEY_MAGIC));
}

/** CRC-32 with the polynomial 0xEDB88320. Source: IEEE 802.3. */
export function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** FNV-1a with 32 bits. Source: draft-eastlake-fnv, section 2. */
export function fnv1a32(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}

function authId(userKey: Uint8Array, env: OutboundEnv): Uint8Array {
  const block = new Uint8Array(16);
  const view = new DataView(block.buffer);
  view.setBigUint64(0, BigInt(env.unixSeconds()));
  block.set(env.randomBytes(4), 8);
  view.setUint32(12, crc32(block.subarray(0, 12)));
  const key = vmessKdf(env.crypto, userKey, "AES Auth ID Encryption").subarray(0, 16);
  return env.crypto.aesBlock(key, block, "encrypt");
}

/** Makes a request. Undefined when the destination is neither a name nor an address. */
export function createVmessRequest(
  userKey: Uint8Array,
  security: VmessSecurity,
  command: VmessCommand,
  destination: Destination,
  env: OutboundEnv,
): VmessRequest | undefined {
  const target = writePortAddress(destination);
  if (target === undefined) return undefined;
  const { crypto } = env;
  const random = env.randomBytes(16 + 16 + 1 + 1 + 8);
  const iv = random.subarray(0, 16);
  const key = random.subarray(16, 32);
  const verification = random[32]!;
  const paddingBytes = random[33]! & PADDING_BYTES_MAX;
  const header = Uint8Array.of(
    ...[VERSION, ...iv, ...key, verification, OPTION_CHUNKS | OPTION_MASKED_LENGTHS],
    ...[(paddingBytes << 4) | security, 0, command, ...target, ...env.randomBytes(paddingBytes), 0, 0, 0, 0],
  );
  const view = new DataView(header.buffer);
  view.setUint32(header.length - 4, fnv1a32(header.subarray(0, header.length - 4)));
  const response = { key: crypto.hash("sha256", key).subarray(0, 16), iv: crypto.hash("sha256", iv).subarray(0, 16) };
  const bytes = sealHeader(userKey, header, random.subarray(34, 42), env);
  return { bytes, request: { key, iv }, response, verification };
}

function sealHeader(userKey: Uint8Array, header: Uint8Array, nonce: Uint8Array, env: OutboundEnv): Uint8Array {
  const { crypto } = env;
  const id = authId(userKey, env);
  const seal = (what: string, plain: Uint8Array) => {
    const key = vmessKdf(crypto, userKey, `VMess Header AEAD Key${what}`, id, nonce).subarray(0, 16);
    const iv = vmessKdf(crypto, userKey, `VMess Header AEAD Nonce${what}`, id, nonce).subarray(0, NONCE_BYTES);
    return crypto.aead(HEADER_AEAD, key).seal(iv, plain, id);
  };
  const length = seal("_Length", Uint8Array.of(header.length >>> 8, header.length & 0xff));
  return Uint8Array.of(...id, ...length, ...nonce, ...seal("", header));
}

/** Bytes of the answer's sealed length. */
export const ANSWER_LENGTH_BYTES = 2 + TAG_BYTES;

/** Opens the answer's length. Undefined when the tag does not fit; else how many sealed bytes follow. */
export function openAnswerLength(
  sealed: Uint8Array,
  { key, iv }: VmessKeys,
  crypto: OutboundCrypto,
): number | undefined {
  const sealKey = vmessKdf(crypto, key, "AEAD Resp Header Len Key").subarray(0, 16);
  const nonce = vmessKdf(crypto, iv, "AEAD Resp Header Len IV").subarray(0, NONCE_BYTES);
  const plain = crypto.aead(HEADER_AEAD, sealKey).open(nonce, sealed);
  return plain === undefined ? undefined : (plain[0]! << 8 | plain[1]!) + TAG_BYTES;
}

/** Opens the answer itself; true when it is one to our request. */
export function isAnswerGood(sealed: Uint8Array, request: VmessRequest, crypto: OutboundCrypto): boolean {
  const { key, iv } = request.response;
  const sealKey = vmessKdf(crypto, key, "AEAD Resp Header Key").subarray(0, 16);
  const nonce = vmessKdf(crypto, iv, "AEAD Resp Header IV").subarray(0, NONCE_BYTES);
  const plain = crypto.aead(HEADER_AEAD, sealKey).open(nonce, sealed);
  return plain !== undefined && plain.length >= 4 && plain[0] === request.verification;
}
