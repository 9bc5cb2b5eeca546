/** Everything that deciding is configured with, and how the loaded rule-providers look. */
import type { IpAddress } from "../base/ip_address.ts";
import type { GeoSource, HostSet } from "./geo.ts";
import type { HostsTable } from "./hosts.ts";
import type { PacketProgram } from "./packet_program.ts";
import type { Rule } from "./rule.ts";
import type { Target, Targets } from "./targets.ts";

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
  /** The packet programs that rules and policies may name. */
  readonly programs?: ReadonlyMap<string, PacketProgram>;
}

/** The target that a rule names, with the packet program that it names. A program that does not exist is none. */
export function targetOf(config: Pick<DecideConfig, "targets" | "programs">, rule: Rule): Target | undefined {
  const target = config.targets.find(rule.target);
  const program = rule.program === undefined ? undefined : config.programs?.get(rule.program);
  return target === undefined || program === undefined ? target : { ...target, effects: { program } };
}
