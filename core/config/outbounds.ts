/** Proxies of the configuration become settings of outbounds. Source: mihomo adapter/outbound, the options of each type. */
import { SHADOWSOCKS_CIPHERS } from "../outbound/shadowsocks/method.ts";
import type { OutboundSettings, ProtocolSettings, TlsSettings, WebSocketSettings } from "../outbound/settings.ts";
import { isHeader } from "../outbound/http_connect.ts";
import type { IssueList } from "./issue.ts";
import type { ProxyEntry } from "./proxies.ts";
import {
  expected,
  fallbacks,
  field,
  flag,
  integer,
  list,
  oneOf,
  optional,
  port,
  type Reader,
  type Reading,
  record,
  type RecordOf,
  secret,
  text,
} from "./schema.ts";
import { placeOf, placeOfKey, shorten, type Value } from "./yaml_tree.ts";

/** Names and values of a request's fields; a value may be a list, whose first item counts. */
const headers: Reader<[string, string][]> = (value, at) => {
  if (value.kind !== "table") return expected("a table of header fields", value, at);
  const fields: [string, string][] = [];
  for (const [name, { value: written }] of value.entries) {
    const first: Value | undefined = written.kind === "list" ? written.items[0] : written;
    if (first?.kind !== "scalar" || !isHeader(name, first.text)) {
      at.issues.error(placeOf(written), `Cannot read ${at.name}: "${shorten(name)}" is no header field with a value`);
    } else fields.push([name, first.text]);
  }
  return fields;
};

const fingerprint: Reader<string> = (value, at) => {
  const digits = value.kind === "scalar" ? value.text.replaceAll(":", "").toLowerCase() : "";
  return /^[0-9a-f]{64}$/.test(digits)
    ? digits
    : expected("the SHA-256 of a certificate in hex", value, at, "something else");
};

const webSocketShape = {
  path: field(text("a path like /ray"), "/"),
  headers: field(headers, []),
  "max-early-data": field(integer(0, 65_535, "bytes"), 0),
  "early-data-header-name": field(text(), "Sec-WebSocket-Protocol"),
};
const readWebSocket = record(webSocketShape, { known: ["v2ray-http-upgrade", "v2ray-http-upgrade-fast-open"] });

const shape = {
  server: field(text(), ""),
  port: field(port, 0),
  udp: field(flag, false),
  username: optional(secret),
  password: optional(secret),
  uuid: optional(secret),
  cipher: optional(text()),
  alterId: field(integer(0, 65_535), 0),
  tls: field(flag, false),
  sni: optional(text()),
  servername: optional(text()),
  alpn: field(list(text()), []),
  "skip-cert-verify": field(flag, false),
  fingerprint: optional(fingerprint),
  "ca-str": optional(text("certificates as PEM")),
  network: field(oneOf(["tcp", "ws", "http", "h2", "grpc"]), "tcp"),
  "ws-opts": field(readWebSocket, fallbacks(webSocketShape)),
  headers: field(headers, []),
  flow: optional(text()),
  encryption: optional(text()),
  plugin: optional(text()),
  "udp-over-tcp": field(flag, false),
  "interface-name": optional(text()),
  "ip-version": field(oneOf(["dual", "ipv4", "ipv6", "ipv4-prefer", "ipv6-prefer"]), "dual"),
};

const readFields = record(shape, { open: true });
type Fields = RecordOf<typeof shape>;

/** Types that weir knows by name and does not carry. */
const NOT_CARRIED: ReadonlySet<string> = new Set(
  ("ssr snell wireguard mieru anytls hysteria hysteria2 tuic ssh dns masque sudoku trusttunnel").split(" "),
);
/** Keys that change what goes over the wire, so that ignoring them would only fail later. */
const REFUSED_KEYS = ["reality-opts", "grpc-opts", "h2-opts", "http-opts", "plugin-opts", "ech-opts", "smux"] as const;

/** One entry on its way. */
class Entry {
  readonly proxy: ProxyEntry;
  readonly fields: Fields;
  readonly #issues: IssueList;

  constructor(proxy: ProxyEntry, fields: Fields, issues: IssueList) {
    this.proxy = proxy;
    this.fields = fields;
    this.#issues = issues;
  }

  /** Reports what is wrong with a key, where it stands. */
  refuse(key: string, why: string): undefined {
    const { table, name } = this.proxy;
    const entry = table.entries.get(key);
    const place = entry === undefined ? placeOf(table) : placeOfKey(table, entry);
    this.#issues.error(place, `Cannot use the proxy "${shorten(name)}": ${why}`);
    return undefined;
  }

  /** A secret that must be there. */
  secret(key: "password" | "uuid"): string | undefined {
    const value = this.fields[key];
    return value === undefined || value === "" ? this.refuse(key, `the key "${key}" is missing`) : value;
  }
}

