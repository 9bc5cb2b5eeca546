/**
 * The hosts table: fixed addresses and aliases for names, with the wildcards of `domain_trie.ts`.
 *
 * Source: mihomo component/resolver/host.go, config/config.go `parseHosts`. Unlike there, an alias that leads back to itself through
 * a wildcard is refused as well, and of several addresses the one the flow already has is kept, else the first is taken.
 */
import { HOSTS_ALIAS_COUNT_MAX } from "../base/limits.ts";
import { type IpAddress, parseIp, sameIp } from "../base/ip_address.ts";
import type { FlowFacts } from "../classify/facts.ts";
import { Lookup } from "../classify/facts.ts";
import { DomainTrie } from "./domain_trie.ts";
import { toAsciiName } from "./punycode.ts";

/** One entry of `hosts`: an address, several, an alias of two labels at least, or `lan`. */
export interface HostsEntry {
  readonly name: string;
  readonly value: string | readonly string[];
}

/** A mistake in one entry. */
export interface HostsIssue {
  readonly index: number;
  readonly message: string;
}

type HostValue = { readonly addresses: readonly IpAddress[] } | { readonly alias: string };

function readValue(entry: HostsEntry, lan: readonly IpAddress[]): HostValue | string {
  const texts = typeof entry.value === "string" ? [entry.value] : entry.value;
  if (entry.value === "lan") return { addresses: lan };
  if (texts.length === 0) return "no address";
  const single = texts.length === 1 ? texts[0]! : undefined;
  if (single !== undefined && parseIp(single) === undefined) {
    const alias = toAsciiName(single).replace(/^\.+|\.+$/g, "");
    const fine = alias.split(".").length >= 2 && /^[^\s.]+(\.[^\s.]+)+$/.test(alias) && alias.length <= 253;
    return fine ? { alias } : `${JSON.stringify(single)} is neither an address nor a name of two labels or more`;
  }
  const addresses: IpAddress[] = [];
  for (const text of texts) {
    const address = parseIp(text);
    if (address === undefined) return `${JSON.stringify(text)} is not an address`;
    addresses.push(address);
  }
  return { addresses };
}

/** Names with fixed addresses. Made by `buildHosts`; unchanging. */
export class HostsTable {
  readonly #trie: DomainTrie<HostValue>;

  constructor(trie: DomainTrie<HostValue>) {
    this.#trie = trie;
  }

  /** How many names were added, `localhost` included. */
  get size(): number {
    return this.#trie.size;
  }

  /** The name that `host` stands for, one step on; undefined when it is no alias. */
  alias(host: string): string | undefined {
    const value = this.#trie.find(host);
    return value !== undefined && "alias" in value ? value.alias : undefined;
  }

  /** The fixed addresses of `host`, after its aliases; undefined when there are none. */
  addresses(host: string): readonly IpAddress[] | undefined {
    let value = this.#trie.find(host);
    for (let step = 0; value !== undefined && step <= HOSTS_ALIAS_COUNT_MAX; step++) {
      if ("addresses" in value) return value.addresses.length === 0 ? undefined : value.addresses;
      value = this.#trie.find(value.alias);
    }
    return undefined;
  }

  /** The aliases from `name` on, until one has no further alias or comes again. */
  aliasPath(name: string): { path: string[]; circular: boolean } {
    const path = [name];
    for (let next = this.alias(name); next !== undefined; next = this.alias(next)) {
      const again = path.includes(next);
      path.push(next);
      if (again || path.length > HOSTS_ALIAS_COUNT_MAX) return { path, circular: again };
    }
    return { path, circular: false };
  }
}

/**
 * Builds the table. `localhost` is in it unless an entry says otherwise; `lan` addresses are this machine's, handed in by the host.
 * What is wrong comes back as issues, and the rest still works.
 */
export function buildHosts(
  entries: readonly HostsEntry[],
  lan: readonly IpAddress[] = [],
): { hosts: HostsTable; issues: HostsIssue[] } {
  const issues: HostsIssue[] = [];
  const trie = new DomainTrie<HostValue>();
  trie.add("localhost", { addresses: [parseIp("127.0.0.1")!] });
  const aliases: { index: number; alias: string; name: string }[] = [];
  entries.forEach((entry, index) => {
    const value = readValue(entry, lan);
    if (typeof value === "string") issues.push({ index, message: `hosts ${entry.name}: ${value}` });
    else if (!trie.add(entry.name, value)) {
      issues.push({ index, message: `hosts: ${JSON.stringify(entry.name)} is not a name` });
    } else if ("alias" in value) aliases.push({ index, alias: value.alias, name: entry.name });
  });
  const hosts = new HostsTable(trie);
  for (const { index, alias, name } of aliases) {
    const { path, circular } = hosts.aliasPath(alias);
    const shown = [name, ...path].join(" -> ");
    if (circular) {
      issues.push({ index, message: `hosts ${name}: there is a cycle in domain name mapping: ${shown}` });
    } else if (path.length > HOSTS_ALIAS_COUNT_MAX) {
      issues.push({ index, message: `hosts ${name}: more than ${HOSTS_ALIAS_COUNT_MAX} aliases: ${shown}` });
    }
  }
  return { hosts, issues };
}

/**
 * Prepares a flow's facts once, before any rule: a host that is an address becomes the destination, an alias replaces the host,
 * a fixed address becomes the destination and makes a lookup needless.
 */
export function prepareFacts(facts: FlowFacts, hosts: HostsTable): void {
  if (facts.host === "") return;
  const literal = parseIp(facts.host.replace(/^\[(.*)\]$/, "$1"));
  if (literal !== undefined) {
    facts.destinationIp = literal;
    facts.host = "";
    return;
  }
  facts.host = toAsciiName(facts.host).replace(/\.$/, "");
  const alias = hosts.alias(facts.host);
  if (alias !== undefined) facts.host = alias;
  const fixed = hosts.addresses(facts.host);
  if (fixed === undefined) {
    if (alias !== undefined) facts.dnsMode = "hosts";
    return;
  }
  const current = facts.destinationIp;
  if (current === undefined || !fixed.some((address) => sameIp(address, current))) facts.destinationIp = fixed[0];
  facts.resolveLookup = Lookup.Done;
  facts.dnsMode = "hosts";
}
