/** Reads a whole configuration: the file, everything that it names, and every mistake in all of it at once. */
import { CONFIG_BYTES_MAX } from "../base/limits.ts";
import type { IpAddress } from "../base/ip_address.ts";
import { checkDecideConfig, compileDecider, type DecideConfig } from "../decide/compile.ts";
import { type ConfigDocument, configDocument, emptyDocument } from "./document.ts";
import { type ConfigFiles, readText } from "./files.ts";
import { assumeAll, loadGeo } from "./geo_files.ts";
import { readHosts } from "./hosts.ts";
import { type Issue, IssueList, type Place } from "./issue.ts";
import { gatherMembers } from "./members.ts";
import { readOutbound } from "./outbounds.ts";
import { type LoadedProvider, readProxyProviders, readRuleProviders } from "./provider_files.ts";
import type { ProxyEntry } from "./proxies.ts";
import { checkRuleNames, parseRules, type PlacedRule, placeOfName, ruleLines } from "./rules.ts";
import { type Reading, within } from "./schema.ts";
import { defaultSnifferSection } from "./sniffer.ts";
import { readyDns, readySniffer, type WeirConfig } from "./weir_config.ts";
import { oneLine, readYaml, shorten } from "./yaml_tree.ts";

export { formatIssue, type Issue } from "./issue.ts";
export { ConfigFileError, type ConfigFiles } from "./files.ts";
export type { WeirConfig } from "./weir_config.ts";

/** A rule that a policy script made, and where. */
export interface ScriptRule extends Place {
  readonly text: string;
}

/** What a configuration is read with besides its file. */
export interface LoadOptions {
  /**
   * Loads the policy script and gives its rules; they come before those of the configuration. Called once, with the full path that the
   * configuration names, or undefined. What is wrong with the script is the caller's to report.
   */
  readonly scriptRules?: (policy: string | undefined) => Promise<readonly ScriptRule[]>;
  /** This machine's own addresses, for `lan` in `hosts`. */
  readonly lanAddresses?: readonly IpAddress[];
}

/**
 * Reads a configuration; without a file, the one that has no rules.
 * Errors: in `issues`, all of them; `config` is absent when any is an error. Only mistakes of weir's own reject.
 */
export async function loadConfig(
  file: string | undefined,
  files: ConfigFiles,
  options: LoadOptions = {},
): Promise<{ config?: WeirConfig; issues: Issue[] }> {
  const issues = new IssueList();
  const document = file === undefined ? emptyDocument() : await readDocument(file, files, issues);
  if (document === undefined) return { issues: issues.sorted() };
  const config = await new Loading(document, file, files, issues).finish(options);
  return config === undefined ? { issues: issues.sorted() } : { config, issues: issues.sorted() };
}

async function readDocument(file: string, files: ConfigFiles, issues: IssueList): Promise<ConfigDocument | undefined> {
  const place = { file, line: 1, column: 1 };
  const wish = { path: file, place, what: "the configuration", bytesMax: CONFIG_BYTES_MAX };
  const source = await readText(files, wish, issues);
  const tree = source === undefined ? undefined : readYaml(source, issues);
  return tree === undefined ? undefined : configDocument(tree, { name: "", issues });
}

/** One configuration on its way from what is written to what is used. */
class Loading {
  readonly #document: ConfigDocument;
  readonly #file: string | undefined;
  readonly #files: ConfigFiles;
  readonly #issues: IssueList;
  readonly #top: Reading;

  constructor(document: ConfigDocument, file: string | undefined, files: ConfigFiles, issues: IssueList) {
    this.#document = document;
    this.#file = file;
    this.#files = files;
    this.#issues = issues;
    this.#top = { name: "", issues };
  }

