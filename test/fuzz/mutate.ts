/** Seeded damage to bytes and texts, of the kinds that wires, disks and adversaries do. */
import type { Prng } from "../../core/base/prng.ts";

/** One element of a list. */
export function pick<T>(prng: Prng, list: readonly T[]): T {
  return list[prng.below(list.length)]!;
}

const ODD_BYTES = [0, 1, 3, 4, 5, 6, 7, 0x0f, 0x11, 0x20, 0x2c, 0x3f, 0x40, 0x45, 0x60, 0x7f, 0x80, 0xc0, 0xfe, 0xff];
const ODD_WORDS = [0, 1, 7, 8, 19, 20, 39, 40, 53, 80, 443, 0x5dc, 0x7fff, 0x8000, 0xffd8, 0xfff8, 0xffff];

function splice(bytes: Uint8Array, at: number, removed: number, added: Uint8Array): Uint8Array<ArrayBuffer> {
  const rest = bytes.subarray(Math.min(bytes.length, at + removed));
  const result = new Uint8Array(at + added.length + rest.length);
  result.set(bytes.subarray(0, at));
  result.set(added, at);
  result.set(rest, at + added.length);
  return result;
}

/** Changes bytes in one place. `near` draws positions towards the beginning, where headers are. */
function mutateOnce(prng: Prng, bytes: Uint8Array<ArrayBuffer>, other: Uint8Array): Uint8Array<ArrayBuffer> {
  const length = bytes.length;
  if (length === 0) return new Uint8Array(other.subarray(0, prng.below(other.length + 1)));
  const at = prng.chance(1, 2) ? prng.below(Math.min(length, 64)) : prng.below(length);
  switch (prng.below(9)) {
    case 0:
      bytes[at] = bytes[at]! ^ (1 << prng.below(8));
      return bytes;
    case 1:
      bytes[at] = prng.below(256);
      return bytes;
    case 2:
      bytes[at] = pick(prng, ODD_BYTES);
      return bytes;
    case 3: {
      const word = pick(prng, ODD_WORDS);
      bytes[at] = word >>> 8;
      if (at + 1 < length) bytes[at + 1] = word & 255;
      return bytes;
    }
    case 4:
      bytes[at] = bytes[at]! + (prng.chance(1, 2) ? 1 : 255);
      return bytes;
    case 5:
      return bytes.slice(0, at);
    case 6:
      return splice(bytes, at, prng.below(24), new Uint8Array(0));
    case 7:
      return splice(bytes, at, 0, bytes.slice(at, at + prng.below(64)));
    default: {
      const from = prng.below(other.length + 1);
      return splice(bytes, at, prng.below(24), other.slice(from, from + prng.below(64)));
    }
  }
}

/** A damaged copy: one to four changes, some of them with pieces of `other`. */
export function mutateBytes(
  prng: Prng,
  bytes: Uint8Array,
  other: Uint8Array,
  bytesMax: number,
): Uint8Array<ArrayBuffer> {
  let result = new Uint8Array(bytes);
  for (let changes = prng.between(1, 4); changes > 0; changes--) result = mutateOnce(prng, result, other);
  return result.length > bytesMax ? result.slice(0, bytesMax) : result;
}
