import { assert, assertEquals } from "@std/assert";
import { Arena } from "../../../core/adapter/arena.ts";
import { micros } from "../../../core/base/micros.ts";
import { PacketMeta } from "../../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../../core/parse/parse.ts";
import { IpReassembly } from "../../../core/stack/ip_reassembly.ts";
import { cutPacket } from "../../../sim/world/router_fragments.ts";
import { ipv4Packet, ipv6Packet, udpPacket } from "../../support/packets.ts";
import { slotOf } from "../../support/slots.ts";

Deno.test("cutPacket() leaves alone what may not be cut", () => {
  const whole = udpPacket({ payload: "x".repeat(600) });
  whole[6] = 0x40;
  assertEquals(cutPacket(whole, 300), undefined, "DF stands");
  assertEquals(cutPacket(ipv6Packet(new Array(600).fill(1)), 300), undefined, "no router cuts IPv6");
  assertEquals(cutPacket(ipv4Packet(new Array(60).fill(1)), 27), undefined, "no piece fits");
});

Deno.test("cutPacket() makes pieces that fit and that a stack puts together, once and twice", () => {
  for (const mtus of [[300], [68], [508, 100]]) {
    const whole = udpPacket({ payload: "0123456789".repeat(70), id: 77 });
    let pieces: Uint8Array[] = [whole];
    for (const mtu of mtus) {
      pieces = pieces.flatMap((piece) => piece.length > mtu ? cutPacket(piece, mtu)! : [piece]);
      for (const piece of pieces) assert(piece.length <= mtu);
    }
    assert(pieces.length > 1);
    const arena = new Arena(128);
    const reassembly = new IpReassembly(arena);
    const meta = new PacketMeta();
    for (const piece of pieces.reverse()) {
      const slot = slotOf(arena, piece);
      assertEquals(parse(arena, slot, Verify.All, meta), 0);
      assertEquals(reassembly.add(slot, meta, micros(1)), 0);
      arena.release(slot);
    }
    const slot = reassembly.takeWhole();
    assert(slot >= 0);
    assertEquals(parse(arena, slot, Verify.All, meta), 0);
    assertEquals([...arena.bytes.slice(meta.payloadAt, meta.payloadAt + meta.payloadLength)], [...whole.slice(28)]);
  }
});
