/** The cryptography that opening QUIC Initial packets needs, as a port: `core/host/quic_crypto.ts` fills it from the runtime. */

/** HKDF with SHA-256 and AES-128, nothing of it ours. All calls are synchronous and do not throw on bad input. */
export interface InitialCrypto {
  /** HKDF-Extract, and HKDF-Expand-Label over what it gave. Source: RFC 5869 section 2, RFC 8446 section 7.1. */
  hkdfLabel(salt: Uint8Array, keyMaterial: Uint8Array, label: string, lengthBytes: number): Uint8Array;
  /** HKDF-Expand-Label alone, with an empty context; `lengthBytes` is at most 32. Source: RFC 8446 section 7.1. */
  hkdfExpandLabel(secret: Uint8Array, label: string, lengthBytes: number): Uint8Array;
  /** One block of AES-128 in ECB mode. Units: 16 bytes in, 16 bytes out. */
  aes128Block(key: Uint8Array, block: Uint8Array): Uint8Array;
  /** Opens AES-128-GCM; the last 16 bytes of `sealed` are the tag. Errors: undefined when the tag does not fit. */
  aes128GcmOpen(
    key: Uint8Array,
    nonce: Uint8Array,
    associatedData: Uint8Array,
    sealed: Uint8Array,
  ): Uint8Array | undefined;
}

/** What protects the client's Initial packets of one connection. */
export interface InitialKeys {
  /** Units: 16 bytes. */
  readonly key: Uint8Array;
  /** Units: 12 bytes. */
  readonly iv: Uint8Array;
  /** The header protection key. Units: 16 bytes. */
  readonly hp: Uint8Array;
}
