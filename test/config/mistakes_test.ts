import { assertEquals } from "@std/assert";
import { formatIssue, loadConfig } from "../../core/config/load.ts";
import { MemoryFiles } from "./memory_files.ts";
import { siteDatabase } from "./tiny_databases.ts";

/** One bad configuration, its other files, and every issue it must give, without the `c.yaml:` in front. */
interface Case {
  readonly name: string;
  readonly text: string;
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  readonly issues: readonly string[];
}

const CASES: readonly Case[] = [
  {
    name: "values of the wrong kind at the top level",
    text: `port: 70000
mode: Rulee
ipv6: maybe
log-level: [info]
allow-lan: {a: 1}
keep-alive-interval: -5
rules: MATCH,DIRECT
`,
    issues: [
      '1:7: error: Cannot read port: found "70000", expected a port from 0 to 65535',
      '2:7: error: Cannot read mode: found "Rulee", expected one of rule, global, direct; did you mean "rule"?',
      '3:7: error: Cannot read ipv6: found "maybe", expected true or false',
      "4:12: error: Cannot read log-level: found a list, expected one of silent, error, warning, info, debug, warn",
      "5:12: error: Cannot read allow-lan: found a table, expected true or false",
      '6:22: error: Cannot read keep-alive-interval: found "-5", expected a whole number from 0 to 86400 (seconds)',
      "7:8: error: Cannot read rules: found a single value, expected a list of rules",
    ],
  },
  {
    name: "a file that is a list",
    text: "- MATCH,DIRECT\n",
    issues: [
      "1:1: error: Cannot read the configuration: found a list, expected a table of keys and values",
    ],
  },
  {
    name: "unknown keys on several levels, and keys that weir does not use yet",
    text: `rulse: []
dns: {enabel: true}
tun: {stack: system, mtuu: 1500, include-package: [a]}
sniffer: {sniff: {TSL: {ports: [443]}}}
completely-different: 1
listeners: []
interface-name: eth0
`,
    issues: [
      '1:1: warning: unknown key "rulse"; did you mean "rules"?',
      '2:7: warning: unknown key "enabel" in dns; did you mean "enable"?',
      '3:22: warning: unknown key "mtuu" in tun; did you mean "mtu"?',
      '3:34: warning: weir does not use "include-package" in tun yet: traffic of every program goes into the device',
      '4:19: warning: unknown key "TSL" in sniffer.sniff; did you mean "TLS"?',
      '5:1: warning: unknown key "completely-different"',
      '7:1: warning: weir does not use "interface-name" yet: connections leave by the system\'s own choice of interface',
    ],
  },
  {
    name: "rules, each at the field that is wrong",
    text: `rules:
  - DOMAIN-SUFFIX,example.org,DIRCT
  - 'DOMAN,x.example,DIRECT'
  - "IP-CIDR,10.0.0.0/33,DIRECT"
  - DST-PORT,70000,DIRECT
  -   NETWORK , icmp , DIRECT
  - DOMAIN,a.example
  - AND,((DOMAIN,a.example),(RULE-SET,lists)),DIRECT
  - SUB-RULE,(NETWORK,tcp),more
  - GEOIP,lan,direct,no-resolve
  - [DOMAIN, a.example, DIRECT]
  - 'PROCESS-NAME,it''s.exe,REJCT'
  - MATCH
rule-providers:
  list: {type: inline, behavior: domain, payload: [a.example]}
sub-rules:
  mode: [MATCH,DIRECT]
`,
    issues: [
      '2:31: error: Cannot read rules[0]: found "DIRCT", expected the name of a proxy or group; did you mean "DIRECT"?',
      "3:6: error: Cannot read rules[1]: unsupported rule type: DOMAN, expected DOMAIN",
      '4:14: error: Cannot read rules[2]: "10.0.0.0/33" is not an address prefix, expected 192.0.2.0/24 or 2001:db8::/32',
      "5:14: error: Cannot read rules[3]: 70000 exceeds 65535, expected 80/443/8000-9000",
      "6:17: error: Cannot read rules[4]: unsupported network type, only TCP/UDP, expected tcp or udp",
      "7:5: error: Cannot read rules[5]: missing target in a DOMAIN rule, expected DOMAIN,www.example.org,TARGET",
      '8:39: error: Cannot read rules[6]: found "lists", expected the name of a rule-provider; did you mean "list"?',
      '9:28: error: Cannot read rules[7]: found "more", expected the name of a sub-rule; did you mean "mode"?',
      '10:15: error: Cannot read rules[8]: found "direct", expected the name of a proxy or group; did you mean "DIRECT"?',
      "11:5: error: Cannot read rules[9]: found a list, expected a rule like DOMAIN-SUFFIX,example.org,DIRECT",
      '12:29: error: Cannot read rules[10]: found "REJCT", expected the name of a proxy or group; did you mean "REJECT"?',
      "13:5: error: Cannot read rules[11]: missing target in a MATCH rule, expected MATCH,TARGET",
      "17:10: error: Cannot read sub-rules.mode[0]: missing target in a MATCH rule, expected MATCH,TARGET",
      "17:16: error: Cannot read sub-rules.mode[1]: unsupported rule type: DIRECT, expected DOMAIN-SUFFIX, IP-CIDR, MATCH, …",
    ],
  },
  {
    name: "proxies",
    text: `proxies:
  - {name: a, type: ss, server: 192.0.2.1, port: 443, pasword: hunter2}
  - {name: a, type: sss, server: 192.0.2.1, port: 0}
  - {name: DIRECT, type: direct}
  - {type: http, server: 192.0.2.1, port: http}
  - {name: b, type: vmess}
  - ss://secret@192.0.2.1:443
  - {name: c, type: hysteria2, server: x, ports: 1-2, ip-version: 4, dialer-proxy: aa}
  - name: ${"n".repeat(300)}
    type: direct
    udp: 1
`,
    issues: [
      '2:55: warning: unknown key "pasword" in proxies[0]; did you mean "password"?',
      '3:12: error: Cannot read proxies[1].name: found "a", expected another name: it is taken in line 2',
      '3:21: error: Cannot read proxies[1].type: found "sss", expected one of direct, dns, hysteria, hysteria2, tuic, socks5, ss, ssr, trojan, vmess, vless, snell, wireguard, mieru, anytls, http, ssh, reject, masque, sudoku, trusttunnel; did you mean "ss"?',
      '4:12: error: Cannot read proxies[2].name: found "DIRECT", expected another name: it is built in',
      '5:5: error: Cannot read proxies[3]: the key "name" is missing',
      '5:43: error: Cannot read proxies[3].port: found "http", expected a port from 0 to 65535',
      '6:5: error: Cannot read the proxy "b": the key "server" is missing',
      '6:5: error: Cannot read the proxy "b": the key "port" is missing',
      "7:5: error: Cannot read proxies[5]: found a single value, expected a table of keys and values",
      '8:67: error: Cannot read proxies[6].ip-version: found "4", expected one of dual, ipv4, ipv6, ipv4-prefer, ipv6-prefer',
      '8:84: error: Cannot read the proxy "c": found "aa", expected the name of a proxy or group',
      "9:11: error: Cannot read proxies[7].name: found a name of 300 characters, expected at most 256",
      '11:10: error: Cannot read proxies[7].udp: found "1", expected true or false',
    ],
  },
  {
    name: "groups",
    text: `proxies: [{name: hong-kong, type: direct}]
proxy-groups:
  - {name: office, type: select, proxies: [hong-kog, loop, DIRECT]}
  - {name: loop, type: fallback, proxies: [other], interval: soon}
  - {name: other, type: url-tset, proxies: [office]}
  - {name: empty, type: select}
  - {name: hong-kong, type: select, proxies: [DIRECT]}
  - {name: use, type: select, use: [providr], filter: "(", tolerence: 5}
  - {name: all, type: select, proxies: [GLOBAL], expected-status: 20x}
  - just-a-name
proxy-providers:
  provider: {type: http, url: "https://user:pass@x.example/", path: x.yaml}
  file: {type: file, path: missing.yaml}
  nofile: {type: file}
  bad: {type: file, path: bad.yaml}
`,
    files: { "bad.yaml": "proxies:\n  - {name: x, type: ss, server: s}\n" },
    issues: [
      '3:44: error: Cannot read the group "office": found "hong-kog", expected the name of a proxy or group; did you mean "hong-kong"?',
      '4:62: error: Cannot read proxy-groups[1].interval: found "soon", expected a whole number from 0 to 31536000 (seconds)',
      '5:25: error: Cannot read proxy-groups[2].type: found "url-tset", expected one of select, url-test, fallback, load-balance, relay; did you mean "url-test"?',
      '5:45: error: Cannot read the group "other": loop is detected in ProxyGroup: office -> loop -> other -> office',
      '6:5: error: Cannot read the group "empty": no members, expected "proxies", "use" or "include-all"',
      '7:12: error: Cannot read proxy-groups[4].name: found "hong-kong", expected another name: it is taken in line 1',
      '8:37: error: Cannot read the group "use": found "providr", expected the name of a proxy-provider; did you mean "provider"?',
      '8:55: error: Cannot read proxy-groups[5].filter: found "(", expected a regular expression; invalid regular expression: missing closing ): `(?i)(`',
      '8:60: warning: unknown key "tolerence" in proxy-groups[5]; did you mean "tolerance"?',
      '9:41: error: Cannot read the group "all": found "GLOBAL", expected the name of a proxy or group',
      '9:67: error: Cannot read proxy-groups[6].expected-status: found "20x", expected HTTP status codes like "200/302-308", or *',
      "10:5: error: Cannot read proxy-groups[7]: found a single value, expected a table of keys and values",
      '12:31: error: Cannot fetch the proxy-provider "provider": nothing is downloaded here',
      '13:28: error: Cannot read the proxy-provider "file" missing.yaml: there is no such file',
      '14:11: error: Cannot read proxy-providers.nofile: the key "path" is missing',
      'bad.yaml:2:5: error: Cannot read the proxy "x": the key "port" is missing',
    ],
  },
  {
    name: "rule-providers",
    text: `rule-providers:
  a: {type: file, behavior: domain, path: lists/missing.txt, format: text}
  b: {type: http, behavior: domain, url: "https://x.example/list?token=secret", path: b.yaml}
  c: {type: file, behavior: ipcidr, path: c.mrs, format: mrs}
  d: {type: inline, behavior: classical, payload: ["DOMAIN,a.example", "MATCH", 'IP-CIDR,1.2.3.4/99']}
  e: {type: file, behavior: domian, path: e.txt}
  f: {type: file, behavior: domain}
  g: {behavior: domain, path: g.txt}
  h: {type: file, behavior: ipcidr, path: h.txt, format: text}
  i: {type: file, behavior: classical, path: i.yaml}
  j: {type: file, behavior: domain, path: lists}
rules:
  - RULE-SET,b,DIRECT
  - RULE-SET,e,DIRECT
`,
    files: {
      "h.txt": "10.0.0.0/8\nexample.org\n  10.0.0.256\n",
      "i.yaml": "payload:\n  - 'DOMAN,x'\n",
      "lists/x": "",
    },
    issues: [
      '2:43: error: Cannot read the rule-provider "a" lists/missing.txt: there is no such file',
      '3:42: error: Cannot fetch the rule-provider "b": nothing is downloaded here',
      '4:58: error: Cannot read rule-providers.c.format: the format "mrs" is not supported, expected "yaml" or "text"',
      "5:73: error: Cannot read rule-providers.d.payload[1]: unsupported rule type on classical rule-set: MATCH",
      '5:90: error: Cannot read rule-providers.d.payload[2]: "1.2.3.4/99" is not an address prefix; expected 192.0.2.0/24 or 2001:db8::/32',
      '6:29: error: Cannot read rule-providers.e.behavior: found "domian", expected one of domain, ipcidr, classical; did you mean "domain"?',
      '7:6: error: Cannot read rule-providers.f: the key "path" is missing',
      '8:6: error: Cannot read rule-providers.g: the key "type" is missing',
      '11:43: error: Cannot read the rule-provider "j" lists: it is a folder, expected a file',
      'h.txt:2:1: warning: the rule-provider "h" goes on without this line: invalid ipcidr: "example.org"',
      'h.txt:3:3: warning: the rule-provider "h" goes on without this line: invalid ipcidr: "10.0.0.256"',
      'i.yaml:2:6: error: Cannot read the rule-provider "i": unsupported rule type: DOMAN; expected DOMAIN',
    ],
  },
  {
    name: "sub-rules that go in circles",
    text: `sub-rules:
  one: ["SUB-RULE,(NETWORK,tcp),two"]
  two:
    - MATCH,DIRECT
    - SUB-RULE,(NETWORK,udp),one
`,
    issues: [
      "5:30: error: Cannot read sub-rules.two[1]: sub-rule error: circular references [one->two->one]",
    ],
  },
  {
    name: "hosts",
    text: `hosts:
  a.example: 1.2.3.4
  b.example: nothing
  c.example: d.example
  d.example: c.example
  e.example: [1.2.3.4, e.example]
  f..example: 1.2.3.4
  g.example: {a: 1}
`,
    issues: [
      '3:3: error: Cannot read hosts b.example: "nothing" is neither an address nor a name of two labels or more',
      "4:3: error: Cannot read hosts c.example: there is a cycle in domain name mapping: c.example -> d.example -> c.example -> d.example",
      "5:3: error: Cannot read hosts d.example: there is a cycle in domain name mapping: d.example -> c.example -> d.example -> c.example",
      '6:3: error: Cannot read hosts e.example: "e.example" is not an address',
      '7:3: error: Cannot read hosts: "f..example" is not a name',
      "8:14: error: Cannot read hosts.g.example: found a table, expected an IP address or a name",
    ],
  },
  {
    name: "the sniffer",
    text: `sniffer:
  enable: yess
  sniff: {TLS: {ports: [443, 9-1, 70000]}, QUIC: 443}
  force-domain: ["a..b", "rule-set:lits"]
  skip-src-address: [10.0.0.0/40, "rule-set:list"]
rule-providers:
  list: {type: inline, behavior: domain, payload: [a.example]}
`,
    issues: [
      '2:11: error: Cannot read sniffer.enable: found "yess", expected true or false',
      '3:30: error: Cannot read sniffer.sniff.TLS.ports[1]: found "9-1", expected a port or a range like 8000-9000',
      '3:35: error: Cannot read sniffer.sniff.TLS.ports[2]: found "70000", expected a port or a range like 8000-9000',
      "3:50: error: Cannot read sniffer.sniff.QUIC: found a single value, expected a table of keys and values",
      '4:18: error: Cannot read sniffer.force-domain[0]: found "a..b", expected a name pattern like "+.example.org", "*.example.org", "geosite:cn" or "rule-set:name"',
      '4:26: error: Cannot read sniffer.force-domain[1]: found "lits", expected the name of a rule-provider; did you mean "list"?',
      '5:22: error: Cannot read sniffer.skip-src-address[0]: found "10.0.0.0/40", expected an address block like "10.0.0.0/8", "geoip:cn" or "rule-set:name"',
      '5:35: error: Cannot read sniffer.skip-src-address[1]: "list" has behavior domain, expected a rule-provider of ipcidr',
    ],
  },
  {
    name: "dns",
    text: `dns:
  enhanced-mode: fakeip
  fake-ip-range: 198.18.0.1
  fake-ip-filter: [" a", "rule-set:list"]
  default-nameserver: [dns.example]
  nameserver: [1.1.1.1, "foo://x", "tls://1.1.1.1:99999", "rcode://nope", {a: 1}]
  nameserver-policy: [a]
  respect-rules: true
  fallback-filter: {ipcidr: [240.0.0.0/4, x]}
`,
    issues: [
      '2:18: error: Cannot read dns.enhanced-mode: found "fakeip", expected one of normal, fake-ip, redir-host; did you mean "fake-ip"?',
      '3:18: error: Cannot read dns.fake-ip-range: found "198.18.0.1", expected an address block like 198.18.0.1/16',
      '4:20: error: Cannot read dns.fake-ip-filter[0]: found " a", expected a name pattern like "+.example.org", "*.example.org", "geosite:cn" or "rule-set:name"',
      '4:26: error: Cannot read dns.fake-ip-filter[1]: found "list", expected the name of a rule-provider',
      '5:24: error: Cannot read dns.default-nameserver[0]: found "dns.example", expected a DNS server given by its address, like "1.1.1.1"',
      '6:25: error: Cannot read dns.nameserver[1]: found "foo://x", expected a DNS server like "1.1.1.1", "tls://1.1.1.1:853", "https://dns.example/dns-query" or "system"',
      '6:36: error: Cannot read dns.nameserver[2]: found "tls://1.1.1.1:99999", expected a DNS server like "1.1.1.1", "tls://1.1.1.1:853", "https://dns.example/dns-query" or "system"',
      '6:59: error: Cannot read dns.nameserver[3]: found "rcode://nope", expected a DNS server like "1.1.1.1", "tls://1.1.1.1:853", "https://dns.example/dns-query" or "system"',
      '6:75: error: Cannot read dns.nameserver[4]: found a table, expected a DNS server like "1.1.1.1", "tls://1.1.1.1:853", "https://dns.example/dns-query" or "system"',
      "7:22: error: Cannot read dns.nameserver-policy: found a list, expected a table of name patterns and their servers",
      "8:18: error: Cannot read dns.respect-rules: found true, expected proxy-server-nameserver to be set as well",
      '9:43: error: Cannot read dns.fallback-filter.ipcidr[1]: found "x", expected an address block like 10.0.0.0/8',
    ],
  },
  {
    name: "the TUN device and weir's own section",
    text: `tun:
  stack: gvisr
  mtu: 100
  dns-hijack: [any:53, any, "tcp://1.1.1.1"]
  inet6-address: [10.0.0.1/30]
weir:
  divert: {filter: "outbound and tcp and foo", mode: redir}
  geo: {contry: x.mmdb}
`,
    issues: [
      '2:10: error: Cannot read tun.stack: found "gvisr", expected one of netstack, system, mixed, lwip, gvisor; did you mean "gvisor"?',
      '3:8: error: Cannot read tun.mtu: found "100", expected a whole number from 576 to 65535 (bytes)',
      '4:24: error: Cannot read tun.dns-hijack[1]: found "any", expected an address and a port like "any:53", "tcp://any:53" or "1.1.1.1:53"',
      '4:29: error: Cannot read tun.dns-hijack[2]: found "tcp://1.1.1.1", expected an address and a port like "any:53", "tcp://any:53" or "1.1.1.1:53"',
      '5:19: error: Cannot read tun.inet6-address[0]: found "10.0.0.1/30", expected an IPv6 address block',
      "7:42: error: Cannot read weir.divert.filter: Filter expression contains a bad token, expected a WinDivert filter",
      '7:54: error: Cannot read weir.divert.mode: found "redir", expected one of netstack, redirect',
      '8:9: warning: unknown key "contry" in weir.geo; did you mean "country"?',
    ],
  },
  {
    name: "databases that are missing, once each",
    text: `rules:
  - GEOIP,lan,DIRECT
  - AND,((NETWORK,tcp),(GEOIP,CN)),DIRECT
  - SRC-GEOIP,US,DIRECT
  - IP-ASN,13335,DIRECT
  - RULE-SET,list,DIRECT
sniffer: {skip-domain: ["geosite:ads"]}
rule-providers:
  list: {type: inline, behavior: classical, payload: ["GEOSITE,cn"]}
weir: {geo: {asn: asn.mmdb}}
`,
    issues: [
      "3:5: error: Cannot read rules[1]: it needs a country database, and there is none; expected geoip.mmdb or Country.mmdb beside the configuration, or weir.geo.country with its path (needed 2 times)",
      "9:3: error: Cannot read rule-providers.list: it needs a site database, and there is none; expected geosite.dat or GeoSite.dat beside the configuration, or weir.geo.geosite with its path (needed 2 times)",
      "10:19: error: Cannot read weir.geo.asn asn.mmdb: there is no such file",
    ],
  },
  {
    name: "databases that are broken, and lists that they do not have",
    text: `rules:
  - GEOIP,CN,DIRECT
  - GEOSITE,cm,DIRECT
`,
    files: { "geoip.mmdb": "no database", "geosite.dat": siteDatabase("CN", ["a.example"]) },
    issues: [
      "2:5: error: Cannot read country database: no MaxMind metadata in it (file geoip.mmdb)",
      "3:5: error: Cannot read rules[1]: GEOSITE: list cm not found in the site database",
    ],
  },
];

for (const { name, text, files, issues } of CASES) {
  Deno.test(`loadConfig() reports ${name}`, async () => {
    const result = await loadConfig("c.yaml", new MemoryFiles({ ...files, "c.yaml": text }));
    assertEquals(result.issues.map((issue) => formatIssue(issue).replace(/^c\.yaml:/, "")), issues);
    assertEquals(result.config === undefined, result.issues.some((issue) => issue.severity === "error"));
  });
}
