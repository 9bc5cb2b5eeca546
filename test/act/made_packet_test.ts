import { assertEquals } from "@std/assert";
import { directAnswer } from "../../core/act/made_packet.ts";
import { Direction } from "../../core/adapter/arena.ts";
import { tcpPacket } from "../support/packets.ts";
import { parseOne } from "../support/slots.ts";

Deno.test("directAnswer() sends answers inwards, but outwards between loopback addresses", () => {
  const cases: readonly (readonly [string, string, Direction])[] = [
    ["198.51.100.2", "192.0.2.1", Direction.Inbound],
    ["127.0.0.1", "127.8.9.1", Direction.Outbound],
    ["127.0.0.1", "192.0.2.1", Direction.Inbound],
    ["192.0.2.1", "127.0.0.1", Direction.Inbound],
    ["0:0:0:0:0:0:0:1", "0:0:0:0:0:0:0:1", Direction.Outbound],
    ["0:0:0:0:0:0:0:1", "2001:db8:0:0:0:0:0:1", Direction.Inbound],
    ["0:0:0:0:0:0:0:2", "0:0:0:0:0:0:0:1", Direction.Inbound],
  ];
  for (const [source, destination, expected] of cases) {
    const { arena } = parseOne(tcpPacket({ source, destination }));
    directAnswer(arena, 0);
    assertEquals([source, destination, arena.direction[0]], [source, destination, expected]);
  }
});
