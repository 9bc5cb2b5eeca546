/**
 * The QUIC versions whose Initial packets can be opened.
 *
 * Read first: RFC 9001 section 5.2 (salt), RFC 9369 section 3.3 (version 2), draft-ietf-quic-tls-23, -29, -33 (older salts),
 * draft-ietf-quic-tls-22 (mvfst 0xfaceb001). Google's QUIC: the proto-quic documents and Chromium's crypto_utils.cc for the salts of Q050, T050, T051.
 */

/** What is particular to a family of versions. */
export interface QuicVersion {
  readonly salt: Uint8Array;
  readonly keyLabel: string;
  readonly ivLabel: string;
  readonly hpLabel: string;
  /** Version 2 numbers the long-header packet types differently. Source: RFC 9369 section 3.2. */
  readonly isVersion2: boolean;
  /** Type of the frames that carry the handshake. */
  readonly cryptoFrame: number;
  /** The handshake stream holds Google's CHLO and no TLS. */
  readonly isGoogleCrypto: boolean;
}

const CRYPTO = 0x06;
const CRYPTO_GOOGLE = 0x08;

function createVersion(salt: string, isVersion2 = false, cryptoFrame = CRYPTO, isGoogleCrypto = false): QuicVersion {
  const bytes = new Uint8Array(20);
  for (let i = 0; i < 20; i++) bytes[i] = parseInt(salt.slice(2 * i, 2 * i + 2), 16);
  const prefix = isVersion2 ? "quicv2 " : "quic ";
  return {
    salt: bytes,
    keyLabel: prefix + "key",
    ivLabel: prefix + "iv",
    hpLabel: prefix + "hp",
    isVersion2,
    cryptoFrame,
    isGoogleCrypto,
  };
}

const VERSION_1 = createVersion("38762cf7f55934b34d179ae6a4c80cadccbb7f0a");
const VERSION_2 = createVersion("0dede3def700a6db819381be6e269dcbf9bd2ed9", true);
const DRAFT_29 = createVersion("afbfec289993d24c9e9786f19c6111e04390a899");
const DRAFT_23 = createVersion("c3eef712c72ebb5a11a7d2432bb46365bef9f502");
const DRAFT_21 = createVersion("7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a");
const GOOGLE_Q050 = createVersion("504574efd066fe2f9d945cfcdbd3a7f0d3b56b45", false, CRYPTO_GOOGLE, true);
const GOOGLE_T050 = createVersion("7ff579e5acd072915580304c43a2367c60488310", false, CRYPTO_GOOGLE);
const GOOGLE_T051 = createVersion("7a4edef4e7ccee5fa4506c19124fc8ccda6e033d", false, CRYPTO_GOOGLE);

/** What is known of a version; undefined for one whose Initial packets we cannot open. */
export function findQuicVersion(version: number): QuicVersion | undefined {
  if (version === 0x0000_0001) return VERSION_1;
  if (version === 0x6b33_43cf) return VERSION_2;
  if (version === 0xface_b001) return DRAFT_21;
  if (version === 0xface_b002 || version === 0xface_b00e) return DRAFT_23;
  if (version === 0x5130_3530) return GOOGLE_Q050;
  if (version === 0x5430_3530) return GOOGLE_T050;
  if (version === 0x5430_3531) return GOOGLE_T051;
  const draft = version >>> 8 === 0xff_0000 ? version & 0xff : 0;
  if (draft >= 33 && draft <= 34) return VERSION_1;
  if (draft >= 29 && draft <= 32) return DRAFT_29;
  if (draft >= 23 && draft <= 28) return DRAFT_23;
  return draft === 21 || draft === 22 ? DRAFT_21 : undefined;
}

/**
 * True for a version number that somebody uses, whether we can open it or not: IETF, drafts, mvfst, Google, or reserved
 * to provoke version negotiation. Source: RFC 9000 section 15.
 */
export function isPlausibleQuicVersion(version: number): boolean {
  return findQuicVersion(version) !== undefined || version === 0 || (version & 0x0f0f_0f0f) === 0x0a0a_0a0a ||
    version >>> 8 === 0xff_0000 || version >>> 12 === 0xf_aceb || isGoogleVersion(version);
}

/** True for Google's own versions, `Q0nn` and `T0nn` in ASCII. */
export function isGoogleVersion(version: number): boolean {
  const family = version >>> 16;
  const tens = (version >>> 8) & 0xff;
  const ones = version & 0xff;
  return (family === 0x5130 || family === 0x5430) && tens >= 0x30 && tens <= 0x39 && ones >= 0x30 && ones <= 0x39;
}
