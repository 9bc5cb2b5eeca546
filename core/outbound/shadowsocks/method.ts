/**
 * Shadowsocks ciphers and the keys that passwords become.
 *
 * Read first: SIP004 (AEAD ciphers) and SIP022 (AEAD-2022 ciphers) of the Shadowsocks specifications, https://shadowsocks.org/doc/aead.html and sip022.html.
 */
import type { AeadName, OutboundCrypto } from "../tunnel.ts";

/** One cipher of Shadowsocks. Units: `keyBytes`, `saltBytes` bytes. */
export interface ShadowsocksMethod {
  readonly name: string;
  readonly aead: AeadName;
  readonly keyBytes: number;
  readonly is2022: boolean;
}

const METHODS: readonly ShadowsocksMethod[] = [
  { name: "aes-128-gcm", aead: "aes-128-gcm", keyBytes: 16, is2022: false },
  { name: "aes-256-gcm", aead: "aes-256-gcm", keyBytes: 32, is2022: false },
  { name: "chacha20-ietf-poly1305", aead: "chacha20-poly1305", keyBytes: 32, is2022: false },
  { name: "2022-blake3-aes-128-gcm", aead: "aes-128-gcm", keyBytes: 16, is2022: true },
  { name: "2022-blake3-aes-256-gcm", aead: "aes-256-gcm", keyBytes: 32, is2022: true },
];

/** The names of all ciphers. */
export const SHADOWSOCKS_CIPHERS: readonly string[] = METHODS.map(({ name }) => name);

/** The cipher of that name; undefined when weir does not have it. */
export function shadowsocksMethod(name: string): ShadowsocksMethod | undefined {
  const lower = name.toLowerCase();
  const wanted = lower === "chacha20-poly1305" ? "chacha20-ietf-poly1305" : lower;
  return METHODS.find((method) => method.name === wanted);
}

function fromBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/** A password as a key, as OpenSSL's EVP_BytesToKey makes one with MD5, no salt and one round. */
function keyOfPassword(password: string, keyBytes: number, crypto: OutboundCrypto): Uint8Array {
  const secret = new TextEncoder().encode(password);
  const key = new Uint8Array(keyBytes);
  let last: Uint8Array = new Uint8Array(0);
  for (let at = 0; at < keyBytes; at += last.length) {
    const material = new Uint8Array(last.length + secret.length);
    material.set(last);
    material.set(secret, last.length);
    last = crypto.hash("md5", material);
    key.set(last.subarray(0, Math.min(last.length, keyBytes - at)), at);
  }
  return key;
}

/**
 * The key of a cipher from what the configuration calls its password.
 * Shape: the key, or one sentence about what is wrong, without the password.
 */
export function shadowsocksKey(
  method: ShadowsocksMethod,
  password: string,
  crypto: OutboundCrypto,
): Uint8Array | string {
  if (!method.is2022) {
    return password === "" ? "the password is empty" : keyOfPassword(password, method.keyBytes, crypto);
  }
  if (password.includes(":")) return "a password of several keys (SIP023) is not supported, expected one key in base64";
  const key = fromBase64(password);
  if (key !== undefined && key.length === method.keyBytes) return key;
  return `the password of ${method.name} is a key of ${method.keyBytes} bytes in base64, for instance from: openssl rand -base64 ${method.keyBytes}`;
}

const SUBKEY_INFO = new TextEncoder().encode("ss-subkey");
const SUBKEY_CONTEXT_2022 = "shadowsocks 2022 session subkey";

/** The key of one connection or datagram. Source: SIP004 "Key Derivation", SIP022 section 2.2. */
export function sessionKey(
  method: ShadowsocksMethod,
  key: Uint8Array,
  salt: Uint8Array,
  crypto: OutboundCrypto,
): Uint8Array {
  if (!method.is2022) return crypto.hkdf("sha1", key, salt, SUBKEY_INFO, method.keyBytes);
  const material = new Uint8Array(key.length + salt.length);
  material.set(key);
  material.set(salt, key.length);
  return crypto.blake3DeriveKey(SUBKEY_CONTEXT_2022, material, method.keyBytes);
}