  async finish(options: LoadOptions): Promise<WeirConfig | undefined> {
    const document = this.#document;
    const reading = { base: this.#file ?? "", files: this.#files, issues: this.#issues };
    const members = gatherMembers(document, await readProxyProviders(document, reading), this.#top);
    const providers = await readRuleProviders(document, reading);
    const hosts = readHosts(document.hosts, options.lanAddresses ?? [], within(this.#top, "hosts"));
    const policy = this.#policyPath();
    const lists = this.#ruleLists(await options.scriptRules?.(policy) ?? []);
    const geo = await loadGeo(document, [...lists.all()], providers, reading);
    const programs = document.weir.programs;
    const names = {
      targets: members.names,
      subRules: new Set(lists.sub.keys()),
      providers: new Set(providers.keys()),
      programs: new Set(programs.keys()),
    };
    const usable = lists.map((rules) => checkRuleNames(rules, names, this.#issues));
    const decide: DecideConfig = {
      mode: document.mode,
      findProcessMode: document.findProcessMode,
      ...usable.asRules(),
      providers: new Map([...providers].flatMap(([name, { set }]) => set === undefined ? [] : [[name, set] as const])),
      hosts,
      targets: members.targets,
      geo,
      programs,
    };
    this.#checkRules(decide, usable, providers);
    const named = {
      providers: new Map([...providers].map(([name, { set }]) => [name, set])),
      geo,
      issues: this.#issues,
    };
    const sniffer = readySniffer(document.sniffer ?? defaultSnifferSection(), document.sniffer !== undefined, named);
    const dns = readyDns(document.dns, named);
    if (this.#issues.hasErrors) return undefined;
    return {
      file: this.#file,
      decide,
      decider: compileDecider(decide),
      sniffer,
      dns,
      tun: document.tun,
      divert: document.weir.divert,
      general: document,
      groups: members.groups,
      proxies: members.proxies,
      ...readOutbounds(members.proxies),
      policy,
    };
  }

  #ruleLists(scriptRules: readonly ScriptRule[]): RuleLists {
    const fromScript = scriptRules.map(({ text, file, line, column }) => ({
      text,
      name: `the rule "${shorten(text)}"`,
      place: () => ({ file, line, column }),
    }));
    const main = parseRules([...fromScript, ...ruleLines(this.#document.rules)], this.#issues);
    const sub = Array.from(this.#document.subRules, ([name, { value }]) => {
      return [name, parseRules(ruleLines(value), this.#issues)] as const;
    });
    return new RuleLists(main, new Map(sub));
  }

  /** What can only be seen once every single rule is fine: circles of sub-rules, lists that no database has. */
  #checkRules(decide: DecideConfig, lists: RuleLists, providers: ReadonlyMap<string, LoadedProvider>): void {
    const stand = new Map(decide.providers);
    for (const name of providers.keys()) if (!stand.has(name)) stand.set(name, NOTHING);
    for (const issue of checkDecideConfig({ ...decide, providers: stand, geo: assumeAll(decide.geo) })) {
      const list = issue.subRule === undefined ? lists.main : lists.sub.get(issue.subRule);
      const placed = list?.[issue.ruleIndex ?? -1];
      if (placed === undefined) continue;
      const place = issue.kind === "subRule" ? placeOfName(placed, placed.rule.target, "last") : placed.line.place(0);
      this.#issues.error(place, `Cannot read ${placed.line.name}: ${oneLine(issue.message)}`);
    }
  }

  #policyPath(): string | undefined {
    const { policy } = this.#document.weir;
    return policy && this.#files.resolve(this.#file ?? "", policy.value);
  }
}

/** Proxies as ways out. What is wrong with them matters only to those who carry flows. */
function readOutbounds(proxies: readonly ProxyEntry[]): Pick<WeirConfig, "outbounds" | "outboundIssues"> {
  const issues = new IssueList();
  const outbounds = proxies.flatMap((proxy) => readOutbound(proxy, { name: "proxies", issues }) ?? []);
  return { outbounds, outboundIssues: issues.sorted() };
}

const NOTHING = { behavior: "classical", count: 0, rules: [] } as const;

/** The main list of rules and those that SUB-RULE names. */
class RuleLists {
  readonly main: readonly PlacedRule[];
  readonly sub: ReadonlyMap<string, readonly PlacedRule[]>;

  constructor(main: readonly PlacedRule[], sub: ReadonlyMap<string, readonly PlacedRule[]>) {
    this.main = main;
    this.sub = sub;
  }

  *all(): Generator<PlacedRule> {
    yield* this.main;
    for (const rules of this.sub.values()) yield* rules;
  }

  map(change: (rules: readonly PlacedRule[]) => PlacedRule[]): RuleLists {
    const sub = Array.from(this.sub, ([name, rules]) => [name, change(rules)] as const);
    return new RuleLists(change(this.main), new Map(sub));
  }

  asRules(): Pick<DecideConfig, "rules" | "subRules"> {
    const plain = (rules: readonly PlacedRule[]) => rules.map((placed) => placed.rule);
    return {
      rules: plain(this.main),
      subRules: new Map(Array.from(this.sub, ([name, rules]) => [name, plain(rules)] as const)),
    };
  }
}
