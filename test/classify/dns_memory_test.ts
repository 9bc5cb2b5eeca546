import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  DNS_MEMORY_ADDRESSES_MAX,
  DNS_MEMORY_NAMES_MAX,
  DNS_MEMORY_NAMES_PER_ADDRESS_MAX,
  DNS_MEMORY_TTL_US_MAX,
  DNS_MEMORY_TTL_US_MIN,
} from "../../core/base/limits.ts";
import { formatIp, type IpAddress, ipv4FromWord, parseIp } from "../../core/base/ip_address.ts";
import { addMicros, type Micros, micros, SECOND_US } from "../../core/base/micros.ts";
import { DnsMemory } from "../../core/classify/dns_memory.ts";
import { type DnsAnswer, type DnsMessage, emitDnsMessage } from "../../core/wire/dns_message.ts";
import { hexBytes, viewOf } from "../support/hello_build.ts";

const NOW = micros(1_000_000);

function ip(text: string): IpAddress {
  return parseIp(text)!;
}

function a(name: string, address: string, ttl = 60): DnsAnswer {
  return { name, type: 1, ttl, address: [ip(address).w3] };
}

function aaaa(name: string, address: string, ttl = 60): DnsAnswer {
  const { w0, w1, w2, w3 } = ip(address);
  return { name, type: 28, ttl, address: [w0, w1, w2, w3] };
}

function cname(name: string, target: string): DnsAnswer {
  return { name, type: 5, ttl: 60, target };
}

function response(name: string, type: number, answers: DnsAnswer[], flags = 0x8180): Uint8Array {
  const message: DnsMessage = { id: 1, flags, question: { name, type }, answers };
  const view = new DataView(new ArrayBuffer(4_096));
  return new Uint8Array(view.buffer, 0, emitDnsMessage(view, 0, 4_096, message));
}

function observe(memory: DnsMemory, bytes: Uint8Array, now: Micros = NOW): boolean {
  return memory.observeMessage(viewOf(bytes), 0, bytes.length, now);
}

Deno.test("observeMessage() gives addresses the name of the question, behind any chain of aliases", () => {
  const cases: [string, string, DnsAnswer[], string, string | undefined][] = [
    ["A", "www.example.com", [a("www.example.com", "192.0.2.1")], "192.0.2.1", "www.example.com"],
    ["AAAA", "example.com", [aaaa("example.com", "2001:db8::1")], "2001:db8::1", "example.com"],
    ["one alias", "a.org", [cname("a.org", "b.org"), a("b.org", "192.0.2.1")], "192.0.2.1", "a.org"],
    [
      "three aliases, backwards",
      "a.org",
      [a("d.org", "192.0.2.1"), cname("c.org", "d.org"), cname("b.org", "c.org"), cname("a.org", "b.org")],
      "192.0.2.1",
      "a.org",
    ],
    ["a record of somebody else", "a.org", [a("bank.example", "192.0.2.1")], "192.0.2.1", undefined],
    ["an alias of somebody else", "a.org", [cname("x.org", "b.org"), a("b.org", "192.0.2.1")], "192.0.2.1", undefined],
    [
      "aliases in a circle",
      "a.org",
      [cname("a.org", "b.org"), cname("b.org", "a.org"), a("b.org", "192.0.2.1")],
      "192.0.2.1",
      "a.org",
    ],
    ["a filter's refusal", "ads.example", [a("ads.example", "0.0.0.0")], "0.0.0.0", undefined],
    ["a name that is none", "a\\032b.org", [a("a\\032b.org", "192.0.2.1")], "192.0.2.1", undefined],
  ];
  for (const [title, name, answers, address, expected] of cases) {
    const memory = new DnsMemory();
    assertEquals(observe(memory, response(name, 1, answers)), expected !== undefined, title);
    assertEquals(memory.nameOf(ip(address), NOW)?.name, expected, title);
    assertEquals(memory.addressesOf(name, NOW).map(formatIp), expected === undefined ? [] : [address], title);
  }
});

Deno.test("observeMessage() makes the question's capitals small, as 0x20 resolvers mix them", () => {
  const memory = new DnsMemory();
  const bytes = response("WwW.eXample.com", 1, [a("WwW.eXample.com", "192.0.2.1")]);
  observe(memory, bytes);
  assertEquals(memory.nameOf(ip("192.0.2.1"), NOW)?.name, "www.example.com");
});

Deno.test("observeMessage() learns nothing from queries, failures and questions of other types", () => {
  const answers = [a("a.org", "192.0.2.1")];
  const cases: [string, Uint8Array][] = [
    ["query", response("a.org", 1, answers, 0x0100)],
    ["NXDOMAIN", response("a.org", 1, answers, 0x8183)],
    ["another opcode", response("a.org", 1, answers, 0xa180)],
    ["TXT", response("a.org", 16, answers)],
    ["empty", new Uint8Array(0)],
    ["header alone", hexBytes("000181800001000100000000")],
  ];
  for (const [title, bytes] of cases) {
    const memory = new DnsMemory();
    assertEquals([observe(memory, bytes), memory.addressCount], [false, 0], title);
  }
});

