/**
 * GUIDs in text, in memory, and made from a name.
 *
 * Read first: RFC 9562 sections 4 and 5.8, guiddef.h.
 *
 * ```
 * Data1 u32 │ Data2 u16 │ Data3 u16 │ Data4 u8[8]     the first three little-endian in memory, big-endian in text
 * ```
 */

/** Units: bytes. */
export const GUID_BYTES = 16;

/** Namespace of the GUIDs that weir gives its adapters, so that they differ from everybody else's of the same name. */
const NAMESPACE = "weir adapter 1:";
const FNV_OFFSET_64 = 0xcbf2_9ce4_8422_2325n;
const FNV_PRIME_64 = 0x100_0000_01b3n;
const MASK_64 = 0xffff_ffff_ffff_ffffn;

/** FNV-1a, 64 bits, from a start value. Source: draft-eastlake-fnv-30 section 2. */
function fnv1a64(bytes: Uint8Array, start: bigint): bigint {
  let hash = start;
  for (const byte of bytes) hash = ((hash ^ BigInt(byte)) * FNV_PRIME_64) & MASK_64;
  return hash;
}

/**
 * The GUID of the adapter of a name: always the same one, so that Windows knows the network again and keeps what the user decided about it.
 * Shape: version 8 of RFC 9562 section 5.8, in memory order. It needs to be stable, not secret.
 */
export function adapterGuid(name: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(NAMESPACE + name);
  const high = fnv1a64(bytes, FNV_OFFSET_64);
  const low = fnv1a64(bytes, high ^ MASK_64);
  const guid = new Uint8Array(GUID_BYTES);
  const view = new DataView(guid.buffer);
  view.setBigUint64(0, high, true);
  view.setBigUint64(8, low);
  view.setUint16(6, (view.getUint16(6, true) & 0x0fff) | 0x8000, true);
  guid[8] = (guid[8]! & 0x3f) | 0x80;
  return guid;
}

/** The text of a GUID in memory order, in lower case without braces. */
export function formatGuid(guid: Uint8Array<ArrayBuffer>): string {
  const view = new DataView(guid.buffer, guid.byteOffset, GUID_BYTES);
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");
  const tail = Array.from({ length: 8 }, (_, i) => hex(view.getUint8(8 + i), 2)).join("");
  const head = [hex(view.getUint32(0, true), 8), hex(view.getUint16(4, true), 4), hex(view.getUint16(6, true), 4)];
  return `${head.join("-")}-${tail.slice(0, 4)}-${tail.slice(4)}`;
}

/** Reads the text of a GUID, with or without braces, into memory order. Errors: undefined when it is none. */
export function parseGuid(text: string): Uint8Array<ArrayBuffer> | undefined {
  const found = /^\{?([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})\}?$/i.exec(text);
  if (found === null || text.startsWith("{") !== text.endsWith("}")) return undefined;
  const guid = new Uint8Array(GUID_BYTES);
  const view = new DataView(guid.buffer);
  view.setUint32(0, parseInt(found[1]!, 16), true);
  view.setUint16(4, parseInt(found[2]!, 16), true);
  view.setUint16(6, parseInt(found[3]!, 16), true);
  const tail = found[4]! + found[5]!;
  for (let i = 0; i < 8; i++) guid[8 + i] = parseInt(tail.slice(2 * i, 2 * i + 2), 16);
  return guid;
}
