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
import type { FromWorker, SentError } from "../policy/bundle.ts";
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

interface Call {
  readonly meta: Metadata;
  readonly resolve: (answer: PolicyAnswer) => void;
  /** When the worker was asked; once it waits for a promise, since when. Units: ms. */
  at: number;
  /** The worker said that it waits for a promise, so it is alive. */
  pending: boolean;
}

const RULES: PolicyAnswer = { kind: "rules" };
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
  ask(meta: Metadata): Promise<PolicyAnswer> {
    if (this.#suspension !== undefined) return Promise.resolve({ kind: "failed", issue: this.#suspension });
    if (!this.hasOnConnection || this.#state === "closed") return Promise.resolve(RULES);
    if (this.#calls.size >= POLICY_CALLS_IN_FLIGHT_MAX) {
      return Promise.resolve(this.#failure(`more than ${POLICY_CALLS_IN_FLIGHT_MAX} flows wait for its answer`));
    }
    return new Promise((resolve) => {
      const id = this.#nextId++;
      const call: Call = { meta, resolve, at: 0, pending: false };
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
    for (const { resolve } of this.#calls.values()) resolve(RULES);
    this.#calls.clear();
  }

  #issue(place: PolicyPlace, message: string, severity: PolicyIssue["severity"] = "error"): PolicyIssue {
    return { severity, file: place.file, line: place.line, column: place.column, message };
  }

  /** An issue of `onConnection`, told and turned into an answer. */
  #failure(message: string, place = this.files.memberPlace("onConnection")): PolicyAnswer {
    const issue = this.#issue(place, `Cannot ask the policy: ${message}`);
    this.#options.onIssue(issue);
    return { kind: "failed", issue };
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
    this.#thread!.post({ kind: "call", id, meta: call.meta });
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
        const why = call.pending ? "its promise was not settled" : "it is busy with other flows and did not answer";
        this.#settle(id, this.#failure(`${why} in time (deadline ${deadlineMs} ms)`));
        if (this.#missed()) return;
      } else next = Math.min(next, hungAt, lateAt);
    }
    if (next !== Infinity) this.#arm(next);
  }

  #settle(id: number, answer: PolicyAnswer): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    this.#calls.delete(id);
    call.resolve(answer);
    if (this.#retired && this.#calls.size === 0) this.close();
  }

  /** The worker is of no use any more: the rules decide every flow that waits, and a new worker starts. */
  #fault(message: string): void {
    if (this.#state === "loading") {
      return this.#loaded(this.#issue(this.files.memberPlace("rules"), `Cannot load the policy: ${message}`));
    }
    this.#stop();
    this.#hangs++;
    const answer = this.#failure(`${message}; the rules decide`);
    for (const id of [...this.#calls.keys()]) this.#settle(id, answer);
    if (this.#retired) return; // settling the last call closed it
    if (this.#hangs >= POLICY_HANGS_MAX) this.#suspendHung();
    else this.#restart();
  }

  /** Counts a missed deadline; true when it was one too many. */
  #missed(): boolean {
    if (++this.#misses < POLICY_MISSES_MAX) return false;
    this.#suspend("onConnection", `it missed its deadline for ${this.#misses} flows`);
    return true;
  }

  #suspendHung(): void {
    this.#suspend("onConnection", `it hung or broke ${this.#hangs} times in a row`);
  }

  async #restart(): Promise<void> {
    const issue = await this.#start();
    if (issue === undefined || this.#state === "closed") return;
    this.#options.onIssue(issue);
    this.#suspend("rules", "it cannot be loaded again");
  }

  #suspend(member: "onConnection" | "rules", why: string): void {
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
      if (++this.#garbage === 1) this.#failure("it sent a message of its own");
      if (this.#garbage > POLICY_GARBAGE_MESSAGES_MAX) {
        this.#suspend("onConnection", "it sent too many messages of its own");
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
          this.#thrown("The policy failed where nobody waited for it", data.error, "onConnection"),
        );
      case "memory":
        if (data.heap > POLICY_HEAP_BYTES_MAX) {
          this.#fault(`it holds ${Math.round(data.heap / (1 << 20))} MiB of memory`);
        }
        return;
      case "log": {
        const place = this.files.placeOf(data.stack) ?? this.files.memberPlace("onConnection");
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
    if (onDns) {
      const message = "onDns is reserved: it is not called yet";
      this.#options.onIssue(this.#issue(this.files.memberPlace("onDns"), message, "warning"));
    }
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
    if (data.kind === "threw" || data.kind === "late") {
      const issue = this.#thrown("Cannot ask the policy", data.error, "onConnection");
      this.#options.onIssue(issue);
      this.#settle(data.id, { kind: "failed", issue });
      if (this.#hangs >= POLICY_HANGS_MAX) this.#suspendHung();
      else if (data.kind === "late") this.#missed();
      return;
    }
    if (++this.#goodAnswers % POLICY_FORGIVING_ANSWERS === 0 && this.#misses > 0) this.#misses--;
    const answer = data.kind === "answer" ? readAnswer({ via: data.via, program: data.program }) : data.message;
    if (typeof answer === "string") return this.#settle(data.id, this.#failure(`its answer makes no sense: ${answer}`));
    const { via, program: given } = answer;
    if (via === undefined && given === undefined) return this.#settle(data.id, RULES);
    const program = given === undefined || typeof given === "string" ? given : this.#programs.find(given);
    if (program === undefined || typeof program === "string" || "steps" in program) {
      return this.#settle(data.id, { kind: "verdict", via, program });
    }
    this.#settle(data.id, this.#failure(`its answer makes no sense: ${program.message}`));
  }

  #thrown(what: string, { message, stack }: SentError, member: "onConnection" | "rules"): PolicyIssue {
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
