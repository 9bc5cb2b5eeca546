import { assert, assertEquals } from "@std/assert";
import { formatIssue, loadConfig, type WeirConfig } from "../../core/config/load.ts";
import { MemoryFiles } from "./memory_files.ts";
import { HANDMADE_FILES, SUBSCRIPTION, TINY } from "./realistic.ts";
import { parseIp } from "../../core/base/ip_address.ts";

async function loadClean(file: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<WeirConfig> {
  const { config, issues } = await loadConfig(file, new MemoryFiles(files));
  assertEquals(issues.map(formatIssue), []);
  assert(config !== undefined);
  return config;
}

Deno.test("loadConfig() without a file has no rules and decides DIRECT by itself", async () => {
  const { config, issues } = await loadConfig(undefined, new MemoryFiles({}));
  assertEquals(issues, []);
  assertEquals(config?.decide.rules, []);
  assertEquals(config?.general.mode, "rule");
  assertEquals(config?.tun.stack, "netstack");
  assertEquals(config?.sniffer.enable, false);
  assertEquals(config?.dns.fakeIpRange.bits, 16);
});

Deno.test("loadConfig() reads the smallest configuration, and an empty one", async () => {
  const config = await loadClean("c.yaml", { "c.yaml": TINY });
  assertEquals(config.decider.rules, [{ type: "Match", payload: "", proxy: "DIRECT" }]);
  assertEquals((await loadClean("c.yaml", { "c.yaml": "# nothing yet\n" })).decide.rules, []);
});

Deno.test("loadConfig() reads a subscription's configuration without a complaint", async () => {
  const config = await loadClean("c.yaml", { "c.yaml": SUBSCRIPTION });
  assertEquals(config.decide.rules.length, 11);
  const { targets } = config.decide;
  // exclude-filter takes everything ending in 01, exclude-type the trojan: what is left begins with US 02.
  assertEquals(targets.find("auto")?.chain, ["US 02", "auto"]);
  // The lookahead leaves HK, hy2, wg, home and dns-out.
  assertEquals(targets.find("balance")?.chain, ["🇭🇰 HK 01", "balance"]);
  assertEquals(targets.find("office")?.chain, ["US 02", "auto", "office"]);
  assertEquals([targets.find("backup")?.udp, targets.find("US 02")?.udp, targets.find("home")?.udp], [
    false,
    true,
    false,
  ]);
  const { dns } = config;
  assertEquals(dns.enhancedMode, "fake-ip");
  assertEquals(dns.nameserver.map(({ scheme, host, port, path, via }) => [scheme, host, port, path, via]), [
    ["https", "doh.example", 443, "/dns-query", ""],
    ["https", "1.12.12.12", 443, "/dns-query", "office"],
    ["quic", "dns.example", 784, "", ""],
    ["dhcp", "en0", 0, "", ""],
  ]);
  assertEquals(dns.nameserver[1]?.options, new Map([["h3", "true"]]));
  assertEquals(dns.proxyServerNameserver.slice(1).map(({ host, port }) => [host, port]), [["2620:fe::fe", 9953], [
    "2620:fe::9",
    53,
  ]]);
  assertEquals(dns.nameserverPolicy.map(({ names, servers }) => [names, servers.length]), [["+.corp.example", 1], [
    "a.example,b.example",
    2,
  ]]);
  const real = ["printer.lan", "a.b.local", "time.apple.com", "localhost.example", "single", "mijia cloud"];
  assertEquals(real.map(dns.isRealIpHost), real.map(() => true));
  assertEquals(["www.example.org", "a.b.lan"].map(dns.isRealIpHost), [false, false]);
});

Deno.test("loadConfig() reads a hand-made configuration with all its files", async () => {
  const config = await loadClean("/etc/weir/config.yaml", HANDMADE_FILES);
  const { decide, sniffer, tun } = config;
  assertEquals([...decide.providers].map(([name, { behavior, count }]) => [name, behavior, count]), [
    ["private", "domain", 2],
    ["lan", "ipcidr", 3],
    ["apps", "classical", 2],
  ]);
  // The provider's filter drops US 1; its prefix goes before the other names.
  assertEquals(decide.targets.find("fast")?.chain, ["[p] HK 1", "fast"]);
  assertEquals(decide.targets.find("pick")?.chain, ["[p] HK 1", "fast", "pick"]);
  assertEquals(decide.targets.find("US 1"), undefined);
  assertEquals(decide.targets.find("GLOBAL")?.chain, ["[p] HK 1", "fast", "pick", "GLOBAL"]);
  assertEquals(config.policy, "/etc/weir/policy.ts");
  assertEquals(config.divert.mode, "redirect");
  assertEquals([tun.enable, tun.stack, tun.mtu, config.general.ipv6], [true, "mixed", 1500, false]);
  assertEquals(tun.dnsHijack.map(({ network, ip, port }) => [network, ip.version, port]), [["any", 4, 53], [
    "tcp",
    4,
    53,
  ], ["any", 6, 53]]);
  assertEquals(sniffer.http, { ports: [{ low: 80, high: 80 }, { low: 8080, high: 8880 }], overrideDestination: true });
  assertEquals(sniffer.tls?.overrideDestination, false);
  assertEquals(sniffer.quic, { ports: [{ low: 443, high: 443 }], overrideDestination: false });
  assertEquals(
    ["router.asus.example", "a.push.apple.example", "x.lan", "example.org"].map((host) => sniffer.skipDomain.has(host)),
    [
      true,
      true,
      true,
      false,
    ],
  );
  assertEquals(
    ["192.168.0.3", "10.1.1.1", "fc00::5", "8.8.8.8"].map((text) => sniffer.skipDestinationAddress.has(parseIp(text)!)),
    [
      true,
      true,
      true,
      false,
    ],
  );
  assertEquals(decide.hosts.addresses("a.dev.example")?.length, 2);
  assertEquals(decide.hosts.addresses("alias.example"), [parseIp("192.168.1.1")!]);
});

Deno.test("loadConfig() loads 10,000 rules within a second or so", async () => {
  const lines = Array.from(
    { length: 10_000 },
    (_, i) => `  - DOMAIN-SUFFIX,example${i}.org,${i % 2 ? "DIRECT" : "REJECT"}\n`,
  );
  const began = performance.now();
  const config = await loadClean("c.yaml", { "c.yaml": `rules:\n${lines.join("")}` });
  assertEquals(config.decide.rules.length, 10_000);
  assert(performance.now() - began < 5_000, "the bound is loose: test machines are shared");
});

Deno.test("loadConfig() puts the rules of a script first and reports them at their own place", async () => {
  const asked: (string | undefined)[] = [];
  const scriptRules = (path: string | undefined) => {
    asked.push(path);
    return Promise.resolve([
      { text: "DOMAIN,a.example,REJECT", file: "p.ts", line: 3, column: 5 },
      { text: "DOMAIN,b.example,offize", file: "p.ts", line: 4, column: 5 },
      { text: "DOMAN,b.example,DIRECT", file: "p.ts", line: 5, column: 5 },
    ]);
  };
  const text =
    "weir: {policy: p.ts}\nproxy-groups: [{name: office, type: select, proxies: [DIRECT]}]\nrules: ['MATCH,office']\n";
  const { config, issues } = await loadConfig("/a/c.yaml", new MemoryFiles({ "/a/c.yaml": text }), { scriptRules });
  assertEquals(asked, ["/a/p.ts"]);
  assertEquals(config, undefined);
  assertEquals(issues.map(formatIssue), [
    'p.ts:4:5: error: Cannot read the rule "DOMAIN,b.example,offize": found "offize", expected the name of a proxy or group; did you mean "office"?',
    'p.ts:5:5: error: Cannot read the rule "DOMAN,b.example,DIRECT": unsupported rule type: DOMAN, expected DOMAIN',
  ]);
  const good = await loadConfig("/a/c.yaml", new MemoryFiles({ "/a/c.yaml": text }), {
    scriptRules: async (path) => (await scriptRules(path)).slice(0, 1),
  });
  assertEquals(good.config?.decider.rules.map((rule) => rule.type), ["Domain", "Match"]);
});
