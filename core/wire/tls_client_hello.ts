/**
 * The name in a TLS, DTLS or QUIC ClientHello.
 *
 * Read first: RFC 8446 section 4.1.2 (ClientHello), RFC 6066 section 3 (server_name), RFC 9849 section 5 (encrypted_client_hello),
 * RFC 6347 section 4.2.1 (DTLS puts a cookie in).
 *
 *     ┌──────┬────────────┬─────────┬────────┬────────────┬────────┬─────────────┬─────────────┬────────────┐
 *     │ 1    │ length: 24 │ version │ random │ session id │ cookie │ ciphers     │ compression │ extensions │
 *     │      │            │ 16      │ 32 × 8 │ 8 + n      │ DTLS   │ 16 + n      │ 8 + n       │ 16 + n     │
 *     └──────┴────────────┴─────────┴────────┴────────────┴────────┴─────────────┴─────────────┴────────────┘
 *     extension: type 16, length 16, data; server_name: list length 16, { type 8, length 16, name }
 */
import { HANDSHAKE_HEADER_BYTES } from "./tls_record.ts";

const EXTENSION_SERVER_NAME = 0;
const EXTENSION_ECH = 0xfe0d;
const NAME_TYPE_HOST = 0;
const ECH_TYPE_OUTER = 0;
const VERSION_AND_RANDOM_BYTES = 2 + 32;

/** What a ClientHello says. Offsets count from the beginning of the handshake message; −1: not there. */
export interface HelloFacts {
  nameAt: number;
  nameLength: number;
  /** An encrypted_client_hello extension of type outer is there: real, or GREASE, which looks the same. */
  ech: boolean;
}

/** A record to hand to `readClientHello`. */
export function createHelloFacts(): HelloFacts {
  return { nameAt: -1, nameLength: 0, ech: false };
}

/**
 * Reads a ClientHello, of which the first `length` bytes are there; what lies beyond is not looked at.
 * A message that ends early or contradicts itself gives what stood before.
 */
export function readClientHello(view: DataView, at: number, length: number, dtls: boolean, out: HelloFacts): void {
  out.nameAt = -1;
  out.nameLength = 0;
  out.ech = false;
  let next = HANDSHAKE_HEADER_BYTES + VERSION_AND_RANDOM_BYTES;
  if (next + 1 > length) return;
  next += 1 + view.getUint8(at + next);
  if (dtls) {
    if (next + 1 > length) return;
    next += 1 + view.getUint8(at + next);
  }
  if (next + 2 > length) return;
  next += 2 + view.getUint16(at + next);
  if (next + 1 > length) return;
  next += 1 + view.getUint8(at + next);
  if (next + 2 > length) return;
  const end = next + 2 + view.getUint16(at + next);
  next += 2;
  while (next + 4 <= end && next + 4 <= length) {
    const type = view.getUint16(at + next);
    const size = view.getUint16(at + next + 2);
    next += 4;
    const there = next + size <= length ? size : length - next;
    if (type === EXTENSION_SERVER_NAME && out.nameAt < 0) readServerName(view, at, next, there, out);
    else if (type === EXTENSION_ECH && there > 0 && view.getUint8(at + next) === ECH_TYPE_OUTER) out.ech = true;
    next += size;
  }
}

/** Finds the first host name in a server_name list. */
function readServerName(view: DataView, at: number, from: number, length: number, out: HelloFacts): void {
  let next = from + 2;
  const end = from + length;
  while (next + 3 <= end) {
    const type = view.getUint8(at + next);
    const size = view.getUint16(at + next + 1);
    next += 3;
    if (next + size > end) return;
    if (type === NAME_TYPE_HOST) {
      out.nameAt = next;
      out.nameLength = size;
      return;
    }
    next += size;
  }
}
