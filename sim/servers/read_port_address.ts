/** Destinations as VMess and VLESS write them, read by their servers. */
import { ipFromWords } from "../../core/base/ip_address.ts";
import type { ByteQueue } from "../../core/outbound/byte_queue.ts";
import type { ReadDestination } from "../../core/outbound/destination.ts";

/** Reads a destination at `at`; undefined while it is cut short, or when it is none. */
export function readPortAddress(bytes: ByteQueue, at: number): ReadDestination | undefined {
  const type = bytes.peek(at + 2);
  const nameBytes = type === 2 ? bytes.peek(at + 3) : 0;
  if (type === undefined || nameBytes === undefined || type < 1 || type > 3) return undefined;
  const length = type === 1 ? 7 : type === 3 ? 19 : 4 + nameBytes;
  if (bytes.length < at + length) return undefined;
  const port = (bytes.peek(at)! << 8) | bytes.peek(at + 1)!;
  if (type === 2) {
    let host = "";
    for (let i = 0; i < nameBytes; i++) host += String.fromCharCode(bytes.peek(at + 4 + i)!);
    return { destination: { address: undefined, host, port }, length };
  }
  const word = (index: number) => {
    let value = 0;
    for (let i = 0; i < 4; i++) value = value * 256 + bytes.peek(at + 3 + 4 * index + i)!;
    return value;
  };
  const address = type === 1 ? ipFromWords(0, 0, 0xffff, word(0)) : ipFromWords(word(0), word(1), word(2), word(3));
  return { destination: { address, host: "", port }, length };
}