function protocolOf(entry: Entry): ProtocolSettings | undefined {
  const { username, password, headers } = entry.fields;
  const login = username === undefined ? undefined : { user: username, password: password ?? "" };
  switch (entry.proxy.type) {
    case "direct":
      return { kind: "direct" };
    case "reject":
      return { kind: "reject" };
    case "socks5":
      return { kind: "socks5", login };
    case "http":
      return { kind: "http", login, headers };
    case "ss":
      return shadowsocks(entry);
    case "trojan": {
      const secret = entry.secret("password");
      return secret === undefined ? undefined : { kind: "trojan", password: secret };
    }
    case "vmess":
      return vmess(entry);
    case "vless":
      return vless(entry);
    default:
      return entry.refuse("type", `weir does not carry proxies of type ${entry.proxy.type}`);
  }
}

function shadowsocks(entry: Entry): ProtocolSettings | undefined {
  const { cipher = "", plugin, udpOverTcp } = entry.fields;
  if (plugin !== undefined) return entry.refuse("plugin", `weir has no plugin ${shorten(plugin)}`);
  if (udpOverTcp) return entry.refuse("udp-over-tcp", "weir does not carry UDP over TCP for Shadowsocks");
  const password = entry.secret("password");
  if (!SHADOWSOCKS_CIPHERS.includes(cipher.toLowerCase()) && cipher.toLowerCase() !== "chacha20-poly1305") {
    return entry.refuse(
      "cipher",
      `the cipher ${shorten(cipher) || "(none)"} is none of ${SHADOWSOCKS_CIPHERS.join(", ")}`,
    );
  }
  return password === undefined ? undefined : { kind: "ss", cipher, password };
}

const VMESS_CIPHERS = ["auto", "aes-128-gcm", "chacha20-poly1305", "none"];

function vmess(entry: Entry): ProtocolSettings | undefined {
  const { cipher = "auto", alterId } = entry.fields;
  if (alterId !== 0) {
    return entry.refuse("alterId", "alterId other than 0 means VMess without AEAD, which weir does not speak");
  }
  if (!VMESS_CIPHERS.includes(cipher)) {
    return entry.refuse("cipher", `the cipher ${shorten(cipher)} is none of ${VMESS_CIPHERS.join(", ")}`);
  }
  const uuid = entry.secret("uuid");
  return uuid === undefined ? undefined : { kind: "vmess", uuid, cipher };
}

function vless(entry: Entry): ProtocolSettings | undefined {
  const { flow = "", encryption = "none" } = entry.fields;
  if (flow !== "") return entry.refuse("flow", `weir does not have the flow ${shorten(flow)}`);
  if (encryption !== "none" && encryption !== "") {
    return entry.refuse("encryption", "weir has only the encryption none");
  }
  const uuid = entry.secret("uuid");
  return uuid === undefined ? undefined : { kind: "vless", uuid };
}

/** Trojan is nothing without TLS. */
function tlsOf({ proxy, fields }: Entry): TlsSettings | undefined {
  if (proxy.type !== "trojan" && !fields.tls) return undefined;
  return {
    serverName: fields.sni ?? fields.servername ?? fields.server,
    alpn: fields.alpn,
    skipsVerification: fields.skipCertVerify,
    fingerprint: fields.fingerprint,
    authorities: fields.caStr,
  };
}

function webSocketOf(entry: Entry): WebSocketSettings | undefined {
  const { network, wsOpts } = entry.fields;
  if (network === "tcp") return undefined;
  if (network !== "ws") return entry.refuse("network", `weir does not have the transport ${network}`);
  const { path, headers, maxEarlyData, earlyDataHeaderName } = wsOpts;
  // `?ed=2048` at the end of a path is a custom of v2ray's clients for early data.
  const custom = /^(.*)\?ed=(\d{1,5})$/.exec(path);
  return {
    path: (custom?.[1] ?? path).startsWith("/") ? custom?.[1] ?? path : `/${custom?.[1] ?? path}`,
    headers,
    earlyDataBytesMax: custom === null ? maxEarlyData : Number(custom[2]),
    earlyDataHeader: earlyDataHeaderName,
  };
}

/** Reads one proxy. Errors: reported, and undefined returned. */
export function readOutbound(proxy: ProxyEntry, at: Reading): OutboundSettings | undefined {
  const { issues } = at;
  const before = issues.errorCount;
  const entry = new Entry(proxy, readFields(proxy.table, at) ?? fallbacks(shape), issues);
  if (NOT_CARRIED.has(proxy.type)) return entry.refuse("type", `weir does not carry proxies of type ${proxy.type}`);
  for (const key of REFUSED_KEYS) {
    if (proxy.table.entries.has(key)) return entry.refuse(key, `weir does not have what "${key}" asks for`);
  }
  const protocol = protocolOf(entry);
  const { fields } = entry;
  const webSocket = webSocketOf(entry);
  if (protocol === undefined || issues.errorCount > before) return undefined;
  return {
    name: proxy.name,
    protocol,
    server: fields.server,
    port: fields.port,
    udp: fields.udp || protocol.kind === "direct",
    tls: tlsOf(entry),
    webSocket,
    dialer: proxy.dialer?.name,
    interfaceName: fields.interfaceName,
    ipVersion: fields.ipVersion,
  };
}
