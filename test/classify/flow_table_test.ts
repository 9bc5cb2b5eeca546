import { assert, assertEquals } from "@std/assert";
import { Prng } from "../../core/base/prng.ts";
import { TCP_EMBRYONIC_IDLE_US, UDP_IDLE_US } from "../../core/base/limits.ts";
import { micros } from "../../core/base/micros.ts";
import { type FlowIndex, FlowTable, IdleClass, NO_FLOW } from "../../core/classify/flow_table.ts";
import { DESTINATION, PacketMeta, SOURCE } from "../../core/parse/packet_meta.ts";

function metaOf(a: number, aPort: number, b: number, bPort: number, protocol = 17): PacketMeta {
  const meta = new PacketMeta();
  meta.words[SOURCE + 2] = 0xffff;
  meta.words[SOURCE + 3] = a;
  meta.words[DESTINATION + 2] = 0xffff;
  meta.words[DESTINATION + 3] = b;
  meta.sourcePort = aPort;
  meta.destinationPort = bPort;
  meta.protocol = protocol;
  return meta;
}

Deno.test("FlowTable.find() finds a flow in both directions and nothing else", () => {
  const table = new FlowTable(1, 8);
  const meta = metaOf(1, 10, 2, 20);
  const flow = table.create(meta, false, micros(0));
  assertEquals(table.find(meta), flow);
  assert(table.isFromSource(flow, meta));
  const back = metaOf(2, 20, 1, 10);
  assertEquals(table.find(back), flow);
  assert(!table.isFromSource(flow, back));
  for (const other of [metaOf(1, 20, 2, 10), metaOf(1, 10, 2, 21), metaOf(1, 10, 3, 20), metaOf(1, 10, 2, 20, 6)]) {
    assertEquals(table.find(other), NO_FLOW);
  }
  assertEquals([table.sourceWord(flow, 3), table.sourcePort(flow), table.destinationPort(flow)], [1, 10, 20]);
});

Deno.test("FlowTable.create() takes the other side for the source when the packet is an answer", () => {
  const table = new FlowTable(1, 8);
  const flow = table.create(metaOf(1, 443, 2, 50000, 6), true, micros(0));
  assertEquals([table.sourceWord(flow, 3), table.sourcePort(flow), table.destinationPort(flow)], [2, 50000, 443]);
  table.reverse(flow, metaOf(1, 443, 2, 50000, 6));
  assertEquals([table.sourceWord(flow, 3), table.sourcePort(flow)], [1, 443]);
  assertEquals(table.find(metaOf(2, 50000, 1, 443, 6)), flow);
});

Deno.test("FlowTable.create() says no when the table is full, and leastValuable() names who goes", () => {
  const table = new FlowTable(1, 2);
  const one = table.create(metaOf(1, 1, 2, 2), false, micros(0));
  const two = table.create(metaOf(1, 1, 2, 3, 6), false, micros(1));
  assertEquals(table.create(metaOf(1, 1, 2, 4), false, micros(2)), NO_FLOW);
  assertEquals(table.leastValuable(), two);
  table.setClass(two, IdleClass.TcpOpen);
  assertEquals(table.leastValuable(), one);
  table.remove(one);
  assertEquals(table.count, 1);
  assert(table.create(metaOf(1, 1, 2, 4), false, micros(2)) !== NO_FLOW);
});

Deno.test("FlowTable.expired() gives closed flows before their time when there are more than may be remembered", () => {
  const table = new FlowTable(1, 8, 2);
  const flows = [1, 2, 3, 4].map((port) => table.create(metaOf(1, port, 2, 2, 6), false, micros(port)));
  for (const flow of flows) table.setClass(flow, IdleClass.TcpClosed);
  table.touch(flows[0]!, micros(5));
  const ended: FlowIndex[] = [];
  for (let flow = table.expired(micros(6)); flow !== NO_FLOW; flow = table.expired(micros(6))) {
    ended.push(flow);
    table.remove(flow);
  }
  assertEquals([ended, table.countOf(IdleClass.TcpClosed)], [[flows[1]!, flows[2]!], 2]);
  table.setClass(flows[0]!, IdleClass.TcpOpen);
  const counts = Object.values(IdleClass).map((idleClass) => table.countOf(idleClass));
  assertEquals([counts, table.count], [[0, 0, 1, 1], 2]);
});

Deno.test("FlowTable.expired() gives flows in order of last activity, each class by its own time", () => {
  const table = new FlowTable(1, 8);
  const udp = table.create(metaOf(1, 1, 2, 2), false, micros(0));
  const touched = table.create(metaOf(1, 1, 2, 3), false, micros(1));
  const tcp = table.create(metaOf(1, 1, 2, 4, 6), false, micros(2));
  table.touch(udp, micros(5));
  assertEquals(table.nextExpiry(), 2 + TCP_EMBRYONIC_IDLE_US);
  assertEquals(table.expired(micros(1 + TCP_EMBRYONIC_IDLE_US)), NO_FLOW);
  assertEquals(table.expired(micros(2 + TCP_EMBRYONIC_IDLE_US)), tcp);
  table.remove(tcp);
  assertEquals(table.expired(micros(1 + UDP_IDLE_US)), touched);
  table.remove(touched);
  assertEquals(table.expired(micros(4 + UDP_IDLE_US)), NO_FLOW);
  assertEquals(table.expired(micros(5 + UDP_IDLE_US)), udp);
});

Deno.test("FlowTable agrees with a Map over 100,000 seeded operations", () => {
  const prng = new Prng(77);
  const table = new FlowTable(prng.uint32(), 64);
  const map = new Map<string, FlowIndex>();
  const key = (m: PacketMeta) =>
    `${m.words[SOURCE + 3]}:${m.sourcePort}>${m.words[DESTINATION + 3]}:${m.destinationPort}`;
  for (let i = 0; i < 100_000; i++) {
    const meta = metaOf(prng.below(4), prng.below(4), 10 + prng.below(4), 10 + prng.below(4));
    const back = metaOf(meta.words[DESTINATION + 3]!, meta.destinationPort, meta.words[SOURCE + 3]!, meta.sourcePort);
    const expected = map.get(key(meta)) ?? NO_FLOW;
    assertEquals(table.find(prng.chance(1, 2) ? meta : back), expected);
    if (expected === NO_FLOW) {
      const flow = table.create(meta, false, micros(i));
      if (flow === NO_FLOW) assertEquals(map.size, 64);
      else map.set(key(meta), flow);
    } else if (prng.chance(1, 3)) {
      table.remove(expected);
      map.delete(key(meta));
    } else table.touch(expected, micros(i));
    assertEquals(table.count, map.size);
  }
});
