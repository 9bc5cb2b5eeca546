import { assertEquals } from "@std/assert";
import fc from "fast-check";
import * as dns from "../../core/wire/dns.ts";
import { type DnsAnswer, type DnsMessage, emitDnsMessage, readDnsMessage } from "../../core/wire/dns_message.ts";
import { hexBytes, viewOf } from "../support/hello_build.ts";

const label = fc.stringMatching(/^[a-z0-9_-]{1,20}$/);
const name = fc.oneof(
  fc.array(label, { minLength: 1, maxLength: 6 }).map((labels) => labels.join(".")),
  fc.constantFrom("", "a\\.b.org", "\\000\\255.x", "\\\\"),
);
const word = fc.nat(0xffff_ffff);
const ttl = fc.nat(0x7fff_ffff);
const answer: fc.Arbitrary<DnsAnswer> = fc.oneof(
  fc.record({ name, type: fc.constant(1 as const), ttl, address: fc.tuple(word) }),
  fc.record({ name, type: fc.constant(28 as const), ttl, address: fc.tuple(word, word, word, word) }),
  fc.record({ name, type: fc.constant(5 as const), ttl, target: name }),
);
const message: fc.Arbitrary<DnsMessage> = fc.record({
  id: fc.nat(0xffff),
  flags: fc.nat(0xffff),
  question: fc.record({ name, type: fc.nat(0xffff) }),
  answers: fc.array(answer, { maxLength: 8 }),
});

Deno.test("readDnsMessage() gives back what emitDnsMessage() wrote", () => {
  fc.assert(
    fc.property(message, (expected) => {
      const view = new DataView(new ArrayBuffer(8_192));
      const length = emitDnsMessage(view, 3, 8_000, expected);
      assertEquals(readDnsMessage(view, 3, length), expected);
    }),
    { seed: 10, numRuns: 500 },
  );
});

Deno.test("emitDnsMessage() writes a query as other resolvers do", () => {
  const view = new DataView(new ArrayBuffer(64));
  const query = { id: 0xabcd, flags: dns.Flags.RecursionDesired, question: { name: "a.org", type: 1 }, answers: [] };
  const length = emitDnsMessage(view, 0, 64, query);
  assertEquals(new Uint8Array(view.buffer, 0, length), hexBytes("abcd010000010000000000000161036f72670000010001"));
});

Deno.test("emitDnsMessage() says so when there is no room, or a name is none", () => {
  const full: DnsMessage = {
    id: 1,
    flags: 0x8180,
    question: { name: "example.com", type: 28 },
    answers: [
      { name: "example.com", type: 5, ttl: 1, target: "alias.example" },
      { name: "alias.example", type: 28, ttl: 1, address: [1, 2, 3, 4] },
    ],
  };
  const view = new DataView(new ArrayBuffer(512));
  const length = emitDnsMessage(view, 0, 512, full);
  assertEquals(length > 0, true);
  const guarded = new DataView(new ArrayBuffer(512));
  for (let room = 0; room < length; room++) {
    assertEquals(emitDnsMessage(guarded, 0, room, full), -1, String(room));
    for (let i = room; i < 512; i++) assertEquals(guarded.getUint8(i), 0, "nothing behind the room");
  }
  for (const bad of ["a..b", ".a", "a.", "a".repeat(64), "\u0100", ("a".repeat(60) + ".").repeat(4) + "a".repeat(20)]) {
    assertEquals(emitDnsMessage(view, 0, 512, { ...full, question: { name: bad, type: 1 } }), -1, bad);
  }
});

Deno.test("readDnsMessage() refuses broken messages and ends on any bytes", () => {
  const view = new DataView(new ArrayBuffer(512));
  const length = emitDnsMessage(view, 0, 512, {
    id: 1,
    flags: 0x8180,
    question: { name: "example.com", type: 1 },
    answers: [{ name: "example.com", type: 1, ttl: 1, address: [0xc0000201] }],
  });
  for (let cut = 0; cut < length; cut++) assertEquals(readDnsMessage(view, 0, cut), undefined, String(cut));
  fc.assert(
    fc.property(fc.nat(length - 1), fc.nat(255), fc.uint8Array({ maxLength: 100 }), (at, value, noise) => {
      const mutated = new Uint8Array(view.buffer.slice(0, length));
      mutated[at] = value;
      readDnsMessage(viewOf(mutated), 0, length);
      readDnsMessage(viewOf(noise), 0, noise.length);
    }),
    { seed: 11, numRuns: 3_000 },
  );
});
