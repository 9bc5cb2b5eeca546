/** Builds compiled lists and conditions out of rules. */
import type { IpPrefix } from "../base/ip_address.ts";
import { type DecideConfig, targetOf } from "./decide_config.ts";
import { APEX, BELOW, DomainSet } from "./domain_set.ts";
import { DomainTable } from "./domain_table.ts";
import { AddressSetCondition, AsnCondition, CountryCondition, IpSuffixCondition } from "./match_address.ts";
import { AndCondition, type Condition, FixedCondition, NotCondition, OrCondition } from "./match_condition.ts";
import {
  NamesCondition,
  NetworkCondition,
  ProcessEqualsCondition,
  ProcessRegexCondition,
  ProcessWildcardCondition,
  RangeCondition,
  UidCondition,
} from "./match_flow.ts";
import {
  DomainCondition,
  DomainSetCondition,
  HostSetCondition,
  KeywordCondition,
  RegexCondition,
  SuffixCondition,
  WildcardCondition,
} from "./match_host.ts";
import { type HostIndex, NO_PLACE, type PrefixIndex, type ProcessIndex, RuleList } from "./match_list.ts";
import { ClassicalCondition, ProviderCondition, SubRuleCondition } from "./match_other_list.ts";
import { Answer } from "./needs.ts";
import { PrefixForest, PrefixSet } from "./prefix_forest.ts";
import type { PrefixRule, Rule } from "./rule.ts";
import type { Target } from "./targets.ts";

/** Gathers rules over names. */
class HostIndexBuilder {
  readonly #table = new DomainTable(NO_PLACE);
  #firstPlace = NO_PLACE;

  /** A rule over a name, or with `below` also over what is below it. */
  add(name: string, below: boolean, place: number): void {
    this.#put(this.#table.insert(name, 0, name.length), below ? APEX | BELOW : APEX, place);
  }

  /** A RULE-SET: every name of the set. */
  addSet(set: DomainSet, place: number): void {
    this.#firstPlace = Math.min(this.#firstPlace, place);
    for (const number of set.table.numbers()) {
      this.#put(this.#table.insertNameOf(set.table, number), set.flagsOf(number), place);
    }
  }

