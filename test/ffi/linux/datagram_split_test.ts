import { assertEquals } from "@std/assert";
import { Arena, NO_SLOT, type Slot } from "../../../core/adapter/arena.ts";
import { DropReason } from "../../../core/parse/drop_reason.ts";
import { PacketMeta } from "../../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../../core/parse/parse.ts";
import * as ipv4 from "../../../core/wire/ipv4.ts";
import { splitDatagrams } from "../../../ffi/linux/datagram_split.ts";
import { udpPacket } from "./packets.ts";

function fill(arena: Arena, packet: Uint8Array): Slot {
  const slot = arena.acquire();
  arena.bytes.set(packet, arena.at(slot));
  arena.length[slot] = packet.length;
  arena.wireLength[slot] = packet.length;
  return slot;
}

/** The payloads of what arrived; each packet is verified with its checksums, and released. */
function payloads(arena: Arena): Uint8Array[] {
  const meta = new PacketMeta();
  const found: Uint8Array[] = [];
  for (let slot = arena.take(); slot !== NO_SLOT; slot = arena.take()) {
    assertEquals(parse(arena, slot, Verify.All, meta), DropReason.None);
    found.push(arena.bytes.slice(meta.payloadAt, meta.payloadAt + meta.payloadLength));
    arena.release(slot);
  }
  return found;
}

const PAYLOAD = Uint8Array.from({ length: 2500 }, (_, i) => i * 7);

for (const version of [4, 6] as const) {
  Deno.test(`splitDatagrams() gives equal pieces and a shorter last one when IPv${version} carries them`, () => {
    const arena = new Arena(8);
    const slot = fill(arena, udpPacket(version, PAYLOAD));
    assertEquals(splitDatagrams(arena, slot, 1000), 3);
    assertEquals(payloads(arena), [PAYLOAD.slice(0, 1000), PAYLOAD.slice(1000, 2000), PAYLOAD.slice(2000)]);
    assertEquals(arena.freeCount, 8);
  });
}

Deno.test("splitDatagrams() counts the identification up when it is IPv4", () => {
  const arena = new Arena(8);
  splitDatagrams(arena, fill(arena, udpPacket(4, PAYLOAD, 0xffff)), 1000);
  const ids = [arena.take(), arena.take(), arena.take()].map((slot) => ipv4.identification(arena.view, arena.at(slot)));
  assertEquals(ids, [0xffff, 0, 1]);
});

Deno.test("splitDatagrams() takes nothing when slots or sense are missing", () => {
  const arena = new Arena(3);
  const table: [string, Uint8Array, number][] = [
    ["four pieces, two slots", udpPacket(4, new Uint8Array(4000)), 1000],
    ["no piece size", udpPacket(4, PAYLOAD), 0],
    ["too many pieces", udpPacket(4, new Uint8Array(1290)), 10],
    ["no payload", udpPacket(4, new Uint8Array(0)), 10],
    ["TCP", Uint8Array.from(udpPacket(4, PAYLOAD), (byte, i) => i === 9 ? 6 : byte), 1000],
    ["too short for any header", new Uint8Array([0x45, 0, 0]), 1000],
    ["too short for IPv6", Uint8Array.from({ length: 30 }, () => 0x60), 1000],
  ];
  for (const [what, packet, size] of table) {
    const slot = fill(arena, packet);
    assertEquals([what, splitDatagrams(arena, slot, size), arena.arrivedCount], [what, 0, 0]);
    arena.release(slot);
    assertEquals(arena.freeCount, 3);
  }
});
