/**
 * How VMess makes keys: HMACs in HMACs.
 *
 * Read first: v2fly/v2fly-github-io issue 20, "VMess AEAD"; the innermost hash is SHA-256, each step of the path takes the one before as its hash.
 */
import type { OutboundCrypto } from "../tunnel.ts";

const BLOCK_BYTES = 64;
const ROOT = new TextEncoder().encode("VMess AEAD KDF");

type Hash = (bytes: Uint8Array) => Uint8Array;

function concat(left: Uint8Array, right: Uint8Array): Uint8Array {
  const whole = new Uint8Array(left.length + right.length);
  whole.set(left);
  whole.set(right, left.length);
  return whole;
}

/** HMAC over any hash with blocks of 64 bytes. Source: RFC 2104 section 2. */
function hmacOver(hash: Hash, key: Uint8Array): Hash {
  const block = new Uint8Array(BLOCK_BYTES);
  block.set(key.length > BLOCK_BYTES ? hash(key) : key);
  const inner = block.map((byte) => byte ^ 0x36);
  const outer = block.map((byte) => byte ^ 0x5c);
  return (bytes) => hash(concat(outer, hash(concat(inner, bytes))));
}

/** 32 bytes from a key and a path of salts; a text stands for its bytes. */
export function vmessKdf(
  crypto: OutboundCrypto,
  key: Uint8Array,
  ...path: readonly (string | Uint8Array)[]
): Uint8Array {
  let hash: Hash = (bytes) => crypto.hmac("sha256", ROOT, bytes);
  for (const salt of path) hash = hmacOver(hash, typeof salt === "string" ? new TextEncoder().encode(salt) : salt);
  return hash(key);
}
