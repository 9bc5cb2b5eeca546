import { assertEquals } from "@std/assert";
import { FLOW_COUNT_MAX } from "../../core/base/limits.ts";
import { formatIp } from "../../core/base/ip_address.ts";
import { toMetadata } from "../../core/classify/facts.ts";
import { EngineWorld } from "../support/engine_world.ts";
import { tcpPacket, udpPacket } from "../support/packets.ts";

const back = { source: "198.51.100.2", destination: "192.0.2.1", sourcePort: 443, destinationPort: 50000 };

function sourceOf(...packets: Uint8Array[]): string {
  const world = new EngineWorld();
  world.feed(...packets);
  world.finish();
  assertEquals(world.ended.length, 1);
  return formatIp(world.ended[0]!.record.facts.sourceIp!);
}

Deno.test("Classifier takes the sender of the first SYN for a flow's source, whatever comes first", () => {
  const syn = tcpPacket({ flags: "S", sequence: 100 });
  const synAck = tcpPacket({ ...back, flags: "SA", sequence: 900, acknowledgment: 101 });
  const banner = tcpPacket({ ...back, flags: "PA", sequence: 901, payload: "hello" });
  assertEquals(sourceOf(syn, synAck), "192.0.2.1");
  assertEquals(sourceOf(synAck, syn), "192.0.2.1");
  assertEquals(sourceOf(synAck), "192.0.2.1");
  assertEquals(sourceOf(banner, syn), "192.0.2.1");
  assertEquals(sourceOf(banner), "198.51.100.2");
  assertEquals(sourceOf(udpPacket({ ...back, payload: "x" })), "198.51.100.2");
});

Deno.test("Classifier counts both directions' payload and the first packet's DSCP", () => {
  const world = new EngineWorld();
  world.feed(udpPacket({ payload: "12345", tos: 0xb8 }), udpPacket({ ...back, sourcePort: 53, payload: "123" }));
  world.finish();
  const { record, packets, upload, download } = world.ended[0]!;
  assertEquals([packets, upload, download, record.facts.dscp], [2, 5, 3, 46]);
  const metadata = toMetadata(record.facts);
  assertEquals([metadata.network, metadata.destinationPort, metadata.sourcePort], ["udp", "53", "50000"]);
});

Deno.test("Classifier ends the flow that is worth least when the table is full", () => {
  const world = new EngineWorld();
  const addressOf = (i: number) => `10.${i >>> 16}.${(i >>> 8) & 255}.${i & 255}`;
  for (let i = 0; i <= FLOW_COUNT_MAX; i++) {
    world.adapter.incoming.push(udpPacket({ source: addressOf(i), payload: "x" }));
    world.at(world.now + 1);
  }
  assertEquals([world.ended.length, world.ended[0]!.record.id], [1, 0]);
  assertEquals(world.engine.classifier.table.count, FLOW_COUNT_MAX);
});

Deno.test("Classifier forgets a sniffed name that is not wanted", () => {
  const world = new EngineWorld({ unwanted: "www.example.org" });
  world.feed(tcpPacket({ flags: "S", sequence: 1, destinationPort: 80 }));
  world.feed(
    tcpPacket({
      flags: "PA",
      sequence: 2,
      destinationPort: 80,
      payload: "GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n",
    }),
  );
  world.finish();
  const { sniffHost, sniffProtocol, nameMayCome } = world.ended[0]!.record.facts;
  assertEquals([sniffHost, sniffProtocol, nameMayCome], ["", "http", false]);
});
