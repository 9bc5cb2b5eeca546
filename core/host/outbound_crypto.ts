/** The runtime's ciphers and hashes for outbounds, and from @noble/hashes what the runtime does not have: BLAKE3, and SHAKE128 as a stream. */
import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync } from "node:crypto";
import type { CipherGCM, CipherGCMTypes, DecipherGCM } from "node:crypto";
import { blake3 } from "@noble/hashes/blake3.js";
import { shake128 } from "@noble/hashes/sha3.js";
import { invariant } from "../base/invariant.ts";
import type { Aead, AeadName, OutboundCrypto } from "../outbound/tunnel.ts";

const TAG_BYTES = 16;
/** Source: FIPS 202 section 6.2: the rate of SHAKE128. */
const SHAKE_BLOCK_BYTES = 168;

/** Takes node's Buffer off: its slice() shares memory where that of an array copies. */
function plainBytes(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/** All three have the same calls; node's types know those of GCM by their names only. */
function createAead(name: AeadName, key: Uint8Array): Aead {
  const type = name as CipherGCMTypes;
  const options = { authTagLength: TAG_BYTES };
  return {
    seal(nonce, plain, associatedData) {
      const cipher: CipherGCM = createCipheriv(type, key, nonce, options);
      if (associatedData !== undefined) cipher.setAAD(associatedData);
      const sealed = new Uint8Array(plain.length + TAG_BYTES);
      sealed.set(cipher.update(plain));
      cipher.final();
      sealed.set(cipher.getAuthTag(), plain.length);
      return sealed;
    },
    open(nonce, sealed, associatedData) {
      if (sealed.length < TAG_BYTES) return undefined;
      const decipher: DecipherGCM = createDecipheriv(type, key, nonce, options);
      if (associatedData !== undefined) decipher.setAAD(associatedData);
      decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
      const plain = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES));
      try {
        decipher.final();
      } catch {
        return undefined; // the tag does not fit
      }
      return plainBytes(plain);
    },
  };
}

function aesBlock(key: Uint8Array, block: Uint8Array, direction: "encrypt" | "decrypt"): Uint8Array {
  invariant(block.length === 16, "a block of AES has 16 bytes");
  const name = `aes-${key.length * 8}-ecb`;
  const cipher = direction === "encrypt" ? createCipheriv(name, key, null) : createDecipheriv(name, key, null);
  cipher.setAutoPadding(false);
  const result = plainBytes(cipher.update(block));
  cipher.final(); // adds nothing to a whole block, but gives the cipher's resource back
  return result;
}

/** Output comes by whole blocks from the library, as two bytes at a time are asked for. */
function shakeStream(bytes: Uint8Array): (count: number) => Uint8Array {
  const state = shake128.create({}).update(bytes);
  let block: Uint8Array = new Uint8Array(0);
  return (count) => {
    const output = new Uint8Array(count);
    for (let at = 0; at < count;) {
      if (block.length === 0) block = state.xof(SHAKE_BLOCK_BYTES);
      const part = block.subarray(0, count - at);
      output.set(part, at);
      at += part.length;
      block = block.subarray(part.length);
    }
    return output;
  };
}

/** The cryptography that outbounds are given. */
export function createOutboundCrypto(): OutboundCrypto {
  return {
    aead: createAead,
    hash: (name, bytes) => plainBytes(createHash(name).update(bytes).digest()),
    hmac: (name, key, bytes) => plainBytes(createHmac(name, key).update(bytes).digest()),
    hkdf: (name, secret, salt, info, lengthBytes) => new Uint8Array(hkdfSync(name, secret, salt, info, lengthBytes)),
    blake3DeriveKey: (context, material, lengthBytes) =>
      blake3(material, { context: new TextEncoder().encode(context), dkLen: lengthBytes }),
    aesBlock,
    shake128: shakeStream,
  };
}
