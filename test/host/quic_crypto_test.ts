import { assertEquals } from "@std/assert";
import { createQuicCrypto } from "../../core/host/quic_crypto.ts";
import { hexBytes } from "../support/hello_build.ts";
import { CLIENT_INITIAL_FRAMES, RFC9001_CLIENT_INITIAL, RFC9369_CLIENT_INITIAL } from "../support/quic_vectors.ts";

const crypto = createQuicCrypto();
const dcid = hexBytes("8394c8f03e515708");

function hex(bytes: Uint8Array | undefined): string {
  return bytes === undefined ? "" : Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What RFC 9001 appendix A.1 and RFC 9369 appendix A.1 give for the client. */
const SAMPLES = [
  {
    salt: "38762cf7f55934b34d179ae6a4c80cadccbb7f0a",
    prefix: "quic",
    initial: "7db5df06e7a69e432496adedb00851923595221596ae2ae9fb8115c1e9ed0a44",
    client: "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea",
    key: "1f369613dd76d5467730efcbe3b1a22d",
    iv: "fa044b2f42a3fd3b46fb255c",
    hp: "9f50449e04a0e810283a1e9933adedd2",
    sample: "d1b1c98dd7689fb8ec11d242b123dc9b",
    mask: "437b9aec36",
    header: "c300000001088394c8f03e5157080000449e00000002",
    packet: RFC9001_CLIENT_INITIAL,
  },
  {
    salt: "0dede3def700a6db819381be6e269dcbf9bd2ed9",
    prefix: "quicv2",
    initial: "2062e8b3cd8d52092614b8071d0aa1fb7c2e3ac193f78b280e72d8f5751f6aba",
    client: "14ec9d6eb9fd7af83bf5a668bc17a7e283766aade7ecd0891f70f9ff7f4bf47b",
    key: "8b1a0bc121284290a29e0971b5cd045d",
    iv: "91f73e2351d8fa91660e909f",
    hp: "45b95e15235d6f45a6b19cbcb0294ba9",
    sample: "ffe67b6abcdb4298b485dd04de806071",
    mask: "94a0c95e80",
    header: "d36b3343cf088394c8f03e5157080000449e00000002",
    packet: RFC9369_CLIENT_INITIAL,
  },
] as const;

Deno.test("createQuicCrypto() reproduces every step of the specifications' samples", () => {
  for (const sample of SAMPLES) {
    const client = crypto.hkdfLabel(hexBytes(sample.salt), dcid, "client in", 32);
    assertEquals(hex(crypto.hkdfExpandLabel(hexBytes(sample.initial), "client in", 32)), sample.client);
    const key = crypto.hkdfExpandLabel(client, `${sample.prefix} key`, 16);
    const iv = crypto.hkdfExpandLabel(client, `${sample.prefix} iv`, 12);
    const hp = crypto.hkdfExpandLabel(client, `${sample.prefix} hp`, 16);
    assertEquals([client, key, iv, hp].map(hex), [
      sample.client,
      sample.key,
      sample.iv,
      sample.hp,
    ]);
    assertEquals(hex(crypto.aes128Block(hp, hexBytes(sample.sample))).slice(0, 10), sample.mask);
    const nonce = iv.slice();
    nonce[11]! ^= 2;
    const plain = crypto.aes128GcmOpen(key, nonce, hexBytes(sample.header), hexBytes(sample.packet.slice(44)));
    assertEquals(plain?.length, 1162);
    assertEquals(hex(plain).slice(0, CLIENT_INITIAL_FRAMES.length), CLIENT_INITIAL_FRAMES);
  }
});

Deno.test("aes128GcmOpen() gives nothing when tag, key, nonce or data differ, or there is no tag", () => {
  const sample = SAMPLES[0];
  const key = hexBytes(sample.key);
  const nonce = hexBytes(sample.iv);
  nonce[11]! ^= 2;
  const head = hexBytes(sample.header);
  const sealed = hexBytes(sample.packet.slice(44));
  const changed = (bytes: Uint8Array, at: number) => bytes.map((byte, i) => i === at ? byte ^ 1 : byte);
  assertEquals(crypto.aes128GcmOpen(changed(key, 3), nonce, head, sealed), undefined);
  assertEquals(crypto.aes128GcmOpen(key, changed(nonce, 0), head, sealed), undefined);
  assertEquals(crypto.aes128GcmOpen(key, nonce, changed(head, 5), sealed), undefined);
  assertEquals(crypto.aes128GcmOpen(key, nonce, head, changed(sealed, 7)), undefined);
  assertEquals(crypto.aes128GcmOpen(key, nonce, head, changed(sealed, sealed.length - 1)), undefined);
  assertEquals(crypto.aes128GcmOpen(key, nonce, head, sealed.slice(0, 15)), undefined);
  assertEquals(crypto.aes128GcmOpen(key, nonce, head, new Uint8Array(0)), undefined);
});
