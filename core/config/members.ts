/** Proxies, groups and proxy-providers put together: which names there are, and who is in which group. */
import { PROXY_GROUP_COUNT_MAX } from "../base/limits.ts";
import { buildTargets, BUILTIN_TARGETS, type GroupInput, type ProxyInput, type Targets } from "../decide/targets.ts";
import type { GroupPlan } from "../outbound/groups.ts";
import type { ConfigDocument } from "./document.ts";
import type { GroupEntry } from "./groups.ts";
import { filterMatches, filterNames, type NameFilter } from "./name_filter.ts";
import type { ProxyEntry } from "./proxies.ts";
import type { Located, Reading } from "./schema.ts";
import { oneLine, placeOf, shorten, type Value } from "./yaml_tree.ts";

/** The proxies of each proxy-provider, filtered and renamed as it says. */
export type ProvidedProxies = ReadonlyMap<string, readonly ProxyEntry[]>;

/** All targets, and the names among them that rules may use: those of providers are reached through groups only. */
export interface Members {
  readonly targets: Targets;
  readonly names: ReadonlySet<string>;
  /** Every proxy, those of providers last. */
  readonly proxies: readonly ProxyEntry[];
  /** Every group with its members, for running. */
  readonly groups: readonly GroupPlan[];
}

/** What members are tried out with unless the configuration says otherwise. Source: mihomo constant/adapters.go DefaultTestURL, and 300 s. */
const TEST_URL = "https://www.gstatic.com/generate_204";
const TEST_INTERVAL_S = 300;

function groupPlan({ name, type, fields }: GroupEntry, members: readonly string[]): GroupPlan {
  return {
    name,
    type,
    members,
    url: fields.url ?? TEST_URL,
    expectedStatus: fields.expectedStatus,
    intervalS: fields.interval === 0 ? TEST_INTERVAL_S : fields.interval,
    timeoutMs: fields.timeout === 0 ? 5_000 : fields.timeout,
    toleranceMs: fields.tolerance,
    lazy: fields.lazy,
    strategy: fields.strategy,
    maxFailedTimes: fields.maxFailedTimes,
  };
}

/** Names of Clash's adapters as `exclude-type` writes them, where they differ from the configuration's. Source: mihomo constant/adapters.go. */
const ADAPTER_NAMES: Readonly<Record<string, string>> = { ss: "shadowsocks", ssr: "shadowsocksr" };

/** Puts everything together. Every mistake is reported; what is left over still makes targets. */
export function gatherMembers(document: ConfigDocument, provided: ProvidedProxies, at: Reading): Members {
  const groups = document.proxyGroups.slice(0, PROXY_GROUP_COUNT_MAX);
  const extra = document.proxyGroups[groups.length];
  if (extra !== undefined) {
    const message = `found ${document.proxyGroups.length} groups, expected at most ${PROXY_GROUP_COUNT_MAX}`;
    at.issues.error(placeOf(extra.nameNode), `Cannot read proxy-groups: ${message}`);
  }
  const names = new Set(BUILTIN_TARGETS.map((target) => target.name));
  for (const { name } of [...document.proxies, ...groups]) names.add(name);
  const proxies = withProvided(document.proxies, provided);
  checkDialers(proxies, new Set([...names, ...proxies.map((proxy) => proxy.name)]), at);
  const sources: Sources = { own: document.proxies, all: proxies, provided, names };
  const memberLists = groups.map((group) => listMembers(group, sources, at));
  const inputs = groups.map((group, index): GroupInput => ({
    name: group.name,
    type: group.type,
    members: memberLists[index]!.map((member) => member.value),
    disableUdp: group.fields.disableUdp,
  }));
  const { targets, issues } = buildTargets(proxies.map(proxyInput), inputs);
  for (const { list, index, member, message } of issues) {
    const owner = list === "proxies" ? proxies[index] : groups[index];
    if (owner === undefined) continue;
    if (member === undefined) reportTaken(owner, `${list}[${index}]`, [...proxies, ...groups], at);
    else {
      const place = placeOf(memberLists[index]?.[member]?.node ?? owner.nameNode);
      at.issues.error(place, `Cannot read the group "${shorten(owner.name)}": ${oneLine(message)}`);
    }
  }
  const plans = groups.map((group, index) => groupPlan(group, inputs[index]!.members));
  return { targets, names: names.add("GLOBAL"), proxies, groups: plans }; // GLOBAL holds every group, so no group may hold it
}

