import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { formatIp, parseIp, parsePrefix } from "../../core/base/ip_address.ts";
import { micros, SECOND_US } from "../../core/base/micros.ts";
import { buildHosts } from "../../core/decide/hosts.ts";
import { FakeIpPool } from "../../core/dns/fake_ip_pool.ts";
import {
  addressAnswer,
  addressesOf,
  type DnsAnswer,
  Rcode,
  readAnswer,
  readQuery,
  writeAnswer,
  writeQuery,
} from "../../core/dns/message.ts";
import { Resolver } from "../../core/dns/resolver.ts";
import { DnsServer, type DnsServerOptions } from "../../core/dns/server.ts";

const NOW = micros(0);
const UPSTREAM = { scheme: "udp", host: "up", port: 53, path: "", via: "", options: new Map() } as const;

function serverWith(options: Partial<DnsServerOptions> = {}) {
  const resolver = new Resolver({
    main: [UPSTREAM],
    fallback: [],
    policies: [],
    isFallbackName: () => false,
    isForeign: () => false,
    ipv6: true,
    cacheCount: 16,
  }, () => 9);
  const { hosts } = buildHosts([
    { name: "box.lan", value: ["10.0.0.9", "fd00::9"] },
    { name: "alias.lan", value: "box.lan" },
  ]);
  const server = new DnsServer(
    { mode: "normal", hosts, pool: undefined, isRealIpHost: () => false, fakeIpTtl: 1, ...options },
    resolver,
  );
  return { server, resolver };
}

function fakeServer() {
  const pool = new FakeIpPool(parsePrefix("198.18.0.1/16")!);
  return { pool, ...serverWith({ mode: "fake-ip", pool, isRealIpHost: (name) => name.endsWith(".real") }) };
}

/** Asks and lets the upstream answer. */
function ask(
  { server, resolver }: ReturnType<typeof serverWith>,
  name: string,
  type: string,
  upstream?: DnsAnswer,
  isStream = true,
): DnsAnswer | undefined {
  let reply: Uint8Array | undefined;
  server.handle(writeQuery(77, { name, type }), isStream, NOW, (bytes) => reply = bytes);
  for (const exchange of resolver.exchanges.splice(0)) {
    const query = readQuery(exchange.message)!;
    resolver.answered(exchange.id, upstream && writeAnswer(query, upstream, { bytesMax: 65535 }), NOW);
  }
  return reply && readAnswer(reply, { name, type });
}

Deno.test("handle() answers from the hosts table, aliases with what they stand for", () => {
  const world = serverWith();
  assertEquals(addressesOf(ask(world, "box.lan", "A")!).map(formatIp), ["10.0.0.9"]);
  assertEquals(addressesOf(ask(world, "box.lan", "AAAA")!).map(formatIp), ["fd00::9"]);
  const { answers } = ask(world, "alias.lan", "A")!;
  assertEquals(answers.map(({ type, name, data, ttl }) => [type, name, data, ttl]), [
    ["CNAME", "alias.lan", "box.lan", 10],
    ["A", "box.lan", "10.0.0.9", 10],
  ]);
});

Deno.test("handle() gives fake addresses with their short life, and hides what would lead around them", () => {
  const world = fakeServer();
  const { answers } = ask(world, "example.org", "A")!;
  assertEquals(answers.map(({ data, ttl }) => [data, ttl]), [["198.18.0.4", 1]]);
  for (const type of ["AAAA", "HTTPS", "SVCB"]) {
    const answer = ask(world, "example.org", type)!;
    assertEquals([answer.rcode, answer.answers.length], [Rcode.Success, 0], type);
  }
  assertEquals(world.server.nameOf(parseIp("198.18.0.4")!, NOW), "example.org");
  assert(world.server.isFake(parseIp("198.18.9.9")!));
});

Deno.test("handle() asks the name servers for names that want their real address, and for other types", () => {
  const world = fakeServer();
  const real = addressAnswer("a.real", [parseIp("1.2.3.4")!], 60);
  assertEquals(addressesOf(ask(world, "a.real", "A", real)!).map(formatIp), ["1.2.3.4"]);
  const text = {
    rcode: Rcode.Success,
    answers: [{ name: "example.org", type: "TXT", class: "IN", ttl: 5, data: ["hello"] }],
    authorities: [],
  };
  assertEquals(ask(world, "example.org", "TXT", text)!.answers.length, 1);
});

Deno.test("nameOf() remembers in mode redir-host whom an address was given for, for the answer's time", () => {
  const world = serverWith({ mode: "redir-host" });
  ask(world, "example.org", "A", addressAnswer("example.org", [parseIp("1.2.3.4")!], 60));
  assertEquals(world.server.nameOf(parseIp("1.2.3.4")!, NOW), "example.org");
  assertEquals(world.server.nameOf(parseIp("1.2.3.4")!, micros(61 * SECOND_US)), undefined);
});

Deno.test("handle() cuts an answer that does not fit its datagram, and says so", () => {
  const world = serverWith();
  const many = addressAnswer("big.example", Array.from({ length: 200 }, (_, i) => parseIp(`10.1.${i}.1`)!), 60);
  const cut = ask(world, "big.example", "A", many, false)!;
  assertEquals(cut.answers.length, 0);
  assertEquals(ask(world, "big.example", "A", many, true)!.answers.length, 200);
});

Deno.test("handle() says that it failed when no name server answers usefully", () => {
  const world = serverWith();
  let reply: Uint8Array | undefined;
  world.server.handle(writeQuery(1, { name: "x.example", type: "A" }), false, NOW, (bytes) => reply = bytes);
  for (let turn = 0; turn < 5; turn++) {
    for (const { id } of world.resolver.exchanges.splice(0)) world.resolver.answered(id, undefined, NOW);
  }
  assertEquals(readAnswer(reply!, { name: "x.example", type: "A" })!.rcode, Rcode.ServerFailure);
});

Deno.test("handle() survives whatever comes, and never answers an answer", () => {
  const { server } = serverWith();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      let replies = 0;
      server.handle(bytes, false, NOW, (reply) => {
        replies++;
        assert(reply.length <= 1232 && (reply[2]! & 0x80) !== 0);
      });
      if (bytes.length > 2 && (bytes[2]! & 0x80) !== 0) assertEquals(replies, 0);
    }),
    { seed: 9, numRuns: 2_000 },
  );
});

Deno.test("handle() survives damaged questions", () => {
  const { server } = serverWith();
  const good = writeQuery(3, { name: "www.example.org", type: "HTTPS" });
  for (let at = 0; at < good.length; at++) {
    for (const change of [0x01, 0x80, 0xc0, 0xff]) {
      const bad = good.slice();
      bad[at]! ^= change;
      server.handle(bad, false, NOW, () => {});
    }
  }
});