  build(): HostIndex | undefined {
    if (this.#firstPlace === NO_PLACE) return undefined;
    this.#table.trim();
    return { table: this.#table, firstPlace: this.#firstPlace };
  }

  #put(id: number, flags: number, place: number): void {
    if ((flags & APEX) !== 0 && place < this.#table.word(id, 0)) this.#table.setWord(id, 0, place);
    if ((flags & BELOW) !== 0 && place < this.#table.word(id, 1)) this.#table.setWord(id, 1, place);
    if (place < this.#firstPlace) this.#firstPlace = place;
  }
}

/** Gathers rules over prefixes of one end. */
class PrefixIndexBuilder {
  readonly #prefixes: IpPrefix[] = [];
  readonly #places: number[] = [];
  #firstResolving = NO_PLACE;

  add(rule: PrefixRule, place: number): void {
    this.#prefixes.push(rule.prefix);
    this.#places.push(place);
    if (!rule.noResolve) this.#firstResolving = Math.min(this.#firstResolving, place);
  }

  build(): PrefixIndex | undefined {
    if (this.#prefixes.length === 0) return undefined;
    return { forest: new PrefixForest(this.#prefixes, this.#places), firstResolving: this.#firstResolving };
  }
}

/** Gathers rules over process names and paths. */
class ProcessIndexBuilder {
  readonly #names = new Map<string, number>();
  readonly #paths = new Map<string, number>();
  #firstPlace = NO_PLACE;

  add(folded: string, path: boolean, place: number): void {
    const places = path ? this.#paths : this.#names;
    if (!places.has(folded)) places.set(folded, place);
    this.#firstPlace = Math.min(this.#firstPlace, place);
  }

  build(): ProcessIndex | undefined {
    if (this.#firstPlace === NO_PLACE) return undefined;
    return { names: this.#names, paths: this.#paths, firstPlace: this.#firstPlace };
  }
}

/** Compiles lists of one configuration; providers and sub-rules are compiled once each. */
export class ListCompiler {
  readonly #config: DecideConfig;
  readonly #providers = new Map<string, Condition>();
  readonly #subLists = new Map<string, RuleList>();

  constructor(config: DecideConfig) {
    this.#config = config;
  }

  /** Compiles a list. `outermost`: a hit decides, so a SUB-RULE whose target is no use must count as a miss. */
  list(rules: readonly Rule[], outermost: boolean): RuleList {
    const hosts = new HostIndexBuilder();
    const providers = this.#mergedProviders(rules);
    const destinations = new PrefixIndexBuilder();
    const sources = new PrefixIndexBuilder();
    const processes = new ProcessIndexBuilder();
    const others: number[] = [];
    const conditions: Condition[] = [];
    const targets: (Target | undefined)[] = [];
    const idOfTarget = new Map<string, number>();
    const targetIds = new Int32Array(rules.length);
    for (let place = 0; place < rules.length; place++) {
      const rule = rules[place]!;
      const named = rule.program === undefined ? rule.target : `${rule.target},program=${rule.program}`;
      let id = rule.type === "SUB-RULE" ? -1 : idOfTarget.get(named);
      if (id === undefined) {
        id = targets.push(targetOf(this.#config, rule)) - 1;
        idOfTarget.set(named, id);
      }
      targetIds[place] = id;
      if (rule.type === "DOMAIN" || rule.type === "DOMAIN-SUFFIX") {
        hosts.add(rule.payload, rule.type === "DOMAIN-SUFFIX", place);
      } else if (rule.type === "IP-CIDR") destinations.add(rule, place);
      else if (rule.type === "SRC-IP-CIDR") sources.add(rule, place);
      else if (rule.type === "PROCESS-NAME") processes.add(rule.folded, false, place);
      else if (rule.type === "PROCESS-PATH") processes.add(rule.folded, true, place);
      else {
        const condition = rule.type === "SUB-RULE"
          ? this.#subRule(rule, outermost)
          : providers !== undefined && this.#domainSet(rule) !== undefined
          ? this.#wildOf(this.#domainSet(rule)!)
          : this.condition(rule);
        if (condition === undefined) continue;
        others.push(place);
        conditions.push(condition);
        if (rule.type === "MATCH") break; // nothing after it can be reached
      }
    }
    return new RuleList({
      hosts: hosts.build(),
      providers: providers?.build(),
      destinations: destinations.build(),
      sources: sources.build(),
      processes: processes.build(),
      others: Int32Array.from(others),
      conditions,
      targetIds: targets.length < 0x7fff ? Int16Array.from(targetIds) : targetIds,
      targets,
    });
  }

  /** The names that a RULE-SET stands for; undefined for any other rule. */
  #domainSet(rule: Rule): DomainSet | undefined {
    if (rule.type !== "RULE-SET") return undefined;
    const provider = this.#config.providers.get(rule.payload);
    return provider?.behavior === "domain" && provider.hosts instanceof DomainSet ? provider.hosts : undefined;
  }

  /** One table for the names of all RULE-SETs of a list, when there are several: a host is then looked up once, not in each. */
  #mergedProviders(rules: readonly Rule[]): HostIndexBuilder | undefined {
    const sets = rules.map((rule) => this.#domainSet(rule));
    if (sets.filter((set) => set !== undefined).length < 2) return undefined;
    const merged = new HostIndexBuilder();
    const added = new Set<DomainSet>();
    sets.forEach((set, place) => {
      if (set === undefined || added.has(set)) return;
      merged.addSet(set, place);
      added.add(set);
    });
    return merged;
  }

  /** What of a set is not in the merged table. */
  #wildOf(set: DomainSet): Condition | undefined {
    const wild = set.wild;
    return wild === undefined ? undefined : new HostSetCondition(wild, false);
  }

  /** Compiles one rule into something that can be tested alone. */
  condition(rule: Rule): Condition {
    switch (rule.type) {
      case "DOMAIN":
        return new DomainCondition(rule.payload);
      case "DOMAIN-SUFFIX":
        return new SuffixCondition(rule.payload);
      case "DOMAIN-KEYWORD":
        return new KeywordCondition(rule.payload);
      case "DOMAIN-WILDCARD":
        return new WildcardCondition(rule.wildcard);
      case "DOMAIN-REGEX":
        return new RegexCondition(rule.pattern);
      case "GEOSITE":
        return this.#site(rule.payload);
      case "PROCESS-NAME":
      case "PROCESS-PATH":
        return new ProcessEqualsCondition(rule.type === "PROCESS-PATH", rule.folded);
      case "PROCESS-NAME-WILDCARD":
      case "PROCESS-PATH-WILDCARD":
        return new ProcessWildcardCondition(rule.type === "PROCESS-PATH-WILDCARD", rule.wildcard);
      case "PROCESS-NAME-REGEX":
      case "PROCESS-PATH-REGEX":
        return new ProcessRegexCondition(rule.type === "PROCESS-PATH-REGEX", rule.pattern);
      case "UID":
        return new UidCondition(rule.ranges);
      case "RULE-SET":
        return new ProviderCondition(this.#provider(rule.payload), rule.src, rule.noResolve);
      case "AND":
        return new AndCondition(this.#sorted(rule.conditions));
      case "OR":
        return new OrCondition(this.#sorted(rule.conditions));
      case "NOT":
        return new NotCondition(this.condition(rule.conditions[0]!));
      default:
        return this.#simple(rule);
    }
  }

  /** The rules that read an address, and those that read what every flow has. */
  #simple(rule: Rule): Condition {
    switch (rule.type) {
      case "GEOIP":
      case "SRC-GEOIP":
        return new CountryCondition(rule.country, rule.negated, rule.type === "SRC-GEOIP", rule.noResolve);
      case "IP-ASN":
      case "SRC-IP-ASN":
        return new AsnCondition(rule.asn, rule.type === "SRC-IP-ASN", rule.noResolve);
      case "IP-CIDR":
      case "SRC-IP-CIDR":
        return new AddressSetCondition(new PrefixSet([rule.prefix]), rule.type === "SRC-IP-CIDR", rule.noResolve);
      case "IP-SUFFIX":
      case "SRC-IP-SUFFIX": {
        const { address, bits } = rule.prefix;
        return new IpSuffixCondition(address, bits, rule.type === "SRC-IP-SUFFIX", rule.noResolve);
      }
      case "SRC-PORT":
      case "DST-PORT":
      case "IN-PORT":
      case "DSCP":
        return new RangeCondition(rule.type, rule.ranges);
      case "NETWORK":
        return new NetworkCondition(rule.network);
      case "IN-TYPE":
      case "IN-USER":
      case "IN-NAME":
        return new NamesCondition(rule.type, rule.names);
      default:
        return new FixedCondition(rule.type === "MATCH" ? Answer.Yes : Answer.No);
    }
  }

  /** A list of sub-rules, as it is gone through from inside another list. */
  #subList(name: string): RuleList | undefined {
    const known = this.#subLists.get(name);
    const rules = this.#config.subRules.get(name);
    if (known !== undefined || rules === undefined) return known;
    const list = this.list(rules, false);
    this.#subLists.set(name, list);
    return list;
  }

  #subRule(rule: Rule & { type: "SUB-RULE" }, outermost: boolean): Condition {
    const list = this.#subList(rule.target);
    return new SubRuleCondition(this.condition(rule.condition), list, outermost);
  }

  #sorted(rules: readonly Rule[]): Condition[] {
    return rules.map((rule) => this.condition(rule)).sort((a, b) => a.cost - b.cost);
  }

  #site(payload: string): Condition {
    const negated = payload.startsWith("!");
    const set = this.#config.geo.site(negated ? payload.slice(1) : payload);
    return set === undefined ? new FixedCondition(Answer.No) : new HostSetCondition(set, negated);
  }

  #provider(name: string): Condition {
    const known = this.#providers.get(name);
    if (known !== undefined) return known;
    const made = this.#makeProvider(name);
    this.#providers.set(name, made);
    return made;
  }

  #makeProvider(name: string): Condition {
    const provider = this.#config.providers.get(name);
    if (provider === undefined) return new FixedCondition(Answer.No);
    switch (provider.behavior) {
      case "domain":
        return provider.hosts instanceof DomainSet
          ? new DomainSetCondition(provider.hosts)
          : new HostSetCondition(provider.hosts, false);
      case "ipcidr":
        return new AddressSetCondition(provider.addresses, false, false);
      case "classical":
        return new ClassicalCondition(this.list(provider.rules, false));
    }
  }
}
