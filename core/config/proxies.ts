/** The section `proxies`: names, types and what each can carry. Source: mihomo adapter/parser.go. */
import { PROXY_NAME_LENGTH_MAX } from "../base/limits.ts";
import { PROXY_TYPES } from "../decide/targets.ts";
import {
  field,
  flag,
  list,
  oneOf,
  optional,
  port,
  type Reader,
  type Reading,
  record,
  required,
  text,
} from "./schema.ts";
import { placeOf, shorten, type TableValue, type Value } from "./yaml_tree.ts";

/** Kinds of outbound that a configuration may name: those that deciding knows, and newer ones. */
const TYPES: readonly string[] = [...PROXY_TYPES, "reject", "masque", "sudoku", "trusttunnel"];

/** One proxy as far as deciding needs it. */
export interface ProxyEntry {
  readonly name: string;
  readonly type: string;
  /** What the key `udp` says; whether the proxy carries datagrams depends on its type as well. */
  readonly udp: boolean;
  /** The whole entry, for the outbound that will be made of it. May hold secrets: never shown. */
  readonly table: TableValue;
  /** Where the name is written. */
  readonly nameNode: Value;
  /** Through which proxy this one is dialled, with where that is written. */
  readonly dialer: { readonly name: string; readonly node: Value } | undefined;
}

/** Those without a server of their own. */
const SERVERLESS: ReadonlySet<string> = new Set(["direct", "reject", "dns"]);

const proxyShape = {
  name: required(text()),
  type: required(oneOf(TYPES)),
  server: optional(text()),
  port: optional(port),
  udp: field(flag, false),
  tfo: field(flag, false),
  mptcp: field(flag, false),
  "ip-version": field(oneOf(["dual", "ipv4", "ipv6", "ipv4-prefer", "ipv6-prefer"]), "dual"),
  "dialer-proxy": optional(text()),
};

/** Fields of single protocols. Only slips of these are reported; what they hold is the outbound's business. */
const PROTOCOL_KEYS = (
  "username password tls sni servername alpn fingerprint skip-cert-verify client-fingerprint headers cipher plugin plugin-opts " +
  "udp-over-tcp udp-over-tcp-version obfs obfs-param obfs-password obfs-opts protocol protocol-param uuid alterId flow network ws-opts h2-opts " +
  "http-opts grpc-opts reality-opts ech-opts packet-encoding xudp packet-addr global-padding authenticated-length psk version ports up down " +
  "auth auth-str recv-window recv-window-conn ca ca-str disable_mtu_discovery fast-open hop-interval token congestion-controller " +
  "heartbeat-interval reduce-rtt request-timeout udp-relay-mode disable-sni max-open-streams ip ipv6 private-key public-key pre-shared-key " +
  "reserved mtu dns remote-dns-resolve persistent-keepalive workers peers allowed-ips amnezia-wg-option private-key-passphrase host-key " +
  "host-key-algorithms port-range transport multiplexing smux interface-name routing-mark idle-session-check-interval " +
  "idle-session-timeout min-idle-session encryption ss-opts cwnd initial-stream-receive-window certificate key"
).split(" ");

const readProxy = record(proxyShape, { open: true, known: PROTOCOL_KEYS });
/** Reads one entry. One of unknown type stays, so that nothing that names it is reported as well. */
const readEntry: Reader<ProxyEntry> = (node, at) => {
  const fields = readProxy(node, at);
  if (fields === undefined || node.kind !== "table") return undefined;
  const { name, type } = fields;
  const nameNode = node.entries.get("name")?.value ?? node;
  if (name !== undefined) checkName(name, nameNode, at);
  if (name === undefined) return undefined;
  if (type !== undefined && !SERVERLESS.has(type)) checkServer(node, name, fields, at);
  const dialerNode = node.entries.get("dialer-proxy")?.value;
  const dialer = fields.dialerProxy === undefined || dialerNode === undefined
    ? undefined
    : { name: fields.dialerProxy, node: dialerNode };
  return { name, type: type ?? "reject", udp: fields.udp, table: node, nameNode, dialer };
};

/** Reads a list of proxies. */
export const proxiesSection: Reader<ProxyEntry[]> = list(readEntry, "a list of proxies");

function checkServer(
  node: TableValue,
  name: string,
  fields: { server: string | undefined; port: number | undefined },
  at: Reading,
): void {
  const has = (key: string) => node.entries.has(key);
  const missing = (key: string) =>
    at.issues.error(placeOf(node), `Cannot read the proxy "${shorten(name)}": the key "${key}" is missing`);
  if (!has("server") && !has("peers")) missing("server");
  if (!has("port") && !has("ports") && !has("port-range") && !has("peers")) missing("port");
  if (fields.port === 0) {
    const place = placeOf(node.entries.get("port")?.value ?? node);
    at.issues.error(place, `Cannot read ${at.name}.port: found "0", expected a port from 1 to 65535`);
  }
}

/** Refuses names that no regular expression should have to meet. */
export function checkName(name: string, node: Value, at: Reading): void {
  if (name.length <= PROXY_NAME_LENGTH_MAX) return;
  const message = `found a name of ${name.length} characters, expected at most ${PROXY_NAME_LENGTH_MAX}`;
  at.issues.error(placeOf(node), `Cannot read ${at.name}.name: ${message}`);
}
