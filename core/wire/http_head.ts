/**
 * The beginning of an HTTP/1 request, as far as its Host.
 *
 * Read first: RFC 9112 section 2 (message), section 3 (request line), section 3.2 (request target); RFC 9110 section 7.2 (Host).
 *
 *     METHOD SP target SP HTTP/1.1 CRLF        target: /path | http://host/path | host:port (CONNECT) | *
 *     Name: value CRLF  …  CRLF
 */
import { HTTP_METHOD_LENGTH_MAX } from "../base/limits.ts";

/** Where a walk stands. */
export const HeadWalk = {
  More: 0,
  /** `hostAt` and `hostLength` say where the authority stands. */
  Host: 1,
  /** As `Host`, and the request is a CONNECT. */
  Connect: 2,
  /** A request head that names no host. */
  NoHost: 3,
  /** This is no HTTP/1 request. */
  Bad: 4,
  /** This is the beginning of a response: a request will come the other way. */
  Response: 5,
} as const;
export type HeadWalk = (typeof HeadWalk)[keyof typeof HeadWalk];

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;
const COLON = 0x3a;
const SLASH = 0x2f;

/** True for a character of a method. Source: RFC 9110 section 5.6.2 (token), without those that no method has. */
function isMethodByte(byte: number): boolean {
  const lower = byte | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || byte === 0x2d || byte === 0x5f;
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}

/** True when the text at `at` is `word` in any case; `word` is given in small letters. */
function matchesWord(view: DataView, at: number, word: string): boolean {
  for (let i = 0; i < word.length; i++) {
    const byte = view.getUint8(at + i);
    if ((byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte) !== word.charCodeAt(i)) return false;
  }
  return true;
}

/** Walks the head of a growing stream line by line; no byte is looked at twice. */
export class HttpHeadWalk {
  #lineAt = 0;
  #scannedTo = 0;
  #requestRead = false;
  #isConnect = false;
  #targetHost = false;
  /** Where the authority begins. Units: bytes from the stream's beginning. */
  hostAt = 0;
  /** Units: bytes. */
  hostLength = 0;

  /** Goes on over the stream, of which `length` bytes are there now, always counted from the same beginning. */
  step(view: DataView, at: number, length: number): HeadWalk {
    if (this.#lineAt === 0 && !this.#looksLikeRequest(view, at, length)) {
      return length >= 5 && matchesWord(view, at, "http/") ? HeadWalk.Response : HeadWalk.Bad;
    }
    for (;;) {
      while (this.#scannedTo < length && view.getUint8(at + this.#scannedTo) !== LF) this.#scannedTo++;
      if (this.#scannedTo === length) return HeadWalk.More;
      let end = this.#scannedTo;
      if (end > this.#lineAt && view.getUint8(at + end - 1) === CR) end--;
      const state = this.#requestRead
        ? this.#readField(view, at, this.#lineAt, end)
        : this.#readRequestLine(view, at, end);
      if (state !== HeadWalk.More) return state;
      this.#scannedTo++;
      this.#lineAt = this.#scannedTo;
    }
  }

  /** Judges the beginning of the request line before its end is there: a method, a space, something visible. */
  #looksLikeRequest(view: DataView, at: number, length: number): boolean {
    const enough = length < HTTP_METHOD_LENGTH_MAX + 2 ? length : HTTP_METHOD_LENGTH_MAX + 2;
    for (let i = 0; i < enough; i++) {
      const byte = view.getUint8(at + i);
      if (byte === SPACE && i > 0) return i + 1 >= enough || view.getUint8(at + i + 1) >= SPACE;
      if (!isMethodByte(byte) || i >= HTTP_METHOD_LENGTH_MAX) return false;
    }
    return true;
  }

  #readRequestLine(view: DataView, at: number, end: number): HeadWalk {
    let method = 0;
    while (method < end && view.getUint8(at + method) !== SPACE) method++;
    let version = end;
    while (version > method && view.getUint8(at + version - 1) !== SPACE) version--;
    if (end - version < 6 || version <= method + 1 || !matchesWord(view, at + version, "http/")) return HeadWalk.Bad;
    let target = method + 1;
    let targetEnd = version - 1;
    // Several spaces count as one. Source: RFC 9112 section 3.
    while (target < targetEnd && view.getUint8(at + target) === SPACE) target++;
    while (targetEnd > target && view.getUint8(at + targetEnd - 1) === SPACE) targetEnd--;
    this.#requestRead = true;
    this.#isConnect = method === 7 && matchesWord(view, at, "connect");
    if (this.#isConnect) {
      this.hostAt = target;
      this.hostLength = targetEnd - target;
      return HeadWalk.Connect;
    }
    this.#readAbsoluteTarget(view, at, target, targetEnd);
    return HeadWalk.More;
  }

  /** Takes the authority of `scheme://authority/path`. Source: RFC 9112 section 3.2.2. */
  #readAbsoluteTarget(view: DataView, at: number, from: number, to: number): void {
    let colon = from;
    while (colon < to && colon - from < 16 && isMethodByte(view.getUint8(at + colon))) colon++;
    if (colon === from || colon + 3 >= to) return;
    const isUri = view.getUint8(at + colon) === COLON && view.getUint8(at + colon + 1) === SLASH &&
      view.getUint8(at + colon + 2) === SLASH;
    if (!isUri) return;
    let end = colon + 3;
    while (end < to) {
      const byte = view.getUint8(at + end);
      if (byte === SLASH || byte === 0x3f || byte === 0x23) break;
      end++;
    }
    this.hostAt = colon + 3;
    this.hostLength = end - colon - 3;
    this.#targetHost = this.hostLength > 0;
  }

  #readField(view: DataView, at: number, from: number, to: number): HeadWalk {
    if (from === to) return this.#targetHost ? HeadWalk.Host : HeadWalk.NoHost;
    if (to - from < 5 || !matchesWord(view, at + from, "host")) return HeadWalk.More;
    let next = from + 4;
    while (next < to && isBlank(view.getUint8(at + next))) next++;
    if (next === to || view.getUint8(at + next) !== COLON) return HeadWalk.More;
    next++;
    while (next < to && isBlank(view.getUint8(at + next))) next++;
    let end = to;
    while (end > next && isBlank(view.getUint8(at + end - 1))) end--;
    if (this.#targetHost) return HeadWalk.Host;
    this.hostAt = next;
    this.hostLength = end - next;
    return end > next ? HeadWalk.Host : HeadWalk.NoHost;
  }
}
