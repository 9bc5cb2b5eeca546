/**
 * A compiled list of rules: the first hit without trying one rule after the other.
 *
 * Rules that compare a whole name, a suffix, a prefix or a process are in tables that answer with the first rule that matches, or
 * with the first one that cannot be judged yet. Only the rules of all other kinds are tested in turn, and only those that
 * stand before that answer. So the order of the rules keeps its meaning, and so do the needs.
 */
import type { DomainTable } from "./domain_table.ts";
import type { Condition } from "./match_condition.ts";
import type { MatchContext } from "./match_context.ts";
import { Answer } from "./needs.ts";
import type { PrefixForest } from "./prefix_forest.ts";
import type { Target } from "./targets.ts";

/** No rule stands there. */
const NOWHERE = 0x7fffffff;

/**
 * Rules over names. The table's words are two places, or `NOWHERE`: of the first rule that takes the name itself, and of the first
 * that takes what ends with a dot and the name.
 */
export interface HostIndex {
  readonly table: DomainTable;
  /** The first place of any of them. */
  readonly firstPlace: number;
}

/** Rules over prefixes of one end. */
export interface PrefixIndex {
  readonly forest: PrefixForest;
  /** The first place of a rule that may look the address up, or `NOWHERE`. */
  readonly firstResolving: number;
}

/** Rules over a whole process name or path, by the name in lower case. */
export interface ProcessIndex {
  readonly names: ReadonlyMap<string, number>;
  readonly paths: ReadonlyMap<string, number>;
  readonly firstPlace: number;
}

/** What a compiled list is made of. Places count the rules of the list from 0. */
export interface RuleListParts {
  readonly hosts: HostIndex | undefined;
  /** The names of all domain providers that a RULE-SET of this list asks for, if there are several. */
  readonly providers: HostIndex | undefined;
  readonly destinations: PrefixIndex | undefined;
  readonly sources: PrefixIndex | undefined;
  readonly processes: ProcessIndex | undefined;
  /** Places of all other rules, in order, and their conditions. */
  readonly others: Int32Array;
  readonly conditions: readonly Condition[];
  /** By place: which of `targets` the rule names; -1 when the condition itself leaves one in the context. */
  readonly targetIds: Int16Array | Int32Array;
  readonly targets: readonly (Target | undefined)[];
}

/** A place that no rule has. */
export const NO_PLACE = NOWHERE;

/** One list. */
export class RuleList {
  readonly #parts: RuleListParts;
  /** The answer that the tables gave to the last question, beside its place: `Yes` or a need. */
  #answer: number = Answer.No;

  constructor(parts: RuleListParts) {
    this.#parts = parts;
  }

  /** The place of the first hit, its target in the context; -1 when there is none; minus a sum of needs when it cannot be told. */
  first(context: MatchContext): number {
    const parts = this.#parts;
    const place = this.#firstInTables(context);
    const answer = this.#answer;
    const others = parts.others;
    for (let i = 0; i < others.length && others[i]! < place; i++) {
      const each = parts.conditions[i]!.test(context);
      if (each === Answer.No) continue;
      return each === Answer.Yes ? this.#hit(others[i]!, context) : -each;
    }
    if (place === NOWHERE) return -1;
    return answer === Answer.Yes ? this.#hit(place, context) : -answer;
  }

