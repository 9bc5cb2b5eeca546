import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { formatIp, parseIp } from "../../core/base/ip_address.ts";
import { emptyFacts, Lookup } from "../../core/classify/facts.ts";
import { buildHosts, type HostsEntry, prepareFacts } from "../../core/decide/hosts.ts";

const ENTRIES: readonly HostsEntry[] = [
  { name: "router.lan.example", value: "192.168.1.1" },
  { name: "+.block.example", value: ["0.0.0.0", "::"] },
  { name: "*.wild.example", value: "10.0.0.1" },
  { name: "one.example", value: "two.example" },
  { name: "two.example", value: "router.lan.example" },
  { name: "away.example", value: "elsewhere.example.net" },
  { name: "me.example", value: "lan" },
];

function addresses(host: string): string[] | undefined {
  return buildHosts(ENTRIES, [parseIp("192.168.1.7")!]).hosts.addresses(host)?.map(formatIp);
}

Deno.test("HostsTable.addresses() follows aliases and wildcards", () => {
  assertEquals(addresses("router.lan.example"), ["192.168.1.1"]);
  assertEquals(addresses("a.b.block.example"), ["0.0.0.0", "::"]);
  assertEquals(addresses("block.example"), ["0.0.0.0", "::"]);
  assertEquals(addresses("x.wild.example"), ["10.0.0.1"]);
  assertEquals(addresses("wild.example"), undefined);
  assertEquals(addresses("one.example"), ["192.168.1.1"]);
  assertEquals(addresses("away.example"), undefined);
  assertEquals(addresses("me.example"), ["192.168.1.7"]);
  assertEquals(addresses("localhost"), ["127.0.0.1"]);
});

Deno.test("buildHosts() says which entry is wrong and why, and keeps the others", () => {
  const wrong: readonly (readonly [HostsEntry, string])[] = [
    [{ name: "a.example", value: "single" }, "neither an address nor a name of two labels"],
    [{ name: "a.example", value: ["1.2.3.4", "b.example"] }, '"b.example" is not an address'],
    [{ name: "a.example", value: [] }, "no address"],
    [{ name: "a..example", value: "1.2.3.4" }, "is not a name"],
    [{ name: "a.example", value: "not a name.x" }, "neither an address nor a name"],
  ];
  for (const [entry, message] of wrong) {
    const { hosts, issues } = buildHosts([entry, { name: "good.example", value: "1.2.3.4" }]);
    assertEquals(issues.length, 1);
    assert(issues[0]!.message.includes(message), issues[0]!.message);
    assertEquals(issues[0]!.index, 0);
    assert(hosts.addresses("good.example") !== undefined);
  }
});

Deno.test("buildHosts() names the way when aliases lead in a circle, also through a wildcard", () => {
  const circle = buildHosts([
    { name: "a.example", value: "b.example" },
    { name: "b.example", value: "c.example" },
    { name: "c.example", value: "a.example" },
  ]);
  assertEquals(
    circle.issues[0]!.message,
    "hosts a.example: there is a cycle in domain name mapping: a.example -> b.example -> c.example -> a.example -> b.example",
  );
  const wild = buildHosts([{ name: "+.a.example", value: "x.a.example" }]);
  assert(wild.issues[0]!.message.includes("cycle"));
  assertEquals(wild.hosts.addresses("y.a.example"), undefined);
  const long = buildHosts(
    Array.from({ length: 20 }, (_, i) => ({ name: `n${i}.example`, value: `n${i + 1}.example` })),
  );
  assert(long.issues.some((issue) => issue.message.includes("more than 16 aliases")));
});

Deno.test("prepareFacts() turns a host that is an address into the destination", () => {
  for (const [host, ip] of [["1.2.3.4", "1.2.3.4"], ["2001:db8::1", "2001:db8::1"], ["[::1]", "::1"]] as const) {
    const facts = emptyFacts("tcp");
    facts.host = host;
    prepareFacts(facts, buildHosts([]).hosts);
    assertEquals([facts.host, formatIp(facts.destinationIp!)], ["", ip]);
    assertEquals(facts.dnsMode, "normal");
  }
});

Deno.test("prepareFacts() takes a fixed address and makes a lookup needless, and keeps an address the flow has already", () => {
  const { hosts } = buildHosts(ENTRIES);
  const facts = emptyFacts("tcp");
  facts.host = "One.Example.";
  prepareFacts(facts, hosts);
  assertEquals([facts.host, formatIp(facts.destinationIp!)], ["two.example", "192.168.1.1"]);
  assertEquals([facts.resolveLookup, facts.dnsMode], [Lookup.Done, "hosts"]);
  const other = emptyFacts("tcp");
  other.host = "x.block.example";
  other.destinationIp = parseIp("::");
  prepareFacts(other, hosts);
  assertEquals(formatIp(other.destinationIp!), "::");
});

Deno.test("prepareFacts() leaves a flow alone when the table says nothing", () => {
  const facts = emptyFacts("tcp");
  facts.host = "www.example.org";
  facts.destinationIp = parseIp("1.2.3.4");
  prepareFacts(facts, buildHosts(ENTRIES).hosts);
  assertEquals([facts.host, formatIp(facts.destinationIp!), facts.resolveLookup, facts.dnsMode], [
    "www.example.org",
    "1.2.3.4",
    Lookup.NotTried,
    "normal",
  ]);
});

Deno.test("buildHosts() and lookups never throw and always end when entries are anything", () => {
  const name = fc.oneof(
    fc.string(),
    fc.array(fc.constantFrom("a", "b", "*", "+", "", "com"), { maxLength: 4 }).map((labels) => labels.join(".")),
  );
  const value = fc.oneof(name, fc.array(name, { maxLength: 3 }), fc.constant("1.2.3.4"));
  fc.assert(
    fc.property(fc.array(fc.record({ name, value }), { maxLength: 8 }), name, (entries, host) => {
      const { hosts } = buildHosts(entries);
      const facts = emptyFacts("udp");
      facts.host = host;
      prepareFacts(facts, hosts);
    }),
    { seed: 8, numRuns: 3_000 },
  );
});
