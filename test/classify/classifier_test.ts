import { assertEquals } from "@std/assert";
import { Arena } from "../../core/adapter/arena.ts";
import { micros } from "../../core/base/micros.ts";
import { Classifier } from "../../core/classify/classifier.ts";
import { createSniffOptions } from "../../core/classify/sniffer.ts";
import { createQuicCrypto } from "../../core/host/quic_crypto.ts";
import { PacketMeta } from "../../core/parse/packet_meta.ts";
import { parse, Verify } from "../../core/parse/parse.ts";
import { FLOW_COUNT_MAX } from "../../core/base/limits.ts";
import { formatIp } from "../../core/base/ip_address.ts";
import { toMetadata } from "../../core/classify/facts.ts";
import { EngineWorld } from "../support/engine_world.ts";
import { tcpPacket, udpPacket } from "../support/packets.ts";
import { slotOf } from "../support/slots.ts";

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

Deno.test("Classifier tells its observer of each flow's start and end, once", () => {
  const heard: string[] = [];
  const classifier = new Classifier({
    type: "Tun",
    sniff: createSniffOptions(),
    names: { wantsSniff: () => true, prefersSniffed: () => true, accepts: () => true },
    crypto: createQuicCrypto(),
    secret: 1,
  }, {
    flowStarted: (_flow, record) => heard.push(`start ${record.id}`),
    flowEnding: (_flow, record) => heard.push(`end ${record.id}`),
  });
  const arena = new Arena(4);
  const meta = new PacketMeta();
  const classify = (packet: Uint8Array) => {
    const slot = slotOf(arena, packet);
    parse(arena, slot, Verify.None, meta);
    const flow = classifier.classify(arena, slot, meta, 1, micros(0));
    arena.release(slot);
    return flow;
  };
  const one = classify(udpPacket({ payload: "x" }));
  assertEquals(classify(udpPacket({ payload: "y" })), one);
  assertEquals([classifier.lastFlow, classifier.classifiedCount, classifier.fromSource], [one, 2, true]);
  classify(udpPacket({ sourcePort: 9, payload: "z" }));
  classifier.end(one);
  assertEquals(heard, ["start 0", "start 1", "end 0"]);
  assertEquals([classifier.records[one], classifier.table.count], [undefined, 1]);
});
