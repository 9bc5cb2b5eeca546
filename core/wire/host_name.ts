/**
 * Host names as they stand in TLS, HTTP, SOCKS and DNS bytes.
 *
 * Read first: RFC 1123 section 2.1, RFC 952 (letters, digits, hyphens), RFC 6066 section 3 (SNI), RFC 8552 (underscores do occur).
 */
import { HOST_NAME_LENGTH_MAX } from "../base/limits.ts";
import { parseIp } from "../base/ip_address.ts";

const LABEL_LENGTH_MAX = 63;
const DOT = 0x2e;

/** True for the characters of a label: letters, digits, hyphen, underscore. */
function isLabelByte(byte: number): boolean {
  const lower = byte | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || byte === 0x2d || byte === 0x5f;
}

/**
 * Reads a host name in lower case without its final dot. An IPv4 literal passes as a name; see `isIpLiteral`.
 * Errors: "" when it is not one (empty or long label, a character that no host name has, longer than 253).
 */
export function readHostName(view: DataView, at: number, length: number): string {
  let end = length;
  if (end > 0 && view.getUint8(at + end - 1) === DOT) end--;
  if (end === 0 || end > HOST_NAME_LENGTH_MAX) return "";
  let labelLength = 0;
  for (let i = 0; i < end; i++) {
    const byte = view.getUint8(at + i);
    if (byte === DOT) {
      if (labelLength === 0) return "";
      labelLength = 0;
    } else if (!isLabelByte(byte) || ++labelLength > LABEL_LENGTH_MAX) {
      return "";
    }
  }
  return labelLength === 0 ? "" : lowerText(view, at, end);
}

/** ASCII bytes as text with capital letters made small. */
export function lowerText(view: DataView, at: number, length: number): string {
  let text = "";
  for (let i = 0; i < length; i++) {
    const byte = view.getUint8(at + i);
    text += String.fromCharCode(byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte);
  }
  return text;
}

/** True when a host is an IP address in text, and so no name: `192.0.2.1`, `2001:db8::1`. */
export function isIpLiteral(host: string): boolean {
  return parseIp(host) !== undefined;
}

/**
 * Reads the host of an authority `user@host:port`, the host being a name, an IPv4 literal or `[IPv6]`.
 * Errors: "" when there is none.
 */
export function readAuthorityHost(view: DataView, at: number, length: number): string {
  let from = at;
  let to = at + length;
  for (let i = from; i < to; i++) {
    if (view.getUint8(i) === 0x40) from = i + 1;
  }
  if (from < to && view.getUint8(from) === 0x5b) {
    for (let i = from + 1; i < to; i++) {
      if (view.getUint8(i) !== 0x5d) continue;
      const literal = i - from > 64 ? "" : lowerText(view, from + 1, i - from - 1);
      return isIpLiteral(literal) ? literal : "";
    }
    return "";
  }
  for (let i = from; i < to; i++) {
    if (view.getUint8(i) === 0x3a) to = i;
  }
  return readHostName(view, from, to - from);
}
