import { assertEquals } from "@std/assert";
import { Arena } from "../../core/adapter/arena.ts";
import { PcapTap } from "../../core/adapter/tap.ts";
import { Trace, TraceRing } from "../../core/adapter/trace.ts";
import { packetText } from "../../core/adapter/packet_text.ts";
import { Frame } from "../../core/adapter/arena.ts";
import { micros } from "../../core/base/micros.ts";
import { Prng } from "../../core/base/prng.ts";
import { ListAdapter } from "../support/engine_world.ts";
import { ipv4Packet, tcpPacket, udpPacket } from "../support/packets.ts";
import { slotOf } from "../support/slots.ts";

Deno.test("PcapTap shows what comes in and what goes out, but nothing that the device refused", () => {
  const inner = new ListAdapter("tun");
  const seen: [number, boolean, number][] = [];
  const tap = new PcapTap(inner, (arena, slot, isReceived, now) => {
    seen.push([arena.view.getUint16(arena.at(slot) + 20), isReceived, now]);
  });
  const arena = new Arena(8);
  slotOf(arena, udpPacket({ sourcePort: 9 }));
  arena.arrive(slotOf(arena, udpPacket({ sourcePort: 8 })));
  inner.incoming.push(udpPacket({ sourcePort: 1 }), udpPacket({ sourcePort: 2 }));
  tap.receive(arena, micros(5));
  tap.send(arena, slotOf(arena, udpPacket({ sourcePort: 3 })), micros(6));
  inner.isFull = true;
  tap.send(arena, slotOf(arena, udpPacket({ sourcePort: 4 })), micros(7));
  assertEquals(seen, [[1, true, 5], [2, true, 5], [3, false, 6]]);
});

Deno.test("Trace remembers the last packets in words, the oldest first", () => {
  const inner = new ListAdapter("tun");
  const trace = new Trace(inner, 2);
  const arena = new Arena(8);
  for (let i = 0; i < 3; i++) inner.incoming.push(udpPacket({ sourcePort: 1 + i, payload: "abc" }));
  trace.receive(arena, micros(1_500_000));
  trace.send(
    arena,
    slotOf(arena, tcpPacket({ flags: "SA", sequence: 7, acknowledgment: 9, tcpOptions: [2, 4, 5, 180, 1, 3, 3, 8] })),
    micros(2_000_001),
  );
  assertEquals(trace.ring.packets, 4);
  assertEquals(trace.ring.lines(), [
    "1.500000 < 192.0.2.1.3 > 198.51.100.2.53 udp length 3",
    "2.000001 > 192.0.2.1.50000 > 198.51.100.2.443 tcp [S.] seq 7 ack 9 win 65535 length 0 <mss 1460, wscale 8>",
  ]);
});

Deno.test("TraceRing keeps packets that are no IP, and long ones, in their place", () => {
  const ring = new TraceRing(4);
  ring.add(new Uint8Array(60), 0, 60, true, Frame.NotIp, micros(1));
  const long = tcpPacket({ payload: "x".repeat(1_000), sequence: 5 });
  ring.add(long, 0, long.length, false, Frame.Ip, micros(2));
  assertEquals(ring.lines(), [
    "0.000001 < 60 bytes that are no IP packet",
    "0.000002 > 192.0.2.1.50000 > 198.51.100.2.443 tcp [.] seq 5:1005 ack 0 win 65535 length 1000",
  ]);
});

Deno.test("packetText() writes a line for whatever bytes there are", () => {
  const text = (packet: Uint8Array) =>
    packetText(new DataView(packet.buffer, packet.byteOffset), 0, packet.length, packet.length);
  assertEquals(text(new Uint8Array()), "0 bytes of no IP version");
  assertEquals(
    text(tcpPacket({ source: "2001:db8:0:0:0:0:0:1", flags: "A" })),
    "2001:db8::1.50000 > 2001:db8::2.443 tcp [.] seq 1000 ack 0 win 65535 length 0",
  );
  assertEquals(text(ipv4Packet([8, 0, 0, 0, 0, 0, 0, 0], { protocol: 1 })), "192.0.2.1 > 198.51.100.2 icmp 8/0");
  assertEquals(text(ipv4Packet([1, 2], { offset: 8 })), "192.0.2.1 > 198.51.100.2 fragment at 8 length 2");
  const prng = new Prng(11);
  const whole = tcpPacket({
    tcpOptions: [8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2],
    payload: "hello",
  });
  for (let i = 0; i < 20_000; i++) {
    const cut = whole.slice(0, prng.below(whole.length + 1));
    for (let flips = prng.below(4); flips > 0 && cut.length > 0; flips--) cut[prng.below(cut.length)] = prng.below(256);
    assertEquals(typeof text(cut), "string");
  }
});
