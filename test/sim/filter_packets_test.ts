import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { openFilterPackets } from "../../sim/filter_packets.ts";
import { PcapngWriter } from "../../sim/capture/write.ts";
import { tcpPacket } from "../support/packets.ts";
import { DEMO, runWeir, withFile } from "../support/weir.ts";

async function directions(...packets: { packet: Uint8Array; direction?: 0 | 1 | 2 }[]): Promise<boolean[]> {
  const chunks: number[] = [];
  const writer = new PcapngWriter((bytes) => chunks.push(...bytes));
  packets.forEach(({ packet, direction }, index) => {
    writer.writePacket(packet, 0, packet.length, { timestampUs: index, direction: direction ?? 0 });
  });
  writer.flush();
  const found: boolean[] = [];
  await withFile(new Uint8Array(chunks), ".pcapng", async (path) => {
    for await (const { address } of await openFilterPackets(path)) found.push(address.outbound === true);
  });
  return found;
}

Deno.test("openFilterPackets() tells outbound from inbound by the capture, by private addresses, by who spoke first", async () => {
  const lan = { source: "192.168.1.7", destination: "203.0.113.1" };
  const wan = { source: "203.0.113.1", destination: "192.168.1.7" };
  assertEquals(await directions({ packet: tcpPacket(wan) }, { packet: tcpPacket(lan) }), [false, true]);
  assertEquals(await directions({ packet: tcpPacket(lan), direction: 1 }, { packet: tcpPacket(wan), direction: 2 }), [
    false,
    true,
  ]);
  const one = { source: "203.0.113.1", destination: "198.51.100.1" };
  const two = { source: "198.51.100.1", destination: "203.0.113.1" };
  assertEquals(await directions({ packet: tcpPacket(one) }, { packet: tcpPacket(two) }, { packet: tcpPacket(one) }), [
    true,
    false,
    true,
  ]);
});

Deno.test("filter counts what a filter matches in a capture, and points at mistakes", async () => {
  const { status, output } = await runWeir("filter", "udp.DstPort==53 and outbound", DEMO, "--json");
  const { normalized, capture } = JSON.parse(output);
  assertEquals([status, normalized], [0, "udp.DstPort = 53 and outbound"]);
  const sent = JSON.parse((await runWeir("filter", "udp.DstPort==53", DEMO, "--json")).output).capture;
  const answers = JSON.parse((await runWeir("filter", "udp.SrcPort==53 and inbound", DEMO, "--json")).output).capture;
  assertEquals([capture.matched, capture.packets], [sent.matched, 340]);
  assert(capture.matched > 20 && answers.matched >= capture.matched);
  const bad = await runWeir("filter", "tcp.DestPort == 1");
  assertEquals(bad.status, 2);
  assertStringIncludes(bad.errors, "Filter expression contains a bad token");
});
