/** Mistakes made on purpose, between a stack and everybody who checks it: each must be noticed. */
import type { Arena, Slot } from "../../../core/adapter/arena.ts";
import { PacketMeta } from "../../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../../core/parse/parse.ts";
import { addBytes, finishSum, pseudoSum4, pseudoSum6 } from "../../../core/wire/checksum.ts";
import * as tcp from "../../../core/wire/tcp.ts";
import type { Tamper } from "../../../sim/world/host.ts";

/** Reads a packet; undefined for what is not TCP. */
function read(arena: Arena, slot: Slot): PacketMeta | undefined {
  const meta = new PacketMeta();
  parse(arena, slot, Verify.None, meta);
  return meta.protocol === tcp.PROTOCOL ? meta : undefined;
}

/** Makes a changed segment's checksum right. */
function repair(view: DataView, meta: PacketMeta): void {
  const { ipAt, transportAt } = meta;
  const length = ipAt + meta.ipLength - transportAt;
  const pseudo = meta.version === 4 ? pseudoSum4(view, ipAt, 6, length) : pseudoSum6(view, ipAt, 6, length);
  view.setUint16(transportAt + 16, 0);
  view.setUint16(transportAt + 16, finishSum(addBytes(pseudo, view, transportAt, length)));
}

/** A stack that forgets its FINs. */
export const dropFin: Tamper = (arena, slot) => ((read(arena, slot)?.flags ?? 0) & tcp.FIN) === 0;

/** A stack that computes its checksums wrongly. */
export const flipChecksum: Tamper = (arena, slot) => {
  const meta = read(arena, slot);
  if (meta !== undefined) arena.view.setUint16(meta.transportAt + 16, arena.view.getUint16(meta.transportAt + 16) ^ 1);
  return true;
};

/** A stack that leaves a byte out of longer segments. */
export const skipByte: Tamper = (arena, slot) => {
  const meta = read(arena, slot);
  if (meta === undefined || meta.payloadLength < 50) return true;
  arena.bytes.copyWithin(meta.payloadAt + 20, meta.payloadAt + 21, meta.payloadAt + meta.payloadLength);
  repair(arena.view, meta);
  return true;
};

/** A stack that acknowledges a byte that it does not have. */
export const acknowledgeMore: Tamper = (arena, slot) => {
  const meta = read(arena, slot);
  if (meta === undefined || (meta.flags & (tcp.ACK | tcp.SYN | tcp.RST)) !== tcp.ACK) return true;
  arena.view.setUint32(meta.transportAt + 8, arena.view.getUint32(meta.transportAt + 8) + 1);
  repair(arena.view, meta);
  return true;
};

/** A stack that sends a segment's bytes one place too far in the stream. */
export const shiftSequence: Tamper = (arena, slot) => {
  const meta = read(arena, slot);
  if (meta === undefined || meta.payloadLength === 0) return true;
  arena.view.setUint32(meta.transportAt + 4, arena.view.getUint32(meta.transportAt + 4) + 1);
  repair(arena.view, meta);
  return true;
};
