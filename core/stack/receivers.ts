/** Addresses that stand for nobody or for many: nothing may be answered to or about them. */
import { DESTINATION, type PacketMeta, SOURCE } from "../parse/packet_meta.ts";

const MAPPED = 0xffff;

/** True for a source that cannot be a packet's sender; with `loopback`, a machine's own address for itself can. Source: RFC 1122 section 3.2.1.3, RFC 4291 sections 2.5.2 and 2.7, RFC 4942 section 2.2. */
export function isUnanswerable(meta: PacketMeta, loopback: boolean): boolean {
  const words = meta.words;
  if (meta.version === 4) {
    const source = words[SOURCE + 3]!;
    // 0.0.0.0/8, 127.0.0.0/8 (never on a wire), and everything from 224.0.0.0 on.
    return source >>> 24 === 0 || (source >>> 24 === 127 && !loopback) || source >>> 28 >= 14;
  }
  const first = words[SOURCE]!;
  if (first >>> 24 === 0xff) return true;
  if (isMapped(words, SOURCE) || isMapped(words, DESTINATION)) return true;
  // :: and ::1
  return first === 0 && words[SOURCE + 1] === 0 && words[SOURCE + 2] === 0 && words[SOURCE + 3]! <= (loopback ? 0 : 1);
}

/** True for a packet to many receivers or to nobody. Source: RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e). */
export function isManyReceivers(meta: PacketMeta): boolean {
  const last = meta.words[DESTINATION + 3]!;
  if (meta.version === 4) return last >>> 28 >= 14 || last === 0;
  const words = meta.words;
  if (words[DESTINATION]! >>> 24 === 0xff) return true;
  return words[DESTINATION] === 0 && words[DESTINATION + 1] === 0 && words[DESTINATION + 2] === 0 && last === 0;
}

/** True when a packet claims to come from the very place that it goes to. Source: CERT CA-1997-28 ("land"). */
export function isFromItself(meta: PacketMeta): boolean {
  if (meta.sourcePort !== meta.destinationPort) return false;
  for (let word = 0; word < 4; word++) if (meta.words[SOURCE + word] !== meta.words[DESTINATION + word]) return false;
  return true;
}

function isMapped(words: Uint32Array, at: number): boolean {
  return words[at] === 0 && words[at + 1] === 0 && words[at + 2] === MAPPED;
}
