import { assert, assertEquals } from "@std/assert";
import { CONFIG_BYTES_MAX } from "../../core/base/limits.ts";
import { parseIp } from "../../core/base/ip_address.ts";
import { formatIssue, loadConfig } from "../../core/config/load.ts";
import { MemoryFiles } from "./memory_files.ts";
import { countryDatabase, mmdb, siteDatabase } from "./tiny_databases.ts";

async function issuesOf(file: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<string[]> {
  return (await loadConfig(file, new MemoryFiles(files))).issues.map(formatIssue);
}

Deno.test("loadConfig() says why when the configuration itself cannot be read", async () => {
  assertEquals(await issuesOf("a/c.yaml", {}), [
    "a/c.yaml:1:1: error: Cannot read the configuration a/c.yaml: there is no such file",
  ]);
  assertEquals(await issuesOf("a", { "a/b": "" }), [
    "a:1:1: error: Cannot read the configuration a: it is a folder, expected a file",
  ]);
  assertEquals(await issuesOf("c", { c: "#".repeat(CONFIG_BYTES_MAX + 1) }), [
    "c:1:1: error: Cannot read the configuration c: it is larger than 4194304 bytes",
  ]);
  assertEquals(await issuesOf("c", { c: new Uint8Array([0x61, 0x3a, 0x0a, 0x62, 0xff]) }), [
    "c:2:2: error: Cannot read the configuration: found bytes that are not UTF-8, expected text in UTF-8",
  ]);
});

const SECRET = "hunter2";

Deno.test("loadConfig() shows no secret in any message, whatever is wrong around it", async () => {
  const bad = [
    `proxies: [{name: a, type: ss, server: s, port: 1, password: [${SECRET}], pasword: ${SECRET}}]`,
    `proxies: [{name: a, type: vmess, server: s, uuid: {a: ${SECRET}}}]`,
    `proxies: ["ss://${SECRET}@s:1"]`,
    `proxies: "ss://${SECRET}@s:1"`,
    `proxies: [{name: a, type: ss, server: s, port: 1, password: ${SECRET}: x}]`,
    `proxies: [{name: a, type: ss, server: s, password: "${SECRET}\\q"}]`,
    `proxies:\n- name: a\n  password: ${SECRET}\n type: ss`,
    `proxies: [{name: a, type: ss, udp: true, password: ${SECRET}, password: ${SECRET}}]`,
    `secret: [${SECRET}]`,
    `secert: ${SECRET}`,
    `authentication: ["user:${SECRET}", [${SECRET}]]`,
    `authentication: ${SECRET}`,
    `proxy-providers: {a: {type: http, url: "https://u:${SECRET}@h/x?token=${SECRET}"}}`,
    `proxy-providers: {a: {type: inline, payload: "${SECRET}"}}`,
    `rule-providers: {a: {type: http, behavior: domain, url: "https://h/x?token=${SECRET}", header: {Authorization: ${SECRET}}}}`,
    `dns: {nameserver: ["https://u:${SECRET}@h:99999/dns-query", "foo://h/?k=${SECRET}"]}`,
  ];
  for (const text of bad) {
    const issues = await issuesOf("c.yaml", { "c.yaml": text });
    assert(issues.length > 0, text);
    assert(!issues.join("\n").includes(SECRET), issues.join("\n"));
  }
});

Deno.test("loadConfig() reads a database only when something needs it, and finds it beside the configuration", async () => {
  const databases = {
    "/etc/weir/Country.mmdb": countryDatabase("CN"),
    "/etc/weir/GeoLite2-ASN.mmdb": mmdb("GeoLite2-ASN", { autonomous_system_number: { uint: 64500, type: 6 } }),
    "/etc/weir/geosite.dat": siteDatabase("ADS", ["ads.example"]),
  };
  const read = async (text: string) => {
    const files = new MemoryFiles({ ...databases, "/etc/weir/c.yaml": text });
    const { config, issues } = await loadConfig("/etc/weir/c.yaml", files);
    assertEquals(issues.map(formatIssue), []);
    return { config: config!, reads: files.reads.slice(1) };
  };
  assertEquals((await read("rules: ['GEOIP,lan,DIRECT']")).reads, []);
  const country = await read("rules: ['GEOIP,CN,REJECT']");
  assertEquals(country.reads, ["/etc/weir/geoip.mmdb", "/etc/weir/Country.mmdb"]);
  assertEquals(country.config.decide.geo.country(parseIp("1.2.3.4")!), ["cn"]);
  const asn = await read("rules: ['NOT,((SRC-IP-ASN,64500)),REJECT']");
  assertEquals(asn.reads, ["/etc/weir/GeoLite2-ASN.mmdb"]);
  assertEquals(asn.config.decide.geo.asn(parseIp("1.2.3.4")!)?.number, 64500);
  const sniffer = await read("sniffer: {skip-domain: ['geosite:ads'], skip-dst-address: ['geoip:cn', 'geoip:lan']}");
  assertEquals(sniffer.reads, ["/etc/weir/geoip.mmdb", "/etc/weir/Country.mmdb", "/etc/weir/geosite.dat"]);
  const { skipDomain, skipDestinationAddress } = sniffer.config.sniffer;
  assertEquals(["ads.example", "a.example"].map((host) => skipDomain.has(host)), [true, false]);
  const addresses = ["1.2.3.4", "200.1.1.1", "192.168.1.1"].map((text) => parseIp(text)!);
  assertEquals(addresses.map((ip) => skipDestinationAddress.has(ip)), [true, false, true]);
  const named = await read("rules: ['GEOSITE,ads,REJECT']\nweir: {geo: {geosite: /etc/weir/geosite.dat}}");
  assertEquals(named.reads, ["/etc/weir/geosite.dat"]);
});

Deno.test("loadConfig() lists a thousand issues and counts the others", async () => {
  const lines = Array.from({ length: 1500 }, (_, i) => `  - DOMAIN,a${i}.example,NOWHERE${i}\n`);
  const issues = await issuesOf("c", { c: `rules:\n${lines.join("")}` });
  assertEquals(issues.length, 1001);
  assertEquals(issues.at(-1), "c:1001:25: error: and 500 more issues, which are not listed");
});
