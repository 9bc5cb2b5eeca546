/**
 * Runs one version of a policy in a worker: asks it, watches its deadlines, and starts it anew when it hangs.
 *
 * ```
 * loading ──loaded──► running ──hang, memory, crash──► loading   (POLICY_HANGS_MAX in a row, or not loadable again: suspended)
 *    └──failed, late──► suspended                running ──close──► closed
 * ```
 */
import type { Metadata } from "../classify/facts.ts";
import {
  POLICY_CALLS_IN_FLIGHT_MAX,
  POLICY_FORGIVING_ANSWERS,
  POLICY_GARBAGE_MESSAGES_MAX,
  POLICY_HANGS_MAX,
  POLICY_HEAP_BYTES_MAX,
  POLICY_LOG_LINES_MAX,
  POLICY_MISSES_MAX,
  POLICY_TEXT_LENGTH_MAX,
} from "../base/limits.ts";
import type { PacketProgram } from "../decide/packet_program.ts";
import { readAnswer } from "../policy/answer.ts";
import type { FromWorker, SentError, ToWorker } from "../policy/bundle.ts";
import { readDnsAnswer } from "../policy/dns_answer.ts";
import type { DnsQuestion } from "../policy/policy.ts";
import type { AskedDns } from "./dns_service.ts";
import { verdictOnQuestion } from "./policy_dns.ts";
import type { PolicyFiles, PolicyIssue, PolicyPlace } from "./policy_files.ts";
import { type CheckedMessage, isFromWorker } from "./policy_messages.ts";
import { PolicyPrograms } from "./policy_programs.ts";
import { PolicyThread } from "./policy_thread.ts";

/** What a policy says about one flow. */
export type PolicyAnswer =
  | { readonly kind: "rules" }
  | {
    readonly kind: "verdict";
    readonly via: string | undefined;
    /** A name of the configuration, or a program that the script spelled out. */
    readonly program: string | PacketProgram | undefined;
  }
  | { readonly kind: "failed"; readonly issue: PolicyIssue };

/** What a policy says about one question; "configuration" when it has nothing to say. */
export type PolicyDnsAnswer =
  | { readonly kind: "configuration" }
  | { readonly kind: "verdict"; readonly verdict: AskedDns }
  | { readonly kind: "failed"; readonly issue: PolicyIssue };

/** A line that the script logged. */
export interface PolicyLog {
  readonly level: "debug" | "info" | "warning" | "error";
  readonly text: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A rule that the script made, and where. */
export interface PolicyRuleLine {
  readonly text: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** How a runner is bounded and whom it tells. Units: ms. */
export interface RunnerOptions {
  readonly deadlineMs: number;
  readonly loadDeadlineMs: number;
  readonly onIssue: (issue: PolicyIssue) => void;
  readonly onLog: (log: PolicyLog) => void;
}

type State = "loading" | "running" | "suspended" | "closed";

/** The two functions of a policy that are called. */
type Member = "onConnection" | "onDns";

/** What a call came to, whichever function it was of. */
type Outcome = PolicyAnswer | PolicyDnsAnswer;

interface Call {
  readonly member: Member;
  /** What the worker is sent. */
  message(id: number): ToWorker;
  /** Takes the outcome, which fits the function that was called; undefined: the function said nothing, or nobody could ask. */
  resolve(outcome: Outcome | undefined): void;
  /** When the worker was asked; once it waits for a promise, since when. Units: ms. */
  at: number;
  /** The worker said that it waits for a promise, so it is alive. */
  pending: boolean;
}

const RULES: PolicyAnswer = { kind: "rules" };
const CONFIGURATION: PolicyDnsAnswer = { kind: "configuration" };
/** Lateness of a timer that means that this process itself did not run. Units: ms. */
const STALL_MS = 20;
/** What a worker that says nothing gets beyond the deadline, at which the script stops itself, before it is killed. Units: ms. */
const HANG_GRACE_MS = 250;
/** What a promise gets beyond the deadline, so that a script that stops itself is heard. Units: ms. */
const PROMISE_GRACE_MS = 50;
/** Deadlines that a call may wait behind others. */
const QUEUE_FACTOR = 4;

/** One version of a policy, loaded or on its way. */
export class PolicyRunner {
  readonly files: PolicyFiles;
  ruleLines: readonly PolicyRuleLine[] = [];
  hasOnConnection = false;
  hasOnDns = false;
  readonly #options: RunnerOptions;
  readonly #programs = new PolicyPrograms();
  readonly #calls = new Map<number, Call>();
  #state: State = "loading";
  #thread: PolicyThread | undefined;
  #secret = "";
  #nextId = 0;
  #hangs = 0;
  #misses = 0;
  #goodAnswers = 0;
  #garbage = 0;
  #heardAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt = 0;
  #loadTimer: ReturnType<typeof setTimeout> | undefined;
  #wasLoaded = false;
  #settleLoad: (issue: PolicyIssue | undefined) => void = () => {};
  #suspension: PolicyIssue | undefined;
  #retired = false;

