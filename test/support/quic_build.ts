/** Seals QUIC Initial packets for tests, with node:crypto and nothing of weir's. Source: RFC 9001 section 5, RFC 9369 section 3. */
import { createCipheriv, createHmac } from "node:crypto";
import { hexBytes } from "./hello_build.ts";

/** How a version protects its Initial packets. */
export interface TestVersion {
  readonly number: number;
  readonly salt: string;
  readonly prefix: string;
  /** Long-header type bits of Initial and of 0-RTT. */
  readonly initialBits: number;
  readonly zeroRttBits: number;
  readonly cryptoFrame?: number;
}

/** Version 1. */
export const V1: TestVersion = {
  number: 1,
  salt: "38762cf7f55934b34d179ae6a4c80cadccbb7f0a",
  prefix: "quic",
  initialBits: 0,
  zeroRttBits: 1,
};

/** Versions that the sniffer must open, with the salts of their specifications. */
export const TEST_VERSIONS: readonly TestVersion[] = [
  V1,
  {
    ...V1,
    number: 0x6b3343cf,
    salt: "0dede3def700a6db819381be6e269dcbf9bd2ed9",
    prefix: "quicv2",
    initialBits: 1,
    zeroRttBits: 2,
  },
  ...[23, 24, 25, 26, 27, 28].map((draft) => ({
    ...V1,
    number: 0xff000000 + draft,
    salt: "c3eef712c72ebb5a11a7d2432bb46365bef9f502",
  })),
  ...[29, 30, 31, 32].map((draft) => ({
    ...V1,
    number: 0xff000000 + draft,
    salt: "afbfec289993d24c9e9786f19c6111e04390a899",
  })),
  ...[33, 34].map((draft) => ({ ...V1, number: 0xff000000 + draft })),
  { ...V1, number: 0xfaceb002, salt: "c3eef712c72ebb5a11a7d2432bb46365bef9f502" },
];

/** One packet to seal. */
export interface InitialOptions {
  readonly version?: TestVersion;
  readonly dcid: Uint8Array;
  /** The DCID that the keys come from, when it is not the packet's own. */
  readonly keyDcid?: Uint8Array;
  readonly scid?: Uint8Array;
  readonly token?: Uint8Array;
  readonly packetNumber?: number;
  readonly numberBytes?: number;
  readonly frames: Uint8Array;
  /** The payload is padded to this length. */
  readonly payloadBytes?: number;
  readonly fromServer?: boolean;
}

/** A varint of two bytes, or four when it must be. */
export function varint(value: number): number[] {
  if (value < 64) return [value];
  if (value < 16_384) return [0x40 | (value >> 8), value & 255];
  return [0x80 | (value >>> 24), (value >> 16) & 255, (value >> 8) & 255, value & 255];
}

/** A CRYPTO frame. */
export function cryptoFrame(offset: number, data: Uint8Array, type = 6): Uint8Array {
  return new Uint8Array([type, ...varint(offset), ...varint(data.length), ...data]);
}

function hmac(key: Uint8Array, data: Uint8Array): Uint8Array {
  return new Uint8Array(createHmac("sha256", key).update(data).digest());
}

function expandLabel(secret: Uint8Array, label: string, length: number): Uint8Array {
  const text = [...new TextEncoder().encode("tls13 " + label)];
  return hmac(secret, new Uint8Array([0, length, text.length, ...text, 0, 1])).slice(0, length);
}

/** Seals one Initial packet. */
export function sealInitial(options: InitialOptions): Uint8Array {
  const version = options.version ?? V1;
  const secret = expandLabel(
    hmac(hexBytes(version.salt), options.keyDcid ?? options.dcid),
    options.fromServer ? "server in" : "client in",
    32,
  );
  const key = expandLabel(secret, `${version.prefix} key`, 16);
  const iv = expandLabel(secret, `${version.prefix} iv`, 12);
  const hp = expandLabel(secret, `${version.prefix} hp`, 16);
  const numberBytes = options.numberBytes ?? 2;
  const number = options.packetNumber ?? 0;
  const payload = new Uint8Array(Math.max(options.payloadBytes ?? 0, options.frames.length, 20));
  payload.set(options.frames);
  const scid = options.scid ?? new Uint8Array(0);
  const token = options.token ?? new Uint8Array(0);
  const v = version.number;
  const head = [
    0xc0 | (version.initialBits << 4) | (numberBytes - 1),
    v >>> 24,
    (v >>> 16) & 255,
    (v >>> 8) & 255,
    v & 255,
    options.dcid.length,
    ...options.dcid,
    scid.length,
    ...scid,
    ...varint(token.length),
    ...token,
    ...varint(numberBytes + payload.length + 16),
  ];
  const numberAt = head.length;
  for (let i = numberBytes - 1; i >= 0; i--) head.push(Math.floor(number / 256 ** i) & 255);
  const nonce = iv.slice();
  for (let i = 0; i < 6; i++) nonce[11 - i]! ^= Math.floor(number / 256 ** i) & 255;
  const cipher = createCipheriv("aes-128-gcm", key, nonce);
  cipher.setAAD(new Uint8Array(head));
  const sealed = [...cipher.update(payload), ...cipher.final(), ...cipher.getAuthTag()];
  const packet = new Uint8Array([...head, ...sealed]);
  const ecb = createCipheriv("aes-128-ecb", hp, null);
  ecb.setAutoPadding(false);
  const mask = ecb.update(packet.slice(numberAt + 4, numberAt + 20));
  ecb.final();
  packet[0]! ^= mask[0]! & 0x0f;
  for (let i = 0; i < numberBytes; i++) packet[numberAt + i]! ^= mask[1 + i]!;
  return packet;
}

/** Another long-header packet (0-RTT, Handshake) that the sniffer must step over. */
export function otherLongPacket(
  version: TestVersion,
  bits: number,
  dcid: Uint8Array,
  payloadBytes: number,
): Uint8Array {
  const v = version.number;
  return new Uint8Array([
    0xc0 | (bits << 4),
    v >>> 24,
    (v >>> 16) & 255,
    (v >>> 8) & 255,
    v & 255,
    dcid.length,
    ...dcid,
    0,
    ...varint(payloadBytes),
    ...new Array<number>(payloadBytes).fill(0x5a),
  ]);
}

/** Several byte strings as one. */
export function joinBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
