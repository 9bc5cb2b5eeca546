/** Conditions over what every flow has, and over its process. */
import { Condition } from "./match_condition.ts";
import type { MatchContext } from "./match_context.ts";
import { Answer } from "./needs.ts";
import type { Pattern } from "./pattern.ts";
import { inRanges, type NumberRange } from "./ranges.ts";
import { matchesWildcard } from "./wildcard.ts";

/** Which number of a flow a range rule compares. */
export type RangeSubject = "SRC-PORT" | "DST-PORT" | "IN-PORT" | "DSCP";

/** SRC-PORT, DST-PORT, IN-PORT, DSCP. */
export class RangeCondition extends Condition {
  readonly #subject: RangeSubject;
  readonly #ranges: readonly NumberRange[];

  constructor(subject: RangeSubject, ranges: readonly NumberRange[]) {
    super(0);
    this.#subject = subject;
    this.#ranges = ranges;
  }

  #value(context: MatchContext): number {
    const facts = context.facts;
    if (this.#subject === "DSCP") return facts.dscp;
    if (this.#subject === "IN-PORT") return facts.inboundPort;
    return (this.#subject === "SRC-PORT") !== context.swapped ? facts.sourcePort : facts.destinationPort;
  }

  test(context: MatchContext): number {
    return inRanges(this.#ranges, this.#value(context)) ? Answer.Yes : Answer.No;
  }
}

/** NETWORK. */
export class NetworkCondition extends Condition {
  readonly #network: "tcp" | "udp";

  constructor(network: "tcp" | "udp") {
    super(0);
    this.#network = network;
  }

  test(context: MatchContext): number {
    return context.facts.network === this.#network ? Answer.Yes : Answer.No;
  }
}

/** IN-TYPE, IN-USER, IN-NAME. */
export class NamesCondition extends Condition {
  readonly #subject: "IN-TYPE" | "IN-USER" | "IN-NAME";
  readonly #names: readonly string[];

  constructor(subject: "IN-TYPE" | "IN-USER" | "IN-NAME", names: readonly string[]) {
    super(0);
    this.#subject = subject;
    this.#names = names;
  }

  test(context: MatchContext): number {
    const facts = context.facts;
    const name = this.#subject === "IN-TYPE"
      ? facts.type.toUpperCase()
      : this.#subject === "IN-USER"
      ? facts.inboundUser
      : facts.inboundName;
    return this.#names.includes(name) ? Answer.Yes : Answer.No;
  }
}

abstract class ProcessCondition extends Condition {
  abstract matches(context: MatchContext): boolean;

  test(context: MatchContext): number {
    if (context.processWanted) return Answer.Process;
    return context.mode !== "off" && this.matches(context) ? Answer.Yes : Answer.No;
  }
}

/** UID. */
export class UidCondition extends ProcessCondition {
  readonly #ranges: readonly NumberRange[];

  constructor(ranges: readonly NumberRange[]) {
    super(6);
    this.#ranges = ranges;
  }

  matches(context: MatchContext): boolean {
    const uid = context.facts.uid;
    return uid !== undefined && inRanges(this.#ranges, uid);
  }
}

/** PROCESS-NAME and PROCESS-PATH in a logic rule. `folded` is in lower case. */
export class ProcessEqualsCondition extends ProcessCondition {
  readonly #path: boolean;
  readonly #folded: string;

  constructor(path: boolean, folded: string) {
    super(6);
    this.#path = path;
    this.#folded = folded;
  }

  matches(context: MatchContext): boolean {
    const subject = this.#path ? context.foldedPath() : context.foldedProcess();
    return subject !== "" && subject === this.#folded;
  }
}

/** PROCESS-NAME-WILDCARD and PROCESS-PATH-WILDCARD. */
export class ProcessWildcardCondition extends ProcessCondition {
  readonly #path: boolean;
  readonly #wildcard: string;

  constructor(path: boolean, wildcard: string) {
    super(6);
    this.#path = path;
    this.#wildcard = wildcard;
  }

  matches(context: MatchContext): boolean {
    const subject = this.#path ? context.foldedPath() : context.foldedProcess();
    return subject !== "" && matchesWildcard(this.#wildcard, subject);
  }
}

/** PROCESS-NAME-REGEX and PROCESS-PATH-REGEX. */
export class ProcessRegexCondition extends ProcessCondition {
  readonly #path: boolean;
  readonly #pattern: Pattern;

  constructor(path: boolean, pattern: Pattern) {
    super(6);
    this.#path = path;
    this.#pattern = pattern;
  }

  matches(context: MatchContext): boolean {
    const subject = this.#path ? context.facts.processPath : context.facts.process;
    return subject !== "" && this.#pattern.test(subject);
  }
}
