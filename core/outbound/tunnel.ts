/**
 * What every proxy protocol looks like from outside: a state machine of bytes. It opens no socket and reads no clock.
 *
 *     application ──► write() ──► toServer ──► (the host sends)            ┌────────┐
 *                                                                         │ server │
 *     application ◄── toApplication ◄── receive() ◄── (the host reads) ◄── └────────┘
 *
 * Machines stand in a row where a protocol lies inside another (VMess in WebSocket): what one wants sent is what the next is given to write.
 */
import type { IpAddress } from "../base/ip_address.ts";
import type { ByteQueue } from "./byte_queue.ts";

/** Where a proxied flow wants to go: a name, which the server resolves, or an address. */
export interface Destination {
  /** Undefined when only the name is known. */
  readonly address: IpAddress | undefined;
  /** Empty when there is only an address. */
  readonly host: string;
  readonly port: number;
}

/** Why a tunnel does not stand; the kinds are those that a dial can fail with. */
export interface TunnelFailure {
  readonly kind: "refused" | "hostUnreachable" | "networkUnreachable" | "timedOut" | "prohibited" | "failed";
  /** One sentence: "Cannot …". It holds no secret. */
  readonly message: string;
}

/** `opening`: the server must answer before the application may speak. */
export type TunnelState = "opening" | "open" | "failed";

/** The client's half of a proxy protocol for one stream. */
export interface StreamTunnel {
  readonly state: TunnelState;
  /** There when `state` is `failed`. */
  readonly failure: TunnelFailure | undefined;
  /** What is to be sent, in this order. The host drains it before it writes more. */
  readonly toServer: ByteQueue;
  /** What the application is to get. The host drains it before it receives more. */
  readonly toApplication: ByteQueue;
  /** True when the application has got, or will get from `toApplication`, all that the server said. */
  readonly isServerDone: boolean;
  /** True when, once `toServer` is drained, the sending half of the transport is to be closed. */
  readonly closesTransport: boolean;
  /** Puts what opens the tunnel into `toServer`. Called once, before all else. */
  start(): void;
  /** Takes bytes of the application; only while `open`. */
  write(bytes: Uint8Array): void;
  /** The application has said all. */
  end(): void;
  /** Takes bytes of the server. Bytes that make no sense make the state `failed`. */
  receive(bytes: Uint8Array): void;
  /** The server has closed its sending half. Too early makes the state `failed`. */
  receiveEnd(): void;
}

/** A datagram that came through a tunnel. */
export interface TunnelledDatagram {
  readonly source: Destination;
  readonly payload: Uint8Array;
}

/** The client's half of a protocol that carries datagrams over a stream. */
export interface DatagramTunnel {
  readonly state: TunnelState;
  readonly failure: TunnelFailure | undefined;
  readonly toServer: ByteQueue;
  start(): void;
  /** False when the protocol cannot carry it: too long, or not to that destination. It is lost then. */
  send(destination: Destination, payload: Uint8Array): boolean;
  receive(bytes: Uint8Array): void;
  receiveEnd(): void;
  /** The next datagram of the server; undefined when there is none. */
  take(): TunnelledDatagram | undefined;
}

/** The client's half of a protocol that puts each datagram into a datagram. */
export interface DatagramCodec {
  /** Undefined when it cannot be carried. */
  seal(destination: Destination, payload: Uint8Array): Uint8Array | undefined;
  /** Undefined for what no server of ours sent: forged, repeated or damaged. */
  open(datagram: Uint8Array): TunnelledDatagram | undefined;
}

/** What protocols need that is no function of their bytes. Handed in, so that tests and simulations decide it. */
export interface OutboundEnv {
  readonly crypto: OutboundCrypto;
  /** Secret randomness. */
  randomBytes(count: number): Uint8Array;
  /** Units: seconds since 1970, as far as this machine knows. */
  unixSeconds(): number;
}

/** Ciphers with associated data. Their tags have 16 bytes, their nonces 12. */
export type AeadName = "aes-128-gcm" | "aes-256-gcm" | "chacha20-poly1305";

/** A cipher with its key. */
export interface Aead {
  /** The sealed bytes with their tag behind them. */
  seal(nonce: Uint8Array, plain: Uint8Array, associatedData?: Uint8Array): Uint8Array;
  /** Undefined when the tag does not fit. */
  open(nonce: Uint8Array, sealed: Uint8Array, associatedData?: Uint8Array): Uint8Array | undefined;
}

/** Cryptography of the runtime or of an audited library, synchronous. */
export interface OutboundCrypto {
  aead(name: AeadName, key: Uint8Array): Aead;
  hash(name: "md5" | "sha1" | "sha224" | "sha256", bytes: Uint8Array): Uint8Array;
  hmac(name: "md5" | "sha1" | "sha256", key: Uint8Array, bytes: Uint8Array): Uint8Array;
  /** HKDF, extract and expand. Source: RFC 5869. */
  hkdf(
    name: "sha1" | "sha256",
    secret: Uint8Array,
    salt: Uint8Array,
    info: Uint8Array,
    lengthBytes: number,
  ): Uint8Array;
  /** BLAKE3 in its mode for key derivation. Source: BLAKE3 specification, section 2.3. */
  blake3DeriveKey(context: string, material: Uint8Array, lengthBytes: number): Uint8Array;
  /** One block of AES without a mode. */
  aesBlock(key: Uint8Array, block: Uint8Array, direction: "encrypt" | "decrypt"): Uint8Array;
  /** SHAKE128's output over these bytes, as many at a time as one asks for. Source: FIPS 202. */
  shake128(bytes: Uint8Array): (count: number) => Uint8Array;
}
