import { assertEquals } from "@std/assert";
import { parseIp } from "../../core/base/ip_address.ts";
import { emptyFacts } from "../../core/classify/facts.ts";
import { isSniffedPort } from "../../core/classify/sniff_options.ts";
import { loadConfig } from "../../core/config/load.ts";
import { namePolicyOf, sniffOptionsOf } from "../../core/config/sniffing.ts";
import type { SnifferConfig } from "../../core/config/weir_config.ts";

async function snifferOf(yaml: string): Promise<SnifferConfig> {
  const files = {
    read: () => Promise.resolve(new TextEncoder().encode(yaml)),
    resolve: (_base: string, path: string) => path,
  };
  const { config, issues } = await loadConfig("clash.yaml", files);
  assertEquals(issues, []);
  return config!.sniffer;
}

Deno.test("sniffOptionsOf() looks for everything everywhere unless the configuration says less", async () => {
  for (const yaml of ["mode: rule", "sniffer: { enable: true }"]) {
    const options = sniffOptionsOf(await snifferOf(yaml));
    assertEquals([options.enabled, isSniffedPort(options.tls, 9), isSniffedPort(options.quic, 65535)], [
      true,
      true,
      true,
    ]);
  }
  assertEquals(sniffOptionsOf(await snifferOf("sniffer: { enable: false }")).enabled, false);
  const some = sniffOptionsOf(
    await snifferOf("sniffer: { enable: true, sniff: { TLS: { ports: [443, 8000-8010] }, HTTP: {} } }"),
  );
  const asked = [443, 8005, 80].map((port) => [isSniffedPort(some.tls, port), isSniffedPort(some.http, port)]);
  assertEquals(asked, [[true, false], [true, false], [false, true]]);
  assertEquals(isSniffedPort(some.quic, 443), false);
});

Deno.test("namePolicyOf() follows the sniffer's lists", async () => {
  const policy = namePolicyOf(
    await snifferOf(`
sniffer:
  enable: true
  force-dns-mapping: false
  parse-pure-ip: false
  force-domain: [+.example.org]
  skip-domain: [ads.example.net]
  skip-dst-address: [203.0.113.0/24]
  skip-src-address: [192.0.2.7/32]
`),
  );
  const facts = emptyFacts("tcp");
  facts.sourceIp = parseIp("192.0.2.1");
  facts.destinationIp = parseIp("198.51.100.1");
  assertEquals([policy.wantsSniff(facts), policy.prefersSniffed(facts)], [false, false]);
  facts.host = "www.example.org";
  assertEquals([policy.wantsSniff(facts), policy.prefersSniffed(facts)], [true, true]);
  facts.destinationIp = parseIp("203.0.113.9");
  assertEquals(policy.wantsSniff(facts), false);
  facts.destinationIp = parseIp("198.51.100.1");
  facts.sourceIp = parseIp("192.0.2.7");
  assertEquals(policy.wantsSniff(facts), false);
  assertEquals([policy.accepts("ads.example.net"), policy.accepts("www.example.net")], [false, true]);
  const open = namePolicyOf(await snifferOf("mode: rule"));
  assertEquals([open.wantsSniff(facts), open.prefersSniffed(facts), open.accepts("ads.example.net")], [
    true,
    true,
    true,
  ]);
});