  /** Whether any rule of the list matches, in whatever order: `Yes`, `No`, or the needs of all that cannot be told. */
  any(context: MatchContext): number {
    const parts = this.#parts;
    let needs = 0;
    if (parts.hosts !== undefined) {
      if (context.nameComing) needs |= Answer.Name;
      else if (this.#host(parts.hosts, context) !== NOWHERE) return Answer.Yes;
    }
    if (parts.providers !== undefined) {
      if (context.nameComing) needs |= Answer.Name;
      else if (this.#providers(parts.providers, context) !== NOWHERE) return Answer.Yes;
    }
    const destination = this.#address(parts.destinations, false, context);
    if (destination !== NOWHERE && this.#answer === Answer.Yes) return Answer.Yes;
    if (destination !== NOWHERE) needs |= this.#answer;
    if (this.#address(parts.sources, true, context) !== NOWHERE) return Answer.Yes;
    if (parts.processes !== undefined) {
      if (context.processWanted) needs |= Answer.Process;
      else if (this.#process(parts.processes, context) !== NOWHERE) return Answer.Yes;
    }
    for (let i = 0; i < parts.conditions.length; i++) {
      const answer = parts.conditions[i]!.test(context);
      if (answer === Answer.Yes) return Answer.Yes;
      needs |= answer;
    }
    return needs;
  }

  #hit(place: number, context: MatchContext): number {
    const id = this.#parts.targetIds[place]!;
    if (id >= 0) context.target = this.#parts.targets[id];
    return place;
  }

  /** The first place that a table matches or cannot tell, with `#answer` beside it. */
  #firstInTables(context: MatchContext): number {
    const parts = this.#parts;
    let best = NOWHERE;
    let bestAnswer: number = Answer.No;
    if (parts.hosts !== undefined) {
      best = context.nameComing ? parts.hosts.firstPlace : this.#host(parts.hosts, context);
      bestAnswer = context.nameComing ? Answer.Name : Answer.Yes;
    }
    if (parts.providers !== undefined) {
      const place = context.nameComing ? parts.providers.firstPlace : this.#providers(parts.providers, context);
      if (place < best) {
        best = place;
        bestAnswer = context.nameComing ? Answer.Name : Answer.Yes;
      }
    }
    if (parts.destinations !== undefined) {
      const place = this.#address(parts.destinations, false, context);
      if (place < best) {
        best = place;
        bestAnswer = this.#answer;
      }
    }
    if (parts.sources !== undefined) {
      const place = this.#address(parts.sources, true, context);
      if (place < best) {
        best = place;
        bestAnswer = this.#answer;
      }
    }
    if (parts.processes !== undefined) {
      const place = context.processWanted ? parts.processes.firstPlace : this.#process(parts.processes, context);
      if (place < best) {
        best = place;
        bestAnswer = context.processWanted ? Answer.Process : Answer.Yes;
      }
    }
    this.#answer = bestAnswer;
    return best;
  }

  #host(index: HostIndex, context: MatchContext): number {
    const scan = context.scan;
    const last = scan.count - 1;
    let best = NOWHERE;
    for (let k = 0; k <= last; k++) {
      const id = index.table.find(scan, k);
      if (id < 0) continue;
      const place = index.table.word(id, k === last ? 0 : 1);
      if (place < best) best = place;
    }
    return best;
  }

  /** Names of providers match only what is a name. */
  #providers(index: HostIndex, context: MatchContext): number {
    return context.scan.wellFormed ? this.#host(index, context) : NOWHERE;
  }

  /** Leaves `Yes` or the need in `#answer`. */
  #address(index: PrefixIndex | undefined, source: boolean, context: MatchContext): number {
    if (index === undefined) return NOWHERE;
    const ip = context.ip(source);
    if (ip !== undefined) {
      this.#answer = Answer.Yes;
      const place = index.forest.first(ip);
      return place < 0 ? NOWHERE : place;
    }
    this.#answer = index.firstResolving === NOWHERE ? Answer.No : context.addressNeed(false);
    return this.#answer === Answer.No ? NOWHERE : index.firstResolving;
  }

  #process(index: ProcessIndex, context: MatchContext): number {
    if (context.mode === "off") return NOWHERE;
    const name = context.facts.process === "" ? undefined : index.names.get(context.foldedProcess());
    const path = context.facts.processPath === "" ? undefined : index.paths.get(context.foldedPath());
    const byName = name === undefined ? NOWHERE : name;
    return path === undefined || byName < path ? byName : path;
  }
}
