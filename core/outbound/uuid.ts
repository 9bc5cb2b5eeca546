/**
 * UUIDs as 16 bytes.
 *
 * Read first: RFC 9562 section 4; Xray and v2ray for names that are no UUID (version 5 in an empty namespace).
 */
import type { OutboundCrypto } from "./tunnel.ts";

const NAME_BYTES_MAX = 30;

/** Reads a UUID, or makes one of a name of 1 to 30 bytes. Undefined when it is neither. */
export function readUuid(text: string, crypto: OutboundCrypto): Uint8Array | undefined {
  const digits = text.replaceAll("-", "");
  if (/^[0-9a-f]{32}$/i.test(digits) && /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i.test(text)) {
    return Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16));
  }
  const name = new TextEncoder().encode(text);
  if (name.length === 0 || name.length > NAME_BYTES_MAX) return undefined;
  const material = new Uint8Array(16 + name.length);
  material.set(name, 16);
  const uuid = crypto.hash("sha1", material).slice(0, 16);
  uuid[6] = (uuid[6]! & 0x0f) | 0x50;
  uuid[8] = (uuid[8]! & 0x3f) | 0x80;
  return uuid;
}
