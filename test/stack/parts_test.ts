/** The small parts of a stack, each against something slower or a vector. */
import { assert, assertEquals } from "@std/assert";
import { BufferPool } from "../../core/base/byte_ring.ts";
import { micros, SECOND_US } from "../../core/base/micros.ts";
import { Prng } from "../../core/base/prng.ts";
import { DESTINATION, PacketMeta, SEQUENCE, SOURCE } from "../../core/parse/packet_meta.ts";
import { DatagramInfo, DatagramQueue } from "../../core/stack/datagram_queue.ts";
import { FlowDemux, NO_ENDPOINT } from "../../core/stack/flow_demux.ts";
import { HalfSipHash } from "../../core/stack/half_sip_hash.ts";
import { IdleList } from "../../core/stack/idle_list.ts";
import { TokenBucket } from "../../core/stack/token_bucket.ts";

/** A meta whose few varying bits make tuples meet often. */
function drawMeta(prng: Prng): PacketMeta {
  const meta = new PacketMeta();
  for (let word = 0; word < 4; word++) {
    meta.words[SOURCE + word] = prng.below(2);
    meta.words[DESTINATION + word] = prng.below(2);
  }
  meta.sourcePort = prng.below(3);
  meta.destinationPort = prng.below(3);
  meta.words[SEQUENCE] = 0;
  return meta;
}

function tupleOf(meta: PacketMeta): string {
  return `${meta.words.slice(SOURCE, DESTINATION + 4).join()}/${meta.sourcePort}/${meta.destinationPort}`;
}

Deno.test("FlowDemux agrees with a map of strings over 20,000 seeded steps", () => {
  const prng = new Prng(3);
  const demux = new FlowDemux(99, 512);
  const map = new Map<string, number>();
  let refused = 0;
  for (let step = 0; step < 20_000; step++) {
    const meta = drawMeta(prng);
    const tuple = tupleOf(meta);
    const found = demux.find(meta);
    assertEquals(found, map.get(tuple) ?? NO_ENDPOINT);
    const local = meta.words.slice(DESTINATION, DESTINATION + 4);
    const remote = meta.words.slice(SOURCE, SOURCE + 4);
    assertEquals(demux.findPair(local, meta.destinationPort, remote, meta.sourcePort), found);
    if (found !== NO_ENDPOINT) {
      if (prng.chance(1, 3)) {
        demux.remove(found);
        map.delete(tuple);
      }
    } else {
      const index = demux.add();
      if (index === NO_ENDPOINT) {
        assertEquals(map.size, 512);
        refused++;
      } else {
        assert(![...map.values()].includes(index), "a place is given away once");
        map.set(tuple, index);
      }
    }
    assertEquals(demux.count, map.size);
  }
  assert(refused > 100, "the table was full at times");
});

Deno.test("FlowDemux.findSource() knows a source whatever its packets are for", () => {
  const demux = new FlowDemux(1, 64);
  const meta = drawMeta(new Prng(4));
  assertEquals(demux.findSource(meta), NO_ENDPOINT);
  const index = demux.add();
  meta.destinationPort = 9;
  meta.words[DESTINATION] = 77;
  assertEquals(demux.findSource(meta), index);
  assertEquals(demux.findPair(undefined, 0, meta.words.slice(SOURCE, SOURCE + 4), meta.sourcePort), index);
  meta.sourcePort = 8;
  assertEquals(demux.findSource(meta), NO_ENDPOINT);
});

Deno.test("IdleList agrees with an array over 10,000 seeded steps", () => {
  const prng = new Prng(5);
  const list = new IdleList();
  const array: number[] = [];
  for (let step = 0; step < 10_000; step++) {
    const owner = prng.below(200);
    const at = array.indexOf(owner);
    assertEquals(list.has(owner), at >= 0);
    if (at >= 0) array.splice(at, 1);
    if (prng.chance(1, 2)) {
      list.append(owner);
      array.push(owner);
    } else list.remove(owner);
    assertEquals([list.first, list.count], [array[0] ?? -1, array.length]);
  }
  while (array.length > 0) {
    assertEquals(list.first, array.shift());
    list.remove(list.first);
  }
});

Deno.test("TokenBucket lets a burst through and then its rate", () => {
  const bucket = new TokenBucket(100, 10);
  const count = (at: number) => {
    let taken = 0;
    while (bucket.take(micros(at))) taken++;
    return taken;
  };
  assertEquals([count(0), count(0), count(50_000), count(60_000)], [10, 0, 5, 1]);
  assertEquals(count(100 * SECOND_US), 10, "what is not used is not saved beyond the burst");
});

Deno.test("HalfSipHash answers the vectors of its reference implementation", () => {
  // Source: vectors_hsip32 of the reference implementation: key 00 … 07, message 00, 01, 02 …; whole words only.
  const hash = new HalfSipHash(0x03020100, 0x07060504);
  const wanted = [0x5b9f35a9, 0x89466e2a, 0x8f84b8d0, 0x2f87f057, 0x84acb5d9];
  const answers = wanted.map((_, length) => {
    hash.start();
    for (let i = 0; i < length; i++) hash.add(0x03020100 + i * 0x04040404);
    return hash.finish();
  });
  assertEquals(answers, wanted);
});

Deno.test("DatagramQueue agrees with an array, keeps its bound and gives its memory back", () => {
  const prng = new Prng(6);
  const pool = new BufferPool();
  const queue = new DatagramQueue(pool, 10_000);
  const wanted: { bytes: number[]; port: number; tag: number }[] = [];
  const info = new DatagramInfo();
  const into = new Uint8Array(4_096);
  let full = 0;
  for (let step = 0; step < 5_000; step++) {
    if (prng.chance(1, 2)) {
      const bytes = Array.from({ length: prng.below(2_000) }, () => prng.below(256));
      const entry = { bytes, port: prng.below(65536), tag: prng.below(1 << 20) * 2 ** 30 };
      const words = new Uint32Array([1, 2, 3, entry.port]);
      const used = wanted.reduce((sum, each) => sum + 32 + each.bytes.length, 0);
      const fits = queue.push(new Uint8Array(bytes), 0, bytes.length, words, 0, entry.port, entry.tag);
      assertEquals(fits, used + 32 + bytes.length <= 10_000);
      if (fits) wanted.push(entry);
      else full++;
    } else {
      const first = wanted.shift();
      const room = prng.chance(1, 4) ? 100 : into.length;
      const length = queue.shift(into, 0, room, info);
      if (first === undefined) assertEquals(length, -1);
      else {
        assertEquals([...into.slice(0, length)], first.bytes.slice(0, room));
        assertEquals([info.destinationPort, info.tag, info.destination[3]], [first.port, first.tag, first.port]);
      }
    }
    assertEquals(queue.count, wanted.length);
  }
  assert(full > 100);
  queue.release();
  assertEquals(pool.lentBytes, 0);
});
