/** Everything that deciding is configured with, and how the loaded rule-providers look. */
import type { IpAddress } from "../base/ip_address.ts";
import type { GeoSource, HostSet } from "./geo.ts";
import type { HostsTable } from "./hosts.ts";
import type { Rule } from "./rule.ts";
import type { Targets } from "./targets.ts";

/** A set of addresses. */
export interface AddressSet {
  readonly count: number;
  has(ip: IpAddress): boolean;
}

/** A loaded rule-provider. `count` is its number of entries. */
export type ProviderSet =
  | { readonly behavior: "domain"; readonly count: number; readonly hosts: HostSet }
  | { readonly behavior: "ipcidr"; readonly count: number; readonly addresses: AddressSet }
  | { readonly behavior: "classical"; readonly count: number; readonly rules: readonly Rule[] };

/** What a decider is made from. */
export interface DecideConfig {
  readonly mode: "rule" | "global" | "direct";
  readonly findProcessMode: "off" | "strict" | "always";
  readonly rules: readonly Rule[];
  readonly subRules: ReadonlyMap<string, readonly Rule[]>;
  readonly providers: ReadonlyMap<string, ProviderSet>;
  readonly hosts: HostsTable;
  readonly targets: Targets;
  readonly geo: GeoSource;
}
