/** The section `hosts`: fixed addresses and aliases. Source: mihomo config/config.go `parseHosts`. */
import type { IpAddress } from "../base/ip_address.ts";
import { buildHosts, type HostsEntry, type HostsTable } from "../decide/hosts.ts";
import { listOrOne, mapOf, type Reading, text } from "./schema.ts";
import { oneLine, type Value } from "./yaml_tree.ts";

const readEntries = mapOf(listOrOne(text("an IP address or a name")), "a table of names and addresses");

/** Builds the hosts table; `lan` are this machine's own addresses. */
export function readHosts(section: Value | undefined, lan: readonly IpAddress[], at: Reading): HostsTable {
  const entries = Array.from(
    section === undefined ? [] : readEntries(section, at) ?? [],
    ([name, { value, place }]) => ({ name, place, value: value.length === 1 ? value[0]! : value }),
  );
  const { hosts, issues } = buildHosts(entries satisfies HostsEntry[], lan);
  for (const { index, message } of issues) {
    at.issues.error(entries[index]!.place, `Cannot read ${oneLine(message)}`);
  }
  return hosts;
}