  constructor(files: PolicyFiles, options: RunnerOptions) {
    this.files = files;
    this.#options = options;
  }

  /** Loads the policy for the first time. Shape: what is wrong, if anything; then the runner is closed. Never rejects. */
  async load(): Promise<PolicyIssue | undefined> {
    const issue = await this.#start();
    if (issue !== undefined) this.close();
    return issue;
  }

  /** Asks about one flow. Never rejects, and answers within the deadline and, after a hang, the time that loading takes. */
  async ask(meta: Metadata): Promise<PolicyAnswer> {
    if (!this.hasOnConnection) return RULES;
    return await this.#call("onConnection", (id) => ({ kind: "call", id, meta })) as PolicyAnswer | undefined ?? RULES;
  }

  /** Asks about one question of an application. As `ask`. */
  async askDns({ name, type }: DnsQuestion): Promise<PolicyDnsAnswer> {
    if (!this.hasOnDns) return CONFIGURATION;
    const question = { name, type };
    const outcome = await this.#call("onDns", (id) => ({ kind: "callDns", id, question }));
    return outcome as PolicyDnsAnswer | undefined ?? CONFIGURATION;
  }

  #call(member: Member, message: (id: number) => ToWorker): Promise<Outcome | undefined> {
    if (this.#suspension !== undefined) return Promise.resolve({ kind: "failed", issue: this.#suspension });
    if (this.#state === "closed") return Promise.resolve(undefined);
    if (this.#calls.size >= POLICY_CALLS_IN_FLIGHT_MAX) {
      const what = member === "onDns" ? "questions" : "flows";
      return Promise.resolve(
        this.#failure(`more than ${POLICY_CALLS_IN_FLIGHT_MAX} ${what} wait for its answer`, member),
      );
    }
    return new Promise((resolve) => {
      const id = this.#nextId++;
      const call: Call = { member, message, resolve, at: 0, pending: false };
      this.#calls.set(id, call);
      if (this.#state === "running") this.#post(id, call);
    });
  }

  /** Closes as soon as every call under way has its answer. */
  retire(): void {
    this.#retired = true;
    if (this.#calls.size === 0) this.close();
  }

  /** Ends the worker at once; the rules decide what still waits. */
  close(): void {
    this.#state = "closed";
    this.#stop();
    for (const { resolve } of this.#calls.values()) resolve(undefined);
    this.#calls.clear();
  }

  #issue(place: PolicyPlace, message: string, severity: PolicyIssue["severity"] = "error"): PolicyIssue {
    return { severity, file: place.file, line: place.line, column: place.column, message };
  }

  /** An issue of one of the functions, told and turned into an answer. */
  #failure(message: string, member: Member): { readonly kind: "failed"; readonly issue: PolicyIssue } {
    const issue = this.#issue(this.files.memberPlace(member), `Cannot ask the policy: ${message}`);
    this.#options.onIssue(issue);
    return { kind: "failed", issue };
  }

  /** What is blamed where a call is not to be told from another: the oldest call's function, or the one that the policy has. */
  #blamed(): Member {
    for (const { member } of this.#calls.values()) return member;
    return this.hasOnConnection || !this.hasOnDns ? "onConnection" : "onDns";
  }

  #start(): Promise<PolicyIssue | undefined> {
    this.#state = "loading";
    this.#secret = crypto.randomUUID();
    const thread: PolicyThread = new PolicyThread({
      message: (data) => thread === this.#thread && this.#receive(data),
      ended: (message) => thread === this.#thread && this.#fault(`its worker ended: ${message.slice(0, 200)}`),
    });
    this.#thread = thread;
    const { deadlineMs: callMs, loadDeadlineMs: loadMs } = this.#options;
    const limits = { textLength: POLICY_TEXT_LENGTH_MAX, logLines: POLICY_LOG_LINES_MAX, loadMs, callMs };
    thread.post({ kind: "load", secret: this.#secret, limits, bundle: this.files.bundle });
    return new Promise((resolve) => {
      this.#settleLoad = resolve;
      const { loadDeadlineMs } = this.#options;
      this.#loadTimer = setTimeout(() => {
        const place = this.files.memberPlace("rules");
        this.#loaded(this.#issue(place, `Cannot load the policy: it did not finish within ${loadDeadlineMs} ms`));
      }, loadDeadlineMs + HANG_GRACE_MS);
    });
  }

  #loaded(issue: PolicyIssue | undefined): void {
    clearTimeout(this.#loadTimer);
    if (issue !== undefined) this.#stop();
    else {
      this.#state = "running";
      for (const [id, call] of this.#calls) this.#post(id, call);
    }
    this.#settleLoad(issue);
  }

  #stop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#loadTimer);
    this.#timer = undefined;
    this.#thread?.kill();
    this.#thread = undefined;
  }

  #post(id: number, call: Call): void {
    call.at = performance.now();
    this.#thread!.post(call.message(id));
    this.#arm(call.at + this.#options.deadlineMs);
  }

