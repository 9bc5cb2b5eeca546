/**
 * The runtime's HKDF and AES for QUIC Initial packets. Synchronous, which Web Crypto is not.
 *
 * Read first: RFC 5869 (HKDF), RFC 8446 section 7.1 (HKDF-Expand-Label), RFC 9001 section 5.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from "node:crypto";
import type { InitialCrypto } from "../classify/sniff_crypto.ts";
import { invariant } from "../base/invariant.ts";

const TAG_BYTES = 16;
const HASH_BYTES = 32;
const LABEL_PREFIX = "tls13 ";

/** Takes node's Buffer off: its slice() shares memory where that of an array copies. */
function plainBytes(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/** The HkdfLabel structure. Source: RFC 8446 section 7.1. */
function createLabel(label: string, lengthBytes: number): Uint8Array {
  const text = LABEL_PREFIX + label;
  const info = new Uint8Array(2 + 1 + text.length + 1);
  info[1] = lengthBytes;
  info[2] = text.length;
  for (let i = 0; i < text.length; i++) info[3 + i] = text.charCodeAt(i);
  return info;
}

/** Labels never change: a handful, made once each. */
const labels = new Map<string, Uint8Array>();

function labelOf(label: string, lengthBytes: number): Uint8Array {
  const name = `${label}/${lengthBytes}`;
  let info = labels.get(name);
  if (info === undefined) labels.set(name, info = createLabel(label, lengthBytes));
  return info;
}

function hkdfLabel(salt: Uint8Array, keyMaterial: Uint8Array, label: string, lengthBytes: number): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", keyMaterial, salt, labelOf(label, lengthBytes), lengthBytes));
}

const FIRST_BLOCK = new Uint8Array([1]);

/** Up to 32 bytes, HKDF-Expand is one HMAC over the info and the counter 1. Source: RFC 5869 section 2.3. */
function hkdfExpandLabel(secret: Uint8Array, label: string, lengthBytes: number): Uint8Array {
  invariant(lengthBytes <= HASH_BYTES, "hkdfExpandLabel() gives one hash block at most");
  const hmac = createHmac("sha256", secret).update(labelOf(label, lengthBytes)).update(FIRST_BLOCK);
  return plainBytes(hmac.digest()).subarray(0, lengthBytes);
}

function aes128Block(key: Uint8Array, block: Uint8Array): Uint8Array {
  const cipher = createCipheriv("aes-128-ecb", key, null);
  cipher.setAutoPadding(false);
  const sealed = plainBytes(cipher.update(block));
  cipher.final(); // adds nothing to a whole block, but gives the cipher's resource back
  return sealed;
}

function aes128GcmOpen(
  key: Uint8Array,
  nonce: Uint8Array,
  associatedData: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  if (sealed.length < TAG_BYTES) return undefined;
  const decipher = createDecipheriv("aes-128-gcm", key, nonce);
  decipher.setAAD(associatedData);
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const plain = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES));
  try {
    decipher.final();
  } catch {
    return undefined; // the tag does not fit: forged, damaged, or sealed with other keys
  }
  return plainBytes(plain);
}

/** The cryptography for `FlowSniffer`, from node:crypto. */
export function createQuicCrypto(): InitialCrypto {
  return { hkdfLabel, hkdfExpandLabel, aes128Block, aes128GcmOpen };
}
