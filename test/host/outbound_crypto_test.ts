/** Known answers of every primitive that outbounds are built on. */
import { assertEquals } from "@std/assert";
import { createOutboundCrypto } from "../../core/host/outbound_crypto.ts";
import { sessionKey, shadowsocksMethod } from "../../core/outbound/shadowsocks/method.ts";

const CRYPTO = createOutboundCrypto();

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function hex(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const ZEROS = (count: number) => new Uint8Array(count);

Deno.test("aead() seals as the cases of the GCM specification and RFC 8439 say", () => {
  const gcm = CRYPTO.aead("aes-128-gcm", ZEROS(16));
  assertEquals(hex(gcm.seal(ZEROS(12), ZEROS(0))), "58e2fccefa7e3061367f1d57a4e7455a");
  assertEquals(
    hex(gcm.seal(ZEROS(12), ZEROS(16))),
    "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf",
  );
  assertEquals(
    hex(CRYPTO.aead("aes-256-gcm", ZEROS(32)).seal(ZEROS(12), ZEROS(0))),
    "530f8afbc74536b9a963b4f1c4cb738b",
  );
  const key = Uint8Array.from({ length: 32 }, (_, i) => 0x80 + i);
  const plain = new TextEncoder().encode(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  );
  const nonce = bytes("070000004041424344454647");
  const data = bytes("50515253c0c1c2c3c4c5c6c7");
  const chacha = CRYPTO.aead("chacha20-poly1305", key);
  const sealed = chacha.seal(nonce, plain, data);
  assertEquals(hex(sealed.subarray(0, 16)), "d31a8d34648e60db7b86afbc53ef7ec2");
  assertEquals(hex(sealed.subarray(-16)), "1ae10b594f09e26a7e902ecbd0600691");
  assertEquals(chacha.open(nonce, sealed, data), plain);
});

Deno.test("open() believes nothing that was changed", () => {
  for (const [name, keyBytes] of [["aes-128-gcm", 16], ["aes-256-gcm", 32], ["chacha20-poly1305", 32]] as const) {
    const aead = CRYPTO.aead(name, ZEROS(keyBytes));
    const sealed = aead.seal(ZEROS(12), ZEROS(40));
    assertEquals(aead.open(ZEROS(12), sealed)?.length, 40);
    for (let at = 0; at < sealed.length; at++) {
      const changed = sealed.map((byte, index) => index === at ? byte ^ 1 : byte);
      assertEquals(aead.open(ZEROS(12), changed), undefined);
    }
    for (const length of [0, 1, 15, 16, 55]) assertEquals(aead.open(ZEROS(12), sealed.slice(0, length)), undefined);
  }
});

Deno.test("aesBlock() is FIPS 197's cipher", () => {
  const plain = bytes("00112233445566778899aabbccddeeff");
  const cases = [
    ["000102030405060708090a0b0c0d0e0f", "69c4e0d86a7b0430d8cdb78070b4c55a"],
    ["000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "8ea2b7ca516745bfeafc49904b496089"],
  ] as const;
  for (const [key, sealed] of cases) {
    assertEquals(hex(CRYPTO.aesBlock(bytes(key), plain, "encrypt")), sealed);
    assertEquals(CRYPTO.aesBlock(bytes(key), bytes(sealed), "decrypt"), plain);
  }
});

Deno.test("hkdf() is RFC 5869's, blake3DeriveKey() that of the official vectors", () => {
  const secret = new Uint8Array(22).fill(0x0b);
  const [salt, info] = [bytes("000102030405060708090a0b0c"), bytes("f0f1f2f3f4f5f6f7f8f9")];
  assertEquals(
    hex(CRYPTO.hkdf("sha256", secret, salt, info, 42)),
    "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
  );
  assertEquals(
    hex(CRYPTO.hkdf("sha1", secret.subarray(0, 11), salt, info, 42)),
    "085a01ea1b10f36933068b56efa5ad81a4f14b822f5b091568a9cdd4f155fda2c22e422478d305f3f896",
  );
  const context = "BLAKE3 2019-12-27 16:29:52 test vectors context";
  assertEquals(
    hex(CRYPTO.blake3DeriveKey(context, ZEROS(0), 32)),
    "2cc39783c223154fea8dfb7c1b1660f2ac2dcbd1c1de8277b0b0dd39b7e50d7d",
  );
  assertEquals(
    hex(CRYPTO.blake3DeriveKey(context, ZEROS(1), 32)),
    "b3e2e340a117a499c6cf2398a19ee0d29cca2bb7404c73063382693bf66cb06c",
  );
});

Deno.test("shake128() gives FIPS 202's output, however it is asked for", () => {
  const whole = CRYPTO.shake128(ZEROS(0))(1_000);
  assertEquals(hex(whole.subarray(0, 32)), "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26");
  const next = CRYPTO.shake128(ZEROS(0));
  const parts: number[] = [];
  for (let count = 0; parts.length + count <= 1_000; count++) parts.push(...next(count));
  assertEquals(parts, [...whole.subarray(0, parts.length)]);
});

Deno.test("sessionKey() of Shadowsocks 2022 is the one that another implementation gets", () => {
  // Source: Zmax0/urban-spork, AEAD2022TestCase, whose BLAKE3 is Bouncy Castle's. The specification has no vectors.
  const from64 = (text: string) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const key = from64("Lc3tTx0BY6ZJ/fCwOx3JvF0I/anhwJBO5p2+FA5Vce4=");
  const salt = from64("3oFO0VyLyGI4nFN0M9P+62vPND/L6v8IingaPJWTbJA=");
  const expected = from64("EdNE+4U8dVnHT0+poAFDK2bdlwfrHT61sUNr9WYPh+E=");
  assertEquals(sessionKey(shadowsocksMethod("2022-blake3-aes-256-gcm")!, key, salt, CRYPTO), expected);
});