/** The only mistake of a proxy or group as a whole that is left here: its name is not its own. */
function reportTaken(owner: Named, where: string, all: readonly Named[], at: Reading): void {
  const first = all.find((other) => other.name === owner.name);
  const isBuiltin = BUILTIN_TARGETS.some((target) => target.name === owner.name);
  const by = isBuiltin || first === undefined
    ? "it is built in"
    : `it is taken in line ${placeOf(first.nameNode).line}`;
  const message = `Cannot read ${where}.name: found "${shorten(owner.name)}", expected another name: ${by}`;
  at.issues.error(placeOf(owner.nameNode), message);
}

interface Named {
  readonly name: string;
  readonly nameNode: Value;
}

/** Adds the proxies of providers; of several with one name the first counts. */
function withProvided(own: readonly ProxyEntry[], provided: ProvidedProxies): ProxyEntry[] {
  const all = [...own];
  const taken = new Set(own.map((proxy) => proxy.name));
  for (const proxies of provided.values()) {
    for (const proxy of proxies) {
      if (taken.has(proxy.name)) continue;
      taken.add(proxy.name);
      all.push(proxy);
    }
  }
  return all;
}

function proxyInput({ name, type, udp }: ProxyEntry): ProxyInput {
  return { name, type, udp };
}

function checkDialers(proxies: readonly ProxyEntry[], names: ReadonlySet<string>, at: Reading): void {
  for (const { name, dialer } of proxies) {
    if (dialer === undefined || names.has(dialer.name)) continue;
    unknownName(`the proxy "${shorten(name)}"`, dialer.name, dialer.node, "proxy or group", names, at);
  }
}

function unknownName(
  where: string,
  name: string,
  node: Value,
  what: string,
  known: ReadonlySet<string>,
  at: Reading,
): void {
  const hint = at.issues.didYouMean(name, [...known]);
  const message = `Cannot read ${where}: found "${shorten(name)}", expected the name of a ${what}${hint}`;
  at.issues.error(placeOf(node), message);
}

interface Sources {
  readonly own: readonly ProxyEntry[];
  readonly all: readonly ProxyEntry[];
  readonly provided: ProvidedProxies;
  readonly names: ReadonlySet<string>;
}

/** The members of a group in order. Source: mihomo outboundgroup/parser.go and groupbase.go `GetProxies`. */
function listMembers(group: GroupEntry, sources: Sources, at: Reading): Located<string>[] {
  const { fields } = group;
  const where = `the group "${shorten(group.name)}"`;
  const members: Located<string>[] = [];
  for (const member of fields.proxies) {
    if (sources.names.has(member.value)) members.push(member);
    else unknownName(where, member.value, member.node, "proxy or group", sources.names, at);
  }
  const add = (names: readonly string[]) =>
    names.forEach((value) => members.push({ value, node: group.nameNode, name: where }));
  if (fields.includeAll || fields.includeAllProxies) add(filterNames(fields.filter, sources.own.map((p) => p.name)));
  add(filterNames(fields.filter, providedNames(group, where, sources, at)));
  const kinds = new Map(sources.all.map((proxy) => [proxy.name, proxy.type]));
  return members.filter(({ value }) => !isExcluded(value, kinds.get(value), fields.excludeFilter, fields.excludeType));
}

function providedNames(group: GroupEntry, where: string, sources: Sources, at: Reading): string[] {
  const { fields } = group;
  const known = new Set(sources.provided.keys());
  const used = fields.includeAll || fields.includeAllProviders ? [...known] : [];
  for (const use of fields.use) {
    if (!known.has(use.value)) unknownName(where, use.value, use.node, "proxy-provider", known, at);
    else if (!used.includes(use.value)) used.push(use.value);
  }
  return used.flatMap((name) => (sources.provided.get(name) ?? []).map((proxy) => proxy.name));
}

/** True when a filter over names, or one over types like `ss|http`, takes a proxy out. */
export function isExcluded(
  name: string,
  kind: string | undefined,
  byName: NameFilter | undefined,
  byKind: string,
): boolean {
  if (byName !== undefined && filterMatches(byName, name)) return true;
  if (kind === undefined || byKind === "") return false;
  return byKind.split("|").some((each) => {
    const word = each.trim().toLowerCase();
    return word === kind || word === ADAPTER_NAMES[kind];
  });
}
