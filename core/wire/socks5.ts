/**
 * What a client asks a SOCKS proxy for, read from the client's side alone.
 *
 * Read first: RFC 1928 sections 3 and 4, RFC 1929 section 2 (user name and password); SOCKS 4A (a memo of Ying-Da Lee).
 *
 *     SOCKS 5   05 n methods[n] │ 01 u user[u] p password[p] │ 05 command 00 type address port(16)
 *               greeting        │ only if the server chose 2 │ type 1: IPv4, 3: length and name, 4: IPv6
 *     SOCKS 4   04 command port(16) address(32) user 00 │ name 00 when the address is 0.0.0.x
 */

/** What the bytes are. */
export const SocksRead = {
  More: 0,
  /** `targetAt` and `targetLength` say where the name stands. */
  Name: 1,
  /** As `Name`, but 4 or 16 bytes of an address. */
  Address: 2,
  /** A request that names nothing: UDP ASSOCIATE, BIND. */
  NoTarget: 3,
  Bad: 4,
} as const;
export type SocksRead = (typeof SocksRead)[keyof typeof SocksRead];

/** Where the target stands. Units: bytes from the beginning of the stream. */
export interface SocksTarget {
  targetAt: number;
  targetLength: number;
}

const VERSION_5 = 5;
const VERSION_4 = 4;
const VERSION_PASSWORD = 1;
const COMMAND_CONNECT = 1;
const ADDRESS_IPV4 = 1;
const ADDRESS_NAME = 3;
const ADDRESS_IPV6 = 4;
const USER_LENGTH_MAX = 255;

/** Reads the client's SOCKS 5 bytes from the first on. */
export function readSocks5(view: DataView, at: number, length: number, out: SocksTarget): SocksRead {
  if (length > 0 && view.getUint8(at) !== VERSION_5) return SocksRead.Bad;
  if (length < 2) return SocksRead.More;
  const methods = view.getUint8(at + 1);
  if (methods === 0) return SocksRead.Bad;
  let next = 2 + methods;
  for (let i = 2; i < next && i < length; i++) {
    const method = view.getUint8(at + i);
    if (method > 9 && method < 0x80) return SocksRead.Bad;
  }
  if (next >= length) return SocksRead.More;
  if (view.getUint8(at + next) === VERSION_PASSWORD) {
    if (next + 1 >= length) return SocksRead.More;
    next += 2 + view.getUint8(at + next + 1);
    if (next >= length) return SocksRead.More;
    next += 1 + view.getUint8(at + next);
    if (next >= length) return SocksRead.More;
  }
  return readRequest5(view, at, next, length, out);
}

function readRequest5(view: DataView, at: number, from: number, length: number, out: SocksTarget): SocksRead {
  if (view.getUint8(at + from) !== VERSION_5) return SocksRead.Bad;
  if (from + 5 > length) return SocksRead.More;
  if (view.getUint8(at + from + 1) !== COMMAND_CONNECT) return SocksRead.NoTarget;
  const type = view.getUint8(at + from + 3);
  out.targetAt = from + 4;
  if (type === ADDRESS_NAME) {
    out.targetAt = from + 5;
    out.targetLength = view.getUint8(at + from + 4);
  } else if (type === ADDRESS_IPV4) {
    out.targetLength = 4;
  } else if (type === ADDRESS_IPV6) {
    out.targetLength = 16;
  } else {
    return SocksRead.Bad;
  }
  if (out.targetAt + out.targetLength > length) return SocksRead.More;
  return type === ADDRESS_NAME ? SocksRead.Name : SocksRead.Address;
}

/** Reads the client's SOCKS 4 or 4A bytes from the first on. */
export function readSocks4(view: DataView, at: number, length: number, out: SocksTarget): SocksRead {
  if (length > 0 && view.getUint8(at) !== VERSION_4) return SocksRead.Bad;
  if (length > 1 && (view.getUint8(at + 1) === 0 || view.getUint8(at + 1) > 2)) return SocksRead.Bad;
  if (length < 9) return SocksRead.More;
  if (view.getUint8(at + 1) !== COMMAND_CONNECT) return SocksRead.NoTarget;
  const user = findZero(view, at, 8, length);
  if (user < 0) return length - 8 > USER_LENGTH_MAX ? SocksRead.Bad : SocksRead.More;
  const address = view.getUint32(at + 4);
  if (address >>> 24 === 0 && (address === 0 || address > 0xff)) return SocksRead.Bad;
  if (address > 0xff) {
    // Other protocols begin with 4 too: after a request for an address the client waits for the answer.
    if (user + 1 !== length || !isText(view, at, 8, user)) return SocksRead.Bad;
    out.targetAt = 4;
    out.targetLength = 4;
    return SocksRead.Address;
  }
  const name = findZero(view, at, user + 1, length);
  if (name < 0) return length - user > USER_LENGTH_MAX + 1 ? SocksRead.Bad : SocksRead.More;
  out.targetAt = user + 1;
  out.targetLength = name - user - 1;
  return SocksRead.Name;
}

function isText(view: DataView, at: number, from: number, to: number): boolean {
  for (let i = from; i < to; i++) {
    if (view.getUint8(at + i) <= 0x20) return false;
  }
  return true;
}

function findZero(view: DataView, at: number, from: number, length: number): number {
  const to = from + USER_LENGTH_MAX + 1 < length ? from + USER_LENGTH_MAX + 1 : length;
  for (let i = from; i < to; i++) {
    if (view.getUint8(at + i) === 0) return i;
  }
  return -1;
}
