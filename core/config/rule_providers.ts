/** The section `rule-providers`: lists of rules that are kept elsewhere. Source: mihomo rules/provider/parse.go. */
import { defaultCopyPath, type RemoteFile } from "./files.ts";
import { httpUrl, remoteOf, requestHeaders } from "./remote.ts";
import {
  field,
  flag,
  integer,
  list,
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

const shape = {
  type: required(located(oneOf(["file", "http", "inline"]))),
  behavior: required(located(oneOf(["domain", "ipcidr", "classical"]))),
  format: optional(located(oneOf(["yaml", "text", "mrs"]))),
  path: optional(located(text("the path of a file"))),
  payload: optional(located(list(located(text("one rule"))))),
  url: optional(httpUrl),
  interval: field(integer(0, 31_536_000, "seconds"), 0),
  proxy: optional(text("the name of a proxy or group")),
  "size-limit": field(integer(0, 2 ** 40, "bytes"), 0),
  header: field(requestHeaders, []),
  lazy: field(flag, true),
};

const readFields = record(shape);

/** What a list of rules holds. */
export type ProviderBehavior = "domain" | "ipcidr" | "classical";

/** Where a rule-provider's lines come from; `broken` when that cannot be said, which has been reported. */
export type ProviderLines =
  | {
    readonly from: "file";
    readonly format: "yaml" | "text";
    readonly path: Located<string>;
    /** Where the file comes from, when it is a copy. */
    readonly remote?: RemoteFile;
  }
  | { readonly from: "inline"; readonly lines: readonly Located<string>[] }
  | { readonly from: "broken" };

/** A rule-provider before its lines are read. */
export interface RuleProviderEntry {
  readonly behavior: ProviderBehavior;
  readonly lines: ProviderLines;
}

const BROKEN: RuleProviderEntry = { behavior: "classical", lines: { from: "broken" } };

/** Reads one entry. A broken one stays, so that no rule that names it is reported as well. */
const readEntry: Reader<RuleProviderEntry> = (node, at) => {
  const fields = readFields(node, at);
  if (fields?.type === undefined || node.kind !== "table") return BROKEN;
  const lines = linesOf(fields, fields.type, node, at);
  return fields.behavior === undefined ? BROKEN : { behavior: fields.behavior.value, lines };
};

function linesOf(
  fields: RecordOf<typeof shape>,
  type: Located<"file" | "http" | "inline">,
  node: TableValue,
  at: Reading,
): ProviderLines {
  const fail = (message: string, place = placeOf(type.node)): ProviderLines => {
    at.issues.error(place, `Cannot read ${at.name}${message}`);
    return { from: "broken" };
  };
  if (type.value === "inline") {
    if (fields.payload !== undefined) return { from: "inline", lines: fields.payload.value };
    return node.entries.has("payload") ? { from: "broken" } : fail(': the key "payload" is missing', placeOf(node));
  }
  const format = fields.format?.value ?? "yaml";
  if (format === "mrs") {
    return fail('.format: the format "mrs" is not supported, expected "yaml" or "text"', placeOf(fields.format!.node));
  }
  if (type.value === "http") {
    const remote = remoteOf(fields, node, at);
    const path = fields.path ?? { value: defaultCopyPath(remote?.url ?? ""), node, name: at.name };
    return remote === undefined ? { from: "broken" } : { from: "file", format, path, remote };
  }
  if (fields.path !== undefined) return { from: "file", format, path: fields.path };
  return node.entries.has("path") ? { from: "broken" } : fail(': the key "path" is missing', placeOf(node));
}

/** Reads the section `rule-providers`. */
export const ruleProvidersSection = mapOf(readEntry, "a table of rule-providers");
