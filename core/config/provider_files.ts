/** Reads the lists that a configuration keeps elsewhere: rule-providers and proxy-providers. */
import { CONFIG_BYTES_MAX, PROVIDER_CHARS_MAX } from "../base/limits.ts";
import type { ProviderSet } from "../decide/decide_config.ts";
import { parseProvider, parseProviderEntries } from "../decide/provider.ts";
import type { ConfigDocument } from "./document.ts";
import { type ConfigFiles, fetchCopy, readText, type RemoteFile } from "./files.ts";
import type { IssueList, Place } from "./issue.ts";
import { isExcluded, type ProvidedProxies } from "./members.ts";
import { filterMatches } from "./name_filter.ts";
import type { ProxyEntry } from "./proxies.ts";
import { providedProxies, type ProxyProviderEntry } from "./proxy_providers.ts";
import type { RuleProviderEntry } from "./rule_providers.ts";
import type { Located } from "./schema.ts";
import { oneLine, placeOf, placeWithin, readYaml, shorten } from "./yaml_tree.ts";

/** What reading needs besides the configuration itself. */
export interface FileReading {
  /** The configuration file: paths are relative to its folder. */
  readonly base: string;
  readonly files: ConfigFiles;
  readonly issues: IssueList;
}

/** A rule-provider that was read. `set` is undefined for a broken one, which has been reported. */
export interface LoadedProvider {
  readonly set: ProviderSet | undefined;
  readonly place: Place;
}

/** Reads every rule-provider, in the order of the configuration. */
export async function readRuleProviders(
  document: ConfigDocument,
  reading: FileReading,
): Promise<Map<string, LoadedProvider>> {
  const loaded = new Map<string, LoadedProvider>();
  for (const [name, { value, place }] of document.ruleProviders) {
    loaded.set(name, { set: await readRuleProvider(name, value, reading), place });
  }
  return loaded;
}

async function readRuleProvider(
  name: string,
  entry: RuleProviderEntry,
  reading: FileReading,
): Promise<ProviderSet | undefined> {
  const { lines, behavior } = entry;
  if (lines.from === "broken") return undefined;
  if (lines.from === "inline") return readInline(behavior, lines.lines, reading.issues);
  const path = reading.files.resolve(reading.base, lines.path.value);
  const place = placeOf(lines.path.node);
  const wish = { path, place, what: `the rule-provider "${shorten(name)}"`, bytesMax: PROVIDER_CHARS_MAX };
  if (lines.remote !== undefined && !await fetchCopy(reading.files, lines.remote, reading.base, wish, reading.issues)) {
    return undefined;
  }
  const source = await readText(reading.files, wish, reading.issues);
  if (source === undefined) return undefined;
  const { set, issues } = parseProvider(behavior, lines.format, source.text);
  for (const { line, column, message } of issues) {
    const at = { file: path, line, column };
    // Clash goes on without a bad line of somebody else's list; a file without any good one is the wrong file.
    if (set.count > 0) reading.issues.warning(at, `${wish.what} goes on without this line: ${oneLine(message)}`);
    else reading.issues.error(at, `Cannot read ${wish.what}: ${oneLine(message)}`);
  }
  return set;
}

function readInline(
  behavior: RuleProviderEntry["behavior"],
  lines: readonly Located<string>[],
  list: IssueList,
): ProviderSet {
  const { set, issues } = parseProviderEntries(behavior, lines.map((line) => line.value));
  for (const { index, offset, message } of issues) {
    const { node, name } = lines[index]!;
    const place = node.kind === "scalar" ? placeWithin(node, offset) : placeOf(node);
    list.error(place, `Cannot read ${shorten(name)}: ${oneLine(message)}`);
  }
  return set;
}

/** Reads every proxy-provider, in the order of the configuration. */
export async function readProxyProviders(document: ConfigDocument, reading: FileReading): Promise<ProvidedProxies> {
  const provided = new Map<string, readonly ProxyEntry[]>();
  for (const [name, { value }] of document.proxyProviders) {
    const proxies = value.path === undefined
      ? value.payload
      : await readProxyFile(name, value.path, value.remote, reading);
    provided.set(name, adjust(proxies, value));
  }
  return provided;
}

async function readProxyFile(
  name: string,
  path: Located<string>,
  remote: RemoteFile | undefined,
  reading: FileReading,
): Promise<readonly ProxyEntry[]> {
  const what = `the proxy-provider "${shorten(name)}"`;
  const full = reading.files.resolve(reading.base, path.value);
  const wish = { path: full, place: placeOf(path.node), what, bytesMax: CONFIG_BYTES_MAX };
  if (remote !== undefined && !await fetchCopy(reading.files, remote, reading.base, wish, reading.issues)) return [];
  const source = await readText(reading.files, wish, reading.issues);
  const tree = source === undefined ? undefined : readYaml(source, reading.issues);
  if (tree === undefined) return [];
  return providedProxies(tree, { name: "", issues: reading.issues })?.proxies ?? [];
}

/** Filters and renames as the provider's entry says. Source: mihomo adapter/provider/provider.go. */
function adjust(proxies: readonly ProxyEntry[], { fields }: ProxyProviderEntry): ProxyEntry[] {
  const { additionalPrefix, additionalSuffix } = fields.override;
  return proxies
    .filter(({ name }) => fields.filter === undefined || filterMatches(fields.filter, name))
    .filter(({ name, type }) => !isExcluded(name, type, fields.excludeFilter, fields.excludeType))
    .map((proxy) => ({ ...proxy, name: additionalPrefix + proxy.name + additionalSuffix }));
}
