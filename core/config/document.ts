/** The whole configuration as written: every section read, nothing looked up yet. Source: mihomo config RawConfig. */
import { defaultDns, dnsSection } from "./dns.ts";
import { groupsSection } from "./groups.ts";
import { proxiesSection } from "./proxies.ts";
import { proxyProvidersSection } from "./proxy_providers.ts";
import { ruleProvidersSection } from "./rule_providers.ts";
import {
  fallbacks,
  field,
  flag,
  integer,
  list,
  located,
  mapOf,
  oneOf,
  optional,
  port,
  raw,
  type Reader,
  record,
  type RecordOf,
  secret,
  text,
} from "./schema.ts";
import { snifferSection } from "./sniffer.ts";
import { ipPrefixOrAddress } from "./texts.ts";
import { defaultTun, tunSection } from "./tun.ts";
import { defaultWeirSection, weirSection } from "./weir_section.ts";

/** One rule line, still text. */
const ruleLine = located(text("a rule like DOMAIN-SUFFIX,example.org,DIRECT"));
const ruleLines = list(ruleLine, "a list of rules");

const profileShape = { "store-selected": field(flag, true), "store-fake-ip": field(flag, false) };

const generalShape = {
  mode: field(oneOf(["rule", "global", "direct"]), "rule"),
  "log-level": field(oneOf(["silent", "error", "warning", "info", "debug"], { warn: "warning" }), "info"),
  "find-process-mode": field(oneOf(["off", "strict", "always"]), "strict"),
  ipv6: field(flag, true),
  port: field(port, 0),
  "socks-port": field(port, 0),
  "mixed-port": field(port, 0),
  "redir-port": field(port, 0),
  "tproxy-port": field(port, 0),
  "allow-lan": field(flag, false),
  "bind-address": field(text(), "*"),
  authentication: field(list(secret), []),
  "skip-auth-prefixes": field(list(ipPrefixOrAddress), []),
  "lan-allowed-ips": field(list(ipPrefixOrAddress), []),
  "lan-disallowed-ips": field(list(ipPrefixOrAddress), []),
  "external-controller": optional(text()),
  "external-ui": optional(text()),
  secret: field(secret, ""),
  "unified-delay": field(flag, false),
  "tcp-concurrent": field(flag, false),
  "keep-alive-interval": field(integer(0, 86_400, "seconds"), 0),
  "keep-alive-idle": field(integer(0, 86_400, "seconds"), 0),
  "disable-keep-alive": field(flag, false),
  profile: field(record(profileShape), fallbacks(profileShape)),
};

const sectionShape = {
  tun: field(tunSection, defaultTun()),
  dns: field(dnsSection, defaultDns()),
  sniffer: optional(snifferSection),
  weir: field(weirSection, defaultWeirSection()),
  hosts: optional(raw),
  proxies: field(proxiesSection, []),
  "proxy-groups": field(groupsSection, []),
  "proxy-providers": field(proxyProvidersSection, new Map()),
  "rule-providers": field(ruleProvidersSection, new Map()),
  "sub-rules": field(mapOf(ruleLines, "a table of rule lists"), new Map()),
  rules: field(ruleLines, []),
};

const documentShape = { ...generalShape, ...sectionShape };

/** Keys that Clash knows and that change nothing about what weir does with a flow. */
const KNOWN = (
  "external-controller-tls external-controller-unix external-controller-pipe external-controller-cors external-ui-name external-ui-url " +
  "external-doh-server tls geodata-mode geodata-loader geosite-matcher geox-url geo-auto-update geo-update-interval " +
  "global-client-fingerprint global-ua etag-support experimental ntp inbound-tfo inbound-mptcp clash-for-android ss-config vmess-config " +
  "tuic-server iptables ebpf cfw-bypass cfw-latency-timeout cfw-latency-url cfw-conn-break-strategy"
).split(" ");

/** Reads a whole configuration. */
export const configDocument: Reader<ConfigDocument> = record(documentShape, {
  known: KNOWN,
  unsupported: {
    "interface-name": "connections leave by the system's own choice of interface",
    "routing-mark": "connections carry no mark",
    listeners: "nothing listens there",
    tunnels: "nothing listens there",
  },
});

/** What every configuration says besides its sections. */
export type GeneralConfig = RecordOf<typeof generalShape>;

/** The configuration as written. */
export type ConfigDocument = RecordOf<typeof documentShape>;

/** The configuration when there is no file. */
export function emptyDocument(): ConfigDocument {
  return fallbacks(documentShape);
}
