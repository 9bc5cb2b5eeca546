/** Puts packets into an arena for tests. */
import { Arena, type Slot } from "../../core/adapter/arena.ts";
import type { DropReason } from "../../core/parse/drop_reason.ts";
import { DROP_REASON_NAMES } from "../../core/parse/drop_reason.ts";
import { PacketMeta } from "../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../core/parse/parse.ts";

/** Copies a packet into a fresh slot. */
export function slotOf(arena: Arena, packet: Uint8Array, wireLength = packet.length): Slot {
  const slot = arena.acquire();
  arena.bytes.set(packet, arena.at(slot));
  arena.length[slot] = packet.length;
  arena.wireLength[slot] = wireLength;
  return slot;
}

/** Parses one packet in an arena of its own; the reason by name, "none" when it is sound. */
export function parseOne(
  packet: Uint8Array,
  options: { verify?: Verify; wireLength?: number } = {},
): { reason: string; meta: PacketMeta; arena: Arena } {
  const arena = new Arena(4);
  const slot = slotOf(arena, packet, options.wireLength);
  const meta = new PacketMeta();
  const reason: DropReason = parse(arena, slot, options.verify ?? Verify.None, meta);
  return { reason: DROP_REASON_NAMES[reason]!, meta, arena };
}
