/** Why a derived filter takes in what it does: the rules that had a say. */
import { DIVERT_FILTER_REASONS_MAX } from "../base/limits.ts";
import { type Rule, RULE_TYPES } from "../decide/rule.ts";
import type { Target } from "../decide/targets.ts";
import { ALL, NONE } from "./divert_region.ts";
import type { Bounds } from "./divert_rules.ts";

const READS: Readonly<Record<string, string>> = {
  host: "a host name",
  process: "a process",
  destinationIp: "a database or a list",
};

/** Gathers reasons for one network. Rules are told from the last one to the first. */
export class FilterReasons {
  readonly #general: string[] = [];
  readonly #rules: string[] = [];
  #omitted = 0;

  /** A reason that is no rule. */
  say(reason: string): void {
    this.#general.push(reason);
  }

  /** A rule with what can be known of it from a packet. */
  rule(rule: Rule, target: Target | undefined, { may, must }: Bounds, network: "tcp" | "udp"): void {
    const touches = target !== undefined && (target.action !== "direct" || target.effects !== undefined);
    const text = [rule.type, rule.payload, rule.target].filter((part) => part !== "").join(",");
    if (touches ? may === NONE : must === NONE) return;
    const reads = READS[RULE_TYPES[rule.type].reads] ?? "more than addresses and ports";
    const isVague = may === ALL && must === NONE;
    const how = isVague
      ? `${reads} is in no packet, so every ${network} flow may be meant`
      : "taken by its addresses and ports";
    const line = touches ? `${text}: ${rule.type === "MATCH" ? "every flow" : how}` : `${text}: left alone`;
    this.#rules.unshift(line);
    if (this.#rules.length > DIVERT_FILTER_REASONS_MAX) {
      this.#rules.pop();
      this.#omitted++;
    }
  }

  /** All of them, in the order of the rules. */
  lines(): string[] {
    const more = this.#omitted === 0 ? [] : [`${this.#omitted} more rules`];
    return [...this.#general, ...this.#rules, ...more];
  }
}
