import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { DNS_TCP_BYTES_MAX } from "../../core/base/limits.ts";
import { parseIp } from "../../core/base/ip_address.ts";
import { micros } from "../../core/base/micros.ts";
import { DnsMemory } from "../../core/classify/dns_memory.ts";
import { DnsTcpReader } from "../../core/classify/dns_tcp.ts";
import { emitDnsMessage } from "../../core/wire/dns_message.ts";
import { viewOf } from "../support/hello_build.ts";
import { joinBytes } from "../support/quic_build.ts";

const NOW = micros(0);
const FIRST_SEQ = 0xffff_fff0;

function framed(name: string, word: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(512));
  const length = emitDnsMessage(view, 2, 510, {
    id: 1,
    flags: 0x8180,
    question: { name, type: 1 },
    answers: [{ name, type: 1, ttl: 60, address: [word] }],
  });
  view.setUint16(0, length);
  return new Uint8Array(view.buffer, 0, length + 2);
}

const stream = joinBytes(...[1, 2, 3, 4].map((i) => framed(`h${i}.example`, 0xc000_0200 + i)));

function namesIn(memory: DnsMemory): (string | undefined)[] {
  return [1, 2, 3, 4].map((i) => memory.nameOf(parseIp(`192.0.2.${i}`)!, NOW)?.name);
}

Deno.test("segment() reads every message of a connection, in segments of any size and order", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(stream.length), { maxLength: 15 }), fc.infiniteStream(fc.nat(50)), (cuts, keys) => {
      const at = [...new Set([0, ...cuts, stream.length])].sort((a, b) => a - b);
      const segments = at.slice(1).map((end, i) => ({ key: keys.next().value, offset: at[i]!, end }));
      const [first, ...rest] = segments; // without a SYN, the first segment that is seen is the beginning
      rest.sort((a, b) => a.key - b.key);
      const memory = new DnsMemory();
      const reader = new DnsTcpReader(memory);
      let count = 0;
      for (const { offset, end } of [first!, ...rest]) {
        count += reader.segment((FIRST_SEQ + offset) >>> 0, viewOf(stream), offset, end - offset, NOW);
      }
      assertEquals(count, 4);
      assertEquals(namesIn(memory), ["h1.example", "h2.example", "h3.example", "h4.example"]);
    }),
    { seed: 31, numRuns: 300 },
  );
});

Deno.test("segment() reads on for as long as a connection lasts, and segments longer than a message may be", () => {
  const memory = new DnsMemory();
  const reader = new DnsTcpReader(memory);
  const many = joinBytes(...new Array<Uint8Array>(4_000).fill(stream));
  assertEquals(many.length > 2 * DNS_TCP_BYTES_MAX, true);
  let count = 0;
  for (let at = 0; at < many.length; at += 200_000) {
    count += reader.segment((FIRST_SEQ + at) >>> 0, viewOf(many), at, Math.min(200_000, many.length - at), NOW);
  }
  assertEquals([count, reader.lost], [16_000, false]);
});

Deno.test("segment() gives up behind a hole that is not filled, and on lengths that lie it learns nothing", () => {
  const memory = new DnsMemory();
  const reader = new DnsTcpReader(memory);
  const zeros = new Uint8Array(DNS_TCP_BYTES_MAX);
  reader.segment(0, viewOf(zeros), 0, 1, NOW);
  reader.segment(100, viewOf(zeros), 0, DNS_TCP_BYTES_MAX - 100, NOW);
  assertEquals(reader.lost, false);
  reader.segment(DNS_TCP_BYTES_MAX, viewOf(zeros), 0, 10, NOW);
  assertEquals([reader.lost, memory.addressCount], [true, 0]);
  assertEquals(reader.segment(1, viewOf(zeros), 0, 100, NOW), 0);

  const empty = new DnsTcpReader(memory);
  assertEquals(empty.segment(0, viewOf(zeros), 0, 1_000, NOW), 500);
  assertEquals(memory.addressCount, 0);
});