Deno.test("nameOf() says when several names were asked for that have one address, the last one first", () => {
  const memory = new DnsMemory();
  const address = ip("192.0.2.1");
  observe(memory, response("a.org", 1, [a("a.org", "192.0.2.1")]));
  assertEquals(memory.nameOf(address, NOW), { name: "a.org", ambiguous: false });
  observe(memory, response("b.org", 1, [a("b.org", "192.0.2.1", 100_000)]));
  assertEquals(memory.nameOf(address, NOW), { name: "b.org", ambiguous: true });
  observe(memory, response("a.org", 1, [a("a.org", "192.0.2.1")]));
  assertEquals(memory.nameOf(address, NOW), { name: "a.org", ambiguous: true });
  const later = addMicros(NOW, DNS_MEMORY_TTL_US_MIN + 1);
  assertEquals(memory.nameOf(address, later), { name: "b.org", ambiguous: false });
});

Deno.test("nameOf() and addressesOf() keep names for their TTL, within a floor and a ceiling", () => {
  const cases: [number, number][] = [
    [0, DNS_MEMORY_TTL_US_MIN],
    [30, DNS_MEMORY_TTL_US_MIN],
    [3_600, 3_600 * SECOND_US],
    [0x7fff_ffff, DNS_MEMORY_TTL_US_MAX],
  ];
  for (const [ttl, keptUs] of cases) {
    for (const [after, known] of [[keptUs, true], [keptUs + 1, false]] as const) {
      const memory = new DnsMemory();
      observe(memory, response("a.org", 1, [a("a.org", "192.0.2.1", ttl)]));
      const then = addMicros(NOW, after);
      assertEquals(memory.nameOf(ip("192.0.2.1"), then) !== undefined, known, `${ttl} s after ${after} µs`);
      assertEquals(memory.addressesOf("a.org", then).length, known ? 1 : 0);
    }
  }
});

Deno.test("addressesOf() gives the addresses of both families once each", () => {
  const memory = new DnsMemory();
  observe(memory, response("a.org", 1, [a("a.org", "192.0.2.1"), a("a.org", "192.0.2.2")]));
  observe(memory, response("a.org", 28, [aaaa("a.org", "2001:db8::1"), aaaa("a.org", "::ffff:192.0.2.3")]));
  observe(memory, response("a.org", 1, [a("a.org", "192.0.2.1")]));
  assertEquals(memory.addressesOf("a.org", NOW).map(formatIp).sort(), [
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.3",
    "2001:db8::1",
  ]);
  assertEquals(memory.nameOf(ip("192.0.2.3"), NOW)?.name, "a.org");
});

Deno.test("DnsMemory stays within its bounds and forgets what was used longest ago", () => {
  const memory = new DnsMemory();
  const address = (i: number): IpAddress => ipv4FromWord(0x0a00_0000 + i);
  for (let i = 0; i < DNS_MEMORY_ADDRESSES_MAX; i++) memory.remember("a.org", address(i), SECOND_US, NOW);
  memory.nameOf(address(0), NOW);
  memory.remember("a.org", address(DNS_MEMORY_ADDRESSES_MAX), SECOND_US, NOW);
  assertEquals(memory.addressCount, DNS_MEMORY_ADDRESSES_MAX);
  assertEquals(memory.nameOf(address(0), NOW)?.name, "a.org");
  assertEquals(memory.nameOf(address(1), NOW), undefined);

  const names = new DnsMemory();
  for (let i = 0; i <= DNS_MEMORY_NAMES_MAX; i++) names.remember(`h${i}.org`, address(7), SECOND_US, NOW);
  assertEquals(names.addressesOf("h0.org", NOW), []);
  assertEquals(names.addressesOf("h1.org", NOW).length, 1);
  assertEquals(names.nameOf(address(7), NOW), { name: `h${DNS_MEMORY_NAMES_MAX}.org`, ambiguous: true });
  assert(DNS_MEMORY_NAMES_PER_ADDRESS_MAX < DNS_MEMORY_NAMES_MAX);
});

Deno.test("observeMessage() comes to no harm from counts that lie, loops, and any bytes", () => {
  const good = response("a.org", 1, [cname("a.org", "b.org"), a("b.org", "192.0.2.1"), a("b.org", "192.0.2.2")]);
  const lying = good.slice();
  lying[6] = 0xff;
  const memory = new DnsMemory();
  assertEquals(observe(memory, lying), true, "what stood before the missing records counts");
  const loop = hexBytes("000181800001000100000000" + "c00c" + "00010001" + "c00c000100010000003c0004c0000201");
  assertEquals(observe(memory, loop), false);
  const change = fc.tuple(fc.nat(good.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(change, { maxLength: 5 }), fc.nat(good.length), fc.uint8Array({ maxLength: 90 }), (
      changes,
      length,
      noise,
    ) => {
      const mutated = good.slice();
      for (const [at, value] of changes) mutated[at] = value;
      observe(memory, mutated.slice(0, length));
      observe(memory, new Uint8Array([0, 1, 0x81, 0x80, 0, 1, 0, 9, ...noise]));
    }),
    { seed: 30, numRuns: 5_000 },
  );
});
