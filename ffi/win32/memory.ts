/** Numbers, addresses and text as Windows wants them. */

/** `INVALID_HANDLE_VALUE`. Source: handleapi.h. */
export const INVALID_HANDLE = 0xffff_ffff_ffff_ffffn;

/**
 * A number where C has a handle, a size or an address. Deno's types ask for a BigInt there; its calls take a number below 2⁵³ as well, which is
 * not allocated. User addresses have 47 bits and handles 32, so that both are whole numbers.
 */
export function usize(value: number): bigint {
  return value as unknown as bigint;
}

/** Where a buffer lies. It must be held as long as anybody uses the address. */
export function addressOf(bytes: Uint8Array | Uint32Array | BigUint64Array): number {
  return Number(Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes as Uint8Array<ArrayBuffer>)));
}

/** Text in UTF-16 with its NUL, as functions ending in W take it. Errors: a RangeError for text with a NUL inside, which Windows would cut there. */
export function wideString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new RangeError("Cannot hand text with a NUL to Windows: it would be cut there");
  const units = new Uint16Array(text.length + 1);
  for (let i = 0; i < text.length; i++) units[i] = text.charCodeAt(i);
  return new Uint8Array(units.buffer);
}

/** Reads UTF-16 text up to its NUL or the end of `units`. */
export function readWide(units: Uint16Array): string {
  const end = units.indexOf(0);
  return String.fromCharCode(...units.subarray(0, end < 0 ? units.length : end));
}

/** Reads UTF-16 text that lies at an offset inside a buffer, up to its NUL or the buffer's end. */
export function readWideAt(view: DataView, at: number): string {
  const units: number[] = [];
  for (let i = at; i + 2 <= view.byteLength; i += 2) {
    const unit = view.getUint16(i, true);
    if (unit === 0) break;
    units.push(unit);
  }
  let text = "";
  for (let i = 0; i < units.length; i += 1024) text += String.fromCharCode(...units.slice(i, i + 1024));
  return text;
}