  #arm(at: number): void {
    if (this.#timer !== undefined) return;
    this.#timerAt = at;
    this.#timer = setTimeout(() => this.#watch(), Math.max(0, at - performance.now()));
  }

  /** Runs when a call may be late. Time in which this process itself stood still counts for nobody. */
  #watch(): void {
    this.#timer = undefined;
    const now = performance.now();
    const stalled = now - this.#timerAt > STALL_MS ? now - this.#timerAt : 0;
    this.#heardAt += stalled;
    const { deadlineMs } = this.#options;
    let next = Infinity;
    for (const [id, call] of this.#calls) {
      call.at += stalled;
      const hungAt = call.pending ? Infinity : Math.max(this.#heardAt, call.at) + deadlineMs + HANG_GRACE_MS;
      const lateAt = call.at +
        (call.pending ? deadlineMs + PROMISE_GRACE_MS : deadlineMs * QUEUE_FACTOR + HANG_GRACE_MS);
      if (now >= hungAt) return this.#fault(`it did not return within ${deadlineMs} ms`);
      if (now >= lateAt) {
        const why = call.pending ? "its promise was not settled" : "it is busy with other calls and did not answer";
        this.#settle(id, this.#failure(`${why} in time (deadline ${deadlineMs} ms)`, call.member));
        if (this.#missed(call.member)) return;
      } else next = Math.min(next, hungAt, lateAt);
    }
    if (next !== Infinity) this.#arm(next);
  }

  #settle(id: number, outcome: Outcome | undefined): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    this.#calls.delete(id);
    call.resolve(outcome);
    if (this.#retired && this.#calls.size === 0) this.close();
  }

  /** The worker is of no use any more: the rules decide every flow that waits, and a new worker starts. */
  #fault(message: string): void {
    if (this.#state === "loading") {
      return this.#loaded(this.#issue(this.files.memberPlace("rules"), `Cannot load the policy: ${message}`));
    }
    this.#stop();
    this.#hangs++;
    const member = this.#blamed();
    const consequence = member === "onDns" ? "the configuration answers" : "the rules decide";
    const failure = this.#failure(`${message}; ${consequence}`, member);
    for (const id of [...this.#calls.keys()]) this.#settle(id, failure);
    if (this.#retired) return; // settling the last call closed it
    if (this.#hangs >= POLICY_HANGS_MAX) this.#suspendHung(member);
    else this.#restart();
  }

  /** Counts a missed deadline; true when it was one too many. */
  #missed(member: Member): boolean {
    if (++this.#misses < POLICY_MISSES_MAX) return false;
    this.#suspend(member, `it missed its deadline for ${this.#misses} flows`);
    return true;
  }

  #suspendHung(member: Member): void {
    this.#suspend(member, `it hung or broke ${this.#hangs} times in a row`);
  }

  async #restart(): Promise<void> {
    const issue = await this.#start();
    if (issue === undefined || this.#state === "closed") return;
    this.#options.onIssue(issue);
    this.#suspend("rules", "it cannot be loaded again");
  }

  #suspend(member: Member | "rules", why: string): void {
    if (this.#state === "closed") return;
    this.#state = "suspended";
    this.#stop();
    this.#suspension = this.#issue(
      this.files.memberPlace(member),
      `Cannot ask the policy: ${why}; the rules decide until it changes`,
    );
    this.#options.onIssue(this.#suspension);
    for (const id of [...this.#calls.keys()]) this.#settle(id, { kind: "failed", issue: this.#suspension });
  }

  #receive(data: unknown): void {
    if (!isFromWorker(data, this.#secret)) {
      if (++this.#garbage === 1) this.#failure("it sent a message of its own", this.#blamed());
      if (this.#garbage > POLICY_GARBAGE_MESSAGES_MAX) {
        this.#suspend(this.#blamed(), "it sent too many messages of its own");
      }
      return;
    }
    switch (data.kind) {
      case "loaded":
        return this.#takeLoaded(data);
      case "failed":
        return this.#loaded(this.#thrown("Cannot load the policy", data.error, "rules"));
      case "uncaught":
        return this.#options.onIssue(
          this.#thrown("The policy failed where nobody waited for it", data.error, this.#blamed()),
        );
      case "memory":
        if (data.heap > POLICY_HEAP_BYTES_MAX) {
          this.#fault(`it holds ${Math.round(data.heap / (1 << 20))} MiB of memory`);
        }
        return;
      case "log": {
        const place = this.files.placeOf(data.stack) ?? this.files.memberPlace(this.#blamed());
        return this.#options.onLog({
          level: data.level,
          text: data.text,
          file: place.file,
          line: place.line,
          column: place.column,
        });
      }
      default:
        return this.#takeAnswer(data);
    }
  }

  #takeLoaded({ rules, onConnection, onDns }: Extract<FromWorker, { kind: "loaded" }>): void {
    if (this.#state !== "loading") return;
    if (this.#wasLoaded) return this.#loaded(undefined); // the rules of the first time are in use
    this.#wasLoaded = true;
    const fallback = this.files.memberPlace("rules");
    this.ruleLines = rules.map(([text, origin]) => {
      const { file, line, column } = this.files.placeOf(origin) ?? fallback;
      return { text, file, line, column };
    });
    this.hasOnConnection = onConnection;
    this.hasOnDns = onDns;
    this.#loaded(undefined);
  }

  #takeAnswer(data: Extract<CheckedMessage, { id: number }>): void {
    this.#heardAt = performance.now();
    const call = this.#calls.get(data.id);
    if (call === undefined) return;
    if (data.kind === "pending") {
      call.pending = true;
      call.at = this.#heardAt;
      return;
    }
    this.#hangs = data.kind === "late" ? this.#hangs + 1 : 0;
    const { member } = call;
    if (data.kind === "threw" || data.kind === "late") {
      const issue = this.#thrown("Cannot ask the policy", data.error, member);
      this.#options.onIssue(issue);
      this.#settle(data.id, { kind: "failed", issue });
      if (this.#hangs >= POLICY_HANGS_MAX) this.#suspendHung(member);
      else if (data.kind === "late") this.#missed(member);
      return;
    }
    if (++this.#goodAnswers % POLICY_FORGIVING_ANSWERS === 0 && this.#misses > 0) this.#misses--;
    const outcome = data.kind === "nonsense" ? data.message : this.#outcomeOf(member, data);
    if (typeof outcome !== "string") return this.#settle(data.id, outcome);
    this.#settle(data.id, this.#failure(`its answer makes no sense: ${outcome}`, member));
  }

  /** Reads what the worker read once more. Shape: undefined when it says nothing. Errors: one sentence. */
  #outcomeOf(
    member: Member,
    data: Extract<CheckedMessage, { kind: "answer" | "dnsAnswer" }>,
  ): Outcome | string | undefined {
    if ((data.kind === "dnsAnswer") !== (member === "onDns")) return "it answers something else than it was asked";
    if (data.kind === "dnsAnswer") {
      const read = readDnsAnswer(data.answer);
      const verdict = typeof read === "object" ? verdictOnQuestion(read) : read;
      return typeof verdict === "object" ? { kind: "verdict", verdict } : verdict;
    }
    const answer = readAnswer({ via: data.via, program: data.program });
    if (typeof answer === "string") return answer;
    const { via, program: given } = answer;
    if (via === undefined && given === undefined) return undefined;
    const program = given === undefined || typeof given === "string" ? given : this.#programs.find(given);
    if (program === undefined || typeof program === "string" || "steps" in program) {
      return { kind: "verdict", via, program };
    }
    return program.message;
  }

  #thrown(what: string, { message, stack }: SentError, member: Member | "rules"): PolicyIssue {
    const place = this.files.placeOf(stack) ?? this.files.memberPlace(member);
    return this.#issue(place, `${what}: ${readable(message)}`);
  }
}

/** A message without the names that linking gave to imports: `(0,$w1.f) is not a function` → `f is not a function`. */
function readable(message: string): string {
  return message.replace(/\(0 ?, ?\$w\$*\d+\.([\w$]+)\)/g, "$1").replace(/\$w\$*\d+\./g, "").replace(
    /\$w\$*def\$/g,
    "default",
  );
}
