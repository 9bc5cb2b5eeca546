/** The section `proxy-providers`: lists of proxies that are kept elsewhere. Source: mihomo adapter/provider/parser.go. */
import { defaultCopyPath, type RemoteFile } from "./files.ts";
import { healthShape } from "./groups.ts";
import { nameFilter } from "./name_filter.ts";
import { proxiesSection, type ProxyEntry } from "./proxies.ts";
import { httpUrl, remoteOf, requestHeaders } from "./remote.ts";
import {
  fallbacks,
  field,
  flag,
  integer,
  type Located,
  located,
  mapOf,
  oneOf,
  optional,
  type Reader,
  type Reading,
  record,
  type RecordOf,
  required,
  text,
} from "./schema.ts";
import { placeOf, type TableValue } from "./yaml_tree.ts";

const healthCheckShape = { enable: field(flag, false), ...healthShape };

const overrideShape = {
  "additional-prefix": field(text(), ""),
  "additional-suffix": field(text(), ""),
};

const shape = {
  type: required(located(oneOf(["file", "http", "inline"]))),
  path: optional(located(text("the path of a file"))),
  payload: optional(proxiesSection),
  url: optional(httpUrl),
  interval: field(integer(0, 31_536_000, "seconds"), 0),
  proxy: optional(text("the name of a proxy or group")),
  "size-limit": field(integer(0, 2 ** 40, "bytes"), 0),
  header: field(requestHeaders, []),
  filter: optional(nameFilter),
  "exclude-filter": optional(nameFilter),
  "exclude-type": field(text(), ""),
  "dialer-proxy": optional(text()),
  "health-check": field(record(healthCheckShape), fallbacks(healthCheckShape)),
  override: field(
    record(overrideShape, {
      open: true,
      known: "tfo mptcp udp udp-over-tcp up down skip-cert-verify dialer-proxy interface-name routing-mark ip-version"
        .split(" "),
      unsupported: { "proxy-name": "proxies keep the names that the provider gives them" },
    }),
    fallbacks(overrideShape),
  ),
};

const readFields = record(shape);

/** A proxy-provider before its file is read. */
export interface ProxyProviderEntry {
  readonly fields: RecordOf<typeof shape>;
  /** The file to read; undefined for an inline list and for a broken entry, which has been reported. */
  readonly path: Located<string> | undefined;
  /** Where that file comes from, when it is a copy. */
  readonly remote: RemoteFile | undefined;
  readonly payload: readonly ProxyEntry[];
}

/** Reads one entry. A broken one stays, so that no group that uses it is reported as well. */
const readEntry: Reader<ProxyProviderEntry> = (node, at) => {
  const fields = readFields(node, at) ?? fallbacks(shape);
  const path = fields.type === undefined || node.kind !== "table" ? undefined : pathOf(fields, fields.type, node, at);
  const isRemote = fields.type?.value === "http" && node.kind === "table";
  const remote = isRemote ? remoteOf(fields, node, at) : undefined;
  return {
    fields,
    path: isRemote && remote === undefined ? undefined : path,
    remote,
    payload: fields.type?.value === "inline" ? fields.payload ?? [] : [],
  };
};

function pathOf(
  fields: RecordOf<typeof shape>,
  type: Located<"file" | "http" | "inline">,
  node: TableValue,
  at: Reading,
): Located<string> | undefined {
  if (type.value === "http") {
    return fields.path ?? { value: defaultCopyPath(fields.url?.value ?? ""), node, name: at.name };
  }
  const needed = type.value === "file" ? "path" : "payload";
  if (!node.entries.has(needed)) {
    at.issues.error(placeOf(node), `Cannot read ${at.name}: the key "${needed}" is missing`);
  }
  return type.value === "file" ? fields.path : undefined;
}

/** Reads the section `proxy-providers`. */
export const proxyProvidersSection = mapOf(readEntry, "a table of proxy-providers");

/** Reads the list of proxies in a provider's file. */
export const providedProxies = record({ proxies: required(proxiesSection) }, { open: true });
