/** The policy of a running weir: loads it, asks it, and takes a new version when its files change. */
import type { Metadata } from "../classify/facts.ts";
import {
  POLICY_DEADLINE_MS,
  POLICY_ISSUES_MAX,
  POLICY_LOAD_DEADLINE_MS,
  POLICY_WATCH_INTERVAL_MS,
} from "../base/limits.ts";
import type { DnsQuestion } from "../policy/policy.ts";
import type { AskedDns } from "./dns_service.ts";
import { type PolicyFiles, type PolicyIssue, readPolicyFiles } from "./policy_files.ts";
import { type PolicyAnswer, type PolicyLog, type PolicyRuleLine, PolicyRunner } from "./policy_runner.ts";
import { FileWatch } from "./policy_watch.ts";

export type { PolicyAnswer, PolicyIssue, PolicyLog, PolicyRuleLine };

/** A version of the policy that is about to take over. */
export interface PolicyVersion {
  readonly ruleLines: readonly PolicyRuleLine[];
  readonly hasOnConnection: boolean;
}

/** How a policy is run. */
export interface PolicyOptions {
  /** Time for one answer. Units: ms. */
  readonly deadlineMs?: number;
  /** Time for loading. Units: ms. */
  readonly loadDeadlineMs?: number;
  /** Look at the files and take new versions. A replay does not. */
  readonly watch?: boolean;
  /** How often the files are looked at. Units: ms. */
  readonly watchIntervalMs?: number;
  /** Told of everything that goes wrong after loading, each thing once a version. */
  readonly onIssue?: (issue: PolicyIssue) => void;
  /** Told of each line that the script logs. */
  readonly onLog?: (log: PolicyLog) => void;
  /** Called before a new version takes over. Errors that it returns keep the old one (rules that do not parse, say). */
  readonly onReload?: (version: PolicyVersion) => readonly PolicyIssue[] | void;
}

/** A loaded policy. Close it when done: its worker keeps the process alive. */
export class PolicyHost {
  readonly #path: string;
  readonly #options: PolicyOptions;
  readonly #told = new Set<string>();
  #runner: PolicyRunner;
  #watch: FileWatch | undefined;
  #closed = false;

  private constructor(path: string, options: PolicyOptions, runner: PolicyRunner) {
    this.#path = path;
    this.#options = options;
    this.#runner = runner;
  }

  /**
   * Reads and loads a policy. Never rejects: without `host` there are errors in `issues`; with it there may be warnings.
   * `issues` name the files as `path` does.
   */
  static async load(path: string, options: PolicyOptions = {}): Promise<{ host?: PolicyHost; issues: PolicyIssue[] }> {
    const files = await readPolicyFiles(path);
    const issues = [...files.issues];
    if (files.bundle === undefined) return { issues };
    const late: { host?: PolicyHost } = {};
    const onIssue = (issue: PolicyIssue) => {
      if (late.host === undefined) issues.push(issue);
      else late.host.#tell(issue);
    };
    const runner = createRunner(files, options, onIssue);
    const failed = await runner.load();
    if (failed !== undefined) return { issues: [...issues, failed] };
    const host = new PolicyHost(path, options, runner);
    late.host = host;
    if (options.watch === true) {
      host.#watch = new FileWatch(
        options.watchIntervalMs ?? POLICY_WATCH_INTERVAL_MS,
        files.looked,
        (changed) => host.#reload(changed),
      );
    }
    return { host, issues };
  }

  /** The rules that the script made, in order; they come before those of the configuration. */
  get ruleLines(): readonly PolicyRuleLine[] {
    return this.#runner.ruleLines;
  }

  /** True when flows are worth asking about. */
  get hasOnConnection(): boolean {
    return this.#runner.hasOnConnection;
  }

  /** Asks about one flow. Never rejects; without a sensible answer the rules decide. */
  ask(metadata: Metadata): Promise<PolicyAnswer> {
    return this.#runner.ask(metadata);
  }

  /** True when questions are worth asking about. */
  get hasOnDns(): boolean {
    return this.#runner.hasOnDns;
  }

  /** Asks about one question of an application. Never rejects; undefined leaves it to the configuration. */
  async askDns(question: DnsQuestion): Promise<AskedDns | undefined> {
    if (!this.#runner.hasOnDns) return undefined;
    const answer = await this.#runner.askDns(question);
    return answer.kind === "verdict" ? answer.verdict : undefined;
  }

  /** Ends the worker and the watch; the rules decide what still waits. */
  close(): Promise<void> {
    this.#closed = true;
    this.#watch?.close();
    this.#runner.close();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Each thing once, and no more than a script should be able to write into a log. */
  #tell(issue: PolicyIssue): void {
    const key = `${issue.file}:${issue.line}:${issue.column} ${issue.message}`;
    if (this.#told.has(key) || this.#told.size > POLICY_ISSUES_MAX) return;
    this.#told.add(key);
    if (this.#told.size <= POLICY_ISSUES_MAX) return this.#options.onIssue?.(issue);
    const { file, line, column } = issue;
    const message = `the policy made ${POLICY_ISSUES_MAX} different mistakes; the others are not shown`;
    this.#options.onIssue?.({ severity: "warning", file, line, column, message });
  }

  /** Takes a new version if it is good. Shape: the files to look at from now on. */
  async #reload(changed: () => boolean): Promise<ReadonlyMap<string, string | undefined>> {
    const files = await readPolicyFiles(this.#path);
    const issues: PolicyIssue[] = [...files.issues];
    const runner = createRunner(
      files,
      this.#options,
      (issue) => this.#runner === runner ? this.#tell(issue) : issues.push(issue),
    );
    if (files.bundle !== undefined) {
      const failed = await runner.load();
      if (failed !== undefined) issues.push(failed);
      else issues.push(...this.#options.onReload?.(runner) ?? []);
    }
    if (this.#closed || changed()) {
      runner.close();
      return files.looked;
    }
    this.#told.clear();
    const bad = issues.some(({ severity }) => severity === "error");
    if (bad) runner.close();
    else {
      const old = this.#runner;
      this.#runner = runner;
      old.retire();
    }
    for (const issue of issues) {
      this.#tell(bad ? { ...issue, message: `${issue.message} (the version before stays)` } : issue);
    }
    return files.looked;
  }
}

function createRunner(files: PolicyFiles, options: PolicyOptions, onIssue: (issue: PolicyIssue) => void): PolicyRunner {
  return new PolicyRunner(files, {
    deadlineMs: options.deadlineMs ?? POLICY_DEADLINE_MS,
    loadDeadlineMs: options.loadDeadlineMs ?? POLICY_LOAD_DEADLINE_MS,
    onIssue,
    onLog: (log) => options.onLog?.(log),
  });
}
