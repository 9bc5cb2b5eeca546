import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { createHelloFacts, readClientHello } from "../../core/wire/tls_client_hello.ts";
import { HelloWalk, TlsHelloWalk } from "../../core/wire/tls_record.ts";
import { helloMessage, type HelloOptions, serverName, tlsHello, tlsRecords, viewOf } from "../support/hello_build.ts";

function read(message: Uint8Array, length = message.length) {
  const facts = createHelloFacts();
  readClientHello(viewOf(message), 0, length, false, facts);
  const name = facts.nameAt < 0
    ? undefined
    : new TextDecoder().decode(message.subarray(facts.nameAt, facts.nameAt + facts.nameLength));
  return { name, ech: facts.ech };
}

Deno.test("readClientHello() finds the name wherever the extensions put it", () => {
  const cases: [string, HelloOptions, string | undefined, boolean][] = [
    ["plain", { name: "example.com" }, "example.com", false],
    ["no session id", { name: "a.org", sessionIdBytes: 0 }, "a.org", false],
    ["many ciphers", { name: "a.org", cipherCount: 20_000 }, "a.org", false],
    ["behind padding", { name: "a.org", paddingBytes: 12_000 }, "a.org", false],
    ["ECH of type outer", { name: "public.example", ech: 0 }, "public.example", true],
    ["ECH of type inner", { name: "a.org", ech: 1 }, "a.org", false],
    ["no name", {}, undefined, false],
    ["no extensions", { withoutExtensions: true }, undefined, false],
  ];
  for (const [title, options, name, ech] of cases) {
    assertEquals(read(helloMessage(options)), { name, ech }, title);
  }
});

Deno.test("readClientHello() skips names of other types and lists that lie", () => {
  const other = [0, 9, 7, 0, 1, 0x78, 0, 0, 2, 0x61, 0x62];
  const lying = serverName("example.com");
  lying[4] = 200;
  for (const [data, name] of [[other, "ab"], [lying, undefined], [[], undefined], [[0, 0], undefined]] as const) {
    const message = [...helloMessage({ withoutExtensions: true })];
    const extension = [0, 0, 0, data.length, ...data];
    message.push(0, extension.length, ...extension);
    assertEquals(read(new Uint8Array(message)).name, name);
  }
});

Deno.test("readClientHello() is safe on every truncated hello and on any bytes", () => {
  const message = helloMessage({ name: "example.com", ech: 0 });
  for (let length = 0; length <= message.length; length++) {
    const { name } = read(message.slice(0, length));
    if (name !== undefined) assertEquals(name, "example.com");
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(199), fc.nat(255), (noise, at, value) => {
      const mutated = message.slice();
      mutated[at % mutated.length] = value;
      for (const bytes of [noise, mutated]) {
        const facts = createHelloFacts();
        readClientHello(viewOf(bytes), 0, bytes.length, at % 2 === 0, facts);
        if (facts.nameAt >= 0 && facts.nameAt + facts.nameLength > bytes.length) return false;
      }
      return true;
    }),
    { seed: 2, numRuns: 5_000 },
  );
});

Deno.test("TlsHelloWalk.step() reaches the message's end at the same place however the bytes come", () => {
  const message = helloMessage({ name: "example.com" });
  for (const fragmentBytes of [1, 2, 3, 7, 100, 16_384]) {
    const records = tlsRecords(message, fragmentBytes);
    const walk = new TlsHelloWalk();
    for (let length = 0; length < records.length; length++) {
      assertEquals(walk.step(viewOf(records), 0, length), HelloWalk.More);
    }
    assertEquals(walk.step(viewOf(records), 0, records.length), HelloWalk.Whole);
    assertEquals(walk.messageBytes, message.length);
    assertEquals(walk.inOneRecord, fragmentBytes >= message.length);
    const out = new DataView(new ArrayBuffer(message.length));
    walk.gather(viewOf(records), 0, message.length, out);
    assertEquals(new Uint8Array(out.buffer), message);
  }
});

Deno.test("TlsHelloWalk.step() refuses at the first byte that no ClientHello has", () => {
  const good = tlsHello({ name: "example.com" });
  const cases: [string, number, number, number][] = [
    ["content type", 0, 23, 1],
    ["version", 1, 2, 2],
    ["record length 0", 4, 0, 5],
    ["record too long", 3, 0x7f, 5],
    ["ServerHello", 5, 2, 6],
    ["message too long", 6, 2, 9],
  ];
  for (const [title, at, value, refusedAt] of cases) {
    const bytes = good.slice();
    bytes[at] = value;
    if (title === "record length 0") bytes[3] = 0;
    const walk = new TlsHelloWalk();
    for (let length = 0; length < refusedAt; length++) {
      assertEquals(walk.step(viewOf(bytes), 0, length), HelloWalk.More, `${title} ${length}`);
    }
    assertEquals(walk.step(viewOf(bytes), 0, refusedAt), HelloWalk.Bad, title);
  }
});
