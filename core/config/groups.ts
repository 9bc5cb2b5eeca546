/** The section `proxy-groups`. Source: mihomo adapter/outboundgroup/parser.go. */
import { checkName } from "./proxies.ts";
import {
  expected,
  field,
  flag,
  integer,
  list,
  located,
  oneOf,
  optional,
  type Reader,
  record,
  type RecordOf,
  required,
  text,
} from "./schema.ts";
import { nameFilter } from "./name_filter.ts";
import { placeOf, shorten, type TableValue, type Value } from "./yaml_tree.ts";

/** The kind of a group: how it picks its member. */
export type GroupType = "select" | "url-test" | "fallback" | "load-balance" | "relay";

/** Which answers of the test address count as alive: `*`, `204`, `200/302-308`. */
const expectedStatus: Reader<string> = (value, at) => {
  const written = value.kind === "scalar" ? value.text.replaceAll(" ", "") : "";
  if (/^(?:\*|\d{3}(?:-\d{3})?(?:\/\d{3}(?:-\d{3})?)*)$/.test(written)) return written;
  return expected('HTTP status codes like "200/302-308", or *', value, at);
};

/** The keys of a health check, in groups and in proxy-providers. Units: `interval` seconds, `timeout` milliseconds. */
export const healthShape = {
  url: optional(text("a URL")),
  interval: field(integer(0, 31_536_000, "seconds"), 0),
  timeout: field(integer(0, 600_000, "milliseconds"), 5_000),
  lazy: field(flag, true),
  "expected-status": field(expectedStatus, "*"),
};

const groupShape = {
  name: required(text()),
  type: required(oneOf(["select", "url-test", "fallback", "load-balance", "relay"])),
  proxies: field(list(located(text("the name of a proxy or group"))), []),
  use: field(list(located(text("the name of a proxy-provider"))), []),
  ...healthShape,
  "max-failed-times": field(integer(0, 1_000_000, "failures"), 5),
  "disable-udp": field(flag, false),
  filter: optional(nameFilter),
  "exclude-filter": optional(nameFilter),
  "exclude-type": field(text(), ""),
  "include-all": field(flag, false),
  "include-all-proxies": field(flag, false),
  "include-all-providers": field(flag, false),
  tolerance: field(integer(0, 65_535, "milliseconds"), 0),
  strategy: field(oneOf(["consistent-hashing", "round-robin", "sticky-sessions"]), "consistent-hashing"),
  hidden: field(flag, false),
  icon: field(text(), ""),
};

/** The keys of a group as written. */
export type GroupFields = RecordOf<typeof groupShape>;

/** One group before its members are known. */
export interface GroupEntry {
  readonly name: string;
  readonly type: GroupType;
  readonly fields: GroupFields;
  readonly table: TableValue;
  readonly nameNode: Value;
}

const readGroup = record(groupShape, {
  known: ["empty-fallback", "default-selected"],
  unsupported: {
    "interface-name": "connections leave by the system's own choice of interface",
    "routing-mark": "connections carry no mark",
    "dialer-proxy": "members connect directly",
  },
});

const readEntry: Reader<GroupEntry> = (node, at) => {
  const fields = readGroup(node, at);
  if (fields === undefined || node.kind !== "table") return undefined;
  const { name, type } = fields;
  const nameNode = node.entries.get("name")?.value ?? node;
  if (name === undefined) return undefined;
  checkName(name, nameNode, at);
  const includes = fields.includeAll || fields.includeAllProxies || fields.includeAllProviders;
  if (fields.proxies.length === 0 && fields.use.length === 0 && !includes && !saysMembers(node)) {
    const message = 'no members, expected "proxies", "use" or "include-all"';
    at.issues.error(placeOf(node), `Cannot read the group "${shorten(name)}": ${message}`);
  }
  return { name, type: type ?? "select", fields, table: node, nameNode };
};

/** True when members were written, even if all of them were wrong: that has been reported. */
function saysMembers(node: TableValue): boolean {
  return ["proxies", "use"].some((key) => {
    const value = node.entries.get(key)?.value;
    return value !== undefined && !(value.kind === "list" && value.items.length === 0) && value.kind !== "scalar";
  });
}

/** Reads the section `proxy-groups`. */
export const groupsSection: Reader<GroupEntry[]> = list(readEntry, "a list of groups");
