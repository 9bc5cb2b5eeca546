/** Lists of names and addresses in `sniffer` and `dns`, made ready to be asked. */
import { type IpAddress, prefixContains } from "../base/ip_address.ts";
import type { AddressSet, ProviderSet } from "../decide/decide_config.ts";
import { DomainTrie } from "../decide/domain_trie.ts";
import { type GeoSource, type HostSet, isLanAddress } from "../decide/geo.ts";
import type { IssueList } from "./issue.ts";
import type { Located } from "./schema.ts";
import type { AddressPattern, NamePattern } from "./texts.ts";
import { placeOf, shorten } from "./yaml_tree.ts";

/** What patterns may name that is kept elsewhere. A provider that is known but broken is undefined: that has been reported. */
export interface NamedLists {
  readonly providers: ReadonlyMap<string, ProviderSet | undefined>;
  readonly geo: GeoSource;
  readonly issues: IssueList;
}

/** A set of hosts from patterns: names in trie syntax, site lists, rule-providers of names. */
export function hostMatcher(patterns: readonly Located<NamePattern>[], lists: NamedLists): HostSet {
  const trie = new DomainTrie<true>();
  const sets: HostSet[] = [];
  for (const pattern of patterns) {
    const { value } = pattern;
    if (value.kind === "pattern") {
      if (!trie.add(value.text, true)) {
        report(lists, pattern, `found "${shorten(value.text)}", expected a name pattern`);
      }
    } else if (value.kind === "geosite") {
      for (const code of value.text.split(",")) {
        const set = lists.geo.site(code.trim().toLowerCase());
        if (set !== undefined) sets.push(set);
        else if (lists.geo.available.site) report(lists, pattern, `the site database has no list "${shorten(code)}"`);
      }
    } else {
      for (const provider of namedProviders(value.text, pattern, "domain", lists)) {
        if (provider.behavior === "domain") sets.push(provider.hosts);
      }
    }
  }
  const count = sets.reduce((sum, set) => sum + set.count, trie.size);
  return { count, has: (host) => trie.find(host) !== undefined || sets.some((set) => set.has(host)) };
}

/** A set of addresses from patterns: address blocks, countries, rule-providers of addresses. */
export function addressMatcher(patterns: readonly Located<AddressPattern>[], lists: NamedLists): AddressSet {
  const tests: ((ip: IpAddress) => boolean)[] = [];
  for (const pattern of patterns) {
    const { value } = pattern;
    if (value.kind === "prefix") {
      const { prefix } = value;
      tests.push((ip) => prefixContains(prefix, ip));
    } else if (value.kind === "geoip") {
      const code = value.text.toLowerCase();
      tests.push(code === "lan" ? isLanAddress : (ip) => lists.geo.country(ip).includes(code));
    } else {
      for (const provider of namedProviders(value.text, pattern, "ipcidr", lists)) {
        if (provider.behavior === "ipcidr") tests.push((ip) => provider.addresses.has(ip));
      }
    }
  }
  return { count: tests.length, has: (ip) => tests.some((test) => test(ip)) };
}

function namedProviders(
  names: string,
  pattern: Located<unknown>,
  behavior: ProviderSet["behavior"],
  lists: NamedLists,
): ProviderSet[] {
  const found: ProviderSet[] = [];
  for (const name of names.split(",").map((each) => each.trim())) {
    const provider = lists.providers.get(name);
    if (!lists.providers.has(name)) {
      const hint = lists.issues.didYouMean(name, [...lists.providers.keys()]);
      report(lists, pattern, `found "${shorten(name)}", expected the name of a rule-provider${hint}`);
    } else if (provider !== undefined && provider.behavior !== behavior) {
      report(
        lists,
        pattern,
        `"${shorten(name)}" has behavior ${provider.behavior}, expected a rule-provider of ${behavior}`,
      );
    } else if (provider !== undefined) found.push(provider);
  }
  return found;
}

function report(lists: NamedLists, { name, node }: Located<unknown>, message: string): void {
  lists.issues.error(placeOf(node), `Cannot read ${name}: ${message}`);
}
